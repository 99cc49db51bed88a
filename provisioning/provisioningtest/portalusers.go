package provisioningtest

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// PortalUsersStore is a PortalStore that records who has asked for portals.
type PortalUsersStore interface {
	// PortalStore records the portals.
	provisioning.PortalStore
	// PortalUsers is what is checked.
	provisioning.PortalUsers
}

// TestPortalUsers runs every check of the interface provisioning.PortalUsers as a subtest,
// on backends as those of [TestPortalStore].
func TestPortalUsers(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) PortalUsersStore)) {
	for _, check := range portalUsersChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() PortalUsersStore { return open(t) })
		})
	}
}

var portalUsersChecks = []storeCheck[PortalUsersStore]{
	{"who has asked", "It records the UserID of the NewPortal, with the Receiver of a direct chat and the first of the Accounts of another one.", checkWhoHasAsked},
	{"nobody has asked", "Where the UserID is \"\" or Relay is set, it records nobody.", checkNobodyHasAsked},
	{"whose a portal is", "PortalUser returns the Matrix user who is recorded for a portal and an account, \"\" where nobody is, where the portal is gone and where the account does not take part.", checkWhoseAPortalIs},
	{"another user", "SetPortalUser records a Matrix user for a portal, in place of whoever was recorded.", checkAnotherUser},
	{"a user of nothing", "It is no error, and changes nothing, where the portal is gone or the account does not take part.", checkUserOfNothing},
	{"remove", "RemoveAccount records that an account does not take part any more, whoever it was recorded for. The portal stays.", checkRemoveAccount},
	{"remove nothing", "It is no error where the portal is gone or the account does not take part.", checkRemoveNothing},
	{"portals that are gone", "UserPortals returns the portals that are recorded as a Matrix user's.", checkUserOfGonePortals},
	{"users of a moved portal", "Who has asked for a portal stays when it moves; who moves it with an account that does not take part yet is recorded with that.", checkUsersOfMoved},
	{"two handles", "Methods are called concurrently by several processes, which see each other's writes.", checkPortalUsersHandles},
	{"context", "Methods honour the context, and an error means that nothing has changed.", checkPortalUsersContext},
}

// askedBy returns the portal as one that a user has asked for.
func askedBy(userID id.UserID, n provisioning.NewPortal) provisioning.NewPortal {
	n.UserID = userID
	return n
}

func of(n provisioning.NewPortal, account provisioning.TelegramID) provisioning.UserPortal {
	return provisioning.UserPortal{Portal: n.Portal, Account: account}
}

// expectUserPortals calls UserPortals, which has to return exactly these.
func expectUserPortals(t T, s provisioning.PortalUsers, userID id.UserID, want ...provisioning.UserPortal) {
	t.Helper()
	got, err := s.UserPortals(t.Context(), userID)
	if err != nil {
		t.Errorf("UserPortals(%s): %v", userID, err)
		return
	}
	inOrder := func(a, b provisioning.UserPortal) int {
		return cmp.Or(cmp.Compare(a.RoomID, b.RoomID), cmp.Compare(a.Account, b.Account))
	}
	got, want = slices.SortedFunc(slices.Values(got), inOrder), slices.SortedFunc(slices.Values(want), inOrder)
	if !slices.Equal(got, want) {
		t.Errorf("UserPortals(%s) returned %+v, want %+v", userID, got, want)
	}
}

// expectPortalUser calls PortalUser, which has to return exactly this one.
func expectPortalUser(t T, s provisioning.PortalUsers, portal provisioning.UserPortal, want id.UserID) {
	t.Helper()
	if got, err := s.PortalUser(t.Context(), portal); err != nil || got != want {
		t.Errorf("PortalUser(%+v) returned %q, %v, want %q", portal, got, err, want)
	}
}

func setPortalUser(t T, s provisioning.PortalUsers, portal provisioning.UserPortal, userID id.UserID) {
	t.Helper()
	if err := s.SetPortalUser(t.Context(), portal, userID); err != nil {
		t.Fatalf("SetPortalUser(%+v, %s): %v", portal, userID, err)
	}
}

func removeAccount(t T, s provisioning.PortalUsers, portal provisioning.UserPortal) {
	t.Helper()
	if err := s.RemoveAccount(t.Context(), portal); err != nil {
		t.Fatalf("RemoveAccount(%+v): %v", portal, err)
	}
}

func checkWhoHasAsked(t T, open func() PortalUsersStore) {
	s := open()
	a, b, c := askedBy(userA, direct(roomA, 2, 1)), askedBy(userA, group(roomB, 1, 7, 8)), askedBy(userB, direct(roomC, 2, 9))
	connect(t, s, a, b, c)
	expectUserPortals(t, s, userA, of(a, 1), of(b, 7))
	expectUserPortals(t, s, userB, of(c, 9))
	expectPortals(t, s, []provisioning.NewPortal{a, b, c})
}

func checkUsersOfMoved(t T, open func() PortalUsersStore) {
	s := open()
	a := askedBy(userA, group(roomA, 1, 7))
	connect(t, s, a)
	b := askedBy(userB, in(roomB, a))
	b.Accounts = []provisioning.TelegramID{7}
	move(t, s, a, b)
	expectUserPortals(t, s, userA, of(b, 7))
	expectUserPortals(t, s, userB)
	c := askedBy(userB, in(roomC, a))
	c.Accounts = []provisioning.TelegramID{9}
	move(t, s, b, c)
	expectUserPortals(t, s, userA, of(c, 7))
	expectUserPortals(t, s, userB, of(c, 9))
}

func checkNobodyHasAsked(t T, open func() PortalUsersStore) {
	s := open()
	relayed := askedBy(userA, group(roomB, 1, 7))
	relayed.Relay = true
	connect(t, s, direct(roomA, 2, 1), relayed)
	expectUserPortals(t, s, userA)
}

func checkWhoseAPortalIs(t T, open func() PortalUsersStore) {
	s := open()
	a, b, c, gone := askedBy(userA, direct(roomA, 2, 1)), askedBy(userB, group(roomB, 1, 7, 8)), direct(roomC, 3, 1), askedBy(userA, direct(roomC, 4, 1))
	connect(t, s, a, b, gone)
	expectPortalUser(t, s, of(gone, 1), userA)
	disconnect(t, s, gone.Portal)
	expectPortalUser(t, s, of(gone, 1), "")
	connect(t, s, c)
	expectPortalUser(t, s, of(a, 1), userA)
	expectPortalUser(t, s, of(b, 7), userB)
	for _, portal := range []provisioning.UserPortal{of(b, 8), of(c, 1), of(gone, 1), of(a, 2), of(direct(roomA, 3, 1), 1), of(group(roomA, 2), 1), of(direct(roomB, 2, 1), 1)} {
		expectPortalUser(t, s, portal, "")
	}
	setPortalUser(t, s, of(a, 1), userB)
	setPortalUser(t, s, of(b, 8), userA)
	expectPortalUser(t, s, of(a, 1), userB)
	expectPortalUser(t, s, of(b, 7), userB)
	expectPortalUser(t, s, of(b, 8), userA)
	removeAccount(t, s, of(b, 8))
	expectPortalUser(t, s, of(b, 8), "")
}

func checkAnotherUser(t T, open func() PortalUsersStore) {
	s := open()
	a, b := askedBy(userA, direct(roomA, 2, 1)), group(roomB, 1, 7, 8)
	connect(t, s, a, b)
	setPortalUser(t, s, of(a, 1), userB)
	setPortalUser(t, s, of(b, 8), userB)
	setPortalUser(t, s, of(b, 8), userB)
	expectUserPortals(t, s, userA)
	expectUserPortals(t, s, userB, of(a, 1), of(b, 8))
	setPortalUser(t, s, of(b, 7), userA)
	expectUserPortals(t, s, userA, of(b, 7))
	expectPortals(t, s, []provisioning.NewPortal{a, b})
}

func checkUserOfNothing(t T, open func() PortalUsersStore) {
	s := open()
	a := askedBy(userA, group(roomA, 1, 7))
	connect(t, s, a)
	for _, portal := range []provisioning.UserPortal{of(a, 8), of(group(roomA, 2), 7), of(group(roomB, 1), 7), of(direct(roomA, 2, 7), 7)} {
		setPortalUser(t, s, portal, userB)
	}
	expectUserPortals(t, s, userA, of(a, 7))
	expectUserPortals(t, s, userB)
	expectPortals(t, s, []provisioning.NewPortal{a})
	expectAccount(t, s, 8)
}

func checkRemoveAccount(t T, open func() PortalUsersStore) {
	s := open()
	a, b := askedBy(userA, group(roomA, 1, 7, 8)), askedBy(userA, group(roomB, 2, 7))
	connect(t, s, a, b)
	removeAccount(t, s, of(a, 7))
	expectUserPortals(t, s, userA, of(b, 7))
	expectPortal(t, s, a.Portal)
	expectAccount(t, s, 7, b.Portal)
	expectAccount(t, s, 8, a.Portal)
	setPortalUser(t, s, of(a, 7), userA)
	expectUserPortals(t, s, userA, of(b, 7))
}

func checkRemoveNothing(t T, open func() PortalUsersStore) {
	s := open()
	a := askedBy(userA, group(roomA, 1, 7))
	connect(t, s, a)
	for _, portal := range []provisioning.UserPortal{of(a, 8), of(group(roomA, 2), 7), of(group(roomB, 1), 7), of(direct(roomA, 2, 7), 7)} {
		removeAccount(t, s, portal)
	}
	expectUserPortals(t, s, userA, of(a, 7))
	expectPortals(t, s, []provisioning.NewPortal{a})
}

func checkUserOfGonePortals(t T, open func() PortalUsersStore) {
	s := open()
	a, b := askedBy(userA, group(roomA, 1, 7)), askedBy(userA, direct(roomB, 2, 7))
	connect(t, s, a, b)
	disconnect(t, s, b.Portal)
	moved := replacing(roomA, group(roomC, 1, 7))
	connect(t, s, moved, direct(roomB, 2, 7))
	expectUserPortals(t, s, userA)
}

func checkPortalUsersHandles(t T, open func() PortalUsersStore) {
	first, second := open(), open()
	a, b := askedBy(userA, group(roomA, 1, 7)), askedBy(userA, group(roomB, 2, 7))
	connect(t, first, a, b)
	expectUserPortals(t, second, userA, of(a, 7), of(b, 7))
	expectPortalUser(t, second, of(a, 7), userA)
	setPortalUser(t, first, of(a, 7), userB)
	removeAccount(t, first, of(b, 7))
	expectUserPortals(t, second, userA)
	expectUserPortals(t, second, userB, of(a, 7))
	expectPortalUser(t, second, of(a, 7), userB)
}

func checkPortalUsersContext(t T, open func() PortalUsersStore) {
	s := open()
	a := askedBy(userA, group(roomA, 1, 7))
	connect(t, s, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.UserPortals(ctx, userA); err == nil {
		t.Errorf("UserPortals with a cancelled context: no error")
	}
	if _, err := s.PortalUser(ctx, of(a, 7)); err == nil {
		t.Errorf("PortalUser with a cancelled context: no error")
	}
	if err := s.SetPortalUser(ctx, of(a, 7), userB); err == nil {
		t.Errorf("SetPortalUser with a cancelled context: no error")
	}
	if err := s.RemoveAccount(ctx, of(a, 7)); err == nil {
		t.Errorf("RemoveAccount with a cancelled context: no error")
	}
	expectUserPortals(t, s, userA, of(a, 7))
	expectPortals(t, s, []provisioning.NewPortal{a})
}
