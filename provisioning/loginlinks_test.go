package provisioning_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// sessionOf opens a link of a user that somebody has made with a credential.
func (b *bridge) sessionOf(t *testing.T, credential string, userID id.UserID) string {
	t.Helper()
	a := b.callAs(t, credential, http.MethodPost, user(userID, "/login/link"), "")
	a.want(t, 200, "")
	_, link, _ := strings.Cut(a.field("url"), "#login_link=")
	a = b.openLink(t, link)
	a.want(t, 200, "")
	if a.field("user_id") != string(userID) {
		t.Errorf("the session is that of %s, want %s", a.field("user_id"), userID)
	}
	return a.field("token")
}

// A person logs in with a link that they, an admin or the shared secret has made, with a bridge
// that takes Matrix tokens and with one that doesn't.
func TestLoginByLink(t *testing.T) {
	for _, credential := range []string{secret, tokenOf(alice), openIDOf(alice), tokenOf(admin)} {
		b := newBridge(t)
		if credential != secret {
			b, _ = newTokenBridge(t)
		}
		session := b.sessionOf(t, credential, alice)
		b.callAs(t, session, http.MethodGet, user(alice, "/login"), "").want(t, 200, "")
		b.callAs(t, session, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`).want(t, 200, "")
		b.callAs(t, session, http.MethodPost, user(alice, "/login/resend_code"), "").want(t, 200, "")
		b.callAs(t, session, http.MethodDelete, user(alice, "/login"), "").want(t, 200, "")
		b.callAs(t, session, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550101"}`).want(t, 200, "")
		b.callAs(t, session, http.MethodPost, user(alice, "/login/send_code"), `{"code":"54321"}`).want(t, 202, "")
		b.callAs(t, session, http.MethodPost, user(alice, "/login/send_password"), `{"password":" open sesame "}`).want(t, 200, "")
		if got := b.telegram.LoggedIn(alice); got != guardedAccount.ID {
			t.Errorf("by %s: logged in as %d", credential, got)
		}
		b.callAs(t, session, http.MethodGet, user(alice, ""), "").want(t, 200, "")
		b.callAs(t, session, http.MethodPost, user(alice, "/login/bot_token"), `{"token":"x"}`).want(t, 409, "already_logged_in")
		b.callAs(t, session, http.MethodPost, user(alice, "/logout"), "").want(t, 403, "insufficient_scope")
	}
}

// The session's token fits into the header in which a web page sends it.
func TestQRLoginByLink(t *testing.T) {
	b := newBridge(t)
	session := b.linkSession(t, alice)
	server := httptest.NewServer(b.handler)
	defer server.Close()
	conn, _, err := websocket.Dial(t.Context(), server.URL+prefix+"/v1"+user(alice, "/login/qr"), &websocket.DialOptions{
		Subprotocols: []string{"net.maunium.telegram.login", authProtocol + session},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &scanner{conn, t}
	code, _, _ := strings.Cut(strings.TrimPrefix(c.read(), `{"code":"`), `"`)
	if err := b.telegram.ScanQR(code, aliceAccount.ID); err != nil {
		t.Fatal(err)
	}
	c.ends(`{"success":true}`)
}

// Of many who open a link at once one gets a session.
func TestLinkIsOpenedOnce(t *testing.T) {
	b := newBridge(t, limit(-1))
	link := b.createLink(t, alice)
	var requests []*http.Request
	for range 20 {
		r := newRequest(http.MethodPost, "/login/link", "")
		r.Header.Set("Authorization", "Bearer "+link)
		requests = append(requests, r)
	}
	answers := b.atOnce(t, requests...)
	want := append([]string{"200 "}, slices.Repeat([]string{"401 login_link_invalid"}, 19)...)
	if got := results(answers); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, a := range answers {
		if a.status == 200 {
			b.callAs(t, a.field("token"), http.MethodGet, user(alice, ""), "").want(t, 200, "")
		}
	}
}

// What fetches links to show what is behind them does not spend one, nor does what fails.
func TestLinkIsNotSpent(t *testing.T) {
	b := newBridge(t)
	link := b.createLink(t, alice)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
		a := b.callAs(t, link, method, "/login/link", "")
		a.want(t, 405, "unhandled_http_405")
		if a.header.Get("Allow") != "POST" {
			t.Errorf("Allow is %q", a.header.Get("Allow"))
		}
	}
	b.callAs(t, link, http.MethodGet, "/nothing", "").want(t, 404, "unhandled_http_404")
	b.callAs(t, link, http.MethodGet, user(alice, ""), "").want(t, 403, "insufficient_scope")
	b.telegram.Fail("Client", provisioning.ErrDatabase)
	b.openLink(t, link).want(t, 500, "unknown_error")
	b.telegram.Fail("Client", nil)
	b.openLink(t, link).want(t, 200, "")
}

// A new link of a user ends their older one and its session, and nobody else's.
func TestNewLinkEndsTheOlderOne(t *testing.T) {
	b := newBridge(t)
	ofBob, link := b.linkSession(t, bob), b.createLink(t, alice)
	session := b.linkSession(t, alice)
	b.openLink(t, link).wantBody(t, 401, linkInvalid)
	b.callAs(t, session, http.MethodGet, user(alice, ""), "").want(t, 200, "")
	b.createLink(t, alice)
	b.callAs(t, session, http.MethodGet, user(alice, ""), "").wantBody(t, 401, linkInvalid)
	b.callAs(t, ofBob, http.MethodGet, user(bob, ""), "").want(t, 200, "")
}

// Both last 15 minutes, also where nobody has set a store.
func TestLinksExpire(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, limit(-1), func(_ *bridge, cfg *provisioning.Config) { cfg.LoginLinks = nil })
		link := b.createLink(t, alice)
		advance(15*time.Minute - time.Second)
		a := b.openLink(t, link)
		a.want(t, 200, "")
		advance(15*time.Minute - time.Second)
		b.callAs(t, a.field("token"), http.MethodGet, user(alice, "/login"), "").want(t, 200, "")
		advance(time.Second)
		b.callAs(t, a.field("token"), http.MethodGet, user(alice, "/login"), "").wantBody(t, 401, linkInvalid)
		link = b.createLink(t, alice)
		advance(15 * time.Minute)
		b.openLink(t, link).wantBody(t, 401, linkInvalid)
	})
}

// Wherever it is sent, a token that is none gets one answer, and neither the homeserver nor the
// rest of the host is asked.
func TestLinksThatAreNone(t *testing.T) {
	for _, withTokens := range []bool{false, true} {
		b, c := newTokenBridge(t, limit(-1), func(_ *bridge, cfg *provisioning.Config) {
			if !withTokens {
				cfg.Tokens = nil
			}
		})
		spent, session := b.createLink(t, alice), b.linkSession(t, alice)
		users := b.users.Calls("User")
		for path, method := range everyPath() {
			for _, method := range []string{method, http.MethodPut} {
				for _, token := range []string{spent, keptLink, keptSession, "login_link_", "login_session_", session + "x", session[:len(session)-1]} {
					a := b.callAs(t, token, method, path, everyBody)
					a.wantBody(t, 401, linkInvalid)
					if a.header.Get("WWW-Authenticate") != "Bearer" || a.header.Get("Allow") != "" {
						t.Errorf("%s %s: the header is %v", method, path, a.header)
					}
				}
			}
		}
		if b.users.Calls("User") != users {
			t.Error("the user store was asked")
		}
		b.callAs(t, keptLink, http.MethodGet, "/nothing/here", "").wantBody(t, 401, linkInvalid)
		b.callAs(t, session, http.MethodGet, "/nothing/here", "").want(t, 404, "unhandled_http_404")
		if c.asked() != 0 {
			t.Error("the homeserver was asked")
		}
	}
}

// countedLinks counts what is looked for.
type countedLinks struct {
	*provisioning.LoginLinkMemory
	mu    sync.Mutex
	asked int
	kept  []string // hashes
	fault error
}

func (s *countedLinks) LoginLinkUser(ctx context.Context, hash string) (id.UserID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.fault != nil {
		return "", s.fault
	}
	return s.LoginLinkMemory.LoginLinkUser(ctx, hash)
}

func (s *countedLinks) PutLoginLink(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error {
	s.kept = append(s.kept, link)
	return s.LoginLinkMemory.PutLoginLink(ctx, userID, link, lifetime)
}

func (s *countedLinks) OpenLoginLink(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
	s.kept = append(s.kept, session)
	return s.LoginLinkMemory.OpenLoginLink(ctx, link, session, lifetime)
}

func withCountedLinks(s *countedLinks) func(*bridge, *provisioning.Config) {
	return func(b *bridge, cfg *provisioning.Config) {
		s.LoginLinkMemory, cfg.LoginLinks = b.links, s
	}
}

// Tokens that are none are limited as wrong secrets are, also on a bridge that takes no Matrix
// tokens; a session that was right goes on.
func TestFailureLimitOfLinks(t *testing.T) {
	const here, there = "192.0.2.1:1", "192.0.2.2:1"
	for _, withTokens := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			s := &countedLinks{}
			b, _ := newTokenBridge(t, limit(3), withCountedLinks(s), func(_ *bridge, cfg *provisioning.Config) {
				if !withTokens {
					cfg.Tokens = nil
				}
			})
			session := b.linkSession(t, alice)
			me := func(address, token string) answer {
				r := from(address, token)
				r.URL.Path = prefix + "/v1" + user(alice, "")
				return b.send(t, r)
			}
			me(here, session).want(t, 200, "")
			s.fault = provisioning.ErrDatabase
			for range 10 { // which says nothing of the token
				me(here, keptSession).want(t, 500, "unknown_error")
			}
			s.fault = nil
			for i := range 3 {
				me(here, []string{keptLink, keptSession, keptLink}[i]).want(t, 401, "login_link_invalid")
			}
			asked := s.asked
			for _, token := range []string{keptLink, keptSession, "login_session_other"} {
				me(here, token).want(t, 429, "too_many_requests")
			}
			if s.asked != asked {
				t.Error("a token of an address over its limit was looked for")
			}
			me(here, session).want(t, 200, "")
			me(there, session).want(t, 200, "")
			advance(6 * time.Second)
			me(here, keptLink).want(t, 401, "login_link_invalid")
		})
	}
}

// What is stored is a hash: whoever reads it can't log in.
func TestLinksAreKeptAsHashes(t *testing.T) {
	s := &countedLinks{}
	b := newBridge(t, withCountedLinks(s))
	link := b.createLink(t, alice)
	session := b.openLink(t, link).field("token")
	if want := []string{hashOf(link), hashOf(session)}; !slices.Equal(s.kept, want) {
		t.Errorf("kept are %q, want %q", s.kept, want)
	}
	for token, prefix := range map[string]string{link: "login_link_", session: "login_session_"} {
		random, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, prefix))
		if err != nil || len(random) != 32 {
			t.Errorf("the token %s: %v", token, err)
		}
	}
	if b.createLink(t, alice) == link {
		t.Error("two links have one token")
	}
}

// A session is nobody's but its user's, admin or not.
func TestSessionOfAnAdmin(t *testing.T) {
	b := newBridge(t)
	session := b.linkSession(t, admin)
	b.callAs(t, session, http.MethodGet, user(admin, ""), "").want(t, 200, "")
	for _, path := range []string{user(alice, ""), user(alice, "/login"), "/bridge", "/portals"} {
		b.callAs(t, session, http.MethodGet, path, "").want(t, 403, "insufficient_scope")
	}
	b.callAs(t, session, http.MethodPost, user(admin, "/login/link"), "").want(t, 403, "insufficient_scope")
}

// The level is looked at for each request, after what the session is for.
func TestSessionWithoutTheLevel(t *testing.T) {
	b := newBridge(t)
	b.keepLink(t, keptSession, plain)
	b.callAs(t, keptSession, http.MethodGet, user(plain, ""), "").want(t, 200, "")
	b.callAs(t, keptSession, http.MethodGet, user(plain, "/login"), "").want(t, 403, "mxid_not_whitelisted")
	b.callAs(t, keptSession, http.MethodPost, user(plain, "/login/request_code"), "no body").want(t, 403, "mxid_not_whitelisted")
	b.callAs(t, keptSession, http.MethodPost, user(plain, "/login/link"), "").want(t, 403, "insufficient_scope")
	b.callAs(t, keptSession, http.MethodGet, user(alice, "/login"), "").want(t, 403, "insufficient_scope")
	b.callAs(t, keptSession, http.MethodGet, user("alice", "/login"), "").want(t, 400, "mxid_invalid")
	b.callAs(t, keptSession, http.MethodPost, user("alice", "/login/link"), "").want(t, 403, "insufficient_scope")
}

// What limits the logins of a Matrix user limits those by link, however many links there are.
func TestLoginLimitsOfLinks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := newTokenBridge(t, addPhones)
		for n := range 5 {
			b.requestCode(t, b.linkSession(t, alice), alice, phoneOf(n)).want(t, 200, "")
			b.callAs(t, b.linkSession(t, alice), http.MethodPost, user(alice, "/login/bot_token"), `{"token":"x"}`).want(t, 401, "bot_token_invalid")
		}
		for _, credential := range []string{b.linkSession(t, alice), tokenOf(alice)} {
			b.requestCode(t, credential, alice, phoneOf(9)).wantWait(t, "too_many_requests", time.Hour)
			b.callAs(t, credential, http.MethodPost, user(alice, "/login/bot_token"), `{"token":"x"}`).wantWait(t, "too_many_requests", time.Hour)
		}
		b.requestCode(t, b.linkSession(t, bob), bob, phoneOf(9)).want(t, 200, "")
	})
}

// The host's store is not asked before the host is ready.
func TestLinksBeforeStart(t *testing.T) {
	s := &countedLinks{}
	b := newBridge(t, unstarted, withCountedLinks(s))
	b.keepLink(t, keptLink, alice)
	b.openLink(t, keptLink).want(t, 503, "not_ready")
	b.openLink(t, keptSession).want(t, 503, "not_ready")
	if s.asked != 0 {
		t.Errorf("the store was asked %d times", s.asked)
	}
}

// A shared secret may look like a link.
func TestSecretThatLooksLikeALink(t *testing.T) {
	b := newBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.Secret = keptSession })
	b.callAs(t, keptSession, http.MethodGet, "/bridge", "").want(t, 200, "")
}

// Logs and the audit trail say who has made and opened a link, and never hold a token.
func TestLinksInTheLog(t *testing.T) {
	var log auditLog
	b, _ := newTokenBridge(t, withAudit(&log))
	b.callAs(t, tokenOf(alice), http.MethodPost, user(alice, "/login/link"), "").want(t, 200, "")
	link := b.createLink(t, alice)
	session := b.openLink(t, link).field("token")
	b.openLink(t, link).want(t, 401, "login_link_invalid")
	b.callAs(t, secret, http.MethodPost, "/login/link", "").want(t, 401, "login_link_invalid")
	b.callAs(t, session, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`).want(t, 200, "")
	b.callAs(t, session, http.MethodPost, user(bob, "/logout"), "").want(t, 403, "insufficient_scope")
	b.callAs(t, session, http.MethodGet, user(alice, ""), "").want(t, 200, "")
	entries, err := json.Marshal(log.entries)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`matrix@alice:example.com create_login_link for "@alice:example.com" in "" 0: 200 ok`,
		`secretdefault create_login_link for "@alice:example.com" in "" 0: 200 ok`,
		`login_link@alice:example.com open_login_link for "" in "" 0: 200 ok`,
		` open_login_link for "" in "" 0: 401 login_link_invalid`,
		`secretdefault open_login_link for "" in "" 0: 401 login_link_invalid`,
		`login_link@alice:example.com post_login_phone for "@alice:example.com" in "" 0: 200 ok`,
		`login_link@alice:example.com logout for "@bob:example.com" in "" 0: 403 insufficient_scope`,
	}
	if got := log.take(); !slices.Equal(got, want) {
		t.Errorf("the entries are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, text := range map[string]string{"log": b.log.String(), "audit trail": string(entries)} {
		for _, token := range []string{link, session} {
			_, random, _ := strings.Cut(strings.TrimPrefix(token, "login_"), "_")
			if strings.Contains(text, random) || strings.Contains(text, hashOf(token)) {
				t.Errorf("the %s holds a token: %s", name, text)
			}
		}
	}
	lines := b.log.lines(t)
	if line := lines[len(lines)-1]; line["auth"] != "login_link" || line["caller_id"] != string(alice) || line["op"] != "get_me" {
		t.Errorf("the access line is %v", line)
	}
}

// Whoever is forgotten has no link, and nobody can log in with one meanwhile.
func TestForgetLinks(t *testing.T) {
	s := &linkStore{}
	b := newBridge(t, withLinks(s))
	ofAlice, ofBob := b.createLink(t, alice), b.createLink(t, bob)
	s.remove = provisioning.ErrDatabase
	if _, err := b.provisioner.ForgetUser(t.Context(), alice); err == nil || !strings.Contains(err.Error(), "login link") {
		t.Errorf("ForgetUser: %v", err)
	}
	s.remove = nil
	b.forget(t, alice)
	b.openLink(t, ofAlice).wantBody(t, 401, linkInvalid)
	b.openLink(t, ofBob).want(t, 200, "")
	b.forget(t, alice)
}

func TestLoginPage(t *testing.T) {
	for page, sound := range map[string]bool{
		"":                                  true,
		"https://bridge.example.com":        true,
		"https://bridge.example.com/a?b=c":  true,
		"http://localhost:29377/login/":     true,
		"https://[2001:db8::1]/":            true,
		"bridge.example.com/login":          false,
		"/login":                            false,
		"https:///login":                    false,
		"https://:443/login":                false,
		"mailto:a@example.com":              false,
		"javascript://example.com/":         false,
		"https://bridge.example.com/#a":     false,
		"https://bridge.example.com/#":      false,
		"https://u:canary@example.com/":     false,
		"https://canary@example.com/":       false,
		"https://example.com/%zz?canary":    false,
		"https://example.com/\x00?canary=1": false,
	} {
		cfg := soundConfig()
		cfg.LoginPage = page
		_, err := provisioning.New(cfg)
		if (err == nil) != sound {
			t.Errorf("%q: %v", page, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "Config.LoginPage ") || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%q: the fault is %v", page, err)
		}
	}
	cfg := soundConfig()
	cfg.LoginLinks = (*provisioning.LoginLinkMemory)(nil)
	if _, err := provisioning.New(cfg); err == nil || !strings.HasPrefix(fmt.Sprint(err), "Config.LoginLinks ") {
		t.Errorf("a nil pointer: %v", err)
	}
}
