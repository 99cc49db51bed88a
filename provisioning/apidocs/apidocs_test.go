package apidocs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"go.yaml.in/yaml/v3"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/apidocs"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

const secret = "correct-horse-battery-staple"

// newAPI mounts an API with or without its document.
func newAPI(t *testing.T, docs func(*mux.Router)) http.Handler {
	t.Helper()
	p, err := provisioning.New(provisioning.Config{
		Secret: secret, Portals: provisioningtest.NewMemPortalStore(), Telegram: provisioningtest.NewTelegram(),
		Users: provisioningtest.NewMemUserStore(func(id.UserID) provisioning.Permission { return provisioning.PermissionFull }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	place := router.PathPrefix("/_matrix/provision").Subrouter()
	if docs != nil {
		docs(place)
	}
	p.Mount(place)
	return router
}

func call(t *testing.T, api http.Handler, method, path, token string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/_matrix/provision/v1/"+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

func TestDocument(t *testing.T) {
	api := newAPI(t, apidocs.Mount)
	asYAML, asJSON := call(t, api, "GET", "openapi.yaml", ""), call(t, api, "GET", "openapi.json", "")
	if asYAML.Code != 200 || asYAML.Body.String() != string(provisioning.OpenAPI()) || asYAML.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("openapi.yaml: %d %v", asYAML.Code, asYAML.Header())
	}
	var want, got any
	if err := yaml.Unmarshal(provisioning.OpenAPI(), &want); err != nil {
		t.Fatal(err)
	}
	want = throughJSON(t, want)
	if err := json.Unmarshal(asJSON.Body.Bytes(), &got); err != nil || !reflect.DeepEqual(got, want) || asJSON.Header().Get("Content-Type") != "application/json" {
		t.Errorf("openapi.json: %d %v, %v", asJSON.Code, asJSON.Header(), err)
	}
}

func throughJSON(t *testing.T, value any) (result any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A server without a gorilla/mux router serves the same.
func TestHandler(t *testing.T) {
	server := http.NewServeMux()
	docs := apidocs.Handler("/_matrix/provision")
	for _, pattern := range []string{"docs/", "openapi.json", "openapi.yaml"} {
		server.Handle("/_matrix/provision/v1/"+pattern, docs)
	}
	withMux := newAPI(t, apidocs.Mount)
	for _, path := range []string{"openapi.yaml", "openapi.json", "docs/", "docs/swagger-ui.css"} {
		got, want := call(t, server, "GET", path, ""), call(t, withMux, "GET", path, "")
		if got.Code != 200 || got.Body.String() != want.Body.String() {
			t.Errorf("%s: %d, %d bytes, want %d", path, got.Code, got.Body.Len(), want.Body.Len())
		}
	}
}

// The page and all that it loads are there, and nothing else is loaded.
func TestPage(t *testing.T) {
	api := newAPI(t, apidocs.Mount)
	if w := call(t, api, "GET", "docs", ""); w.Code != 301 || w.Header().Get("Location") != "docs/" {
		t.Errorf("docs: %d %v", w.Code, w.Header())
	}
	page := call(t, api, "GET", "docs/", "")
	if page.Code != 200 || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") ||
		!strings.Contains(page.Header().Get("Content-Security-Policy"), "default-src 'self'") {
		t.Fatalf("docs/: %d %v", page.Code, page.Header())
	}
	if !strings.Contains(page.Body.String(), `"../openapi.json"`) {
		t.Error("the page does not load the document")
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(links) < 4 {
		t.Errorf("the page links to %v alone", links)
	}
	for _, link := range links {
		name, relative := strings.CutPrefix(link[1], "./")
		w := call(t, api, "GET", "docs/"+name, "")
		if !relative || w.Code != 200 || w.Body.Len() == 0 || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %d bytes, %v", link[1], w.Code, w.Body.Len(), w.Header())
		}
	}
}

// The rest is the API's, and all of it where the host wants no document.
func TestNothingElseIsPublic(t *testing.T) {
	for name, docs := range map[string]func(*mux.Router){"with": apidocs.Mount, "without": nil} {
		api := newAPI(t, docs)
		requests := [][2]string{
			{"GET", "bridge"},
			{"POST", "openapi.yaml"},
			{"DELETE", "docs/"},
			{"GET", "docs/embed.go"},
			{"GET", "docs/x"},
			{"GET", "docs/swagger-ui.css/"},
			{"GET", "openapi.yml"},
			{"GET", "docs/../bridge"},
		}
		if docs == nil {
			requests = append(requests, [][2]string{{"GET", "openapi.yaml"}, {"GET", "openapi.json"}, {"GET", "docs"}, {"GET", "docs/"}}...)
		}
		for _, request := range requests {
			w := call(t, api, request[0], request[1], "")
			if request[1] == "docs/../bridge" && w.Code == 301 {
				continue // cleaned by the router
			}
			if w.Code != 401 || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s %s: %d %s", name, request[0], request[1], w.Code, w.Body)
			}
			if request[1] == "bridge" {
				continue
			}
			if w = call(t, api, request[0], request[1], secret); w.Code != 404 || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s %s with the secret: %d %s", name, request[0], request[1], w.Code, w.Body)
			}
		}
	}
}
