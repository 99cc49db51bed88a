package provisioningtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func memDirectBackend(alter func(*alteredDirect)) DirectPortalsBackend {
	rooms := NewMemRooms()
	store := &alteredDirect{MemDirectPortals: NewMemDirectPortals(rooms)}
	store.start = store.MemDirectPortals.StartDirect
	if alter != nil {
		alter(store)
	}
	return DirectPortalsBackend{
		Store: store,
		Users: [2]DirectPortalsUser{
			{"@alice:example.com", provisioning.Account{ID: 1}}, {"@bob:example.com", provisioning.Account{ID: 2}},
		},
		Contact: zaphod(),
		IsInRoom: func(_ context.Context, roomID id.RoomID, userID id.UserID) (bool, error) {
			room, _ := rooms.Get(roomID)
			return slices.Contains(room.Users, userID) || slices.Contains(room.Invited, userID), nil
		},
		Leave: func(_ context.Context, roomID id.RoomID, userID id.UserID) error {
			room, _ := rooms.Get(roomID)
			is := func(other id.UserID) bool { return other == userID }
			room.Users, room.Invited = slices.DeleteFunc(room.Users, is), slices.DeleteFunc(room.Invited, is)
			rooms.Add(roomID, room)
			return nil
		},
	}
}

// alteredDirect is a MemDirectPortals that is broken in some way.
type alteredDirect struct {
	*MemDirectPortals
	start func(context.Context, id.UserID, provisioning.Account, provisioning.Contact) (provisioning.Portal, bool, error)
}

func (a *alteredDirect) StartDirect(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
	return a.start(ctx, userID, account, contact)
}

type started = func(context.Context, id.UserID, provisioning.Account, provisioning.Contact) (provisioning.Portal, bool, error)

// altering returns what replaces StartDirect by a function of the sound one.
func altering(change func(a *alteredDirect, sound started) started) func(*alteredDirect) {
	return func(a *alteredDirect) { a.start = change(a, a.start) }
}

var directPortalsMutants = map[string]struct {
	check string
	alter func(*alteredDirect)
}{
	"always created": {"start again", altering(func(_ *alteredDirect, sound started) started {
		return func(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
			portal, _, err := sound(ctx, userID, account, contact)
			return portal, true, err
		}
	})},
	"never created": {"start", altering(func(_ *alteredDirect, sound started) started {
		return func(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
			portal, _, err := sound(ctx, userID, account, contact)
			return portal, false, err
		}
	})},
	"not recorded": {"start", altering(func(a *alteredDirect, _ started) started {
		return func(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
			roomID, err := a.rooms.CreateDirect(ctx, userID, contact)
			return provisioning.Portal{RoomID: roomID, ChatID: provisioning.UserChatID(contact.ID), Receiver: account.ID}, true, err
		}
	})},
	"no invitation": {"invited", altering(func(a *alteredDirect, sound started) started {
		a.rooms.On("InviteToDirect", func(context.Context) error { return errTrouble })
		return func(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
			portal, created, _ := sound(ctx, userID, account, contact)
			return portal, created, nil
		}
	})},
	"invited once": {"who has left", altering(func(a *alteredDirect, sound started) started {
		return func(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
			portal, err := a.PortalByChat(ctx, provisioning.UserChatID(contact.ID), account.ID)
			if err == nil {
				return portal, false, nil
			}
			return sound(ctx, userID, account, contact)
		}
	})},
	"one for all accounts": {"each account's own", altering(func(_ *alteredDirect, sound started) started {
		return func(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
			account.ID = 1
			return sound(ctx, userID, account, contact)
		}
	})},
	"not in turn": {"several at once", altering(func(a *alteredDirect, _ started) started {
		// Everybody looks before anybody connects.
		var looked sync.WaitGroup
		looked.Add(20)
		return func(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
			_, err := a.PortalByChat(ctx, provisioning.UserChatID(contact.ID), account.ID)
			looked.Done()
			looked.Wait()
			if !errors.Is(err, provisioning.ErrPortalNotFound) {
				return provisioning.Portal{}, false, err
			}
			roomID, err := a.rooms.CreateDirect(ctx, userID, contact)
			portal := provisioning.Portal{RoomID: roomID, ChatID: provisioning.UserChatID(contact.ID), Receiver: account.ID}
			if err == nil {
				err = a.Connect(ctx, provisioning.NewPortal{Portal: portal})
			}
			return portal, err == nil, err
		}
	})},
	"no context": {"cancelled context", altering(func(_ *alteredDirect, sound started) started {
		return func(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
			return sound(context.WithoutCancel(ctx), userID, account, contact)
		}
	})},
}

func TestDirectPortalsMutants(t *testing.T) {
	var mutants []suiteMutant[DirectPortalsBackend]
	for name, m := range directPortalsMutants {
		mutants = append(mutants, suiteMutant[DirectPortalsBackend]{name, m.check, func() DirectPortalsBackend { return memDirectBackend(m.alter) }})
	}
	testSuite(t, directPortalsChecks, func() DirectPortalsBackend { return memDirectBackend(nil) }, mutants)
}

func TestMemDirectPortals(t *testing.T) {
	TestDirectPortals(t, func(*testing.T) DirectPortalsBackend { return memDirectBackend(nil) })
}
