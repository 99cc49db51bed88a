package telegram_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// A session is revoked, and its connection breaks at the same moment: who asks right
// afterwards hears that nobody is logged in.
func TestRevokedWhileTheConnectionBreaks(t *testing.T) {
	for _, name := range []string{"SESSION_REVOKED", "SESSION_EXPIRED", "USER_DEACTIVATED_BAN", "AUTH_KEY_UNREGISTERED"} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			for range 25 {
				b.logIn(you, ada)
				require.NoError(t, b.telegram.Revoke(ada.ID, name))
				b.telegram.DropConnections()
				b.get(you, "/chats").is(t, 403, "not_logged_in")
				assert.Nil(t, b.get(you, "").telegramOf(t))
				assert.Zero(t, b.rows())
			}
		})
	}
}

// An unknown 401 error counts when a fresh connection says the same. Once by itself it is an
// error like any other, and the session goes on.
func TestUnknownUnauthorized(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.telegram.Fail("messages.getDialogs", 1, 401, "SOMETHING_NEW")
	a := b.get(you, "/chats")
	assert.Equal(t, 500, a.status, "%s", a.raw)
	b.get(you, "/chats").is(t, 200, "")
	assert.NotNil(t, b.get(you, "").telegramOf(t))

	b.telegram.Fail("messages.getDialogs", 1, 401, "SOMETHING_NEW")
	b.telegram.Fail("users.getUsers", 1, 401, "SOMETHING_NEW")
	b.get(you, "/chats").is(t, 403, "not_logged_in")
	assert.Nil(t, b.get(you, "").telegramOf(t))
	assert.Zero(t, b.rows())
	b.logIn(you, ada)
}

// Telegram ends the session of a user who connects a room, in the middle: they are logged
// out, and the relay bot connects it, if it is in the chat.
func TestRevokedWhileConnecting(t *testing.T) {
	rooms := provisioningtest.NewMemRooms()
	b := newBridge(t, withRelayBot, func(b *bridge) { b.rooms = rooms })
	for _, c := range []telegramtest.Chat{
		{Kind: telegramtest.KindBasicGroup, ID: 1, Title: "Group", Members: []int64{ada.ID, helper.ID}},
		{Kind: telegramtest.KindSupergroup, ID: 11, Title: "Super", Members: []int64{ada.ID, helper.ID}},
		{Kind: telegramtest.KindSupergroup, ID: 12, Title: "Without the bot", Members: []int64{ada.ID}},
	} {
		require.NoError(t, b.telegram.SetChat(c))
	}
	for i, c := range []struct {
		method, chatID string
		status         int
		errcode        string
	}{
		{"messages.getFullChat", "-1", 202, ""},
		{"channels.getFullChannel", "-1000000000011", 202, ""},
		{"channels.getFullChannel", "-1000000000012", 403, "bot_not_in_chat"},
	} {
		roomID := fmt.Sprintf("!room%d:example.com", i)
		rooms.Add(id.RoomID(roomID), provisioningtest.MemRoom{Room: provisioning.Room{Users: []id.UserID{you}}, Powers: map[id.UserID]int{you: 50}})
		b.logIn(you, ada)
		b.telegram.Fail(c.method, 1, 401, "AUTH_KEY_UNREGISTERED")
		b.call(http.MethodPost, "/portal/"+roomID+"/connect/"+c.chatID+"?user_id="+string(you), "").is(t, c.status, c.errcode)
		user, err := b.users.User(t.Context(), you)
		require.NoError(t, err)
		assert.Zero(t, user.TelegramID, "the account is still linked")
		assert.Nil(t, b.get(you, "").telegramOf(t))
	}
}
