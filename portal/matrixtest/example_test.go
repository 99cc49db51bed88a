package matrixtest_test

import (
	"context"
	"fmt"
	"log"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal/matrixtest"
)

// A bridge's test starts a homeserver that knows the bridge's registration, points the
// appservice at it, and looks at what became of a room. A user invites the bridge bot here,
// and the homeserver is made to fail once.
func Example() {
	ctx := context.Background()
	registration := appservice.CreateRegistration()
	registration.ID, registration.SenderLocalpart = "bridge", "telegrambot"
	registration.Namespaces.UserIDs = appservice.NamespaceList{{Regex: `@telegram_[0-9]+:example\.com`, Exclusive: true}}
	homeserver, err := matrixtest.Start(matrixtest.Config{
		ServerName: "example.com", Registrations: []*appservice.Registration{registration},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer homeserver.Close() // in a test, t.Cleanup
	bridge, err := appservice.CreateFull(appservice.CreateOpts{
		Registration: registration, HomeserverDomain: "example.com", HomeserverURL: homeserver.URL(),
	})
	if err != nil {
		log.Fatal(err)
	}
	bot := bridge.NewMautrixClient(bridge.BotMXID())
	bot.DefaultHTTPRetries = 0 // or it asks again after a failure

	alice, err := homeserver.AddUser("alice")
	if err != nil {
		log.Fatal(err)
	}
	room, err := alice.CreateRoom(ctx, &mautrix.ReqCreateRoom{Name: "Family", Invite: []id.UserID{bot.UserID}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(homeserver.Members(room.RoomID)[bot.UserID])

	homeserver.Fail("join", 1, 500, "M_UNKNOWN")
	_, err = bot.JoinRoomByID(ctx, room.RoomID)
	fmt.Println(err != nil)
	if _, err = bot.JoinRoomByID(ctx, room.RoomID); err != nil {
		log.Fatal(err)
	}
	fmt.Println(homeserver.Members(room.RoomID)[bot.UserID])
	name, _ := homeserver.State(room.RoomID, "m.room.name", "")
	fmt.Println(string(name))

	// Output:
	// invite
	// true
	// join
	// {"name":"Family"}
}
