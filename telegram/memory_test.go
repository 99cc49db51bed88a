package telegram_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestAccountIsRemembered(t *testing.T) {
	b := newBridge(t, withConfig(remembering))
	b.logIn(you, ada)
	b.telegram.ResetCalls()
	for range 3 {
		assert.NotNil(t, b.get(you, "").telegramOf(t))
	}
	assert.Zero(t, b.telegram.Calls("users.getUsers"), "the login has told")
	b.restart()
	for range 3 {
		assert.NotNil(t, b.get(you, "").telegramOf(t))
	}
	assert.Equal(t, 1, b.telegram.Calls("users.getUsers"))

	require.NoError(t, b.telegram.Revoke(ada.ID, "SESSION_REVOKED"))
	assert.NotNil(t, b.get(you, "").telegramOf(t), "as remembered")
	_, err := b.client(you).Account(t.Context()) // for an operation that does something
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	assert.Nil(t, b.get(you, "").telegramOf(t))
	b.logIn(you, helper)
	assert.EqualValues(t, helper.ID, b.get(you, "").telegramOf(t).(map[string]any)["id"])
}

func TestWhoIsNotLoggedInIsRemembered(t *testing.T) {
	b := newBridge(t, withConfig(remembering))
	assert.Nil(t, b.get(you, "").telegramOf(t))
	b.logIn(you, helper)
	assert.NotNil(t, b.get(you, "").telegramOf(t), "a login is seen at once")
	b.post(you, "/logout", "").is(t, 200, "")
	for range 2 {
		assert.Nil(t, b.get(you, "").telegramOf(t))
	}
	page := b.openQR(you)
	require.NoError(t, b.telegram.AcceptLoginToken(page.code(), ada.ID))
	page.ends(succeeds)
	assert.NotNil(t, b.get(you, "").telegramOf(t))

	// A login of another process is seen when the user store knows of it.
	assert.Nil(t, b.get(them, "").telegramOf(t))
	b.factory.StopIdle()
	b.exec("UPDATE tgprovision_session SET user_id=$1", them)
	assert.Nil(t, b.get(them, "").telegramOf(t), "as remembered")
	_, err := b.users.LinkAccount(t.Context(), them, provisioning.TelegramID(ada.ID))
	require.NoError(t, err)
	assert.NotNil(t, b.get(them, "").telegramOf(t))
}

// A login asks Telegram for nothing but the login.
func TestLoginKnowsItsAccount(t *testing.T) {
	b := newBridge(t, withConfig(remembering))
	b.requestCode(you, ada).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 200, "")
	assert.EqualValues(t, ada.ID, b.get(you, "").telegramOf(t).(map[string]any)["id"])
	assert.Zero(t, b.telegram.Calls("users.getUsers"))
}

func TestAccountOfTheRelayBotIsRemembered(t *testing.T) {
	b := newBridge(t, withConfig(remembering))
	for range 3 {
		account, err := b.relayBot().Account(provisioning.WithCachedReads(t.Context(), true))
		require.NoError(t, err)
		assert.EqualValues(t, helper.ID, account.ID)
	}
	assert.Equal(t, 1, b.telegram.Calls("users.getUsers"))
	_, err := b.relayBot().Account(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, b.telegram.Calls("users.getUsers"))
}

func TestAccountIsAskedForAgain(t *testing.T) {
	t.Run("after a call of the host's that finds the session ended", func(t *testing.T) {
		b := newBridge(t, withConfig(remembering))
		b.logIn(you, ada)
		live, err := b.factory.Telegram(t.Context(), you)
		require.NoError(t, err)
		require.NoError(t, b.telegram.Revoke(ada.ID, "SESSION_REVOKED"))
		_, err = live.Self(t.Context())
		require.Error(t, err)
		assert.Nil(t, b.get(you, "").telegramOf(t))
	})
	t.Run("after the connection broke", func(t *testing.T) {
		b := newBridge(t, withConfig(remembering))
		b.logIn(you, ada)
		b.telegram.DropConnections()
		_, err := b.client(you).GetChat(t.Context(), group(1)) // over the next one
		require.ErrorIs(t, err, provisioning.ErrNotInChat)
		b.telegram.ResetCalls()
		assert.NotNil(t, b.get(you, "").telegramOf(t))
		assert.Equal(t, 1, b.telegram.Calls("users.getUsers"))
	})
	t.Run("after another process has logged out", func(t *testing.T) {
		b := newBridge(t, withConfig(remembering))
		b.logIn(you, ada)
		b.exec("DELETE FROM tgprovision_session")
		require.NoError(t, b.users.UnlinkAccount(t.Context(), you, provisioning.TelegramID(ada.ID)))
		assert.Nil(t, b.get(you, "").telegramOf(t), "the user store has another opinion than the memory")
		user, err := b.users.User(t.Context(), you)
		require.NoError(t, err)
		assert.Zero(t, user.TelegramID)
	})
	t.Run("when it is too old", func(t *testing.T) {
		b := newBridge(t, withConfig(func(c *telegram.Config) { c.AccountAge = 1 }))
		b.logIn(you, ada)
		require.NoError(t, b.telegram.Revoke(ada.ID, "SESSION_REVOKED"))
		assert.Nil(t, b.get(you, "").telegramOf(t))
	})
}

func TestListsAreRemembered(t *testing.T) {
	b := newBridge(t, withConfig(remembering))
	collector := telegramtest.Account{
		ID: 777_001, Phone: "9996617771", Code: "12345", FirstName: "Collector", StickerSets: []string{"HotCherry", "AnimatedEmojies"},
	}
	require.NoError(t, b.telegram.AddAccount(collector))
	require.NoError(t, b.telegram.SetContacts(collector.ID, []int64{grace.ID, helper.ID}))
	dialogs, want := manyDialogs(250)
	require.NoError(t, b.telegram.SetDialogs(collector.ID, dialogs))
	b.logIn(you, collector)
	assert.ElementsMatch(t, want, b.chats())
	b.telegram.ResetCalls()
	var contacts, stickers []string
	for range 3 {
		assert.ElementsMatch(t, want, b.chats())
		contacts = append(contacts, string(b.get(you, "/contacts").is(t, 200, "").raw))
		stickers = append(stickers, string(b.get(you, "/stickersets").is(t, 200, "").raw))
	}
	assert.Contains(t, contacts[0], "Grace")
	assert.Contains(t, stickers[0], "HotCherry")
	for i := range 3 {
		assert.Equal(t, contacts[0], contacts[i])
		assert.Equal(t, stickers[0], stickers[i])
	}
	assert.Zero(t, b.telegram.Calls("messages.getDialogs"))
	assert.Equal(t, 1, b.telegram.Calls("contacts.getContacts"))
	assert.Equal(t, 1, b.telegram.Calls("messages.getAllStickers"))

	// Errors are not remembered, and neither are lists of another login.
	b.post(you, "/logout", "").is(t, 200, "")
	b.get(you, "/chats").is(t, 403, "not_logged_in")
	b.logIn(you, ada)
	b.telegram.Fail("messages.getDialogs", persistently(500), 500, "INTERNAL")
	b.get(you, "/chats").is(t, 500, "unknown_error")
	assert.Empty(t, b.chats())
}

func TestOldListsAreFetchedAgain(t *testing.T) {
	b := newBridge(t, withConfig(func(c *telegram.Config) { c.ListAge = 1 }))
	b.logIn(you, ada)
	assert.Empty(t, b.chats())
	dialogs, want := manyDialogs(1)
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	assert.Equal(t, want, b.chats())
}

func TestNewChatIsListedAtOnce(t *testing.T) {
	b := newBridge(t, withConfig(remembering))
	b.logIn(you, ada)
	assert.Empty(t, b.chats())
	created, err := b.client(you).CreateChat(t.Context(), provisioning.NewChat{Type: provisioning.ChatTypeSupergroup, Title: "New"})
	require.NoError(t, err)
	assert.Equal(t, []chat{{int64(created.ID), "New"}}, b.chats())
	require.NoError(t, b.client(you).DeleteChat(t.Context(), created.ID))
	assert.Empty(t, b.chats())

	// Also by whoever asks while a list from before is under way.
	_, err = b.client(you).CreateChat(t.Context(), provisioning.NewChat{Type: provisioning.ChatTypeChannel, Title: "First"})
	require.NoError(t, err)
	before := b.telegram.Hold("messages.getDialogs")
	first := b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", "")
	<-before.Arrived()
	created, err = b.client(you).CreateChat(t.Context(), provisioning.NewChat{Type: provisioning.ChatTypeSupergroup, Title: "Second"})
	require.NoError(t, err)
	after := b.telegram.Hold("messages.getDialogs")
	second := b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", "")
	<-after.Arrived()
	after.Release()
	assert.Contains(t, chatsOf(t, <-second), chat{int64(created.ID), "Second"})
	require.NoError(t, b.telegram.SetDialogs(ada.ID, nil)) // what the first one is about to see
	before.Release()
	chatsOf(t, <-first)
	assert.Contains(t, b.chats(), chat{int64(created.ID), "Second"}, "the list from before is not remembered")
}

func TestListIsFetchedOnceForAll(t *testing.T) {
	b := newBridge(t, withConfig(remembering))
	b.logIn(you, ada)
	dialogs, want := manyDialogs(50)
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	held := b.telegram.Hold("messages.getDialogs")
	ctx, hangUp := context.WithCancel(t.Context())
	first := b.background(ctx, http.MethodGet, "/user/"+string(you)+"/chats", "")
	<-held.Arrived()
	var others []<-chan answer
	for range 20 {
		others = append(others, b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", ""))
	}
	hangUp() // which takes the list from nobody
	require.ErrorIs(t, (<-first).err, context.Canceled)
	held.Release()
	for _, other := range others {
		assert.ElementsMatch(t, want, chatsOf(t, <-other))
	}
	assert.Equal(t, 1, b.telegram.Calls("messages.getDialogs"))
}

func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := telegram.NewSharer()
		runs := 0
		slow := func(ctx context.Context) (int, error) { // 2 seconds
			runs++
			select {
			case <-time.After(2 * time.Second):
				return 42, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		type result struct {
			value int
			err   error
		}
		ask := func(ctx context.Context) <-chan result {
			got := make(chan result, 1)
			go func() {
				value, err := telegram.Share(ctx, f, "x", slow)
				got <- result{value, err}
			}()
			synctest.Wait()
			return got
		}
		within := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}

		first, second := ask(t.Context()), ask(t.Context())
		assert.Equal(t, result{42, nil}, <-first)
		assert.Equal(t, result{42, nil}, <-second)
		assert.Equal(t, 1, runs)

		// The deadline of the first is not the second's.
		first, second = ask(within(time.Second)), ask(within(time.Minute))
		require.ErrorIs(t, (<-first).err, context.DeadlineExceeded)
		assert.Equal(t, result{42, nil}, <-second)
		assert.Equal(t, 3, runs)

		// Whoever gives up goes alone.
		ctx, giveUp := context.WithCancel(t.Context())
		first, second = ask(ctx), ask(t.Context())
		giveUp()
		require.ErrorIs(t, (<-first).err, context.Canceled)
		assert.Equal(t, result{42, nil}, <-second)
		assert.Equal(t, 4, runs)

		_, err := telegram.Share(t.Context(), f, "y", func(context.Context) (int, error) { panic("oh") })
		require.ErrorContains(t, err, "panic: oh")
		failure := errors.New("failure")
		_, err = telegram.Share(t.Context(), f, "y", func(context.Context) (int, error) { return 1, failure })
		require.ErrorIs(t, err, failure)

		// Close ends what is under way, and waits for it.
		first = ask(t.Context())
		require.NoError(t, f.Close(t.Context()))
		require.ErrorIs(t, (<-first).err, context.Canceled)
		_, err = telegram.Share(t.Context(), f, "x", slow)
		require.ErrorIs(t, err, provisioning.ErrTelegramUnavailable)
		assert.Equal(t, 5, runs)
	})
}
