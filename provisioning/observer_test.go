package provisioning_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// observed keeps what an Observer was told, without the durations.
type observed struct {
	mu       sync.Mutex
	requests []provisioning.ObservedRequest
	logins   []provisioning.ObservedLogin
	tasks    []provisioning.ObservedTask
}

// observe has the bridge's Observer fill o.
func (o *observed) observe(t testing.TB) func(*bridge, *provisioning.Config) {
	took := func(d *time.Duration) {
		if *d < 0 || *d > time.Hour {
			t.Errorf("something took %s", *d)
		}
		*d = 0
	}
	return func(_ *bridge, cfg *provisioning.Config) {
		cfg.Observer = provisioning.Observer{
			Request: func(r provisioning.ObservedRequest) {
				took(&r.Duration)
				o.mu.Lock()
				defer o.mu.Unlock()
				o.requests = append(o.requests, r)
			},
			Login: func(l provisioning.ObservedLogin) {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.logins = append(o.logins, l)
			},
			Task: func(task provisioning.ObservedTask) {
				took(&task.Duration)
				o.mu.Lock()
				defer o.mu.Unlock()
				o.tasks = append(o.tasks, task)
			},
		}
	}
}

// equal checks a list.
func equal[T any](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if len(got) != len(want) || (len(want) > 0 && !reflect.DeepEqual(got, want)) {
		t.Errorf("%s: got  %+v\nwant %+v", what, got, want)
	}
}

func TestObserverIsToldOfRequests(t *testing.T) {
	var o observed
	b := newBridge(t, o.observe(t))
	b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
	b.call(t, http.MethodGet, user(stranger, "/chats"), "").want(t, 403, "mxid_not_whitelisted")
	b.call(t, http.MethodGet, user(alice, "/secrets/+15550100"), "").want(t, 404, "unhandled_http_404")
	b.call(t, http.MethodPut, user(alice, ""), "").want(t, 405, "unhandled_http_405")
	r := newRequest(http.MethodGet, user(alice, ""), "")
	r.Header.Del("Authorization")
	b.send(t, r).want(t, 401, "shared_secret_invalid")
	b.users.On("User", func(context.Context) error { panic("boom") })
	b.call(t, http.MethodGet, user(alice, ""), "").want(t, 500, "unhandled_error")
	equal(
		t, "requests", o.requests,
		provisioning.ObservedRequest{Operation: "get_me", Status: 200, Secret: "default"},
		provisioning.ObservedRequest{Operation: "get_chats", Status: 403, Errcode: "mxid_not_whitelisted", Secret: "default"},
		provisioning.ObservedRequest{Operation: "unknown_route", Status: 404, Errcode: "unhandled_http_404", Secret: "default"},
		provisioning.ObservedRequest{Operation: "wrong_verb", Status: 405, Errcode: "unhandled_http_405", Secret: "default"},
		provisioning.ObservedRequest{Operation: "unauthorized", Status: 401, Errcode: "shared_secret_invalid"},
		provisioning.ObservedRequest{Operation: "get_me", Status: 500, Errcode: "unhandled_error", Secret: "default"},
	)
	equal(t, "logins", o.logins)
}

func TestObserverIsToldOfLogins(t *testing.T) {
	var o observed
	b := newBridge(t, o.observe(t))
	b.login(t, alice, requestAlice)
	equal(t, "a code is no login", o.logins)
	b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":"99999"}`).want(t, 401, "phone_code_invalid")
	b.login(t, alice, [2]string{"send_code", `{"code":"01234"}`})
	b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":"01234"}`).want(t, 409, "already_logged_in")
	b.login(t, bob, requestGuarded, codeGuarded)
	b.call(t, http.MethodPost, user(bob, "/login/send_password"), `{"password":""}`).want(t, 400, "password_empty")
	b.login(t, bob, [2]string{"send_password", `{"password":" open sesame "}`})
	b.login(t, admin, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
	b.call(t, http.MethodPost, user(plain, "/login/bot_token"), `{"token":"1:x"}`).want(t, 403, "mxid_not_whitelisted")
	equal(
		t, "logins", o.logins,
		provisioning.ObservedLogin{Method: provisioning.LoginMethodPhone, Errcode: "phone_code_invalid"},
		provisioning.ObservedLogin{Method: provisioning.LoginMethodPhone},
		provisioning.ObservedLogin{Method: provisioning.LoginMethodPhone, Errcode: "already_logged_in"},
		provisioning.ObservedLogin{Method: provisioning.LoginMethodPhone, Errcode: "password_empty"},
		provisioning.ObservedLogin{Method: provisioning.LoginMethodPhone},
		provisioning.ObservedLogin{Method: provisioning.LoginMethodBot},
		provisioning.ObservedLogin{Method: provisioning.LoginMethodBot, Errcode: "mxid_not_whitelisted"},
	)
}

func TestObserverIsToldOfTasks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var o observed
		b := newBridge(t, withRelay, o.observe(t))
		b.rooms.Fail("SetUpPortal", provisioning.ErrHomeserver)
		b.post(t, connectPath, 202)
		advance(time.Second)
		b.rooms.Fail("SetUpPortal", nil)
		advance(time.Minute)
		b.close(t)
		o.mu.Lock()
		defer o.mu.Unlock()
		equal(
			t, "tasks", o.tasks,
			provisioning.ObservedTask{Kind: "set_up", Failed: true},
			provisioning.ObservedTask{Kind: "set_up"},
		)
	})
}

// What Close interrupts has neither failed nor been done.
func TestObserverIsNotToldOfInterruptedTasks(t *testing.T) {
	var o observed
	b := newBridge(t, withRelay, o.observe(t))
	gate := b.rooms.Hold("SetUpPortal")
	b.post(t, connectPath, 202)
	<-gate.Entered()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.provisioner.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
	<-gate.Cancelled()
	b.close(t)
	equal(t, "tasks", o.tasks)
}

// The names that an Observer is told are those that are published.
func TestObservedNamesAreKnown(t *testing.T) {
	names := provisioning.Operations()
	for _, rt := range provisioning.Routes() {
		op, _, _ := strings.Cut(rt, " ")
		if !slices.Contains(names, op) {
			t.Errorf("the operation %s is not among Operations", op)
		}
	}
	if want := len(provisioning.Routes()) + 4; len(names) != want || len(slices.Compact(slices.Sorted(slices.Values(names)))) != want {
		t.Errorf("Operations are %q", names)
	}
	for _, op := range provisioning.LoginOperations() {
		if !slices.Contains(names, op) {
			t.Errorf("there is no operation %s", op)
		}
	}
	for _, op := range operations() {
		if logsIn := slices.Contains(provisioning.LoginOperations(), op.op); strings.Contains(op.path, "/login/") && !strings.HasSuffix(op.path, "/link") && !logsIn {
			t.Errorf("the Observer is not told of logins by %s", op.op)
		}
	}
}

// What the Observer costs a request.
func BenchmarkObserver(b *testing.B) {
	var requests, logins int
	counting := provisioning.Observer{
		Request: func(r provisioning.ObservedRequest) { requests += r.Status },
		Login:   func(provisioning.ObservedLogin) { logins++ },
	}
	for _, variant := range []struct {
		name     string
		observer provisioning.Observer
	}{{"without", provisioning.Observer{}}, {"with", counting}} {
		b.Run(variant.name, func(b *testing.B) {
			p := newBridge(b, func(_ *bridge, cfg *provisioning.Config) { cfg.Observer = variant.observer })
			b.ReportAllocs()
			for b.Loop() {
				r := newRequest(http.MethodGet, user(alice, ""), "")
				r.Header.Set("X-Request-Id", "benchmark")
				p.handler.ServeHTTP(httptest.NewRecorder(), r)
				p.log.reset()
			}
		})
	}
}
