package integration

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// A portal follows the chat, when a basic group becomes a supergroup, and the room, when that
// is upgraded.
func TestFollowStory(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		asAlice := "?user_id=" + string(alice.UserID)
		room := s.room(alice, mautrix.ReqCreateRoom{Preset: "public_chat", RoomVersion: "10"})
		second := s.room(alice, mautrix.ReqCreateRoom{Preset: "public_chat"})
		at := func(roomID id.RoomID) string { return "/portal/" + string(roomID) }

		s.post(202, "", at(room)+"/connect/-12"+asAlice)
		s.until("the room shows its bridge", func() bool { return s.bridgeInfo(alice, room) == "[Family][Family]" })
		s.bring(alice, room, bert)
		become, err := s.telegram.MigrateChat(12)
		require.NoError(t, err)
		super := fmt.Sprintf("-100%010d", become)
		for _, path := range []string{"/portal/" + super + "/", "/portal/-12/", at(room)} {
			portal := s.get(200, "", path+asAlice)
			assert.Equal(t, []any{string(room), super}, []any{portal["mxid"], fmt.Sprintf("%.0f", portal["chat_id"])}, path)
		}
		for _, chat := range []string{"-12", super} {
			s.post(409, "chat_already_bridged", at(second)+"/connect/"+chat+asAlice)
			s.post(200, "bridge_exists", at(room)+"/connect/"+chat+asAlice)
		}
		s.until("the room shows one bridge, to the supergroup", func() bool { return s.bridgeInfo(alice, room) == "[Family][Family]" })
		assert.Equal(t, event.MembershipJoin, s.membership(alice, room, s.ghost(bert)), "the ghosts stay")

		next := s.upgrade(alice, room)
		connect := at(next) + "/connect/" + super + asAlice
		if s.bridgev2 { // which sees the tombstone, but not that the room names its predecessor
			s.until("the portal has moved", func() bool {
				_, body := s.call(t, http.MethodPost, "/v1"+connect, "")
				return body["errcode"] == "bridge_exists" || body["errcode"] == nil
			})
		} else {
			s.post(202, "", connect)
		}
		s.get(404, "portal_not_found", at(room))
		assert.Equal(t, string(next), s.get(200, "", "/portal/"+super+"/"+asAlice)["mxid"])
		s.until("the new room shows its bridge", func() bool { return s.bridgeInfo(alice, next) == "[Family][Family]" })
		if !s.bridgev2 {
			s.until("the old room shows none", func() bool { return s.bridgeInfo(alice, room) == "" })
			s.until("the ghost leaves it", func() bool { return s.membership(alice, room, s.ghost(bert)) == event.MembershipLeave })
		}
	})
}

// upgrade upgrades a room as its homeserver does, or as it would, and brings the bridge bot
// into the new one.
func (s *stage) upgrade(user *mautrix.Client, roomID id.RoomID) id.RoomID {
	s.t.Helper()
	var next struct {
		Room id.RoomID `json:"replacement_room"`
	}
	_, err := user.MakeRequest(s.t.Context(), http.MethodPost, user.BuildClientURL("v3", "rooms", roomID, "upgrade"), map[string]string{"new_version": "11"}, &next)
	if _, real := s.hs.(*dendrite); !real {
		require.ErrorIs(s.t, err, mautrix.MUnrecognized)
		created, err := user.CreateRoom(s.t.Context(), &mautrix.ReqCreateRoom{
			Preset: "public_chat", RoomVersion: "11", CreationContent: map[string]any{"predecessor": map[string]any{"room_id": roomID}},
			PowerLevelOverride: &event.PowerLevelsEventContent{Users: map[id.UserID]int{s.bot(): 100, user.UserID: 100}},
		})
		require.NoError(s.t, err)
		next.Room = created.RoomID
		_, err = user.SendStateEvent(s.t.Context(), roomID, event.StateTombstone, "", map[string]any{"replacement_room": next.Room, "body": "Upgraded"})
		require.NoError(s.t, err)
	} else {
		require.NoError(s.t, err)
	}
	if s.membership(user, next.Room, s.bot()) != event.MembershipJoin {
		_, err = user.InviteUser(s.t.Context(), next.Room, &mautrix.ReqInviteUser{UserID: s.bot()})
		require.NoError(s.t, err)
	}
	s.until("the bridge bot joins the new room", func() bool { return s.membership(user, next.Room, s.bot()) == event.MembershipJoin })
	return next.Room
}
