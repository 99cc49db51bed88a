package main

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
