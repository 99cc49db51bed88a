package provisioning_test

import (
	"bufio"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"
)

// fuzzRequest makes an authorised request of anything, nil for one that no HTTP server
// lets through.
func fuzzRequest(method, path string, body []byte) *http.Request {
	u, err := url.ParseRequestURI(prefix + "/v1" + path)
	if err != nil {
		return nil
	}
	return &http.Request{
		Method: method, URL: u, RequestURI: prefix + "/v1" + path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Authorization": {"Bearer " + secret}}, Body: io.NopCloser(strings.NewReader(string(body))),
		Host: "example.com", RemoteAddr: "192.0.2.1:1234",
	}
}

// withHeaders adds lines of headers to a request; false where an HTTP server refuses
// them.
func withHeaders(r *http.Request, lines string) bool {
	parsed, err := textproto.NewReader(bufio.NewReader(strings.NewReader(lines + "\r\n\r\n"))).ReadMIMEHeader()
	for name, values := range parsed {
		for _, value := range values {
			if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return false
			}
		}
		r.Header[name] = append(r.Header[name], values...)
	}
	return err == nil
}

// fuzzBridge is a bridge in the middle of a login, with an admin who is logged in.
func fuzzBridge(t testing.TB) *bridge {
	t.Helper()
	b := newBridge(t, withRelay)
	b.login(t, alice, requestGuarded, codeGuarded)
	b.logIn(t, admin, aliceAccount)
	return b
}

// tryFuzzed sends a request whose answer must be JSON and no fault of ours.
func (b *bridge) tryFuzzed(t *testing.T, r *http.Request) answer {
	t.Helper()
	b.log.reset()
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
	b := fuzzBridge(f) // which a GET does not change
	f.Fuzz(func(t *testing.T, raw string) {
		r := fuzzRequest(http.MethodGet, "/user/"+raw, nil)
		if r == nil {
			return
		}
		a := b.tryFuzzed(t, r)
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
		a := fuzzBridge(t).tryFuzzed(t, fuzzRequest(http.MethodPost, user(alice, "/login/"+name), body))
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

// Every request gets an answer that the document has, and nothing breaks. What it asks
// for, the bridge can do, so that a 5xx is a fault: groups that are too small, which are
// 500 by the contract, need a room with nobody in it.
func FuzzRequest(f *testing.F) {
	const headers = "Content-Type: application/json\nX-Request-Id: 7"
	for path, method := range everyPath() {
		f.Add(method, path, "", headers, []byte(everyBody))
		f.Add(method, strings.Replace(path, "@alice", "@admin", 1), "user_id=@admin:example.com&force=delete&sync=1", "", []byte(everyBody))
		f.Add("DELETE", path+"/", "user_id=%ff", "Transfer-Encoding: chunked", []byte("{}"))
	}
	f.Add("", "", "", "", []byte(nil))
	f.Add("GET", "//user//@a:b", "&&=;", "Authorization: Bearer x", []byte("x"))
	f.Add("G T", "/../bridge?%zz", "user_id=a&user_id=@b:c", "X-Forwarded-For: 1\nHost: x\nContent-Length: -1", []byte("x"))
	f.Fuzz(func(t *testing.T, method, path, query, headers string, body []byte) {
		if path != "" && !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "?") {
			path = "/" + path // below the mount, not beside it
		}
		if query != "" {
			path += "?" + query
		}
		if r := fuzzRequest(method, path, body); r != nil && withHeaders(r, headers) {
			fuzzBridge(t).tryFuzzed(t, r)
		}
	})
}

// The number decides what a chat ID is, whatever its digits begin with.
func FuzzChatID(f *testing.F) {
	for _, raw := range badChatIDs {
		f.Add(raw)
	}
	for _, raw := range []string{
		"-1", "-1001", "-999999999999", "-1000000000001", "-1997852516352", "-1997852516353", "-2002147483648", "-2002147483649",
		"-4000000000000", "-4000000000001", "-0", "-00", "%2D1", "-1/", "-1%2F", "7", "-+1", "-1?-2",
	} {
		f.Add(raw)
	}
	whole := regexp.MustCompile(`^-[0-9]+$`)
	b := fuzzBridge(f) // which a GET does not change
	f.Fuzz(func(t *testing.T, raw string) {
		r := fuzzRequest(http.MethodGet, "/portal/"+raw, nil)
		if r == nil {
			return
		}
		a := b.tryFuzzed(t, r)
		segment, _, _ := strings.Cut(raw, "?")
		segment = strings.TrimSuffix(segment, "/")
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == "" || !strings.Contains("-0123456789", decoded[:1]) || strings.Contains(segment, "/") {
			return // no chat ID
		}
		errcode := "tgid_invalid"
		if n, ok := new(big.Int).SetString(decoded, 10); ok && whole.MatchString(decoded) && isGroup(n) {
			errcode = "portal_not_found"
		}
		if got := a.field("errcode"); got != errcode && got != "mxid_invalid" { // of a user_id in the query
			t.Errorf("/portal/%q: %s, want %s", raw, a.body, errcode)
		}
	})
}

// isGroup says whether a number is in a range of groups and channels.
//
// https://core.telegram.org/api/bots/ids
func isGroup(n *big.Int) bool {
	for _, span := range [][2]int64{{-999999999999, -1}, {-1997852516352, -1000000000001}, {-4000000000000, -2002147483649}} {
		if n.Cmp(big.NewInt(span[0])) >= 0 && n.Cmp(big.NewInt(span[1])) <= 0 {
			return true
		}
	}
	return false
}

// An identifier finds somebody, or nobody, or something that is no user.
func FuzzIdentifier(f *testing.F) {
	for _, raw := range []string{
		"bob_tg", "@bob_tg", "https:%2F%2Ft.me%2Fbob_tg", "t.me%2Fbob_tg", "+15550101", "+1 (555) 0101", "1002", "2001", "01002", "news", "@news",
		"", " ", "@", "+", "-1001", "9223372036854775808", "%2B15550101", "https:%2F%2Ft.me%2F%2B15550101", "@@bob_tg", "bob_tg%00", "%ff", "tg:%2F%2Fresolve?domain=x",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := fuzzRequest(http.MethodPost, user(admin, "/pm/"+raw), nil)
		if r == nil {
			return
		}
		a := fuzzBridge(t).tryFuzzed(t, r)
		segment, _, _ := strings.Cut(raw, "?")
		if strings.Contains(strings.TrimSuffix(segment, "/"), "/") {
			a.want(t, 404, "unhandled_http_404")
			return
		}
		var started struct {
			ID          int64 `json:"id"`
			ContactInfo struct {
				ID int64 `json:"id"`
			} `json:"contact_info"`
		}
		switch a.status {
		case 201:
			if err := json.Unmarshal([]byte(a.body), &started); err != nil || started.ID <= 0 || started.ID != started.ContactInfo.ID {
				t.Errorf("pm/%q: %s", raw, a.body)
			}
		case 400, 404:
		default:
			t.Errorf("pm/%q: %d %s", raw, a.status, a.body)
		}
	})
}

// A code is right when its digits are, as a string with what people write between them,
// or as an integer that has lost its zeros.
func FuzzLoginCode(f *testing.F) {
	for _, raw := range []string{
		`"01234"`, `1234`, `01234`, `" 01-234 "`, `"0\u00a01234"`, `"0\u0031234"`, `1234.0`, `1.234e3`, `-1234`, `"1234"`, `""`, `null`, `[]`, `"\ud800"`, `12345`, `"O1234"`,
	} {
		f.Add(raw)
	}
	between := strings.NewReplacer(" ", "", "\u00a0", "", "-", "")
	f.Fuzz(func(t *testing.T, raw string) {
		b := newBridge(t)
		b.login(t, alice, requestAlice)
		a := b.send(t, fuzzRequest(http.MethodPost, user(alice, "/login/send_code"), []byte(`{"code":`+raw+`}`)))
		var body map[string]any
		decoder := json.NewDecoder(strings.NewReader(`{"code":` + raw + `}`))
		decoder.UseNumber()
		isJSON := json.Valid([]byte(`{"code":`+raw+`}`)) && utf8.ValidString(raw) && decoder.Decode(&body) == nil
		right := false
		switch code := body["code"].(type) {
		case string:
			right = between.Replace(strings.TrimSpace(code)) == aliceAccount.Code
		case json.Number:
			right = code == "1234"
		}
		if !isJSON {
			a.want(t, 400, "json_invalid")
		} else if right != (a.status == 200) || a.status >= 500 {
			t.Errorf("code %s: %d %s", raw, a.status, a.body)
		}
	})
}
