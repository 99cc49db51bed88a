package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tgprovision/tgprovision/provisioning/client"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// everywhere runs a story on the bundled parts, on every homeserver with every database, and
// on a bridge of bridgev2, on Dendrite with every database.
func everywhere(t *testing.T, story func(*testing.T, *stage)) {
	onBundledParts(t, story)
	onBridgev2(t, bridgeSettings{}, story)
}

func onBundledParts(t *testing.T, story func(*testing.T, *stage)) {
	for db, newDatabase := range databases {
		for hs, newHomeserver := range homeservers {
			t.Run(hs+" "+db, func(t *testing.T) {
				t.Parallel()
				story(t, newStage(t, newHomeserver, newDatabase(t)))
			})
		}
	}
}

func onBridgev2(t *testing.T, settings bridgeSettings, story func(*testing.T, *stage)) {
	for db, newDatabase := range databases {
		t.Run("bridgev2 "+db, func(t *testing.T) {
			t.Parallel()
			story(t, newBridgev2Stage(t, homeservers["dendrite"], newDatabase(t), settings))
		})
	}
}

func TestConnectStory(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stage) {
		alice, guest := s.hs.user(t, "alice"), s.hs.user(t, "guest")
		s.login(alice, ada)
		aliceID := string(alice.UserID)
		asAlice := "?user_id=" + aliceID
		first := s.room(alice, mautrix.ReqCreateRoom{Preset: "public_chat", Name: "First", Topic: "Of all"})
		second := s.room(alice, mautrix.ReqCreateRoom{Preset: "public_chat"})
		third := s.room(alice, mautrix.ReqCreateRoom{Preset: "public_chat", Name: "Third"})
		for _, roomID := range []id.RoomID{first, second, third} {
			_, err := guest.JoinRoomByID(t.Context(), roomID)
			require.NoError(t, err)
		}
		at := func(roomID id.RoomID) string { return "/portal/" + string(roomID) }
		const lounge = "/connect/-1000000000011"

		api := s.api(t)
		chats, err := client.Do(api.GetChatsWithResponse(t.Context(), aliceID, nil))
		require.NoError(t, err)
		require.JSONEq(t, `[
			{"id":-1000000000011,"title":"Lounge","type":"supergroup","username":"","room_id":null},
			{"id":-12,"title":"Family","type":"chat","username":"","room_id":null}]`, string(chats.Body))

		look, err := client.Do(api.PreflightConnectWithResponse(t.Context(), string(first), (*chats.JSON200)[0].Id, &client.PreflightConnectParams{UserId: &aliceID}))
		require.NoError(t, err)
		require.True(t, look.JSON200.CanConnect)
		assert.Equal(t, client.ActorUser, *look.JSON200.Acting)

		// Connected, it can be read at once, by room and by chat.
		connected, err := client.Do(api.ConnectPortalWithResponse(t.Context(), string(first), (*chats.JSON200)[0].Id, &client.ConnectPortalParams{UserId: &aliceID}))
		require.NoError(t, err)
		require.NotNil(t, connected.JSON202)
		byChat, err := client.Do(api.GetPortalByTgidWithResponse(t.Context(), -1000000000011, &client.GetPortalByTgidParams{UserId: &aliceID}))
		require.NoError(t, err)
		assert.Equal(t, string(first), byChat.JSON200.Mxid)
		assert.True(t, byChat.JSON200.CanUnbridge)
		assert.Equal(t, "Lounge", s.get(200, "", at(first))["title"])
		assert.Equal(t, string(first), s.get(200, "", "/portal/-1000000000011")["mxid"], "without the slash of the document")
		s.until("the first room shows its bridge", func() bool { return s.bridgeInfo(alice, first) == "[Lounge][Lounge]" })
		var name event.RoomNameEventContent
		require.NoError(t, alice.StateEvent(t.Context(), first, event.StateRoomName, "", &name))
		assert.Equal(t, "First", name.Name, "the room had a name")

		// Elsewhere it is a conflict, but for force.
		s.post(200, "bridge_exists", at(first)+lounge+asAlice)
		s.post(409, "room_already_bridged", at(first)+"/connect/-12"+asAlice)
		s.post(409, "chat_already_bridged", at(second)+lounge+asAlice)
		s.post(400, "body_value_invalid", at(second)+lounge+asAlice+"&force=maybe")
		s.bring(alice, first, bert)
		s.post(202, "", at(second)+lounge+asAlice+"&force=unbridge")
		s.get(404, "portal_not_found", at(first))
		s.until("the ghost leaves the first room", func() bool { return s.membership(alice, first, s.ghost(bert)) == event.MembershipLeave })
		s.until("the first room shows no bridge", func() bool { return s.bridgeInfo(alice, first) == "" })
		assert.Equal(t, event.MembershipJoin, s.membership(alice, first, s.bot()), "only ghosts leave")
		assert.Equal(t, event.MembershipJoin, s.membership(alice, first, guest.UserID))
		s.until("the second room gets a name", func() bool {
			return alice.StateEvent(t.Context(), second, event.StateRoomName, "", &name) == nil && name.Name == "Lounge"
		})

		s.wantMedia(alice, "\xff\xd8\xff\xe0 a lounge", func() (uri id.ContentURIString) {
			var avatar event.RoomAvatarEventContent
			_ = alice.StateEvent(t.Context(), second, event.StateRoomAvatar, "", &avatar)
			return avatar.URL
		})

		s.bring(alice, second, bert)
		s.post(202, "", at(third)+lounge+asAlice+"&force=delete")
		s.get(404, "portal_not_found", at(second))
		s.until("the second room is emptied", func() bool { return s.membership(alice, second, s.bot()) == event.MembershipLeave })
		assert.Equal(t, event.MembershipLeave, s.membership(alice, second, guest.UserID), "everybody was kicked before the bot left")
		assert.Equal(t, event.MembershipLeave, s.membership(alice, second, s.ghost(bert)))
		assert.Equal(t, event.MembershipJoin, s.membership(alice, second, alice.UserID), "the bot has no more power than alice")

		// Unbridged, and deleted.
		s.bring(alice, third, bert)
		s.bring(alice, third, cleo)
		yes := true
		_, err = client.Do(api.DisconnectPortalWithResponse(t.Context(), string(third), &client.DisconnectPortalParams{UserId: &aliceID, Sync: &yes}))
		require.NoError(t, err)
		s.get(404, "portal_not_found", at(third))
		s.get(404, "portal_not_found", "/portal/-1000000000011")
		for _, account := range []telegramtest.Account{bert, cleo} {
			assert.Equal(t, event.MembershipLeave, s.membership(alice, third, s.ghost(account)))
		}
		assert.Equal(t, event.MembershipJoin, s.membership(alice, third, s.bot()))
		assert.Equal(t, event.MembershipJoin, s.membership(alice, third, guest.UserID))
		s.post(404, "portal_not_found", at(third)+"/disconnect"+asAlice)
		s.post(202, "", at(third)+"/connect/-12"+asAlice)
		s.post(202, "", at(third)+"/disconnect"+asAlice+"&sync=true&delete=true")
		assert.Equal(t, event.MembershipLeave, s.membership(alice, third, guest.UserID))
		assert.Equal(t, event.MembershipLeave, s.membership(alice, third, s.bot()))
	})
}

// Who may do what, on real power levels.
func TestPermissionStory(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stage) {
		alice, admin, low := s.hs.user(t, "alice"), s.hs.user(t, "admin"), s.hs.user(t, "low")
		guest := s.hs.user(t, "guest")
		roomID := s.room(alice, mautrix.ReqCreateRoom{
			Preset: "public_chat", Name: "Hall",
			PowerLevelOverride: &event.PowerLevelsEventContent{Events: map[string]int{"fi.mau.telegram.unbridge": 100, "fi.mau.telegram.bridge": 25}},
		})
		for _, user := range []*mautrix.Client{low, guest} {
			_, err := user.JoinRoomByID(t.Context(), roomID)
			require.NoError(t, err)
		}
		connect := "/portal/" + string(roomID) + "/connect/-1000000000011"
		disconnect := "/portal/" + string(roomID) + "/disconnect"
		as := func(user *mautrix.Client) string { return "?user_id=" + string(user.UserID) }
		s.post(403, "not_enough_permissions", connect+as(low))
		s.post(403, "not_enough_permissions", connect+as(guest))
		s.post(403, "not_enough_permissions", connect+"?user_id=@outsider:"+dendriteDomain)
		s.post(403, "not_enough_permissions", connect+"?user_id="+string(s.bot()))
		s.post(403, "not_enough_permissions", connect+"?user_id="+string(s.ghost(bert)))
		s.post(403, "bot_not_in_chat", "/portal/"+string(roomID)+"/connect/-12"+as(alice))
		var levels event.PowerLevelsEventContent
		require.NoError(t, alice.StateEvent(t.Context(), roomID, event.StatePowerLevels, "", &levels))
		levels.SetUserLevel(guest.UserID, 25)
		_, err := alice.SendStateEvent(t.Context(), roomID, event.StatePowerLevels, "", &levels)
		require.NoError(t, err)
		s.post(202, "", connect+as(guest)) // the relay bot acts
		assert.Equal(t, false, s.get(200, "", "/portal/"+string(roomID)+as(guest))["can_unbridge"])
		assert.Equal(t, true, s.get(200, "", "/portal/"+string(roomID)+as(alice))["can_unbridge"])
		assert.Equal(t, true, s.get(200, "", "/portal/"+string(roomID)+as(admin))["can_unbridge"])
		s.post(403, "not_enough_permissions", disconnect+as(guest))
		s.post(202, "", disconnect+as(admin))
		s.post(202, "", connect) // nobody asks: nobody is checked
		s.post(202, "", disconnect)
	})
}

func TestBadRooms(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		weak := &event.PowerLevelsEventContent{Users: map[id.UserID]int{s.bot(): 50}} // alice can throw it out
		path := func(roomID id.RoomID) string {
			return "/portal/" + string(roomID) + "/connect/-1000000000011?user_id=" + string(alice.UserID)
		}
		s.post(403, "bot_not_in_room", path("!unknown:"+dendriteDomain))
		s.post(403, "bot_not_in_room", path("!unknown"))
		private, err := alice.CreateRoom(t.Context(), &mautrix.ReqCreateRoom{Preset: "private_chat"})
		require.NoError(t, err)
		s.post(403, "bot_not_in_room", path(private.RoomID))
		kicked := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat", PowerLevelOverride: weak})
		_, err = alice.KickUser(t.Context(), kicked, &mautrix.ReqKickUser{UserID: s.bot()})
		require.NoError(t, err)
		s.post(403, "bot_not_in_room", path(kicked))
		banned := s.room(alice, mautrix.ReqCreateRoom{Preset: "public_chat", PowerLevelOverride: weak})
		_, err = alice.BanUser(t.Context(), banned, &mautrix.ReqBanUser{UserID: s.bot()})
		require.NoError(t, err)
		s.post(403, "bot_not_in_room", path(banned))

		// A portal whose room the bot was thrown out of: nobody there can show power.
		portal := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat", Name: "Portal", PowerLevelOverride: weak})
		s.post(202, "", path(portal))
		s.until("the room shows its bridge", func() bool { return s.bridgeInfo(alice, portal) == "[Lounge][Lounge]" })
		_, err = alice.KickUser(t.Context(), portal, &mautrix.ReqKickUser{UserID: s.bot()})
		require.NoError(t, err)
		disconnect := "/portal/" + string(portal) + "/disconnect"
		assert.Equal(t, false, s.get(200, "", "/portal/"+string(portal)+"?user_id="+string(alice.UserID))["can_unbridge"])
		refused := s.post(403, "bot_not_in_room", disconnect+"?user_id="+string(alice.UserID))
		assert.Equal(t, string(s.bot()), refused["bot_mxid"])
		assert.Equal(t, string(s.bot()), s.get(200, "", "/bridge")["bot_mxid"])
		s.post(202, "", disconnect+"?sync=true&delete=true")
		assert.Equal(t, event.MembershipJoin, s.membership(alice, portal, alice.UserID))

		encrypted := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat", InitialState: []*event.Event{{
			Type: event.StateEncryption, Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
		}}})
		assert.Equal(t, []any{"room_encrypted"}, s.post(202, "", path(encrypted))["warnings"])
		// Room version 12: no server in its ID, and a creator of infinite power.
		twelve := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat", RoomVersion: "12"})
		assert.NotContains(t, twelve, ":")
		s.post(202, "", "/portal/"+string(encrypted)+"/disconnect")
		s.post(202, "", path(twelve))
		s.post(202, "", "/portal/"+string(twelve)+"/disconnect?user_id="+string(alice.UserID)+"&sync=true")
	})
}

func TestCreateStory(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stage) {
		alice, bob := s.hs.user(t, "alice"), s.hs.user(t, "bob")
		s.login(alice, ada)
		s.login(bob, cleo)
		const about = "Where we meet"
		everybody := []int64{ada.ID, bert.ID, cleo.ID, relayBot.ID}
		for _, c := range []struct {
			kind, title string
			telegram    telegramtest.DialogKind
		}{
			{"supergroup", "Hall", telegramtest.KindSupergroup},
			{"chat", "Given", telegramtest.KindBasicGroup},
			{"channel", "Hall", telegramtest.KindChannel},
		} {
			roomID := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat", Name: "Hall", Topic: about, Invite: []id.UserID{bob.UserID}})
			_, err := bob.JoinRoomByID(t.Context(), roomID)
			require.NoError(t, err)
			s.bring(alice, roomID, bert)
			body := client.NewChat{Type: client.NewChatType(c.kind)}
			if c.title == "Given" {
				body.Title = &c.title
			}
			params := &client.CreatePortalParams{UserId: string(alice.UserID)}
			created, err := client.Do(s.api(t).CreatePortalWithResponse(t.Context(), string(roomID), params, body))
			require.NoError(t, err)
			chatID := created.JSON201.ChatId
			shown := s.get(200, "", fmt.Sprintf("/portal/%d", chatID))
			assert.Equal(t, []any{string(roomID), c.title, about, c.kind == "supergroup"},
				[]any{shown["mxid"], shown["title"], shown["about"], shown["megagroup"]})
			s.wantChat(c.telegram, chatID, c.title, about, everybody)
			_, err = client.Do(s.api(t).CreatePortalWithResponse(t.Context(), string(roomID), params, body))
			var fault *client.Error
			require.ErrorAs(t, err, &fault)
			assert.Equal(t, "room_already_bridged", fault.Errcode)
			s.until("the room shows its bridge", func() bool { return s.bridgeInfo(alice, roomID) == "["+c.title+"]["+c.title+"]" })
		}
	})
}
