package provisioning_test

import (
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// everyPath lists the paths of the API with the verb that each has.
func everyPath() iter.Seq2[string, string] {
	return func(yield func(path, verb string) bool) {
		for _, op := range operations() {
			if !yield(op.pathFor(""), op.method) {
				return
			}
		}
	}
}

func TestUnauthorized(t *testing.T) {
	b := newBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.FailureLimit = -1 })
	headers := map[string][]string{
		"none":             nil,
		"empty":            {""},
		"wrong":            {"Bearer " + strings.Repeat("x", len(secret))},
		"prefix of it":     {"Bearer " + secret[:len(secret)-1]},
		"more than it":     {"Bearer " + secret + "x"},
		"upper case":       {"Bearer " + strings.ToUpper(secret)},
		"no scheme":        {secret},
		"scheme alone":     {"Bearer"},
		"no secret":        {"Bearer "},
		"lower-case":       {"bearer " + secret},
		"no blank":         {"Bearer" + secret},
		"two blanks":       {"Bearer  " + secret},
		"tab":              {"Bearer\t" + secret},
		"blank after":      {"Bearer " + secret + " "},
		"blank before":     {" Bearer " + secret},
		"quoted":           {`Bearer "` + secret + `"`},
		"another scheme":   {"Basic " + secret},
		"two in one":       {"Bearer " + secret + ", Bearer " + secret},
		"two headers":      {"Bearer " + secret, "Bearer " + secret},
		"one of two wrong": {"Bearer " + secret, "Bearer wrong"},
		"not UTF-8":        {"Bearer \xff"},
	}
	for name, values := range headers {
		t.Run(name, func(t *testing.T) {
			requests := [][2]string{{"/nothing/here", http.MethodGet}, {"/", http.MethodGet}, {"", http.MethodGet}}
			for path, method := range everyPath() {
				requests = append(requests, [2]string{path, method})
			}
			for _, request := range requests {
				path := request[0]
				for _, method := range []string{request[1], http.MethodPut} { // a wrong verb is not revealed either
					r := newRequest(method, path, "{}")
					r.Header["Authorization"] = values
					a, want := b.send(t, r), `{"errcode":"shared_secret_invalid","error":"The shared secret is missing or wrong."}`
					if path == "/login/link" && method == http.MethodPost {
						want = linkInvalid
					}
					a.wantBody(t, 401, want)
					if got := a.header.Get("Allow"); got != "" {
						t.Errorf("%s %s reveals Allow: %s", method, path, got)
					}
				}
			}
		})
	}
	if b.users.Calls("User") != 0 || b.telegram.Calls("Client") != 0 {
		t.Error("an unauthorised request has reached the host's parts")
	}
}

func TestSecretIsNotTakenFromTheQuery(t *testing.T) {
	r := newRequest(http.MethodGet, "/bridge?access_token="+secret, "")
	r.Header.Del("Authorization")
	newBridge(t).send(t, r).want(t, 401, "shared_secret_invalid")
}

func TestWrongVerb(t *testing.T) {
	b := newBridge(t)
	verbs := []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodHead, http.MethodOptions, http.MethodTrace, "PROPFIND", "get",
	}
	allowed := map[string][]string{}
	for path, verb := range everyPath() {
		allowed[path] = append(allowed[path], verb)
	}
	for path, right := range allowed {
		for _, verb := range verbs {
			for _, slash := range []string{"", "/", "?user_id=@bob:example.com"} {
				if slices.Contains(right, verb) {
					continue
				}
				a := b.call(t, verb, path+slash, "")
				a.wantBody(t, 405, `{"errcode":"unhandled_http_405","error":"This address does not support the HTTP method of the request."}`)
				if got := a.header.Values("Allow"); !slices.Equal(got, []string{strings.Join(right, ", ")}) {
					t.Errorf("%s %s: Allow %q, want %q", verb, path+slash, got, right)
				}
			}
		}
	}
	if b.users.Calls("User") != 0 {
		t.Error("a wrong verb has reached the user store")
	}
}

func TestUnknownRoute(t *testing.T) {
	b := newBridge(t)
	for _, path := range []string{
		"", "/", "//", "/bridge//", "/bridges", "/Bridge", "/bridge/x", "/user", "/users", "/user/@alice:example.com//",
		"/user/@alice:example.com/logins", "/user/@alice:example.com/login//", "/user/@alice:example.com/login/foo",
		"/user/@alice:example.com/Chats", "/user/@alice:example.com/chats/x", "/user/@alice/slash:example.com",
		"/user/@alice:example.com/login%2Frequest_code", "/nope?user_id=@alice:example.com", "/v1/bridge", "/../v1/bridge", "/%62ridge/x",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b.call(t, method, path, "").wantBody(t, 404,
				`{"errcode":"unhandled_http_404","error":"There is nothing at this address of the provisioning API."}`)
		}
	}
}

func TestTrailingSlash(t *testing.T) {
	for _, op := range operations() {
		with, without := newBridge(t), newBridge(t)
		cryptotest.SetGlobalRandom(t, 1)
		want := without.call(t, op.method, op.pathFor(""), op.validBody())
		cryptotest.SetGlobalRandom(t, 1)
		got := with.call(t, op.method, op.pathFor("")+"/", op.validBody())
		if got.status != want.status || got.body != want.body {
			t.Errorf("%s with a trailing slash: %d %s; want %d %s", op.op, got.status, got.body, want.status, want.body)
		}
		with.call(t, op.method, op.pathFor("")+"//", op.validBody()).want(t, 404, "unhandled_http_404")
	}
}

// rawUserIDs are user IDs as they may stand in a path, and what they are.
var rawUserIDs = map[string]id.UserID{
	"@alice:example.com":                            alice,
	"%40alice%3Aexample.com":                        alice,
	"%40alice:example.com":                          alice,
	"@alice%3aexample.com":                          alice,
	"@%61lice:example.com":                          alice,
	"@alice%2Fslash:example.com":                    "@alice/slash:example.com",
	"%40a%2fb%2Fc%3Aexample.com":                    "@a/b/c:example.com",
	"@Alice_=-.+x:example.com":                      "@Alice_=-.+x:example.com",
	"@a%2Bb:example.com":                            "@a+b:example.com",
	"@100%25:example.com":                           "@100%:example.com",
	"@with%20blank:example.com":                     "@with blank:example.com",
	"@p%C3%A9:example.com":                          "@pé:example.com",
	"@pé中😀:example.com":                             "@pé中😀:example.com",
	"@pé%2Fslash:example.com":                       "@pé/slash:example.com", // raw and encoded at once
	"@a^`{b}|\"<>\\#%2fslash:example.com":           "@a^`{b}|\"<>\\#/slash:example.com",
	"@what%3F%23:example.com":                       "@what?#:example.com",
	"@alice:example.com:8448":                       "@alice:example.com:8448",
	"@alice:127.0.0.1":                              "@alice:127.0.0.1",
	"@alice:%5B2001:db8::1%5D:8448":                 "@alice:[2001:db8::1]:8448",
	"@a;b,c&d=e$f!g*h'i(j):example.com":             "@a;b,c&d=e$f!g*h'i(j):example.com",
	"@" + strings.Repeat("a", 242) + ":example.com": id.UserID("@" + strings.Repeat("a", 242) + ":example.com"),
}

func TestUserIDForms(t *testing.T) {
	b := newBridge(t)
	for raw, want := range rawUserIDs {
		a := b.call(t, http.MethodGet, "/user/"+raw, "")
		if a.status != 200 || a.field("mxid") != string(want) {
			t.Errorf("/user/%s: %d %s; want %s", raw, a.status, a.body, want)
		}
	}
}

// An admin panel adds its own user to the query of requests about others.
func TestPathUserWins(t *testing.T) {
	for _, op := range operations() {
		if !strings.Contains(op.path, "{user_id}") {
			continue
		}
		for _, query := range []string{
			"?user_id=@bob:example.com", "?user_id=%40bob%3Aexample.com&room_id=!r:example.com", "?user_id=", "?user_id=garbage",
			"?user_id=@none:example.com", "?user_id=@a:b&user_id=@c:d", "?user_id=%ff", "?room_id=nonsense&unknown=1", "?user_id=%zz", "?;",
		} {
			with, without := newBridge(t), newBridge(t)
			for _, b := range []*bridge{with, without} {
				b.logIn(t, alice, aliceAccount)
				b.logIn(t, bob, botAccount)
			}
			want := without.call(t, op.method, op.pathFor(""), op.validBody())
			got := with.call(t, op.method, op.pathFor("")+query, op.validBody())
			if got.status != want.status || got.body != want.body {
				t.Errorf("%s%s: %d %s; want %d %s", op.op, query, got.status, got.body, want.status, want.body)
			}
			if with.telegram.LoggedIn(bob) != botAccount.ID {
				t.Errorf("%s%s has acted on the user of the query", op.op, query)
			}
		}
	}
}

func TestContentTypeOfTheRequestDoesNotMatter(t *testing.T) {
	for _, contentType := range []string{"", "application/json", "text/plain", "application/json; charset=bogus", "multipart/form-data", "%%%"} {
		r := newRequest(http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`)
		r.Header.Del("Content-Type")
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		newBridge(t).send(t, r).want(t, 200, "")
	}
}

// Over a real connection: no body at all, and an empty chunked one.
func TestEmptyBodies(t *testing.T) {
	b := newBridge(t)
	server := httptest.NewServer(b.handler)
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	bodies := map[string]func() io.Reader{
		"none":            func() io.Reader { return nil },
		"empty":           func() io.Reader { return strings.NewReader("") },
		"empty, chunked":  func() io.Reader { return io.MultiReader() },
		"object, chunked": func() io.Reader { return io.MultiReader(strings.NewReader("{}")) },
	}
	for name, body := range bodies {
		for _, contentType := range []string{"", "application/json"} {
			t.Run(fmt.Sprintf("%s %q", name, contentType), func(t *testing.T) {
				b.logIn(t, alice, aliceAccount)
				for _, step := range []struct {
					method, path string
					status       int
				}{
					{http.MethodGet, user(alice, ""), 200}, // GETs come chunked as well
					{http.MethodPost, user(alice, "/logout"), 200},
					{http.MethodPost, user(alice, "/logout"), 403},
					{http.MethodPost, user(alice, "/login/request_code"), 400},
				} {
					r, err := http.NewRequestWithContext(t.Context(), step.method, server.URL+prefix+"/v1"+step.path, body())
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Authorization", "Bearer "+secret)
					if contentType != "" {
						r.Header.Set("Content-Type", contentType)
					}
					response, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					text, err := io.ReadAll(response.Body)
					response.Body.Close()
					if err != nil || response.StatusCode != step.status || response.Header.Get("Content-Type") != "application/json" {
						t.Errorf("%s %s: %d %s %v, want %d", step.method, step.path, response.StatusCode, text, err, step.status)
					}
				}
			})
		}
	}
}

// A wrong code or password keeps the login; a right one may follow.
func TestLoginGoesOnAfterAMistake(t *testing.T) {
	b := newBridge(t)
	post := func(step, body string) answer { return b.call(t, http.MethodPost, user(alice, "/login/"+step), body) }
	post("request_code", `{"phone":"+1 555 0101"}`).want(t, 200, "")
	post("send_code", `{"code":"11111"}`).want(t, 401, "phone_code_invalid")
	post("send_code", `{"code":true}`).want(t, 400, "body_value_invalid")
	post("send_password", `{"password":" open sesame "}`).want(t, 400, "phone_code_not_entered")
	post("send_code", `{"code":"54321"}`).want(t, 202, "")
	post("send_password", `{"password":"wrong"}`).want(t, 401, "password_invalid")
	post("send_password", `{"password":""}`).want(t, 400, "password_empty")
	post("send_password", `{"password":" open sesame "}`).want(t, 200, "")
	post("send_password", `{"password":" open sesame "}`).want(t, 409, "already_logged_in")
	b.call(t, http.MethodPost, user(alice, "/logout"), "").want(t, 200, "")
	b.call(t, http.MethodPost, user(alice, "/logout"), "").want(t, 403, "not_logged_in")
	if b.users.Len() != 0 {
		t.Errorf("%d rows after the logout, want 0", b.users.Len())
	}
}

func TestDeliveryMessages(t *testing.T) {
	seen := map[string]bool{}
	for delivery := range 9 { // the last is one that nobody knows yet
		b := newBridge(t)
		account := aliceAccount
		account.Phone, account.Delivery, account.Code, account.Next = "15550199", provisioning.CodeDelivery(delivery), "", nil
		b.telegram.Add(account)
		a := b.call(t, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550199"}`)
		message := a.field("message")
		a.wantBody(t, 200, `{"state":"code","username":"","phone":"","message":"`+message+
			`","code":{"delivery":"`+provisioning.CodeDelivery(delivery).String()+`","destination":"","length":0,"next_delivery":null,"resend_in":0}}`)
		if message == "" || (seen[message] && delivery < 7) {
			t.Errorf("delivery %d: the message %q is empty or another's", delivery, message)
		}
		seen[message] = true
	}
}

// Answers may not be kept by a cache, or guessed to be HTML.
func TestHeaders(t *testing.T) {
	b := newBridge(t)
	for path, method := range everyPath() {
		a := b.call(t, method, path, "")
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, a.header)
		}
	}
}
