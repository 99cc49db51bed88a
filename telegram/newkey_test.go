package telegram_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/gotd/td/telegram/dcs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// dials counts the connections that are made, and refuses the first ones.
type dials struct {
	made   atomic.Int64
	refuse atomic.Int64
}

func (d *dials) use(b *bridge) {
	b.config = func(cfg *telegram.Config) {
		cfg.Resolver = dcs.Plain(dcs.PlainOptions{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			d.made.Add(1)
			if d.refuse.Add(-1) >= 0 {
				return nil, net.ErrClosed
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}})
	}
}

// A login makes its key over the connection that it goes on with, as often as it takes.
func TestOneConnectionForALogin(t *testing.T) {
	var d dials
	b := newBridge(t, withExchanges, d.use)
	d.refuse.Store(2)
	b.requestCode(you, ada).is(t, 200, "")
	assert.EqualValues(t, 3, d.made.Load())
	b.post(you, "/login/send_code", `{"code":"`+ada.Code+`"}`).is(t, 200, "")
	assert.EqualValues(t, 3, d.made.Load())
	assert.Len(t, b.telegram.AuthKeys(), 1)
}

// Whoever logs in does not wait for gotd's key exchanges, which take long.
func TestLoginsDoNotWaitForFiles(t *testing.T) {
	b := newBridge(t, withExchanges)
	b.factory.FillTurns()
	b.requestCode(you, ada).is(t, 200, "")
}

// Telegram sends logins on to other datacenters: each has a key of its own, which is stored.
func TestLoginsMove(t *testing.T) {
	b := newBridge(t, withExchanges, func(b *bridge) {
		b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{OtherDCs: []int{4, 5}, Accounts: []telegramtest.Account{away}})
	})
	b.factory.FillTurns() // gotd makes none of the keys
	b.telegram.Fail("auth.sendCode", 1, 303, "NETWORK_MIGRATE_5")
	b.requestCode(you, away).is(t, 200, "")
	assert.Equal(t, 4, b.storedDC())
	assert.Len(t, b.telegram.AuthKeys(), 3)

	// Another number in the same login, which is at home elsewhere.
	b.requestCode(you, ada).is(t, 200, "")
	assert.Equal(t, 2, b.storedDC())
	b.restart()
	b.post(you, "/login/send_code", `{"code":"`+ada.Code+`"}`).is(t, 200, "")
	assert.Equal(t, 2, b.storedDC())
	assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
}

// A login that is sent on for ever fails, and nothing is left of it.
func TestLoginsDoNotMoveForEver(t *testing.T) {
	b := newBridge(t, withExchanges, func(b *bridge) {
		b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{OtherDCs: []int{4, 5}})
	})
	for _, to := range []string{"4", "5", "4", "5", "4"} {
		b.telegram.Fail("auth.sendCode", 1, 303, "PHONE_MIGRATE_"+to)
	}
	b.requestCode(you, ada).is(t, 500, "unknown_error")
	assert.Zero(t, b.rows())
	assert.Equal(t, 4, b.telegram.Calls("auth.sendCode"))
}

// A QR login begins where Telegram wants it.
func TestQRLoginMoves(t *testing.T) {
	b := newBridge(t, withExchanges, func(b *bridge) {
		b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{OtherDCs: []int{4}, Accounts: []telegramtest.Account{away}})
	})
	b.factory.FillTurns() // gotd makes none of the keys
	b.telegram.Fail("auth.exportLoginToken", 1, 303, "NETWORK_MIGRATE_4")
	account, err := b.client(you).LoginQR(t.Context(), func(_ context.Context, token provisioning.QRToken) error {
		return b.telegram.AcceptLoginToken(token.URL, away.ID)
	})
	require.NoError(t, err)
	assert.EqualValues(t, away.ID, account.ID)
	assert.Equal(t, 4, b.storedDC())
}
