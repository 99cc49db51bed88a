package telegram_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Whenever the page is closed, nothing is left, and the login that was begun by phone
// number goes on.
func TestHangUpDuringQRCode(t *testing.T) {
	const shown = "while a code is shown"
	for _, method := range []string{"help.getConfig", "auth.exportLoginToken", shown} {
		t.Run(method, func(t *testing.T) {
			var open atomic.Int64
			b := newBridge(t, countOpen(&open))
			b.requestCode(you, ada).is(t, 200, "")
			before := open.Load()
			if method != shown {
				held := b.telegram.Hold(method)
				p := b.openQR(you)
				<-held.Arrived()
				require.NoError(t, p.CloseNow())
				require.NoError(t, b.core.Close(t.Context()))
				held.Release()
			} else {
				_, ended := b.holdTime()
				p := b.openQR(you)
				code := p.code()
				require.NoError(t, p.CloseNow())
				<-ended
				require.NoError(t, b.core.Close(t.Context()))
				require.NoError(t, b.telegram.AcceptLoginToken(code, grace.ID)) // in vain
			}
			assert.Equal(t, before, open.Load(), "its client is still connected")
			b.restart()
			b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 200, "").state(t, "logged-in")
			assert.Equal(t, 1, b.rows())
			assert.Zero(t, b.telegram.Sessions(grace.ID))
		})
	}
}

// Whoever closes the page after the app has said that it is done is logged in.
func TestHangUpAfterQRCode(t *testing.T) {
	for _, account := range []telegramtest.Account{ada, grace, remote, remoteGuarded} {
		t.Run(account.FirstName, func(t *testing.T) {
			var open atomic.Int64
			b := newBridge(t, withDatacenter, countOpen(&open))
			method := "auth.exportLoginToken"
			if account.DC != 0 {
				method = "auth.importLoginToken"
			}
			p := b.openQR(you)
			code := p.code()
			held := b.telegram.Hold(method)
			require.NoError(t, b.telegram.AcceptLoginToken(code, account.ID))
			<-held.Arrived()
			require.NoError(t, p.CloseNow())
			held.Release()
			require.NoError(t, b.core.Close(t.Context()))
			assert.LessOrEqual(t, open.Load(), int64(1))
			b.restart()
			if account.Password != "" {
				b.post(you, "/login/send_password", `{"password":"`+account.Password+`"}`).is(t, 200, "")
			}
			assert.NotNil(t, b.get(you, "").telegramOf(t))
		})
	}
}

// The page is closed while a token is being replaced that somebody has accepted.
func TestHangUpWhileReplacingQRCode(t *testing.T) {
	b := newBridge(t)
	next, _ := b.holdTime()
	p := b.openQR(you)
	code := p.code()
	held := b.telegram.Hold("auth.exportLoginToken")
	next <- struct{}{}
	<-held.Arrived()
	require.NoError(t, b.telegram.AcceptLoginToken(code, ada.ID))
	require.NoError(t, p.CloseNow())
	held.Release()
	require.NoError(t, b.core.Close(t.Context()))
	b.restart()
	assert.NotNil(t, b.get(you, "").telegramOf(t))
	assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
}

func TestTwoPagesWithQRCodes(t *testing.T) {
	var open atomic.Int64
	b := newBridge(t, countOpen(&open))
	first := b.openQR(you)
	old := first.code()
	second := b.openQR(you)
	first.ends(fails("replaced"))
	require.NoError(t, b.telegram.AcceptLoginToken(old, grace.ID), "the app knows nothing of it")
	require.NoError(t, b.telegram.AcceptLoginToken(second.code(), ada.ID))
	second.ends(succeeds)
	assert.Equal(t, "ada", b.get(you, "").telegramOf(t).(map[string]any)["username"])
	assert.EqualValues(t, 1, open.Load())
}

// Of two ways to log in at the same time, the one that is done first counts, and nothing
// is left of the other.
func TestQRCodeAndAnotherLogin(t *testing.T) {
	t.Run("done before", func(t *testing.T) {
		b := newBridge(t)
		next, _ := b.holdTime()
		p := b.openQR(you)
		p.code()
		b.logIn(you, helper)
		next <- struct{}{}
		p.ends(fails("already_logged_in"))
		assert.Equal(t, "helper_bot", b.get(you, "").telegramOf(t).(map[string]any)["username"])
	})
	t.Run("done during the scan", func(t *testing.T) {
		b := newBridge(t)
		p := b.openQR(you)
		code := p.code()
		b.logIn(you, helper)
		require.NoError(t, b.telegram.AcceptLoginToken(code, ada.ID))
		p.ends(fails("already_logged_in"))
		assert.Zero(t, b.telegram.Sessions(ada.ID), "a session that nobody has")
		assert.Equal(t, "helper_bot", b.get(you, "").telegramOf(t).(map[string]any)["username"])
	})
	t.Run("done after", func(t *testing.T) {
		b := newBridge(t)
		b.requestCode(you, grace).is(t, 200, "")
		p := b.openQR(you)
		require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
		p.ends(succeeds)
		b.post(you, "/login/send_code", `{"code":"54321"}`).is(t, 409, "already_logged_in")
	})
}

// An account that is another user's moves.
func TestQRCodeMovesAccount(t *testing.T) {
	b := newBridge(t)
	b.logIn(them, ada)
	p := b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
	p.ends(succeeds)
	assert.Nil(t, b.get(them, "").telegramOf(t))
	assert.NotNil(t, b.get(you, "").telegramOf(t))
	assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
}

func TestTelegramRefusesQRCode(t *testing.T) {
	var open atomic.Int64
	b := newBridge(t, countOpen(&open))
	for _, c := range []struct {
		code    int
		message string
		outcome string
	}{
		{420, "FLOOD_WAIT_100", `{"success":false,"error":"flood_wait","retry_after":100}`},
		{400, "API_ID_INVALID", fails("unknown_error")},
		{500, "INTERNAL", fails("unknown_error")},
		{401, "SESSION_REVOKED", fails("session_revoked")},
		{401, "USER_DEACTIVATED_BAN", fails("phone_number_banned")},
	} {
		b.telegram.Fail("auth.exportLoginToken", persistently(c.code), c.code, c.message)
		b.openQR(you).ends(c.outcome)

		p := b.openQR(you)
		code := p.code()
		b.telegram.Fail("auth.exportLoginToken", persistently(c.code), c.code, c.message)
		require.NoError(t, b.telegram.AcceptLoginToken(code, ada.ID))
		p.ends(c.outcome)
		assert.Zero(t, open.Load(), c.message)
		assert.Zero(t, b.rows(), c.message)
	}
	p := b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
	p.ends(succeeds)
}

func TestQRCodeWithoutTelegram(t *testing.T) {
	var open atomic.Int64
	b := newBridge(t, countOpen(&open), withTimeout(300*time.Millisecond))
	for name, cut := range map[string]func(bool){"refused": b.telegram.Refuse, "silent": b.telegram.Blackhole} {
		cut(true)
		b.openQR(you).ends(fails("unknown_error"))
		cut(false)
		assert.Zero(t, open.Load(), name)
		assert.Zero(t, b.rows(), name)
	}
}

// The login can't be stored: the session on Telegram that nobody has is ended.
func TestQRLoginIsNotStored(t *testing.T) {
	b := newBridge(t)
	_, err := b.db.Exec(t.Context(), `CREATE TRIGGER crash BEFORE UPDATE ON tgprovision_session
		WHEN new.step='active' BEGIN SELECT RAISE(ABORT, 'no'); END`)
	require.NoError(t, err)
	p := b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
	p.ends(fails("unhandled_error"))
	b.waitEnd("ended")
	assert.Zero(t, b.telegram.Sessions(ada.ID))
	assert.Zero(t, b.rows())
	_, err = b.db.Exec(t.Context(), `DROP TRIGGER crash`)
	require.NoError(t, err)
	p = b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
	p.ends(succeeds)
}

// Closing the factory, or the whole bridge, ends what is under way.
func TestCloseDuringQRCode(t *testing.T) {
	var open atomic.Int64
	b := newBridge(t, countOpen(&open))
	p := b.openQR(you)
	p.code()
	require.NoError(t, b.factory.Close(t.Context()))
	p.ends(fails("unknown_error"))
	assert.Zero(t, open.Load())
	b.restart()
	p = b.openQR(you)
	p.code()
	closed := make(chan error, 1)
	go func() { closed <- b.core.Close(t.Context()) }()
	p.ends(fails("unknown_error"))
	require.NoError(t, <-closed)
	assert.Zero(t, open.Load())
}

// Another process ends the login while a code is shown, which the connection learns when it is
// made anew.
func TestQRLoginEndsMeanwhile(t *testing.T) {
	b := newBridge(t)
	p := b.openQR(you)
	p.code()
	b.another().exec("DELETE FROM tgprovision_session")
	b.telegram.DropConnections()
	p.ends(fails("session_revoked"))
}

// No token is in the log, whoever scans it and however the login ends.
func TestNoQRCodeInTheLog(t *testing.T) {
	b := newBridge(t, withDatacenter)
	next, _ := b.holdTime()
	var tokens []string
	for _, account := range []telegramtest.Account{grace, remoteGuarded, remote} {
		p := b.openQR(you)
		first := p.code()
		b.telegram.DropConnections()
		next <- struct{}{}
		second := p.code()
		require.NoError(t, b.telegram.AcceptLoginToken(second, account.ID))
		outcome := succeeds
		if account.Password != "" {
			outcome = password
		}
		p.ends(outcome)
		tokens = append(tokens, strings.TrimPrefix(first, "tg://login?token="), strings.TrimPrefix(second, "tg://login?token="))
	}
	log := b.log.String()
	require.Contains(t, log, `"op":"login_qr"`)
	for _, token := range tokens {
		assert.NotContains(t, log, token)
	}
}
