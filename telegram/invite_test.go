package telegram_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestInviteToChat(t *testing.T) {
	b := newCreator(t)
	user := b.client(you)
	everybody := ids(
		helper.ID, otherBot.ID, ada.ID, grace.ID, linus.ID, private.ID, busy.ID, gone.ID, stranger.ID, friend.ID, 404, grace.ID,
	)
	cantBe := ids(private.ID, busy.ID, gone.ID, stranger.ID, 404)
	for name, c := range map[string]struct {
		kind   telegramtest.DialogKind
		chatID provisioning.ChatID
		admins []int64
	}{
		"basic group": {telegramtest.KindBasicGroup, group(1), nil},
		"supergroup":  {telegramtest.KindSupergroup, channel(2), nil},
		"channel":     {telegramtest.KindChannel, channel(3), []int64{helper.ID, otherBot.ID}},
	} {
		t.Run(name, func(t *testing.T) {
			_, id, _ := c.chatID.Split()
			set := telegramtest.Chat{Kind: c.kind, ID: id, Title: "Chat", Owner: ada.ID, Members: []int64{friend.ID}}
			require.NoError(t, b.telegram.SetChat(set))
			want := telegramtest.Chat{
				Kind: c.kind, ID: id, Title: "Chat", Owner: ada.ID, Members: []int64{ada.ID, grace.ID, linus.ID, friend.ID, helper.ID, otherBot.ID},
			}
			for range 2 { // again changes nothing
				missing, err := user.InviteToChat(t.Context(), c.chatID, everybody)
				require.NoError(t, err)
				assert.ElementsMatch(t, cantBe, missing)
				got := b.seen(c.kind, c.chatID)
				assert.ElementsMatch(t, c.admins, got.Admins)
				got.Admins = nil
				assert.Equal(t, want, got)
			}
			_, err := b.relayBot().GetChat(t.Context(), c.chatID)
			require.NoError(t, err)

			missing, err := user.InviteToChat(t.Context(), c.chatID, nil)
			require.NoError(t, err)
			assert.Empty(t, missing)
		})
		t.Run(name+", wrong hashes", func(t *testing.T) {
			_, id, _ := c.chatID.Split()
			require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: c.kind, ID: id, Owner: ada.ID}))
			b.exec("UPDATE tgprovision_peer SET access_hash=1")
			missing, err := user.InviteToChat(t.Context(), c.chatID, ids(grace.ID, linus.ID, private.ID))
			require.NoError(t, err)
			assert.Equal(t, ids(private.ID), missing)
			assert.Equal(t, []int64{ada.ID, grace.ID, linus.ID}, b.seen(c.kind, c.chatID).Members)
		})
		t.Run(name+", errors", func(t *testing.T) {
			_, id, _ := c.chatID.Split()
			method := "channels.inviteToChannel"
			if c.kind == telegramtest.KindBasicGroup {
				method = "messages.addChatUser"
			}
			for _, refusal := range []string{
				"USER_PRIVACY_RESTRICTED", "USER_NOT_MUTUAL_CONTACT", "USER_BLOCKED", "USER_KICKED", "USER_CHANNELS_TOO_MUCH",
				"INPUT_USER_DEACTIVATED", "USERS_TOO_MUCH", "BOT_GROUPS_BLOCKED",
			} {
				require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: c.kind, ID: id, Owner: ada.ID}))
				b.telegram.Fail(method, 2, 400, refusal) // for all at once, and for the first by itself
				missing, err := user.InviteToChat(t.Context(), c.chatID, ids(grace.ID, friend.ID))
				require.NoError(t, err)
				b.telegram.Fail(method, 0, 0, "")
				if c.kind == telegramtest.KindBasicGroup {
					assert.Equal(t, ids(grace.ID, friend.ID), missing, refusal)
					continue
				}
				assert.Equal(t, ids(grace.ID), missing, refusal)
				assert.Equal(t, []int64{ada.ID, friend.ID}, b.seen(c.kind, c.chatID).Members)
			}
			b.telegram.Fail(method, 1, 420, "FLOOD_WAIT_300")
			_, err := user.InviteToChat(t.Context(), c.chatID, ids(grace.ID))
			assert.Equal(t, &provisioning.FloodWaitError{Wait: 300 * time.Second}, err)
			// Not the owner any more.
			require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: c.kind, ID: id, Members: []int64{ada.ID}, AdminsInvite: true}))
			_, err = user.InviteToChat(t.Context(), c.chatID, ids(grace.ID))
			wantRefusal(t, err, provisioning.ErrTelegramRestricted, 403, "CHAT_ADMIN_REQUIRED")
			require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: c.kind, ID: id}))
			_, err = user.InviteToChat(t.Context(), c.chatID, ids(grace.ID))
			require.ErrorIs(t, err, provisioning.ErrNotInChat)
		})
	}
	_, err := user.InviteToChat(t.Context(), provisioning.UserChatID(provisioning.TelegramID(grace.ID)), ids(friend.ID))
	require.ErrorIs(t, err, provisioning.ErrNotInChat)

	t.Run("many", func(t *testing.T) {
		var many []int64
		for i := range int64(250) {
			many = append(many, 50_000+i)
			require.NoError(t, b.telegram.AddAccount(telegramtest.Account{ID: 50_000 + i}))
		}
		require.NoError(t, b.telegram.SetContacts(ada.ID, many))
		require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: telegramtest.KindSupergroup, ID: 4, Owner: ada.ID}))
		b.telegram.ResetCalls()
		missing, err := user.InviteToChat(t.Context(), channel(4), ids(many...))
		require.NoError(t, err)
		assert.Empty(t, missing)
		assert.Equal(t, append([]int64{ada.ID}, many...), b.seen(telegramtest.KindSupergroup, channel(4)).Members)
		assert.Equal(t, []int{3, 1}, []int{b.telegram.Calls("channels.inviteToChannel"), b.telegram.Calls("contacts.getContacts")})
	})
	t.Run("a username that has gone to somebody else", func(t *testing.T) {
		for _, username := range []string{stranger.Username, "nobody", "super4"} {
			chat := telegramtest.Chat{Kind: telegramtest.KindSupergroup, ID: 4, Owner: ada.ID, Username: "super4"}
			require.NoError(t, b.telegram.SetChat(chat))
			b.exec("DELETE FROM tgprovision_peer WHERE session_id="+rowOf+" AND peer_id=$2", you, linus.ID)
			require.NoError(t, b.factory.SetUsername(t.Context(), them, username))
			missing, err := user.InviteToChat(t.Context(), channel(4), ids(linus.ID))
			require.NoError(t, err)
			assert.Equal(t, ids(linus.ID), missing)
		}
		// Asking for the account finds out the new one.
		_, err := b.client(them).Account(t.Context())
		require.NoError(t, err)
		missing, err := user.InviteToChat(t.Context(), channel(4), ids(linus.ID))
		require.NoError(t, err)
		assert.Empty(t, missing)
	})
}
