package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

const loggedOutAlice = `{"mxid":"@alice:example.com","permissions":"full","telegram":null}`

// expectUser checks what the user store and Telegram have of a user.
func (b *bridge) expectUser(t *testing.T, userID id.UserID, linked provisioning.TelegramID, displaced bool, session provisioning.TelegramID) {
	t.Helper()
	u, err := b.users.User(t.Context(), userID)
	if err != nil || u.TelegramID != linked || u.Displaced != displaced {
		t.Errorf("%s is linked to %d, displaced %t (%v); want %d, %t", userID, u.TelegramID, u.Displaced, err, linked, displaced)
	}
	if got := b.telegram.LoggedIn(userID); got != session {
		t.Errorf("%s has a session of %d, want %d", userID, got, session)
	}
}

// The process dies after Telegram accepted a login and before it was linked. The
// next request mends it, whichever it is.
func TestLinkHealsAfterACrash(t *testing.T) {
	for _, path := range []string{"", "/chats", "/contacts"} {
		b := newBridge(t)
		b.telegram.LogIn(alice, aliceAccount.ID)
		b.call(t, http.MethodGet, user(alice, path), "").want(t, 200, "")
		b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
	}
	b := newBridge(t)
	b.telegram.LogIn(alice, aliceAccount.ID)
	b.call(t, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`).want(t, 409, "already_logged_in")
	b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
}

// The store fails at the moment of the login: the account is Telegram's already,
// so the next request links it.
func TestLinkHealsAfterTheStoreFailed(t *testing.T) {
	b := newBridge(t)
	b.login(t, alice, requestAlice)
	b.users.Fail("LinkAccount", errors.New("disk full"))
	b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":"01234"}`).want(t, 500, "unhandled_error")
	b.expectUser(t, alice, 0, false, aliceAccount.ID)
	b.users.Fail("LinkAccount", nil)
	b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
	b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
}

// Bob logs in and the process dies before the link; then Alice logs in with the
// same account. A request about Bob must not take it from her.
func TestHealingTakesNoAccountFromAnybody(t *testing.T) {
	for _, path := range []string{"", "/chats", "/contacts"} {
		t.Run(path, func(t *testing.T) {
			b := newBridge(t)
			b.telegram.LogIn(bob, aliceAccount.ID)
			b.logIn(t, alice, aliceAccount)
			status, errcode := 403, "not_logged_in"
			if path == "" {
				status, errcode = 200, ""
			}
			b.call(t, http.MethodGet, user(bob, path), "").want(t, status, errcode)
			// It may be a login that is just being recorded: it does not end here.
			b.expectUser(t, bob, 0, false, aliceAccount.ID)
			b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
		})
	}
	// The same for a Bob who was linked to another account before.
	b := newBridge(t)
	b.logIn(t, bob, botAccount)
	b.telegram.LogIn(bob, aliceAccount.ID)
	b.logIn(t, alice, aliceAccount)
	b.call(t, http.MethodPost, user(bob, "/login/request_code"), `{"phone":"+15550101"}`).want(t, 200, "")
	b.expectUser(t, bob, 0, false, 0)
	b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
}

// heldLogin is a login of alice, with an account that is bob's, which Telegram has
// accepted and which is about to be recorded.
func heldLogin(t *testing.T) (b *bridge, finish func() answer) {
	t.Helper()
	b = newBridge(t)
	b.logIn(t, bob, aliceAccount)
	b.login(t, alice, requestAlice)
	entered, released := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	b.users.On("LinkAccount", func(context.Context) error {
		if calls.Add(1) == 1 {
			close(entered)
			<-released
		}
		return nil
	})
	done := make(chan answer, 1)
	go func() { done <- b.send(t, post(alice, [2]string{"send_code", `{"code":"01234"}`})) }()
	<-entered
	return b, func() answer {
		close(released)
		return <-done
	}
}

// A user interface that polls does not destroy a login that moves an account.
func TestMovingLoginSurvivesOtherRequests(t *testing.T) {
	for name, other := range map[string]func(t *testing.T, b *bridge){
		"get_me": func(t *testing.T, b *bridge) {
			b.call(t, http.MethodGet, user(alice, ""), "").wantBody(t, 200, loggedOutAlice)
		},
		"get_chats": func(t *testing.T, b *bridge) {
			b.call(t, http.MethodGet, user(alice, "/chats"), "").want(t, 403, "not_logged_in")
		},
		"a request about the other user": func(t *testing.T, b *bridge) {
			b.call(t, http.MethodGet, user(bob, ""), "").want(t, 200, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, finish := heldLogin(t)
			other(t, b)
			finish().want(t, 200, "")
			b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
			b.expectUser(t, bob, 0, false, 0)
		})
	}
}

// The client was logged in with another account behind the core's back.
func TestLinkFollowsTheSession(t *testing.T) {
	b := newBridge(t)
	b.logIn(t, alice, aliceAccount)
	b.telegram.LogIn(alice, botAccount.ID)
	b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
	b.expectUser(t, alice, botAccount.ID, false, botAccount.ID)
}

// A Telegram account that is linked to another Matrix user is moved to this one;
// the other is logged out.
func TestAccountMoves(t *testing.T) {
	steps := map[string]struct {
		account provisioningAccount
		steps   [][2]string
	}{
		"code":     {aliceAccount, [][2]string{requestAlice, {"send_code", `{"code":1234}`}}},
		"password": {guardedAccount, [][2]string{requestGuarded, codeGuarded, {"send_password", `{"password":" open sesame "}`}}},
		"bot":      {botAccount, [][2]string{{"bot_token", `{"token":"` + botAccount.Token + `"}`}}},
	}
	for name, c := range steps {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			b.login(t, bob, c.steps...)
			b.expectUser(t, bob, c.account.ID, false, c.account.ID)
			b.login(t, alice, c.steps...)
			b.expectUser(t, alice, c.account.ID, false, c.account.ID)
			b.expectUser(t, bob, 0, false, 0)
			b.call(t, http.MethodGet, user(bob, ""), "").wantBody(t, 200, `{"mxid":"@bob:example.com","permissions":"full","telegram":null}`)
			b.call(t, http.MethodGet, user(bob, "/chats"), "").want(t, 403, "not_logged_in")
		})
	}
}

// displaced makes a bridge where alice's account has moved to bob, and the
// process died before her session was ended.
func displaced(t *testing.T) *bridge {
	b := newBridge(t)
	b.logIn(t, alice, aliceAccount)
	b.logIn(t, bob, aliceAccount)
	b.expectUser(t, alice, aliceAccount.ID, true, aliceAccount.ID)
	return b
}

// A displaced user is logged out for every operation, and from then on.
func TestDisplacedUserIsLoggedOut(t *testing.T) {
	cases := []struct {
		method, path, body string
		status             int
		errcode            string
	}{
		{http.MethodGet, "", "", 200, ""},
		{http.MethodGet, "/chats", "", 403, "not_logged_in"},
		{http.MethodGet, "/contacts", "", 403, "not_logged_in"},
		{http.MethodPost, "/logout", "", 403, "not_logged_in"},
		{http.MethodPost, "/login/request_code", `{"phone":"+15550101"}`, 200, ""},
		{http.MethodPost, "/login/send_code", `{"code":"1"}`, 403, "phone_code_expired"},
		{http.MethodPost, "/login/send_password", `{"password":"x"}`, 400, "phone_code_not_entered"},
		{http.MethodPost, "/login/bot_token", `{"token":"x"}`, 401, "bot_token_invalid"},
	}
	for _, c := range cases {
		t.Run(c.path, func(t *testing.T) {
			b := displaced(t)
			b.call(t, c.method, user(alice, c.path), c.body).want(t, c.status, c.errcode)
			b.expectUser(t, alice, 0, false, 0)
			b.expectUser(t, bob, aliceAccount.ID, false, aliceAccount.ID)
			b.call(t, http.MethodGet, user(alice, ""), "").wantBody(t, 200, loggedOutAlice)
			b.call(t, http.MethodGet, user(bob, ""), "").want(t, 200, "")
		})
	}
}

// A displaced user whose session can't be ended is not shown as logged in, and
// the one who has the account now is not bothered.
func TestDisplacedUserCantBeLoggedOut(t *testing.T) {
	b := displaced(t)
	b.telegram.Fail("Logout", errors.New("no route to host"))
	b.call(t, http.MethodGet, user(alice, ""), "").want(t, 500, "unhandled_error")
	b.call(t, http.MethodGet, user(alice, "/chats"), "").want(t, 500, "unhandled_error")
	b.expectUser(t, alice, aliceAccount.ID, true, aliceAccount.ID)
	b.call(t, http.MethodGet, user(bob, ""), "").want(t, 200, "")
	b.telegram.Fail("Logout", nil)
	b.call(t, http.MethodGet, user(alice, ""), "").wantBody(t, 200, loggedOutAlice)
	b.expectUser(t, alice, 0, false, 0)
}

// The login itself succeeds when the other user's session can't be ended.
func TestAccountMovesThoughTheOtherCantBeLoggedOut(t *testing.T) {
	b := newBridge(t)
	b.logIn(t, bob, aliceAccount)
	b.login(t, alice, requestAlice)
	b.telegram.Fail("Logout", errors.New("no route to host"))
	b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":"01234"}`).wantBody(t, 200, loggedInAlice)
	b.expectUser(t, bob, aliceAccount.ID, true, aliceAccount.ID)
	if warned := b.log.lines(t)[1]; warned["level"] != "warn" || warned["displaced_user_id"] != string(bob) {
		t.Errorf("the log does not warn: %v", warned)
	}
	b.telegram.Fail("Logout", nil)
	b.call(t, http.MethodPost, user(bob, "/logout"), "").want(t, 403, "not_logged_in")
	b.expectUser(t, bob, 0, false, 0)
}

// The user logs the bridge out in another app.
func TestSessionDiesRemotely(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
		errcode            string
	}{
		{http.MethodGet, "", "", 200, ""},
		{http.MethodGet, "/chats", "", 403, "not_logged_in"},
		{http.MethodGet, "/contacts", "", 403, "not_logged_in"},
		{http.MethodPost, "/logout", "", 403, "not_logged_in"},
		{http.MethodPost, "/login/request_code", `{"phone":"+15550100"}`, 200, ""},
		{http.MethodPost, "/login/send_code", `{"code":"01234"}`, 403, "phone_code_expired"},
	} {
		t.Run(c.path, func(t *testing.T) {
			b := newBridge(t)
			b.logIn(t, alice, aliceAccount)
			b.telegram.EndSession(alice)
			b.call(t, c.method, user(alice, c.path), c.body).want(t, c.status, c.errcode)
			b.expectUser(t, alice, 0, false, 0)
			b.call(t, http.MethodGet, user(alice, ""), "").wantBody(t, 200, loggedOutAlice)
		})
	}
}

// It dies in the middle of a request: between two calls of Telegram.
func TestSessionDiesDuringARequest(t *testing.T) {
	for _, method := range []string{"Chats", "Contacts"} {
		b := newBridge(t)
		b.logIn(t, alice, aliceAccount)
		b.telegram.On(method, func(context.Context) error {
			b.telegram.EndSession(alice)
			return nil
		})
		path := map[string]string{"Chats": "/chats", "Contacts": "/contacts"}[method]
		b.call(t, http.MethodGet, user(alice, path), "").want(t, 403, "not_logged_in")
		b.call(t, http.MethodGet, user(alice, ""), "").wantBody(t, 200, loggedOutAlice)
		b.expectUser(t, alice, 0, false, 0)
	}
}

// Somebody who can't log in to Telegram just now is not logged out for it.
func TestTroubleDoesNotUnlink(t *testing.T) {
	for _, err := range []error{
		provisioning.ErrTelegramUnavailable, context.DeadlineExceeded, errors.New("broken"),
		&provisioning.FloodWaitError{}, &provisioning.TelegramError{Code: 500, Type: "INTERNAL"},
	} {
		b := newBridge(t)
		b.logIn(t, alice, aliceAccount)
		b.telegram.Fail("Account", err)
		b.telegram.Fail("Logout", err)
		for path, method := range everyPath() {
			if path != "/bridge" {
				b.call(t, method, path, `{"phone":"+15550100","code":"1","password":"x","token":"x"}`)
			}
		}
		b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
	}
}

func TestLogoutForgetsTheLink(t *testing.T) {
	b := newBridge(t)
	b.logIn(t, alice, aliceAccount)
	b.call(t, http.MethodPost, user(alice, "/logout"), "").wantBody(t, 200, `{}`)
	b.expectUser(t, alice, 0, false, 0)
	if b.users.Len() != 0 {
		t.Errorf("%d rows, want 0", b.users.Len())
	}
}

// GETs about users who never logged in leave nothing behind.
func TestReadingCreatesNothing(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	for i := range 500 {
		userID := id.UserID(fmt.Sprintf("@unknown-%d:example.com", i))
		b.call(t, http.MethodGet, user(userID, ""), "").want(t, 200, "")
		b.call(t, http.MethodGet, user(userID, "/chats"), "").want(t, 403, "not_logged_in")
		b.call(t, http.MethodGet, user(userID, "/contacts"), "").want(t, 403, "not_logged_in")
		b.call(t, http.MethodPost, user(userID, "/logout"), "").want(t, 403, "not_logged_in")
	}
	if b.users.Len() != 0 || b.telegram.Started() != 0 {
		t.Errorf("%d rows and %d clients started, want none", b.users.Len(), b.telegram.Started())
	}
	for _, method := range []string{"LinkAccount", "ClaimAccount", "UnlinkAccount"} {
		if n := b.users.Calls(method); n != 0 {
			t.Errorf("%d calls of %s, want none", n, method)
		}
	}
}

// forgetful is a Telegram whose clients remember, where they may, what was true before.
type forgetful struct {
	*provisioningtest.Telegram
	account provisioning.Account
	err     error
}

type forgetfulClient struct {
	provisioning.TelegramClient
	f *forgetful
}

func (f *forgetful) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	c, err := f.Telegram.Client(ctx, userID)
	return forgetfulClient{c, f}, err
}

func (c forgetfulClient) Account(ctx context.Context) (provisioning.Account, error) {
	if provisioning.CachedReads(ctx) {
		return c.f.account, c.f.err
	}
	return c.TelegramClient.Account(ctx)
}

// What a client remembers from before a login or logout of another process neither undoes
// it nor is shown.
func TestMemoryDoesNotUnlink(t *testing.T) {
	clients := &forgetful{err: provisioning.ErrNotLoggedIn}
	b := newBridge(t, func(b *bridge, cfg *provisioning.Config) {
		clients.Telegram = b.telegram
		cfg.Telegram = clients
	})
	b.telegram.LogIn(alice, aliceAccount.ID)
	if _, err := b.users.LinkAccount(t.Context(), alice, aliceAccount.ID); err != nil {
		t.Fatal(err)
	}
	if got := b.call(t, http.MethodGet, user(alice, ""), ""); got.status != 200 || strings.Contains(got.body, loggedOutAlice) {
		t.Errorf("the link says otherwise: %d %s", got.status, got.body)
	}
	b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)

	clients.account, clients.err = provisioning.Account{ID: aliceAccount.ID}, nil
	b.telegram.EndSession(alice)
	if err := b.users.UnlinkAccount(t.Context(), alice, aliceAccount.ID); err != nil {
		t.Fatal(err)
	}
	if got := b.call(t, http.MethodGet, user(alice, ""), ""); got.status != 200 || !strings.Contains(got.body, loggedOutAlice) {
		t.Errorf("nobody is logged in: %d %s", got.status, got.body)
	}
	b.expectUser(t, alice, 0, false, 0)
}
