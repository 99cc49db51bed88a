package provisioningtest

import (
	"context"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemUserStore is a provisioning.UserStore in memory. It passes
// [TestUserStore] and [TestAccountFinder].
type MemUserStore struct {
	// Script makes the methods fail and counts them.
	Script

	permission func(id.UserID) provisioning.Permission

	mu    sync.Mutex
	links map[id.UserID]memLink
}

var (
	_ provisioning.UserStore     = (*MemUserStore)(nil)
	_ provisioning.AccountFinder = (*MemUserStore)(nil)
)

// memLink is a row: whose account a user's is.
type memLink struct {
	telegramID provisioning.TelegramID
	displaced  bool
}

// NewMemUserStore returns an empty store. The function says which permission
// level a Matrix user has; nil gives everybody provisioning.PermissionFull.
func NewMemUserStore(permission func(id.UserID) provisioning.Permission) *MemUserStore {
	if permission == nil {
		permission = func(id.UserID) provisioning.Permission { return provisioning.PermissionFull }
	}
	return &MemUserStore{permission: permission, links: map[id.UserID]memLink{}}
}

// Len returns the number of rows: users that are linked to an account, displaced
// ones included.
func (s *MemUserStore) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links)
}

// User implements provisioning.UserStore.
func (s *MemUserStore) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	if err := s.enter(ctx, "User"); err != nil {
		return provisioning.User{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.links[userID]
	return provisioning.User{Permission: s.permission(userID), TelegramID: l.telegramID, Displaced: l.displaced}, nil
}

// LinkAccount implements provisioning.UserStore.
func (s *MemUserStore) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	if err := s.enter(ctx, "LinkAccount"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[userID] = memLink{telegramID: telegramID}
	var displaced []id.UserID
	for other, l := range s.links {
		if other != userID && l.telegramID == telegramID {
			s.links[other] = memLink{telegramID: telegramID, displaced: true}
			displaced = append(displaced, other)
		}
	}
	slices.Sort(displaced)
	return displaced, nil
}

// ClaimAccount implements provisioning.UserStore.
func (s *MemUserStore) ClaimAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	if err := s.enter(ctx, "ClaimAccount"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, l := range s.links {
		if other != userID && l.telegramID == telegramID && !l.displaced {
			return provisioning.ErrAccountLinked
		}
	}
	s.links[userID] = memLink{telegramID: telegramID}
	return nil
}

// UnlinkAccount implements provisioning.UserStore.
func (s *MemUserStore) UnlinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	if err := s.enter(ctx, "UnlinkAccount"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links[userID].telegramID == telegramID {
		delete(s.links, userID)
	}
	return nil
}

// AccountUser implements provisioning.AccountFinder.
func (s *MemUserStore) AccountUser(ctx context.Context, telegramID provisioning.TelegramID) (id.UserID, error) {
	if err := s.enter(ctx, "AccountUser"); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for userID, l := range s.links {
		if l.telegramID == telegramID && !l.displaced {
			return userID, nil
		}
	}
	return "", nil
}
