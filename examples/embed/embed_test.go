package embed_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/appservice"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/examples/embed"
)

// The README quotes the program, from its imports on.
func TestReadmeQuotesTheProgram(t *testing.T) {
	source, err := os.ReadFile("embed.go")
	require.NoError(t, err)
	_, code, ok := strings.Cut(string(source), "package embed\n\n")
	require.True(t, ok)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), "```go\n"+code+"```\n")
}

func TestServe(t *testing.T) {
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate"
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(t.TempDir(), "bridge.db"), RawQuery: options}).String())
	require.NoError(t, err)
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	require.NoError(t, err)
	registration := appservice.CreateRegistration()
	registration.ID, registration.SenderLocalpart = "telegram", "telegrambot"
	registration.Namespaces.UserIDs = appservice.NamespaceList{{Regex: `@telegram_[0-9]+:example\.com`, Exclusive: true}}
	as, err := appservice.CreateFull(appservice.CreateOpts{
		Registration: registration, HomeserverDomain: "example.com", HomeserverURL: "http://127.0.0.1:8008",
	})
	require.NoError(t, err)
	_, err = embed.Serve(t.Context(), db, as, "short", zerolog.Nop())
	require.ErrorContains(t, err, "Config.Secret")
	stop, err := embed.Serve(t.Context(), db, as, "a-long-random-secret", zerolog.Nop())
	require.NoError(t, err)
	for path, want := range map[string]int{
		"/_matrix/provision/v1/user/@you:example.com":  200,
		"/_matrix/provision/v1/user/@a%2Fb:other.com":  200,
		"/_matrix/provision/v1/nothing":                404,
		"/_matrix/provision/v1/user/@you:example.com/": 200,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer a-long-random-secret")
		w := httptest.NewRecorder()
		as.Router.ServeHTTP(w, r)
		assert.Equal(t, want, w.Code, "%s: %s", path, w.Body)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"), path)
	}
	require.NoError(t, stop(t.Context()))
	require.NoError(t, db.Close())
}
