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

// Whoever was listed a moment ago is not searched for.
func TestListedPeersAreNotSearchedFor(t *testing.T) {
	b, calls := newCounted(t)
	dialogs, _ := manyDialogs(450) // every third is a basic group
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	require.NoError(t, b.telegram.SetContacts(ada.ID, []int64{grace.ID}))
	b.chats()
	b.get(you, "/contacts").is(t, 200, "")
	calls.take()
	for _, id := range []int64{2, 350, 449} {
		_, err := b.client(you).GetChat(t.Context(), channel(id))
		require.NoError(t, err)
		assert.Equal(t, []string{"channels.getFullChannel"}, calls.take())
	}
	_, err := b.client(you).ResolveUser(t.Context(), provisioning.Identifier{ID: provisioning.TelegramID(grace.ID)})
	require.NoError(t, err)
	assert.Equal(t, []string{"users.getUsers"}, calls.take())
	b.restart() // and not in the next process either
	calls.take()
	_, err = b.client(you).GetChat(t.Context(), channel(350))
	require.NoError(t, err)
	assert.Equal(t, []string{"channels.getFullChannel"}, calls.take())
	b.post(you, "/logout", "").is(t, 200, "")
	assert.Zero(t, b.hashes(string(you)))
}

// Who is in none of the lists that were read a moment ago is not searched for in them again,
// but a chat that the account has just come into is found.
func TestListsAreNotSearchedAgain(t *testing.T) {
	b, calls := newCounted(t)
	dialogs, _ := manyDialogs(450)
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	user := b.client(you)
	find := func(id int64) error {
		_, err := user.ResolveUser(t.Context(), provisioning.Identifier{ID: provisioning.TelegramID(id)})
		return err
	}
	const page, archive = "messages.getDialogs", "messages.getDialogs"
	b.chats()
	calls.take()
	_, err := user.GetChat(t.Context(), channel(999))
	require.ErrorIs(t, err, provisioning.ErrNotInChat)
	assert.Equal(t, []string{page, archive}, calls.take())
	_, err = user.GetChat(t.Context(), channel(999))
	require.ErrorIs(t, err, provisioning.ErrNotInChat)
	assert.Equal(t, []string{page}, calls.take())
	require.ErrorIs(t, find(404), provisioning.ErrTelegramUserNotFound)
	assert.Equal(t, []string{"contacts.getContacts", page}, calls.take())
	require.ErrorIs(t, find(404), provisioning.ErrTelegramUserNotFound)
	assert.Equal(t, []string{page}, calls.take())

	require.NoError(t, b.telegram.PutDialog(ada.ID, telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: 999, Title: "Joined"}))
	_, err = user.GetChat(t.Context(), channel(999))
	require.NoError(t, err)
	assert.Equal(t, []string{page, "channels.getFullChannel"}, calls.take())
	require.NoError(t, b.telegram.PutDialog(ada.ID, telegramtest.Dialog{Kind: telegramtest.KindUser, ID: grace.ID}))
	require.NoError(t, find(grace.ID))
	assert.Equal(t, []string{page, "users.getUsers"}, calls.take())

	// A hash that is wrong says that what is stored can't be relied on.
	b.exec("UPDATE tgprovision_peer SET access_hash=1")
	_, err = user.GetChat(t.Context(), channel(449))
	require.NoError(t, err)
	assert.Equal(t, []string{"channels.getFullChannel", page, page, page, page, page, "channels.getFullChannel"}, calls.take())

	// Another account of the user has other lists.
	b.post(you, "/logout", "").is(t, 200, "")
	b.logIn(you, grace)
	require.NoError(t, b.telegram.PutDialog(grace.ID, telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: 5, Title: "Of others"}))
	_, err = b.client(you).GetChat(t.Context(), channel(5))
	require.NoError(t, err)
}

// Old lists say nothing of who is in them.
func TestOldListsAreSearchedAgain(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	for range 2 {
		b.telegram.ResetCalls()
		b.chats()
		_, err := b.client(you).GetChat(t.Context(), channel(999))
		require.ErrorIs(t, err, provisioning.ErrNotInChat)
		assert.Equal(t, 3, b.telegram.Calls("messages.getDialogs"), "the list, the same again, and the archive")
	}
}

// People who are logged in here, and the relay bot, are invited by their usernames: nothing is
// searched for.
func TestInvitedByUsername(t *testing.T) {
	b, calls := newCounted(t, withRelayBot)
	require.NoError(t, b.telegram.AddAccount(linus))
	dialogs, _ := manyDialogs(450)
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	b.logIn(them, telegramtest.Account{Phone: linus.Phone, Code: telegramtest.DefaultCode})
	_, err := b.relayBot().Account(t.Context())
	require.NoError(t, err)
	calls.take()
	const create, username, invite = "channels.createChannel", "contacts.resolveUsername", "channels.inviteToChannel"
	for _, want := range [][]string{{create, username, username, invite}, {create, invite}} {
		info, err := b.client(you).CreateChat(t.Context(), provisioning.NewChat{Type: provisioning.ChatTypeSupergroup, Title: "New"})
		require.NoError(t, err)
		missing, err := b.client(you).InviteToChat(t.Context(), info.ID, ids(helper.ID, linus.ID))
		require.NoError(t, err)
		assert.Empty(t, missing)
		assert.Equal(t, want, calls.take())
	}

	// Where Telegram lets the account ask for no more usernames, the contacts may have them.
	b.exec("DELETE FROM tgprovision_peer WHERE kind='user'")
	info, err := b.client(you).CreateChat(t.Context(), provisioning.NewChat{Type: provisioning.ChatTypeSupergroup, Title: "New"})
	require.NoError(t, err)
	require.NoError(t, b.telegram.SetContacts(ada.ID, []int64{linus.ID}))
	b.telegram.Fail(username, 2, 420, "FLOOD_WAIT_300")
	missing, err := b.client(you).InviteToChat(t.Context(), info.ID, ids(linus.ID))
	require.NoError(t, err)
	assert.Empty(t, missing)
	_, err = b.client(you).InviteToChat(t.Context(), info.ID, ids(helper.ID))
	assert.Equal(t, &provisioning.FloodWaitError{Wait: 300 * time.Second}, err)
}

// Of a long list the front is kept, and the rest is searched for.
func TestFrontOfALongListIsKept(t *testing.T) {
	b, _ := newCounted(t)
	dialogs, _ := manyDialogs(3200) // 2,133 of them have hashes
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	b.chats()
	b.telegram.ResetCalls()
	_, err := b.client(you).GetChat(t.Context(), channel(2))
	require.NoError(t, err)
	assert.Equal(t, 2000, b.hashes(string(you)))
	assert.Zero(t, b.telegram.Calls("messages.getDialogs"))
	_, err = b.client(you).GetChat(t.Context(), channel(3200))
	require.NoError(t, err)
	assert.Equal(t, 32, b.telegram.Calls("messages.getDialogs"))
}

// The account on record is there without Telegram.
func TestAccountOnRecord(t *testing.T) {
	b, calls := newCounted(t, withRelayBot)
	record := provisioning.WithRecordedAccount(t.Context(), true)
	relay, err := b.relayBot().Account(record)
	require.NoError(t, err)
	assert.EqualValues(t, helper.ID, relay.ID, "who logs in for it")
	b.restart()
	calls.take()
	for client, want := range map[*telegram.Client]int64{b.client(you): ada.ID, b.relayBot(): helper.ID} {
		account, err := client.Account(record)
		require.NoError(t, err)
		assert.EqualValues(t, want, account.ID)
	}
	_, err = b.client(them).Account(record)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	b.post(you, "/logout", "").is(t, 200, "")
	_, err = b.client(you).Account(record)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	assert.Equal(t, []string{"auth.logOut"}, calls.take())
}

// The relay bot asks Telegram only for the chat, also in a process that has just started.
func TestCallsOfTheRelayBot(t *testing.T) {
	b, calls := newCounted(t, withRelayBot)
	_, err := b.relayBot().Account(t.Context())
	require.NoError(t, err)
	for _, kind := range []telegramtest.DialogKind{telegramtest.KindBasicGroup, telegramtest.KindSupergroup} {
		require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: kind, ID: 1, Title: "Chat", Members: []int64{helper.ID}}))
	}
	for chatID, want := range map[string]string{"-1": "messages.getFullChat", "-1000000000001": "channels.getFullChannel"} {
		b.restart()
		calls.take()
		b.call(http.MethodPost, "/portal/!room:example.com/connect/"+chatID, "").is(t, 202, "")
		assert.Equal(t, []string{want}, calls.take())
		b.call(http.MethodPost, "/portal/!room:example.com/disconnect", "").is(t, 202, "")
	}
}
