package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/appservice"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

func embed(ctx context.Context, db *dbutil.Database, as *appservice.AppService, cfg telegram.Config, secret string) (stop func(context.Context) error, err error) {
	portals, err := portal.NewStore(ctx, portal.StoreConfig{DB: db})
	if err != nil {
		return nil, err
	}
	rooms, err := portal.NewRooms(ctx, portal.RoomsConfig{AppService: as, DB: db})
	if err != nil {
		return nil, err
	}
	permissions := auth.Permissions{"example.com": provisioning.PermissionFull}
	users, err := auth.NewStore(ctx, auth.StoreConfig{DB: db, Permissions: permissions, IsBridgeUser: rooms.IsBridgeUser})
	if err != nil {
		return nil, err
	}
	cfg.DB = db // besides APIID and APIHash
	clients, err := telegram.NewFactory(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p, err := provisioning.New(provisioning.Config{
		Secret: secret, Users: users, Portals: portals, Tasks: portals, Rooms: rooms, Telegram: clients, Limits: users,
		// As the reverse proxy sets it. Leave it out where there is none.
		ClientAddress: func(r *http.Request) string { return r.Header.Get("X-Real-IP") },
	})
	if err != nil {
		return nil, err
	}
	as.Router.Handle("/_matrix/provision/v1/", p.Handler("/_matrix/provision"))
	if err := p.Start(ctx); err != nil { // ctx lives as long as the bridge
		return nil, err
	}
	return func(ctx context.Context) error { return errors.Join(p.Close(ctx), clients.Close(ctx)) }, nil
}

// The README quotes embed as it stands here.
func TestReadmeQuotesEmbed(t *testing.T) {
	source, err := os.ReadFile("embed_test.go")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(source), "\nfunc embed(")
	require.True(t, ok)
	body, _, ok := strings.Cut(rest, "\n}\n")
	require.True(t, ok)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), "```go\nfunc embed("+body+"\n}\n```")
}

// And the wiring of the metrics.
func TestReadmeQuotesMetrics(t *testing.T) {
	source, err := os.ReadFile("metrics.go")
	require.NoError(t, err)
	_, wiring, ok := strings.Cut(string(source), "\n)\n\n")
	require.True(t, ok)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), "```go\n"+wiring+"```")
}

func TestEmbed(t *testing.T) {
	db, err := openDatabase(filepath.Join(t.TempDir(), "bridge.db"))
	require.NoError(t, err)
	as, err := appservice.CreateFull(appservice.CreateOpts{
		Registration: newRegistration("http://127.0.0.1:29317"), HomeserverDomain: "example.com", HomeserverURL: "http://127.0.0.1:8008",
	})
	require.NoError(t, err)
	stop, err := embed(t.Context(), db, as, telegram.Config{APIID: 1, APIHash: "hash"}, "a-long-random-secret")
	require.NoError(t, err)
	for path, want := range map[string]int{
		"/_matrix/provision/v1/user/@you:example.com":  200,
		"/_matrix/provision/v1/user/@a%2Fb:other.com":  200,
		"/_matrix/provision/v1/nothing":                404,
		"/_matrix/provision/v1/user/@you:example.com/": 200,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.Header.Set("Authorization", "Bearer a-long-random-secret")
		w := httptest.NewRecorder()
		as.Router.ServeHTTP(w, r)
		assert.Equal(t, want, w.Code, "%s: %s", path, w.Body)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"), path)
	}
	require.NoError(t, stop(t.Context()))
	require.NoError(t, db.Close())
}
