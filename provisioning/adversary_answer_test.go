package provisioning_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// chatty is an account whose list of chats is a long answer: some hundred kilobytes.
var chatty = func() provisioningtest.TelegramAccount {
	account := aliceAccount
	account.Chats = make([]provisioning.Chat, 4000)
	for i := range account.Chats {
		account.Chats[i] = provisioning.Chat{ID: provisioning.ChannelChatID(int64(i + 1)), Title: strings.Repeat("x", 50)}
	}
	return account
}()

// newChattyServer is one where alice has a long list, and one request may be under way.
func newChattyServer(t *testing.T, setUp func(*wireServer)) *wireServer {
	s := newWireServer(t, setUp, maxRequests(1, 1), func(b *bridge, cfg *provisioning.Config) {
		b.telegram = provisioningtest.NewTelegram(chatty)
		cfg.Telegram = b.telegram
	})
	s.logIn(t, alice, chatty)
	return s
}

var chatsRequest = request(v1("GET", user(alice, "/chats")))

// An API client that takes nothing of a long answer is hung up on after the time that a
// request has. Until then the request is under way.
func TestStalledAnswer(t *testing.T) {
	writeTimeout := func(timeout time.Duration) func(*wireServer) {
		return func(s *wireServer) { s.server.WriteTimeout = timeout }
	}
	cases := map[string]struct {
		setUp func(*wireServer)
		after time.Duration
	}{
		"no WriteTimeout":      {nil, provisioning.DefaultTimeout},
		"shorter WriteTimeout": {writeTimeout(5 * time.Second), 5 * time.Second},
		"longer WriteTimeout":  {writeTimeout(time.Hour / 2), time.Hour / 2},
		"wrapped": {func(s *wireServer) {
			s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(unwrapper{w}, r) })
		}, provisioning.DefaultTimeout},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newChattyServer(t, c.setUp)
				conn := s.dial()
				defer conn.Close()
				if _, err := io.WriteString(conn, chatsRequest); err != nil {
					t.Fatal(err)
				}
				bridge := request(v1("GET", "/bridge"))
				synctest.Wait()
				s.exchange(t, bridge).want(t, 503, "overloaded")
				advance(c.after - time.Second)
				synctest.Wait()
				s.exchange(t, bridge).want(t, 503, "overloaded")
				advance(time.Second)
				synctest.Wait()
				s.exchange(t, bridge).want(t, 200, "")
				if n := strings.Count(s.log.String(), "was hung up on"); n != 1 {
					t.Errorf("%d lines of the log say that a client was hung up on", n)
				}
				if _, err := io.ReadAll(conn); err != nil {
					t.Errorf("reading from the connection: %v, want that it is closed", err)
				}
			})
		})
	}
}

// Whoever goes on taking something gets it all, and the next answer, however late that is
// asked for.
func TestSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newChattyServer(t, nil)
		conn := s.dial()
		defer conn.Close()
		if _, err := io.WriteString(conn, chatsRequest); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		r := bufio.NewReader(slowConn{conn})
		a := receive(t, r, chatsRequest)
		a.want(t, 200, "")
		if n := strings.Count(a.body, `"id"`); n != len(chatty.Chats) {
			t.Errorf("%d chats, want %d", n, len(chatty.Chats))
		}
		if took := time.Since(start); took < 2*provisioning.DefaultTimeout {
			t.Errorf("it took %s: no slow answer", took)
		}
		advance(2 * provisioning.DefaultTimeout)
		next := request(v1("GET", "/bridge"))
		if _, err := io.WriteString(conn, next); err != nil {
			t.Fatal(err)
		}
		receive(t, r, next).want(t, 200, "")
	})
}

// slowConn takes two seconds for 8 KiB, or less.
type slowConn struct{ net.Conn }

func (c slowConn) Read(p []byte) (int, error) {
	advance(2 * time.Second)
	return c.Conn.Read(p[:min(len(p), 8<<10)])
}
