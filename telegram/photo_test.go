package telegram_test

import (
	"bytes"
	"image"
	"image/png"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// pngOf returns a PNG of at least the given size.
func pngOf(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))))
	return append(b.Bytes(), make([]byte, max(0, size-b.Len()))...)
}

func TestGetPhoto(t *testing.T) {
	b := newCreator(t)
	small, large, odd := pngOf(t, 0), pngOf(t, 3<<19+5), []byte("no image")
	whole := pngOf(t, 512<<10) // a whole part
	set := func(kind telegramtest.DialogKind, id, photoID int64, data []byte) {
		t.Helper()
		require.NoError(t, b.telegram.SetPhoto(kind, id, telegramtest.Photo{ID: photoID, Data: data}))
	}
	members := []int64{ada.ID, helper.ID}
	require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: telegramtest.KindBasicGroup, ID: 1, Members: members}))
	require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: telegramtest.KindSupergroup, ID: 2, Members: members}))
	require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: telegramtest.KindChannel, ID: 3, Members: []int64{grace.ID}}))
	require.NoError(t, b.telegram.PutDialog(ada.ID, telegramtest.Dialog{Kind: telegramtest.KindChannel, ID: 3, Forbidden: true}))
	set(telegramtest.KindUser, ada.ID, 11, whole)
	set(telegramtest.KindUser, grace.ID, 12, odd)
	set(telegramtest.KindUser, stranger.ID, 13, small)
	set(telegramtest.KindBasicGroup, 1, 21, large)
	set(telegramtest.KindSupergroup, 2, 22, small)
	set(telegramtest.KindChannel, 3, 23, small)
	user, bot := b.client(you), b.relayBot()

	for _, c := range []struct {
		name    string
		by      *telegram.Client
		chatID  provisioning.ChatID
		photoID int64
		data    []byte
		typ     string
	}{
		{"of oneself", user, provisioning.UserChatID(provisioning.TelegramID(ada.ID)), 11, whole, "image/png"},
		{"of a contact", user, provisioning.UserChatID(provisioning.TelegramID(grace.ID)), 12, odd, "image/jpeg"},
		{"of a group", user, group(1), 21, large, "image/png"},
		{"of a supergroup", user, channel(2), 22, small, "image/png"},
		{"of a group, for a bot", bot, group(1), 21, large, "image/png"},
		{"of a supergroup, for a bot", bot, channel(2), 22, small, "image/png"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.by.GetPhoto(t.Context(), c.chatID, c.photoID)
			require.NoError(t, err)
			assert.Equal(t, []any{c.photoID, c.typ}, []any{got.ID, got.Type})
			assert.True(t, bytes.Equal(c.data, got.Data))
		})
	}
	for name, c := range map[string]struct {
		chatID  provisioning.ChatID
		photoID int64
	}{
		"another photo":      {channel(2), 21},
		"no photo":           {provisioning.UserChatID(provisioning.TelegramID(friend.ID)), 14},
		"of a stranger":      {provisioning.UserChatID(provisioning.TelegramID(stranger.ID)), 13},
		"of a strange group": {group(999), 24},
		"of a chat left":     {channel(3), 23},
		"of nothing":         {0, 24},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := user.GetPhoto(t.Context(), c.chatID, c.photoID)
			require.ErrorIs(t, err, provisioning.ErrPhotoGone)
		})
	}
	t.Run("errors", func(t *testing.T) {
		for _, message := range []string{"FILE_REFERENCE_EXPIRED", "FILE_ID_INVALID", "LOCATION_INVALID"} {
			b.telegram.Fail("upload.getFile", 1, 400, message)
			_, err := user.GetPhoto(t.Context(), channel(2), 22)
			require.ErrorIs(t, err, provisioning.ErrPhotoGone)
		}
		slept := b.pauses()
		b.telegram.Fail("upload.getFile", 1, 420, "FLOOD_PREMIUM_WAIT_4")
		_, err := user.GetPhoto(t.Context(), channel(2), 22)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{4 * time.Second}, slept())
	})
	t.Run("wrong hash", func(t *testing.T) {
		b.exec("UPDATE tgprovision_peer SET access_hash=1")
		for chatID, photoID := range map[provisioning.ChatID]int64{channel(2): 22, provisioning.UserChatID(provisioning.TelegramID(grace.ID)): 12} {
			_, err := user.GetPhoto(t.Context(), chatID, photoID)
			require.NoError(t, err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		set(telegramtest.KindSupergroup, 2, 25, make([]byte, 6<<20))
		_, err := user.GetPhoto(t.Context(), channel(2), 25)
		require.ErrorContains(t, err, "5242880 bytes")
	})
}

// Where the photos lie in another datacenter, the client moves its login there.
func TestGetPhotoFromAnotherDatacenter(t *testing.T) {
	count, dialled := countDials()
	b := newBridge(t, withConfig(count), func(b *bridge) {
		b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{MediaDC: 4})
	})
	b.logIn(you, ada)
	data := pngOf(t, 600<<10)
	require.NoError(t, b.telegram.SetPhoto(telegramtest.KindUser, ada.ID, telegramtest.Photo{ID: 1, Data: data}))
	for range 2 {
		photo, err := b.client(you).GetPhoto(t.Context(), provisioning.UserChatID(provisioning.TelegramID(ada.ID)), 1)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data, photo.Data))
	}
	assert.EqualValues(t, 2, dialled.Load())
	assert.Equal(t, 1, b.telegram.Calls("auth.importAuthorization"))
	assert.NotNil(t, b.get(you, "").telegramOf(t))
}
