package main

import (
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page asks for a page of the bridge's, which needs no secret.
func (i *instance) page(path string) (status int, body string) {
	i.t.Helper()
	address, err := url.Parse(i.api)
	require.NoError(i.t, err)
	request, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, address.Scheme+"://"+address.Host+path, nil)
	require.NoError(i.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(i.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(i.t, err)
	return response.StatusCode, string(raw)
}

// The health page tells the truth: while another process has locked the database, too.
func TestReadyPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	i := start(t, "-db", path)
	status, body := i.page("/_matrix/mau/ready")
	assert.Equal(t, http.StatusOK, status)
	assert.JSONEq(t, `{"unready":[]}`, body)

	other, err := openDatabase(path)
	require.NoError(t, err)
	tx, err := other.RawDB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	status, body = i.page("/_matrix/mau/ready")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.JSONEq(t, `{"unready":["portals","tasks","telegram","users"]}`, body)
	assert.Contains(t, i.log.String(), "the database can't be used")
	status, _ = i.page("/_matrix/mau/live")
	assert.Equal(t, http.StatusOK, status)

	require.NoError(t, tx.Rollback())
	require.NoError(t, other.Close())
	status, _ = i.page("/_matrix/mau/ready")
	assert.Equal(t, http.StatusOK, status)
}
