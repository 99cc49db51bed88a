package provisioningtest

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

var _ provisioning.PortalUsers = (*MemPortalStore)(nil)

// UserPortals implements provisioning.PortalUsers.
func (s *MemPortalStore) UserPortals(ctx context.Context, userID id.UserID) ([]provisioning.UserPortal, error) {
	if err := s.enter(ctx, "UserPortals"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var portals []provisioning.UserPortal
	for roomID, users := range s.users {
		for account, user := range users {
			if user == userID {
				portals = append(portals, provisioning.UserPortal{Portal: s.portals[roomID], Account: account})
			}
		}
	}
	return portals, nil
}

// PortalUser implements provisioning.PortalUsers.
func (s *MemPortalStore) PortalUser(ctx context.Context, portal provisioning.UserPortal) (id.UserID, error) {
	if err := s.enter(ctx, "PortalUser"); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.takesPart(portal) {
		return "", nil
	}
	return s.users[portal.RoomID][portal.Account], nil
}

// SetPortalUser implements provisioning.PortalUsers.
func (s *MemPortalStore) SetPortalUser(ctx context.Context, portal provisioning.UserPortal, userID id.UserID) error {
	if err := s.enter(ctx, "SetPortalUser"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.takesPart(portal) {
		return nil
	}
	if s.users[portal.RoomID] == nil {
		s.users[portal.RoomID] = map[provisioning.TelegramID]id.UserID{}
	}
	s.users[portal.RoomID][portal.Account] = userID
	return nil
}

// RemoveAccount implements provisioning.PortalUsers.
func (s *MemPortalStore) RemoveAccount(ctx context.Context, portal provisioning.UserPortal) error {
	if err := s.enter(ctx, "RemoveAccount"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.takesPart(portal) {
		delete(s.users[portal.RoomID], portal.Account)
		s.accounts[portal.RoomID] = slices.DeleteFunc(s.accounts[portal.RoomID], func(account provisioning.TelegramID) bool {
			return account == portal.Account
		})
	}
	return nil
}

// takesPart says whether an account takes part in a portal that is there. The caller holds
// the lock.
func (s *MemPortalStore) takesPart(portal provisioning.UserPortal) bool {
	current := s.portals[portal.RoomID]
	return current.ChatID == portal.ChatID && current.Receiver == portal.Receiver && slices.Contains(s.accounts[portal.RoomID], portal.Account)
}
