package main

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The front page links what works, and nothing elsewhere.
func TestFrontPage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args  []string
		links []string
	}{
		{nil, []string{"console/", "_matrix/provision/v1/docs/", "metrics", "health", "_matrix/mau/live"}},
		{[]string{"-metrics=false"}, []string{"console/", "_matrix/provision/v1/docs/", "health", "_matrix/mau/live"}},
	} {
		i := start(t, c.args...)
		front := i.request(http.MethodGet, "/")
		assert.Equal(t, http.StatusOK, front.status)
		assert.Equal(t, "text/html; charset=utf-8", front.header.Get("Content-Type"))
		assert.Contains(t, front.header.Get("Content-Security-Policy"), "default-src 'none'")
		assert.NotContains(t, front.body, "://")
		assert.NotContains(t, front.body, i.secret)
		var links []string
		for _, link := range regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(front.body, -1) {
			links = append(links, link[1])
			assert.Equal(t, http.StatusOK, i.request(http.MethodGet, "/"+link[1]).status, link[1])
		}
		assert.Equal(t, c.links, links)
		i.stop()
	}
}

func TestUnknownPaths(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t)
	for _, c := range []struct {
		verb, path string
		status     int
		allow      string
	}{
		{http.MethodGet, "/nothing", http.StatusNotFound, ""},
		{http.MethodGet, "//", http.StatusNotFound, ""},
		{http.MethodPost, "/", http.StatusNotFound, ""},
		{http.MethodGet, "/_matrix/provision/user/@you:localhost", http.StatusNotFound, ""}, // without /v1
		{http.MethodGet, "/_matrix/app/v1/ping", http.StatusMethodNotAllowed, "POST"},
	} {
		got := i.request(c.verb, c.path)
		assert.Equal(t, c.status, got.status, c.path)
		assert.Equal(t, c.allow, got.header.Get("Allow"), c.path)
		assert.Equal(t, "application/json", got.header.Get("Content-Type"), c.path)
		assert.JSONEq(t, `{"errcode":"M_UNRECOGNIZED","error":"There is nothing here. The API is below /_matrix/provision/v1/."}`, got.body, c.path)
	}
	require.Equal(t, http.StatusOK, i.request(http.MethodHead, "/").status)
}
