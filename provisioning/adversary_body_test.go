package provisioning_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// stalled sends a request whose body stops arriving, and returns the answer and how
// long it took. The connection has to be closed after it.
func (s *wireServer) stalled(t *testing.T, text string) (answer, time.Duration) {
	t.Helper()
	start := time.Now()
	conn := s.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	a := receive(t, r, text)
	took := time.Since(start)
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the answer %d: %v, want a closed connection", a.status, err)
	}
	return a, took
}

// A body that stops arriving is waited for as long as a request may take.
func TestStalledBody(t *testing.T) {
	login, create := v1("POST", user(alice, "/login/request_code")), v1("POST", "/portal/!room:example.com/create?user_id=@alice:example.com")
	readTimeout := func(timeout time.Duration) func(*wireServer) {
		return func(s *wireServer) { s.server.ReadTimeout = timeout }
	}
	wrapped := func(wrap func(http.ResponseWriter) http.ResponseWriter, timeout time.Duration) func(*wireServer) {
		return func(s *wireServer) {
			s.server.ReadTimeout = timeout
			s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(wrap(w), r) })
		}
	}
	opaque := wrapped(func(w http.ResponseWriter) http.ResponseWriter { return struct{ http.ResponseWriter }{w} }, 5*time.Second)
	unwrapping := wrapped(func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{w} }, 0)
	cases := map[string]struct {
		text    string
		setUp   func(*wireServer)
		status  int
		errcode string
		after   time.Duration
	}{
		"no byte":                  {request(login, "Content-Length: 9\r\n\r\n"), nil, 408, "body_timeout", 30 * time.Second},
		"one byte":                 {request(login, "Content-Length: 9\r\n\r\n{"), nil, 408, "body_timeout", 30 * time.Second},
		"chunked":                  {request(login, "Transfer-Encoding: chunked\r\n\r\n9\r\n{"), nil, 408, "body_timeout", 30 * time.Second},
		"trailer":                  {request(login, "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n"), nil, 400, "json_invalid", 30 * time.Second},
		"invited":                  {request(login, "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"), nil, 408, "body_timeout", 30 * time.Second},
		"new chat":                 {request(create, "Content-Length: 9\r\n\r\n{"), nil, 408, "body_timeout", 30 * time.Second},
		"shorter ReadTimeout":      {request(login, "Content-Length: 9\r\n\r\n{"), readTimeout(5 * time.Second), 408, "body_timeout", 5 * time.Second},
		"longer ReadTimeout":       {request(login, "Content-Length: 9\r\n\r\n{"), readTimeout(time.Hour), 408, "body_timeout", 30 * time.Second},
		"wrapped":                  {request(login, "Content-Length: 9\r\n\r\n{"), unwrapping, 408, "body_timeout", 30 * time.Second},
		"wrapped for good":         {request(login, "Content-Length: 9\r\n\r\n{"), opaque, 408, "body_timeout", 5 * time.Second},
		"not read":                 {request(v1("GET", "/bridge"), "Content-Length: 9\r\n\r\n{"), nil, 200, "", 30 * time.Second},
		"not read, POST":           {request(v1("POST", user(alice, "/logout")), "Transfer-Encoding: chunked\r\n\r\n"), nil, 403, "not_logged_in", 30 * time.Second},
		"not read, unauthorised":   {anonymous(login, "Content-Length: 9\r\n\r\n{"), nil, 401, "shared_secret_invalid", 30 * time.Second},
		"not read, unknown route":  {request(v1("POST", "/nope"), "Content-Length: 9\r\n\r\n{"), nil, 404, "unhandled_http_404", 30 * time.Second},
		"not read, wrong verb":     {request(v1("PUT", "/bridge"), "Content-Length: 9\r\n\r\n{"), nil, 405, "unhandled_http_405", 30 * time.Second},
		"not read, not invited":    {request(v1("POST", "/nope"), "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"), nil, 404, "unhandled_http_404", 0},
		"not read, invalid before": {request(v1("POST", "/user/x/login/request_code"), "Content-Length: 9\r\n\r\n{"), nil, 400, "mxid_invalid", 30 * time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWireServer(t, c.setUp, inRooms)
				a, took := s.stalled(t, c.text)
				a.want(t, c.status, c.errcode)
				if took != c.after {
					t.Errorf("the answer came after %s, want %s", took, c.after)
				}
			})
		})
	}
}

// Every operation that reads a body waits no longer.
func TestStalledBodyAnywhere(t *testing.T) {
	for _, op := range operations() {
		if op.validBody() == "" {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := newWireServer(t, nil, inRooms)
			path := op.pathFor("")
			if op.op == "create_portal" {
				path += asAlice
			}
			a, _ := s.stalled(t, request(v1(op.method, path), "Content-Length: 9\r\n\r\n{"))
			a.want(t, 408, "body_timeout")
			if a.field("state") != op.ownState() {
				t.Errorf("%s: the state in %s is not %q", op.op, a.body, op.ownState())
			}
		})
	}
}

// unwrapper is a ResponseWriter of a host's middleware.
type unwrapper struct{ http.ResponseWriter }

func (w unwrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A byte now and then is no way to stay for longer.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWireServer(t, nil, func(_ *bridge, cfg *provisioning.Config) { cfg.Timeout = 90 * time.Second })
		start := time.Now()
		conn := s.dial()
		text := request(v1("POST", user(alice, "/login/request_code")), "Content-Length: 1000\r\n\r\n")
		hungUp := make(chan struct{})
		go func() {
			defer close(hungUp)
			_, err := io.WriteString(conn, text)
			for err == nil {
				advance(time.Second)
				_, err = conn.Write([]byte(" "))
			}
		}()
		a := receive(t, bufio.NewReader(conn), text)
		a.wantBody(t, 408, `{"errcode":"body_timeout","error":"The request body did not arrive in time. Please try again.","state":"request"}`)
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("the answer came after %s, want 90s", took)
		}
		conn.Close()
		<-hungUp
	})
}

// The limit ends with the body: net/http must not take the client for gone then, and
// later requests of the connection for cancelled.
func TestBodyLimitEndsWithTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWireServer(t, func(s *wireServer) {
			s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s.handler.ServeHTTP(w, r)
				advance(time.Minute) // the host's own
			})
		})
		s.telegram.On("Chats", func(ctx context.Context) error { return ctx.Err() })
		conn := s.dial()
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, text := range []string{
			request(v1("POST", user(alice, "/login/request_code")), withBody(`{"phone":"+15550100"}`)),
			request(v1("POST", user(alice, "/login/send_code")), withBody(`{"code":"01234"}`)),
			request(v1("GET", user(alice, "/chats"))),
		} {
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			receive(t, r, text).want(t, 200, "")
		}
	})
}

// Close does not wait longer for a stalled body than the request does.
func TestCloseWithAStalledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		conn := s.dial()
		defer conn.Close()
		if _, err := io.WriteString(conn, request(v1("POST", user(alice, "/login/request_code")), "Content-Length: 9\r\n\r\n{")); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.provisioner.Close(ctx); err != nil || time.Since(start) != 30*time.Second {
			t.Errorf("Close: %v after %s, want nil after 30s", err, time.Since(start))
		}
	})
}

// The same over HTTP/2, where a request is a stream of many.
func TestStalledBodyOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		s := newWireServer(t, func(s *wireServer) { s.server.Protocols = protocols })
		transport := &http.Transport{
			Protocols:   protocols,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return s.dial(), nil },
		}
		defer transport.CloseIdleConnections()
		body, stall := io.Pipe()
		defer stall.Close()
		for _, c := range []struct {
			path   string
			body   io.Reader
			status int
			after  time.Duration
		}{
			{user(alice, "/login/request_code"), body, 408, 30 * time.Second},
			{user(alice, "/logout"), nil, 403, 0},
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com"+prefix+"/v1"+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+secret)
			start := time.Now()
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if took := time.Since(start); err != nil || response.StatusCode != c.status || took != c.after || response.ProtoMajor != 2 {
				t.Errorf("%s: %d %s %v after %s over %s", c.path, response.StatusCode, text, err, took, response.Proto)
			}
		}
	})
}
