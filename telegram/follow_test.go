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

// A basic group that was bridged becomes a supergroup on Telegram: its portal is found by the
// ID of either, for a user and for the relay bot, which take part or not.
func TestPortalFollowsAMigratedGroup(t *testing.T) {
	for name, c := range map[string]struct{ connectedBy, askedBy string }{
		"user":                    {"?user_id=" + string(you), "?user_id=" + string(you)},
		"relay bot":               {"", ""},
		"relay bot asks":          {"?user_id=" + string(you), ""},
		"user of the chat's asks": {"", "?user_id=" + string(you)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, withRelayBot, func(b *bridge) { b.rooms = provisioningtest.NewMemRooms() })
			b.logIn(you, ada)
			const old = 71
			require.NoError(t, b.telegram.SetChat(telegramtest.Chat{
				Kind: telegramtest.KindBasicGroup, ID: old, Title: "Family", Owner: ada.ID, Members: []int64{ada.ID, helper.ID},
			}))
			room, other := b.newRoom(), b.newRoom()
			require.Equal(t, http.StatusAccepted, b.call(http.MethodPost, room+"/connect/-71"+c.connectedBy, "").status)
			shows := func(path string) any { return b.call(http.MethodGet, path, "").body["chat_id"] }
			assert.EqualValues(t, group(old), shows("/portal/-71"+c.askedBy))

			become, err := b.telegram.MigrateChat(old)
			require.NoError(t, err)
			super := fmt.Sprintf("/portal/%d", channel(become))
			for _, path := range []string{super, "/portal/-71", room, super} {
				assert.EqualValues(t, channel(become), shows(path+c.askedBy), path)
			}
			for chat, path := range map[string]string{"the group": "/connect/-71", "the supergroup": fmt.Sprintf("/connect/%d", channel(become))} {
				again := b.call(http.MethodPost, other+path+"?user_id="+string(you), "")
				assert.Equal(t, []any{http.StatusConflict, "chat_already_bridged"}, []any{again.status, again.body["errcode"]}, chat)
			}
			portal, err := b.portals.PortalByRoom(t.Context(), id.RoomID(room[len("/portal/"):]))
			require.NoError(t, err)
			assert.Equal(t, []provisioning.ChatID{channel(become), group(old)}, []provisioning.ChatID{portal.ChatID, portal.MigratedFrom})
		})
	}
}
