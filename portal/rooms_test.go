package portal_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

func TestNewRoomsErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	with := func(change func(*appservice.Registration)) *appservice.AppService {
		r := registration()
		change(r)
		return newAppService(t, r, w.hs.URL())
	}
	other := with(func(r *appservice.Registration) { r.Namespaces.UserIDs[0].Regex = `@tg_[0-9]+:example\.com` })
	shared := with(func(r *appservice.Registration) { r.Namespaces.UserIDs[0].Exclusive = false })
	broken := with(func(r *appservice.Registration) { r.Namespaces.UserIDs[0].Regex = `(` })
	short := with(func(r *appservice.Registration) { r.Namespaces.UserIDs[0].Regex = `@telegram_[0-9]:example\.com` })
	clash := with(func(r *appservice.Registration) { r.SenderLocalpart = "telegram_7" })
	closed := newDatabase(t)
	require.NoError(t, closed.Close())
	for _, c := range []struct {
		says string
		cfg  portal.RoomsConfig
	}{
		{"RoomsConfig.AppService", portal.RoomsConfig{DB: w.db}},
		{"no registration", portal.RoomsConfig{DB: w.db, AppService: appservice.Create()}},
		{"RoomsConfig.DB", portal.RoomsConfig{AppService: w.as}},
		{"database", portal.RoomsConfig{AppService: w.as, DB: closed}},
		{`GhostTemplate "telegram_": {id}`, portal.RoomsConfig{AppService: w.as, DB: w.db, GhostTemplate: "telegram_"}},
		{`"telegram_{id}_{id}": {id}`, portal.RoomsConfig{AppService: w.as, DB: w.db, GhostTemplate: "telegram_{id}_{id}"}},
		{"@Telegram_1:example.com is no Matrix ID", portal.RoomsConfig{AppService: w.as, DB: w.db, GhostTemplate: "Telegram_{id}"}},
		{"@telegram_1:example.com is in no exclusive user namespace", portal.RoomsConfig{AppService: other, DB: w.db}},
		{"@telegram_1_x:example.com is in no exclusive user namespace", portal.RoomsConfig{AppService: w.as, DB: w.db, GhostTemplate: "telegram_{id}_x"}},
		{"is in no exclusive user namespace", portal.RoomsConfig{AppService: shared, DB: w.db}},
		{"is in no exclusive user namespace", portal.RoomsConfig{AppService: broken, DB: w.db}},
		{"@telegram_1099511627775:example.com is in no exclusive", portal.RoomsConfig{AppService: short, DB: w.db}},
		{"bot @telegram_7:example.com would be a ghost", portal.RoomsConfig{AppService: clash, DB: w.db}},
		{`DisplayName "Bob": {name}`, portal.RoomsConfig{AppService: w.as, DB: w.db, DisplayName: "Bob"}},
	} {
		_, err := portal.NewRooms(t.Context(), c.cfg)
		assert.ErrorContains(t, err, c.says)
	}
	_, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: other, DB: w.db, GhostTemplate: "tg_{id}"})
	assert.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = portal.NewRooms(ctx, portal.RoomsConfig{AppService: w.as, DB: newDatabase(t)})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestGhostIDs(t *testing.T) {
	t.Parallel()
	rooms := newWorld(t, "").rooms
	assert.Equal(t, ghostID, rooms.GhostID(42))
	for userID, want := range map[id.UserID]provisioning.TelegramID{
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

// badRooms makes rooms that the bot is not in, by how it came so. The appservice's
// StateStore believes that the bot is in those that it was in.
func (w *world) badRooms() map[string]id.RoomID {
	w.t.Helper()
	ctx := w.t.Context()
	rooms := map[string]id.RoomID{"unknown": "!unknown:example.com", "unknown, of version 12": "!unknown", "malformed": "!", "with a slash": "!a/b:example.com"}
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
		require.NoError(w.t, w.as.StateStore.SetMembership(ctx, rooms[name], botID, event.MembershipJoin))
	}
	return rooms
}

func TestBotNotInRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for name, roomID := range w.badRooms() {
		require.ErrorIs(t, w.rooms.CheckBot(t.Context(), roomID), provisioning.ErrBridgeBotNotInRoom, name)
		_, err := w.rooms.HasPower(t.Context(), roomID, w.alice.UserID, "x")
		require.ErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom, name)
		_, err = w.rooms.Room(t.Context(), roomID, provisioning.RoomQuery{Content: true})
		require.ErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom, name)
		p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
		require.ErrorIs(t, w.rooms.SetUpPortal(t.Context(), provisioning.PortalSetup{Portal: p}), provisioning.ErrBridgeBotNotInRoom, name)
		require.NoError(t, w.rooms.CleanUp(t.Context(), p, true), name)
		require.NoError(t, w.rooms.CleanUp(t.Context(), p, false), name)
	}
}

// A bot that has to go while a room is being read is not in it.
func TestBotKickedInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	happened := w.once("GET", "joined_members", func() {
		_, err := w.alice.KickUser(t.Context(), roomID, &mautrix.ReqKickUser{UserID: botID})
		assert.NoError(t, err)
	})
	_, err := w.rooms.Room(t.Context(), roomID, provisioning.RoomQuery{Content: true})
	require.ErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom)
	assert.True(t, happened())
}

func TestRoomIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	bare := w.withBot(mautrix.ReqCreateRoom{})
	got, err := w.rooms.Room(t.Context(), bare, provisioning.RoomQuery{Content: true})
	require.NoError(t, err)
	assert.Equal(t, provisioning.Room{Ghosts: []provisioning.TelegramID{42}, Users: []id.UserID{w.alice.UserID}}, got)

	full := w.withBot(mautrix.ReqCreateRoom{Name: "Name", Topic: "Topic", RoomAliasName: "alias", InitialState: []*event.Event{{
		Type: event.StateEncryption, Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
	}}})
	require.NoError(t, w.hs.AddMembers(full, 5000))
	var requests atomic.Int64
	w.intercept(func(*http.Request) { requests.Add(1) })
	got, err = w.rooms.Room(t.Context(), full, provisioning.RoomQuery{Content: true})
	require.NoError(t, err)
	assert.Equal(t, []any{"Name", "Topic", id.RoomAlias("#alias:example.com"), true}, []any{got.Name, got.Topic, got.CanonicalAlias, got.Encrypted})
	assert.Len(t, got.Users, 5001)
	assert.Equal(t, []provisioning.TelegramID{42}, got.Ghosts)
	w.intercept(nil)
	assert.EqualValues(t, 8, requests.Load())

	// What somebody has set that makes no sense counts as nothing, and so does what was
	// removed.
	for _, content := range []string{`{"name":5,"topic":[],"alias":{},"algorithm":1}`, `{"name":null,"topic":null,"alias":null,"algorithm":null}`, `{}`, `[]`, `null`, `"x"`} {
		for _, eventType := range []string{"m.room.name", "m.room.topic", "m.room.canonical_alias", "m.room.encryption"} {
			require.NoError(t, w.hs.SetState(bare, eventType, "", content))
		}
		got, err = w.rooms.Room(t.Context(), bare, provisioning.RoomQuery{Content: true})
		require.NoError(t, err)
		assert.Equal(t, provisioning.Room{Ghosts: []provisioning.TelegramID{42}, Users: []id.UserID{w.alice.UserID}}, got, content)
	}
}
