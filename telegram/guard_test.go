package telegram_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/telegram"
)

// waitForLog waits until the log has a text.
func (b *bridge) waitForLog(text string) {
	b.t.Helper()
	for !strings.Contains(b.log.String(), text) {
		require.NoError(b.t, b.t.Context().Err())
		b.get(you, "") // a moment
	}
}

// Whatever function of the host's panics, the process and the client go on, and the log tells.
func TestPanicsOfTheHost(t *testing.T) {
	b := newBridge(t, withConfig(func(c *telegram.Config) {
		c.Running = func(context.Context, id.UserID, *gotd.Client) { panic("in Running") }
		c.Updates = func(id.UserID) gotd.UpdateHandler {
			return gotd.UpdateHandlerFunc(func(context.Context, tg.UpdatesClass) error { panic("in the handler") })
		}
		c.Observer = telegram.Observer{
			Call:         func(string, string, time.Duration) { panic("in Call") },
			FloodWait:    func(time.Duration, bool) { panic("in FloodWait") },
			Disconnected: func() { panic("in Disconnected") },
			SessionEnd:   func(string) { panic("in SessionEnd") },
		}
	}))
	b.logIn(you, ada)
	b.waitForLog("panic: in Running")
	b.waitForLog("panic: in Call")
	require.NoError(t, b.telegram.SendUpdates(ada.ID, &tg.UpdateShort{Update: &tg.UpdateConfig{}}))
	b.waitForLog("panic: in the handler")
	b.telegram.Fail("messages.getDialogs", 1, 420, "FLOOD_WAIT_3600")
	b.get(you, "/chats").is(t, 429, "flood_wait")
	b.waitForLog("panic: in FloodWait")
	b.telegram.DropConnections()
	b.waitForLog("panic: in Disconnected")
	b.get(you, "/chats").is(t, 200, "")
	b.post(you, "/logout", "").is(t, 200, "")
	b.waitForLog("panic: in SessionEnd")
}

// A Resolver that panics makes no connection.
func TestPanicOfAResolver(t *testing.T) {
	var panics atomic.Bool
	panics.Store(true)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if panics.Load() {
			panic("in Dial")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	b := newBridge(t, withTimeout(time.Second), withConfig(func(c *telegram.Config) {
		c.Resolver = dcs.Plain(dcs.PlainOptions{Dial: dial})
	}))
	b.requestCode(you, ada).is(t, 500, "unknown_error")
	require.ErrorContains(t, b.factory.Check(t.Context()), "panic: in Dial")
	panics.Store(false)
	b.requestCode(them, grace).is(t, 200, "")
}
