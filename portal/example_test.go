package portal_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/url"
	"os"
	"path/filepath"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
)

// exampleDatabase opens the bridge's database, SQLite in a temporary folder.
func exampleDatabase() (db *dbutil.Database, remove func()) {
	folder, err := os.MkdirTemp("", "bridge")
	if err != nil {
		log.Fatal(err)
	}
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate"
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(folder, "bridge.db"), RawQuery: options}).String())
	if err != nil {
		log.Fatal(err)
	}
	if db, err = dbutil.NewWithDB(raw, "sqlite3"); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		raw.Close()
		os.RemoveAll(folder)
	}
}

// The bundled portal store is provisioning.Config.Portals and Config.Tasks at once. A bridge
// that makes portals by itself records them there.
func ExampleNewStore() {
	ctx := context.Background()
	db, remove := exampleDatabase()
	defer remove()

	portals, err := portal.NewStore(ctx, portal.StoreConfig{DB: db})
	if err != nil {
		log.Fatal(err)
	}
	err = portals.Connect(ctx, provisioning.NewPortal{
		Portal:   provisioning.Portal{RoomID: "!room:example.com", ChatID: provisioning.ChannelChatID(9), Title: "News"},
		Accounts: []provisioning.TelegramID{1001},
	})
	if err != nil {
		log.Fatal(err)
	}
	found, err := portals.PortalByChat(ctx, provisioning.ChannelChatID(9), 0)
	fmt.Println(found.RoomID, found.Title, err)

	// Output: !room:example.com News <nil>
}

// The bundled task store alone, as provisioning.Config.Tasks of a bridge whose portals are
// elsewhere. In a transaction of the bridge's, tasks are recorded together with a portal.
func ExampleNewTaskStore() {
	ctx := context.Background()
	db, remove := exampleDatabase()
	defer remove()
	if _, err := db.Exec(ctx, `CREATE TABLE bridge_portal (room TEXT PRIMARY KEY, chat BIGINT)`); err != nil {
		log.Fatal(err)
	}

	tasks, err := portal.NewTaskStore(ctx, portal.TaskStoreConfig{DB: db})
	if err != nil {
		log.Fatal(err)
	}
	// What Connect of the bridge's own PortalStore does.
	connect := func(n provisioning.NewPortal) error {
		return db.DoTxn(ctx, nil, func(ctx context.Context) error {
			if _, err := db.Exec(ctx, `INSERT INTO bridge_portal VALUES ($1, $2)`, n.RoomID, n.ChatID); err != nil {
				return err
			}
			return tasks.AddTasks(ctx, n.Tasks...)
		})
	}
	err = connect(provisioning.NewPortal{
		Portal: provisioning.Portal{RoomID: "!room:example.com", ChatID: provisioning.ChannelChatID(9)},
		Tasks:  []provisioning.NewTask{{ID: "1", Kind: "set_up"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	count, err := tasks.CountTasks(ctx)
	fmt.Println(count, err)

	// Output: 1 <nil>
}

// The bundled Rooms, on the bridge's appservice; the homeserver is one in memory. It is for
// provisioning.Config.Rooms, and its IsBridgeUser for the user store of package auth.
func ExampleNewRooms() {
	ctx := context.Background()
	db, remove := exampleDatabase()
	defer remove()
	registration := appservice.CreateRegistration()
	registration.ID, registration.SenderLocalpart = "bridge", "telegrambot"
	registration.Namespaces.UserIDs = appservice.NamespaceList{{Regex: `@telegram_[0-9]+:example\.com`, Exclusive: true}}
	homeserver, err := matrixtest.Start(matrixtest.Config{
		ServerName: "example.com", Registrations: []*appservice.Registration{registration},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer homeserver.Close()
	as, err := appservice.CreateFull(appservice.CreateOpts{
		Registration: registration, HomeserverDomain: "example.com", HomeserverURL: homeserver.URL(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer as.HTTPClient.CloseIdleConnections()

	rooms, err := portal.NewRooms(ctx, portal.RoomsConfig{AppService: as, DB: db, GhostTemplate: "telegram_{id}"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rooms.GhostID(42), rooms.IsBridgeUser("@telegram_42:example.com"), rooms.IsBridgeUser("@alice:example.com"))

	// The bridge accepts invitations itself. Rooms acts in the rooms that the bot has joined.
	created, err := as.NewMautrixClient(as.BotMXID()).CreateRoom(ctx, &mautrix.ReqCreateRoom{})
	if err != nil {
		log.Fatal(err)
	}
	if err := rooms.SetUpPortal(ctx, provisioning.PortalSetup{Portal: provisioning.Portal{
		RoomID: created.RoomID, ChatID: provisioning.ChannelChatID(9), Title: "News",
	}}); err != nil {
		log.Fatal(err)
	}
	room, err := rooms.Room(ctx, created.RoomID, provisioning.RoomQuery{Content: true})
	fmt.Println(room.Name, err)

	// Output:
	// @telegram_42:example.com true false
	// News <nil>
}
