package provisioningtest

import (
	"context"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// alteredRooms is a MemRooms some of whose methods are broken. Those that are nil are not.
type alteredRooms struct {
	*memHomeserver
	botID        func() id.UserID
	checkBot     func(context.Context, id.RoomID) error
	hasPower     func(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error)
	room         func(context.Context, id.RoomID, provisioning.RoomQuery) (provisioning.Room, error)
	setUp        func(context.Context, provisioning.PortalSetup) error
	cleanUp      func(ctx context.Context, portal provisioning.Portal, everybody bool) error
	createDirect func(context.Context, id.UserID, provisioning.Contact) (id.RoomID, error)
	invite       func(context.Context, id.RoomID, id.UserID, provisioning.TelegramID) error
	avatars      func(context.Context, []provisioning.Contact) (map[provisioning.TelegramID]id.ContentURIString, []provisioning.Contact, error)
	updateGhost  func(context.Context, provisioning.Contact, provisioning.PhotoFunc) error
	needGhosts   func(context.Context, id.UserID, ...provisioning.TelegramID) error
	forgetGhosts func(context.Context, id.UserID) (int, error)
}

func (a *alteredRooms) BotID() id.UserID {
	if a.botID == nil {
		return a.MemRooms.BotID()
	}
	return a.botID()
}

func (a *alteredRooms) CheckBot(ctx context.Context, roomID id.RoomID) error {
	if a.checkBot == nil {
		return a.MemRooms.CheckBot(ctx, roomID)
	}
	return a.checkBot(ctx, roomID)
}

func (a *alteredRooms) HasPower(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
	if a.hasPower == nil {
		return a.MemRooms.HasPower(ctx, roomID, userID, eventType)
	}
	return a.hasPower(ctx, roomID, userID, eventType)
}

func (a *alteredRooms) Room(ctx context.Context, roomID id.RoomID, query provisioning.RoomQuery) (provisioning.Room, error) {
	if a.room == nil {
		return a.MemRooms.Room(ctx, roomID, query)
	}
	return a.room(ctx, roomID, query)
}

func (a *alteredRooms) SetUpPortal(ctx context.Context, setup provisioning.PortalSetup) error {
	if a.setUp == nil {
		return a.MemRooms.SetUpPortal(ctx, setup)
	}
	return a.setUp(ctx, setup)
}

func (a *alteredRooms) CleanUp(ctx context.Context, portal provisioning.Portal, everybody bool) error {
	if a.cleanUp == nil {
		return a.MemRooms.CleanUp(ctx, portal, everybody)
	}
	return a.cleanUp(ctx, portal, everybody)
}

func (a *alteredRooms) CreateDirect(ctx context.Context, userID id.UserID, contact provisioning.Contact) (id.RoomID, error) {
	if a.createDirect == nil {
		return a.MemRooms.CreateDirect(ctx, userID, contact)
	}
	return a.createDirect(ctx, userID, contact)
}

func (a *alteredRooms) InviteToDirect(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
	if a.invite == nil {
		return a.MemRooms.InviteToDirect(ctx, roomID, userID, telegramID)
	}
	return a.invite(ctx, roomID, userID, telegramID)
}

func (a *alteredRooms) Avatars(ctx context.Context, contacts []provisioning.Contact) (map[provisioning.TelegramID]id.ContentURIString, []provisioning.Contact, error) {
	if a.avatars == nil {
		return a.MemRooms.Avatars(ctx, contacts)
	}
	return a.avatars(ctx, contacts)
}

func (a *alteredRooms) UpdateGhost(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
	if a.updateGhost == nil {
		return a.MemRooms.UpdateGhost(ctx, contact, photo)
	}
	return a.updateGhost(ctx, contact, photo)
}

// roomsMutant is a Rooms that is broken in one way, and the check that has to notice.
type roomsMutant struct {
	name  string
	check string
	alter func(a *alteredRooms)
}

// testRoomsSuite is testSuite on MemRooms.
func testRoomsSuite(t *testing.T, checks []suiteCheck[RoomsBackend], mutants []roomsMutant) {
	t.Helper()
	backend := func(alter func(*alteredRooms)) func() RoomsBackend {
		return func() RoomsBackend {
			a := &alteredRooms{memHomeserver: newMemHomeserver()}
			alter(a)
			return a.backend(a)
		}
	}
	var all []suiteMutant[RoomsBackend]
	for _, m := range mutants {
		all = append(all, suiteMutant[RoomsBackend]{m.name, m.check, backend(m.alter)})
	}
	testSuite(t, checks, backend(func(*alteredRooms) {}), all)
}
