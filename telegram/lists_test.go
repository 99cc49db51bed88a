package telegram_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/internal/testsleep"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

type chat struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
}

func (b *bridge) chats() []chat {
	b.t.Helper()
	return chatsOf(b.t, b.get(you, "/chats"))
}

func chatsOf(t *testing.T, a answer) (chats []chat) {
	t.Helper()
	a.is(t, 200, "")
	require.NoError(t, json.Unmarshal(a.raw, &chats))
	return chats
}

func TestChatsOfEveryKind(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	assert.JSONEq(t, `[]`, string(b.get(you, "/chats").raw))
	require.NoError(t, b.telegram.SetDialogs(ada.ID, []telegramtest.Dialog{
		{Kind: telegramtest.KindUser, ID: grace.ID},
		{Kind: telegramtest.KindUser, ID: ada.ID},
		{Kind: telegramtest.KindBasicGroup, ID: 1001, Title: "Group"},
		{Kind: telegramtest.KindSupergroup, ID: 5, Title: "Super"},
		{Kind: telegramtest.KindChannel, ID: 3_000_000_000, Title: "News é中😀", Pinned: true},
		{Kind: telegramtest.KindBasicGroup, ID: 6, Title: "Migrated", MigratedTo: 5},
		{Kind: telegramtest.KindBasicGroup, ID: 7, Title: "Left group", Forbidden: true},
		{Kind: telegramtest.KindChannel, ID: 8, Title: "Left channel", Forbidden: true},
		{Kind: telegramtest.KindChannel, ID: 9, Title: "Archived", Archived: true},
	}))
	assert.ElementsMatch(t, []chat{
		{grace.ID, "Grace"},
		{ada.ID, "Ada Lovelace"},
		{-1001, "Group"},
		{-1000000000005, "Super"},
		{-1003000000000, "News é中😀"},
		{-7, "Left group"},
		{-1000000000008, "Left channel"},
	}, b.chats())
}

// manyDialogs are dialogs of mixed kinds, some of them pinned, archived or migrated.
func manyDialogs(n int) (dialogs []telegramtest.Dialog, want []chat) {
	for i := range n {
		raw := int64(i + 1)
		d := telegramtest.Dialog{ID: raw, Title: fmt.Sprint("Chat ", raw)}
		var id int64
		switch i % 3 {
		case 0:
			d.Kind, id = telegramtest.KindBasicGroup, -raw
		case 1:
			d.Kind, id = telegramtest.KindSupergroup, -1000000000000-raw
		default:
			d.Kind, id = telegramtest.KindChannel, -1000000000000-raw
		}
		d.Pinned = i%2000 == 5
		dialogs, want = append(dialogs, d), append(want, chat{id, d.Title})
	}
	return dialogs, want
}

func TestTenThousandChats(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	dialogs, want := manyDialogs(10_000)
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	b.telegram.ResetCalls()
	assert.ElementsMatch(t, want, b.chats())
	assert.LessOrEqual(t, b.telegram.Calls("messages.getDialogs"), 101)
}

func TestTenThousandContacts(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	var ids []int64
	for i := range int64(10_000) {
		ids = append(ids, 50_000+i)
		require.NoError(t, b.telegram.AddAccount(telegramtest.Account{ID: 50_000 + i, FirstName: "Contact", LastName: strconv.FormatInt(i, 10)}))
	}
	require.NoError(t, b.telegram.SetContacts(ada.ID, ids))
	for range 2 { // the same full answer at every call
		a := b.get(you, "/contacts").is(t, 200, "")
		require.Len(t, a.body, len(ids))
		assert.Equal(t, map[string]any{
			"id": 50_007., "name": "Contact 7", "username": "", "phone": "", "is_bot": false, "avatar_url": "",
		}, a.body["50007"])
	}
}

func TestContacts(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	require.NoError(t, b.telegram.SetContacts(ada.ID, []int64{grace.ID, helper.ID}))
	assert.JSONEq(t, `{
		"1002": {"id": 1002, "name": "Grace", "username": "", "phone": "+9996610002", "is_bot": false, "avatar_url": ""},
		"2001": {"id": 2001, "name": "Helper", "username": "helper_bot", "phone": "", "is_bot": true, "avatar_url": ""}
	}`, string(b.get(you, "/contacts").is(t, 200, "").raw))
}

func TestPortalsOfABot(t *testing.T) {
	b := newBridge(t)
	portal := provisioning.Portal{RoomID: "!a:example.com", ChatID: -1000000000005, Title: "Super"}
	require.NoError(t, b.portals.Connect(t.Context(), provisioning.NewPortal{Portal: portal, Accounts: ids(helper.ID)}))
	b.logIn(you, helper)
	assert.Equal(t, []chat{{-1000000000005, "Super"}}, b.chats())
	assert.Zero(t, b.telegram.Calls("messages.getDialogs"))
}

// pauses replaces the flood-wait pauses and records them.
func (b *bridge) pauses() func() []time.Duration {
	var mu sync.Mutex
	var slept []time.Duration
	testsleep.Set(b.factory, func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		slept = append(slept, d)
		return nil
	})
	return func() []time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return slept
	}
}

func TestShortFloodWaitsAreWaitedOut(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	dialogs, want := manyDialogs(250)
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	slept := b.pauses()

	b.telegram.Fail("messages.getDialogs", 2, 420, "FLOOD_WAIT_5")
	assert.ElementsMatch(t, want, b.chats())
	assert.Equal(t, []time.Duration{5 * time.Second, 5 * time.Second}, slept())

	// A third one is over the ten seconds that a request may wait in all.
	b.telegram.Fail("messages.getDialogs", 3, 420, "FLOOD_WAIT_5")
	a := b.get(you, "/chats").is(t, 429, "flood_wait")
	assert.Equal(t, "5", a.header.Get("Retry-After"))
	assert.Len(t, slept(), 4)

	b.telegram.Fail("contacts.getContacts", 1, 420, "FLOOD_WAIT_11")
	a = b.get(you, "/contacts").is(t, 429, "flood_wait")
	assert.Equal(t, "11", a.header.Get("Retry-After"))
	assert.Len(t, slept(), 4)
}

func TestStickerSets(t *testing.T) {
	b := newBridge(t)
	collector := telegramtest.Account{ID: 777_001, Phone: "9996617771", Code: "12345", FirstName: "Collector", StickerSets: []string{"HotCherry", "AnimatedEmojies"}}
	require.NoError(t, b.telegram.AddAccount(collector))
	b.logIn(you, collector)
	for range 2 {
		assert.JSONEq(t, `["HotCherry","AnimatedEmojies"]`, string(b.get(you, "/stickersets").is(t, 200, "").raw))
	}
	b.telegram.Fail("messages.getAllStickers", 1, 420, "FLOOD_WAIT_11")
	b.get(you, "/stickersets").is(t, 429, "flood_wait")
	require.NoError(t, b.telegram.Revoke(collector.ID, "SESSION_REVOKED"))
	b.get(you, "/stickersets").is(t, 403, "not_logged_in")
}

func TestFloodWaitInTheMiddle(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	dialogs, want := manyDialogs(10_000)
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	slept := b.pauses()
	const pages = 10_000 / 100
	held := b.telegram.Hold("messages.getDialogs")
	listed := b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", "")
	for page := range pages {
		<-held.Arrived()
		next := b.telegram.Hold("messages.getDialogs")
		if page == pages/2 {
			b.telegram.Fail("messages.getDialogs", 1, 420, "FLOOD_WAIT_3")
		}
		held.Release()
		held = next
	}
	held.Release()
	assert.ElementsMatch(t, want, chatsOf(t, <-listed))
	assert.Equal(t, []time.Duration{3 * time.Second}, slept())
}

func TestFloodWaitBeyondTheDeadlineIsNotWaitedOut(t *testing.T) {
	patient := withConfig(func(c *telegram.Config) { c.MaxFloodWait = time.Hour })
	b := newBridge(t, patient, withTimeout(time.Minute))
	b.logIn(you, ada)
	slept := b.pauses()
	b.telegram.Fail("messages.getDialogs", 1, 420, "FLOOD_WAIT_61")
	b.get(you, "/chats").is(t, 429, "flood_wait")
	assert.Empty(t, slept())
}

func TestLoginNeverWaitsForFloods(t *testing.T) {
	b := newBridge(t)
	slept := b.pauses()
	b.telegram.Fail("auth.sendCode", 1, 420, "FLOOD_WAIT_1")
	b.requestCode(you, ada).is(t, 429, "flood_wait")
	assert.Empty(t, slept())
}

func TestHangingUpEndsTheRequest(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	held := b.telegram.Hold("messages.getDialogs")
	defer held.Release()
	ctx, hangUp := context.WithCancel(t.Context())
	listed := b.background(ctx, http.MethodGet, "/user/"+string(you)+"/chats", "")
	<-held.Arrived()
	hangUp()
	require.ErrorIs(t, (<-listed).err, context.Canceled)
	// The request's work has ended although Telegram never answered.
	require.NoError(t, b.core.Close(t.Context()))
}

func TestHangingUpDoesNotLoseTheLogin(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, ada).is(t, 200, "")
	held := b.telegram.Hold("auth.signIn")
	ctx, hangUp := context.WithCancel(t.Context())
	sent := b.background(ctx, http.MethodPost, "/user/"+string(you)+"/login/send_code", `{"code":"01234"}`)
	<-held.Arrived()
	hangUp()
	require.ErrorIs(t, (<-sent).err, context.Canceled)
	held.Release()
	require.NoError(t, b.core.Close(t.Context())) // the request has been worked off
	b.restart()
	assert.NotNil(t, b.get(you, "").telegramOf(t))
}

func TestTelegramUnreachable(t *testing.T) {
	const deadline = 300 * time.Millisecond
	for name, breakIt := range map[string]func(*telegramtest.Server){
		"refuses":       func(s *telegramtest.Server) { s.Refuse(true) },
		"never answers": func(s *telegramtest.Server) { s.Blackhole(true) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, withTimeout(deadline))
			breakIt(b.telegram)
			b.requestCode(you, ada).is(t, 500, "unknown_error").state(t, "request")
			b.post(you, "/login/bot_token", `{"token":"2001:AAE-token"}`).is(t, 500, "unknown_error").state(t, "token")
			assert.Zero(t, b.rows())
			assert.Nil(t, b.get(you, "").telegramOf(t), "nobody is logged in: Telegram need not be asked")
		})
		t.Run(name+" after the login", func(t *testing.T) {
			b := newBridge(t)
			b.logIn(you, ada)
			b.timeout = deadline
			b.restart()
			breakIt(b.telegram)
			assert.NotNil(t, b.get(you, "").telegramOf(t), "as last seen, though the deadline is short")
			b.get(you, "/chats").is(t, 500, "unknown_error")
			b.get(you, "/contacts").is(t, 500, "unknown_error")
			b.post(you, "/logout", "").is(t, 200, "") // gone here, whatever Telegram thinks
			assert.Zero(t, b.rows())
			assert.Nil(t, b.get(you, "").telegramOf(t))
		})
	}
}

func TestConnectionBreaks(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	for range 3 {
		b.telegram.DropConnections()
		assert.NotNil(t, b.get(you, "").telegramOf(t))
	}
	// In the middle of a call.
	held := b.telegram.Hold("messages.getDialogs")
	listed := b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", "")
	<-held.Arrived()
	b.telegram.DropConnections()
	held.Release()
	(<-listed).is(t, 200, "")
	assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
}

func TestOneClientServesEveryRequest(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.restart()
	before := strings.Count(b.log.String(), "Starting a Telegram client")
	var listed []<-chan answer
	for range 10 {
		listed = append(listed, b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", ""))
	}
	for _, a := range listed {
		(<-a).is(t, 200, "")
	}
	assert.Equal(t, before+1, strings.Count(b.log.String(), "Starting a Telegram client"))
}

func TestOldLoginsAreForgotten(t *testing.T) {
	b := newBridge(t, withConfig(func(c *telegram.Config) { c.LoginTimeout = time.Hour }))
	b.requestCode(you, ada).is(t, 200, "")
	require.NoError(t, b.factory.EndDue(t.Context()))
	require.Equal(t, 1, b.rows(), "a young login stays")

	long := func() {
		_, err := b.db.Exec(t.Context(), "UPDATE tgprovision_session SET due_at=due_at-3600001 WHERE step='code'")
		require.NoError(t, err)
	}
	long()
	b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 403, "phone_code_expired").state(t, "request")
	assert.Zero(t, b.rows())

	b.requestCode(you, ada).is(t, 200, "")
	b.logIn(them, grace)
	long()
	require.NoError(t, b.factory.EndDue(t.Context()))
	assert.Equal(t, 1, b.rows())
	assert.Equal(t, 1, b.factory.Slots())
	assert.NotNil(t, b.get(them, "").telegramOf(t), "whoever is logged in stays so")
}

// Trouble of Telegram's own, once on one page of many, is nothing to hear of.
func TestTransientTroubleStaysInside(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	for _, trouble := range []struct {
		code    int
		message string
	}{{500, "INTERNAL"}, {-503, "Timeout"}, {500, "RPC_CALL_FAIL"}} {
		for _, method := range []string{"messages.getDialogs", "contacts.getContacts", "users.getUsers", "contacts.resolveUsername"} {
			b.telegram.Fail(method, 2, trouble.code, trouble.message)
		}
		b.get(you, "/chats").is(t, 200, "")
		b.get(you, "/contacts").is(t, 200, "")
		b.get(you, "/resolve_identifier/helper_bot").is(t, 200, "")
		assert.NotNil(t, b.get(you, "").telegramOf(t))
	}
}

// A message that Telegram has not looked at is sent again.
func TestIgnoredMessagesAreSentAgain(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	for _, code := range []int{16, 17, 18, 19, 20, 32, 33, 34, 35, 64} {
		b.telegram.RejectCalls(1, code)
		b.get(you, "/chats").is(t, 200, "")
	}
	b.telegram.RejectCalls(1, 20)
	b.requestCode(them, grace).is(t, 200, "")
	b.telegram.RejectCalls(1, 20)
	b.post(them, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "")
}
