package provisioning

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// errHungUp: the API client has closed the WebSocket, or is not there any more.
var errHungUp = fmt.Errorf("%w: the API client hung up", context.Canceled)

const (
	socketReadLimit    = 512 // bytes of one message
	socketWriteTimeout = 10 * time.Second
	socketPingInterval = 20 * time.Second
	socketPongTimeout  = 10 * time.Second
)

// upgrader makes a WebSocket of a request.
type upgrader struct {
	w    http.ResponseWriter
	r    *http.Request
	done *bool // set when everything else is said on the WebSocket
}

// check returns errNoWebSocket for a request that websocket.Accept would answer
// with an error of its own, which is no JSON.
//
// https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
func (u upgrader) check() error {
	w, r := u.w, u.r
	has := func(header, token string) bool {
		return slices.ContainsFunc(headerTokens(r.Header, header), func(t string) bool { return strings.EqualFold(t, token) })
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if !r.ProtoAtLeast(1, 1) || !has("Connection", "Upgrade") || !has("Upgrade", "websocket") ||
		r.Header.Get("Sec-WebSocket-Version") != "13" || len(keys) != 1 {
		return errNoWebSocket
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return errNoWebSocket
	}
	for {
		switch inner := w.(type) {
		case http.Hijacker:
			return nil
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return errors.New("the connection can't become a WebSocket: the host's middleware hides the http.ResponseWriter in one that is no http.Hijacker and has no Unwrap")
		}
	}
}

// socket is a WebSocket to an API client that has nothing to say.
type socket struct {
	conn   *websocket.Conn
	hungUp context.CancelCauseFunc // called with errHungUp when the client is gone
	gone   context.Context         // ends with it
	silent chan struct{}           // closed when no more pings are to be sent
	work   sync.WaitGroup
}

// open upgrades a request that check let through. finish must follow.
func (u upgrader) open(hungUp context.CancelCauseFunc) (*socket, error) {
	*u.done = true
	conn, err := websocket.Accept(u.w, u.r, &websocket.AcceptOptions{
		Subprotocols: []string{qrProtocol},
		// An origin is checked to protect those who are authorised by a cookie, which a
		// browser sends for any page. Here a page has to know the secret, and the one that
		// does may come from any origin, such as that of an admin panel.
		InsecureSkipVerify: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open a WebSocket: %w", err)
	}
	conn.SetReadLimit(socketReadLimit)
	gone, end := context.WithCancel(context.Background())
	s := &socket{conn: conn, gone: gone, silent: make(chan struct{})}
	s.hungUp = func(cause error) {
		end()
		hungUp(cause)
	}
	s.work.Go(s.read)
	s.work.Go(s.ping)
	return s, nil
}

// read takes what comes, answers and pings among it, until the socket is closed.
func (s *socket) read() {
	for {
		// Not with a context: when it ends, the socket is closed without a word.
		_, r, err := s.conn.Reader(context.Background())
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			s.hungUp(errHungUp)
			return
		}
	}
}

// ping notices a client that is gone without having closed the socket.
func (s *socket) ping() {
	ticker := time.NewTicker(socketPingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.gone.Done():
			return
		case <-s.silent:
			return
		}
		// finish does not interrupt a ping, which would close the socket without a word.
		ctx, cancel := context.WithTimeout(context.Background(), socketPongTimeout)
		err := s.conn.Ping(ctx)
		cancel()
		if err != nil {
			s.hungUp(errHungUp)
			return
		}
	}
}

// send sends a message. Errors: errHungUp.
func (s *socket) send(ctx context.Context, message any) error {
	data, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	// A write that is interrupted closes the socket, and the context may end because there
	// is something else to say.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), socketWriteTimeout)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, data); err != nil {
		s.hungUp(errHungUp)
		return errHungUp
	}
	return nil
}

// finish sends the last message and closes the socket.
func (s *socket) finish(ctx context.Context, message any) {
	close(s.silent)
	if s.gone.Err() == nil && s.send(ctx, message) == nil {
		_ = s.conn.Close(websocket.StatusNormalClosure, "") // the client may be gone already
	}
	_ = s.conn.CloseNow()
	s.work.Wait()
}
