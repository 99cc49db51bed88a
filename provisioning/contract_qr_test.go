package provisioning_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/internal/contracttest"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// handshake makes a request one for a WebSocket.
func handshake(r *http.Request) *http.Request {
	r.Header.Set("Connection", "keep-alive, Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-Websocket-Version", "13")
	r.Header.Set("Sec-Websocket-Key", base64.StdEncoding.EncodeToString(make([]byte, 16)))
	return r
}

// scannedBy is an app that scans every QR code.
func scannedBy(account provisioningtest.TelegramAccount) func(*bridge, string) {
	return func(b *bridge, code string) { _ = b.telegram.ScanQR(code, account.ID) }
}

// noScan lets QR codes expire.
func (b *bridge) noScan(string) { b.telegram.ExpireQR() }

// scan sends a request for login_qr and does with each QR code that is shown what it is
// told to. The answer is what the bridge has said last; without onCode the request has no
// handshake.
func (b *bridge) scan(t testing.TB, r *http.Request, onCode func(*bridge, string)) answer {
	t.Helper()
	if onCode == nil {
		return b.send(t, r)
	}
	client, server := net.Pipe()
	rec := &hijacked{ResponseRecorder: httptest.NewRecorder(), conn: server}
	said := make(chan []byte, 1)
	go func() {
		defer client.Close()
		said <- readFrames(t, client, func(code string) { onCode(b, code) })
	}()
	b.handler.ServeHTTP(rec, handshake(r))
	server.Close()
	exchange := contracttest.Exchange{Request: r, Status: rec.Code, Header: rec.Result().Header, Answer: rec.Body.Bytes()}
	if err := contract.Check(exchange); err != nil {
		t.Errorf("%s: %v", r.URL, err)
	}
	last := append(<-said, '\n')
	if rec.Code != http.StatusSwitchingProtocols {
		last = rec.Body.Bytes()
	}
	if !json.Valid(last) {
		t.Errorf("%s: the last that was said is no JSON: %d %q", r.URL, rec.Code, last)
	}
	return answer{rec.Code, rec.Result().Header, string(last)}
}

// hijacked is a recorder whose connection can be taken.
type hijacked struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// readFrames is a client of a WebSocket. It returns the last text message, once the other
// side has closed the socket.
//
// https://www.rfc-editor.org/rfc/rfc6455#section-5.2
func readFrames(t testing.TB, conn net.Conn, onCode func(string)) (last []byte) {
	const text, closing, ping, pong = 1, 8, 9, 10
	for {
		var head [2]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return last
		}
		size := uint64(head[1] & 0x7f)
		if size == 126 {
			var long [2]byte
			_, _ = io.ReadFull(conn, long[:])
			size = uint64(binary.BigEndian.Uint16(long[:]))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(conn, payload); err != nil {
			return last
		}
		switch head[0] & 0x0f {
		case text:
			if err := contract.CheckMessage(payload); err != nil {
				t.Error(err)
			}
			var message struct{ Code string }
			if last = payload; json.Unmarshal(payload, &message) == nil && message.Code != "" {
				onCode(message.Code)
			}
		case closing, ping:
			// The same back, masked with zeros.
			if head[0]&0x0f == ping {
				head[0] += pong - ping
			}
			_, _ = conn.Write(append([]byte{head[0], 0x80 | byte(size), 0, 0, 0, 0}, payload...))
		}
	}
}

func qrOperations() []operation {
	scanned := scannedBy(aliceAccount)
	failed := func(word string) string { return `{"success":false,"error":"` + word + `"}` }
	said := func(name, words string, prepare func(*testing.T, *bridge)) wireCase {
		return wireCase{name: name, scan: scanned, prepare: prepare, status: 101, success: words}
	}
	linked := func(t *testing.T, b *bridge) {
		b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
		lines := b.log.lines(t)
		if last := lines[len(lines)-1]; last["op"] != "login_qr" || last["status"] != 101.0 || last["duration"] == nil || last["errcode"] != nil {
			t.Errorf("the log line of a login is %v", last)
		}
	}
	success := said("scanned", `{"success":true}`, nil)
	success.after = linked
	password := said("password needed", failed("password-needed"), nil)
	password.scan = scannedBy(guardedAccount)
	password.after = func(t *testing.T, b *bridge) {
		lines := b.log.lines(t)
		if last := lines[len(lines)-1]; last["errcode"] != "password-needed" || last["level"] != "info" {
			t.Errorf("the log line is %v", last)
		}
		b.call(t, http.MethodPost, user(alice, "/login/send_password"), `{"password":" open sesame "}`).want(t, 200, "")
		b.expectUser(t, alice, guardedAccount.ID, false, guardedAccount.ID)
	}
	halfDone := said("in the middle of a phone login", `{"success":true}`, after(requestGuarded))
	halfDone.after = linked
	timeout := said("not scanned", failed("timeout"), nil)
	timeout.scan = (*bridge).noScan
	timeout.after = func(t *testing.T, b *bridge) { b.expectUser(t, alice, 0, false, 0) }
	moved := said("another user's account", `{"success":true}`, func(t *testing.T, b *bridge) { b.logIn(t, bob, aliceAccount) })
	moved.after = func(t *testing.T, b *bridge) {
		b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
		b.expectUser(t, bob, 0, false, 0)
	}
	cases := []wireCase{
		success, password, halfDone, timeout, moved,
		{name: "no handshake", status: 426, errcode: "upgrade_required", state: "request"},
		said("overtaken", failed("already_logged_in"), overtaken("LoginQR")),
		said("already logged in, says Telegram", failed("unhandled_error"), fails("LoginQR", provisioning.ErrAccountLinked)),
		said("refused: flood wait", `{"success":false,"error":"flood_wait","retry_after":100}`, fails("LoginQR", &provisioning.FloodWaitError{Wait: 100 * time.Second})),
		said("refused: overloaded", `{"success":false,"error":"overloaded","retry_after":5}`, fails("LoginQR", provisioning.ErrOverloaded)),
		said("refused: banned", failed("phone_number_banned"), fails("LoginQR", provisioning.ErrPhoneNumberBanned)),
		said("refused: ended", failed("session_revoked"), fails("LoginQR", provisioning.ErrSessionRevoked)),
		said("refused: unreachable", failed("unknown_error"), fails("LoginQR", provisioning.ErrTelegramUnavailable)),
		said("refused: restricted", failed("telegram_restricted"), fails("LoginQR", saidBy(provisioning.ErrTelegramRestricted, "FROZEN_METHOD_INVALID"))),
		said("refused: strangely", failed("unknown_error"), fails("LoginQR", &provisioning.TelegramError{Code: 500, Type: "X"})),
		said("broken", failed("unhandled_error"), fails("LoginQR", errors.New("out of luck"))),
		said("the store broken", failed("unhandled_error"), func(_ *testing.T, b *bridge) { b.users.Fail("LinkAccount", errors.New("disk full")) }),
	}
	return []operation{{
		op: "login_qr", method: http.MethodGet, path: "/user/{user_id}/login/qr", cases: cases,
		documented: []string{"101 ", "426 upgrade_required"},
	}}
}

// Whatever keeps a request from being a handshake, the answer is ours.
func TestNoHandshake(t *testing.T) {
	for name, spoil := range map[string]func(*http.Request){
		"no Connection":       func(r *http.Request) { r.Header.Del("Connection") },
		"another Connection":  func(r *http.Request) { r.Header.Set("Connection", "keep-alive") },
		"no Upgrade":          func(r *http.Request) { r.Header.Del("Upgrade") },
		"another Upgrade":     func(r *http.Request) { r.Header.Set("Upgrade", "h2c") },
		"no version":          func(r *http.Request) { r.Header.Del("Sec-Websocket-Version") },
		"another version":     func(r *http.Request) { r.Header.Set("Sec-Websocket-Version", "8") },
		"no key":              func(r *http.Request) { r.Header.Del("Sec-Websocket-Key") },
		"two keys":            func(r *http.Request) { r.Header.Add("Sec-Websocket-Key", r.Header.Get("Sec-Websocket-Key")) },
		"a short key":         func(r *http.Request) { r.Header.Set("Sec-Websocket-Key", "AAAA") },
		"a key of what is no": func(r *http.Request) { r.Header.Set("Sec-Websocket-Key", "!") },
		"HTTP/1.0":            func(r *http.Request) { r.Proto, r.ProtoMinor = "HTTP/1.0", 0 },
	} {
		b := newBridge(t)
		r := handshake(newRequest(http.MethodGet, user(alice, "/login/qr"), ""))
		spoil(r)
		a := b.send(t, r)
		a.wantBody(t, 426, `{"errcode":"upgrade_required","error":"This way to log in takes a WebSocket.","state":"request"}`)
		if got := [3]string{a.header.Get("Connection"), a.header.Get("Upgrade"), a.header.Get("Sec-Websocket-Version")}; got != [3]string{"Upgrade", "websocket", "13"} {
			t.Errorf("%s: the headers are %q", name, got)
		}
		if b.telegram.Calls("Account") != 0 {
			t.Errorf("%s: Telegram was asked", name)
		}
	}
	// A host whose middleware hides the connection learns so from its log.
	b := newBridge(t)
	b.send(t, handshake(newRequest(http.MethodGet, user(alice, "/login/qr"), ""))).want(t, 500, "unhandled_error")
	if !bytes.Contains([]byte(b.log.String()), []byte("http.Hijacker")) {
		t.Errorf("the log is %s", b.log)
	}
	var inner http.ResponseWriter = &hijacked{ResponseRecorder: httptest.NewRecorder(), conn: closedConn()}
	b.handler.ServeHTTP(unwrapper{inner}, handshake(newRequest(http.MethodGet, user(alice, "/login/qr"), "")))
	if got := inner.(*hijacked).Code; got != http.StatusSwitchingProtocols {
		t.Errorf("behind a middleware with Unwrap: %d", got)
	}
}

// closedConn is a connection to somebody who is gone.
func closedConn() net.Conn {
	client, server := net.Pipe()
	client.Close()
	return server
}
