package provisioning_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

const (
	qrProtocol   = "net.maunium.telegram.login"
	authProtocol = "net.maunium.telegram.auth-"
)

// scanner is an API client that shows QR codes.
type scanner struct {
	*websocket.Conn
	t *testing.T
}

// client is an HTTP client of the server.
func (s *wireServer) client(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return s.dial(), nil }}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// openQR opens a WebSocket as a browser does, with the secret in a subprotocol.
func (s *wireServer) openQR(t *testing.T, userID id.UserID) *scanner {
	t.Helper()
	conn, response, err := websocket.Dial(t.Context(), "ws://example.com"+prefix+"/v1"+user(userID, "/login/qr"), &websocket.DialOptions{
		HTTPClient: s.client(t), Subprotocols: []string{qrProtocol, authProtocol + secret},
		HTTPHeader: http.Header{"Origin": {"https://panel.example.org"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if conn.Subprotocol() != qrProtocol || strings.Contains(strings.Join(response.Header["Sec-Websocket-Protocol"], ""), secret) {
		t.Errorf("the subprotocol is %q", response.Header["Sec-Websocket-Protocol"])
	}
	return &scanner{conn, t}
}

// read returns the next message.
func (c *scanner) read() string {
	c.t.Helper()
	kind, data, err := c.Read(c.t.Context())
	if err != nil || kind != websocket.MessageText {
		c.t.Fatalf("no message: %v, %v", kind, err)
	}
	return string(data)
}

// code returns the next QR code, which has to last for 30 seconds.
func (c *scanner) code() string {
	c.t.Helper()
	message := c.read()
	code, ok := strings.CutPrefix(message, `{"code":"`)
	code, last, _ := strings.Cut(code, `"`)
	if !ok || last != `,"timeout":30}` || !strings.HasPrefix(code, "tg://login?token=") {
		c.t.Fatalf("the message is %s", message)
	}
	return code
}

// ends expects the last message and a normal end.
func (c *scanner) ends(message string) {
	c.t.Helper()
	if got := c.read(); got != message {
		c.t.Errorf("got %s, want %s", got, message)
	}
	if _, _, err := c.Read(c.t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		c.t.Errorf("the socket has ended with %v", err)
	}
}

// scan scans a QR code.
func (s *wireServer) scanQR(t *testing.T, code string, telegramID provisioning.TelegramID) {
	t.Helper()
	if err := s.telegram.ScanQR(code, telegramID); err != nil {
		t.Fatal(err)
	}
}

// wantNoQR checks that nothing of a login is left, and how long that took.
func (s *wireServer) wantNoQR(t *testing.T, start time.Time, within time.Duration) {
	t.Helper()
	synctest.Wait()
	if s.telegram.ShownQR() != 0 {
		t.Error("a QR code can be scanned still")
	}
	if lines := s.log.lines(t); len(lines) == 0 || lines[len(lines)-1]["op"] != "login_qr" {
		t.Errorf("the login goes on after %s: %v", time.Since(start), lines)
	}
	if took := time.Since(start); took > within {
		t.Errorf("it has taken %s, want at most %s", took, within)
	}
}
