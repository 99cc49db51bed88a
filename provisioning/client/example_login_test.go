package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/client"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// A login with a phone number, a code and a two-factor password: request_code, send_code,
// send_password. The bridge here is one in memory.
func Example_login() {
	ctx := context.Background()
	p, err := provisioning.New(provisioning.Config{
		Secret: "a-long-random-shared-secret",
		Users:  provisioningtest.NewMemUserStore(nil),
		Telegram: provisioningtest.NewTelegram(provisioningtest.TelegramAccount{
			Account: provisioning.Account{ID: 1001, Username: "alice_tg", Phone: "15550100"},
			Code:    "01234", Password: "open sesame", PasswordHint: "as in the tale",
		}),
		Portals: provisioningtest.NewMemPortalStore(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	bridge := httptest.NewServer(p.Handler("/_matrix/provision"))
	defer bridge.Close()

	api, err := client.New(bridge.URL+"/_matrix/provision", "a-long-random-shared-secret", client.WithRetries(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	const alice = "@alice:example.com"
	login, err := api.LoginRequestCode(ctx, alice, "+1 555 0100")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(login.State, login.Code.Length)

	// A refused step can be tried again; the errcode says why, the state which step it is.
	_, err = api.LoginCode(ctx, alice, "99999")
	if fault, ok := errors.AsType[*client.Error](err); ok {
		fmt.Println(fault.Errcode, *fault.State)
	}

	login, err = api.LoginCode(ctx, alice, "01234")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(login.State, login.PasswordHint)
	if login.State == client.LoginStatePassword {
		if login, err = api.LoginPassword(ctx, alice, "open sesame"); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(login.State, login.Username)

	// Output:
	// code 5
	// phone_code_invalid code
	// password as in the tale
	// logged-in alice_tg
}

// A login with a QR code. Here the app that scans it is one in memory.
func ExampleClientWithResponses_LoginQR() {
	ctx := context.Background()
	telegram := provisioningtest.NewTelegram(provisioningtest.TelegramAccount{
		Account: provisioning.Account{ID: 1001, Username: "alice_tg"},
	})
	p, err := provisioning.New(provisioning.Config{
		Secret: "a-long-random-shared-secret", Users: provisioningtest.NewMemUserStore(nil),
		Telegram: telegram, Portals: provisioningtest.NewMemPortalStore(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	bridge := httptest.NewServer(p.Handler("/_matrix/provision"))
	defer bridge.Close()

	api, err := client.New(bridge.URL+"/_matrix/provision", "a-long-random-shared-secret")
	if err != nil {
		log.Fatal(err)
	}
	login, err := api.LoginQR(ctx, "@alice:example.com", func(code string, until time.Time) error {
		prefix, _, _ := strings.Cut(code, "=")
		fmt.Println("show", prefix, "for", time.Until(until).Round(10*time.Second))
		return telegram.ScanQR(code, 1001)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(login.State, login.Username)

	// Output:
	// show tg://login?token for 30s
	// logged-in alice_tg
}
