package provisioningtest

import (
	"context"
	"errors"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemDirectPortals is a [MemPortalStore] that makes direct chats itself, in a [MemRooms]: a
// provisioning.DirectPortals in memory. It passes TestDirectPortals.
type MemDirectPortals struct {
	*MemPortalStore
	rooms *MemRooms

	starting sync.Mutex
}

var (
	_ provisioning.PortalStore   = (*MemDirectPortals)(nil)
	_ provisioning.DirectPortals = (*MemDirectPortals)(nil)
)

// NewMemDirectPortals returns a store without portals, whose direct chats are in the rooms.
func NewMemDirectPortals(rooms *MemRooms) *MemDirectPortals {
	return &MemDirectPortals{MemPortalStore: NewMemPortalStore(), rooms: rooms}
}

// StartDirect implements provisioning.DirectPortals.
func (s *MemDirectPortals) StartDirect(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
	if err := s.enter(ctx, "StartDirect"); err != nil {
		return provisioning.Portal{}, false, err
	}
	s.starting.Lock()
	defer s.starting.Unlock()
	portal, err := s.PortalByChat(ctx, provisioning.UserChatID(contact.ID), account.ID)
	created := errors.Is(err, provisioning.ErrPortalNotFound)
	if created {
		portal = provisioning.Portal{ChatID: provisioning.UserChatID(contact.ID), Receiver: account.ID, Title: contact.Name, Username: contact.Username}
		if portal.RoomID, err = s.rooms.CreateDirect(ctx, userID, contact); err == nil {
			err = s.Connect(ctx, provisioning.NewPortal{Portal: portal, UserID: userID})
		}
	}
	if err != nil {
		return provisioning.Portal{}, false, err
	}
	return portal, created, s.rooms.InviteToDirect(ctx, portal.RoomID, userID, contact.ID)
}
