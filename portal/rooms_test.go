package portal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
)

const (
	botID   id.UserID = "@telegrambot:example.com"
	ghostID id.UserID = "@telegram_42:example.com"
)

// world is a homeserver with a bridge on it, and a user.
type world struct {
	t     *testing.T
	hs    *matrixtest.Server
	as    *appservice.AppService
	rooms *portal.Rooms
	alice *mautrix.Client
}

func registration() *appservice.Registration {
	r := appservice.CreateRegistration()
	r.ID, r.SenderLocalpart = "bridge", "telegrambot"
	r.Namespaces.UserIDs = appservice.NamespaceList{{Regex: `@telegram_[0-9]+:example\.com`, Exclusive: true}}
	return r
}

func newWorld(t *testing.T, version string) *world {
	t.Helper()
	r := registration()
	hs, err := matrixtest.Start(matrixtest.Options{ServerName: "example.com", RoomVersion: version, Registrations: []*appservice.Registration{r}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, hs.Close()) })
	as, err := appservice.CreateFull(appservice.CreateOpts{Registration: r, HomeserverDomain: "example.com", HomeserverURL: hs.URL()})
	require.NoError(t, err)
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: as, DB: newDatabase(t)})
	require.NoError(t, err)
	alice, err := hs.AddUser("alice")
	require.NoError(t, err)
	return &world{t, hs, as, rooms, alice}
}

// room makes a room of alice's.
func (w *world) room(request mautrix.ReqCreateRoom) id.RoomID {
	w.t.Helper()
	created, err := w.alice.CreateRoom(w.t.Context(), &request)
	require.NoError(w.t, err)
	return created.RoomID
}

// as returns a client of the bridge's.
func (w *world) client(userID id.UserID) *mautrix.Client { return w.as.NewMautrixClient(userID) }

// withBot makes a public room of alice's, with the bot and a ghost in it.
func (w *world) withBot(request mautrix.ReqCreateRoom) id.RoomID {
	w.t.Helper()
	request.Preset = "public_chat"
	roomID := w.room(request)
	require.NoError(w.t, w.rooms.UpdateGhost(w.t.Context(), provisioning.Contact{ID: 42, Name: "Zaphod"}, nil))
	for _, userID := range []id.UserID{botID, ghostID} {
		_, err := w.client(userID).JoinRoomByID(w.t.Context(), roomID)
		require.NoError(w.t, err)
	}
	return roomID
}

// empower gives the bot a power level.
func (w *world) empower(roomID id.RoomID, level int) {
	w.t.Helper()
	var levels event.PowerLevelsEventContent
	require.NoError(w.t, w.alice.StateEvent(w.t.Context(), roomID, event.StatePowerLevels, "", &levels))
	levels.SetUserLevel(botID, level)
	_, err := w.alice.SendStateEvent(w.t.Context(), roomID, event.StatePowerLevels, "", &levels)
	require.NoError(w.t, err)
}

// state returns a state event as text, "" where there is none.
func (w *world) state(roomID id.RoomID, eventType, key string) string {
	raw, _ := w.hs.State(roomID, eventType, key)
	return string(raw)
}

func TestNewRoomsErrors(t *testing.T) {
	w := newWorld(t, "")
	other := registration()
	other.Namespaces.UserIDs[0].Regex = `@tg_[0-9]+:example\.com`
	otherAS, err := appservice.CreateFull(appservice.CreateOpts{Registration: other, HomeserverDomain: "example.com", HomeserverURL: w.hs.URL()})
	require.NoError(t, err)
	db := newDatabase(t)
	for says, cfg := range map[string]portal.RoomsConfig{
		"RoomsConfig.AppService":                  {DB: db},
		"no registration":                         {DB: db, AppService: appservice.Create()},
		"RoomsConfig.DB":                          {AppService: w.as},
		`"telegram_" : {id}`:                      {AppService: w.as, DB: db, GhostTemplate: "telegram_"},
		`"telegram_{id}_{id}"`:                    {AppService: w.as, DB: db, GhostTemplate: "telegram_{id}_{id}"},
		"@telegram_1:example.com is in no user":   {AppService: otherAS, DB: db},
		"@telegram_1_x:example.com is in no user": {AppService: w.as, DB: db, GhostTemplate: "telegram_{id}_x"},
	} {
		_, err := portal.NewRooms(t.Context(), cfg)
		assert.ErrorContains(t, err, strings.ReplaceAll(says, " :", ":"))
	}
	_, err = portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: otherAS, DB: db, GhostTemplate: "tg_{id}"})
	assert.NoError(t, err)
}

func TestGhostIDs(t *testing.T) {
	rooms := newWorld(t, "").rooms
	assert.Equal(t, ghostID, rooms.GhostID(42))
	for userID, want := range map[id.UserID]int64{
		ghostID: 42, "@telegram_1099511627775:example.com": 1<<40 - 1,
		"@telegram_0:example.com": 0, "@telegram_-1:example.com": 0, "@telegram_042:example.com": 0, "@telegram_+42:example.com": 0,
		"@telegram_42:other.com": 0, "@telegram_:example.com": 0, "@telegram_42x:example.com": 0, "@alice:example.com": 0,
		botID: 0, "telegram_42": 0, "@telegram_99999999999999999999:example.com": 0,
	} {
		got, ok := rooms.ParseGhost(userID)
		assert.Equal(t, want, got, userID)
		assert.Equal(t, want != 0, ok, userID)
		assert.Equal(t, want != 0 || userID == botID, rooms.IsBridgeUser(userID), userID)
	}
}

// badRooms makes rooms that the bot is not in, by how it came so.
func (w *world) badRooms() map[string]id.RoomID {
	w.t.Helper()
	ctx := w.t.Context()
	rooms := map[string]id.RoomID{"unknown": "!unknown:example.com", "unknown, of version 12": "!unknown", "malformed": "!"}
	rooms["never in it"] = w.room(mautrix.ReqCreateRoom{Preset: "public_chat"})
	rooms["invited"] = w.room(mautrix.ReqCreateRoom{Preset: "private_chat", Invite: []id.UserID{botID}})
	for name, leave := range map[string]func(id.RoomID) error{
		"left": func(roomID id.RoomID) error {
			_, err := w.client(botID).LeaveRoom(ctx, roomID)
			return err
		},
		"kicked": func(roomID id.RoomID) error {
			_, err := w.alice.KickUser(ctx, roomID, &mautrix.ReqKickUser{UserID: botID})
			return err
		},
		"banned": func(roomID id.RoomID) error {
			_, err := w.alice.BanUser(ctx, roomID, &mautrix.ReqBanUser{UserID: botID})
			return err
		},
	} {
		rooms[name] = w.withBot(mautrix.ReqCreateRoom{})
		require.NoError(w.t, w.rooms.CheckBot(ctx, rooms[name]))
		require.NoError(w.t, leave(rooms[name]))
	}
	return rooms
}

func TestBotNotInRoom(t *testing.T) {
	w := newWorld(t, "")
	for name, roomID := range w.badRooms() {
		require.ErrorIs(t, w.rooms.CheckBot(t.Context(), roomID), provisioning.ErrBotNotInRoom, name)
		_, err := w.rooms.HasPower(t.Context(), roomID, w.alice.UserID, "x")
		require.ErrorIs(t, err, provisioning.ErrBotNotInRoom, name)
		_, err = w.rooms.Room(t.Context(), roomID)
		require.ErrorIs(t, err, provisioning.ErrBotNotInRoom, name)
		p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
		require.ErrorIs(t, w.rooms.SetUpPortal(t.Context(), provisioning.PortalSetup{Portal: p}), provisioning.ErrBotNotInRoom, name)
		require.NoError(t, w.rooms.CleanUp(t.Context(), p, true), name)
	}
}

// A homeserver that can't be reached, or has troubles, is not a room without the bot.
func TestHomeserverAway(t *testing.T) {
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{Name: "Room"})
	p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
	calls := map[string]func(context.Context) error{
		"CheckBot": func(ctx context.Context) error { return w.rooms.CheckBot(ctx, roomID) },
		"HasPower": func(ctx context.Context) error {
			_, err := w.rooms.HasPower(ctx, roomID, w.alice.UserID, "x")
			return err
		},
		"Room": func(ctx context.Context) error {
			_, err := w.rooms.Room(ctx, roomID)
			return err
		},
		"SetUpPortal": func(ctx context.Context) error {
			return w.rooms.SetUpPortal(ctx, provisioning.PortalSetup{Portal: p})
		},
		"CleanUp": func(ctx context.Context) error { return w.rooms.CleanUp(ctx, p, true) },
		"CreateDirect": func(ctx context.Context) error {
			_, err := w.rooms.CreateDirect(ctx, w.alice.UserID, provisioning.Contact{ID: 7, Name: "New"})
			return err
		},
		"InviteToDirect": func(ctx context.Context) error {
			return w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42)
		},
		"UpdateGhost": func(ctx context.Context) error {
			return w.rooms.UpdateGhost(ctx, provisioning.Contact{ID: 8, Name: "New"}, nil)
		},
	}
	for name, call := range calls {
		w.hs.Fail("", 1000, 502, "M_UNKNOWN")
		require.ErrorIs(t, call(t.Context()), provisioning.ErrHomeserver, name)
		w.hs.Fail("", 1000, 401, "M_UNKNOWN_TOKEN")
		require.ErrorIs(t, call(t.Context()), provisioning.ErrHomeserver, name)
		w.hs.Fail("", 0, 0, "")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := call(ctx)
		require.ErrorIs(t, err, context.Canceled, name)
		require.NotErrorIs(t, err, provisioning.ErrHomeserver, name)
		assert.NotContains(t, err.Error(), w.as.Registration.AppToken)
	}
	require.Equal(t, event.MembershipJoin, w.hs.Members(roomID)[botID], "nothing has happened")
	// A rate limit is waited for.
	w.hs.Fail("GET state", 3, 429, "M_LIMIT_EXCEEDED")
	require.NoError(t, w.rooms.CheckBot(t.Context(), roomID))
	require.NoError(t, w.hs.Close())
	for name, call := range calls {
		require.ErrorIs(t, call(t.Context()), provisioning.ErrHomeserver, name)
	}
}

func TestHasPower(t *testing.T) {
	const eventType = "fi.mau.telegram.bridge"
	for _, c := range []struct {
		name, levels string
		alice, bob   bool // alice has created the room
	}{
		{"as created", "{}", false, false}, // replaced: nobody has anything
		{"numbers", `{"users":{"@alice:example.com":50,"@bob:example.com":49}}`, true, false},
		{"default", `{"users_default":50}`, true, true},
		{"state default", `{"users_default":50,"state_default":51}`, false, false},
		{"own type", `{"users":{"@bob:example.com":7},"events":{"fi.mau.telegram.bridge":7},"state_default":99}`, false, true},
		{"other type", `{"users":{"@bob:example.com":50},"events":{"fi.mau.telegram.unbridge":99}}`, false, true},
		{"strings", `{"users":{"@bob:example.com":" 50 "},"state_default":"50"}`, false, true},
		{"whole floats", `{"users":{"@bob:example.com":50.0,"@alice:example.com":5e1}}`, true, true},
		{"negative", `{"users":{"@bob:example.com":-1},"events":{"fi.mau.telegram.bridge":-1},"users_default":-2}`, false, true},
		{"null", `{"users":null,"users_default":null,"events":null,"state_default":0}`, true, true},
		{"no power levels", "", true, false},
		{"fractions", `{"users":{"@alice:example.com":50.5},"users_default":99.9}`, false, false},
		{"words", `{"users":{"@alice:example.com":"admin"},"users_default":true}`, false, false},
		{"users a list", `{"users":["@alice:example.com"],"users_default":100}`, false, false},
		{"events a number", `{"users_default":100,"events":5}`, false, false},
		{"level an object", `{"users_default":100,"events":{"fi.mau.telegram.bridge":{}}}`, false, false},
		{"too large", `{"users":{"@alice:example.com":1e300,"@bob:example.com":99999999999999999999}}`, false, false},
		{"a list", `[]`, false, false},
		{"a word", `"all"`, false, false},
	} {
		for _, version := range []string{"10", "11", "12"} {
			t.Run(c.name+" in "+version, func(t *testing.T) {
				w := newWorld(t, version)
				bob, err := w.hs.AddUser("bob")
				require.NoError(t, err)
				roomID := w.withBot(mautrix.ReqCreateRoom{})
				_, err = bob.JoinRoomByID(t.Context(), roomID)
				require.NoError(t, err)
				require.NoError(t, w.hs.SetState(roomID, "m.room.power_levels", "", c.levels))
				got, err := w.rooms.HasPower(t.Context(), roomID, w.alice.UserID, eventType)
				require.NoError(t, err)
				assert.Equal(t, c.alice || version == "12", got, "alice")
				got, err = w.rooms.HasPower(t.Context(), roomID, bob.UserID, eventType)
				require.NoError(t, err)
				assert.Equal(t, c.bob, got, "bob")
				// Whoever is not in the room has no power there.
				_, err = bob.LeaveRoom(t.Context(), roomID)
				require.NoError(t, err)
				for _, userID := range []id.UserID{bob.UserID, "@nobody:example.com"} {
					got, err = w.rooms.HasPower(t.Context(), roomID, userID, eventType)
					require.NoError(t, err)
					assert.False(t, got, userID)
				}
			})
		}
	}
}

// A creator besides the first one is one too, in version 12 alone.
func TestAdditionalCreators(t *testing.T) {
	for _, version := range []string{"11", "12"} {
		w := newWorld(t, version)
		bob, err := w.hs.AddUser("bob")
		require.NoError(t, err)
		roomID := w.withBot(mautrix.ReqCreateRoom{CreationContent: map[string]any{"additional_creators": []id.UserID{bob.UserID}}})
		_, err = bob.JoinRoomByID(t.Context(), roomID)
		require.NoError(t, err)
		got, err := w.rooms.HasPower(t.Context(), roomID, bob.UserID, "x")
		require.NoError(t, err)
		assert.Equal(t, version == "12", got)
	}
}

func TestRoom(t *testing.T) {
	w := newWorld(t, "")
	bare := w.withBot(mautrix.ReqCreateRoom{})
	got, err := w.rooms.Room(t.Context(), bare)
	require.NoError(t, err)
	assert.Equal(t, provisioning.Room{Ghosts: []int64{42}, Users: []id.UserID{w.alice.UserID}}, got)

	full := w.withBot(mautrix.ReqCreateRoom{Name: "Name", Topic: "Topic", RoomAliasName: "alias", InitialState: []*event.Event{{
		Type: event.StateEncryption, Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
	}}})
	require.NoError(t, w.hs.AddMembers(full, 5000))
	before := w.hs.Calls("GET state") + w.hs.Calls("joined_members") + w.hs.Calls("state") + w.hs.Calls("members")
	got, err = w.rooms.Room(t.Context(), full)
	require.NoError(t, err)
	assert.Equal(t, []any{"Name", "Topic", id.RoomAlias("#alias:example.com"), true}, []any{got.Name, got.Topic, got.CanonicalAlias, got.Encrypted})
	assert.Len(t, got.Users, 5001)
	assert.Equal(t, []int64{42}, got.Ghosts)
	assert.Equal(t, 6, w.hs.Calls("GET state")+w.hs.Calls("joined_members")+w.hs.Calls("state")+w.hs.Calls("members")-before, "requests")

	// What somebody has set that makes no sense counts as nothing.
	for _, eventType := range []string{"m.room.name", "m.room.topic", "m.room.canonical_alias", "m.room.encryption"} {
		require.NoError(t, w.hs.SetState(bare, eventType, "", `{"name":5,"topic":[],"alias":{},"algorithm":1}`))
	}
	got, err = w.rooms.Room(t.Context(), bare)
	require.NoError(t, err)
	assert.Equal(t, provisioning.Room{Ghosts: []int64{42}, Users: []id.UserID{w.alice.UserID}}, got)
}

// photoOf returns a photo, and counts how often.
func photoOf(photoID int64, calls *atomic.Int64) provisioning.PhotoFunc {
	return func(context.Context) (provisioning.Photo, error) {
		calls.Add(1)
		return provisioning.Photo{ID: photoID, Data: []byte("photo"), Type: "image/jpeg"}, nil
	}
}

func TestSetUpPortal(t *testing.T) {
	w := newWorld(t, "")
	var calls atomic.Int64
	setup := func(roomID id.RoomID) provisioning.PortalSetup {
		return provisioning.PortalSetup{UserID: w.alice.UserID, Photo: photoOf(7, &calls), Portal: provisioning.Portal{
			RoomID: roomID, ChatID: provisioning.ChannelChatID(9), Title: "News", About: "All of it", Username: "news",
		}}
	}
	const (
		key  = "fi.mau.telegram://telegram/-1000000000009"
		info = `{"bridgebot":"@telegrambot:example.com","creator":"@alice:example.com",` +
			`"protocol":{"id":"telegram","displayname":"Telegram","external_url":"https://telegram.org/"},` +
			`"channel":{"id":"-1000000000009","displayname":"News","external_url":"https://t.me/news"}}`
	)
	bare := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(bare, 50)
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), setup(bare)))
	assert.JSONEq(t, info, w.state(bare, "m.bridge", key))
	assert.JSONEq(t, info, w.state(bare, "uk.half-shot.bridge", key))
	assert.JSONEq(t, `{"name":"News"}`, w.state(bare, "m.room.name", ""))
	assert.JSONEq(t, `{"topic":"All of it"}`, w.state(bare, "m.room.topic", ""))
	var avatar event.RoomAvatarEventContent
	require.NoError(t, json.Unmarshal([]byte(w.state(bare, "m.room.avatar", "")), &avatar))
	media, ok := w.hs.Media(avatar.URL)
	assert.True(t, ok)
	assert.Equal(t, matrixtest.Media{Data: []byte("photo"), Type: "image/jpeg"}, media)

	// Again changes nothing, and asks for no photo.
	before := w.hs.Calls("PUT state")
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), setup(bare)))
	assert.Equal(t, before, w.hs.Calls("PUT state"))
	assert.EqualValues(t, 1, calls.Load())

	// What the room has stays.
	named := w.withBot(mautrix.ReqCreateRoom{Name: "Mine", Topic: "Ours"})
	w.empower(named, 50)
	require.NoError(t, w.hs.SetState(named, "m.room.avatar", "", `{"url":"mxc://example.com/mine"}`))
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), setup(named)))
	assert.JSONEq(t, info, w.state(named, "m.bridge", key))
	assert.JSONEq(t, `{"name":"Mine"}`, w.state(named, "m.room.name", ""))
	assert.JSONEq(t, `{"topic":"Ours"}`, w.state(named, "m.room.topic", ""))
	assert.JSONEq(t, `{"url":"mxc://example.com/mine"}`, w.state(named, "m.room.avatar", ""))

	// A bot without power sets nothing, and that is no error.
	powerless := w.withBot(mautrix.ReqCreateRoom{})
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), setup(powerless)))
	assert.Empty(t, w.state(powerless, "m.bridge", key)+w.state(powerless, "m.room.name", ""))
	assert.EqualValues(t, 1, calls.Load())

	// A photo that was uploaded once is not uploaded again.
	second := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(second, 50)
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), setup(second)))
	assert.Equal(t, 1, w.hs.Uploads())
	assert.Equal(t, w.state(bare, "m.room.avatar", ""), w.state(second, "m.room.avatar", ""))

	// A photo that can't be had is left out; a homeserver that can't take it is not.
	third := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(third, 50)
	failing := setup(third)
	failing.Photo = func(context.Context) (provisioning.Photo, error) {
		return provisioning.Photo{}, provisioning.ErrPhotoGone
	}
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), failing))
	assert.Empty(t, w.state(third, "m.room.avatar", ""))
	failing.Photo = photoOf(8, &calls)
	w.hs.Fail("upload", 1, 503, "M_UNKNOWN")
	require.ErrorIs(t, w.rooms.SetUpPortal(t.Context(), failing), provisioning.ErrHomeserver)
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), failing))
	assert.NotEmpty(t, w.state(third, "m.room.avatar", ""))

	// A direct chat has no name of its own.
	direct := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(direct, 50)
	p := provisioning.Portal{RoomID: direct, ChatID: 42, Receiver: 7, Title: "Zaphod"}
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), provisioning.PortalSetup{Portal: p}))
	assert.Empty(t, w.state(direct, "m.room.name", ""))
	assert.NotEmpty(t, w.state(direct, "m.bridge", "fi.mau.telegram://telegram/7/42"))
}

func TestCleanUp(t *testing.T) {
	for _, version := range []string{"10", "12"} {
		for _, everybody := range []bool{false, true} {
			t.Run(fmt.Sprintf("version %s, everybody %t", version, everybody), func(t *testing.T) {
				w := newWorld(t, version)
				ctx := t.Context()
				bob, err := w.hs.AddUser("bob")
				require.NoError(t, err)
				roomID := w.withBot(mautrix.ReqCreateRoom{Name: "Room", Invite: []id.UserID{"@carol:example.com"}})
				w.empower(roomID, 99)
				for i := range int64(20) {
					require.NoError(t, w.rooms.UpdateGhost(ctx, provisioning.Contact{ID: 100 + i, Name: "G"}, nil))
					_, err := w.client(w.rooms.GhostID(100+i)).JoinRoomByID(ctx, roomID)
					require.NoError(t, err)
				}
				_, err = bob.JoinRoomByID(ctx, roomID)
				require.NoError(t, err)
				p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
				require.NoError(t, w.rooms.SetUpPortal(ctx, provisioning.PortalSetup{Portal: p}))
				// Another portal's bridge info is none of ours.
				require.NoError(t, w.hs.SetState(roomID, "m.bridge", "other", `{"channel":{"id":"x"}}`))
				for range 2 { // the second time there is nothing left to do
					require.NoError(t, w.rooms.CleanUp(ctx, p, everybody))
				}
				assert.JSONEq(t, `{}`, w.state(roomID, "m.bridge", "fi.mau.telegram://telegram/-1"))
				assert.JSONEq(t, `{}`, w.state(roomID, "uk.half-shot.bridge", "fi.mau.telegram://telegram/-1"))
				assert.NotEqual(t, `{}`, w.state(roomID, "m.bridge", "other"))
				members := w.hs.Members(roomID)
				others := event.MembershipJoin
				if everybody {
					others = event.MembershipLeave
				}
				for userID, membership := range members {
					_, ghost := w.rooms.ParseGhost(userID)
					switch {
					case ghost:
						assert.Equal(t, event.MembershipLeave, membership, userID)
					case userID == w.alice.UserID:
						assert.Equal(t, event.MembershipJoin, membership, "alice has more power than the bot")
					case userID == "@carol:example.com" && !everybody:
						assert.Equal(t, event.MembershipInvite, membership)
					default:
						assert.Equal(t, others, membership, userID)
					}
				}
			})
		}
	}
}

func TestCleanUpLargeRoom(t *testing.T) {
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(roomID, 100)
	require.NoError(t, w.hs.AddMembers(roomID, 5000))
	p := provisioning.Portal{RoomID: roomID, ChatID: -1}
	before := w.hs.Calls("leave") + w.hs.Calls("kick")
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, false))
	assert.Equal(t, 1, w.hs.Calls("leave")+w.hs.Calls("kick")-before, "one ghost leaves")
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
	left := 0
	for _, membership := range w.hs.Members(roomID) {
		if membership == event.MembershipLeave {
			left++
		}
	}
	assert.Equal(t, 5002, left, "all but alice")
}

// A member who can't be kicked, and a ghost that can't leave, stop nothing; trouble
// with the homeserver is an error, and the next time does the rest.
func TestCleanUpFails(t *testing.T) {
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(roomID, 100)
	require.NoError(t, w.hs.AddMembers(roomID, 30))
	p := provisioning.Portal{RoomID: roomID, ChatID: -1}
	for _, operation := range []string{"kick", "leave", "joined_members", "members"} {
		w.hs.Fail(operation, 1, 503, "M_UNKNOWN")
		require.ErrorIs(t, w.rooms.CleanUp(t.Context(), p, true), provisioning.ErrHomeserver, operation)
		assert.Equal(t, event.MembershipJoin, w.hs.Members(roomID)[botID], "the bot stays until the end")
	}
	w.hs.Fail("kick", 3, 429, "M_LIMIT_EXCEEDED")
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
	joined := 0
	for _, membership := range w.hs.Members(roomID) {
		if membership == event.MembershipJoin {
			joined++
		}
	}
	assert.Equal(t, 1, joined, "alice, whom nobody can kick")
}

func TestDirectRoom(t *testing.T) {
	for _, version := range []string{"10", "11", "12"} {
		t.Run(version, func(t *testing.T) {
			w := newWorld(t, version)
			ctx := t.Context()
			roomID, err := w.rooms.CreateDirect(ctx, w.alice.UserID, provisioning.Contact{ID: 42, Name: "Zaphod"})
			require.NoError(t, err)
			assert.Equal(t, map[id.UserID]event.Membership{ghostID: event.MembershipJoin, botID: event.MembershipJoin}, w.hs.Members(roomID))
			name, _, _ := w.hs.Profile(ghostID)
			assert.Equal(t, "Zaphod", name)
			for _, userID := range []id.UserID{botID, ghostID} {
				has, err := w.rooms.HasPower(ctx, roomID, userID, "m.room.power_levels")
				require.NoError(t, err)
				assert.True(t, has, userID)
			}
			for range 2 {
				require.NoError(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42))
				assert.Contains(t, w.state(roomID, "m.room.member", string(w.alice.UserID)), `"is_direct":true`)
			}
			_, err = w.alice.JoinRoomByID(ctx, roomID)
			require.NoError(t, err)
			require.NoError(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42))
			assert.Equal(t, event.MembershipJoin, w.hs.Members(roomID)[w.alice.UserID])

			// The bot has gone: the ghost looks after the room.
			_, err = w.client(botID).LeaveRoom(ctx, roomID)
			require.NoError(t, err)
			p := provisioning.Portal{RoomID: roomID, ChatID: 42, Receiver: 7}
			require.NoError(t, w.rooms.CleanUp(ctx, p, true))
			for userID, membership := range w.hs.Members(roomID) {
				assert.Equal(t, event.MembershipLeave, membership, userID)
			}
			require.NoError(t, w.rooms.CleanUp(ctx, p, true))
			assert.ErrorIs(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42), provisioning.ErrHomeserver)
		})
	}
}

// The ghost that has created a room can kick whoever the bot can't.
func TestCleanUpDirectRoom(t *testing.T) {
	w := newWorld(t, "11")
	ctx := t.Context()
	roomID, err := w.rooms.CreateDirect(ctx, w.alice.UserID, provisioning.Contact{ID: 42, Name: "Zaphod"})
	require.NoError(t, err)
	require.NoError(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42))
	_, err = w.alice.JoinRoomByID(ctx, roomID)
	require.NoError(t, err)
	var levels event.PowerLevelsEventContent
	require.NoError(t, w.client(ghostID).StateEvent(ctx, roomID, event.StatePowerLevels, "", &levels))
	levels.SetUserLevel(botID, 40)
	require.NoError(t, w.hs.SetState(roomID, "m.room.power_levels", "", mustJSON(t, &levels)))
	require.NoError(t, w.rooms.CleanUp(ctx, provisioning.Portal{RoomID: roomID, ChatID: 42, Receiver: 7}, true))
	for userID, membership := range w.hs.Members(roomID) {
		assert.Equal(t, event.MembershipLeave, membership, userID)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

// A direct room that could not be finished is left again.
func TestCreateDirectFails(t *testing.T) {
	w := newWorld(t, "")
	for _, operation := range []string{"register", "PUT profile", "createRoom", "PUT state", "join"} {
		w.hs.Fail(operation, 1, 503, "M_UNKNOWN")
		_, err := w.rooms.CreateDirect(t.Context(), w.alice.UserID, provisioning.Contact{ID: 42, Name: "Zaphod"})
		require.ErrorIs(t, err, provisioning.ErrHomeserver, operation)
		for _, roomID := range w.hs.Rooms() {
			for userID, membership := range w.hs.Members(roomID) {
				assert.Equal(t, event.MembershipLeave, membership, "%s: %s", operation, userID)
			}
		}
	}
}

func TestGhosts(t *testing.T) {
	w := newWorld(t, "")
	ctx := t.Context()
	var calls atomic.Int64
	zaphod := provisioning.Contact{ID: 42, Name: "Zaphod", PhotoID: 7}
	trillian := provisioning.Contact{ID: 43, Name: "Trillian", PhotoID: 7} // the same photo
	arthur := provisioning.Contact{ID: 44, Name: "Arthur"}
	all := []provisioning.Contact{zaphod, trillian, arthur}
	known, outdated, err := w.rooms.Avatars(ctx, all)
	require.NoError(t, err)
	assert.Empty(t, known)
	assert.Equal(t, []provisioning.Contact{zaphod, trillian}, outdated)

	var wg sync.WaitGroup
	for range 10 {
		for _, c := range []provisioning.Contact{zaphod, trillian} {
			wg.Go(func() { assert.NoError(t, w.rooms.UpdateGhost(ctx, c, photoOf(7, &calls))) })
		}
	}
	wg.Wait()
	require.NoError(t, w.rooms.UpdateGhost(ctx, arthur, photoOf(8, &calls)))
	assert.EqualValues(t, 1, calls.Load(), "downloads")
	assert.Equal(t, 1, w.hs.Uploads())
	known, outdated, err = w.rooms.Avatars(ctx, all)
	require.NoError(t, err)
	assert.Empty(t, outdated)
	require.Len(t, known, 2)
	assert.Equal(t, known[42], known[43])
	name, avatar, _ := w.hs.Profile(ghostID)
	assert.Equal(t, []any{"Zaphod", known[42]}, []any{name, avatar})

	// Set once, and when changed.
	before := w.hs.Calls("PUT profile")
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, photoOf(7, &calls)))
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, nil))
	assert.Equal(t, before, w.hs.Calls("PUT profile"))
	zaphod.Name, zaphod.PhotoID = "President", 9
	known, outdated, err = w.rooms.Avatars(ctx, []provisioning.Contact{zaphod})
	require.NoError(t, err)
	assert.Len(t, known, 1, "the old one, until the new one is there")
	assert.Equal(t, []provisioning.Contact{zaphod}, outdated)
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, photoOf(9, &calls)))
	name, avatar, _ = w.hs.Profile(ghostID)
	assert.Equal(t, "President", name)
	assert.NotEqual(t, known[42], avatar)
	zaphod.PhotoID = 0
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, nil))
	_, avatar, _ = w.hs.Profile(ghostID)
	assert.Empty(t, avatar)

	gone := errors.New("gone")
	trillian.PhotoID = 10
	require.ErrorIs(t, w.rooms.UpdateGhost(ctx, trillian, func(context.Context) (provisioning.Photo, error) {
		return provisioning.Photo{}, gone
	}), gone)

	var many []provisioning.Contact
	for i := range int64(5000) {
		many = append(many, provisioning.Contact{ID: 1000 + i, PhotoID: 1})
	}
	_, outdated, err = w.rooms.Avatars(ctx, append(many, trillian))
	require.NoError(t, err)
	assert.Len(t, outdated, 5001)
}
