package provisioning_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"
)

// fuzzRequest makes an authorised request of anything, nil for a path that no
// HTTP server lets through.
func fuzzRequest(method, path string, body []byte) *http.Request {
	u, err := url.ParseRequestURI(prefix + "/v1" + path)
	if err != nil {
		return nil
	}
	return &http.Request{
		Method: method, URL: u, RequestURI: prefix + "/v1" + path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Authorization": {"Bearer " + secret}}, Body: io.NopCloser(strings.NewReader(string(body))), Host: "example.com",
	}
}

// tryFuzzed sends a request whose answer must be JSON and no fault of ours.
func tryFuzzed(t *testing.T, r *http.Request) answer {
	t.Helper()
	b := newBridge(t)
	b.login(t, alice, requestGuarded, codeGuarded)
	a := b.send(t, r)
	if a.status >= 500 {
		t.Errorf("%s %s: %d %s\n%s", r.Method, r.RequestURI, a.status, a.body, b.log)
	}
	if a.status >= 400 && (a.field("errcode") == "" || a.field("error") == "") {
		t.Errorf("%s %s: %d %s", r.Method, r.RequestURI, a.status, a.body)
	}
	return a
}

func FuzzUserID(f *testing.F) {
	for raw := range rawUserIDs {
		f.Add(raw)
	}
	for _, raw := range []string{"", "@", "%", "%zz", "@a:b%00", "@a%ff:b", "a/b", "..", "@a:b/", "@a:b//", "%2F ", "é%2f", "#%2f", "?@a:b", "#", "@a%2f..%2fb:c", "\u202e"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := fuzzRequest(http.MethodGet, "/user/"+raw, nil)
		if r == nil {
			return
		}
		a := tryFuzzed(t, r)
		segment, _, _ := strings.Cut(raw, "?")
		segment = strings.TrimSuffix(segment, "/")
		decoded, err := url.PathUnescape(segment)
		switch a.status {
		case 200:
			userID := id.UserID(decoded)
			if _, _, invalid := userID.ParseAndValidateRelaxed(); err != nil || invalid != nil || a.field("mxid") != decoded {
				t.Errorf("/user/%q: %s", raw, a.body)
			}
		case 400:
			if _, _, invalid := id.UserID(decoded).ParseAndValidateStrict(); err == nil && invalid == nil {
				t.Errorf("/user/%q is a valid user ID, and refused: %s", raw, a.body)
			}
		case 404:
			if !strings.Contains(segment, "/") {
				t.Errorf("/user/%q: %s", raw, a.body)
			}
		default:
			t.Errorf("/user/%q: %d %s", raw, a.status, a.body)
		}
	})
}

func FuzzLoginBody(f *testing.F) {
	steps := []string{"request_code", "send_code", "send_password", "bot_token"}
	for i := range steps {
		for _, body := range brokenBodies {
			f.Add(i, []byte(body))
		}
		f.Add(i, []byte(everyBody))
		f.Add(i, []byte(`{"phone":1,"code":1e9,"password":[],"token":{}}`))
		f.Add(i, []byte(`{"code":-0,"code":"\ud800","phone":"\u0000"}`))
	}
	f.Fuzz(func(t *testing.T, step int, body []byte) {
		name := steps[uint(step)%uint(len(steps))]
		a := tryFuzzed(t, fuzzRequest(http.MethodPost, user(alice, "/login/"+name), body))
		if a.field("state") == "" {
			t.Errorf("%s %q: no state in %s", name, body, a.body)
		}
		var object map[string]any
		isObject := utf8.Valid(body) && json.Unmarshal(body, &object) == nil && object != nil
		switch got := a.field("errcode"); {
		case len(body) > 64<<10:
			if got != "body_too_large" {
				t.Errorf("%s with %d bytes: %s", name, len(body), a.body)
			}
		case isObject == (got == "json_invalid"):
			t.Errorf("%s %q: an object: %t, and the answer is %s", name, body, isObject, a.body)
		}
	})
}

func FuzzRequest(f *testing.F) {
	for path, method := range everyPath() {
		f.Add(method, path, []byte(everyBody))
		f.Add("DELETE", path+"/", []byte("{}"))
	}
	f.Add("", "", []byte(nil))
	f.Add("GET", "//user//@a:b", []byte("x"))
	f.Add("G T", "/../bridge?%zz", []byte("x"))
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		if path != "" && !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "?") {
			path = "/" + path // below the mount, not beside it
		}
		if r := fuzzRequest(method, path, body); r != nil {
			tryFuzzed(t, r)
		}
	})
}
