package telegram_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

// endDue makes the sessions to be ended due, and tries once to end them.
func (b *bridge) endDue() {
	b.t.Helper()
	b.exec("UPDATE tgprovision_session SET due_at=0, final_at=0 WHERE step='ending'")
	require.NoError(b.t, b.factory.EndDue(b.t.Context()))
}

// ending counts the sessions that are to be ended.
func (b *bridge) ending() (n int) {
	b.t.Helper()
	require.NoError(b.t, b.db.QueryRow(b.t.Context(), "SELECT COUNT(*) FROM tgprovision_session WHERE step='ending'").Scan(&n))
	return n
}

// soon is a context for a logout that Telegram does not answer: it waits for half of it.
func soon(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 400*time.Millisecond)
}

// Whatever Telegram does at a logout: the user is logged out at once, may log in anew, and
// the session ends when Telegram can be reached, also in another process.
func TestPendingLogout(t *testing.T) {
	for name, trouble := range map[string]func(*bridge) (over func()){
		"refused": func(b *bridge) func() {
			b.telegram.Refuse(true)
			b.telegram.DropConnections()
			return func() { b.telegram.Refuse(false) }
		},
		"silent": func(b *bridge) func() {
			b.telegram.Blackhole(true)
			return func() { b.telegram.Blackhole(false) }
		},
		"held, and the connection breaks": func(b *bridge) func() {
			held := b.telegram.Hold("auth.logOut")
			go func() {
				<-held.Arrived()
				b.telegram.DropConnections()
			}()
			return held.Release
		},
		"refused, without a client": func(b *bridge) func() {
			b.factory.StopIdle()
			b.telegram.Refuse(true)
			return func() { b.telegram.Refuse(false) }
		},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", restart ", restart), func(t *testing.T) {
				b := newBridge(t)
				b.logIn(you, ada)
				over := trouble(b)
				ctx, cancel := soon(t)
				defer cancel()
				pending, err := b.client(you).Logout(ctx)
				require.NoError(t, err)
				assert.True(t, pending)
				assert.Nil(t, b.get(you, "").telegramOf(t))
				assert.Zero(t, b.rows())
				assert.Equal(t, 1, b.ending())
				assert.Equal(t, 1, b.factory.Stats().Ending)
				if restart {
					b.restart()
				}
				over()
				b.endDue()
				assert.Zero(t, b.telegram.Sessions(ada.ID))
				assert.Zero(t, b.ending())
				b.logIn(you, ada)
				assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
			})
		}
	}
}

// persistently is how often an error has to come so that an operation fails: trouble of
// Telegram's own is tried again three times.
func persistently(code int) int {
	if code >= 500 || code < 0 {
		return 4
	}
	return 1
}

// An error of Telegram's is no end, and the API says so.
func TestLogoutThatFails(t *testing.T) {
	b := newBridge(t)
	for _, c := range []struct {
		code    int
		message string
	}{{500, "INTERNAL"}, {-503, "Timeout"}, {420, "FLOOD_WAIT_100"}, {400, "CONNECTION_NOT_INITED"}, {303, "USER_MIGRATE_99"}} {
		b.logIn(you, ada)
		b.telegram.Fail("auth.logOut", persistently(c.code), c.code, c.message)
		a := b.post(you, "/logout", "").is(t, 200, "")
		assert.Equal(t, map[string]any{"pending": true}, a.body, c.message)
		assert.Nil(t, b.get(you, "").telegramOf(t))
		b.endDue()
		assert.Zero(t, b.telegram.Sessions(ada.ID), c.message)
		assert.Zero(t, b.ending(), c.message)
	}
}

// A session that Telegram has ended, or does not know, needs no end.
func TestLogoutOfEndedSession(t *testing.T) {
	for name, end := range map[string]func(*bridge) error{
		"revoked":   func(b *bridge) error { return b.telegram.Revoke(ada.ID, "SESSION_REVOKED") },
		"forgotten": func(b *bridge) error { return b.telegram.ForgetKeys(ada.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			b.logIn(you, ada)
			require.NoError(t, end(b))
			_, err := b.client(you).Logout(t.Context())
			require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
			assert.Zero(t, b.ending())
			assert.Nil(t, b.get(you, "").telegramOf(t))
		})
	}
}

// Telegram says once by mistake that it does not know the key.
func TestKeyUnknownByMistake(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.telegram.FailTransport(1, 404)
	b.get(you, "/chats").is(t, 200, "")
	assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
	assert.Len(t, b.telegram.AuthKeys(), 1)

	require.NoError(t, b.telegram.ForgetKeys(ada.ID))
	b.get(you, "/chats").is(t, 403, "not_logged_in")
	assert.Zero(t, b.rows())
	b.logIn(you, ada)
}

// What can't be ended for a month is given up, with an error in the log.
func TestEndIsGivenUp(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.telegram.Fail("auth.logOut", 100, 500, "INTERNAL")
	b.post(you, "/logout", "").is(t, 200, "")
	b.exec("UPDATE tgprovision_session SET ending_at=ending_at-29*24*3600000")
	b.endDue()
	require.Equal(t, 1, b.ending())
	b.exec("UPDATE tgprovision_session SET ending_at=ending_at-25*3600000")
	b.endDue()
	assert.Zero(t, b.ending())
	b.waitEnd("given_up")
	assert.Contains(t, b.log.String(), "is given up")
}

// Logins that nobody finishes are ended, however far they have come.
func TestAbandonedLogins(t *testing.T) {
	for name, begin := range map[string]func(*bridge){
		"code": func(b *bridge) { b.requestCode(you, ada).is(b.t, 200, "") },
		"password": func(b *bridge) {
			b.requestCode(you, grace).is(b.t, 200, "")
			b.post(you, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(b.t, 202, "")
		},
		"QR code": func(b *bridge) {
			p := b.openQR(you)
			p.code()
			b.stop() // as if the process had been killed
			b.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			begin(b)
			b.exec("UPDATE tgprovision_session SET due_at=0")
			require.NoError(t, b.factory.EndDue(t.Context()))
			assert.Zero(t, b.rows())
			b.get(you, "/login").is(t, 200, "").state(t, "request")
			require.Equal(t, 1, b.ending(), "Telegram may still accept it")
			assert.Empty(t, holds([]byte(b.details()), ada.Phone, grace.Phone), "nobody needs the number any more")
			b.endDue()
			assert.Zero(t, b.ending())
			assert.NotZero(t, b.telegram.Calls("auth.logOut"))
		})
	}
}

// details returns what is stored of sessions besides the auth keys.
func (b *bridge) details() (all string) {
	b.t.Helper()
	require.NoError(b.t, b.db.QueryRow(b.t.Context(), "SELECT coalesce(group_concat(CAST(details AS TEXT)), '') FROM tgprovision_session").Scan(&all))
	return all
}

// Telegram accepts the code of a login that was ended while the answer was under way. Whoever
// has sent the code sees to it or, where that process is gone, another one.
func TestLoginAcceptedAfterItsEnd(t *testing.T) {
	for name, killed := range map[string]bool{"by this process": false, "by another process": true} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			b.requestCode(you, ada).is(t, 200, "")
			held := b.telegram.Hold("auth.signIn")
			code := b.background(t.Context(), http.MethodPost, "/user/"+string(you)+"/login/send_code", `{"code":"`+ada.Code+`"}`)
			<-held.Arrived()
			other := b.another()
			other.exec("UPDATE tgprovision_session SET due_at=0")
			require.NoError(t, other.factory.EndDue(t.Context()))
			require.Equal(t, 1, other.ending(), "it is tried again")
			if killed {
				b.server.CloseClientConnections()
				require.NoError(t, b.factory.Close(t.Context()))
			}
			held.Release()
			a := <-code
			if !killed {
				a.is(t, 403, "phone_code_expired")
				assert.Zero(t, b.telegram.Sessions(ada.ID))
			}
			other.endDue()
			assert.Zero(t, b.telegram.Sessions(ada.ID))
			assert.Zero(t, other.ending())
			assert.Nil(t, other.get(you, "").telegramOf(t))
		})
	}
}

// A logout right after a login ends the session at once, though the session's client is only
// just being started.
func TestLogoutWhileTheClientStarts(t *testing.T) {
	b := newBridge(t)
	for range 10 {
		account, err := b.client(you).LoginQR(t.Context(), func(_ context.Context, token provisioning.QRToken) error {
			return b.telegram.AcceptLoginToken(token.URL, ada.ID)
		})
		require.NoError(t, err)
		require.EqualValues(t, ada.ID, account.ID)
		pending, err := b.client(you).Logout(t.Context())
		require.NoError(t, err)
		assert.False(t, pending)
		assert.Zero(t, b.telegram.Sessions(ada.ID))
	}
}
