package telegram_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

	b.telegram.Fail("users.getUsers", 2, 401, "SOMETHING_NEW")
	b.get(you, "/chats").is(t, 403, "not_logged_in")
	assert.Nil(t, b.get(you, "").telegramOf(t))
	assert.Zero(t, b.rows())
	b.logIn(you, ada)
}
