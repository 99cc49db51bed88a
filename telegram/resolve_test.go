package telegram_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestResolveUser(t *testing.T) {
	b := newCreator(t)
	require.NoError(t, b.telegram.AddAccount(telegramtest.Account{ID: 1009, FirstName: "Archived"}))
	require.NoError(t, b.telegram.AddAccount(telegramtest.Account{ID: 1010, Phone: "9996610010", Deleted: true}))
	require.NoError(t, b.telegram.PutDialog(ada.ID, telegramtest.Dialog{Kind: telegramtest.KindUser, ID: 1009, Archived: true}))
	require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: telegramtest.KindSupergroup, ID: 1, Username: "super"}))
	require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: telegramtest.KindChannel, ID: 2, Username: "news"}))
	require.NoError(t, b.telegram.SetPhoto(telegramtest.KindUser, linus.ID, telegramtest.Photo{ID: 55}))
	username := func(s string) provisioning.Identifier { return provisioning.Identifier{Username: s} }
	phone := func(s string) provisioning.Identifier { return provisioning.Identifier{Phone: s} }
	userID := func(n int64) provisioning.Identifier { return provisioning.Identifier{ID: provisioning.TelegramID(n)} }
	user, bot := b.client(you), b.relayBot()
	wantLinus := provisioning.Contact{ID: provisioning.TelegramID(linus.ID), Name: "Linus", Username: "linus", PhotoID: 55}
	wantGrace := provisioning.Contact{ID: provisioning.TelegramID(grace.ID), Name: "Grace", Phone: grace.Phone}

	for _, c := range []struct {
		name string
		by   *telegram.Client
		who  provisioning.Identifier
		want provisioning.Contact
	}{
		{"ID of oneself", user, userID(ada.ID), provisioning.Contact{ID: provisioning.TelegramID(ada.ID), Name: "Ada Lovelace", Username: "ada", Phone: ada.Phone}},
		{"ID of a contact", user, userID(grace.ID), wantGrace},
		{"ID in an archived chat", user, userID(1009), provisioning.Contact{ID: 1009, Name: "Archived"}},
		{"username", user, username("LINUS"), wantLinus},
		{"username of a bot", user, username("other_bot"), provisioning.Contact{ID: provisioning.TelegramID(otherBot.ID), Name: "Other", Username: "other_bot", IsBot: true}},
		{"ID that was resolved before", user, userID(linus.ID), wantLinus},
		{"phone", user, phone("+999 661-0002"), wantGrace},
		{"username by a bot", bot, username("linus"), wantLinus},
		{"ID by a bot", bot, userID(linus.ID), wantLinus},
		{"ID of a bot itself", bot, userID(helper.ID), provisioning.Contact{ID: provisioning.TelegramID(helper.ID), Name: "Helper", Username: "helper_bot", IsBot: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.by.ResolveUser(t.Context(), c.who)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	for _, c := range []struct {
		name string
		by   *telegram.Client
		who  provisioning.Identifier
		want error
	}{
		{"unknown username", user, username("nobody"), provisioning.ErrTelegramUserNotFound},
		{"not a username", user, username("a b"), provisioning.ErrTelegramUserNotFound},
		{"supergroup", user, username("super"), provisioning.ErrNotTelegramUser},
		{"channel", user, username("news"), provisioning.ErrNotTelegramUser},
		{"unknown phone", user, phone("+9996619999"), provisioning.ErrTelegramUserNotFound},
		{"not a phone", user, phone("+12"), provisioning.ErrTelegramUserNotFound},
		{"phone of a deleted account", user, phone("+9996610010"), provisioning.ErrTelegramUserNotFound},
		{"phone by a bot", bot, phone("+9996610002"), provisioning.ErrTelegramUserNotFound},
		{"unknown ID", user, userID(stranger.ID), provisioning.ErrTelegramUserNotFound},
		{"ID of nobody", user, userID(404), provisioning.ErrTelegramUserNotFound},
		{"ID of a deleted contact", user, userID(gone.ID), provisioning.ErrTelegramUserNotFound},
		{"ID of nobody by a bot", bot, userID(404), provisioning.ErrTelegramUserNotFound},
		{"nothing", user, provisioning.Identifier{}, provisioning.ErrTelegramUserNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.by.ResolveUser(t.Context(), c.who)
			require.ErrorIs(t, err, c.want)
			require.NotErrorIs(t, err, provisioning.ErrTelegramUnavailable)
		})
	}
	t.Run("wrong hash", func(t *testing.T) {
		b.exec("UPDATE tgprovision_peer SET access_hash=1")
		got, err := user.ResolveUser(t.Context(), userID(grace.ID))
		require.NoError(t, err)
		assert.Equal(t, wantGrace, got)
		b.exec("UPDATE tgprovision_peer SET access_hash=1")
		_, err = user.ResolveUser(t.Context(), userID(linus.ID))
		require.ErrorIs(t, err, provisioning.ErrTelegramUserNotFound, "in no list")
	})
	t.Run("rationed", func(t *testing.T) {
		b.telegram.Fail("contacts.resolveUsername", 1, 420, "FLOOD_WAIT_86400")
		_, err := user.ResolveUser(t.Context(), username("linus"))
		assert.Equal(t, &provisioning.FloodWaitError{Wait: 24 * time.Hour}, err)
	})
	t.Run("contacts", func(t *testing.T) {
		require.NoError(t, b.telegram.SetContacts(ada.ID, []int64{linus.ID}))
		contacts, err := user.Contacts(t.Context(), provisioning.ContactQuery{})
		require.NoError(t, err)
		withPhone := wantLinus
		withPhone.Phone = linus.Phone
		assert.Equal(t, []provisioning.Contact{withPhone}, contacts)
	})
}
