package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/provisioning"
)

// stringReader returns a reader of a body, nil for an empty one.
func stringReader(body string) io.Reader {
	if body == "" {
		return nil
	}
	return strings.NewReader(body)
}

// Whatever part of the host panics, the answer is JSON and the log tells.
func TestPanic(t *testing.T) {
	panics := func(context.Context) error { panic("boom in the host") }
	for _, method := range []string{"User", "LinkAccount", "Client", "Account", "RequestCode"} {
		for name, value := range map[string]func(context.Context) error{
			"string": panics,
			"abort":  func(context.Context) error { panic(fmt.Errorf("boom: %w", http.ErrAbortHandler)) },
			"nil":    func(context.Context) error { var u *provisioning.User; u.TelegramID = 1; return nil },
		} {
			t.Run(method+" "+name, func(t *testing.T) {
				b := newBridge(t)
				path, body := "/login/request_code", `{"phone":"+15550100"}`
				if method == "LinkAccount" {
					b.login(t, alice, requestAlice)
					path, body = "/login/send_code", `{"code":"01234"}`
				}
				b.users.On(method, value)
				b.telegram.On(method, value)
				a := b.call(t, http.MethodPost, user(alice, path), body)
				a.want(t, 500, "unhandled_error")
				lines := b.log.lines(t)
				last := lines[len(lines)-1]
				if last["level"] != "error" || last["status"] != 500.0 || !strings.Contains(fmt.Sprint(last["error"]), "goroutine") {
					t.Errorf("the log line %v has no stack at level error", last)
				}
				b.users.On(method, nil)
				b.telegram.On(method, nil)
				if err := b.provisioner.Close(t.Context()); err != nil {
					t.Errorf("Close after a panic: %v", err)
				}
			})
		}
	}
}

// A host that answers nothing in time gets its context cancelled.
func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body, held string
		timeout, want                  time.Duration
	}{
		{"listing", http.MethodGet, "/chats", "", "Chats", time.Minute, time.Minute},
		{"login", http.MethodPost, "/login/send_code", `{"code":"01234"}`, "SubmitCode", time.Second, time.Second},
		{"logout", http.MethodPost, "/logout", "", "Logout", 0, provisioning.DefaultTimeout},
		{"store", http.MethodGet, "", "", "User", 0, provisioning.DefaultTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.Timeout = c.timeout })
				if c.held != "SubmitCode" {
					b.logIn(t, alice, aliceAccount)
				}
				if c.held == "User" {
					b.users.Hold(c.held)
				} else {
					b.telegram.Hold(c.held)
				}
				start := time.Now()
				b.call(t, c.method, user(alice, c.path), c.body).want(t, 500, "unknown_error")
				if took := time.Since(start); took != c.want {
					t.Errorf("the answer took %s, want %s", took, c.want)
				}
			})
		})
	}
}

// hangUp sends a request, hangs up when the method is reached, and returns the
// answer when it is there.
func hangUp(t *testing.T, b *bridge, r *http.Request, entered <-chan struct{}, then func()) *httptest.ResponseRecorder {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rec := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.handler.ServeHTTP(rec, r.WithContext(ctx))
	}()
	<-entered
	cancel()
	then()
	<-done
	return rec
}

func TestHangUpCancelsAListing(t *testing.T) {
	b := newBridge(t)
	b.logIn(t, alice, aliceAccount)
	gate := b.telegram.Hold("Chats")
	hangUp(t, b, newRequest(http.MethodGet, user(alice, "/chats"), ""), gate.Entered(), func() {
		if err := <-gate.Cancelled(); !errors.Is(err, context.Canceled) {
			t.Errorf("the listing's context ended with %v, want its cancellation", err)
		}
	})
	lines := b.log.lines(t)
	if last := lines[len(lines)-1]; last["level"] != "info" {
		t.Errorf("a client that hung up is logged as %v", last)
	}
}

func TestHangUpDoesNotCancelALogin(t *testing.T) {
	steps := map[string][][2]string{
		"SubmitCode":     {requestAlice, {"send_code", `{"code":"01234"}`}},
		"RequestCode":    {requestAlice},
		"SubmitPassword": {requestGuarded, codeGuarded, {"send_password", `{"password":" open sesame "}`}},
		"LoginBot":       {{"bot_token", `{"token":"` + botAccount.Token + `"}`}},
		"Logout":         {{"../logout", ""}},
	}
	for method, steps := range steps {
		t.Run(method, func(t *testing.T) {
			b := newBridge(t)
			last := steps[len(steps)-1]
			b.login(t, alice, steps[:len(steps)-1]...)
			path := "/login/" + last[0]
			if method == "Logout" {
				b.logIn(t, alice, aliceAccount)
				path = "/logout"
			}
			gate := b.telegram.Hold(method)
			rec := hangUp(t, b, newRequest(http.MethodPost, user(alice, path), last[1]), gate.Entered(), gate.Release)
			if rec.Code != 200 {
				t.Errorf("after the client hung up: %d %s", rec.Code, rec.Body)
			}
			select {
			case err := <-gate.Cancelled():
				t.Errorf("%s was cancelled: %v", method, err)
			default:
			}
			switch u, err := b.users.User(t.Context(), alice); {
			case err != nil:
				t.Error(err)
			case method != "RequestCode" && u.TelegramID != b.telegram.LoggedIn(alice):
				t.Errorf("linked to %d, logged in with %d", u.TelegramID, b.telegram.LoggedIn(alice))
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	made := regexp.MustCompile(`^[A-Za-z0-9]{16}$`)
	ids := map[string]bool{}
	for given, taken := range map[string]bool{
		"": false, "abc-DEF_1.2": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
		"with blank": false, "line\nbreak": false, `quote"`: false, "é": false, "+15550100,": false,
	} {
		b := newBridge(t)
		r := newRequest(http.MethodGet, "/bridge", "")
		if given != "" {
			r.Header["X-Request-Id"] = []string{given}
		}
		got := b.send(t, r).header.Get("X-Request-Id")
		switch {
		case taken && got != given:
			t.Errorf("request ID %q was given, the answer has %q", given, got)
		case !taken && (!made.MatchString(got) || ids[got]):
			t.Errorf("request ID %q was given, the answer has %q; want a fresh one", given, got)
		}
		ids[got] = true
		if line := b.log.lines(t)[0]; line["request_id"] != got {
			t.Errorf("the access line has request_id %v, the answer %q", line["request_id"], got)
		}
	}
}

func TestAccessLine(t *testing.T) {
	const phone = "15550100"
	cases := []struct {
		method, path, body, op string
		status                 int
		errcode                any
		level                  string
		user                   any
	}{
		{http.MethodGet, "/bridge?q=" + phone, "", "get_bridge", 200, nil, "info", nil},
		{http.MethodGet, "/user/@alice:example.com?q=" + phone, "", "get_me", 200, nil, "info", "@alice:example.com"},
		{http.MethodPost, "/user/@alice:example.com/login/request_code", `{"phone":"+` + phone + `"}`, "post_login_phone", 200, nil, "info", "@alice:example.com"},
		{http.MethodPost, "/user/@alice:example.com/logout", "", "logout", 403, "not_logged_in", "info", "@alice:example.com"},
		{http.MethodGet, "/user/" + phone, "", "get_me", 400, "mxid_invalid", "info", nil},
		{http.MethodGet, "/nope/+" + phone, "", "unknown_route", 404, "unhandled_http_404", "info", nil},
		{http.MethodPost, "/bridge?" + phone, "", "wrong_verb", 405, "unhandled_http_405", "info", nil},
	}
	for _, c := range cases {
		b := newBridge(t)
		b.call(t, c.method, c.path, c.body)
		lines := b.log.lines(t)
		if len(lines) != 1 {
			t.Errorf("%s: %d lines, want one", c.path, len(lines))
			continue
		}
		line := lines[0]
		if line["op"] != c.op || line["status"] != float64(c.status) || line["errcode"] != c.errcode || line["level"] != c.level || line["user_id"] != c.user {
			t.Errorf("%s: the access line is %v", c.path, line)
		}
		if _, ok := line["duration"].(float64); !ok || line["request_id"] == "" {
			t.Errorf("%s: no duration or request_id in %v", c.path, line)
		}
		if log := b.log.String(); strings.Contains(log, phone) || strings.Contains(log, "/v1") || strings.Contains(log, "login/") {
			t.Errorf("%s: the log has the path, the query or the phone: %s", c.path, log)
		}
	}

	b := newBridge(t)
	r := newRequest(http.MethodGet, "/bridge", "")
	r.Header.Del("Authorization")
	b.send(t, r)
	b.telegram.Fail("Account", errors.New("the cause"))
	b.call(t, http.MethodGet, user(alice, ""), "")
	lines := b.log.lines(t)
	if lines[0]["op"] != "unauthorized" || lines[0]["errcode"] != "shared_secret_invalid" {
		t.Errorf("unauthorised: the access line is %v", lines[0])
	}
	if lines[1]["level"] != "error" || !strings.Contains(fmt.Sprint(lines[1]["error"]), "the cause") {
		t.Errorf("the access line of a 500 has to name the cause: %v", lines[1])
	}
}

// A logger in the request's context is the host's, with its own fields.
func TestHostsLogger(t *testing.T) {
	b, hosts := newBridge(t), &logBuffer{}
	r := newRequest(http.MethodGet, "/bridge", "")
	logger := zerolog.New(hosts).With().Str("host", "yes").Logger()
	b.send(t, r.WithContext(logger.WithContext(r.Context())))
	if line := hosts.lines(t)[0]; line["host"] != "yes" || line["op"] != "get_bridge" || line["request_id"] == nil {
		t.Errorf("the access line is %v", line)
	}
	if b.log.String() != "" {
		t.Errorf("it is also in the log of the Config: %s", b.log)
	}
}

func TestCloseWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t)
		b.logIn(t, alice, aliceAccount)
		gate := b.telegram.Hold("Chats")
		answered := make(chan answer, 1)
		go func() { answered <- b.call(t, http.MethodGet, user(alice, "/chats"), "") }()
		<-gate.Entered()

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.provisioner.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close with a request under way and no time: %v, want the context's error", err)
		}
		b.call(t, http.MethodGet, "/bridge", "").want(t, 500, "unknown_error")
		b.call(t, http.MethodPost, user(alice, "/logout"), "").want(t, 500, "unknown_error")
		if b.telegram.Calls("Logout") != 0 {
			t.Error("a request after Close has reached Telegram")
		}

		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- b.provisioner.Close(t.Context()) }()
		}
		synctest.Wait()
		select {
		case err := <-closed:
			t.Fatalf("Close has returned %v with a request under way", err)
		default:
		}
		gate.Release()
		(<-answered).want(t, 200, "")
		for range 2 {
			if err := <-closed; err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if err := b.provisioner.Close(t.Context()); err != nil {
			t.Errorf("Close again: %v", err)
		}
		r := newRequest(http.MethodGet, "/bridge", "")
		r.Header.Del("Authorization")
		b.send(t, r).want(t, 401, "shared_secret_invalid")
	})
}

// Work that goes on after its client hung up is waited for.
func TestCloseWaitsForDetachedWork(t *testing.T) {
	b := newBridge(t)
	b.login(t, alice, requestAlice)
	gate := b.telegram.Hold("SubmitCode")
	closed := make(chan error, 1)
	hangUp(t, b, newRequest(http.MethodPost, user(alice, "/login/send_code"), `{"code":"01234"}`), gate.Entered(), func() {
		go func() { closed <- b.provisioner.Close(t.Context()) }()
		gate.Release()
	})
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := b.telegram.LoggedIn(alice); got != aliceAccount.ID || b.users.Len() != 1 {
		t.Errorf("after Close: logged in with %d, %d rows", got, b.users.Len())
	}
}

// zerolog's logger for contexts without one, which mautrix-go's bridges set, is no request's.
func TestDefaultContextLogger(t *testing.T) {
	var other logBuffer
	log := zerolog.New(&other)
	zerolog.DefaultContextLogger = &log
	defer func() { zerolog.DefaultContextLogger = nil }()
	b := newBridge(t)
	b.call(t, http.MethodGet, "/bridge", "").want(t, 200, "")
	if lines := b.log.lines(t); len(lines) != 1 || other.String() != "" {
		t.Errorf("Config.Log has %v, and the other logger %q", lines, other.String())
	}
}
