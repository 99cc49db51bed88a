package integration

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/client"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// People call for themselves with the tokens that their homeserver gives them.
func TestTokenStory(t *testing.T) {
	for hs, newHomeserver := range homeservers {
		t.Run(hs, func(t *testing.T) {
			s := newStage(t, newHomeserver, databases["sqlite"](t), "-matrix-auth")
			alice, bob, admin := s.hs.user(t, "alice"), s.hs.user(t, "bob"), s.hs.user(t, "admin")
			openID, err := alice.RequestOpenIDToken(t.Context())
			require.NoError(t, err)
			for token, mayFor := range map[string]map[id.UserID]string{
				alice.AccessToken:              {alice.UserID: "", bob.UserID: "mxid_mismatch"},
				"openid:" + openID.AccessToken: {alice.UserID: "", bob.UserID: "mxid_mismatch"},
				admin.AccessToken:              {alice.UserID: "", bob.UserID: ""},
				"nobody's":                     {alice.UserID: "shared_secret_invalid"},
				"openid:nobody's":              {alice.UserID: "shared_secret_invalid"},
				s.registration.AppToken:        {alice.UserID: "mxid_mismatch"},
			} {
				api, err := client.New(s.example.url, token, client.WithHTTPClient(&http.Client{Transport: checked{t}}))
				require.NoError(t, err)
				for userID, errcode := range mayFor {
					me, err := client.Do(api.GetMeWithResponse(t.Context(), string(userID)))
					if errcode == "" {
						require.NoError(t, err)
						assert.Equal(t, string(userID), me.JSON200.Mxid)
						continue
					}
					var fault *client.Error
					require.ErrorAs(t, err, &fault)
					assert.Equal(t, errcode, fault.Errcode)
				}
			}
			// Nobody named is the caller, whose power counts.
			roomID := s.room(alice, mautrix.ReqCreateRoom{Preset: "public_chat"})
			_, err = bob.JoinRoomByID(t.Context(), roomID)
			require.NoError(t, err)
			for _, c := range []struct {
				user    *mautrix.Client
				errcode string
			}{{bob, "not_enough_permissions"}, {alice, "not_logged_in"}, {alice, ""}} {
				if c.errcode == "" { // the relay bot does not act for her
					s.login(alice, ada)
				}
				api, err := client.New(s.example.url, c.user.AccessToken, client.WithHTTPClient(&http.Client{Transport: checked{t}}))
				require.NoError(t, err)
				_, err = client.Do(api.ConnectPortalWithResponse(t.Context(), string(roomID), -1000000000011, nil))
				var fault *client.Error
				if c.errcode == "" {
					require.NoError(t, err)
				} else if assert.ErrorAs(t, err, &fault) {
					assert.Equal(t, c.errcode, fault.Errcode)
				}
			}
			// Who has joined the room sees its portal, as does an admin.
			for user, errcode := range map[*mautrix.Client]string{bob: "", alice: "", admin: "", s.hs.user(t, "carol"): "portal_not_found"} {
				api, err := client.New(s.example.url, user.AccessToken, client.WithHTTPClient(&http.Client{Transport: checked{t}}))
				require.NoError(t, err)
				_, err = client.Do(api.GetPortalWithResponse(t.Context(), string(roomID), nil))
				var fault *client.Error
				if errcode == "" {
					require.NoError(t, err, user.UserID)
				} else if assert.ErrorAs(t, err, &fault) {
					assert.Equal(t, errcode, fault.Errcode)
				}
			}
		})
	}
}

// Contacts get their avatars in the background. On bridgev2 they have those of its ghosts.
func TestAvatarStory(t *testing.T) {
	onBundledParts(t, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		contact := func(account telegramtest.Account) client.Contact {
			contacts, err := client.Do(s.api(t).GetContactsWithResponse(t.Context(), string(alice.UserID)))
			require.NoError(t, err)
			return (*contacts.JSON200)[fmt.Sprint(account.ID)]
		}
		s.wantMedia(alice, string(bert.Photo.Data), func() id.ContentURIString {
			return id.ContentURIString(contact(bert).AvatarUrl)
		})
		profile, err := alice.GetProfile(t.Context(), s.ghost(bert))
		require.NoError(t, err)
		assert.Equal(t, []any{"Bert", contact(bert).AvatarUrl}, []any{profile.DisplayName, profile.AvatarURL.String()})
		assert.Empty(t, contact(cleo).AvatarUrl)
		downloads := s.telegram.Calls("upload.getFile")
		s.restart()
		assert.Equal(t, profile.AvatarURL.String(), contact(bert).AvatarUrl, "remembered")
		assert.Equal(t, downloads, s.telegram.Calls("upload.getFile"))
	})
}

func TestDirectStory(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		path := "/user/" + string(alice.UserID) + "/pm/"
		started, err := client.Do(s.api(t).StartDmWithResponse(t.Context(), string(alice.UserID), "@bert_tg"))
		require.NoError(t, err)
		roomID := id.RoomID(started.JSON201.RoomId)
		assert.Equal(t, []any{true, bert.ID}, []any{started.JSON201.JustCreated, started.JSON201.Id})
		// The invitation says that the chat is direct, and comes from the ghost.
		invite := s.invitation(alice, roomID)
		inRoom := []id.UserID{alice.UserID, s.ghost(bert), s.bot()}
		if s.bridgev2 { // which invites by itself, and brings the user's own ghost in
			inRoom = append(inRoom, s.ghost(ada))
		} else {
			assert.True(t, invite.Content.AsMember().IsDirect)
			assert.Equal(t, s.ghost(bert), invite.Sender)
		}
		_, err = alice.JoinRoomByID(t.Context(), roomID)
		require.NoError(t, err)
		members, err := alice.JoinedMembers(t.Context(), roomID)
		require.NoError(t, err)
		assert.ElementsMatch(t, inRoom, slices.Collect(maps.Keys(members.Joined)))
		assert.Equal(t, "Bert", members.Joined[s.ghost(bert)].DisplayName)

		for _, identifier := range []string{"bert_tg", "2002", "%2B9996620002", "https:%2F%2Ft.me%2Fbert_tg"} {
			again := s.post(200, "", path+identifier)
			assert.Equal(t, []any{string(roomID), false}, []any{again["room_id"], again["just_created"]})
		}
		s.post(404, "M_NOT_FOUND", path+"nobody_at_all")
		// Whoever has left is invited again.
		_, err = alice.LeaveRoom(t.Context(), roomID)
		require.NoError(t, err)
		s.post(200, "", path+"2002")
		assert.Equal(t, event.MembershipInvite, s.membership(s.as(s.ghost(bert)), roomID, alice.UserID))
		_, err = alice.JoinRoomByID(t.Context(), roomID)
		require.NoError(t, err)
		// Whoever is banned is not, and the log says so: not that the homeserver is away.
		_, err = s.as(s.bot()).BanUser(t.Context(), roomID, &mautrix.ReqBanUser{UserID: alice.UserID})
		require.NoError(t, err)
		s.post(500, "unknown_error", path+"2002")
		s.until("the log says that nobody may invite", func() bool {
			return strings.Contains(s.stderr.String(), provisioning.ErrMatrixInviteRefused.Error())
		})
		_, err = s.as(s.bot()).UnbanUser(t.Context(), roomID, &mautrix.ReqUnbanUser{UserID: alice.UserID})
		require.NoError(t, err)
		s.post(200, "", path+"2002")
		_, err = alice.JoinRoomByID(t.Context(), roomID)
		require.NoError(t, err)

		s.post(202, "", "/portal/"+string(roomID)+"/disconnect?sync=true&delete=true")
		assert.Equal(t, event.MembershipLeave, s.membership(alice, roomID, alice.UserID))
		assert.Equal(t, true, s.post(201, "", path+"2002")["just_created"])
	})
}
