package provisioning_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// aliceLevel is the level of alice, which changes. Everybody else has PermissionFull.
type aliceLevel struct{ level atomic.Int64 }

func (l *aliceLevel) set(level provisioning.Permission) { l.level.Store(int64(level)) }

// bridge makes a bridge where alice may log in.
func (l *aliceLevel) bridge(t *testing.T, change ...func(*bridge, *provisioning.Config)) *bridge {
	l.set(provisioning.PermissionFull)
	withLevel := func(b *bridge, cfg *provisioning.Config) {
		b.users = provisioningtest.NewMemUserStore(func(userID id.UserID) provisioning.Permission {
			if userID == alice {
				return provisioning.Permission(l.level.Load())
			}
			return provisioning.PermissionFull
		})
		cfg.Users = b.users
	}
	return newBridge(t, append([]func(*bridge, *provisioning.Config){withLevel}, change...)...)
}

// lastStep is the last step of a way to log in.
type lastStep struct {
	account provisioningAccount
	before  [][2]string
	// do has alice do it, calls during once it has begun, and returns the errcode.
	do func(t *testing.T, b *bridge, during func()) (status int, errcode string)
	// refused is the status for a user without the level.
	refused int
}

// lastPost is a lastStep that calls a method of the client.
func lastPost(method, path, body string) func(*testing.T, *bridge, func()) (int, string) {
	return func(t *testing.T, b *bridge, during func()) (int, string) {
		b.telegram.On(method, func(context.Context) error {
			during()
			return nil
		})
		a := b.call(t, http.MethodPost, user(alice, path), body)
		return a.status, a.field("errcode")
	}
}

var lastSteps = map[string]lastStep{
	"post_login_code": {aliceAccount, [][2]string{requestAlice}, lastPost("SubmitCode", "/login/send_code", `{"code":"01234"}`), 403},
	"post_login_password": {
		guardedAccount, [][2]string{requestGuarded, codeGuarded}, lastPost("SubmitPassword", "/login/send_password", `{"password":" open sesame "}`), 403,
	},
	"post_bot_token": {botAccount, nil, lastPost("LoginBot", "/login/bot_token", `{"token":"`+botAccount.Token+`"}`), 403},
	"login_qr": {aliceAccount, nil, func(t *testing.T, b *bridge, during func()) (int, string) {
		a := b.scan(t, newRequest(http.MethodGet, user(alice, "/login/qr"), ""), func(b *bridge, code string) {
			during()
			scannedBy(aliceAccount)(b, code)
		})
		return a.status, a.field("error")
	}, 101},
}

// The level of a user is taken away while they log in, for example while a QR code is shown:
// the login is not recorded, its session ends, and nobody loses the account.
func TestLevelLostDuringALogin(t *testing.T) {
	refuse := errors.New("the store refuses alice")
	losses := map[string]func(*bridge, *aliceLevel){
		"none":     func(_ *bridge, l *aliceLevel) { l.set(provisioning.PermissionNone) },
		"relaybot": func(_ *bridge, l *aliceLevel) { l.set(provisioning.PermissionRelaybot) },
		"user":     func(_ *bridge, l *aliceLevel) { l.set(provisioning.PermissionUser) },
		"refused": func(b *bridge, _ *aliceLevel) {
			b.users.Fail("User", errors.Join(refuse, provisioning.ErrMatrixUserRefused))
		},
	}
	for name, step := range lastSteps {
		for loss, lose := range losses {
			t.Run(name+" "+loss, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					log, l := &eventLog{}, &aliceLevel{}
					b := l.bridge(t, withEvents(log))
					b.logIn(t, bob, step.account)
					b.login(t, alice, step.before...)
					status, errcode := step.do(t, b, func() { lose(b, l) })
					if status != step.refused || errcode != "mxid_not_whitelisted" {
						t.Errorf("got %d %s, want %d mxid_not_whitelisted", status, errcode, step.refused)
					}
					b.users.Fail("User", nil)
					b.expectUser(t, alice, 0, false, 0)
					b.expectUser(t, bob, step.account.ID, false, step.account.ID)
					log.want(t)
					b.wantNoTasks(t)
				})
			})
		}
	}
}

// The same on a host whose sessions are the links.
func TestLevelLostDuringALoginOfAUserReader(t *testing.T) {
	for name, step := range lastSteps {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				log, l := &eventLog{}, &aliceLevel{}
				b := l.bridge(t, withEvents(log), withSessionUsers)
				b.login(t, alice, step.before...)
				status, errcode := step.do(t, b, func() { l.set(provisioning.PermissionNone) })
				if status != step.refused || errcode != "mxid_not_whitelisted" {
					t.Errorf("got %d %s, want %d mxid_not_whitelisted", status, errcode, step.refused)
				}
				b.expectUser(t, alice, 0, false, 0)
				log.want(t)
				b.wantNoTasks(t)
			})
		})
	}
}

// While the level can't be looked up, a login is not recorded. The next request mends it, in
// either way. Where the session is the link, it is ended.
func TestLevelCantBeLookedUpDuringALogin(t *testing.T) {
	for name, step := range lastSteps {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				for level, linked := range map[provisioning.Permission]provisioning.TelegramID{
					provisioning.PermissionFull: step.account.ID, provisioning.PermissionUser: 0,
				} {
					log, l := &eventLog{}, &aliceLevel{}
					b := l.bridge(t, withEvents(log))
					b.login(t, alice, step.before...)
					failed(t, b, step)
					b.expectUser(t, alice, 0, false, step.account.ID)
					log.want(t)
					l.set(level)
					b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
					b.expectUser(t, alice, linked, false, linked)
				}
				log, l := &eventLog{}, &aliceLevel{}
				b := l.bridge(t, withEvents(log), withSessionUsers)
				b.login(t, alice, step.before...)
				failed(t, b, step)
				b.expectUser(t, alice, 0, false, 0)
				log.want(t)
			})
		})
	}
}

// failed does the last step of a login during which the user store begins to fail.
func failed(t *testing.T, b *bridge, step lastStep) {
	t.Helper()
	_, errcode := step.do(t, b, func() { b.users.Fail("User", errors.New("disk full")) })
	if errcode != "unhandled_error" {
		t.Errorf("got %s, want unhandled_error", errcode)
	}
	b.users.Fail("User", nil)
}

// The process died before a login was recorded, and the level was taken away since: whichever
// request finds the session ends it.
func TestLevelLostAfterACrash(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		log, l := &eventLog{}, &aliceLevel{}
		b := l.bridge(t, withEvents(log), withRelay)
		const lookAt, connect = "", "connect"
		for _, path := range []string{lookAt, connect} {
			l.set(provisioning.PermissionUser)
			b.telegram.LogIn(alice, aliceAccount.ID)
			if path == connect {
				b.post(t, connectPath+asAlice, 202) // the relay bot acts
				log.want(t, "portal_connected @alice:example.com 2001 !room:example.com -1000000000009")
			} else {
				b.call(t, http.MethodGet, user(alice, ""), "").wantBody(t, 200, `{"mxid":"@alice:example.com","permissions":"user","telegram":null}`)
			}
			b.expectUser(t, alice, 0, false, 0)
			log.want(t)
		}
	})
}

// The same when the level is taken away during the request that finds the session.
func TestLevelLostBeforeASessionIsFound(t *testing.T) {
	for path, want := range map[string]answer{
		"/login/request_code":  {status: 403, body: "mxid_not_whitelisted"},
		"/login/send_code":     {status: 403, body: "mxid_not_whitelisted"},
		"/login/send_password": {status: 403, body: "mxid_not_whitelisted"},
		"/login/bot_token":     {status: 403, body: "mxid_not_whitelisted"},
		"/pm/1002":             {status: 403, body: "not_logged_in"},
	} {
		t.Run(path, func(t *testing.T) {
			l := &aliceLevel{}
			b := l.bridge(t)
			b.logIn(t, alice, botAccount) // and then with another account
			b.telegram.LogIn(alice, aliceAccount.ID)
			b.telegram.On("Account", func(context.Context) error {
				l.set(provisioning.PermissionUser)
				return nil
			})
			b.call(t, http.MethodPost, user(alice, path), `{"phone":"+15550100","code":"1","password":"x","token":"x"}`).want(t, want.status, want.body)
			b.expectUser(t, alice, 0, false, 0)
		})
	}
}

// A login that another request has just recorded is kept, though the level is taken away then.
func TestLevelLostAfterALoginWasRecorded(t *testing.T) {
	l := &aliceLevel{}
	b := l.bridge(t)
	b.telegram.LogIn(alice, aliceAccount.ID)
	b.telegram.On("Account", func(ctx context.Context) error {
		l.set(provisioning.PermissionUser)
		_, err := b.users.LinkAccount(ctx, alice, aliceAccount.ID)
		return err
	})
	b.call(t, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`).want(t, 409, "already_logged_in")
	b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
}

// rememberingUsers remembers of everybody, where it may, that they had the level.
type rememberingUsers struct{ *provisioningtest.MemUserStore }

func (u rememberingUsers) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	user, err := u.MemUserStore.User(ctx, userID)
	if provisioning.CachedReads(ctx) {
		user.Permission = provisioning.PermissionFull
	}
	return user, err
}

// What is remembered of the level lets nobody in. Of these requests login_qr is the one that
// may be answered from memory.
func TestLevelIsNotRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &aliceLevel{}
		b := l.bridge(t, func(b *bridge, cfg *provisioning.Config) { cfg.Users = rememberingUsers{b.users} })
		_, errcode := lastSteps["login_qr"].do(t, b, func() { l.set(provisioning.PermissionNone) })
		if errcode != "mxid_not_whitelisted" {
			t.Errorf("got %q, want mxid_not_whitelisted", errcode)
		}
		b.expectUser(t, alice, 0, false, 0)
	})
}
