package portal_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
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

// zaphod is somebody on Telegram, whose ghost is ghostID.
var zaphod = provisioning.Contact{ID: 42, Name: "Zaphod"}

// world is a homeserver with a bridge on it, and a user.
type world struct {
	t     *testing.T
	hs    *matrixtest.Server
	as    *appservice.AppService
	db    *dbutil.Database
	rooms *portal.Rooms
	alice *mautrix.Client

	mu     sync.Mutex
	before func(*http.Request) // what the bridge asks for
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
	hs, err := matrixtest.Start(matrixtest.Config{ServerName: "example.com", RoomVersion: version, Registrations: []*appservice.Registration{r}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, hs.Close()) })
	w := &world{t: t, hs: hs, db: newDatabase(t)}
	w.as = newAppService(t, r, w.proxy())
	w.rooms, err = portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: w.as, DB: w.db})
	require.NoError(t, err)
	w.alice, err = hs.AddUser("alice")
	require.NoError(t, err)
	return w
}

func newAppService(t *testing.T, r *appservice.Registration, address string) *appservice.AppService {
	t.Helper()
	as, err := appservice.CreateFull(appservice.CreateOpts{Registration: r, HomeserverDomain: "example.com", HomeserverURL: address})
	require.NoError(t, err)
	t.Cleanup(as.HTTPClient.CloseIdleConnections)
	return as
}

// proxy stands between the bridge and the homeserver. It returns its address.
func (w *world) proxy() string {
	w.t.Helper()
	to, err := url.Parse(w.hs.URL())
	require.NoError(w.t, err)
	forward := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		if w.before != nil {
			w.before(r)
		}
		w.mu.Unlock()
		forward.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	return server.URL
}

// intercept has a function called with every request of the bridge's, before the
// homeserver sees it.
func (w *world) intercept(before func(*http.Request)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = before
}

// once has a function called before the first request of the bridge's with a method,
// and a path that ends so.
func (w *world) once(method, suffix string, do func()) (happened func() bool) {
	var once sync.Once
	done := false
	w.intercept(func(r *http.Request) {
		if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
			once.Do(func() {
				done = true
				do()
			})
		}
	})
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return done
	}
}

// room makes a room of alice's.
func (w *world) room(request mautrix.ReqCreateRoom) id.RoomID {
	w.t.Helper()
	created, err := w.alice.CreateRoom(w.t.Context(), &request)
	require.NoError(w.t, err)
	return created.RoomID
}

// client returns a client of the bridge's.
func (w *world) client(userID id.UserID) *mautrix.Client { return w.as.NewMautrixClient(userID) }

// join has one of the bridge's users join a room.
func (w *world) join(roomID id.RoomID, userID id.UserID) {
	w.t.Helper()
	_, err := w.client(userID).JoinRoomByID(w.t.Context(), roomID)
	require.NoError(w.t, err)
}

// joinAs has a user join a room.
func (w *world) joinAs(roomID id.RoomID, user *mautrix.Client) {
	w.t.Helper()
	_, err := user.JoinRoomByID(w.t.Context(), roomID)
	require.NoError(w.t, err)
}

// newUser makes a user.
func (w *world) newUser(localpart string) *mautrix.Client {
	w.t.Helper()
	user, err := w.hs.AddUser(localpart)
	require.NoError(w.t, err)
	return user
}

// addGhosts makes the ghosts of Telegram users from the first on join a room.
func (w *world) addGhosts(roomID id.RoomID, first, count provisioning.TelegramID) {
	w.t.Helper()
	for telegramID := first; telegramID < first+count; telegramID++ {
		ghost := w.as.Intent(w.rooms.GhostID(telegramID))
		require.NoError(w.t, ghost.EnsureRegistered(w.t.Context()))
		_, err := ghost.Client.JoinRoomByID(w.t.Context(), roomID)
		require.NoError(w.t, err)
	}
}

// withBot makes a public room of alice's, with the bot and a ghost in it.
func (w *world) withBot(request mautrix.ReqCreateRoom) id.RoomID {
	w.t.Helper()
	request.Preset = "public_chat"
	roomID := w.room(request)
	require.NoError(w.t, w.rooms.UpdateGhost(w.t.Context(), zaphod, nil))
	w.join(roomID, botID)
	w.join(roomID, ghostID)
	return roomID
}

// empower gives somebody a power level.
func (w *world) empower(roomID id.RoomID, userID id.UserID, level int) {
	w.t.Helper()
	var levels event.PowerLevelsEventContent
	require.NoError(w.t, w.alice.StateEvent(w.t.Context(), roomID, event.StatePowerLevels, "", &levels))
	levels.SetUserLevel(userID, level)
	_, err := w.alice.SendStateEvent(w.t.Context(), roomID, event.StatePowerLevels, "", &levels)
	require.NoError(w.t, err)
}

// state returns a state event as text, "" where there is none.
func (w *world) state(roomID id.RoomID, eventType, key string) string {
	raw, _ := w.hs.State(roomID, eventType, key)
	return string(raw)
}

// who lists who has a membership of a room.
func (w *world) who(roomID id.RoomID, membership event.Membership) (users []id.UserID) {
	for userID, is := range w.hs.Members(roomID) {
		if is == membership {
			users = append(users, userID)
		}
	}
	slices.Sort(users)
	return users
}

func TestNewRoomsErrors(t *testing.T) {
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
	w := newWorld(t, "")
	for name, roomID := range w.badRooms() {
		require.ErrorIs(t, w.rooms.CheckBot(t.Context(), roomID), provisioning.ErrBridgeBotNotInRoom, name)
		_, err := w.rooms.HasPower(t.Context(), roomID, w.alice.UserID, "x")
		require.ErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom, name)
		_, err = w.rooms.Room(t.Context(), roomID)
		require.ErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom, name)
		p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
		require.ErrorIs(t, w.rooms.SetUpPortal(t.Context(), provisioning.PortalSetup{Portal: p}), provisioning.ErrBridgeBotNotInRoom, name)
		require.NoError(t, w.rooms.CleanUp(t.Context(), p, true), name)
		require.NoError(t, w.rooms.CleanUp(t.Context(), p, false), name)
	}
}

// A bot that has to go while a room is being read is not in it.
func TestBotKickedInTheMiddle(t *testing.T) {
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	happened := w.once("GET", "joined_members", func() {
		_, err := w.alice.KickUser(t.Context(), roomID, &mautrix.ReqKickUser{UserID: botID})
		assert.NoError(t, err)
	})
	_, err := w.rooms.Room(t.Context(), roomID)
	require.ErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom)
	assert.True(t, happened())
}

func TestRoom(t *testing.T) {
	w := newWorld(t, "")
	bare := w.withBot(mautrix.ReqCreateRoom{})
	got, err := w.rooms.Room(t.Context(), bare)
	require.NoError(t, err)
	assert.Equal(t, provisioning.Room{Ghosts: []provisioning.TelegramID{42}, Users: []id.UserID{w.alice.UserID}}, got)

	full := w.withBot(mautrix.ReqCreateRoom{Name: "Name", Topic: "Topic", RoomAliasName: "alias", InitialState: []*event.Event{{
		Type: event.StateEncryption, Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
	}}})
	require.NoError(t, w.hs.AddMembers(full, 5000))
	requests := 0
	w.intercept(func(*http.Request) { requests++ })
	got, err = w.rooms.Room(t.Context(), full)
	require.NoError(t, err)
	assert.Equal(t, []any{"Name", "Topic", id.RoomAlias("#alias:example.com"), true}, []any{got.Name, got.Topic, got.CanonicalAlias, got.Encrypted})
	assert.Len(t, got.Users, 5001)
	assert.Equal(t, []provisioning.TelegramID{42}, got.Ghosts)
	w.intercept(nil)
	assert.Equal(t, 6, requests)

	// What somebody has set that makes no sense counts as nothing, and so does what was
	// removed.
	for _, content := range []string{`{"name":5,"topic":[],"alias":{},"algorithm":1}`, `{"name":null,"topic":null,"alias":null,"algorithm":null}`, `{}`, `[]`, `null`, `"x"`} {
		for _, eventType := range []string{"m.room.name", "m.room.topic", "m.room.canonical_alias", "m.room.encryption"} {
			require.NoError(t, w.hs.SetState(bare, eventType, "", content))
		}
		got, err = w.rooms.Room(t.Context(), bare)
		require.NoError(t, err)
		assert.Equal(t, provisioning.Room{Ghosts: []provisioning.TelegramID{42}, Users: []id.UserID{w.alice.UserID}}, got, content)
	}
}

// calls are all methods that ask the homeserver something.
func (w *world) calls(roomID id.RoomID) map[string]func(context.Context) error {
	p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
	return map[string]func(context.Context) error{
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
}

// checkFault says whether an error is the homeserver's, with nothing of the request.
func (w *world) checkFault(err error, name string) {
	w.t.Helper()
	require.ErrorIs(w.t, err, provisioning.ErrHomeserver, name)
	require.NotErrorIs(w.t, err, provisioning.ErrBridgeBotNotInRoom, name)
	assert.NotContains(w.t, err.Error(), w.as.Registration.AppToken, name)
	if _, ok := errors.AsType[mautrix.HTTPError](err); ok {
		assert.Fail(w.t, "the error holds the request, and the token", name)
	}
}

// A homeserver that can't be reached, or has troubles, is not a room without the bot.
func TestHomeserverAway(t *testing.T) {
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{Name: "Room"})
	for name, call := range w.calls(roomID) {
		w.hs.Fail("", 1000, 502, "M_UNKNOWN")
		w.checkFault(call(t.Context()), name)
		w.hs.Fail("", 1000, 401, "M_UNKNOWN_TOKEN")
		w.checkFault(call(t.Context()), name)
		w.hs.Fail("", 1000, 429, "M_LIMIT_EXCEEDED") // each to be tried again after 1 ms
		w.checkFault(call(t.Context()), name)
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
	for name, call := range w.calls(roomID) {
		w.checkFault(call(t.Context()), name)
	}
}

// answering returns Rooms whose homeserver has one answer to everything, and the number
// of requests that it got.
func answering(t *testing.T, answer func(http.ResponseWriter)) (rooms *portal.Rooms, requests func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		n++
		mu.Unlock()
		answer(rw)
	}))
	t.Cleanup(server.Close)
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: newAppService(t, registration(), server.URL), DB: newDatabase(t)})
	require.NoError(t, err)
	return rooms, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// What is not an answer of a homeserver's about the room says nothing of the room.
func TestStrangeAnswers(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		notIn      bool // else it is the homeserver's fault
		requests   int
	}{
		{"a proxy's 404", "<html>Not Found</html>", 404, false, 1},
		{"a proxy's 403", "Forbidden", 403, false, 1},
		{"no Matrix there", `{"errcode":"M_UNRECOGNIZED","error":"?"}`, 404, false, 1},
		{"token unknown", `{"errcode":"M_UNKNOWN_TOKEN","error":"?"}`, 403, false, 1},
		{"a proxy's 502", "<html>Bad Gateway</html>", 502, false, 1},
		{"error without a code", `{}`, 500, false, 1},
		{"no JSON", "<html>Welcome</html>", 200, false, 1},
		{"half of JSON", `{"membership":"jo`, 200, false, 1},
		{"rate limit", `{"errcode":"M_LIMIT_EXCEEDED","error":"?","retry_after_ms":0}`, 429, false, 10},
		{"nothing", `null`, 200, true, 1},
		{"no membership", `{}`, 200, true, 1},
		{"membership of no kind", `{"membership":1}`, 200, true, 1},
		{"not found", `{"errcode":"M_NOT_FOUND","error":"?"}`, 404, true, 1},
		{"forbidden", `{"errcode":"M_FORBIDDEN","error":"?"}`, 403, true, 1},
		{"invalid", `{"errcode":"M_INVALID_PARAM","error":"?"}`, 400, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			rooms, requests := answering(t, func(rw http.ResponseWriter) {
				rw.WriteHeader(c.status)
				_, _ = rw.Write([]byte(c.body))
			})
			err := rooms.CheckBot(t.Context(), "!room:example.com")
			if c.notIn {
				require.ErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom)
				require.NotErrorIs(t, err, provisioning.ErrHomeserver)
			} else {
				require.ErrorIs(t, err, provisioning.ErrHomeserver)
				require.NotErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom)
			}
			assert.Equal(t, c.requests, requests())
		})
	}
}

// A cancelled context ends the wait for a rate limit.
func TestRateLimitHonoursContext(t *testing.T) {
	for name, limit := range map[string]func(http.ResponseWriter){
		"header": func(rw http.ResponseWriter) {
			rw.Header().Set("Retry-After", "3600")
			rw.WriteHeader(http.StatusTooManyRequests)
		},
		"body": func(rw http.ResponseWriter) {
			rw.WriteHeader(http.StatusTooManyRequests)
			_, _ = rw.Write([]byte(`{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":3600000}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			rooms, requests := answering(t, func(rw http.ResponseWriter) {
				limit(rw)
				cancel()
			})
			err := rooms.CheckBot(ctx, "!room:example.com")
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, provisioning.ErrHomeserver)
			assert.Equal(t, 1, requests())
		})
	}
}
