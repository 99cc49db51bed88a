package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// answer is what the bridge says to a request that has no secret.
type answer struct {
	status int
	header http.Header
	body   string
}

func (i *instance) request(verb, path string) answer {
	i.t.Helper()
	request, err := http.NewRequestWithContext(i.t.Context(), verb, strings.TrimSuffix(i.api, "/_matrix/provision")+path, nil)
	require.NoError(i.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(i.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(i.t, err)
	return answer{response.StatusCode, response.Header, string(raw)}
}

// health asks both health pages, which have to agree.
func (i *instance) health() answer {
	i.t.Helper()
	first, second := i.request(http.MethodGet, "/health"), i.request(http.MethodGet, "/_matrix/mau/ready")
	assert.Equal(i.t, first.status, second.status)
	assert.Equal(i.t, first.body, second.body)
	return first
}

// The health pages tell the truth: while another process has locked the database, too.
func TestHealth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	i := start(t, "-db", path)
	got := i.health()
	assert.Equal(t, http.StatusOK, got.status)
	assert.JSONEq(t, `{"unready":[]}`, got.body)

	other, err := openDatabase(path)
	require.NoError(t, err)
	tx, err := other.RawDB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	got = i.health()
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.JSONEq(t, `{"unready":["portals","tasks","telegram","users"]}`, got.body)
	assert.Contains(t, i.log.String(), "the database can't be used")
	assert.Equal(t, http.StatusOK, i.request(http.MethodGet, "/_matrix/mau/live").status)

	require.NoError(t, tx.Rollback())
	require.NoError(t, other.Close())
	assert.Equal(t, http.StatusOK, i.health().status)
}

// Telegram that can't be reached makes the bridge unready.
func TestHealthWithoutTelegram(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t, awayTelegram(t)...)
	got := i.health()
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.JSONEq(t, `{"unready":["telegram"]}`, got.body)
	assert.Contains(t, i.log.String(), "The bridge can't be used")
}

// awayTelegram returns flags for a datacenter that nobody can connect to.
func awayTelegram(t *testing.T) []string {
	t.Helper()
	server, err := telegramtest.Start(telegramtest.Config{})
	require.NoError(t, err)
	key := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(key, server.PublicKeyPEM(), 0o600))
	require.NoError(t, server.Close())
	return []string{"-telegram-dc", server.Addr(), "-telegram-key", key}
}
