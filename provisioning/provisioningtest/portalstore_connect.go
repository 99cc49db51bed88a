package provisioningtest

import (
	"slices"

	"github.com/tgprovision/tgprovision/provisioning"
)

func checkNothingBridged(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := group(roomA, 1, 7), group(roomB, 2), direct(roomC, 3, 8)
	expectPortals(t, s, nil, a, b, c)
	connect(t, s, b)
	expectPortals(t, s, []provisioning.NewPortal{b}, a, c)
}

func checkConnect(t T, open func() provisioning.PortalStore) {
	s := open()
	a := provisioning.NewPortal{Portal: provisioning.Portal{
		RoomID: roomA, ChatID: provisioning.ChannelChatID(1), Title: "Cats", About: "All about cats", Username: "cats", Megagroup: true,
	}}
	b := provisioning.NewPortal{Portal: provisioning.Portal{RoomID: roomB, ChatID: provisioning.ChannelChatID(2), Username: "News"}}
	c := provisioning.NewPortal{Portal: provisioning.Portal{RoomID: roomC, ChatID: provisioning.BasicGroupChatID(2), About: "The title is empty"}}
	connect(t, s, a)
	expectPortals(t, s, []provisioning.NewPortal{a}, b, c)
	connect(t, s, b, c)
	expectPortals(t, s, []provisioning.NewPortal{a, b, c})
}

func checkAccounts(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := group(roomA, 1, 7, 8, 7), group(roomB, 2), group(roomC, 3, 8, 9, 8, 8)
	connect(t, s, a, b, c)
	expectPortals(t, s, []provisioning.NewPortal{a, b, c})
	expectAccount(t, s, 7, a.Portal)
	expectAccount(t, s, 8, a.Portal, c.Portal)
	expectAccount(t, s, 9, c.Portal)
	expectAccount(t, s, 10)
	expectAccount(t, s, 1) // the number of a chat
}

func checkDirectChats(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := direct(roomA, 5, 7), direct(roomB, 5, 8, 8), direct(roomC, 6, 7, 9)
	connect(t, s, a, b, c)
	expectPortals(t, s, []provisioning.NewPortal{a, b, c}, group("!check-group:example.com", 5), direct("!check-other:example.com", 5, 9))
	expectChatFree(t, s, a.ChatID, 0, nil)
	expectAccount(t, s, 7, a.Portal, c.Portal)
	expectAccount(t, s, 9, c.Portal)
	expectAccount(t, s, 5)
	refuse(t, s, direct("!check-other:example.com", 5, 7), provisioning.ErrChatBridged)
}

func checkRoomBridged(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := group(roomA, 1, 7), direct(roomB, 5, 8)
	connect(t, s, a, b)
	other := group(roomA, 2, 9)
	for _, n := range []provisioning.NewPortal{
		a,
		replacing(roomA, a),
		other,
		replacing(roomA, other),
		replacing(roomC, other),                  // of which the chat has no portal
		direct(roomA, 5, 8, 9),                   // the chat is bridged too
		replacing(roomB, direct(roomA, 5, 8, 9)), // and would be free
		replacing(roomC, direct(roomA, 5, 8, 9)),
	} {
		refuse(t, s, n, provisioning.ErrRoomBridged)
		expectPortals(t, s, []provisioning.NewPortal{a, b}, n)
	}
}

func checkChatBridged(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := group(roomA, 1, 7), direct(roomB, 5, 8), group("!check-d:example.com", 2)
	connect(t, s, a, b, c)
	for _, n := range []provisioning.NewPortal{
		group(roomC, 1, 9),
		direct(roomC, 5, 8, 9),
		replacing(roomB, group(roomC, 1, 9)), // a portal of another chat
		replacing(roomA, direct(roomC, 5, 8, 9)),
		replacing(roomC, group(roomC, 1, 9)),
		replacing("!check-nowhere:example.com", group(roomC, 1, 9)),
	} {
		refuse(t, s, n, provisioning.ErrChatBridged)
		expectPortals(t, s, []provisioning.NewPortal{a, b, c}, n)
	}
}

func checkReplace(t T, open func() provisioning.PortalStore) {
	s := open()
	old, other, moved := group(roomA, 1, 7, 8), group(roomB, 2, 6), replacing(roomA, group(roomC, 1, 8, 9))
	moved.Title, moved.Megagroup = "Renamed", true
	connect(t, s, old, other, moved)
	expectPortals(t, s, []provisioning.NewPortal{other, moved}, formerly(old)...)
	next := group(roomA, 3)
	connect(t, s, next) // the room is free
	expectPortals(t, s, []provisioning.NewPortal{other, moved, next})
	for _, account := range old.Accounts {
		if portals, err := s.AccountPortals(t.Context(), account); err != nil || slices.Contains(portals, next.Portal) {
			t.Errorf("AccountPortals(%d) returned %+v, %v, with the new portal in a room of a former one's", account, portals, err)
		}
	}
	refuse(t, s, replacing(roomA, group("!check-d:example.com", 1)), provisioning.ErrChatBridged)
}

func checkReplaceNothing(t T, open func() provisioning.PortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	for _, n := range []provisioning.NewPortal{
		replacing(roomA, group(roomB, 2, 8)), // a portal of another chat
		replacing(roomC, group(roomB, 2, 8)),
		replacing(roomB, group(roomB, 2, 8)),
		replacing(roomA, direct(roomB, 1, 8)),
	} {
		refuse(t, s, n, provisioning.ErrPortalNotFound)
		expectPortals(t, s, []provisioning.NewPortal{a}, n)
	}
}

func checkReplaceDirect(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := direct(roomA, 5, 7), direct(roomB, 5, 8)
	connect(t, s, a, b)
	moved := replacing(roomB, direct(roomC, 5, 8))
	refuse(t, s, replacing(roomA, direct(roomC, 5, 8)), provisioning.ErrChatBridged)
	refuse(t, s, replacing(roomB, direct(roomC, 5, 9)), provisioning.ErrPortalNotFound)
	connect(t, s, moved)
	expectPortals(t, s, []provisioning.NewPortal{a, moved}, b)
}
