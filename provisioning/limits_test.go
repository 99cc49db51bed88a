package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// maxRequests bounds the requests of a bridge.
func maxRequests(most, perUser int) func(*bridge, *provisioning.Config) {
	return func(_ *bridge, cfg *provisioning.Config) { cfg.MaxRequests, cfg.MaxRequestsPerUser = most, perUser }
}

const (
	overloaded = `{"errcode":"overloaded","error":"The bridge is busy. Please try again in a few seconds.","retry_after":5}`
	userBusy   = `{"errcode":"too_many_requests","error":"There are too many requests of this Matrix user under way. Please try again in a few seconds.","retry_after":5}`
)

func get(userID id.UserID) *http.Request { return newRequest(http.MethodGet, user(userID, ""), "") }

func (a answer) wantRetry(t *testing.T, status int, body string) {
	t.Helper()
	a.wantBody(t, status, body)
	if got := a.header.Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After %q, want 5", got)
	}
}

// limitCases are those of an operation past the bounds: of everybody's requests, and of
// the user's.
func limitCases(op operation) []wireCase {
	occupied := func(userID id.UserID) func(*testing.T, *bridge) {
		return func(t *testing.T, b *bridge) { holdUsers(t, b).begin(t, get(userID)) }
	}
	state, body := op.ownState(), op.validBody()
	retry := map[string]any{"retry_after": 5.0}
	cases := []wireCase{{
		name: "overloaded", change: maxRequests(1, 1), prepare: occupied(bob), body: body,
		status: 503, errcode: "overloaded", state: state, fields: retry,
	}, {
		name: "not started", change: unstarted, body: body,
		status: 503, errcode: "not_ready", state: state, fields: retry,
	}}
	if path, names := op.naming(alice); names {
		cases = append(cases, wireCase{
			name: "too many at once", change: maxRequests(100, 1), prepare: occupied(alice), path: path, body: body,
			status: 429, errcode: "too_many_requests", state: state, fields: retry,
		})
	}
	return cases
}

// So many requests are under way as may be, and one more when one is done.
func TestMaxRequests(t *testing.T) {
	const most = 3
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, maxRequests(most, most), limit(-1))
		s := holdUsers(t, b)
		for i := range most {
			b.call(t, http.MethodGet, "/bridge", "").want(t, 200, "")
			s.begin(t, get(id.UserID(fmt.Sprintf("@user-%d:example.com", i))))
		}
		for i := range 3 {
			for path, method := range everyPath() {
				a := b.call(t, method, path, everyBody)
				a.want(t, 503, "overloaded")
				if a.header.Get("Retry-After") != "5" {
					t.Errorf("%s %s: the header is %v", method, path, a.header)
				}
			}
			b.call(t, http.MethodGet, "/nope", "").wantRetry(t, 503, overloaded)
			b.call(t, http.MethodPut, "/bridge", "").wantRetry(t, 503, overloaded)
			for _, given := range []string{wrongSecret, ""} { // who learns nothing of it
				b.send(t, from("192.0.2.1:1", given)).want(t, 401, "shared_secret_invalid")
			}
			s.finish().want(t, 200, "")
			b.call(t, http.MethodGet, "/bridge", "").want(t, 200, "")
			s.begin(t, get(id.UserID(fmt.Sprintf("@next-%d:example.com", i))))
		}
		s.wantUnderWay(t, most, 0, 0, most)
		for range most {
			s.finish().want(t, 200, "")
		}
		s.wantUnderWay(t, 0, 0, 0, 0)
	})
}

// What was refused is in the log, and is no fault of the bridge's.
func TestOverloadInTheLog(t *testing.T) {
	var o observed
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, maxRequests(1, 1), o.observe(t))
		s := holdUsers(t, b)
		s.begin(t, get(alice))
		b.log.reset()
		b.call(t, http.MethodGet, "/bridge", "").wantRetry(t, 503, overloaded)
		line := b.log.lines(t)[0]
		if line["level"] != "warn" || line["op"] != "get_bridge" || line["errcode"] != "overloaded" || !strings.Contains(fmt.Sprint(line["error"]), "Config.MaxRequests") {
			t.Errorf("the access line is %v", line)
		}
		equal(t, "requests", o.requests, provisioning.ObservedRequest{Operation: "get_bridge", Status: 503, Errcode: "overloaded", Secret: "default"})
		s.finish()
	})
}

func TestDefaultLimits(t *testing.T) {
	for given, want := range map[[2]int][3]int{
		{0, 0}:    {provisioning.DefaultMaxRequests, provisioning.DefaultMaxRequestsPerUser, provisioning.DefaultMaxRequests / 4},
		{1, 0}:    {1, 1, 1},
		{7, 0}:    {7, 3, 1},
		{8, 0}:    {8, 4, 2},
		{5000, 0}: {5000, provisioning.DefaultMaxRequestsPerUser, 1250},
		{7, 9}:    {7, 9, 1},
		{0, 500}:  {provisioning.DefaultMaxRequests, 500, provisioning.DefaultMaxRequests / 4},
	} {
		cfg := soundConfig()
		maxRequests(given[0], given[1])(nil, &cfg)
		requests, perUser, sockets := provisioning.MaxRequestsOf(cfg)
		if got := [3]int{requests, perUser, sockets}; got != want {
			t.Errorf("%v means %v, want %v", given, got, want)
		}
	}
}

// A user's requests are bounded, however the user is named, and nobody else's are by
// that.
func TestMaxRequestsPerUser(t *testing.T) {
	as := func(token, path string) *http.Request {
		r := newRequest(http.MethodGet, path, "")
		r.Header.Set("Authorization", "Bearer "+token)
		return r
	}
	const portal = "/portal/!room:example.com"
	for _, c := range []struct {
		name           string
		held           *http.Request
		refused, taken []*http.Request
	}{
		{
			"the user in the path", get(alice),
			[]*http.Request{
				get(alice), get("%40alice%3Aexample.com"), as(secret, portal+asAlice), as(secret, user(alice, "?user_id=@bob:example.com")),
				as(tokenOf(alice), "/bridge"), as(tokenOf(alice), user(bob, "")),
			},
			[]*http.Request{
				get(bob), get("@Alice:example.com"), as(secret, portal), as(secret, "/bridge"+asAlice), as(secret, user(bob, asAlice)),
				as(tokenOf(bob), portal), as(tokenOf(admin), user(alice, "")),
			},
		},
		{
			"the user in the query", as(secret, portal+asAlice),
			[]*http.Request{get(alice), as(openIDOf(alice), portal)},
			[]*http.Request{get(bob), as(secret, portal), as(secret, portal+"?user_id=@bob:example.com")},
		},
		{
			"the caller", as(tokenOf(admin), user(alice, "")),
			[]*http.Request{get(admin), as(openIDOf(admin), "/bridge"), as(tokenOf(admin), user(bob, "")), as(tokenOf(admin), portal+asAlice)},
			[]*http.Request{get(alice), as(tokenOf(alice), user(alice, "")), as(tokenOf(alice), portal)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				const most = 3
				b, _ := newTokenBridge(t, maxRequests(1000, most))
				bridged(room, news)(t, b)
				s := holdUsers(t, b)
				for range most {
					s.begin(t, c.held.Clone(t.Context()))
				}
				b.users.On("User", nil)
				for _, r := range c.refused {
					r = r.Clone(t.Context())
					b.send(t, r).wantRetry(t, 429, userBusy)
				}
				for _, r := range c.taken {
					b.send(t, r.Clone(t.Context())).want(t, 200, "")
				}
				parties := 1
				if c.held.Header.Get("Authorization") != "Bearer "+secret { // the caller's address too
					parties++
				}
				s.wantUnderWay(t, most, 0, 0, parties)
				s.finish().want(t, 200, "")
				s.wantUnderWay(t, most-1, 0, 0, parties)
				for _, r := range c.refused {
					if a := b.send(t, r.Clone(t.Context())); a.status == 429 {
						t.Errorf("%s: %d %s, when one was done", r.URL, a.status, a.body)
					}
				}
				for range most - 1 {
					s.finish().want(t, 200, "")
				}
				s.wantUnderWay(t, 0, 0, 0, 0)
			})
		})
	}
}

// However a request ends, its place is free again.
func TestPlacesAreGivenBack(t *testing.T) {
	b, c := newTokenBridge(t, maxRequests(1, 1))
	b.logIn(t, alice, aliceAccount)
	for range 3 {
		for _, method := range []string{"User", "Client", "Account"} {
			b.on(method, func(context.Context) error { panic("boom") })
			b.call(t, http.MethodGet, user(alice, ""), "").want(t, 500, "unhandled_error")
			b.on(method, func(context.Context) error { return provisioning.ErrOverloaded })
			b.callAs(t, tokenOf(alice), http.MethodGet, user(alice, ""), "").want(t, 503, "overloaded")
			b.on(method, nil)
		}
		c.on(func(context.Context) error { panic("boom") })
		b.callAs(t, tokenOf(alice), http.MethodGet, user(alice, ""), "").want(t, 500, "unhandled_error")
		c.on(nil)
		if got := b.provisioner.UnderWay(); got != [4]int{} {
			t.Fatalf("requests, checks, WebSockets and users that are counted: %v", got)
		}
		for method, r := range map[string]*http.Request{
			"Chats": newRequest(http.MethodGet, user(alice, "/chats"), ""), "Logout": newRequest(http.MethodPost, user(alice, "/logout"), ""),
		} {
			gate := b.telegram.Hold(method)
			hangUp(t, b, r, gate.Entered(), gate.Release)
			b.telegram.On(method, nil)
			b.logIn(t, alice, aliceAccount)
		}
		b.call(t, http.MethodGet, user(noUser, ""), "").want(t, 400, "mxid_invalid")
		b.callAs(t, tokenOf(bob), http.MethodGet, user(alice, ""), "").want(t, 403, "mxid_mismatch")
		b.callAny(t, http.MethodGet, user(bob, "/login/qr"), "").want(t, 101, "")
		b.call(t, http.MethodPost, user(bob, "/logout"), "").want(t, 200, "")
		b.logIn(t, alice, aliceAccount)
	}
	if got := b.provisioner.UnderWay(); got != [4]int{} {
		t.Errorf("requests, checks, WebSockets and users that are counted: %v", got)
	}
}

// Who waits for a place gets it when one is free, or is refused after two seconds.
func TestShortLine(t *testing.T) {
	const most = 4 // and one in line
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, maxRequests(most, most))
		s := holdUsers(t, b)
		for i := range most {
			s.begin(t, get(id.UserID(fmt.Sprintf("@user-%d:example.com", i))))
		}
		for _, free := range []bool{true, false} {
			waiting := make(chan answer)
			start := time.Now()
			go func() { waiting <- b.call(t, http.MethodGet, "/bridge", "") }()
			synctest.Wait()
			b.call(t, http.MethodGet, "/bridge", "").wantRetry(t, 503, overloaded)
			if took := time.Since(start); took != 0 {
				t.Errorf("a request for which there is no place in the queue was refused after %s", took)
			}
			if free {
				s.finish().want(t, 200, "")
				(<-waiting).want(t, 200, "")
				s.begin(t, get(alice))
				continue
			}
			(<-waiting).wantRetry(t, 503, overloaded)
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("a request was refused after %s in line, want 2s", took)
			}
		}
		for range most {
			s.finish().want(t, 200, "")
		}
		s.wantUnderWay(t, 0, 0, 0, 0)
	})
}

// honest sends a hundred requests one after another, of which nearly all have to succeed.
func (b *bridge) honest(t *testing.T, who string, request func() *http.Request) {
	t.Helper()
	succeeded := 0
	for range 100 {
		if a := b.send(t, request()); a.status == 200 {
			succeeded++
		}
	}
	if succeeded < 90 {
		t.Errorf("%d of 100 requests of %s succeeded, want 90", succeeded, who)
	}
}

// Users whose requests hang for minutes, as many as they get in, stop nobody else: neither who
// has the secret nor other users, wherever these call from.
func TestUsersWhoseRequestsHang(t *testing.T) {
	for name, given := range map[string]func(userID id.UserID) string{
		"by their tokens": tokenOf, "by the secret": func(id.UserID) string { return secret },
	} {
		for _, addresses := range []int{1, 16} {
			t.Run(fmt.Sprintf("%s/%d addresses", name, addresses), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					b, _ := newTokenBridge(t)
					hanging := make(chan struct{})
					b.telegram.On("Logout", func(context.Context) error { <-hanging; return nil })
					var all sync.WaitGroup
					for n := range 16 {
						userID := id.UserID(fmt.Sprintf("@attacker-%d:example.com", n))
						for range 64 {
							r := newRequest(http.MethodPost, user(userID, "/logout"), "")
							r.RemoteAddr = fmt.Sprintf("198.51.100.%d:1", n%addresses)
							r.Header.Set("Authorization", "Bearer "+given(userID))
							all.Go(func() { b.send(t, r) })
						}
					}
					synctest.Wait()
					advance(5 * time.Second) // who waited in line does not any more
					b.honest(t, "the secret", func() *http.Request { return from("192.0.2.1:1", secret) })
					b.honest(t, "a user at another address", func() *http.Request { return from("192.0.2.1:1", tokenOf(bob)) })
					close(hanging)
					all.Wait()
				})
			})
		}
	}
}

// A full bridge can be closed, and says that it is.
func TestCloseWhileFull(t *testing.T) {
	b := newBridge(t, maxRequests(1, 1))
	s := holdUsers(t, b)
	s.begin(t, get(alice))
	b.call(t, http.MethodGet, "/bridge", "").wantRetry(t, 503, overloaded)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.provisioner.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with a request under way: %v", err)
	}
	b.call(t, http.MethodGet, "/bridge", "").want(t, 500, "unknown_error")
	s.finish().want(t, 200, "")
	if err := b.provisioner.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// WebSockets, which stay open, leave room for other requests.
func TestMaxSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWireServer(t, nil, maxRequests(8, 0))
		first, second := s.openQR(t, alice), s.openQR(t, bob)
		code := first.code()
		second.code()
		handshake := request(
			v1("GET", user(admin, "/login/qr")), "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
		)
		for range 3 {
			a := s.exchange(t, handshake)
			a.wantRetry(t, 503, strings.Replace(overloaded, `,"retry_after"`, `,"state":"request","retry_after"`, 1))
			s.exchange(t, request(v1("GET", user(admin, "")))).want(t, 200, "")
		}
		s.scanQR(t, code, aliceAccount.ID)
		first.ends(`{"success":true}`)
		synctest.Wait()
		third := s.openQR(t, admin)
		third.code()
		for _, c := range []*scanner{second, third} {
			c.Close(1000, "")
		}
		synctest.Wait()
		if got := s.provisioner.UnderWay(); got != [4]int{} {
			t.Errorf("requests, checks, WebSockets and users that are counted: %v", got)
		}
	})
}

// Those whose tokens are being checked are bounded too, on their own: they wait before
// anybody knows who they are.
func TestMaxChecks(t *testing.T) {
	const most = 3
	inBubble(t, func(t *testing.T) {
		b, c := newTokenBridge(t, maxRequests(most, most), limit(-1))
		s := holdUsers(t, b)
		b.users.On("User", nil)
		c.on(s.wait)
		for i := range most {
			r := newRequest(http.MethodGet, "/nope", "")
			r.RemoteAddr = fmt.Sprintf("198.51.100.%d:1", i)
			r.Header.Set("Authorization", "Bearer "+tokenOf(id.UserID(fmt.Sprintf("@user-%d:example.com", i))))
			s.begin(t, r)
		}
		s.wantUnderWay(t, 0, most, 0, 0)
		b.log.reset()
		for _, token := range []string{tokenOf(alice), "nobody's"} {
			b.callAs(t, token, http.MethodGet, "/bridge", "").wantRetry(t, 503, overloaded)
			b.callAs(t, token, http.MethodGet, "/nope", "").wantRetry(t, 503, overloaded)
		}
		if line := b.log.lines(t)[0]; line["op"] != "unauthorized" || line["level"] != "warn" {
			t.Errorf("the access line is %v", line)
		}
		b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
		b.send(t, from("192.0.2.1:1", "")).want(t, 401, "shared_secret_invalid")
		for range most {
			s.finish().want(t, 404, "unhandled_http_404")
		}
		c.on(nil)
		b.callAs(t, tokenOf(alice), http.MethodGet, user(alice, ""), "").want(t, 200, "")
		b.callAs(t, "nobody's", http.MethodGet, "/bridge", "").want(t, 401, "shared_secret_invalid")
		s.wantUnderWay(t, 0, 0, 0, 0)
	})
}

// Of thousands of requests at once, exactly so many are let in as may be, and a quarter more
// wait for a moment; the others are answered while these are under way, and those without the
// secret get no other answer than ever.
func TestThousandsOfRequestsAreTooMany(t *testing.T) {
	t.Parallel()
	const count = 2 * provisioning.DefaultMaxRequests
	synctest.Test(t, func(t *testing.T) {
		s := newWireServer(t, nil, limit(-1))
		gate := s.users.Hold("User")
		counts := map[string]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		counted := func() map[string]int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return counts
		}
		for i := range count {
			wg.Go(func() {
				userID := fmt.Sprintf("@user-%d:example.com", i)
				text := request(v1("GET", "/user/"+userID))
				if i%4 == 0 {
					text = anonymous(v1("GET", "/user/"+userID), "Authorization: Bearer "+wrongSecret)
				}
				a := s.exchange(t, text)
				if a.status == 200 && a.field("mxid") != userID {
					t.Errorf("%s: got %s", userID, a.body)
				}
				mu.Lock()
				defer mu.Unlock()
				counts[fmt.Sprintf("%d %s %s", a.status, a.field("errcode"), a.header.Get("Retry-After"))]++
			})
		}
		const most = provisioning.DefaultMaxRequests * 5 / 4
		const refused = count*3/4 - most
		if got := counted(); len(got) != 2 || got["401 shared_secret_invalid "] != count/4 || got["503 overloaded 5"] != refused {
			t.Errorf("got %v, want %d times 503", got, refused)
		}
		start := time.Now()
		gate.Release()
		wg.Wait()
		if got := counted(); got["200  "] != most || time.Since(start) != 0 {
			t.Errorf("got %v", got)
		}
		s.exchange(t, request(v1("GET", user(alice, "")))).want(t, 200, "")
		if got := s.provisioner.UnderWay(); got != [4]int{} {
			t.Errorf("requests, checks, WebSockets and users that are counted: %v", got)
		}
	})
}
