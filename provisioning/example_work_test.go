package provisioning_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// A bridge hears of logins, logouts and portals, to start or to stop syncing. Events takes
// Tasks: an event is recorded with the change that it tells of, and comes at least once.
func ExampleConfig_events() {
	portals := provisioningtest.NewMemPortalStore()
	p, err := provisioning.New(provisioning.Config{
		Secret: "a-long-random-shared-secret",
		Users:  provisioningtest.NewMemUserStore(nil),
		Telegram: provisioningtest.NewTelegram(provisioningtest.TelegramAccount{
			Account: provisioning.Account{ID: 2001, Username: "helper_bot", IsBot: true}, Token: "2001:token",
		}),
		Portals: portals,
		Tasks:   portals,
		// Called by several goroutines at once. After an error the event comes again.
		Events: func(_ context.Context, event provisioning.Event) error {
			switch event.Type {
			case provisioning.EventLogin:
				fmt.Println("start to sync", event.TelegramID, "for", event.UserID)
			case provisioning.EventLogout:
				fmt.Println("stop to sync", event.TelegramID, "for", event.UserID)
			case provisioning.EventPortalConnected, provisioning.EventPortalCreated:
				fmt.Println("start to bridge", event.Portal.ChatID, "to", event.Portal.RoomID)
			case provisioning.EventPortalDisconnected:
				fmt.Println("stop to bridge", event.Portal.ChatID, "to", event.Portal.RoomID)
			case provisioning.EventTaskGivenUp:
				fmt.Println("background work was given up:", event.TaskKind)
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	r := httptest.NewRequest(http.MethodPost, "/v1/user/@alice:example.com/login/bot_token", strings.NewReader(`{"token":"2001:token"}`))
	r.Header.Set("Authorization", "Bearer a-long-random-shared-secret")
	w := httptest.NewRecorder()
	p.Handler("").ServeHTTP(w, r)
	fmt.Println(w.Code)

	// Close waits until the event was told of.
	if err := p.Close(context.Background()); err != nil {
		log.Fatal(err)
	}

	// Unordered output:
	// 200
	// start to sync 2001 for @alice:example.com
}

// An admin command of a bridge lists the background work that is promised and not done yet,
// page by page, and drops what will never succeed. Here the homeserver is away, so that the
// room of a portal that was disconnected can't be cleaned up.
func ExampleProvisioner_Tasks() {
	ctx := context.Background()
	portals, rooms := provisioningtest.NewMemPortalStore(), provisioningtest.NewMemRooms()
	if err := portals.Connect(ctx, provisioning.NewPortal{Portal: provisioning.Portal{
		RoomID: "!room:example.com", ChatID: provisioning.BasicGroupChatID(5), Title: "Family",
	}}); err != nil {
		log.Fatal(err)
	}
	rooms.Fail("CleanUp", provisioning.ErrHomeserver)
	p, err := provisioning.New(provisioning.Config{
		Secret:   "a-long-random-shared-secret",
		Users:    provisioningtest.NewMemUserStore(nil),
		Telegram: provisioningtest.NewTelegram(),
		Portals:  portals,
		Tasks:    portals,
		Rooms:    rooms,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	r := httptest.NewRequest(http.MethodPost, "/v1/portal/!room:example.com/disconnect", nil)
	r.Header.Set("Authorization", "Bearer a-long-random-shared-secret")
	w := httptest.NewRecorder()
	p.Handler("").ServeHTTP(w, r)
	fmt.Println(w.Code)

	const page = 100
	for after := ""; ; {
		tasks, err := p.Tasks(ctx, after, page)
		if err != nil {
			log.Fatal(err)
		}
		for _, task := range tasks {
			fmt.Println(task.Kind, task.RoomID, task.ChatID)
			if err := p.DropTask(ctx, task.ID); err != nil {
				log.Fatal(err)
			}
		}
		if len(tasks) < page {
			break
		}
		after = tasks[len(tasks)-1].ID
	}
	left, err := p.Tasks(ctx, "", page)
	fmt.Println(len(left), err)

	// Output:
	// 202
	// clean_up !room:example.com -5
	// 0 <nil>
}

// An admin command of a bridge has a Matrix user forgotten, once they have no permission any
// more, and shows what was removed.
func ExampleProvisioner_ForgetUser() {
	ctx := context.Background()
	users, portals := provisioningtest.NewMemUserStore(nil), provisioningtest.NewMemPortalStore()
	telegram := provisioningtest.NewTelegram(provisioningtest.TelegramAccount{
		Account:  provisioning.Account{ID: 1001, FirstName: "Alice"},
		Contacts: []provisioning.Contact{{ID: 1002, Name: "Bob Builder"}},
	})
	p, err := provisioning.New(provisioning.Config{
		Secret: "a-long-random-shared-secret", Users: users, Telegram: telegram,
		Portals: portals, Tasks: portals, Rooms: provisioningtest.NewMemRooms(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(ctx); err != nil {
		log.Fatal(err)
	}
	// Alice has logged in, and has started a chat.
	telegram.LogIn("@alice:example.com", 1001)
	r := httptest.NewRequest(http.MethodPost, "/v1/user/@alice:example.com/pm/1002", nil)
	r.Header.Set("Authorization", "Bearer a-long-random-shared-secret")
	p.Handler("").ServeHTTP(httptest.NewRecorder(), r)

	done, err := p.ForgetUser(ctx, "@alice:example.com")
	if err != nil {
		log.Fatal(err) // calling it again does the rest
	}
	fmt.Println("logged out:", done.LoggedOut, done.Accounts)
	for _, portal := range done.Portals {
		fmt.Println("direct chat:", portal.Title)
	}
	fmt.Println("people whom nobody else needs:", done.Ghosts)
	fmt.Println("not looked for:", done.Missing)

	// Close waits until everybody has left the room of the chat.
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}

	// Output:
	// logged out: true [1001]
	// direct chat: Bob Builder
	// people whom nobody else needs: 1
	// not looked for: []
}
