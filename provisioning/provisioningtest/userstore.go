package provisioningtest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestUserStore runs every check of the interface provisioning.UserStore as a
// subtest, each on an empty backend of its own. backend starts one; the function
// that it returns opens a handle on it and is called several times in a check:
// two handles are two processes that share the backend, and with a store on a
// database they should have a connection pool each.
//
// The store has to answer for users whose localpart begins with "check", on any
// server, of whatever permission level. That reading creates no row can't be seen through the
// interface: a store on a database tests it on its own, by counting.
func TestUserStore(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) provisioning.UserStore)) {
	for _, check := range userStoreChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() provisioning.UserStore { return open(t) })
		})
	}
}

// userStoreCheck is one promise of provisioning.UserStore.
type userStoreCheck struct {
	name string
	// explanation is the sentence of the interface's comment.
	explanation string
	run         func(t T, open func() provisioning.UserStore)
}

var userStoreChecks = []userStoreCheck{
	{"unknown user", "User creates nothing: for a user never seen before it returns the permission level alone.", checkUnknownUser},
	{"link", "LinkAccount records that userID is logged in with the Telegram account.", checkLink},
	{"link again", "Linking what is linked already changes nothing.", checkLinkAgain},
	{"relink", "LinkAccount links userID in place of the account that the user was linked to before.", checkRelink},
	{"move", "LinkAccount marks every other user that was linked to this account as displaced.", checkMove},
	{"displaced of earlier calls", "LinkAccount returns all displaced users of the account, those of earlier calls included.", checkDisplacedEarlier},
	{"displaced links again", "LinkAccount records that userID is logged in with the Telegram account.", checkDisplacedLinksAgain},
	{"displaced links another", "LinkAccount links userID in place of the account that the user was linked to before.", checkDisplacedLinksAnother},
	{"claim", "ClaimAccount is LinkAccount for an account that no other user is linked to.", checkClaim},
	{"claim of another's", "When another user is linked to the account, ClaimAccount changes nothing and returns ErrAccountLinked.", checkClaimAnothers},
	{"claim of a displaced user's", "Displaced users do not stop ClaimAccount.", checkClaimDisplaced},
	{"unlink", "UnlinkAccount forgets that userID is linked to the account.", checkUnlink},
	{"unlink displaced", "UnlinkAccount forgets that userID, as a displaced user, was linked to the account.", checkUnlinkDisplaced},
	{"unlink owner", "UnlinkAccount forgets one user's link, not that of the displaced users.", checkUnlinkOwner},
	{"unlink different account", "When the user is linked to a different account, UnlinkAccount changes nothing and returns nil.", checkUnlinkDifferent},
	{"unlink nobody", "When the user is linked to no account, UnlinkAccount changes nothing and returns nil.", checkUnlinkNobody},
	{"permission", "The permission level is the user's, whatever account the user is linked to.", checkPermission},
	{"context", "Methods honour the context.", checkContext},
	{"account IDs", "Telegram user IDs are positive int64s, all of them.", checkAccountIDs},
	{"user IDs", "Every valid Matrix ID is a user of its own, byte for byte.", checkUserIDs},
	{"two handles", "Methods are called concurrently by several processes, which see each other's writes.", checkTwoHandles},
	{"race for one account", "After racing calls for one account exactly one of the users is linked and not displaced.", checkRaceOneAccount},
	{"race of claims", "Of racing claims by several users exactly one succeeds.", checkRaceClaims},
	{"race of claims and links", "ClaimAccount is one transaction: it displaces nobody, whatever others link meanwhile.", checkRaceClaimsAndLinks},
	{"race of one user", "LinkAccount links the account in place of the one before, in one transaction.", checkRaceOneUser},
	{"race of a swap", "LinkAccount does everything in one transaction, whatever others link meanwhile.", checkRaceSwap},
	{"race of strangers", "Methods are called concurrently; users of different accounts are no concern of each other.", checkRaceStrangers},
}

// The users of the checks.
const (
	userA id.UserID = "@check-a:example.com"
	userB id.UserID = "@check-b:example.com"
	userC id.UserID = "@check-c:example.com"
)

// link calls LinkAccount, which has to return exactly these displaced users.
func link(t T, s provisioning.UserStore, userID id.UserID, telegramID provisioning.TelegramID, displaced ...id.UserID) {
	t.Helper()
	got, err := s.LinkAccount(t.Context(), userID, telegramID)
	if err != nil {
		t.Fatalf("LinkAccount(%s, %d): %v", userID, telegramID, err)
	}
	got = slices.Sorted(slices.Values(got))
	slices.Sort(displaced)
	if !slices.Equal(got, displaced) {
		t.Errorf("LinkAccount(%s, %d) returned the displaced users %q, want %q", userID, telegramID, got, displaced)
	}
}

func unlink(t T, s provisioning.UserStore, userID id.UserID, telegramID provisioning.TelegramID) {
	t.Helper()
	if err := s.UnlinkAccount(t.Context(), userID, telegramID); err != nil {
		t.Fatalf("UnlinkAccount(%s, %d): %v", userID, telegramID, err)
	}
}

// state is what a user is, permission aside.
type state struct {
	telegramID provisioning.TelegramID
	displaced  bool
}

func (s state) String() string {
	return fmt.Sprintf("account %d, displaced %t", s.telegramID, s.displaced)
}

func read(t T, s provisioning.UserStore, userID id.UserID) state {
	t.Helper()
	u, err := s.User(t.Context(), userID)
	if err != nil {
		t.Fatalf("User(%s): %v", userID, err)
	}
	return state{u.TelegramID, u.Displaced}
}

func expect(t T, s provisioning.UserStore, userID id.UserID, want state) {
	t.Helper()
	if got := read(t, s, userID); got != want {
		t.Errorf("User(%s): %s; want %s", userID, got, want)
	}
}

func checkUnknownUser(t T, open func() provisioning.UserStore) {
	s := open()
	expect(t, s, userA, state{})
	expect(t, s, userA, state{})
	link(t, s, userB, 1)
	expect(t, s, userA, state{})
}

func checkLink(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	expect(t, s, userA, state{telegramID: 1})
	link(t, s, userB, 2)
	expect(t, s, userA, state{telegramID: 1})
	expect(t, s, userB, state{telegramID: 2})
}

func checkLinkAgain(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userA, 1)
	expect(t, s, userA, state{telegramID: 1})
}

func checkRelink(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userA, 2)
	expect(t, s, userA, state{telegramID: 2})
	link(t, s, userB, 1) // nobody's any more
	expect(t, s, userA, state{telegramID: 2})
}

func checkMove(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userC, 3)
	link(t, s, userA, 1)
	link(t, s, userB, 1, userA)
	expect(t, s, userA, state{telegramID: 1, displaced: true})
	expect(t, s, userB, state{telegramID: 1})
	expect(t, s, userC, state{telegramID: 3})
}

func checkDisplacedEarlier(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 1, userA)
	link(t, s, userB, 1, userA)
	link(t, s, userC, 1, userA, userB)
	unlink(t, s, userA, 1)
	link(t, s, userC, 1, userB)
	unlink(t, s, userB, 1)
	link(t, s, userC, 1)
}

func checkDisplacedLinksAgain(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 1, userA)
	link(t, s, userA, 1, userB)
	expect(t, s, userA, state{telegramID: 1})
	expect(t, s, userB, state{telegramID: 1, displaced: true})
}

func checkDisplacedLinksAnother(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 1, userA)
	link(t, s, userA, 2)
	expect(t, s, userA, state{telegramID: 2})
	link(t, s, userB, 1)
	expect(t, s, userB, state{telegramID: 1})
}

func checkUnlink(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 2)
	unlink(t, s, userA, 1)
	expect(t, s, userA, state{})
	expect(t, s, userB, state{telegramID: 2})
	link(t, s, userC, 1)
	link(t, s, userA, 3)
	expect(t, s, userA, state{telegramID: 3})
}

func checkUnlinkDisplaced(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 1, userA)
	unlink(t, s, userA, 1)
	expect(t, s, userA, state{})
	expect(t, s, userB, state{telegramID: 1})
	link(t, s, userC, 1, userB)
}

func checkUnlinkOwner(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 1, userA)
	unlink(t, s, userB, 1)
	expect(t, s, userB, state{})
	expect(t, s, userA, state{telegramID: 1, displaced: true})
	link(t, s, userC, 1, userA)
}

func checkUnlinkDifferent(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 2)
	unlink(t, s, userA, 2)
	unlink(t, s, userA, 3)
	expect(t, s, userA, state{telegramID: 1})
	expect(t, s, userB, state{telegramID: 2})
	link(t, s, userC, 1, userA)
	unlink(t, s, userA, 2)
	expect(t, s, userA, state{telegramID: 1, displaced: true})
}

func checkUnlinkNobody(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	unlink(t, s, userB, 1)
	unlink(t, s, userB, 1)
	expect(t, s, userA, state{telegramID: 1})
	expect(t, s, userB, state{})
}

func checkPermission(t T, open func() provisioning.UserStore) {
	s := open()
	before, err := s.User(t.Context(), userA)
	if err != nil {
		t.Fatalf("User(%s): %v", userA, err)
	}
	same := func(when string) {
		t.Helper()
		now, err := s.User(t.Context(), userA)
		if err != nil {
			t.Fatalf("User(%s) %s: %v", userA, when, err)
		}
		if now.Permission != before.Permission {
			t.Errorf("User(%s) %s: permission %s; it was %s", userA, when, now.Permission, before.Permission)
		}
	}
	link(t, s, userA, 1)
	same("after a link")
	link(t, s, userB, 1, userA)
	same("after the account moved")
	unlink(t, s, userA, 1)
	same("after an unlink")
}

func checkContext(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.User(ctx, userA); err == nil {
		t.Errorf("User with a cancelled context: no error")
	}
	if _, err := s.LinkAccount(ctx, userB, 1); err == nil {
		t.Errorf("LinkAccount with a cancelled context: no error")
	}
	if err := s.ClaimAccount(ctx, userB, 2); err == nil {
		t.Errorf("ClaimAccount with a cancelled context: no error")
	}
	if err := s.UnlinkAccount(ctx, userA, 1); err == nil {
		t.Errorf("UnlinkAccount with a cancelled context: no error")
	}
	expect(t, s, userA, state{telegramID: 1})
	expect(t, s, userB, state{})
}
