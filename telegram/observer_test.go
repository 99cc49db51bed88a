package telegram_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/telegram"
)

// observations counts what an Observer was told.
type observations struct {
	mu           sync.Mutex
	calls        map[string]int // by "method outcome"
	waits        []string
	cancelled    chan string
	disconnected chan struct{}
}

func (o *observations) observe(c *telegram.Config) {
	o.calls, o.cancelled, o.disconnected = map[string]int{}, make(chan string, 10), make(chan struct{}, 100)
	c.Observer = telegram.Observer{
		Call: func(method, outcome string, took time.Duration) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if took >= 0 {
				o.calls[method+" "+outcome]++
			}
			if outcome == "cancelled" {
				o.cancelled <- method
			}
		},
		FloodWait: func(wait time.Duration, waitedOut bool) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.waits = append(o.waits, fmt.Sprint(wait, " ", waitedOut))
		},
		Disconnected: func() { o.disconnected <- struct{}{} },
	}
}

// take returns what has been told since the last time.
func (o *observations) take() (calls map[string]int, waits []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	calls, waits = o.calls, o.waits
	o.calls, o.waits = map[string]int{}, nil
	return calls, waits
}

func TestObserverIsToldOfCalls(t *testing.T) {
	var o observations
	b := newBridge(t, withConfig(o.observe))
	b.requestCode(you, ada).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":"00000"}`).is(t, 401, "phone_code_invalid")
	b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 200, "")
	calls, waits := o.take()
	assert.Empty(t, waits)
	// These tests remember no account, so that a login looks once more whether it still is one.
	assert.Equal(t, map[string]int{"auth.sendCode ok": 1, "auth.signIn refused": 1, "auth.signIn ok": 1, "users.getUsers ok": 1}, calls)

	b.logIn(them, helper)
	b.get(them, "").is(t, 200, "")
	b.post(them, "/logout", "").is(t, 200, "")
	calls, _ = o.take()
	assert.Equal(t, 1, calls["auth.importBotAuthorization ok"])
	assert.Equal(t, 1, calls["auth.logOut ok"])
	assert.Positive(t, calls["users.getUsers ok"])

	b.telegram.Fail("contacts.getContacts", persistently(-503), -503, "Timeout")
	b.get(you, "/contacts").is(t, 500, "unknown_error")
	calls, _ = o.take()
	assert.Equal(t, 4, calls["contacts.getContacts internal"])

	// A call that nobody waits for any more.
	held := b.telegram.Hold("contacts.resolveUsername")
	ctx, cancel := context.WithCancel(t.Context())
	resolved := b.background(ctx, "GET", "/user/"+string(you)+"/resolve_identifier/somebody", "")
	<-held.Arrived()
	cancel()
	require.Error(t, (<-resolved).err)
	assert.Equal(t, "contacts.resolveUsername", <-o.cancelled)
	held.Release()
}

func TestObserverIsToldOfFloodWaits(t *testing.T) {
	var o observations
	b := newBridge(t, withConfig(o.observe))
	b.logIn(you, ada)
	slept := b.pauses()
	b.telegram.Fail("messages.getDialogs", 1, 420, "FLOOD_WAIT_5")
	b.get(you, "/chats").is(t, 200, "")
	b.telegram.Fail("messages.getDialogs", 1, 420, "FLOOD_WAIT_3600")
	b.get(you, "/chats").is(t, 429, "flood_wait")
	calls, waits := o.take()
	assert.Equal(t, []string{"5s true", "1h0m0s false"}, waits)
	assert.Equal(t, 2, calls["messages.getDialogs flood_wait"])
	assert.Equal(t, 1, calls["messages.getDialogs ok"])
	assert.Len(t, slept(), 1)
}

func TestStats(t *testing.T) {
	var o observations
	b := newBridge(t, withConfig(o.observe))
	assert.Equal(t, telegram.Stats{}, b.factory.Stats())
	b.logIn(you, ada)
	b.requestCode(them, grace).is(t, 200, "")
	assert.Equal(t, telegram.Stats{Connected: 2}, b.factory.Stats())

	b.telegram.Refuse(true)
	b.telegram.DropConnections()
	for b.factory.Stats() != (telegram.Stats{Connecting: 2}) {
		<-o.disconnected // also of those that try again, in vain
	}
	b.telegram.Refuse(false)
	b.get(you, "").is(t, 200, "")

	b.restart()
	for len(o.disconnected) > 0 {
		<-o.disconnected
	}
	assert.Equal(t, telegram.Stats{}, b.factory.Stats(), "clients start when they are needed")
	b.get(you, "").is(t, 200, "")
	assert.Equal(t, telegram.Stats{Connected: 1}, b.factory.Stats())
	b.post(you, "/logout", "").is(t, 200, "")
	assert.Equal(t, telegram.Stats{}, b.factory.Stats())
	assert.Empty(t, o.disconnected, "what was to stop has not broken")
}

// Whatever a host calls on the same clients, there are no more methods than those of
// the list.
func TestObserverIsToldOfAHostsCalls(t *testing.T) {
	var o observations
	clients := make(chan *gotd.Client, 1)
	b := newBridge(t, withConfig(func(c *telegram.Config) {
		o.observe(c)
		c.Running = func(ctx context.Context, _ id.UserID, client *gotd.Client) {
			clients <- client
			<-ctx.Done()
		}
	}))
	b.logIn(you, ada)
	api := (<-clients).API()
	o.take()
	_, err := api.HelpGetNearestDC(t.Context())
	require.NoError(t, err)
	_, err = api.UsersGetUsers(t.Context(), []tg.InputUserClass{&tg.InputUserSelf{}})
	require.NoError(t, err)
	calls, _ := o.take()
	assert.Equal(t, 1, calls["users.getUsers ok"])
	assert.Equal(t, 1, calls["other ok"])
	assert.Contains(t, telegram.ObservedMethods(), "users.getUsers")
	assert.NotContains(t, telegram.ObservedMethods(), "help.getNearestDc")
}
