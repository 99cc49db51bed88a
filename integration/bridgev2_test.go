package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// v3 calls bridgev2's own API for a user.
func (s *stage) v3(method, path string, as id.UserID, body any) map[string]any {
	s.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(s.t, err)
	address := s.front.URL + mountPath + "/v3/" + path + "?user_id=" + url.QueryEscape(string(as))
	request, err := http.NewRequestWithContext(s.t.Context(), method, address, bytes.NewReader(raw))
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	raw, err = io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, response.StatusCode, "%s", raw)
	var answer map[string]any
	require.NoError(s.t, json.Unmarshal(raw, &answer), "%s", raw)
	return answer
}

// v3Login logs a user in by bridgev2's own API.
func (s *stage) v3Login(as id.UserID, account telegramtest.Account) {
	s.t.Helper()
	step := s.v3(http.MethodPost, "login/start/phone", as, nil)
	for _, input := range []string{"+" + account.Phone, account.Code} {
		name := step["step_id"].(string)
		step = s.v3(http.MethodPost, fmt.Sprintf("login/step/%s/%s/user_input", step["login_id"], name), as, map[string]string{name: input})
	}
	require.Equal(s.t, "complete", step["type"], "%v", step)
}

// v3Logins are the IDs of the logins that bridgev2 has for a user.
func (s *stage) v3Logins(userID id.UserID) (logins []string) {
	s.t.Helper()
	listed, _ := s.v3(http.MethodGet, "whoami", userID, nil)["logins"].([]any)
	for _, login := range listed {
		logins = append(logins, login.(map[string]any)["id"].(string))
	}
	return logins
}

// me is the Telegram account that a user is logged in with, nil for none.
func (s *stage) me(userID id.UserID) any {
	s.t.Helper()
	account, _ := s.get(200, "", "/user/"+string(userID))["telegram"].(map[string]any)
	if account == nil {
		return nil
	}
	return account["username"]
}

// A login and a logout by either API are seen by both.
func TestBridgev2Neighbours(t *testing.T) {
	onBridgev2(t, bridgeSettings{}, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		adaID := fmt.Sprint(ada.ID)
		s.login(alice, ada)
		assert.Equal(t, []string{adaID}, s.v3Logins(alice.UserID))
		assert.Equal(t, 1, s.telegram.Sessions(ada.ID), "package telegram has handed its session over")
		s.v3(http.MethodPost, "logout/"+adaID, alice.UserID, nil)
		assert.Nil(t, s.me(alice.UserID))
		assert.Zero(t, s.telegram.Sessions(ada.ID))
		s.post(403, "not_logged_in", "/user/"+string(alice.UserID)+"/logout")

		s.v3Login(alice.UserID, ada)
		assert.Equal(t, "ada", s.me(alice.UserID))
		s.post(200, "", "/user/"+string(alice.UserID)+"/logout")
		assert.Empty(t, s.v3Logins(alice.UserID))
		assert.Zero(t, s.telegram.Sessions(ada.ID))

		// An account that moves to another Matrix user is logged out at the first one's.
		bob := s.hs.user(t, "bob")
		s.login(alice, ada)
		s.login(bob, ada)
		assert.Nil(t, s.me(alice.UserID))
		assert.Equal(t, "ada", s.me(bob.UserID))
		assert.Equal(t, 1, s.telegram.Sessions(ada.ID))
		s.restart()
		assert.Equal(t, "ada", s.me(bob.UserID))
	})
}

// A session that Telegram has ended is a logged-out user.
func TestBridgev2SessionEnds(t *testing.T) {
	onBridgev2(t, bridgeSettings{}, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		require.NoError(t, s.telegram.Revoke(ada.ID, "SESSION_REVOKED"))
		s.get(403, "not_logged_in", "/user/"+string(alice.UserID)+"/contacts")
		assert.Nil(t, s.me(alice.UserID))
		s.login(alice, ada)
		assert.Equal(t, "ada", s.me(alice.UserID))
		s.get(200, "", "/user/"+string(alice.UserID)+"/contacts")
	})
}

// The chats that the bridge bridges by itself after a login are portals at once.
func TestBridgev2CreateLimit(t *testing.T) {
	onBridgev2(t, bridgeSettings{createLimit: 15}, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		lounge := "/portal/-1000000000011"
		var made map[string]any
		s.until("the bridge makes a portal of a chat", func() bool {
			var status int
			status, made = s.call(t, http.MethodGet, "/v1"+lounge, "")
			return status == http.StatusOK
		})
		assert.Equal(t, "Lounge", made["title"])
		assert.Equal(t, made["mxid"], s.get(200, "", "/portal/"+made["mxid"].(string))["mxid"])

		roomID := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat"})
		connect := "/portal/" + string(roomID) + "/connect/-1000000000011"
		asAlice := "?user_id=" + string(alice.UserID)
		look := s.get(200, "", connect+asAlice)
		assert.Equal(t, []any{false, "user", nil}, []any{look["can_connect"], look["acting"], look["replaces"]})
		assert.Equal(t, "chat_already_bridged", look["blockers"].([]any)[0].(map[string]any)["errcode"])
		look = s.get(200, "", connect+"?force=unbridge")
		assert.Equal(t, []any{true, "relaybot", made["mxid"]}, []any{look["can_connect"], look["acting"], look["replaces"]})
		assert.Equal(t, made["mxid"], s.get(200, "", lounge)["mxid"], "nothing has changed")
		assert.Contains(t, fmt.Sprint(s.get(200, "", "/portals"+asAlice)["portals"]), made["mxid"])
		s.post(409, "chat_already_bridged", connect+asAlice)
		s.post(403, "not_enough_permissions", connect+asAlice+"&force=unbridge") // the old room is the bridge's
		s.post(202, "", connect+"?force=unbridge")
		assert.Equal(t, string(roomID), s.get(200, "", lounge)["mxid"])
		s.until("the room shows its bridge", func() bool { return s.bridgeInfo(alice, roomID) == "[Lounge][Lounge]" })
	})
}

// With split_portals each login has its own portal of every chat.
func TestBridgev2SplitPortals(t *testing.T) {
	onBridgev2(t, bridgeSettings{splitPortals: true}, func(t *testing.T, s *stage) {
		alice, bob := s.hs.user(t, "alice"), s.hs.user(t, "bob")
		require.NoError(t, s.telegram.SetDialogs(cleo.ID, []telegramtest.Dialog{adasLounge}))
		s.login(alice, ada)
		s.login(bob, cleo)
		rooms := map[*mautrix.Client]id.RoomID{}
		for _, user := range []*mautrix.Client{alice, bob} {
			rooms[user] = s.room(user, mautrix.ReqCreateRoom{Preset: "private_chat"})
			s.post(202, "", "/portal/"+string(rooms[user])+"/connect/-1000000000011?user_id="+string(user.UserID))
		}
		for user, roomID := range rooms {
			assert.Equal(t, string(roomID), s.get(200, "", "/portal/-1000000000011?user_id="+string(user.UserID))["mxid"])
			assert.Equal(t, -1000000000011.0, s.get(200, "", "/portal/"+string(roomID))["chat_id"])
		}
		s.post(202, "", "/portal/"+string(rooms[alice])+"/disconnect?user_id="+string(alice.UserID))
		s.get(404, "portal_not_found", "/portal/"+string(rooms[alice]))
		s.get(200, "", "/portal/"+string(rooms[bob]))
	})
}

// The rooms of a forum's topics are the bridge's: no portals here, and not free.
func TestBridgev2Topics(t *testing.T) {
	onBridgev2(t, bridgeSettings{}, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		topic := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat"})
		s.kill(t)
		_, err := openRaw(t, s.database).ExecContext(t.Context(), `
			INSERT INTO portal (bridge_id, id, receiver, mxid, name, topic, avatar_id, avatar_hash, avatar_mxc, name_set, avatar_set, topic_set, in_space, room_type, metadata)
			VALUES ((SELECT MIN(bridge_id) FROM user_login), 'channel:11:77', '', '`+string(topic)+`', 'A topic', '', '', '', '', false, false, false, false, '', '{}')`)
		require.NoError(t, err)
		s.restart()
		path := "/portal/" + string(topic)
		s.get(404, "portal_not_found", path)
		s.get(404, "portal_not_found", "/portal/-1000000000011")
		s.post(409, "room_already_bridged", path+"/connect/-1000000000011")
		s.post(404, "portal_not_found", path+"/disconnect")
		s.get(200, "", "/user/"+string(alice.UserID)+"/contacts")
	})
}

// An encrypted room can be a portal of a chat that is created for it.
func TestBridgev2EncryptedRoom(t *testing.T) {
	onBridgev2(t, bridgeSettings{}, func(t *testing.T, s *stage) {
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		roomID := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat", Name: "Secrets", InitialState: []*event.Event{{
			Type: event.StateEncryption, Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
		}}})
		s.want(201, "", http.MethodPost, "/portal/"+string(roomID)+"/create?user_id="+string(alice.UserID), `{"type":"supergroup"}`)
		assert.Equal(t, "Secrets", s.get(200, "", "/portal/"+string(roomID))["title"])
	})
}
