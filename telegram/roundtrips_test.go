package telegram_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// callLog has the calls to Telegram, in the order in which they ended.
type callLog struct {
	mu      sync.Mutex
	methods []string
}

// keep makes the configuration of a factory whose calls are logged. What it does not set is as
// hosts have it who set nothing.
func (l *callLog) keep(c *telegram.Config) {
	c.ListAge, c.AccountAge = 0, 1 // an account is old at once
	note := c.Observer.Call
	c.Observer.Call = func(method, outcome string, took time.Duration) {
		note(method, outcome, took)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.methods = append(l.methods, method)
	}
}

// take returns the calls since the last time.
func (l *callLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	methods := slices.Clone(l.methods)
	l.methods = nil
	return methods
}

// newCounted returns a bridge whose calls to Telegram are logged, with a room that you may
// bridge.
func newCounted(t *testing.T, options ...option) (*bridge, *callLog) {
	t.Helper()
	calls, rooms := &callLog{}, provisioningtest.NewMemRooms()
	b := newBridge(t, append(options, withConfig(calls.keep), func(b *bridge) { b.rooms = rooms })...)
	rooms.Add("!room:example.com", provisioningtest.MemRoom{
		Room: provisioning.Room{Name: "Room", Users: []id.UserID{you}}, Powers: map[id.UserID]int{you: 100},
	})
	b.logIn(you, ada)
	b.telegram.ResetCalls()
	calls.take()
	return b, calls
}

const asYou = "?user_id=" + string(you)

// What an operation asks Telegram, also a while after the account was last seen: nothing but
// what it is for.
func TestCallsOfOperations(t *testing.T) {
	b, calls := newCounted(t)
	require.NoError(t, b.telegram.AddAccount(linus))
	require.NoError(t, b.telegram.SetContacts(ada.ID, []int64{linus.ID}))
	require.NoError(t, b.telegram.SetDialogs(ada.ID, []telegramtest.Dialog{{Kind: telegramtest.KindBasicGroup, ID: 1, Title: "Group"}}))
	require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: telegramtest.KindBasicGroup, ID: 1, Title: "Group", Members: []int64{ada.ID}}))
	for _, running := range []bool{true, false} {
		for _, c := range []struct {
			method, path, body string
			status             int
			want               []string
		}{
			{http.MethodGet, "/user/" + string(you) + "/chats", "", 200, []string{"messages.getDialogs"}},
			{http.MethodGet, "/user/" + string(you) + "/contacts", "", 200, []string{"contacts.getContacts"}},
			{http.MethodGet, "/user/" + string(you) + "/stickersets", "", 200, []string{"messages.getAllStickers"}},
			{http.MethodGet, "/user/" + string(you) + "/resolve_identifier/@linus", "", 200, []string{"contacts.resolveUsername"}},
			{http.MethodGet, "/user/" + string(you) + "/resolve_identifier/1003", "", 200, []string{"users.getUsers"}},
			{http.MethodPost, "/portal/!room:example.com/connect/-1" + asYou, "", 202, []string{"messages.getFullChat"}},
			{http.MethodPost, "/portal/!room:example.com/disconnect" + asYou, "", 202, nil},
			{http.MethodPost, "/portal/!room:example.com/create" + asYou, `{"type":"supergroup"}`, 201, []string{"channels.createChannel"}},
			{http.MethodPost, "/portal/!room:example.com/disconnect" + asYou, "", 202, nil},
			{http.MethodPost, "/user/" + string(you) + "/logout", "", 200, []string{"auth.logOut"}},
		} {
			if !running {
				b.restart()
				calls.take()
			}
			b.call(c.method, c.path, c.body).is(t, c.status, "")
			assert.Equal(t, c.want, calls.take(), c.path)
		}
		b.logIn(you, ada)
		calls.take()
	}
}
