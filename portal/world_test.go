package portal_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	w.as = newAppService(t, r, hs.URL())
	w.as.HTTPClient.Transport = interceptor{&http.Transport{MaxIdleConnsPerHost: 10}, w}
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

// interceptor is the bridge's transport.
type interceptor struct {
	*http.Transport
	w *world
}

func (i interceptor) RoundTrip(r *http.Request) (*http.Response, error) {
	i.w.mu.Lock()
	if i.w.before != nil {
		r = r.Clone(r.Context()) // since a transport may not change what it was given
		i.w.before(r)
	}
	i.w.mu.Unlock()
	return i.Transport.RoundTrip(r)
}

// intercept has a function called with every request of the bridge's, before it is sent.
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
