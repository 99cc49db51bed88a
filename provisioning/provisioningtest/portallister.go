package provisioningtest

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// PortalListerStore is a PortalStore that lists its portals.
type PortalListerStore interface {
	// PortalStore records the portals.
	provisioning.PortalStore
	// PortalLister is what is checked.
	provisioning.PortalLister
}

// TestPortalLister runs every check of the interface provisioning.PortalLister as a subtest,
// on backends as those of [TestPortalStore].
func TestPortalLister(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) PortalListerStore)) {
	for _, check := range portalListerChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() PortalListerStore { return open(t) })
		})
	}
}

var portalListerChecks = []storeCheck[PortalListerStore]{
	{"no portals", "No portals is an empty list and no error.", checkListNothing},
	{"all portals", "Without an account, ListPortals returns all portals.", checkListAll},
	{"an account's portals", "ListPortals returns the portals that the account takes part in.", checkListOfAccount},
	{"pages", "ListPortals returns at most Limit portals, in an order of their room IDs that is the same each time, those after After.", checkListPages},
	{"after a portal that is gone", "The room of After need not be bridged any more.", checkListAfterGone},
	{"portals of chats", "PortalsOfChats returns the portals that chats have for an account; chats without one are left out.", checkPortalsOfChats},
	{"portals of many chats", "PortalsOfChats is asked for thousands of chats.", checkPortalsOfManyChats},
	{"list with two handles", "Methods are called concurrently by several processes, which see each other's writes.", checkListHandles},
	{"context of a list", "Methods honour the context.", checkListContext},
}

// manyPortals is a Limit that no check reaches.
const manyPortals = 100

func listPortals(t T, s provisioning.PortalLister, query provisioning.PortalQuery) []provisioning.Portal {
	t.Helper()
	portals, err := s.ListPortals(t.Context(), query)
	if err != nil {
		t.Fatalf("ListPortals(%+v): %v", query, err)
	}
	return portals
}

// expectList calls ListPortals for an account, 0 for all portals, which has to return exactly
// these, in any order.
func expectList(t T, s provisioning.PortalLister, account provisioning.TelegramID, want ...provisioning.NewPortal) {
	t.Helper()
	byRoom := func(a, b provisioning.Portal) int { return cmp.Compare(a.RoomID, b.RoomID) }
	got := slices.SortedFunc(slices.Values(listPortals(t, s, provisioning.PortalQuery{Account: account, Limit: manyPortals})), byRoom)
	var portals []provisioning.Portal
	for _, n := range want {
		portals = append(portals, n.Portal)
	}
	slices.SortFunc(portals, byRoom)
	if !slices.EqualFunc(got, portals, recorded) {
		t.Errorf("ListPortals of the account %d returned %+v, want %+v", account, got, portals)
	}
}

func checkListNothing(t T, open func() PortalListerStore) {
	s := open()
	expectList(t, s, 0)
	expectList(t, s, 7)
	if got := listPortals(t, s, provisioning.PortalQuery{After: roomA, Limit: 1}); len(got) != 0 {
		t.Errorf("ListPortals after a room that is not bridged returned %+v", got)
	}
}

func checkListAll(t T, open func() PortalListerStore) {
	s := open()
	a, b, c := group(roomA, 1), direct(roomB, 2, 7), direct(roomC, 2, 8)
	a.About, a.Username = "About\nit", "check_group"
	connect(t, s, a, b, c)
	expectList(t, s, 0, a, b, c)
	disconnect(t, s, b.Portal)
	expectList(t, s, 0, a, c)
}

func checkListOfAccount(t T, open func() PortalListerStore) {
	s := open()
	a, b, c := group(roomA, 1, 7, 8), direct(roomB, 2, 7), direct(roomC, 2, 8)
	connect(t, s, a, b, c)
	expectList(t, s, 7, a, b)
	expectList(t, s, 8, a, c)
	expectList(t, s, 9)
	disconnect(t, s, a.Portal)
	expectList(t, s, 7, b)
}

// pageThrough lists the portals of an account in pages, and returns their rooms.
func pageThrough(t T, s provisioning.PortalLister, account provisioning.TelegramID, limit int) (rooms []id.RoomID) {
	t.Helper()
	query := provisioning.PortalQuery{Account: account, Limit: limit}
	for len(rooms) <= manyPortals {
		page := listPortals(t, s, query)
		if len(page) > limit {
			t.Fatalf("ListPortals(%+v) returned %d portals", query, len(page))
		}
		for _, p := range page {
			rooms = append(rooms, p.RoomID)
			query.After = p.RoomID
		}
		if len(page) < limit {
			break
		}
	}
	return rooms
}

func checkListPages(t T, open func() PortalListerStore) {
	s := open()
	// Not in the order of the IDs; databases disagree about upper case and punctuation.
	var all, own []id.RoomID
	for i, name := range []string{"n", "B", "a", "-", "Z", "_", "0", "b", "é", "aa"} {
		n := group(id.RoomID("!check-list-"+name+":example.com"), int64(i+1), 8)
		if i%2 == 0 {
			n.Accounts = append(n.Accounts, 7)
			own = append(own, n.RoomID)
		}
		all = append(all, n.RoomID)
		connect(t, s, n)
	}
	for account, rooms := range map[provisioning.TelegramID][]id.RoomID{0: all, 7: own} {
		order := pageThrough(t, s, account, manyPortals)
		if got, want := slices.Sorted(slices.Values(order)), slices.Sorted(slices.Values(rooms)); !slices.Equal(got, want) {
			t.Errorf("ListPortals of the account %d returned the rooms %q, want %q", account, got, want)
		}
		for _, limit := range []int{1, 2, 3, len(rooms)} {
			if got := pageThrough(t, s, account, limit); !slices.Equal(got, order) {
				t.Errorf("ListPortals of the account %d returned, in pages of %d, %q, want %q", account, limit, got, order)
			}
		}
	}
}

func checkListAfterGone(t T, open func() PortalListerStore) {
	s := open()
	byRoom := map[id.RoomID]provisioning.Portal{}
	for i, roomID := range []id.RoomID{roomA, roomB, roomC} {
		n := group(roomID, int64(i+1), 7)
		byRoom[roomID] = n.Portal
		connect(t, s, n)
	}
	order := pageThrough(t, s, 0, manyPortals)
	if len(order) != 3 {
		t.Fatalf("ListPortals returned the rooms %q, want 3", order)
	}
	disconnect(t, s, byRoom[order[0]])
	disconnect(t, s, byRoom[order[1]])
	for _, account := range []provisioning.TelegramID{0, 7} {
		page := listPortals(t, s, provisioning.PortalQuery{Account: account, After: order[1], Limit: 1})
		if len(page) != 1 || page[0].RoomID != order[2] {
			t.Errorf("ListPortals after a portal that is gone returned %+v, want that of %s", page, order[2])
		}
	}
}

// expectOfChats calls PortalsOfChats, which has to return exactly these.
func expectOfChats(t T, s provisioning.PortalLister, account provisioning.TelegramID, chats []provisioning.ChatID, want ...provisioning.NewPortal) {
	t.Helper()
	got, err := s.PortalsOfChats(t.Context(), account, chats)
	if err != nil {
		t.Fatalf("PortalsOfChats(%d) of %d chats: %v", account, len(chats), err)
	}
	byRoom := func(a, b provisioning.Portal) int { return cmp.Compare(a.RoomID, b.RoomID) }
	var portals []provisioning.Portal
	for _, n := range want {
		portals = append(portals, n.Portal)
	}
	got = slices.SortedFunc(slices.Values(got), byRoom)
	slices.SortFunc(portals, byRoom)
	if !slices.EqualFunc(got, portals, recorded) {
		t.Errorf("PortalsOfChats(%d) of %d chats returned %+v, want %+v", account, len(chats), got, portals)
	}
}

func checkPortalsOfChats(t T, open func() PortalListerStore) {
	s := open()
	a, b, c := group(roomA, 1, 8), direct(roomB, 2, 7), direct(roomC, 2, 8)
	a.About, a.Username = "About\nit", "check_group"
	chats := []provisioning.ChatID{c.ChatID, provisioning.ChannelChatID(5), a.ChatID, provisioning.UserChatID(7)}
	expectOfChats(t, s, 7, chats)
	connect(t, s, a, b, c)
	expectOfChats(t, s, 7, nil)
	expectOfChats(t, s, 7, chats, a, b)
	expectOfChats(t, s, 8, chats, a, c)
	expectOfChats(t, s, 9, chats, a)
	expectOfChats(t, s, 7, chats[:2], b)
	disconnect(t, s, b.Portal)
	expectOfChats(t, s, 7, chats, a)
}

func checkPortalsOfManyChats(t T, open func() PortalListerStore) {
	s := open()
	const n = 40_000 // more than a statement has parameters
	var chats []provisioning.ChatID
	for i := range int64(n) {
		chats = append(chats, provisioning.ChannelChatID(i+1))
	}
	a, b := group(roomA, 1, 7), group(roomB, n, 7)
	connect(t, s, a, b, group(roomC, n+1, 7))
	expectOfChats(t, s, 7, chats, a, b)
}

func checkListHandles(t T, open func() PortalListerStore) {
	first, second := open(), open()
	expectList(t, second, 0)
	expectList(t, second, 7)
	a := group(roomA, 1, 7)
	connect(t, first, a)
	expectList(t, second, 0, a)
	expectList(t, second, 7, a)
	expectOfChats(t, second, 7, []provisioning.ChatID{a.ChatID}, a)
	disconnect(t, first, a.Portal)
	expectList(t, second, 0)
	expectList(t, second, 7)
}

func checkListContext(t T, open func() PortalListerStore) {
	s := open()
	connect(t, s, group(roomA, 1, 7))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, account := range []provisioning.TelegramID{0, 7} {
		if _, err := s.ListPortals(ctx, provisioning.PortalQuery{Account: account, Limit: 1}); err == nil {
			t.Errorf("ListPortals of the account %d with a cancelled context: no error", account)
		}
	}
	if _, err := s.PortalsOfChats(ctx, 7, []provisioning.ChatID{provisioning.ChannelChatID(1)}); err == nil {
		t.Errorf("PortalsOfChats with a cancelled context: no error")
	}
}
