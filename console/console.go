// Package console serves a page on which people log in to Telegram, and look after their chats and
// portals, with the provisioning API. Nothing of it is on another host, and it keeps nothing in the
// browser.
//
// People get in with a login link, which [provisioning.Config.LoginPage] makes possible; as a widget in
// a Matrix client, where the host allows OpenID tokens and the client; and administrators with the
// shared secret.
//
// As a widget the page has the address
//
//	https://bridge.example.com/console/?widgetId=$matrix_widget_id&user_id=$matrix_user_id&room_id=$matrix_room_id
//
// with which clients fill in the widget, the user and the room.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"rsc.io/qr"
)

// Config is what the page has to know.
type Config struct {
	// API is where browsers find the API, with its /v1: a URL, or a path such as
	// "/_matrix/provision/v1". A path that begins with neither a slash nor a scheme counts from the page.
	// On another origin than the page, the API has to allow that of the page in
	// provisioning.Config.CORS. Required.
	API string
	// WidgetClients are the origins of the Matrix clients that may show the page as a widget, such
	// as "https://app.element.io". None is the default: no page may have it in a frame.
	WidgetClients []string
}

//go:embed page
var files embed.FS

// page is the handler of the page's files.
type page struct {
	files  map[string]file // by name, "" for the page itself
	policy string
	framed bool
}

type file struct {
	contentType string
	etag        string
	data        []byte
}

// New returns a handler that serves the page at any path that ends in a slash, and its files beside
// it: with gorilla/mux, router.PathPrefix("/console/").Handler(handler). It is safe for concurrent use.
// An error names every fault of the Config.
func New(cfg Config) (http.Handler, error) {
	api, err := cfg.validate()
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	p := &page{files: map[string]file{}, policy: policy(api, cfg.WidgetClients), framed: len(cfg.WidgetClients) > 0}
	entries, err := files.ReadDir("page")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		data, err := files.ReadFile("page/" + name)
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		if name == "index.html" {
			name = ""
			if data, err = cfg.fill(data); err != nil {
				return nil, err
			}
		}
		p.files[name] = newFile(entry.Name(), data)
	}
	return p, nil
}

// validate returns the URL of the API.
func (c Config) validate() (*url.URL, error) {
	var faults []error
	api, err := url.Parse(c.API)
	switch {
	case err != nil || c.API == "" || api.Opaque != "" || api.User != nil || api.RawQuery != "" || api.Fragment != "",
		api.Host != "" && api.Scheme != "http" && api.Scheme != "https":
		faults = append(faults, errors.New("Config.API is no place of an API: use a path such as /_matrix/provision/v1, or an http or https URL"))
	}
	for _, origin := range c.WidgetClients {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) || strings.ContainsAny(u.Host, "*;, '") {
			faults = append(faults, fmt.Errorf("Config.WidgetClients has %q: use scheme://host or scheme://host:port in lower case", origin))
		}
	}
	return api, errors.Join(faults...)
}

// fill writes the configuration into the page.
func (c Config) fill(index []byte) ([]byte, error) {
	t, err := template.New("index").Parse(string(index))
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	var filled bytes.Buffer
	data := struct{ API, WidgetClients string }{strings.TrimSuffix(c.API, "/"), strings.Join(c.WidgetClients, " ")}
	if err := t.Execute(&filled, data); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return filled.Bytes(), nil
}

// policy is the Content-Security-Policy: the page's own files and the API, and nothing that is written
// as HTML by a script.
func policy(api *url.URL, clients []string) string {
	connect := "'self'"
	if api.Host != "" {
		origin := api.Scheme + "://" + api.Host
		connect += " " + origin + " ws" + strings.TrimPrefix(origin, "http")
	}
	frames := "'none'"
	if len(clients) > 0 {
		frames = strings.Join(clients, " ")
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'; frame-ancestors " + frames + "; require-trusted-types-for 'script'; trusted-types 'none'"
}

func newFile(name string, data []byte) file {
	sum := sha256.Sum256(data)
	return file{
		contentType: contentTypes[path.Ext(name)],
		etag:        `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		data:        data,
	}
}

// contentTypes are not left to the tables of the system.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", p.policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	if !p.framed {
		header.Set("X-Frame-Options", "DENY")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if name == "qr" {
		serveQR(w, r)
		return
	}
	found, ok := p.files[name]
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "Use GET.", http.StatusMethodNotAllowed)
	default:
		header.Set("Content-Type", found.contentType)
		header.Set("ETag", found.etag)
		header.Set("Cache-Control", "no-cache")
		if r.Header.Get("If-None-Match") == found.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(found.data)
	}
}

// What a QR code may say: that of a login, which is a tenth as long.
const (
	qrPrefix = "tg://login?token="
	maxQR    = 512
)

// serveQR draws the QR code of a login as a PNG. What it says is in the body, since addresses get into
// logs.
func serveQR(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "Use POST.", http.StatusMethodNotAllowed)
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQR))
	if err != nil || !strings.HasPrefix(string(text), qrPrefix) {
		http.Error(w, "The body is no code of a login with a QR code.", http.StatusBadRequest)
		return
	}
	code, err := qr.Encode(string(text), qr.M)
	if err != nil {
		http.Error(w, "The code can't be drawn.", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(code.PNG())
}
