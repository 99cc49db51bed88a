package telegram_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// client returns the client of a Matrix user.
func (b *bridge) client(userID id.UserID) *telegram.Client {
	b.t.Helper()
	c, err := b.factory.Client(b.t.Context(), userID)
	require.NoError(b.t, err)
	return c.(*telegram.Client)
}

func (b *bridge) relayBot() *telegram.Client {
	b.t.Helper()
	bot, err := b.factory.RelayBot(helper.Token)
	require.NoError(b.t, err)
	return bot
}

// rowOf is SQL for the row of a user.
const rowOf = `(SELECT id FROM tgprovision_session WHERE user_id=$1 AND step='active')`

// hashes counts the access hashes that a session has stored.
func (b *bridge) hashes(session string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.db.QueryRow(b.t.Context(), "SELECT COUNT(*) FROM tgprovision_peer WHERE session_id="+rowOf, session).Scan(&n))
	return n
}

func (b *bridge) exec(query string, args ...any) {
	b.t.Helper()
	_, err := b.db.Exec(b.t.Context(), query, args...)
	require.NoError(b.t, err)
}

// Chat IDs of the tests.
func group(id int64) provisioning.ChatID   { return provisioning.BasicGroupChatID(id) }
func channel(id int64) provisioning.ChatID { return provisioning.ChannelChatID(id) }

func TestGetChat(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	require.NoError(t, b.telegram.SetDialogs(ada.ID, []telegramtest.Dialog{
		{Kind: telegramtest.KindUser, ID: grace.ID},
		{Kind: telegramtest.KindBasicGroup, ID: 2, Title: "Left", Left: true},
		{Kind: telegramtest.KindBasicGroup, ID: 3, Title: "Thrown out", Forbidden: true},
		{Kind: telegramtest.KindBasicGroup, ID: 4, Title: "Migrated", MigratedTo: 20},
		{Kind: telegramtest.KindSupergroup, ID: 12, Title: "Left", Left: true},
		{Kind: telegramtest.KindSupergroup, ID: 13, Title: "Thrown out", Forbidden: true},
		{Kind: telegramtest.KindSupergroup, ID: 14, Title: "Left, public", Left: true},
		{Kind: telegramtest.KindChannel, ID: 15, Title: "Archived", Archived: true},
	}))
	for _, c := range []telegramtest.Chat{
		{Kind: telegramtest.KindBasicGroup, ID: 1, Title: "Group", About: "A é😀", Members: []int64{ada.ID}, Photo: telegramtest.Photo{ID: 77}},
		{Kind: telegramtest.KindSupergroup, ID: 11, Title: "Super", About: "About", Username: "super", Members: []int64{ada.ID, helper.ID}, Photo: telegramtest.Photo{ID: 78}},
		{Kind: telegramtest.KindChannel, ID: 3_000_000_000, Title: "News", Username: "news", Collectibles: []string{"other"}, Members: []int64{ada.ID}},
		{Kind: telegramtest.KindSupergroup, ID: 14, Title: "Left, public", Username: "left"},
		{Kind: telegramtest.KindSupergroup, ID: 20, Title: "Of others", Members: []int64{grace.ID, helper.ID}},
	} {
		require.NoError(t, b.telegram.SetChat(c))
	}
	require.NoError(t, b.telegram.PutDialog(ada.ID, telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: 14, Left: true}))
	require.NoError(t, b.telegram.PutDialog(helper.ID, telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: 13, Forbidden: true}))
	user, bot := b.client(you), b.relayBot()
	super := provisioning.ChatInfo{ID: channel(11), Title: "Super", About: "About", Username: "super", Megagroup: true, PhotoID: 78}

	for _, want := range []provisioning.ChatInfo{
		{ID: group(1), Title: "Group", About: "A é😀", PhotoID: 77},
		super,
		{ID: channel(3_000_000_000), Title: "News", Username: "news"},
		{ID: channel(15), Title: "Archived"},
	} {
		t.Run(want.Title, func(t *testing.T) {
			got, err := user.GetChat(t.Context(), want.ID)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
	for name, chatID := range map[string]provisioning.ChatID{
		"unknown group": group(999), "unknown channel": channel(999), "left group": group(2), "forbidden group": group(3),
		"migrated group": group(4), "left channel": channel(12), "forbidden channel": channel(13), "left public channel": channel(14),
		"channel of others": channel(20), "user": provisioning.UserChatID(provisioning.TelegramID(grace.ID)), "nothing": 0, "out of range": math.MinInt64,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := user.GetChat(t.Context(), chatID)
			require.ErrorIs(t, err, provisioning.ErrNotInChat)
			require.NotErrorIs(t, err, provisioning.ErrTelegramUnavailable)
		})
	}

	t.Run("relay bot", func(t *testing.T) {
		got, err := bot.GetChat(t.Context(), channel(11)) // logs itself in
		require.NoError(t, err)
		assert.Equal(t, super, got)
		got, err = bot.GetChat(t.Context(), channel(20))
		require.NoError(t, err)
		assert.Equal(t, "Of others", got.Title)
		for _, chatID := range []provisioning.ChatID{channel(13), channel(15), channel(999), group(1)} {
			_, err = bot.GetChat(t.Context(), chatID)
			require.ErrorIs(t, err, provisioning.ErrNotInChat)
		}
	})
	t.Run("hashes are remembered", func(t *testing.T) {
		b.restart()
		b.telegram.ResetCalls()
		_, err := b.client(you).GetChat(t.Context(), channel(11))
		require.NoError(t, err)
		assert.Zero(t, b.telegram.Calls("messages.getDialogs"))
		user = b.client(you)
	})
	t.Run("wrong hash", func(t *testing.T) {
		b.exec("UPDATE tgprovision_peer SET access_hash=1")
		b.telegram.ResetCalls()
		got, err := user.GetChat(t.Context(), channel(11))
		require.NoError(t, err)
		assert.Equal(t, super, got)
		assert.Equal(t, 1, b.telegram.Calls("messages.getDialogs"))
		assert.Equal(t, 2, b.telegram.Calls("channels.getFullChannel"))
	})
	t.Run("wrong hash of a chat that is gone", func(t *testing.T) {
		b.exec("INSERT INTO tgprovision_peer VALUES ("+rowOf+", 'channel', 999, 1)", you)
		_, err := user.GetChat(t.Context(), channel(999))
		require.ErrorIs(t, err, provisioning.ErrNotInChat)
	})
	t.Run("errors", func(t *testing.T) {
		for code, message := range map[int]string{400: "CHANNEL_PRIVATE", 406: "CHANNEL_PRIVATE", 403: "CHANNEL_PUBLIC_GROUP_NA"} {
			b.telegram.Fail("channels.getFullChannel", 1, code, message)
			_, err := user.GetChat(t.Context(), channel(11))
			require.ErrorIs(t, err, provisioning.ErrNotInChat)
		}
		slept := b.pauses()
		b.telegram.Fail("channels.getFullChannel", 1, 420, "FLOOD_WAIT_3")
		_, err := user.GetChat(t.Context(), channel(11))
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{3 * time.Second}, slept())
		b.telegram.Fail("messages.getFullChat", 1, 420, "FLOOD_WAIT_300")
		_, err = user.GetChat(t.Context(), group(1))
		assert.Equal(t, &provisioning.FloodWaitError{Wait: 300 * time.Second}, err)
		b.telegram.Fail("messages.getFullChat", 1, 400, "MSG_ID_INVALID")
		_, err = user.GetChat(t.Context(), group(1))
		wantRefusal(t, err, provisioning.ErrBridgeRefused, 400, "MSG_ID_INVALID")
	})
	t.Run("database down", func(t *testing.T) {
		b.exec("ALTER TABLE tgprovision_peer RENAME TO away")
		_, err := user.GetChat(t.Context(), channel(11))
		require.ErrorContains(t, err, "access hashes")
		require.NotErrorIs(t, err, provisioning.ErrTelegramUnavailable)
		b.exec("ALTER TABLE away RENAME TO tgprovision_peer")
	})
	t.Run("deadline", func(t *testing.T) {
		held := b.telegram.Hold("channels.getFullChannel")
		defer held.Release()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := user.GetChat(ctx, channel(11))
			done <- err
		}()
		<-held.Arrived()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
	t.Run("hashes go with the session", func(t *testing.T) {
		require.NotZero(t, b.hashes(string(you)))
		require.NoError(t, b.telegram.Revoke(ada.ID, "SESSION_REVOKED"))
		_, err := user.GetChat(t.Context(), channel(11))
		require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
		assert.Zero(t, b.hashes(string(you)))
		_, err = user.GetChat(t.Context(), channel(11))
		require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	})
}

// A search reads only as many pages as it needs, and remembers what it has seen.
func TestSearchForAccessHashes(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	var dialogs []telegramtest.Dialog
	for i := range int64(450) {
		d := telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: i + 1, Title: fmt.Sprint(i + 1)}
		d.Archived = d.ID > 300
		dialogs = append(dialogs, d)
	}
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	user := b.client(you)
	for _, step := range []struct {
		id          int64
		pages, rows int
	}{
		// A folder that is read to its end takes one page more: the first again.
		{150, 2, 200}, {20, 0, 200}, {160, 0, 200}, {301, 5, 400}, {450, 6, 450}, {999, 7, 450},
	} {
		b.telegram.ResetCalls()
		_, err := user.GetChat(t.Context(), channel(step.id))
		if step.id == 999 {
			require.ErrorIs(t, err, provisioning.ErrNotInChat)
		} else {
			require.NoError(t, err)
		}
		assert.Equal(t, []int{step.pages, step.rows}, []int{b.telegram.Calls("messages.getDialogs"), b.hashes(string(you))}, step.id)
	}
	// The next account of the user knows nothing of them.
	b.post(you, "/logout", "").is(t, 200, "")
	assert.Zero(t, b.hashes(string(you)))
	b.logIn(you, grace)
	_, err := b.client(you).GetChat(t.Context(), channel(1))
	require.ErrorIs(t, err, provisioning.ErrNotInChat)
}
