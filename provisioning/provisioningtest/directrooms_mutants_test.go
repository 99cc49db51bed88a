package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestDirectRoomsMutants(t *testing.T) {
	testRoomsSuite(t, directRoomsChecks, directRoomsMutants)
}

// afterCreate changes a room after CreateDirect.
func afterCreate(change func(room *MemRoom, userID id.UserID)) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.createDirect = func(ctx context.Context, userID id.UserID, contact provisioning.Contact) (id.RoomID, error) {
			roomID, err := a.MemRooms.CreateDirect(ctx, userID, contact)
			if err == nil {
				err = a.edit(roomID, func(room *MemRoom) { change(room, userID) })
			}
			return roomID, err
		}
	}
}

// afterInvite changes a room after InviteToDirect, whatever that has returned.
func afterInvite(change func(room *MemRoom, userID id.UserID, err error) error) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.invite = func(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
			err := a.MemRooms.InviteToDirect(ctx, roomID, userID, telegramID)
			return errors.Join(a.edit(roomID, func(room *MemRoom) { err = change(room, userID, err) }), err)
		}
	}
}

var directRoomsMutants = []roomsMutant{
	{"without the bot", "create", afterCreate(func(room *MemRoom, _ id.UserID) { room.NoBot = true })},
	{"without the ghost", "create", afterCreate(func(room *MemRoom, _ id.UserID) { room.Ghosts = nil })},
	{"with the user", "create", afterCreate(func(room *MemRoom, userID id.UserID) { room.Users = append(room.Users, userID) })},
	{"the user is invited", "create", func(a *alteredRooms) {
		a.inviting = memBot
		afterCreate(func(room *MemRoom, userID id.UserID) { room.Invited = append(room.Invited, userID) })(a)
	}},
	{"the ghost has no power", "power in a direct room", afterCreate(func(room *MemRoom, _ id.UserID) { room.Powers = nil })},
	{"the bot has no power", "power in a direct room", afterCreate(func(room *MemRoom, _ id.UserID) {
		room.PowerLevels = `{"users_default":100,"users":{"@telegrambot:example.com":50},"events":{"m.room.power_levels":100}}`
	})},
	{"the ghost has no name", "name of the ghost", func(a *alteredRooms) {
		a.createDirect = func(ctx context.Context, userID id.UserID, contact provisioning.Contact) (id.RoomID, error) {
			contact.Name = ""
			return a.MemRooms.CreateDirect(ctx, userID, contact)
		}
	}},
	{"one room per ghost", "every room is a new one", oneRoomBy(func(_ id.UserID, contact provisioning.Contact) string { return fmt.Sprint(contact.ID) })},
	{"one room per user", "every room is a new one", oneRoomBy(func(userID id.UserID, _ provisioning.Contact) string { return string(userID) })},
	{"the user in a field", "create several at once", func(a *alteredRooms) {
		var current id.UserID
		a.invite = func(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
			a.mu.Lock()
			current = userID
			a.mu.Unlock()
			letOthersIn()
			a.mu.Lock()
			userID = current
			a.mu.Unlock()
			return a.MemRooms.InviteToDirect(ctx, roomID, userID, telegramID)
		}
	}},
	{"nobody is invited", "invite", afterInvite(func(room *MemRoom, _ id.UserID, err error) error {
		room.Invited = nil
		return err
	})},
	{"the bot invites", "invite", func(a *alteredRooms) { a.inviting = memBot }},
	{"an invitation like any other", "invite", func(a *alteredRooms) { a.notDirect = true }},
	{"the user is made join", "invite", afterInvite(func(room *MemRoom, userID id.UserID, err error) error {
		room.Users, room.Invited = append(room.Users, userID), nil
		return err
	})},
	{"every invitation is sent", "invite again", afterInvite(func(room *MemRoom, _ id.UserID, err error) error {
		room.changes++
		return err
	})},
	{"invited again is an error", "invite again", func(a *alteredRooms) {
		a.invite = func(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
			if room, _ := a.Get(roomID); slices.Contains(room.Invited, userID) {
				return provisioning.ErrHomeserver
			}
			return a.MemRooms.InviteToDirect(ctx, roomID, userID, telegramID)
		}
	}},
	{"joined is refused", "invite again", func(a *alteredRooms) {
		a.invite = func(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
			if room, _ := a.Get(roomID); slices.Contains(room.Users, userID) {
				return provisioning.ErrMatrixInviteRefused
			}
			return a.MemRooms.InviteToDirect(ctx, roomID, userID, telegramID)
		}
	}},
	{"everybody is invited once", "invite who has left", func(a *alteredRooms) {
		invited := map[id.UserID]bool{}
		a.invite = func(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
			if invited[userID] {
				return nil
			}
			invited[userID] = true
			return a.MemRooms.InviteToDirect(ctx, roomID, userID, telegramID)
		}
	}},
	{"refused is a fault", "invite who is banned", afterInvite(func(_ *MemRoom, _ id.UserID, err error) error {
		if errors.Is(err, provisioning.ErrMatrixInviteRefused) {
			return provisioning.ErrHomeserver
		}
		return err
	})},
	{"who is banned is left alone", "invite who is banned", afterInvite(func(*MemRoom, id.UserID, error) error { return nil })},
	{"refused for ever", "invite who is banned", func(a *alteredRooms) {
		refused := map[id.UserID]bool{}
		a.invite = func(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
			err := a.MemRooms.InviteToDirect(ctx, roomID, userID, telegramID)
			if refused[userID] {
				return provisioning.ErrMatrixInviteRefused
			}
			refused[userID] = err != nil
			return err
		}
	}},
	{"no bot is another error", "invite without the bridge", afterInvite(func(room *MemRoom, _ id.UserID, err error) error {
		if room.NoBot {
			return provisioning.ErrBridgeBotNotInRoom
		}
		return err
	})},
	{"every error is a refusal", "homeserver fails", afterInvite(func(_ *MemRoom, _ id.UserID, err error) error {
		if err != nil {
			return provisioning.ErrMatrixInviteRefused
		}
		return nil
	})},
	{"an error of its own", "homeserver fails", func(a *alteredRooms) {
		a.createDirect = func(ctx context.Context, userID id.UserID, contact provisioning.Contact) (id.RoomID, error) {
			roomID, err := a.MemRooms.CreateDirect(ctx, userID, contact)
			if err != nil {
				return "", errors.New("HTTP 502")
			}
			return roomID, nil
		}
	}},
	{"every error is a refusal", "cancelled context", afterInvite(func(_ *MemRoom, _ id.UserID, err error) error {
		if err != nil {
			return fmt.Errorf("%w: %w", err, provisioning.ErrMatrixInviteRefused)
		}
		return nil
	})},
	{"goes on", "cancelled context", deafCreate},
	{"waits on", "context cancelled while waiting", deafCreate},
}

// deafCreate makes CreateDirect go on after its context has ended.
func deafCreate(a *alteredRooms) {
	a.createDirect = func(ctx context.Context, userID id.UserID, contact provisioning.Contact) (id.RoomID, error) {
		return a.MemRooms.CreateDirect(context.WithoutCancel(ctx), userID, contact)
	}
}

// oneRoomBy makes CreateDirect return the same room again.
func oneRoomBy(key func(id.UserID, provisioning.Contact) string) func(*alteredRooms) {
	return func(a *alteredRooms) {
		rooms := map[string]id.RoomID{}
		a.createDirect = func(ctx context.Context, userID id.UserID, contact provisioning.Contact) (id.RoomID, error) {
			key := key(userID, contact)
			if roomID, ok := rooms[key]; ok {
				return roomID, nil
			}
			roomID, err := a.MemRooms.CreateDirect(ctx, userID, contact)
			rooms[key] = roomID
			return roomID, err
		}
	}
}
