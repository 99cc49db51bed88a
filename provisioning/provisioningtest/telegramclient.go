package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// ClientBackend is what [TestTelegramClient] needs.
type ClientBackend interface {
	// TelegramBackend is what all suites need.
	TelegramBackend
	// Started returns a number that grows whenever a client is started, such as that of
	// connections to Telegram that were made so far.
	Started() int
}

// TestTelegramClient runs every check of the interfaces provisioning.TelegramClientFactory
// and provisioning.TelegramClient as a subtest, each on a backend of its own. What a
// client can do beyond that has suites of its own: [TestPhoneLogin] and so on.
//
// ErrOverloaded is not checked, since its bounds are the host's, nor that Client stores
// nothing, nor that the end of a session comes that Logout has promised: how often a client
// tries it is the host's too.
func TestTelegramClient[B ClientBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, clientChecks, func(t *testing.T) ClientBackend { return backend(t) })
}

var clientChecks = append([]suiteCheck[ClientBackend]{
	{"start nothing", "Client connects nothing, stores nothing and starts nothing.", checkStartNothing},
	{"nobody", "For somebody who never logged in Account starts nothing, and returns ErrNotLoggedIn.", checkNobody},
	{"account", "Account returns the account that the user is logged in with.", checkAccount},
	{"users", "Client returns the client of a Matrix user; a client acts on Telegram for one Matrix user.", checkOwnClients},
	{"account after a restart", "Account returns the account that the user is logged in with, also after a restart.", checkAccountRestart},
	{"session ended", "Account must notice a session that was ended from the outside.", checkSessionEnded},
	{"logout", "Logout ends the session on Telegram and forgets it here.", checkLogout},
	{"logout of one", "Logout ends the session of its own user.", checkLogoutOne},
	{"logout of nobody", "Logout may return ErrNotLoggedIn.", checkLogoutNobody},
	{"logout after the end", "ErrNotLoggedIn is returned also when the session has just turned out to have been ended from the outside.", checkLogoutEnded},
	{"logout while Telegram is away", "When the error of Logout is nil, as also when Telegram can't be reached, the client is logged out here from then on, and another login may follow.", checkLogoutAway},
	{"logout with a cancelled context", "Methods honour the context.", checkLogoutContext},
	{"login again", "ErrNotLoggedIn means that the client has forgotten the session: another may follow.", checkLoginAgain},
	{"concurrent calls", "Client and the methods of clients are called concurrently.", checkConcurrentClients},
}, errorChecks(clientCalls[ClientBackend]{
	func(b ClientBackend) { b.Add(plainAccount) },
	[]clientCall[ClientBackend]{{"Account", logInFirst[ClientBackend], func(ctx context.Context, _ ClientBackend, c provisioning.TelegramClient) error {
		return accountOf(c)(ctx)
	}, nil}},
})...)

func checkStartNothing(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	b.LogIn(userA, plainAccount.ID)
	before := b.Started()
	b.SetAway(true)
	for _, userID := range []id.UserID{userA, userB, userC, userA} {
		if err := bounded(t, "Client", callDeadline, func(ctx context.Context) error {
			_, err := f.Client(ctx, userID)
			return err
		}); err != nil {
			t.Errorf("Client(%s) when Telegram can't be reached: %v", userID, err)
		}
	}
	if got := b.Started() - before; got > 0 {
		t.Errorf("Client has started %d clients", got)
	}
}

func checkNobody(t T, b ClientBackend) {
	f := b.Open()
	before := b.Started()
	wantNobody(t, clientOf[provisioning.TelegramClient](t, f, userA))
	b.SetAway(true)
	for i := range 10 {
		c := clientOf[provisioning.TelegramClient](t, f, claimant(i))
		wantError(t, "Account for somebody who never logged in, when Telegram can't be reached",
			bounded(t, "Account", callDeadline, accountOf(c)), provisioning.ErrNotLoggedIn)
	}
	if got := b.Started() - before; got > 0 {
		t.Errorf("Account has started %d clients for people who never logged in", got)
	}
}

func checkAccount(t T, b ClientBackend) {
	bare := TelegramAccount{Account: provisioning.Account{ID: 1003, FirstName: "Bare", Phone: "9996610003"}, Code: "12345", Delivery: provisioning.DeliverySMS}
	f := b.Open()
	for i, account := range []TelegramAccount{plainAccount, bare, botAccount} {
		b.Add(account)
		userID := claimant(i)
		b.LogIn(userID, account.ID)
		c := clientOf[provisioning.TelegramClient](t, f, userID)
		wantAccount(t, c, account)
		wantAccount(t, c, account)
	}
}

func checkOwnClients(t T, b ClientBackend) {
	f := b.Open()
	for _, account := range []TelegramAccount{plainAccount, botAccount, bob} {
		b.Add(account)
	}
	before := clientOf[provisioning.TelegramClient](t, f, userA)
	wantNobody(t, before)
	b.LogIn(userA, plainAccount.ID)
	wantAccount(t, before, plainAccount)
	wantNobody(t, clientOf[provisioning.TelegramClient](t, f, userB))
	b.LogIn(userB, botAccount.ID)
	b.LogIn(userC, bob.ID)
	for userID, account := range map[id.UserID]TelegramAccount{userA: plainAccount, userB: botAccount, userC: bob} {
		wantAccount(t, clientOf[provisioning.TelegramClient](t, f, userID), account)
	}
}

func checkAccountRestart(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	b.LogIn(userA, plainAccount.ID)
	wantAccount(t, clientOf[provisioning.TelegramClient](t, f, userA), plainAccount)
	for range 2 {
		f = b.Open()
		wantNobody(t, clientOf[provisioning.TelegramClient](t, f, userB))
		wantAccount(t, clientOf[provisioning.TelegramClient](t, f, userA), plainAccount)
	}
	wantSessions(t, b, plainAccount.ID, 1)
}

// forgotten expects a user's session to be forgotten, also after a restart.
func forgotten(t T, b ClientBackend, userID id.UserID, c provisioning.TelegramClient) {
	t.Helper()
	for _, when := range []string{"", " after a restart"} {
		if when != "" {
			c = clientOf[provisioning.TelegramClient](t, b.Open(), userID)
		}
		b.SetAway(true)
		wantError(t, "Account when Telegram can't be reached, of a session that is forgotten"+when,
			bounded(t, "Account", callDeadline, accountOf(c)), provisioning.ErrNotLoggedIn)
		b.SetAway(false)
		wantNobody(t, c)
	}
}

func checkSessionEnded(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	for i, used := range []bool{true, false} {
		userID := claimant(i)
		b.LogIn(userID, plainAccount.ID)
		c := clientOf[provisioning.TelegramClient](t, f, userID)
		if used {
			wantAccount(t, c, plainAccount)
		}
		b.Revoke(plainAccount.ID)
		wantNobody(t, c)
		forgotten(t, b, userID, c)
		f = b.Open()
	}
}

func logout(t T, c provisioning.TelegramClient) {
	t.Helper()
	if pending, err := boundedLogout(t, callDeadline, c); err != nil || pending {
		t.Errorf("Logout while Telegram answers: got %t, %s; want false and no error", pending, errorText(err))
	}
}

// boundedLogout calls Logout with a deadline.
func boundedLogout(t T, deadline time.Duration, c provisioning.TelegramClient) (pending bool, err error) {
	t.Helper()
	err = bounded(t, "Logout", deadline, func(ctx context.Context) (err error) {
		pending, err = c.Logout(ctx)
		return err
	})
	return pending, err
}

// logoutError returns the error of Logout.
func logoutError(t T, c provisioning.TelegramClient) error {
	t.Helper()
	_, err := boundedLogout(t, callDeadline, c)
	return err
}

func checkLogout(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	b.LogIn(userA, plainAccount.ID)
	c := clientOf[provisioning.TelegramClient](t, f, userA)
	wantAccount(t, c, plainAccount)
	logout(t, c)
	wantSessions(t, b, plainAccount.ID, 0)
	forgotten(t, b, userA, c)
}

func checkLogoutOne(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	for _, userID := range []id.UserID{userA, userB} {
		b.LogIn(userID, plainAccount.ID)
	}
	a := clientOf[provisioning.TelegramClient](t, f, userA)
	if _, err := a.Account(t.Context()); errors.Is(err, provisioning.ErrNotLoggedIn) {
		b.Add(bob) // an account has one user here, and the last one got it
		b.LogIn(userA, bob.ID)
	}
	logout(t, a)
	wantSessions(t, b, plainAccount.ID, 1)
	wantNobody(t, a)
	wantAccount(t, clientOf[provisioning.TelegramClient](t, f, userB), plainAccount)
}

func checkLogoutNobody(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	c := clientOf[provisioning.TelegramClient](t, f, userA)
	wantError(t, "Logout for somebody who never logged in", logoutError(t, c), provisioning.ErrNotLoggedIn)
	b.LogIn(userA, plainAccount.ID)
	logout(t, c)
	wantError(t, "Logout for the second time", logoutError(t, c), provisioning.ErrNotLoggedIn)
}

func checkLogoutEnded(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	b.LogIn(userA, plainAccount.ID)
	c := clientOf[provisioning.TelegramClient](t, f, userA)
	b.Revoke(plainAccount.ID)
	wantError(t, "Logout after the session was ended", logoutError(t, c), provisioning.ErrNotLoggedIn)
	forgotten(t, b, userA, c)
}

// forgetDeadline is the deadline of what is to be forgotten although Telegram does not
// answer. Part of it is for what is done here.
const forgetDeadline = 4 * time.Second

func checkLogoutAway(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	b.LogIn(userA, plainAccount.ID)
	c := clientOf[provisioning.TelegramClient](t, f, userA)
	wantAccount(t, c, plainAccount)
	b.SetAway(true)
	_, err := boundedLogout(t, forgetDeadline, c)
	wantError(t, "Logout when Telegram can't be reached", err, nil)
	b.SetAway(false)
	forgotten(t, b, userA, c)
	c = clientOf[provisioning.TelegramClient](t, b.Open(), userA)
	b.LogIn(userA, plainAccount.ID)
	wantAccount(t, c, plainAccount)
	// What was promised was not the end of the new session.
	wantAccount(t, clientOf[provisioning.TelegramClient](t, b.Open(), userA), plainAccount)
}

func checkLogoutContext(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	b.LogIn(userA, plainAccount.ID)
	c := clientOf[provisioning.TelegramClient](t, f, userA)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Logout(ctx); err == nil {
		t.Errorf("Logout with a cancelled context: no error")
	}
	wantAccount(t, c, plainAccount)
}

func checkLoginAgain(t T, b ClientBackend) {
	b.Add(plainAccount)
	b.Add(botAccount)
	f := b.Open()
	c := clientOf[provisioning.TelegramClient](t, f, userA)
	for i, account := range []TelegramAccount{plainAccount, botAccount, plainAccount} {
		b.LogIn(userA, account.ID)
		wantAccount(t, c, account)
		if i == 0 {
			b.Revoke(account.ID)
			wantNobody(t, c)
		} else {
			logout(t, c)
		}
	}
}

func checkConcurrentClients(t T, b ClientBackend) {
	b.Add(plainAccount)
	f := b.Open()
	b.LogIn(userA, plainAccount.ID)
	const callers = 20
	var calls []func() error
	for i := range callers {
		userID := []id.UserID{userA, userB}[i%2]
		calls = append(calls, func() error {
			c, err := f.Client(t.Context(), userID)
			if err != nil {
				return err
			}
			account, err := c.Account(t.Context())
			if want := userID == userA; want && err == nil && account != plainAccount.Account {
				return fmt.Errorf("Account returned %+v", account)
			} else if !want {
				return notLoggedIn(err)
			}
			return err
		})
	}
	race(t, calls)
	c := clientOf[provisioning.TelegramClient](t, f, userA)
	calls = nil
	for range callers {
		calls = append(calls, func() error {
			_, err := c.Logout(t.Context())
			return err
		})
	}
	raceOne(t, calls, provisioning.ErrNotLoggedIn)
	wantNobody(t, c)
	wantSessions(t, b, plainAccount.ID, 0)
}
