package provisioning_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/mux"
)

// coreRequests are answered the same on whatever the API is mounted.
var coreRequests = []struct {
	method, path, body string
	status             int
	errcode            string
}{
	{http.MethodGet, "/bridge", "", 200, ""},
	{http.MethodGet, "/bridge/", "", 200, ""},
	{http.MethodGet, "/user/@alice:example.com", "", 200, ""},
	{http.MethodGet, "/user/%40alice%3Aexample.com/", "", 200, ""},
	{http.MethodGet, "/user/@alice%2Fslash:example.com", "", 200, ""},
	{http.MethodGet, "/user/%40alice%2Fslash%3Aexample.com/chats", "", 403, "not_logged_in"},
	{http.MethodGet, "/user/@pé%2Fslash:example.com", "", 200, ""},
	{http.MethodGet, "/user/@100%25:example.com?user_id=@bob:example.com", "", 200, ""},
	{http.MethodGet, "/user/@what%3F:example.com/contacts", "", 403, "not_logged_in"},
	{http.MethodGet, "/user/@a+b:example.com", "", 200, ""},
	{http.MethodGet, "/user/", "", 400, "mxid_empty"},
	{http.MethodGet, "/user/nobody", "", 400, "mxid_invalid"},
	{http.MethodPost, "/user/@alice:example.com/login/request_code", `{"phone":"+15550100"}`, 200, ""},
	{http.MethodPost, "/user/@alice:example.com/login/send_code", `{"code":"1"}`, 401, "phone_code_invalid"},
	{http.MethodPost, "/user/@alice:example.com/logout", "", 403, "not_logged_in"},
	{http.MethodPost, "/bridge", "", 405, "unhandled_http_405"},
	{http.MethodGet, "/user/@alice:example.com/logout", "", 405, "unhandled_http_405"},
	{http.MethodDelete, "/user/@alice:example.com", "", 405, "unhandled_http_405"},
	{http.MethodGet, "/nope", "", 404, "unhandled_http_404"},
	{http.MethodGet, "/", "", 404, "unhandled_http_404"},
	{http.MethodGet, "", "", 404, "unhandled_http_404"},
}

// tryCoreRequests sends the core requests to a host below a prefix.
func tryCoreRequests(t *testing.T, host http.Handler, prefix string) {
	t.Helper()
	for _, c := range coreRequests {
		r := httptest.NewRequest(c.method, prefix+"/v1"+c.path, stringReader(c.body))
		send(t, host, r).want(t, 401, "shared_secret_invalid")
		r = httptest.NewRequest(c.method, prefix+"/v1"+c.path, stringReader(c.body))
		r.Header.Set("Authorization", "Bearer "+secret)
		a := send(t, host, r)
		a.want(t, c.status, c.errcode)
		if t.Failed() {
			t.Fatalf("on %s %s", c.method, r.URL)
		}
		if c.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, r.URL)
		}
	}
}

// eachRouter runs the test on outer routers of every mix of settings.
func eachRouter(t *testing.T, test func(*testing.T, func() *mux.Router)) {
	for _, encoded := range []bool{false, true} {
		for _, skipClean := range []bool{false, true} {
			t.Run(fmt.Sprintf("UseEncodedPath %t, SkipClean %t", encoded, skipClean), func(t *testing.T) {
				test(t, func() *mux.Router {
					r := mux.NewRouter().SkipClean(skipClean)
					if encoded {
						r.UseEncodedPath()
					}
					return r
				})
			})
		}
	}
}

func TestMountOnAnyRouter(t *testing.T) {
	eachRouter(t, func(t *testing.T, router func() *mux.Router) {
		mounts := map[string]func(*mux.Router) *mux.Router{
			"":                     func(r *mux.Router) *mux.Router { return r },
			"/_matrix/provision":   func(r *mux.Router) *mux.Router { return r.PathPrefix("/_matrix/provision").Subrouter() },
			"/slash":               func(r *mux.Router) *mux.Router { return r.PathPrefix("/slash/").Subrouter() },
			"/a/b":                 func(r *mux.Router) *mux.Router { return r.PathPrefix("/a").Subrouter().PathPrefix("/b").Subrouter() },
			"/bridges/telegram-1/": func(r *mux.Router) *mux.Router { return r.PathPrefix("/bridges/{name}").Subrouter() },
			"/regexp/v2":           func(r *mux.Router) *mux.Router { return r.PathPrefix("/regexp/{version:v[0-9]}").Subrouter() },
		}
		for at, mount := range mounts {
			t.Run("at "+at, func(t *testing.T) {
				outer := router()
				newBridge(t).provisioner.Mount(mount(outer))
				if at == "/bridges/telegram-1/" {
					at = "/bridges/telegram-1"
				}
				tryCoreRequests(t, outer, at)
			})
		}
	})
}

// The host's own routes, before ours and after, are its own.
func TestMountLeavesTheHostAlone(t *testing.T) {
	eachRouter(t, func(t *testing.T, router func() *mux.Router) {
		outer := router()
		text := func(s string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
		}
		sub := outer.PathPrefix(prefix).Subrouter()
		sub.HandleFunc("/v1/host", text("host's v1"))
		newBridge(t).provisioner.Mount(sub)
		sub.HandleFunc("/v3/whoami", text("v3"))
		sub.HandleFunc("/v10/x", text("v10"))
		outer.HandleFunc("/metrics", text("metrics"))
		outer.NotFoundHandler = text("host's 404")
		for path, want := range map[string]string{
			prefix + "/v1/host": "host's v1", prefix + "/v3/whoami": "v3", prefix + "/v10/x": "v10", "/metrics": "metrics",
			prefix + "/v2/bridge": "host's 404", prefix: "host's 404", "/v1/bridge": "host's 404", prefix + "/v1x": "host's 404",
		} {
			rec := httptest.NewRecorder()
			outer.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
			if got := rec.Body.String(); got != want {
				t.Errorf("%s: %d %q, want %q", path, rec.Code, got, want)
			}
		}
		tryCoreRequests(t, outer, prefix)
	})
}

// Middleware of the host's runs for every request, our 401, 404 and 405 included.
func TestMountRunsTheHostsMiddleware(t *testing.T) {
	eachRouter(t, func(t *testing.T, router func() *mux.Router) {
		outer := router()
		var ran []string
		seen := func(name string) mux.MiddlewareFunc {
			return func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ran = append(ran, name)
					next.ServeHTTP(w, r)
				})
			}
		}
		outer.Use(seen("outer"))
		sub := outer.PathPrefix(prefix).Subrouter()
		sub.Use(seen("sub"))
		newBridge(t).provisioner.Mount(sub)
		for _, c := range coreRequests {
			ran = nil
			r := httptest.NewRequest(c.method, prefix+"/v1"+c.path, stringReader(c.body))
			send(t, outer, r).want(t, 401, "shared_secret_invalid")
			r = newRequest(c.method, c.path, c.body)
			send(t, outer, r).want(t, c.status, c.errcode)
			if fmt.Sprint(ran) != "[outer sub outer sub]" {
				t.Errorf("%s %s: middleware that ran: %v", c.method, c.path, ran)
			}
		}
	})
}

// mautrix-go's appservices have an http.ServeMux, with a route of their own.
func TestMountBelowAServeMux(t *testing.T) {
	eachRouter(t, func(t *testing.T, router func() *mux.Router) {
		r := router()
		newBridge(t).provisioner.Mount(r.PathPrefix(prefix).Subrouter())
		serveMux := http.NewServeMux()
		serveMux.HandleFunc(prefix+"/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "host") })
		serveMux.Handle(prefix+"/v1/", r)
		serveMux.Handle(prefix+"/v1", r) // or the ServeMux redirects
		tryCoreRequests(t, serveMux, prefix)
		rec := httptest.NewRecorder()
		serveMux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, prefix+"/v3/whoami", nil))
		if rec.Body.String() != "host" {
			t.Errorf("v3: %q, want the host's answer", rec.Body)
		}
	})
}

func TestMountBelowAStrippedPrefix(t *testing.T) {
	eachRouter(t, func(t *testing.T, router func() *mux.Router) {
		r := router()
		newBridge(t).provisioner.Mount(r)
		tryCoreRequests(t, http.StripPrefix("/stripped", r), "/stripped")
	})
}

// Two bridges on one router are two APIs.
func TestMountTwice(t *testing.T) {
	outer := mux.NewRouter()
	one, two := newBridge(t), newBridge(t)
	one.provisioner.Mount(outer.PathPrefix("/one").Subrouter())
	two.provisioner.Mount(outer.PathPrefix("/two").Subrouter())
	tryCoreRequests(t, outer, "/one")
	if two.users.Calls("User") != 0 {
		t.Error("a request for one bridge has reached the other")
	}
	tryCoreRequests(t, outer, "/two")
}
