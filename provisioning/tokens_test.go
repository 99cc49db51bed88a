package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// naming returns the path of an operation with a user named, in the path or else in
// the query, and false for an operation that is about nobody.
func (op operation) naming(userID id.UserID) (string, bool) {
	switch {
	case strings.Contains(op.path, "{user_id}"):
		return op.pathFor(string(userID)), true
	case strings.HasPrefix(op.path, "/portal"):
		return op.pathFor("") + "?user_id=" + string(userID), true
	}
	return "", false
}

// Matrix users call for themselves; admins for everybody.
func TestMatrixCallers(t *testing.T) {
	for _, op := range operations() {
		t.Run(op.op, func(t *testing.T) {
			b, _ := newTokenBridge(t)
			b.logIn(t, alice, aliceAccount)
			path, names := op.naming(bob)
			if !names {
				return
			}
			for _, token := range []string{tokenOf(alice), openIDOf(alice), tokenOf("@Bob:example.com"), tokenOf("@bob:example.com.")} {
				b.callAs(t, token, op.method, path, op.validBody()).want(t, 403, "mxid_mismatch")
			}
			for _, token := range []string{tokenOf(bob), openIDOf(bob), tokenOf(admin)} {
				if a := b.callAs(t, token, op.method, path, op.validBody()); a.field("errcode") == "mxid_mismatch" || a.field("errcode") == "shared_secret_invalid" {
					t.Errorf("%s for bob: %d %s", token, a.status, a.body)
				}
			}
			if b.telegram.LoggedIn(alice) != aliceAccount.ID {
				t.Error("alice was logged out")
			}
		})
	}
}

// A client of the shared secret adds its own user to every query: where a user is in
// the path, that one counts.
func TestMatrixCallerAndUnusedQuery(t *testing.T) {
	b, _ := newTokenBridge(t)
	b.callAs(t, tokenOf(alice), http.MethodGet, user(alice, "?user_id=@bob:example.com"), "").want(t, 200, "")
	b.callAs(t, tokenOf(alice), http.MethodGet, user(bob, "?user_id=@alice:example.com"), "").want(t, 403, "mxid_mismatch")
	b.callAs(t, tokenOf(alice), http.MethodGet, "/bridge?user_id=@bob:example.com", "").want(t, 200, "")
}

// Reading takes a level too.
func TestLevelsOfMatrixCallers(t *testing.T) {
	b, _ := newTokenBridge(t)
	bridged(room, news)(t, b)
	for userID, want := range map[id.UserID][2]int{
		stranger: {403, 403}, relayed: {200, 403}, plain: {200, 200}, alice: {200, 200}, admin: {200, 200},
	} {
		for path, status := range map[string]int{"/bridge": want[0], "/portal/!room:example.com": want[1], "/portal/-1000000000009": want[1]} {
			errcode := ""
			if status == 403 {
				errcode = "mxid_not_whitelisted"
			}
			b.callAs(t, tokenOf(userID), http.MethodGet, path, "").want(t, status, errcode)
		}
		b.callAs(t, tokenOf(userID), http.MethodGet, user(userID, ""), "").want(t, 200, "")
	}
	b.users.Fail("User", fmt.Errorf("wrapped: %w", provisioning.ErrMatrixUserRefused))
	for path, errcode := range map[string]string{
		"/bridge": "mxid_not_whitelisted", "/portal/-1000000000009": "mxid_not_whitelisted",
		user(alice, ""): "mxid_not_whitelisted", user(bob, ""): "mxid_mismatch",
	} {
		b.callAs(t, tokenOf(alice), http.MethodGet, path, "").want(t, 403, errcode)
	}
	b.users.Fail("User", errors.New("disk full"))
	for _, path := range []string{"/bridge", "/portal/-1000000000009", user(alice, ""), user(bob, "")} {
		b.callAs(t, tokenOf(alice), http.MethodGet, path, "").want(t, 500, "unhandled_error")
	}
}

// Where a trusted caller that names nobody may do everything, a Matrix user is checked.
func TestMatrixCallerNamesNobody(t *testing.T) {
	for _, query := range []string{"", "?room_id=x", "?User_id=@admin:example.com", "?user_id%00=@admin:example.com"} {
		and := "?"
		if query != "" {
			and = "&"
		}
		for _, token := range []string{tokenOf(bob), tokenOf(stranger), openIDOf(relayed)} {
			b, _ := newTokenBridge(t)
			bridged(otherRoom, news)(t, b)
			b.callAs(t, token, http.MethodPost, "/portal/!other:example.com/disconnect"+query, "").want(t, 403, "not_enough_permissions")
			b.callAs(t, token, http.MethodPost, "/portal/!room:example.com/connect/-1001"+query, "").want(t, 403, "not_enough_permissions")
			b.callAs(t, token, http.MethodPost, "/portal/!room:example.com/connect/-1000000000009"+query+and+"force=delete", "").want(t, 403, "not_enough_permissions")
			if token != tokenOf(bob) {
				b.callAs(t, token, http.MethodPost, "/portal/!room:example.com/create"+query, `{"type":"chat"}`).want(t, 403, "not_enough_permissions")
			}
			b.call(t, http.MethodGet, "/portal/!other:example.com", "").want(t, 200, "")
		}
		b, _ := newTokenBridge(t)
		b.logIn(t, alice, aliceAccount)
		bridged(otherRoom, news)(t, b)
		a := b.callAs(t, tokenOf(alice), http.MethodGet, "/portal/!other:example.com"+query, "")
		if !strings.Contains(a.body, `"can_unbridge":true`) {
			t.Errorf("%q: alice is told %s", query, a.body)
		}
		b.callAs(t, tokenOf(alice), http.MethodPost, "/portal/!room:example.com/create"+query, `{"type":"supergroup"}`).want(t, 201, "")
		b.callAs(t, tokenOf(alice), http.MethodPost, "/portal/!other:example.com/disconnect"+query, "").want(t, 202, "")
	}
	b, _ := newTokenBridge(t)
	for query, errcode := range map[string]string{
		"?user_id=%zz": "mxid_invalid", "?user_id=alice": "mxid_invalid", "?user_id=": "mxid_empty", "?user_id": "mxid_empty",
		"?user_id=&user_id=@admin:example.com": "mxid_invalid", "?user_id=@bob:example.com&user_id=@alice:example.com": "mxid_invalid",
	} {
		b.callAs(t, tokenOf(alice), http.MethodPost, "/portal/!room:example.com/disconnect"+query, "").want(t, 400, errcode)
	}
}

// unauthorizedAt is the errcode of a credential that is wrong at a path.
func unauthorizedAt(path string) string {
	if path == "/login/link" {
		return "login_link_invalid"
	}
	return "shared_secret_invalid"
}

// Whoever has the secret costs the homeserver nothing, nor do those who send none.
func TestSecretBeforeTokens(t *testing.T) {
	b, c := newTokenBridge(t, limit(-1))
	for path, method := range everyPath() {
		b.call(t, method, path, everyBody)
		for _, header := range [][]string{nil, {""}, {"Bearer "}, {"Basic x"}, {tokenOf(alice)}, {"Bearer x", "Bearer x"}} {
			r := newRequest(method, path, everyBody)
			r.Header["Authorization"] = header
			b.send(t, r).want(t, 401, unauthorizedAt(path))
		}
	}
	if c.asked() != 0 {
		t.Errorf("%d checks, want none", c.asked())
	}
}

// Without a valid token, nothing is revealed.
func TestTokensOnEveryPath(t *testing.T) {
	for _, limited := range []int{-1, 1000} {
		b, c := newTokenBridge(t, limit(limited))
		for path, method := range everyPath() {
			for _, method := range []string{method, http.MethodPut} {
				a, want := b.callAs(t, "nobody's", method, path, everyBody), `{"errcode":"shared_secret_invalid","error":"The shared secret or Matrix token is wrong, or the token is not valid any more."}`
				if path == "/login/link" && method == http.MethodPost {
					want = linkInvalid
				}
				a.wantBody(t, 401, want)
				if a.header.Get("WWW-Authenticate") != "Bearer" || a.header.Get("Allow") != "" {
					t.Errorf("%s %s: the header is %v", method, path, a.header)
				}
			}
			b.callAs(t, tokenOf(alice), http.MethodPut, path, "").want(t, 405, "unhandled_http_405")
		}
		b.callAs(t, "nobody's", http.MethodGet, "/nothing/here", "").want(t, 401, "shared_secret_invalid")
		b.callAs(t, tokenOf(stranger), http.MethodGet, "/nothing/here", "").want(t, 404, "unhandled_http_404")
		if b.users.Calls("User") != 0 {
			t.Error("the user store was asked")
		}
		c.on(func(context.Context) error { return provisioning.ErrHomeserver })
		for path, method := range everyPath() {
			b.callAs(t, tokenOf(alice), method, path, everyBody).want(t, 500, "unknown_error")
		}
	}
}

func TestCheckerFaults(t *testing.T) {
	b, c := newTokenBridge(t, limit(1))
	for name, fault := range map[string]func(context.Context) error{
		"unknown_error":   func(context.Context) error { return provisioning.ErrHomeserver },
		"unhandled_error": func(context.Context) error { return errors.New("canary of a checker") },
	} {
		c.on(fault)
		for range 5 {
			a := b.callAs(t, tokenOf(alice), http.MethodGet, "/bridge", "")
			a.want(t, 500, name)
			if strings.Contains(a.body, "canary") {
				t.Errorf("the answer is %s", a.body)
			}
		}
	}
	c.on(func(context.Context) error { panic("boom") })
	b.callAs(t, tokenOf(alice), http.MethodGet, "/bridge", "").want(t, 500, "unhandled_error")
	c.on(nil)
	for _, userID := range []id.UserID{"", "alice", "@alice", "@:example.com"} { // nobody may become the trusted caller
		b.callAs(t, tokenOf(userID), http.MethodGet, "/bridge", "").want(t, 500, "unhandled_error")
	}
	b.callAs(t, tokenOf(alice), http.MethodGet, "/bridge", "").want(t, 200, "")
	if n := b.provisioner.Remembered(); n != 0 {
		t.Errorf("%d addresses are remembered", n)
	}
}

// Only tokens that are invalid count as wrong secrets, and those that were right are not
// stopped by what others send from their address.
func TestFailureLimitOfTokens(t *testing.T) {
	const here, there = "192.0.2.1:1", "192.0.2.2:1"
	inBubble(t, func(t *testing.T) {
		b, c := newTokenBridge(t, limit(3))
		for range 20 {
			b.send(t, from(here, tokenOf(alice))).want(t, 200, "")
		}
		c.on(func(context.Context) error { return provisioning.ErrHomeserver })
		for range 20 {
			b.send(t, from(here, tokenOf(alice))).want(t, 500, "unknown_error")
		}
		c.on(nil)
		for range 3 {
			b.send(t, from(here, "nobody's")).want(t, 401, "shared_secret_invalid")
		}
		asked := c.asked()
		for _, given := range []string{"nobody's", tokenOf(bob), openIDOf(alice)} {
			b.send(t, from(here, given)).want(t, 429, "too_many_requests")
		}
		if c.asked() != asked {
			t.Error("a token of an address over its limit was checked")
		}
		b.send(t, from(there, tokenOf(bob))).want(t, 200, "")
		for _, given := range []string{secret, tokenOf(alice), tokenOf(bob)} {
			b.send(t, from(here, given)).want(t, 200, "")
		}
		advance(6 * time.Second)
		b.send(t, from(here, openIDOf(alice))).want(t, 200, "")

		c.on(func(context.Context) error { return provisioning.ErrMatrixTokenInvalid })
		b.send(t, from(here, tokenOf(alice))).want(t, 401, "shared_secret_invalid")
		c.on(nil)
		b.send(t, from(here, tokenOf(alice))).want(t, 429, "too_many_requests")
	})
}

// So many tokens are remembered that were right.
func TestRightTokens(t *testing.T) {
	t.Parallel()
	b, _ := newTokenBridge(t)
	for i := range provisioning.MaxRightTokens + 100 {
		if err := b.provisioner.Authorise(from("192.0.2.1:1", tokenOf(id.UserID(fmt.Sprintf("@user-%d:example.com", i))))); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.provisioner.RightTokens(); n != provisioning.MaxRightTokens {
		t.Errorf("%d tokens are remembered, want %d", n, provisioning.MaxRightTokens)
	}
}

// Tokens that are checked at once are all answered. The wrong ones of them count: the address
// waits the longer.
func TestTokensAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const count = 30
		b, c := newTokenBridge(t, limit(1))
		c.on(sleep(time.Second))
		var requests []*http.Request
		for i := range count {
			requests = append(requests, from("192.0.2.1:1", fmt.Sprint("guess-", i)), from("192.0.2.2:1", tokenOf(alice)))
		}
		counts := map[string]int{}
		for _, result := range results(b.atOnce(t, requests...)) {
			counts[result]++
		}
		if counts["401 shared_secret_invalid"] != count || counts["200 "] != count {
			t.Errorf("got %v", counts)
		}
		advance((count - 1) * 6 * time.Second)
		b.send(t, from("192.0.2.1:1", "nobody's")).want(t, 429, "too_many_requests")
		advance(6 * time.Second)
		b.send(t, from("192.0.2.1:1", "nobody's")).want(t, 401, "shared_secret_invalid")
	})
}

// A page sends many requests with its token before the first is answered: they are one
// guess.
func TestOneTokenAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, c := newTokenBridge(t, limit(1))
		c.on(sleep(time.Second))
		var requests []*http.Request
		for range 50 {
			requests = append(requests, from("192.0.2.1:1", tokenOf(alice)))
		}
		for _, a := range b.atOnce(t, requests...) {
			a.want(t, 200, "")
		}
		b.send(t, from("192.0.2.1:1", "nobody's")).want(t, 401, "shared_secret_invalid")
	})
}

// A check has the deadline of its request, and what follows has the rest of it.
func TestTimeoutOfACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := newTokenBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.Timeout = 10 * time.Second })
		for _, wait := range []time.Duration{time.Minute, 6 * time.Second} {
			c.on(sleep(wait))
			b.telegram.Hold("Logout")
			b.logIn(t, alice, aliceAccount)
			start := time.Now()
			b.callAs(t, tokenOf(alice), http.MethodPost, user(alice, "/logout"), "").want(t, 500, "unknown_error")
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("the answer took %s, want 10s", took)
			}
		}
	})
}

func TestCloseWaitsForACheck(t *testing.T) {
	b, c := newTokenBridge(t)
	entered, release := make(chan struct{}), make(chan struct{})
	c.on(func(context.Context) error { close(entered); <-release; return nil })
	answered := make(chan answer, 1)
	go func() { answered <- b.callAs(t, tokenOf(alice), http.MethodGet, "/bridge", "") }()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.provisioner.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close during a check: %v", err)
	}
	close(release)
	(<-answered).want(t, 500, "unknown_error")
	asked := c.asked()
	b.callAs(t, tokenOf(alice), http.MethodGet, "/bridge", "").want(t, 500, "unknown_error")
	if c.asked() != asked {
		t.Error("a token was checked after Close")
	}
}

// The access line says who called, and never with what.
func TestCallerInTheLog(t *testing.T) {
	cases := []struct {
		token, path            string
		caller, callerID, user any
	}{
		{secret, user(alice, ""), "secret", nil, "@alice:example.com"},
		{tokenOf(alice), user(alice, ""), "matrix", "@alice:example.com", "@alice:example.com"},
		{openIDOf(alice), "/bridge", "openid", "@alice:example.com", nil},
		{tokenOf(admin), user(alice, ""), "matrix", "@admin:example.com", "@alice:example.com"},
		{tokenOf(alice), user(bob, ""), "matrix", "@alice:example.com", "@bob:example.com"},
		{tokenOf(alice), "/nope", "matrix", "@alice:example.com", nil},
		{"openid:canary", "/bridge", nil, nil, nil},
		{"canary", "/bridge", nil, nil, nil},
	}
	for _, c := range cases {
		b, checks := newTokenBridge(t)
		b.callAs(t, c.token, http.MethodGet, c.path, "")
		line := b.log.lines(t)[0]
		if line["auth"] != c.caller || line["caller_id"] != c.callerID || line["user_id"] != c.user {
			t.Errorf("%s %s: the access line is %v", c.token, c.path, line)
		}
		for _, fault := range []func(context.Context) error{
			func(context.Context) error { return provisioning.ErrMatrixTokenInvalid },
			func(context.Context) error { return provisioning.ErrHomeserver },
			func(context.Context) error { panic("boom") },
		} {
			checks.on(fault)
			b.callAs(t, c.token, http.MethodGet, "/bridge", "")
		}
		if log := b.log.String(); strings.Contains(log, tokenPrefix) || strings.Contains(log, "canary") || strings.Contains(log, "openid:") {
			t.Errorf("the log holds a token: %s", log)
		}
	}
}

// A page can't send the colon of an OpenID token with its WebSocket.
func TestOpenIDOnAWebSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := newTokenBridge(t)
		for token, status := range map[string]int{tokenOf(alice): 426, tokenOf(bob): 403, "nobody's": 401, "": 401} {
			r := newRequest(http.MethodGet, user(alice, "/login/qr"), "")
			r.Header.Del("Authorization")
			r.Header.Set("Sec-WebSocket-Protocol", "net.maunium.telegram.login, net.maunium.telegram.openid-"+token)
			if a := b.send(t, r); a.status != status {
				t.Errorf("%s: %d %s, want %d", token, a.status, a.body, status)
			}
			r.Header.Add("Sec-WebSocket-Protocol", "net.maunium.telegram.auth-"+secret)
			if a := b.send(t, r); a.status != 401 {
				t.Errorf("%s and a secret: %d %s, want 401", token, a.status, a.body)
			}
		}
	})
}

// Without Tokens a token is a wrong secret.
func TestTokensAreOff(t *testing.T) {
	b := newBridge(t)
	for _, token := range []string{tokenOf(admin), openIDOf(admin)} {
		b.callAs(t, token, http.MethodGet, "/bridge", "").wantBody(t, 401, `{"errcode":"shared_secret_invalid","error":"The shared secret is missing or wrong."}`)
	}
}
