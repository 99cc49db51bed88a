package integration

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

// openDatabase opens a database as examples/local does.
func openDatabase(t testing.TB, database string) *dbutil.Database {
	t.Helper()
	driver, dialect := "sqlite", "sqlite3"
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate"
	source := (&url.URL{Scheme: "file", Path: database, RawQuery: options}).String()
	if isPostgres(database) {
		driver, dialect, source = "pgx", "postgres", database
	}
	raw, err := sql.Open(driver, source)
	require.NoError(t, err)
	raw.SetMaxOpenConns(16)
	raw.SetMaxIdleConns(16)
	db, err := dbutil.NewWithDB(raw, dialect)
	require.NoError(t, err)
	return db
}

// hostConfig is what a host needs from outside.
type hostConfig struct {
	database   string
	datacenter *telegram.Datacenter
	// appservice may be nil, for a host whose portals can be read only.
	appservice *appservice.AppService
	// listener is where the host serves, nil for one of its own. A homeserver has to know
	// the address before the host can start.
	listener   *httptest.Server
	relayToken string // of the relay bot, "" for none
	tune       func(*telegram.Config)
	log        zerolog.Logger // of requests
}

// mountPath is where a host has the API.
const mountPath = "/_matrix/provision"

// newRouter returns a host's router, and the place of the API in it.
func newRouter() (root, place *mux.Router) {
	root = mux.NewRouter().SkipClean(true).UseEncodedPath()
	return root, root.PathPrefix(mountPath).Subrouter()
}

// host is a bridge in the test process, wired as examples/local does, so that what the
// runtime says of memory and goroutines is the bridge's.
type host struct {
	url     string // of the API
	handler http.Handler
	stop    func() // may be called once more than needed
}

// startHost starts a host, which is stopped with the test at the latest.
func startHost(t testing.TB, cfg hostConfig) *host {
	t.Helper()
	db := openDatabase(t, cfg.database)
	// The tests log in again and again.
	settings := provisioning.Config{Secret: secret, Log: cfg.log, CodesPerPhone: provisioning.Allowance{PerHour: -1, PerDay: -1}}
	userConfig := auth.StoreConfig{DB: db, Permissions: auth.Permissions{"*": provisioning.PermissionFull}}
	stopEvents := func() {}
	if cfg.appservice != nil {
		rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: cfg.appservice, DB: db})
		require.NoError(t, err)
		settings.Rooms, userConfig.IsBridgeUser = rooms, rooms.IsBridgeUser
		settings.Events = func(context.Context, provisioning.Event) error { return nil }
		stopEvents = acceptInvitations(cfg.appservice)
	}
	var err error
	settings.Users, err = auth.NewStore(t.Context(), userConfig)
	require.NoError(t, err)
	portals, err := portal.NewStore(t.Context(), portal.StoreConfig{DB: db})
	require.NoError(t, err)
	settings.Portals, settings.Tasks = portals, portals
	clientConfig := telegram.Config{DB: db, SessionKeys: []telegram.SessionKey{sessionKey}, APIID: 1, APIHash: "hash", Datacenter: cfg.datacenter}
	if cfg.tune != nil {
		cfg.tune(&clientConfig)
	}
	clients, err := telegram.NewFactory(t.Context(), clientConfig)
	require.NoError(t, err)
	settings.Telegram = clients
	if cfg.relayToken != "" {
		settings.RelayBot, err = clients.RelayBot(cfg.relayToken)
		require.NoError(t, err)
	}
	core, err := provisioning.New(settings)
	require.NoError(t, err)
	require.NoError(t, core.Start(context.WithoutCancel(t.Context())))

	router, place := newRouter()
	core.Mount(place)
	server := cfg.listener
	if server == nil {
		server = httptest.NewUnstartedServer(nil)
	}
	if cfg.appservice != nil {
		router.PathPrefix("/").Handler(cfg.appservice.Router)
	}
	server.Config.Handler = router
	server.Start()
	stop := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		http.DefaultClient.CloseIdleConnections()
		stopEvents()
		server.Close()
		assert.NoError(t, core.Close(ctx))
		assert.NoError(t, clients.Close(ctx))
		assert.NoError(t, db.Close())
	})
	t.Cleanup(stop)
	return &host{url: server.URL + mountPath, handler: router, stop: stop}
}

// acceptInvitations has the bridge bot join every room that it is invited to, until stop
// is called.
func acceptInvitations(as *appservice.AppService) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	bot := as.NewMautrixClient(as.BotMXID())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case e := <-as.Events:
				if e.Type == event.StateMember && e.GetStateKey() == string(bot.UserID) && e.Content.AsMember().Membership == event.MembershipInvite {
					_, _ = bot.JoinRoomByID(ctx, e.RoomID)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		work.Wait()
	}
}
