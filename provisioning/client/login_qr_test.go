package client_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/tgprovision/tgprovision/provisioning/client"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

func TestLoginQR(t *testing.T) {
	p, telegram := bridge(t)
	server := serveBridge(t, p)
	custom, err := client.New(server, secret, client.WithHTTPClient(doer(http.DefaultClient.Do)))
	if err != nil {
		t.Fatal(err)
	}
	retrying, err := client.New(server, secret, client.WithRetries(time.Minute), client.WithHTTPClient(&http.Client{Timeout: time.Minute}))
	if err != nil {
		t.Fatal(err)
	}
	for name, api := range map[string]*client.ClientWithResponses{
		"plain": newClient(t, server, secret), "with an HTTP client of its own": custom, "with retries": retrying,
	} {
		t.Run(name, func(t *testing.T) {
			userID := "@bob " + name + ":example.com"
			codes := 0
			login, err := api.LoginQR(t.Context(), userID, func(code string, until time.Time) error {
				if left := time.Until(until); left <= 0 || left > provisioningtest.QRLifetime {
					t.Errorf("the code is shown for %s", left)
				}
				if codes++; codes == 1 {
					telegram.ExpireQR()
					return nil
				}
				return telegram.ScanQR(code, 1002)
			})
			if err != nil || login.State != client.LoginStateLoggedIn || login.Username != "bob_tg" || codes != 2 {
				t.Errorf("%+v, %v, after %d codes", login, err, codes)
			}
		})
	}
}

func TestLoginQRWithPassword(t *testing.T) {
	p, telegram := bridge(t)
	api := newClient(t, serveBridge(t, p), secret)
	login, err := api.LoginQR(t.Context(), alice, func(code string, _ time.Time) error { return telegram.ScanQR(code, 1001) })
	if err != nil || login.State != client.LoginStatePassword || login.PasswordHint != "as in the tale" {
		t.Fatalf("the code was scanned: %+v, %v", login, err)
	}
	if login, err = api.LoginPassword(t.Context(), alice, "open sesame"); err != nil || login.State != client.LoginStateLoggedIn {
		t.Errorf("the password: %+v, %v", login, err)
	}
}

func TestLoginQRFails(t *testing.T) {
	p, telegram := bridge(t)
	server := serveBridge(t, p)
	api := newClient(t, server, secret)
	expire := func(string, time.Time) error { telegram.ExpireQR(); return nil }

	_, err := api.LoginQR(t.Context(), alice, expire)
	refused(t, err, "timeout", client.LoginStateRequest)

	_, err = newClient(t, server, "wrong").LoginQR(t.Context(), alice, expire)
	if fault, ok := errors.AsType[*client.Error](err); !ok || fault.Errcode != "shared_secret_invalid" {
		t.Errorf("with a wrong secret: %v", err)
	}

	broken := errors.New("the screen is broken")
	if _, err = api.LoginQR(t.Context(), alice, func(string, time.Time) error { return broken }); err != broken {
		t.Errorf("a code that can't be shown: %v", err)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the user is gone")
	if _, err = api.LoginQR(ctx, alice, func(string, time.Time) error { cancel(gone); return nil }); !errors.Is(err, gone) {
		t.Errorf("a context that ends: %v", err)
	}

	telegram.SetError(420, "FLOOD_WAIT_60")
	_, err = api.LoginQR(t.Context(), alice, expire)
	if fault := refused(t, err, "flood_wait", client.LoginStateRequest); fault.RetryAfter == nil || *fault.RetryAfter != 60 {
		t.Errorf("a pause: %+v", fault)
	}

	for _, proxy := range proxies {
		if _, err = newClient(t, proxy.serve(t), secret).LoginQR(t.Context(), alice, expire); err == nil || err.Error() != proxy.want {
			t.Errorf("behind a proxy that sends %d, %s: %v", proxy.status, proxy.contentType, err)
		}
	}
}

// upgraded is an HTTP client of whose requests each becomes a WebSocket, served by talk, and
// whose other requests fail.
func upgraded(talk func(*websocket.Conn)) doer {
	return func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Upgrade") == "" {
			return nil, errors.New("no network")
		}
		near, far := net.Pipe()
		go (&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer conn.CloseNow()
			talk(conn)
		})}).Serve(&oneConn{conn: far})
		if err := r.Write(near); err != nil {
			return nil, err
		}
		answer, err := http.ReadResponse(bufio.NewReader(near), r)
		if err == nil {
			answer.Body = near
		}
		return answer, err
	}
}

// oneConn is a listener with one connection.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, net.ErrClosed
	}
	conn := l.conn
	l.conn = nil
	return conn, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }

// A network that goes away without a word ends the login; a bridge that pings goes on.
func TestLoginQRSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, err := client.New("http://bridge", secret, client.WithHTTPClient(upgraded(func(conn *websocket.Conn) {
			gone := conn.CloseRead(t.Context())
			for range 10 {
				if err := conn.Ping(gone); err != nil {
					t.Errorf("ping: %v", err)
				}
				<-time.After(20 * time.Second)
			}
			<-gone.Done()
		})))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = api.LoginQR(t.Context(), alice, nil)
		if err == nil || err.Error() != "the bridge is silent" || time.Since(start) != 4*time.Minute {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

// What the bridge has said counts, though nothing more can be seen of the login; what the
// client does not know is passed over.
func TestLoginQRAlone(t *testing.T) {
	for _, c := range []struct {
		result map[string]any
		state  client.LoginState
		fault  string
	}{
		{map[string]any{"success": true}, client.LoginStateLoggedIn, ""},
		{map[string]any{"success": false, "error": "password-needed"}, client.LoginStatePassword, ""},
		{map[string]any{"success": false, "error": "already_logged_in"}, client.LoginStateLoggedIn, "already_logged_in"},
		{map[string]any{"success": false, "error": "unknown_error"}, client.LoginStateRequest, "unknown_error"},
	} {
		api, err := client.New("http://bridge", secret, client.WithHTTPClient(upgraded(func(conn *websocket.Conn) {
			for _, message := range []map[string]any{{"news": 1}, c.result} {
				if err := wsjson.Write(context.Background(), conn, message); err != nil {
					t.Error(err)
				}
			}
		})))
		if err != nil {
			t.Fatal(err)
		}
		login, err := api.LoginQR(t.Context(), alice, nil)
		switch {
		case c.fault != "":
			refused(t, err, c.fault, c.state)
		case err != nil || login.State != c.state:
			t.Errorf("%v: %+v, %v", c.result, login, err)
		}
	}
}
