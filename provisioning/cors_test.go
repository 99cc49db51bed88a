package provisioning_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

const (
	webApp    = "https://app.example.com"
	otherPage = "https://evil.example.com"
)

// origins allows some.
func origins(allowed ...string) func(*bridge, *provisioning.Config) {
	return func(_ *bridge, cfg *provisioning.Config) { cfg.CORS = allowed }
}

// preflight is what a browser sends before a request of a page.
func preflight(path, origin, method string) *http.Request {
	r := newRequest(http.MethodOptions, path, "")
	r.Header.Del("Authorization")
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", method)
	r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
	return r
}

// corsHeader returns the headers of an answer that are about origins.
func corsHeader(h http.Header) map[string]string {
	about := map[string]string{}
	for name, values := range h {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			about[name] = strings.Join(values, " | ")
		}
	}
	return about
}

func equalHeaders(t *testing.T, got http.Header, want map[string]string) {
	t.Helper()
	about := corsHeader(got)
	for name := range about {
		if _, ok := want[name]; !ok {
			t.Errorf("the answer has %s: %s", name, about[name])
		}
	}
	for name, value := range want {
		if about[name] != value {
			t.Errorf("%s is %q, want %q", name, about[name], value)
		}
	}
}

// Preflights of all paths have one answer, so that they tell nothing of the routes.
func TestPreflight(t *testing.T) {
	for _, c := range []struct{ allowed, sends []string }{
		{[]string{webApp, "http://localhost:8080"}, []string{webApp, "http://localhost:8080"}},
		{[]string{"*"}, []string{webApp, otherPage, "null"}},
		{[]string{webApp, "*"}, []string{webApp, otherPage}},
	} {
		b := newBridge(t, origins(c.allowed...))
		paths := []string{"", "/", "/nothing/here", "/user/x/../y"}
		for path := range everyPath() {
			paths = append(paths, path)
		}
		for _, origin := range c.sends {
			want := map[string]string{
				"Vary": "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "GET, POST, DELETE",
				"Access-Control-Allow-Headers": "Authorization, Content-Type, X-Request-Id", "Access-Control-Max-Age": "600",
			}
			if slices.Contains(c.allowed, "*") {
				want["Access-Control-Allow-Origin"] = "*"
			}
			for _, path := range paths {
				for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch} {
					rec := httptest.NewRecorder()
					b.handler.ServeHTTP(rec, preflight(path, origin, method))
					if rec.Code != 204 || rec.Body.Len() != 0 {
						t.Errorf("the preflight for %s %s: %d %s", method, path, rec.Code, rec.Body)
					}
					equalHeaders(t, rec.Header(), want)
				}
			}
		}
		if line := b.log.lines(t)[0]; line["op"] != "preflight" || line["status"] != 204.0 || line["auth"] != nil || line["request_id"] == "" {
			t.Errorf("the access line is %v", line)
		}
	}
}

// What is no preflight of an allowed origin needs a credential.
func TestNoPreflight(t *testing.T) {
	b := newBridge(t, origins(webApp), limit(-1))
	off := newBridge(t, limit(-1))
	for path := range everyPath() {
		for _, origin := range []string{otherPage, "null", "", webApp + "/", strings.ToUpper(webApp), "http://app.example.com", webApp + ":443", webApp + ".evil.example.com", "*"} {
			a := b.send(t, preflight(path, origin, http.MethodGet))
			a.want(t, 401, "shared_secret_invalid")
			equalHeaders(t, a.header, map[string]string{"Vary": "Origin"})
		}
		r := preflight(path, webApp, "")
		a := b.send(t, r)
		a.want(t, 401, "shared_secret_invalid")
		equalHeaders(t, a.header, map[string]string{
			"Vary": "Origin", "Access-Control-Allow-Origin": webApp, "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
		})
		for _, origin := range []string{webApp, "*"} {
			a := off.send(t, preflight(path, origin, http.MethodGet))
			a.want(t, 401, "shared_secret_invalid")
			equalHeaders(t, a.header, nil)
		}
	}
}

// Pages can read every answer, errors too.
func TestCORSOnAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for allowed, origin := range map[string]string{webApp: webApp, "*": "*"} {
			b := newBridge(t, origins(allowed), limit(1))
			panics := newBridge(t, origins(allowed), func(_ *bridge, cfg *provisioning.Config) {
				cfg.ClientAddress = func(*http.Request) string { panic("boom") }
			})
			ask := func(b *bridge, method, path, given, page string) answer {
				r := newRequest(method, path, "")
				r.Header.Set("Authorization", "Bearer "+given)
				r.Header.Set("Origin", page)
				return b.send(t, r)
			}
			for status, a := range map[int]answer{
				200: ask(b, http.MethodGet, "/bridge", secret, webApp),
				404: ask(b, http.MethodGet, "/nothing/here", secret, webApp),
				405: ask(b, http.MethodOptions, "/bridge", secret, webApp),
				403: ask(b, http.MethodPost, user(alice, "/logout"), secret, webApp),
				500: ask(panics, http.MethodGet, "/bridge", wrongSecret, webApp),
				401: ask(newBridge(t, origins(allowed)), http.MethodGet, "/bridge", wrongSecret, webApp),
			} {
				if a.status != status {
					t.Errorf("got %d %s, want %d", a.status, a.body, status)
				}
				equalHeaders(t, a.header, map[string]string{
					"Vary": "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
				})
			}
			if a := ask(b, http.MethodGet, "/bridge", secret, otherPage); allowed != "*" {
				a.want(t, 200, "")
				equalHeaders(t, a.header, map[string]string{"Vary": "Origin"})
			}
			fresh := newBridge(t, origins(allowed), limit(1))
			ask(fresh, http.MethodGet, "/bridge", wrongSecret, webApp)
			a := ask(fresh, http.MethodGet, "/bridge", wrongSecret, webApp)
			a.want(t, 429, "too_many_requests")
			if a.header.Get("Access-Control-Allow-Origin") != origin || a.header.Get("Retry-After") == "" {
				t.Errorf("the header is %v", a.header)
			}
		}
	})
}

// What the host's middleware says of Vary stays.
func TestCORSKeepsVary(t *testing.T) {
	b := newBridge(t, origins(webApp))
	rec := httptest.NewRecorder()
	rec.Header().Set("Vary", "Accept-Encoding")
	b.handler.ServeHTTP(rec, newRequest(http.MethodGet, "/bridge", ""))
	if got := rec.Header().Values("Vary"); !slices.Equal(got, []string{"Accept-Encoding", "Origin"}) {
		t.Errorf("Vary is %q", got)
	}
}

func TestOrigins(t *testing.T) {
	for origin, valid := range map[string]bool{
		"*": true, webApp: true, "http://localhost:8080": true, "https://app.example.com:8443": true, "http://[::1]:8080": true,
		"capacitor://localhost": true, "https://xn--e1afmkfd.example": true, "http://app.example.com:443": true,
		"": false, "null": false, "app.example.com": false, "//app.example.com": false, webApp + "/": false, webApp + "/x": false,
		webApp + "?": false, webApp + "#": false, webApp + ":": false, webApp + ":443": false, "http://localhost:80": false,
		"HTTPS://app.example.com": false, "https://App.example.com": false, "https://user@app.example.com": false, "https://": false,
		"https://*.example.com": false, "https://пример.example": false, webApp + " ": false, " " + webApp: false, webApp + "," + otherPage: false,
		"https://:8080": false, "https://a%20b": false, "**": false, "localhost:8080": false,
	} {
		cfg := soundConfig()
		cfg.CORS = []string{"http://first.example.com", origin}
		_, err := provisioning.New(cfg)
		if (err == nil) != valid {
			t.Errorf("%q: %v, want it to be valid: %t", origin, err, valid)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "Config.CORS has ") {
			t.Errorf("%q: the fault is %q", origin, err)
		}
	}
}
