package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TelegramBackend is what the suites of clients and their abilities need of whoever runs
// them: a Telegram on which they arrange what a check is about, such as a
// telegramtest.Server, and a factory under test that uses it. A suite asks for a new one
// for each check. Some suites need more, see [ClientBackend], [PhoneBackend], [QRBackend],
// [GroupBackend], [CreatorBackend] and [PhotoBackend]: one type can be all of them. A
// backend that fails ends the test.
//
// The suites use the Matrix users whose localparts begin with "check". Texts, IDs and
// phone numbers that they make up are valid on Telegram, and the phone numbers begin with
// 99966, those of Telegram's test servers.
type TelegramBackend interface {
	// Open returns a factory of clients on this Telegram. Called again it closes the
	// last one and opens another on the same storage, as after a restart.
	Open() provisioning.TelegramClientFactory
	// Add makes an account exist. Those in its contacts and chats were added before. A
	// code that is to go by SMS can be sent again by call, and one that is to go by
	// e-mail, by SMS: these are the accounts' Delivery and Next.
	Add(account TelegramAccount)
	// LogIn makes a Matrix user logged in to an account, in whichever way.
	LogIn(userID id.UserID, telegramID provisioning.TelegramID)
	// Revoke ends all sessions of an account from the outside, and the logins to it that
	// are half done (TL error SESSION_REVOKED). The clients learn of it when they call.
	Revoke(telegramID provisioning.TelegramID)
	// Sessions returns how many sessions of an account Telegram has, those of half-done
	// logins aside.
	Sessions(telegramID provisioning.TelegramID) int
	// SetAway makes Telegram unreachable until it is called with false, best as a server
	// that takes connections and bytes and answers nothing.
	SetAway(away bool)
	// SetError makes Telegram answer all calls of TL methods that are about accounts and
	// chats with an error, such as 420 FLOOD_WAIT_3600, until it is called with the code 0.
	SetError(code int, errorType string)
}

// The accounts of the checks. Which others there are the checks say.
var (
	plainAccount = TelegramAccount{
		Account: provisioning.Account{ID: 4_000_001_001, Username: "check_ada", FirstName: "Ada", LastName: "Lovelace", Phone: "9996610001"},
		Code:    "01234", Delivery: provisioning.DeliverySMS, Next: new(provisioning.DeliveryCall),
	}
	guardedAccount = TelegramAccount{
		Account: provisioning.Account{ID: 1002, FirstName: "Grace", Phone: "9996610002"},
		Code:    "54321", Delivery: provisioning.DeliveryEmail, Destination: "a***@example.com", Next: new(provisioning.DeliverySMS),
		Password: " open sesame ", PasswordHint: "as Ali Baba",
	}
	botAccount = TelegramAccount{
		Account: provisioning.Account{ID: 2001, Username: "check_helper_bot", FirstName: "Helper", IsBot: true},
		Token:   "2001:AAE-token-of-the-check",
	}
)

const (
	// callDeadline is how long a call may take that waits for nobody but a Telegram that
	// answers. Only what hangs takes that long.
	callDeadline = time.Minute
	// awayDeadline is the deadline of a call when Telegram does not answer.
	awayDeadline = 300 * time.Millisecond
)

// clientOf returns a user's client, as one with certain abilities.
func clientOf[A any](t T, f provisioning.TelegramClientFactory, userID id.UserID) A {
	t.Helper()
	c, err := f.Client(t.Context(), userID)
	if err != nil {
		t.Fatalf("Client(%s): %v", userID, err)
	}
	able, ok := c.(A)
	if !ok {
		t.Fatalf("Client(%s) returned a %T, which is no %s", userID, c, reflect.TypeFor[A]())
	}
	return able
}

// bounded runs a call with a deadline, and fails when it does not honour it.
func bounded(t T, what string, deadline time.Duration, call func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return returning(t, what, deadline, func() error { return call(ctx) })
}

// returning runs a call that has a deadline, and fails when it hangs.
func returning(t T, what string, deadline time.Duration, call func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	hung := time.NewTimer(deadline + patience)
	defer hung.Stop()
	select {
	case err := <-done:
		return err
	case <-hung.C:
		t.Fatalf("%s has not returned %s after its deadline", what, patience)
		return nil
	}
}

func wantError(t T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got the error %v, want %v", what, errorText(err), want)
	}
}

func errorText(err error) string {
	if err == nil {
		return "none"
	}
	return fmt.Sprintf("%q", err)
}

// wantAccount expects a client to be logged in to an account.
func wantAccount(t T, c provisioning.TelegramClient, want TelegramAccount) {
	t.Helper()
	got, err := c.Account(t.Context())
	if err != nil {
		t.Fatalf("Account: %v", err)
	}
	if got != want.Account {
		t.Errorf("Account returned %+v, want %+v", got, want.Account)
	}
}

// wantNobody expects a client not to be logged in.
func wantNobody(t T, c provisioning.TelegramClient) {
	t.Helper()
	account, err := c.Account(t.Context())
	if !errors.Is(err, provisioning.ErrNotLoggedIn) {
		t.Errorf("Account returned %+v and the error %s, want the error %v", account, errorText(err), provisioning.ErrNotLoggedIn)
	}
}

// wantSessions expects Telegram to have so many sessions of an account.
func wantSessions(t T, b TelegramBackend, telegramID provisioning.TelegramID, want int) {
	t.Helper()
	if got := b.Sessions(telegramID); got != want {
		t.Errorf("Telegram has %d sessions of account %d, want %d", got, telegramID, want)
	}
}

// notLoggedIn returns nil for the error that is wanted of somebody who is not logged in.
func notLoggedIn(err error) error {
	if errors.Is(err, provisioning.ErrNotLoggedIn) {
		return nil
	}
	return fmt.Errorf("Account for somebody who is not logged in: got the error %s", errorText(err))
}
