package telegram_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/url"
	"os"
	"path/filepath"

	"go.mau.fi/util/dbutil"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// The bundled Telegram clients, on the bridge's own database, and the relay bot. Datacenter
// is a test server here; without it, it is the real Telegram.
func ExampleNewFactory() {
	ctx := context.Background()
	server, err := telegramtest.Start(telegramtest.Config{Accounts: []telegramtest.Account{
		{ID: 1001, Phone: "9996610001", Code: "12345", FirstName: "Ada"},
		{ID: 2001, Bot: true, Token: "2001:token", Username: "relay_bot", FirstName: "Relay"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	folder, err := os.MkdirTemp("", "bridge")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate"
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(folder, "bridge.db"), RawQuery: options}).String())
	if err != nil {
		log.Fatal(err)
	}
	defer raw.Close()
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	if err != nil {
		log.Fatal(err)
	}

	factory, err := telegram.NewFactory(ctx, telegram.Config{
		DB:          db,
		SessionKeys: []telegram.SessionKey{telegram.NewSessionKey()}, // or ParseSessionKey, of one that is kept
		APIID:       1,                                               // of https://my.telegram.org
		APIHash:     "hash",
		Datacenter:  &telegram.Datacenter{ID: server.DC(), Addr: server.Addr(), Key: server.PublicKey().RSA},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer factory.Close(ctx) // after the Provisioner, before the database
	relay, err := factory.RelayBot("2001:token")
	if err != nil {
		log.Fatal(err)
	}
	// factory is for provisioning.Config.Telegram, relay for Config.RelayBot.

	bot, err := relay.Account(ctx) // logs in
	fmt.Println(bot.Username, err)

	// What the API does for a Matrix user who logs in.
	client, err := factory.Client(ctx, "@alice:example.com")
	if err != nil {
		log.Fatal(err)
	}
	login := client.(provisioning.PhoneLogin)
	if _, err := login.RequestCode(ctx, "9996610001"); err != nil {
		log.Fatal(err)
	}
	account, err := login.SubmitCode(ctx, provisioning.TextLoginCode("12345"))
	fmt.Println(account.FirstName, err)
	users, err := factory.LoggedIn(ctx)
	fmt.Println(users, err)

	// Output:
	// relay_bot <nil>
	// Ada <nil>
	// [@alice:example.com] <nil>
}

// A key is replaced while the bridge runs, and nobody notices.
func ExampleFactory_SetSessionKeys() {
	rotate := func(ctx context.Context, factory *telegram.Factory, old telegram.SessionKey) (telegram.SessionKey, error) {
		fresh := telegram.NewSessionKey()
		// Keep fresh.Text() in a safe place before it is used.
		if err := factory.SetSessionKeys(ctx, fresh, old); err != nil {
			return old, err
		}
		if _, err := factory.Reencrypt(ctx); err != nil {
			return old, err // both are needed still
		}
		return fresh, factory.SetSessionKeys(ctx, fresh)
	}
	_ = rotate
}
