// Package apidocs serves the OpenAPI document of the provisioning API, with a page that
// shows it and calls the API from the browser. It is apart from package provisioning,
// since the page takes some 600 KB.
package apidocs

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/mux"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"
	"go.yaml.in/yaml/v3"

	"github.com/tgprovision/tgprovision/provisioning"
)

// policy keeps the page, on which people enter the shared secret, to its own files, and
// out of the frames of others.
const policy = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

// Mount adds /v1/openapi.yaml, /v1/openapi.json and the page /v1/docs/ to a router, below
// the router's own path: to the one that [provisioning.Provisioner.Mount] is then called
// with, since of two routes the first one counts. They are public: they say nothing that
// the source code of this library does not say, and a browser can't send a secret for a
// page. The page asks for the secret, to call operations with it, and does not keep it.
func Mount(r *mux.Router) {
	v1 := r.PathPrefix("/v1").Subrouter()
	document, err := asJSON(provisioning.OpenAPI())
	if err != nil {
		panic("apidocs: " + err.Error()) // an embedded file, which the tests read
	}
	get := func(path string, handler http.Handler) {
		v1.Path(path).Methods(http.MethodGet, http.MethodHead).Handler(handler)
	}
	get("/openapi.yaml", content("application/yaml", provisioning.OpenAPI()))
	get("/openapi.json", content("application/json", document))
	get("/docs", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "docs/") // relative, whatever a proxy makes of the path
		w.WriteHeader(http.StatusMovedPermanently)
	}))
	page := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Provisioning API", SwaggerJSON: "../openapi.json", BasePath: ".", InternalBasePath: "/",
	})
	get("/docs/", asset(page, ""))
	for _, name := range assets() {
		get("/docs/"+name, asset(page, name))
	}
}

// Handler returns what Mount adds, as a handler of requests whose path begins with the
// prefix and /v1/, for a server without a gorilla/mux router. With an http.ServeMux and the
// prefix "/_matrix/provision" it belongs at the patterns "/_matrix/provision/v1/docs/",
// "/_matrix/provision/v1/openapi.json" and "/_matrix/provision/v1/openapi.yaml".
func Handler(prefix string) http.Handler {
	r := mux.NewRouter()
	Mount(r.PathPrefix(strings.TrimSuffix(prefix, "/") + "/").Subrouter())
	return r
}

// asJSON makes JSON of YAML.
func asJSON(document []byte) ([]byte, error) {
	var value any
	if err := yaml.Unmarshal(document, &value); err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	return json.Marshal(value)
}

// content serves some bytes.
func content(contentType string, data []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(data)
	})
}

// assets lists the files of the page.
func assets() (names []string) {
	entries, err := fs.ReadDir(static.FS, ".")
	if err != nil {
		panic("apidocs: " + err.Error()) // embedded
	}
	for _, entry := range entries {
		if name := strings.TrimSuffix(entry.Name(), ".gz"); !strings.HasSuffix(name, ".go") {
			names = append(names, name)
		}
	}
	return names
}

// asset serves a file of the page, or the page itself.
func asset(page http.Handler, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		own := r.Clone(r.Context())
		own.URL = &url.URL{Path: "/" + name}
		page.ServeHTTP(w, own)
	})
}
