package provisioningtest

import (
	"errors"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

var moveChecks = []storeCheck[provisioning.PortalStore]{
	{"move to another room", "Move records that a portal goes on in another room; the accounts that take part in it stay.", checkMoveRoom},
	{"move to a supergroup", "Move records that a portal goes on with the supergroup that its basic group has become, and whose portal PortalByChat returns for the group too, or none.", checkMoveChat},
	{"move to and fro", "Of from, only the room, the chat and the receiver are looked at.", checkMoveByIDs},
	{"accounts of Move", "The accounts of the NewPortal come to those that take part, unless they are there.", checkMoveAccounts},
	{"move what is not bridged", "Move returns ErrPortalNotFound, before any other error, when the room is not bridged to that chat any more, and changes nothing.", checkMoveNothing},
	{"move to a bridged room", "Move returns ErrRoomBridged when the other room has a portal, and changes nothing.", checkMoveToBridgedRoom},
	{"move to a bridged chat", "Move returns ErrChatBridged when the other chat has a portal in another room, and changes nothing.", checkMoveToBridgedChat},
	{"race of moves", "Of several racing Moves of one portal exactly one succeeds.", checkRaceMoves},
}

// basic returns a portal of a basic group, and become that of the supergroup that it becomes.
func basic(roomID id.RoomID, groupID int64, accounts ...provisioning.TelegramID) provisioning.NewPortal {
	return provisioning.NewPortal{
		Portal:   provisioning.Portal{RoomID: roomID, ChatID: provisioning.BasicGroupChatID(groupID), Title: "Basic"},
		Accounts: accounts,
	}
}

func become(from provisioning.NewPortal, supergroupID int64) provisioning.NewPortal {
	to := from
	to.ChatID, to.MigratedFrom, to.Megagroup = provisioning.ChannelChatID(supergroupID), from.ChatID, true
	return to
}

// in returns the portal as one in another room, without accounts of its own.
func in(roomID id.RoomID, n provisioning.NewPortal) provisioning.NewPortal {
	n.RoomID, n.Accounts = roomID, nil
	return n
}

// move calls Move, which has to succeed.
func move(t T, s provisioning.PortalStore, from, to provisioning.NewPortal) {
	t.Helper()
	if err := s.Move(t.Context(), from.Portal, to); err != nil {
		t.Fatalf("Move(%s, %s): %v", describe(from), describe(to), err)
	}
}

// refuseMove calls Move, which has to return the error.
func refuseMove(t T, s provisioning.PortalStore, from, to provisioning.NewPortal, want error) {
	t.Helper()
	if err := s.Move(t.Context(), from.Portal, to); !errors.Is(err, want) {
		t.Errorf("Move(%s, %s): %v; want the error %q", describe(from), describe(to), err, want)
	}
}

func checkMoveRoom(t T, open func() provisioning.PortalStore) {
	s := open()
	a, other := group(roomA, 1, 7, 8), group(roomB, 2, 8)
	connect(t, s, a, other)
	moved := in(roomC, a)
	moved.Title = "Renamed"
	move(t, s, a, moved)
	moved.Accounts = a.Accounts
	expectPortals(t, s, []provisioning.NewPortal{other, moved}, formerly(a)...)
	next := group(roomA, 3, 7)
	connect(t, s, next) // the room is free
	expectPortals(t, s, []provisioning.NewPortal{other, moved, next})
}

func checkMoveChat(t T, open func() provisioning.PortalStore) {
	s := open()
	a, other := basic(roomA, 1, 7, 8), group(roomB, 2, 8)
	connect(t, s, a, other)
	moved := become(a, 3)
	move(t, s, a, in(roomA, moved))
	expectPortals(t, s, []provisioning.NewPortal{other, moved})
	got, err := s.PortalByChat(t.Context(), a.ChatID, 0)
	if err != nil && !errors.Is(err, provisioning.ErrPortalNotFound) || err == nil && !recorded(got, moved.Portal) {
		t.Errorf("PortalByChat(%d, 0) returned %+v, %v; want %+v, or ErrPortalNotFound", a.ChatID, got, err, moved.Portal)
	}
	refuse(t, s, group(roomC, 3, 9), provisioning.ErrChatBridged)
	disconnect(t, s, moved.Portal)
	expectPortals(t, s, []provisioning.NewPortal{other}, moved, a)
}

func checkMoveByIDs(t T, open func() provisioning.PortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	from := a
	from.Title, from.About, from.Username, from.Megagroup = "Another", "About", "another", false
	b := in(roomB, a)
	move(t, s, from, b)
	move(t, s, b, a)
	expectPortals(t, s, []provisioning.NewPortal{a}, formerly(b)...)
}

func checkMoveAccounts(t T, open func() provisioning.PortalStore) {
	s := open()
	a := group(roomA, 1, 7, 8)
	connect(t, s, a)
	moved := in(roomB, a)
	moved.Accounts = []provisioning.TelegramID{9, 8}
	move(t, s, a, moved)
	moved.Accounts = []provisioning.TelegramID{7, 8, 9}
	expectPortals(t, s, []provisioning.NewPortal{moved}, formerly(a)...)
}

func checkMoveNothing(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := group(roomA, 1, 7), group(roomB, 2, 8)
	connect(t, s, a, b)
	for _, from := range []provisioning.NewPortal{group(roomC, 3), group(roomA, 3), group(roomC, 1), group(roomA, 2), direct(roomA, 1, 7)} {
		for _, to := range []provisioning.NewPortal{in("!check-d:example.com", from), in(roomB, from), in(roomA, group(roomA, 2))} {
			refuseMove(t, s, from, to, provisioning.ErrPortalNotFound)
		}
	}
	expectPortals(t, s, []provisioning.NewPortal{a, b}, group("!check-d:example.com", 3))
}

func checkMoveToBridgedRoom(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := group(roomA, 1, 7), group(roomB, 2, 8)
	connect(t, s, a, b)
	refuseMove(t, s, a, in(roomB, a), provisioning.ErrRoomBridged)
	expectPortals(t, s, []provisioning.NewPortal{a, b})
}

func checkMoveToBridgedChat(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := basic(roomA, 1, 7), group(roomB, 2, 8)
	connect(t, s, a, b)
	refuseMove(t, s, a, in(roomA, become(a, 2)), provisioning.ErrChatBridged)
	expectPortals(t, s, []provisioning.NewPortal{a, b})
}

func checkRaceMoves(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	a := group(roomA, 1, 7)
	connect(t, handles[0], a)
	var calls []func() error
	var rooms []provisioning.NewPortal
	for i := range checkRacers {
		n := in(checkRoom(i), a)
		rooms = append(rooms, n)
		calls = append(calls, func() error { return handles[i%2].Move(t.Context(), a.Portal, n) })
	}
	winner := rooms[raceOne(t, calls, provisioning.ErrPortalNotFound)]
	winner.Accounts = a.Accounts
	for _, s := range handles {
		expectPortals(t, s, []provisioning.NewPortal{winner}, append(rooms, formerly(a)...)...)
	}
}

// recorded says whether a store has returned a portal as it was given it. It may not record
// the basic group that a supergroup was.
func recorded(got, want provisioning.Portal) bool {
	if got.MigratedFrom == 0 {
		want.MigratedFrom = 0
	}
	return got == want
}
