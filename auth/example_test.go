package auth_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"

	"go.mau.fi/util/dbutil"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// Levels by Matrix ID, server name or "*", as a bridge may take them from a flag. The most
// specific key decides.
func ExampleParsePermissions() {
	permissions, err := auth.ParsePermissions("*=relaybot, example.com=full, @admin:example.com=admin")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(permissions.Level("@admin:example.com"))
	fmt.Println(permissions.Level("@alice:example.com"))
	fmt.Println(permissions.Level("@bob:example.org"))

	// Output:
	// admin
	// full
	// relaybot
}

// The bundled user store, on the bridge's own database: SQLite here, with the options that
// it needs.
func ExampleNewStore() {
	ctx := context.Background()
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

	users, err := auth.NewStore(ctx, auth.StoreConfig{
		DB:          db,
		Permissions: auth.Permissions{"example.com": provisioning.PermissionFull},
	})
	if err != nil {
		log.Fatal(err)
	}
	// users is for provisioning.Config.Users. The core links accounts; a bridge may read.
	if _, err := users.LinkAccount(ctx, "@alice:example.com", 1001); err != nil {
		log.Fatal(err)
	}
	user, err := users.User(ctx, "@alice:example.com")
	fmt.Println(user.Permission, user.TelegramID, err)

	// Output: full 1001 <nil>
}

// With Tokens, Matrix users call the API for themselves, with their access tokens or with
// OpenID tokens. The homeserver tells whose a token is; here it is one in memory.
func ExampleNewTokens() {
	homeserver, err := matrixtest.Start(matrixtest.Config{ServerName: "example.com"})
	if err != nil {
		log.Fatal(err)
	}
	defer homeserver.Close()
	alice, err := homeserver.AddUser("alice")
	if err != nil {
		log.Fatal(err)
	}

	transport := &http.Transport{} // nil is http.DefaultTransport
	defer transport.CloseIdleConnections()
	tokens, err := auth.NewTokens(auth.TokensConfig{
		Homeserver:   homeserver.URL(),
		ServerNames:  []string{"example.com"},
		AccessTokens: true,
		OpenID:       true,
		Transport:    transport,
	})
	if err != nil {
		log.Fatal(err)
	}
	p, err := provisioning.New(provisioning.Config{
		Secret:   "a-long-random-shared-secret",
		Tokens:   tokens,
		Users:    provisioningtest.NewMemUserStore(nil),
		Telegram: provisioningtest.NewTelegram(),
		Portals:  provisioningtest.NewMemPortalStore(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())

	call := func(path string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+alice.AccessToken)
		w := httptest.NewRecorder()
		p.Handler("").ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	call("/v1/user/@alice:example.com")
	call("/v1/user/@bob:example.com")

	// Output:
	// 200 {"mxid":"@alice:example.com","permissions":"full","telegram":null}
	// 403 {"errcode":"mxid_mismatch","error":"You may do this for yourself only, not for another Matrix user."}
}
