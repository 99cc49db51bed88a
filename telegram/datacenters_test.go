package telegram_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Telegram may send a login to one datacenter, and on from there to the account's home.
func TestLoginsFollowToOtherDatacenters(t *testing.T) {
	alan := telegramtest.Account{ID: 1010, Phone: "9996640010", FirstName: "Alan", Code: "11111", DC: 4}
	edgar := telegramtest.Account{ID: 1011, Phone: "9996650011", FirstName: "Edgar", Code: "22222", DC: 5}
	robot := telegramtest.Account{ID: 2004, FirstName: "Robot", Username: "robot_bot", Bot: true, Token: "2004:AAE", DC: 5}
	for _, account := range []telegramtest.Account{ada, alan, edgar, helper, robot} {
		t.Run(account.FirstName, func(t *testing.T) {
			b := newBridge(t, func(b *bridge) {
				b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{
					OtherDCs: []int{4, 5}, Accounts: []telegramtest.Account{alan, edgar, robot},
				})
			})
			method := "auth.sendCode"
			if account.Bot {
				method = "auth.importBotAuthorization"
			}
			b.telegram.Fail(method, 1, 303, "NETWORK_MIGRATE_4")
			b.logIn(you, account)
			b.get(you, "/chats").is(t, 200, "")
			b.restart()
			b.get(you, "/chats").is(t, 200, "")
			assert.Equal(t, 1, b.telegram.Sessions(account.ID))
		})
	}
}

// A login that Telegram sends from one datacenter to the next for ever is given up.
func TestLoginSentRoundAndRound(t *testing.T) {
	b := newBridge(t, func(b *bridge) {
		b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{OtherDCs: []int{4}})
	})
	const all = 1000
	b.telegram.Fail("auth.sendCode", all, 303, "NETWORK_MIGRATE_2")
	b.requestCode(you, ada).is(t, 500, "unknown_error").state(t, "request")
	b.telegram.Fail("auth.sendCode", 0, 0, "")
	b.logIn(you, ada)
}

// Another datacenter that refuses the login of an account, on the way to a photo, is given it
// anew, and nobody is logged out. Only the account's home says that a session has ended.
func TestRefusalsOfOtherDatacenters(t *testing.T) {
	b := newBridge(t, func(b *bridge) {
		b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{MediaDC: 4})
	})
	data := pngOf(t, 0)
	require.NoError(t, b.telegram.SetPhoto(telegramtest.KindUser, ada.ID, telegramtest.Photo{ID: 1, Data: data}))
	own := provisioning.UserChatID(provisioning.TelegramID(ada.ID))
	b.logIn(you, ada)
	for _, method := range []string{"auth.exportAuthorization", "auth.importAuthorization", "upload.getFile"} {
		for _, name := range []string{"SESSION_PASSWORD_NEEDED", "AUTH_KEY_UNREGISTERED", "SESSION_REVOKED", "USER_DEACTIVATED", "SOMETHING_NEW"} {
			if method == "upload.getFile" && name == "SOMETHING_NEW" {
				continue // TestUnknownUnauthorized
			}
			b.factory.StopIdle() // the next photo is of a client that knows no other datacenter
			b.telegram.Fail(method, 1, 401, name)
			photo, err := b.client(you).GetPhoto(t.Context(), own, 1)
			require.NoError(t, err, "%s: %s", method, name)
			assert.True(t, bytes.Equal(data, photo.Data))
			assert.NotNil(t, b.get(you, "").telegramOf(t), "%s: %s", method, name)
		}
	}
	require.NoError(t, b.telegram.Revoke(ada.ID, "SESSION_REVOKED"))
	_, err := b.client(you).GetPhoto(t.Context(), own, 1)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	assert.Nil(t, b.get(you, "").telegramOf(t))
	assert.Zero(t, b.rows())
}
