package console_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/console"
)

func newPage(t *testing.T, cfg console.Config) http.Handler {
	t.Helper()
	page, err := console.New(cfg)
	require.NoError(t, err)
	return page
}

func request(page http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, r)
	return w
}

func TestPage(t *testing.T) {
	page := newPage(t, console.Config{API: "../_matrix/provision/v1/"})
	for _, c := range []struct{ path, contentType, has string }{
		{"/console/", "text/html; charset=utf-8", `data-api="../_matrix/provision/v1" data-widget-clients=""`},
		{"/", "text/html; charset=utf-8", "<h1>"},
		{"/console/main.js", "text/javascript; charset=utf-8", "import"},
		{"/x/y/style.css", "text/css; charset=utf-8", "color-scheme"},
		{"/console/icon.svg", "image/svg+xml", "<svg"},
	} {
		got := request(page, http.MethodGet, c.path, "")
		assert.Equal(t, http.StatusOK, got.Code, c.path)
		assert.Equal(t, c.contentType, got.Header().Get("Content-Type"))
		assert.Contains(t, got.Body.String(), c.has)
		again := request(page, http.MethodGet, c.path, "", "If-None-Match", got.Header().Get("ETag"))
		assert.Equal(t, http.StatusNotModified, again.Code)
		assert.Empty(t, again.Body)
	}
	for _, path := range []string{"/console", "/console/index.html", "/console/console.go", "/console/.."} {
		assert.Equal(t, http.StatusNotFound, request(page, http.MethodGet, path, "").Code, path)
	}
	refused := request(page, http.MethodPost, "/console/", "")
	assert.Equal(t, http.StatusMethodNotAllowed, refused.Code)
	assert.Equal(t, "GET, HEAD", refused.Header().Get("Allow"))
}

// Every file that the page names is served, and the page names nothing of another host.
func TestOwnFiles(t *testing.T) {
	page := newPage(t, console.Config{API: "/v1"})
	files, err := os.ReadDir("page")
	require.NoError(t, err)
	named := regexp.MustCompile(`(?:(?:src|href)="|from "\./)([^"]+)"`)
	used := map[string]bool{"index.html": true}
	for _, file := range files {
		text, err := os.ReadFile("page/" + file.Name())
		require.NoError(t, err)
		for _, name := range named.FindAllStringSubmatch(string(text), -1) {
			used[name[1]] = true
			assert.Equal(t, http.StatusOK, request(page, http.MethodGet, "/console/"+name[1], "").Code, "%s in %s", name[1], file.Name())
		}
		assert.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|localStorage|sessionStorage|indexedDB|document\.cookie`, string(text), file.Name())
	}
	assert.Len(t, used, len(files), "a file is not used")
}

func TestPolicy(t *testing.T) {
	for _, c := range []struct {
		cfg             console.Config
		connect, frames string
		frameOptions    string
	}{
		{console.Config{API: "/v1"}, "connect-src 'self';", "frame-ancestors 'none';", "DENY"},
		{
			console.Config{API: "https://bridge.example.com/_matrix/provision/v1", WidgetClients: []string{"https://app.element.io", "http://localhost:8080"}},
			"connect-src 'self' https://bridge.example.com wss://bridge.example.com;", "frame-ancestors https://app.element.io http://localhost:8080;", "",
		},
		{console.Config{API: "http://127.0.0.1:1/v1"}, "connect-src 'self' http://127.0.0.1:1 ws://127.0.0.1:1;", "frame-ancestors 'none';", "DENY"},
	} {
		for _, path := range []string{"/console/", "/console/main.js", "/console/nothing"} {
			header := request(newPage(t, c.cfg), http.MethodGet, path, "").Header()
			policy := header.Get("Content-Security-Policy")
			assert.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self'; ")
			assert.Contains(t, policy, c.connect)
			assert.Contains(t, policy, c.frames)
			assert.Contains(t, policy, "require-trusted-types-for 'script'; trusted-types 'none'")
			assert.Equal(t, c.frameOptions, header.Get("X-Frame-Options"))
			assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
			assert.Equal(t, "no-referrer", header.Get("Referrer-Policy"))
		}
	}
	index := request(newPage(t, console.Config{API: "/v1", WidgetClients: []string{"https://a.example", "https://b.example"}}), http.MethodGet, "/", "")
	assert.Contains(t, index.Body.String(), `data-widget-clients="https://a.example https://b.example"`)
}

func TestConfigFaults(t *testing.T) {
	for _, api := range []string{"", "ftp://example.com/v1", "https://user:password@example.com/v1", "/v1?x=y", "/v1#x", "mailto:x", "http://%zz"} {
		_, err := console.New(console.Config{API: api})
		assert.ErrorContains(t, err, "Config.API", api)
		assert.NotContains(t, err.Error(), "password")
	}
	for _, origin := range []string{"", "*", "https://*.example.com", "app.element.io", "https://app.element.io/", "https://App.element.io", "https://x.example; script-src *", "'self'", "ftp://x.example", "https://x.example,https://y.example"} {
		_, err := console.New(console.Config{API: "/v1", WidgetClients: []string{origin}})
		assert.ErrorContains(t, err, "Config.WidgetClients", origin)
	}
}

func TestQRCode(t *testing.T) {
	page := newPage(t, console.Config{API: "/v1"})
	const token = "tg://login?token=AQLvv2JQkd2v0AZmP7r4bvHbNCPlS3VBDxiS7T9pKzhaUA"
	got := request(page, http.MethodPost, "/console/qr", token)
	require.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, "image/png", got.Header().Get("Content-Type"))
	assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
	drawn, err := png.Decode(bytes.NewReader(got.Body.Bytes()))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, drawn.Bounds().Dx(), 200)
	assert.Equal(t, color.Gray{255}, color.GrayModel.Convert(drawn.At(0, 0)), "a white margin")
	assert.Positive(t, dark(drawn))

	for _, body := range []string{"", "https://example.com", "tg://resolve?domain=x", "tg://login?token=" + strings.Repeat("x", 600)} {
		assert.Equal(t, http.StatusBadRequest, request(page, http.MethodPost, "/console/qr", body).Code, body)
	}
	refused := request(page, http.MethodGet, "/console/qr?"+token, "")
	assert.Equal(t, http.StatusMethodNotAllowed, refused.Code)
	assert.Equal(t, "POST", refused.Header().Get("Allow"))
}

// The page for authors of bridges has the lines of the example.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/bridge-authors.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "## A page for people\n")
	require.True(t, ok)
	_, rest, ok = strings.Cut(rest, "```go\n")
	require.True(t, ok)
	lines, _, ok := strings.Cut(rest, "\n```")
	require.True(t, ok)
	for line := range strings.Lines(lines) {
		assert.Contains(t, string(example), "\t"+strings.TrimSpace(line)+"\n")
	}
}

// dark counts the dark pixels.
func dark(drawn image.Image) (n int) {
	for y := range drawn.Bounds().Dy() {
		for x := range drawn.Bounds().Dx() {
			if color.GrayModel.Convert(drawn.At(x, y)).(color.Gray).Y < 128 {
				n++
			}
		}
	}
	return n
}
