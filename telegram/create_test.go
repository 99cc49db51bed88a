package telegram_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// More accounts of the tests. Nobody has the strangers as a contact.
var (
	linus    = telegramtest.Account{ID: 1003, Phone: "9996610003", FirstName: "Linus", Username: "linus"}
	private  = telegramtest.Account{ID: 1004, FirstName: "Private", Username: "private", InviteError: "USER_PRIVACY_RESTRICTED"}
	busy     = telegramtest.Account{ID: 1005, FirstName: "Busy", InviteError: "USER_CHANNELS_TOO_MUCH"}
	gone     = telegramtest.Account{ID: 1006, Deleted: true}
	stranger = telegramtest.Account{ID: 1007, FirstName: "Stranger", Username: "stranger"}
	friend   = telegramtest.Account{ID: 1008, FirstName: "Friend"}
	otherBot = telegramtest.Account{ID: 2002, FirstName: "Other", Username: "other_bot", Bot: true}
)

// newCreator returns a bridge where you are ada, who has contacts, and they are linus,
// whom she does not know.
func newCreator(t *testing.T) *bridge {
	t.Helper()
	b := newBridge(t)
	for _, account := range []telegramtest.Account{linus, private, busy, gone, stranger, friend, otherBot} {
		require.NoError(t, b.telegram.AddAccount(account))
	}
	require.NoError(t, b.telegram.SetContacts(ada.ID, []int64{grace.ID, private.ID, busy.ID, gone.ID, friend.ID, otherBot.ID}))
	b.logIn(you, ada)
	b.logIn(them, telegramtest.Account{Phone: linus.Phone, Code: telegramtest.DefaultCode})
	_, err := b.relayBot().Account(t.Context())
	require.NoError(t, err)
	return b
}

// seen returns a chat as Telegram has it.
func (b *bridge) seen(kind telegramtest.DialogKind, chatID provisioning.ChatID) telegramtest.Chat {
	b.t.Helper()
	_, id, ok := chatID.Split()
	require.True(b.t, ok)
	c, ok := b.telegram.Chat(kind, id)
	require.True(b.t, ok)
	return c
}

func TestCreateChat(t *testing.T) {
	b := newCreator(t)
	user := b.client(you)
	create := func(c provisioning.NewChat) (provisioning.ChatInfo, error) { return user.CreateChat(t.Context(), c) }

	for name, c := range map[string]struct {
		created provisioning.ChatType
		kind    telegramtest.DialogKind
	}{
		"supergroup": {provisioning.ChatTypeSupergroup, telegramtest.KindSupergroup},
		"channel":    {provisioning.ChatTypeChannel, telegramtest.KindChannel},
	} {
		t.Run(name, func(t *testing.T) {
			info, err := create(provisioning.NewChat{Type: c.created, Title: "New", About: "What for"})
			require.NoError(t, err)
			kind, id, ok := info.ID.Split()
			require.True(t, ok)
			assert.Equal(t, provisioning.PeerChannel, kind)
			want := provisioning.ChatInfo{ID: info.ID, Title: "New", About: "What for", Megagroup: c.created == provisioning.ChatTypeSupergroup}
			assert.Equal(t, want, info)
			seen := b.seen(c.kind, info.ID)
			assert.Equal(t, telegramtest.Chat{
				Kind: c.kind, ID: id, Title: "New", About: "What for", Owner: ada.ID, Members: []int64{ada.ID}, Created: seen.Created,
			}, seen)
			b.telegram.ResetCalls()
			got, err := user.GetChat(t.Context(), info.ID)
			require.NoError(t, err)
			assert.Equal(t, want, got)
			assert.Zero(t, b.telegram.Calls("messages.getDialogs"), "the hash came with the answer")
			assert.Contains(t, b.chats(), chat{int64(info.ID), "New"})

			_, err = create(provisioning.NewChat{Type: c.created, Title: " "})
			require.ErrorIs(t, err, provisioning.ErrNewChatInvalid)
			_, err = create(provisioning.NewChat{Type: c.created, Title: "New", About: strings.Repeat("é", 256)})
			require.ErrorIs(t, err, provisioning.ErrNewChatInvalid)
		})
	}
	before := len(b.telegram.Chats())

	t.Run("basic group", func(t *testing.T) {
		info, err := create(provisioning.NewChat{
			Type: provisioning.ChatTypeBasicGroup, Title: "Group", About: "What for",
			Members: ids(helper.ID, ada.ID, grace.ID, linus.ID, private.ID, stranger.ID, 404, grace.ID),
		})
		require.NoError(t, err)
		assert.Equal(t, provisioning.ChatInfo{ID: info.ID, Title: "Group", About: "What for"}, info)
		seen := b.seen(telegramtest.KindBasicGroup, info.ID)
		assert.Equal(t, "What for", seen.About)
		assert.Equal(t, []int64{ada.ID, grace.ID, linus.ID, helper.ID}, seen.Members)
		got, err := user.GetChat(t.Context(), info.ID)
		require.NoError(t, err)
		assert.Equal(t, info, got)
		_, err = b.relayBot().GetChat(t.Context(), info.ID)
		require.NoError(t, err)
		require.NoError(t, user.DeleteChat(t.Context(), info.ID))
	})
	t.Run("a member who can't be invited", func(t *testing.T) {
		info, err := create(provisioning.NewChat{
			Type: provisioning.ChatTypeBasicGroup, Title: "Group", Members: ids(busy.ID, grace.ID, gone.ID, linus.ID),
		})
		require.NoError(t, err)
		assert.Equal(t, []int64{ada.ID, grace.ID, linus.ID}, b.seen(telegramtest.KindBasicGroup, info.ID).Members)
		require.NoError(t, user.DeleteChat(t.Context(), info.ID))
	})
	t.Run("a flood wait while others are added", func(t *testing.T) {
		b.telegram.Fail("messages.addChatUser", 1, 420, "FLOOD_WAIT_300")
		_, err := create(provisioning.NewChat{
			Type: provisioning.ChatTypeBasicGroup, Title: "Group", Members: ids(busy.ID, grace.ID, linus.ID),
		})
		assert.Equal(t, &provisioning.FloodWaitError{Wait: 300 * time.Second}, err)
		b.telegram.Fail("messages.createChat", 2, 400, "CHAT_MEMBER_ADD_FAILED")
		b.telegram.Fail("messages.createChat", 1, 406, "USER_RESTRICTED")
		_, err = create(provisioning.NewChat{Type: provisioning.ChatTypeBasicGroup, Title: "Group", Members: ids(grace.ID, linus.ID)})
		wantRefusal(t, err, provisioning.ErrTelegramRestricted, 406, "USER_RESTRICTED")
	})
	t.Run("wrong hashes", func(t *testing.T) {
		b.exec("UPDATE tgprovision_peer SET access_hash=1 WHERE kind='user'")
		info, err := create(provisioning.NewChat{
			Type: provisioning.ChatTypeBasicGroup, Title: "Group", Members: ids(grace.ID, linus.ID),
		})
		require.NoError(t, err)
		assert.Equal(t, []int64{ada.ID, grace.ID, linus.ID}, b.seen(telegramtest.KindBasicGroup, info.ID).Members)
		require.NoError(t, user.DeleteChat(t.Context(), info.ID))
	})
	t.Run("too few members", func(t *testing.T) {
		for _, members := range [][]int64{nil, {ada.ID}, {stranger.ID, 404}, {busy.ID, gone.ID}} {
			_, err := create(provisioning.NewChat{Type: provisioning.ChatTypeBasicGroup, Title: "Group", Members: ids(members...)})
			require.ErrorIs(t, err, provisioning.ErrTooFewMembers, "%v", members)
		}
	})
	t.Run("refused", func(t *testing.T) {
		_, err := create(provisioning.NewChat{Type: provisioning.ChatTypeBasicGroup, Title: "", Members: ids(grace.ID)})
		require.ErrorIs(t, err, provisioning.ErrNewChatInvalid)
		long := strings.Repeat("😀", 128) // 256 UTF-16 code units
		_, err = create(provisioning.NewChat{Type: provisioning.ChatTypeBasicGroup, Title: "Group", About: long, Members: ids(grace.ID)})
		require.ErrorIs(t, err, provisioning.ErrNewChatInvalid)
		b.telegram.Fail("channels.createChannel", 1, 400, "CHANNELS_TOO_MUCH")
		_, err = create(provisioning.NewChat{Type: provisioning.ChatTypeChannel, Title: "New"})
		wantRefusal(t, err, provisioning.ErrTelegramRestricted, 400, "CHANNELS_TOO_MUCH")
	})
	t.Run("a description that can't be set", func(t *testing.T) {
		for _, refusal := range []string{"CHAT_ID_INVALID", "CHAT_WRITE_FORBIDDEN", "FLOOD_WAIT_300"} {
			b.telegram.Fail("messages.editChatAbout", 1, 400, refusal)
			info, err := create(provisioning.NewChat{Type: provisioning.ChatTypeBasicGroup, Title: "Group", About: "About", Members: ids(grace.ID)})
			require.NoError(t, err, "the group is there")
			assert.Empty(t, info.About)
			require.NoError(t, user.DeleteChat(t.Context(), info.ID))
		}
		assert.Contains(t, b.log.String(), "A new group has no description")
	})
	t.Run("the connection breaks", func(t *testing.T) {
		held := b.telegram.Hold("channels.createChannel")
		b.telegram.ResetCalls()
		done := make(chan error, 1)
		go func() {
			_, err := create(provisioning.NewChat{Type: provisioning.ChatTypeChannel, Title: "New"})
			done <- err
		}()
		<-held.Arrived()
		b.telegram.DropConnections()
		require.ErrorIs(t, <-done, provisioning.ErrTelegramUnavailable)
		held.Release()
		assert.Equal(t, 1, b.telegram.Calls("channels.createChannel"), "there may be one chat, but not two")
	})
	assert.Len(t, b.telegram.Chats(), before, "nothing stays behind")
	t.Run("that can't be taken back", func(t *testing.T) {
		b.telegram.Fail("messages.deleteChat", 1, 500, "INTERNAL")
		_, err := create(provisioning.NewChat{
			Type: provisioning.ChatTypeBasicGroup, Title: "Group", About: strings.Repeat("a", 256), Members: ids(grace.ID),
		})
		require.ErrorIs(t, err, provisioning.ErrNewChatInvalid)
		require.ErrorIs(t, err, provisioning.ErrChatLeft)
		assert.Contains(t, b.log.String(), "Could not delete a new group")
		b.telegram.Fail("messages.deleteChat", 1, 500, "INTERNAL")
		b.telegram.Fail("messages.createChat", 1, 400, "CHAT_MEMBER_ADD_FAILED")
		b.telegram.Fail("messages.addChatUser", 1, 420, "FLOOD_WAIT_300")
		_, err = create(provisioning.NewChat{Type: provisioning.ChatTypeBasicGroup, Title: "Group", Members: ids(grace.ID, linus.ID)})
		require.ErrorIs(t, err, provisioning.ErrChatLeft)
		wait, is := errors.AsType[*provisioning.FloodWaitError](err)
		require.True(t, is, "%v", err)
		assert.Equal(t, 300*time.Second, wait.Wait)
	})
}

func TestDeleteChat(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	user := b.client(you)
	chatIDs := []provisioning.ChatID{group(1), channel(2), channel(3)}
	for i, kind := range []telegramtest.DialogKind{telegramtest.KindBasicGroup, telegramtest.KindSupergroup, telegramtest.KindChannel} {
		id := int64(i + 1)
		require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: kind, ID: id, Members: []int64{ada.ID, grace.ID}, Owner: grace.ID}))
		err := user.DeleteChat(t.Context(), chatIDs[i])
		wantRefusal(t, err, provisioning.ErrTelegramRestricted, 400, "CHAT_ADMIN_REQUIRED")

		require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: kind, ID: id, Members: []int64{grace.ID}, Owner: ada.ID}))
		require.NoError(t, user.DeleteChat(t.Context(), chatIDs[i]))
		_, there := b.telegram.Chat(kind, id)
		assert.False(t, there)
		require.ErrorIs(t, user.DeleteChat(t.Context(), chatIDs[i]), provisioning.ErrNotInChat)
	}
	require.ErrorIs(t, user.DeleteChat(t.Context(), provisioning.UserChatID(provisioning.TelegramID(grace.ID))), provisioning.ErrNotInChat)
}
