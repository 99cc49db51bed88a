package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/client"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// The Telegram of the stories: ada knows everybody, the bot is in the lounge.
var (
	adasLounge = telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: 11, Title: "Lounge"}
	adasFamily = telegramtest.Dialog{Kind: telegramtest.KindBasicGroup, ID: 12, Title: "Family"}
	ada        = telegramtest.Account{
		ID: 2001, Phone: "9996620001", Code: "12345", FirstName: "Ada", Username: "ada",
		Contacts: []int64{2002, 2003}, Dialogs: []telegramtest.Dialog{adasLounge, adasFamily},
	}
	bert = telegramtest.Account{
		ID: 2002, Phone: "9996620002", Code: "12345", FirstName: "Bert", Username: "bert_tg",
		Photo: telegramtest.Photo{ID: 7002, Data: []byte("\xff\xd8\xff\xe0 Bert's photo")},
	}
	cleo     = telegramtest.Account{ID: 2003, Phone: "9996620003", Code: "12345", FirstName: "Cleo"}
	relayBot = telegramtest.Account{
		ID: 2009, Bot: true, Token: "2009:AAE-token-of-the-relay-bot", FirstName: "Relay", Username: "relay_bot",
		Dialogs: []telegramtest.Dialog{adasLounge},
	}
)

// homeserver is one that a story runs on.
type homeserver interface {
	// address is where clients find it.
	address() string
	// user registers an ordinary user.
	user(t *testing.T, localpart string) *mautrix.Client
}

func (d *dendrite) address() string { return d.url }
func (d *dendrite) user(t *testing.T, localpart string) *mautrix.Client {
	return d.newUser(t, localpart)
}

// memory is the in-memory homeserver.
type memory struct{ *matrixtest.Server }

func (m memory) address() string { return m.URL() }

func (m memory) user(t *testing.T, localpart string) *mautrix.Client {
	t.Helper()
	client, err := m.AddUser(localpart)
	require.NoError(t, err)
	return client
}

// homeservers are the homeservers that every story runs on.
var homeservers = map[string]func(*testing.T, *appservice.Registration) homeserver{
	"dendrite": func(t *testing.T, r *appservice.Registration) homeserver { return startDendrite(t, r) },
	"matrixtest": func(t *testing.T, r *appservice.Registration) homeserver {
		server, err := matrixtest.Start(matrixtest.Config{ServerName: dendriteDomain, Registrations: []*appservice.Registration{r}})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, server.Close()) })
		return memory{server}
	},
}

// stage is a bridge between a homeserver and a Telegram, all of them running.
type stage struct {
	*example
	t            *testing.T
	hs           homeserver
	telegram     *telegramtest.Server
	registration *appservice.Registration
	database     string
	flags        []string
	current      atomic.Pointer[url.URL] // where the bridge listens now
}

// newStage starts everything.
func newStage(t *testing.T, newHomeserver func(*testing.T, *appservice.Registration) homeserver, database string, more ...string) *stage {
	t.Helper()
	s := &stage{t: t, database: database, telegram: telegramtest.NewServer(t, telegramtest.Config{})}
	for _, account := range []telegramtest.Account{ada, bert, cleo, relayBot} {
		require.NoError(t, s.telegram.AddAccount(account))
	}
	require.NoError(t, s.telegram.SetPhoto(telegramtest.KindSupergroup, adasLounge.ID, telegramtest.Photo{ID: 7011, Data: []byte("\xff\xd8\xff\xe0 a lounge")}))
	// The bridge listens elsewhere after each restart; the homeserver calls one address.
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(s.current.Load()) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(front.Close)
	s.current.Store(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}) // nobody yet

	dir := t.TempDir()
	file := filepath.Join(dir, "registration.yaml")
	runExample(t, "-generate-registration", file)
	var err error
	s.registration, err = appservice.LoadRegistration(file)
	require.NoError(t, err)
	s.registration.URL = front.URL
	require.NoError(t, s.registration.Save(file))
	s.hs = newHomeserver(t, s.registration)

	s.flags = append([]string{
		"-telegram-dc", s.telegram.Addr(), "-telegram-key", writeKey(t, s.telegram), "-relay-bot-token", relayBot.Token,
		"-homeserver", s.hs.address(), "-registration", file, "-db", database,
		"-permissions", "*=full,@admin:" + dendriteDomain + "=admin,@low:" + dendriteDomain + "=relaybot",
	}, more...)
	s.restart()
	return s
}

// restart starts the bridge, after the process before, if there is one, has been
// killed.
func (s *stage) restart() {
	s.t.Helper()
	if s.example != nil {
		s.kill(s.t)
	}
	s.example = startExample(s.t, s.flags...)
	u, err := url.Parse(s.example.url)
	require.NoError(s.t, err)
	s.current.Store(&url.URL{Scheme: u.Scheme, Host: u.Host})
}

// want sends a request of the API and checks the status and errcode.
func (s *stage) want(status int, errcode, method, path, body string) map[string]any {
	s.t.Helper()
	got, answer := s.call(s.t, method, "/v1"+path, body)
	code, _ := answer["errcode"].(string)
	require.Equal(s.t, []any{status, errcode}, []any{got, code}, "%s %s: %v", method, path, answer)
	return answer
}

func (s *stage) get(status int, errcode, path string) map[string]any {
	s.t.Helper()
	return s.want(status, errcode, http.MethodGet, path, "")
}

func (s *stage) post(status int, errcode, path string) map[string]any {
	s.t.Helper()
	return s.want(status, errcode, http.MethodPost, path, "")
}

// login logs a Matrix user in to a Telegram account.
func (s *stage) login(user *mautrix.Client, account telegramtest.Account) {
	s.t.Helper()
	api, userID := s.api(s.t), string(user.UserID)
	_, err := client.Do(api.PostLoginPhoneWithResponse(s.t.Context(), userID, client.PhoneNumber{Phone: "+" + account.Phone}))
	require.NoError(s.t, err)
	in, err := client.Do(api.PostLoginCodeWithResponse(s.t.Context(), userID, client.PhoneCode{Code: account.Code}))
	require.NoError(s.t, err)
	require.Equal(s.t, client.LoggedIn{State: "logged-in", Username: account.Username, Phone: account.Phone}, *in.JSON200)
}

func (s *stage) bot() id.UserID {
	return id.NewUserID(s.registration.SenderLocalpart, dendriteDomain)
}

func (s *stage) ghost(account telegramtest.Account) id.UserID {
	return id.NewUserID(fmt.Sprintf("telegram_%d", account.ID), dendriteDomain)
}

// as returns a client that acts as one of the bridge's users.
func (s *stage) as(userID id.UserID) *mautrix.Client {
	s.t.Helper()
	client, err := mautrix.NewClient(s.hs.address(), userID, s.registration.AppToken)
	require.NoError(s.t, err)
	client.SetAppServiceUserID = true
	return client
}

// until calls done until it returns true.
func (s *stage) until(what string, done func() bool) {
	s.t.Helper()
	require.Eventually(s.t, done, 30*time.Second, 20*time.Millisecond, "%s; the bridge's log: %s", what, s.example.stderr)
}

// room makes a room of a Matrix user's, to which the bridge bot is invited, with as much
// power as its creator where nothing else is said, and waits until it has come.
func (s *stage) room(user *mautrix.Client, request mautrix.ReqCreateRoom) id.RoomID {
	s.t.Helper()
	request.Invite = append(request.Invite, s.bot())
	if request.PowerLevelOverride == nil {
		request.PowerLevelOverride = &event.PowerLevelsEventContent{Users: map[id.UserID]int{s.bot(): 100}}
	}
	created, err := user.CreateRoom(s.t.Context(), &request)
	require.NoError(s.t, err)
	s.until("the bridge bot joins", func() bool { return s.membership(user, created.RoomID, s.bot()) == event.MembershipJoin })
	return created.RoomID
}

// bring brings a ghost into a room.
func (s *stage) bring(user *mautrix.Client, roomID id.RoomID, account telegramtest.Account) {
	s.t.Helper()
	ghost := s.as(s.ghost(account))
	_, _, err := ghost.Register(s.t.Context(), &mautrix.ReqRegister[any]{Username: ghost.UserID.Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true})
	if err != nil {
		require.ErrorIs(s.t, err, mautrix.MUserInUse)
	}
	_, err = user.InviteUser(s.t.Context(), roomID, &mautrix.ReqInviteUser{UserID: ghost.UserID})
	require.NoError(s.t, err)
	_, err = ghost.JoinRoomByID(s.t.Context(), roomID)
	require.NoError(s.t, err)
}

// membership returns what a user is in a room, as another one sees it.
func (s *stage) membership(as *mautrix.Client, roomID id.RoomID, userID id.UserID) event.Membership {
	s.t.Helper()
	var content event.MemberEventContent
	err := as.StateEvent(s.t.Context(), roomID, event.StateMember, string(userID), &content)
	if errors.Is(err, mautrix.MNotFound) {
		return ""
	}
	require.NoError(s.t, err)
	return content.Membership
}

// bridgeInfo returns what a room says it is bridged to, "" for nothing.
func (s *stage) bridgeInfo(user *mautrix.Client, roomID id.RoomID) (channels string) {
	s.t.Helper()
	state, err := user.State(s.t.Context(), roomID)
	require.NoError(s.t, err)
	for _, eventType := range []event.Type{event.StateBridge, event.StateHalfShotBridge} {
		for _, e := range state[eventType] {
			if name := e.Content.AsBridge().Channel.DisplayName; name != "" {
				channels += "[" + name + "]"
			}
		}
	}
	return channels
}

// bothDatabases runs a story on every homeserver with every database.
func everywhere(t *testing.T, story func(*testing.T, *stage)) {
	for hs, newHomeserver := range homeservers {
		for db, newDatabase := range databases {
			t.Run(hs+" "+db, func(t *testing.T) { story(t, newStage(t, newHomeserver, newDatabase(t))) })
		}
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
		chats, err := client.Do(api.GetChatsWithResponse(t.Context(), aliceID))
		require.NoError(t, err)
		require.JSONEq(t, `[{"id":-1000000000011,"title":"Lounge"},{"id":-12,"title":"Family"}]`, string(chats.Body))

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
		s.post(403, "not_enough_permissions", disconnect+"?user_id="+string(alice.UserID))
		s.post(202, "", disconnect+"?sync=true&delete=true")
		assert.Equal(t, event.MembershipJoin, s.membership(alice, portal, alice.UserID))

		encrypted := s.room(alice, mautrix.ReqCreateRoom{Preset: "private_chat", InitialState: []*event.Event{{
			Type: event.StateEncryption, Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
		}}})
		s.post(202, "", path(encrypted))
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

// wantChat checks a chat on Telegram's side.
func (s *stage) wantChat(kind telegramtest.DialogKind, chatID int64, title, about string, members []int64) {
	s.t.Helper()
	rawID := -chatID
	if kind != telegramtest.KindBasicGroup {
		rawID -= 1_000_000_000_000
	}
	chat, ok := s.telegram.Chat(kind, rawID)
	require.True(s.t, ok, "chat %d", chatID)
	assert.Equal(s.t, []any{title, about}, []any{chat.Title, chat.About})
	assert.ElementsMatch(s.t, members, chat.Members)
}

// wantMedia waits until there is an address, and checks what is there.
func (s *stage) wantMedia(user *mautrix.Client, want string, find func() id.ContentURIString) {
	s.t.Helper()
	var uri id.ContentURIString
	s.until("there is an avatar", func() bool {
		uri = find()
		return uri != ""
	})
	got, err := user.DownloadBytes(s.t.Context(), uri.ParseOrIgnore())
	require.NoError(s.t, err)
	assert.Equal(s.t, want, string(got))
}

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
			}{{bob, "not_enough_permissions"}, {alice, ""}} {
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
		})
	}
}

// Contacts get their avatars in the background.
func TestAvatarStory(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stage) {
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
		assert.True(t, invite.Content.AsMember().IsDirect)
		assert.Equal(t, s.ghost(bert), invite.Sender)
		_, err = alice.JoinRoomByID(t.Context(), roomID)
		require.NoError(t, err)
		members, err := alice.JoinedMembers(t.Context(), roomID)
		require.NoError(t, err)
		assert.Len(t, members.Joined, 3, "alice, the ghost and the bot: %v", members.Joined)
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

// invitation waits for a user's invitation to a room.
func (s *stage) invitation(user *mautrix.Client, roomID id.RoomID) *event.Event {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for since := ""; ; {
		response, err := user.SyncRequest(ctx, 1000, since, "", true, event.PresenceOnline)
		require.NoError(s.t, err)
		since = response.NextBatch
		invited := response.Rooms.Invite[roomID]
		if invited == nil {
			continue
		}
		for _, e := range invited.State.Events {
			if e.Type.Type == event.StateMember.Type && e.GetStateKey() == string(user.UserID) {
				e.Type.Class = event.StateEventType
				require.NoError(s.t, e.Content.ParseRaw(e.Type))
				return e
			}
		}
	}
}
