package telegram_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/testsleep"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// page is an API client that shows QR codes.
type page struct {
	*websocket.Conn
	t *testing.T
}

func (b *bridge) openQR(userID id.UserID) *page {
	b.t.Helper()
	conn, _, err := websocket.Dial(b.t.Context(), b.server.URL+"/v1/user/"+string(userID)+"/login/qr", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + secret}},
	})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	return &page{conn, b.t}
}

func (p *page) read() string {
	p.t.Helper()
	_, data, err := p.Read(p.t.Context())
	require.NoError(p.t, err)
	return string(data)
}

// code returns the next QR code.
func (p *page) code() string {
	p.t.Helper()
	var message struct {
		Code    string
		Timeout float64
	}
	raw := p.read()
	require.NoError(p.t, json.Unmarshal([]byte(raw), &message))
	require.Contains(p.t, message.Code, "tg://login?token=", raw)
	assert.Positive(p.t, message.Timeout, raw)
	assert.LessOrEqual(p.t, message.Timeout, 30., raw)
	return message.Code
}

// ends expects the outcome and a normal end.
func (p *page) ends(outcome string) {
	p.t.Helper()
	require.JSONEq(p.t, outcome, p.read())
	_, _, err := p.Read(p.t.Context())
	assert.Equal(p.t, websocket.StatusNormalClosure, websocket.CloseStatus(err))
}

const (
	succeeds = `{"success":true}`
	password = `{"success":false,"error":"password-needed"}`
)

func fails(errcode string) string { return fmt.Sprintf(`{"success":false,"error":%q}`, errcode) }

// holdTime stops the time of QR codes: each value of next is the end of one. ended gets a
// value for each that is not waited for any more.
func (b *bridge) holdTime() (next chan<- struct{}, ended <-chan struct{}) {
	ticks, stopped := make(chan struct{}), make(chan struct{}, 100)
	testsleep.Set(b.factory, func(ctx context.Context, _ time.Duration) error {
		select {
		case <-ticks:
			return nil
		case <-ctx.Done():
			stopped <- struct{}{}
			return ctx.Err()
		}
	})
	return ticks, stopped
}

// countOpen counts the connections to Telegram that are open.
func countOpen(open *atomic.Int64) option {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &counted{Conn: conn, open: open}, nil
	}
	return withConfig(func(c *telegram.Config) { c.Resolver = dcs.Plain(dcs.PlainOptions{Dial: dial}) })
}

type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// withDatacenter gives Telegram a second datacenter, where remote is at home.
func withDatacenter(b *bridge) {
	b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{MediaDC: 4, Accounts: []telegramtest.Account{remote, remoteGuarded}})
}

// The accounts of the second datacenter.
var (
	remote        = telegramtest.Account{ID: 1005, FirstName: "Remote", Username: "remote", DC: 4}
	remoteGuarded = telegramtest.Account{ID: 1006, FirstName: "Guarded", DC: 4, Password: "hunter2"}
)

func TestLoginByQRCode(t *testing.T) {
	var open atomic.Int64
	b := newBridge(t, countOpen(&open), withExchanges)
	p := b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
	p.ends(succeeds)
	for range 2 {
		assert.Equal(t, map[string]any{
			"id": 1001., "username": "ada", "first_name": "Ada", "last_name": "Lovelace", "phone": "9996610001", "is_bot": false,
		}, b.get(you, "").telegramOf(t))
		b.get(you, "/chats").is(t, 200, "")
		assert.EqualValues(t, 1, open.Load(), "there is one client")
		assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
		assert.Equal(t, 1, b.rows())
		b.get(you, "/login/qr").is(t, 426, "upgrade_required")
		b.restart()
	}
	b.post(you, "/logout", "").is(t, 200, "")
	assert.Zero(t, b.telegram.Sessions(ada.ID))
	assert.Zero(t, b.rows())
	b.logIn(you, ada)
}

// The host's client runs as after any other login, and gets no updates that nobody wants.
func TestHostAfterLoginByQRCode(t *testing.T) {
	running := make(chan *gotd.Client, 10)
	b := newBridge(t, withConfig(func(c *telegram.Config) {
		c.Running = func(_ context.Context, _ id.UserID, client *gotd.Client) { running <- client }
	}))
	p := b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
	p.ends(succeeds)
	live, err := b.factory.Telegram(t.Context(), you)
	require.NoError(t, err)
	assert.Same(t, live, <-running)
	assert.Empty(t, running)
}

func TestQRCodesExpire(t *testing.T) {
	var open atomic.Int64
	b := newBridge(t, countOpen(&open))
	next, _ := b.holdTime()
	p := b.openQR(you)
	codes := map[string]bool{}
	for range provisioning.MaxQRTokens {
		code := p.code()
		codes[code] = true
		b.telegram.ExpireLoginTokens()
		require.ErrorContains(t, b.telegram.AcceptLoginToken(code, ada.ID), "EXPIRED")
		next <- struct{}{}
	}
	p.ends(fails("timeout"))
	assert.Len(t, codes, 4)
	assert.Zero(t, open.Load())
	assert.Zero(t, b.rows())
	assert.Zero(t, b.factory.Slots())

	p = b.openQR(you)
	for range 3 {
		p.code()
		next <- struct{}{}
	}
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
	p.ends(succeeds)
}

// Tokens of a second are over at once, or soon. The time of QR codes is the real one here.
func TestShortLivedQRCodes(t *testing.T) {
	b := newBridge(t, func(b *bridge) {
		b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{LoginTokenLifetime: time.Second})
	})
	p := b.openQR(you)
	for range provisioning.MaxQRTokens {
		p.code()
	}
	p.ends(fails("timeout"))
}

// The connection breaks, and with it goes the word that a token was accepted: the next
// question finds out, the one after the last token included.
func TestAcceptedWhileDisconnected(t *testing.T) {
	for _, shown := range []int{1, provisioning.MaxQRTokens} {
		t.Run(fmt.Sprint(shown, " shown"), func(t *testing.T) {
			b := newBridge(t)
			next, _ := b.holdTime()
			p := b.openQR(you)
			for range shown - 1 {
				p.code()
				next <- struct{}{}
			}
			code := p.code()
			b.telegram.Refuse(true)
			require.NoError(t, b.telegram.AcceptLoginToken(code, ada.ID))
			b.telegram.Refuse(false)
			next <- struct{}{}
			p.ends(succeeds)
			assert.NotNil(t, b.get(you, "").telegramOf(t))
		})
	}
}

func TestLoginByQRCodeWithPassword(t *testing.T) {
	b := newBridge(t)
	p := b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), grace.ID))
	p.ends(password)
	assert.Nil(t, b.get(you, "").telegramOf(t))
	b.post(you, "/login/send_code", `{"code":"54321"}`).is(t, 202, "").state(t, "password")
	b.restart()
	assert.Equal(t, "forty", b.get(you, "/login").is(t, 200, "").state(t, "password").body["password_hint"])
	b.post(you, "/login/send_password", `{"password":"wrong"}`).is(t, 401, "password_invalid")
	b.restart()
	b.post(you, "/login/send_password", `{"password":" open sesame "}`).is(t, 200, "").state(t, "logged-in")
	b.restart()
	assert.NotNil(t, b.get(you, "").telegramOf(t))
}

// Another account is scanned after the code of a first one was entered.
func TestQRCodeInsteadOfPassword(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, grace).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":"54321"}`).is(t, 202, "")
	p := b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(p.code(), ada.ID))
	p.ends(succeeds)
	assert.Equal(t, "ada", b.get(you, "").telegramOf(t).(map[string]any)["username"])
	assert.Zero(t, b.telegram.Sessions(grace.ID))
}

func TestLoginByQRCodeElsewhere(t *testing.T) {
	t.Run("without a password", func(t *testing.T) {
		b := newBridge(t, withDatacenter)
		p := b.openQR(you)
		require.NoError(t, b.telegram.AcceptLoginToken(p.code(), remote.ID))
		p.ends(succeeds)
		for range 2 {
			assert.Equal(t, "remote", b.get(you, "").telegramOf(t).(map[string]any)["username"])
			b.get(you, "/chats").is(t, 200, "")
			b.restart()
		}
		b.post(you, "/logout", "").is(t, 200, "")
		assert.Zero(t, b.telegram.Sessions(remote.ID))
		b.logIn(you, ada) // who is at home where the bridge connects first
	})
	t.Run("with a password", func(t *testing.T) {
		b := newBridge(t, withDatacenter)
		p := b.openQR(you)
		require.NoError(t, b.telegram.AcceptLoginToken(p.code(), remoteGuarded.ID))
		p.ends(password)
		b.restart()
		b.post(you, "/login/send_password", `{"password":"hunter2"}`).is(t, 200, "")
		b.restart()
		assert.NotNil(t, b.get(you, "").telegramOf(t))
	})
	// Then the next code is one of that datacenter's.
	t.Run("too late", func(t *testing.T) {
		b := newBridge(t, withDatacenter)
		b.telegram.Fail("auth.importLoginToken", 1, 400, "AUTH_TOKEN_EXPIRED")
		p := b.openQR(you)
		require.NoError(t, b.telegram.AcceptLoginToken(p.code(), remote.ID))
		require.NoError(t, b.telegram.AcceptLoginToken(p.code(), remote.ID))
		p.ends(succeeds)
		b.restart()
		assert.NotNil(t, b.get(you, "").telegramOf(t))
	})
}
