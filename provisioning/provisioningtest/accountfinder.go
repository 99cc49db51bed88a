package provisioningtest

import (
	"context"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// AccountFinderStore is a UserStore that finds the users of accounts.
type AccountFinderStore interface {
	// UserStore links the users.
	provisioning.UserStore
	// AccountFinder is what is checked.
	provisioning.AccountFinder
}

// TestAccountFinder runs every check of the interface provisioning.AccountFinder as a
// subtest, on backends as those of [TestUserStore].
func TestAccountFinder(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) AccountFinderStore)) {
	for _, check := range accountFinderChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() AccountFinderStore { return open(t) })
		})
	}
}

var accountFinderChecks = []storeCheck[AccountFinderStore]{
	{"user of an account", "AccountUser returns the Matrix user who is linked to a Telegram account, and \"\" where nobody is.", checkAccountUser},
	{"displaced users", "AccountUser returns the Matrix user who is linked to a Telegram account, displaced users aside.", checkAccountUserDisplaced},
	{"unlinked users", "AccountUser returns \"\" where nobody is linked to the account.", checkAccountUserUnlinked},
	{"two handles", "Methods are called concurrently by several processes, which see each other's writes.", checkAccountUserHandles},
	{"context", "Methods honour the context.", checkAccountUserContext},
}

// expectAccountUser calls AccountUser, which has to return this one.
func expectAccountUser(t T, s provisioning.AccountFinder, telegramID provisioning.TelegramID, want id.UserID) {
	t.Helper()
	if got, err := s.AccountUser(t.Context(), telegramID); err != nil || got != want {
		t.Errorf("AccountUser(%d) returned %q, %v; want %q", telegramID, got, err, want)
	}
}

func checkAccountUser(t T, open func() AccountFinderStore) {
	s := open()
	expectAccountUser(t, s, 1, "")
	link(t, s, userA, 1)
	link(t, s, userB, 1<<63-1)
	expectAccountUser(t, s, 1, userA)
	expectAccountUser(t, s, 1<<63-1, userB)
	expectAccountUser(t, s, 2, "")
}

func checkAccountUserDisplaced(t T, open func() AccountFinderStore) {
	s := open()
	link(t, s, userB, 1)
	link(t, s, userA, 1, userB)
	expectAccountUser(t, s, 1, userA)
	link(t, s, userA, 2)
	expectAccountUser(t, s, 1, "")
}

func checkAccountUserUnlinked(t T, open func() AccountFinderStore) {
	s := open()
	link(t, s, userA, 1)
	if err := s.UnlinkAccount(t.Context(), userA, 1); err != nil {
		t.Fatalf("UnlinkAccount: %v", err)
	}
	expectAccountUser(t, s, 1, "")
}

func checkAccountUserHandles(t T, open func() AccountFinderStore) {
	first, second := open(), open()
	expectAccountUser(t, second, 1, "")
	link(t, first, userA, 1)
	expectAccountUser(t, second, 1, userA)
}

func checkAccountUserContext(t T, open func() AccountFinderStore) {
	s := open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.AccountUser(ctx, 1); err == nil {
		t.Errorf("AccountUser with a cancelled context: no error")
	}
}
