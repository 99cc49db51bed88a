package telegramtest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// A test of any MTProto client starts the datacenter with the accounts that it needs, and
// points the client at it; here gotd's client, which logs in with a code. In a test,
// NewServer(t, …) closes the server by itself. The client of package telegram takes the
// server's ID, address and key as its Config.Datacenter.
func Example() {
	server, err := telegramtest.Start(telegramtest.Config{Accounts: []telegramtest.Account{
		{ID: 1001, Phone: "9996610001", Code: "12345", FirstName: "Ada", LastName: "Lovelace"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client := telegram.NewClient(1, "hash", telegram.Options{
		DC: server.DC(), DCList: server.DCList(), PublicKeys: []telegram.PublicKey{server.PublicKey()},
		Resolver: dcs.Plain(dcs.PlainOptions{}),
	})
	err = client.Run(context.Background(), func(ctx context.Context) error {
		code := auth.CodeAuthenticatorFunc(func(context.Context, *tg.AuthSentCode) (string, error) { return "12345", nil })
		flow := auth.NewFlow(auth.CodeOnly("+9996610001", code), auth.SendCodeOptions{})
		if err := client.Auth().IfNecessary(ctx, flow); err != nil {
			return err
		}
		self, err := client.Self(ctx)
		if err != nil {
			return err
		}
		fmt.Println(self.FirstName, self.LastName)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: Ada Lovelace
}
