package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"

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

	api, err := client.New(bridge.URL+"/_matrix/provision", "a-long-random-shared-secret")
	if err != nil {
		log.Fatal(err)
	}
	const alice = "@alice:example.com"
	sent, err := client.Do(api.PostLoginPhoneWithResponse(ctx, alice, client.PhoneNumber{Phone: "+1 555 0100"}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.JSON200.State)

	// A refused step can be tried again; the errcode says why, the state which step it is.
	_, err = client.Do(api.PostLoginCodeWithResponse(ctx, alice, client.PhoneCode{Code: "99999"}))
	if fault, ok := errors.AsType[*client.Error](err); ok {
		fmt.Println(fault.Errcode, *fault.State)
	}

	// 202 is a login that goes on, 200 one that is done.
	login, err := client.Do(api.PostLoginCodeWithResponse(ctx, alice, client.PhoneCode{Code: "01234"}))
	if err != nil {
		log.Fatal(err)
	}
	if login.JSON202 != nil {
		fmt.Println(login.JSON202.State)
		done, err := client.Do(api.PostLoginPasswordWithResponse(ctx, alice, client.Password{Password: "open sesame"}))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(done.JSON200.State, done.JSON200.Username)
	}

	// Output:
	// code
	// phone_code_invalid code
	// password
	// logged-in alice_tg
}
