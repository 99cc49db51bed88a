package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
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
