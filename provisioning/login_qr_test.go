package provisioning_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// A login over TCP, on net/http's own server.
func TestQRLoginOverTCP(t *testing.T) {
	l := &eventLog{}
	b := newBridge(t, withEvents(l))
	server := httptest.NewServer(b.handler)
	defer server.Close()
	url := server.URL + prefix + "/v1" + user(alice, "/login/qr")
	conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + secret}}})
	if err != nil {
		t.Fatal(err)
	}
	c := &scanner{conn, t}
	message := c.read()
	code, _, _ := strings.Cut(strings.TrimPrefix(message, `{"code":"`), `"`)
	if err := b.telegram.ScanQR(code, aliceAccount.ID); err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	c.ends(`{"success":true}`)
	b.call(t, http.MethodGet, user(alice, "/chats"), "").want(t, 200, "")
	b.close(t)
	if got := l.take(); !slices.Equal(got, []string{"login @alice:example.com 1001  0"}) {
		t.Errorf("the events are %q", got)
	}
	if strings.Contains(b.log.String(), strings.TrimPrefix(code, "tg://login?token=")) {
		t.Errorf("the token is in the log: %s", b.log)
	}
}

// QR codes are replaced as they expire, four in all.
func TestQRCodesExpire(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		start := time.Now()
		c := s.openQR(t, alice)
		seen := map[string]bool{}
		for range provisioning.MaxQRTokens {
			code := c.code()
			for old := range seen {
				if s.telegram.ScanQR(old, aliceAccount.ID) == nil {
					t.Error("an old QR code can be scanned")
				}
			}
			seen[code] = true
		}
		c.ends(`{"success":false,"error":"timeout"}`)
		if took := time.Since(start); len(seen) != 4 || took != 2*time.Minute {
			t.Errorf("%d QR codes in %s, want 4 in 2m0s", len(seen), took)
		}
		s.expectUser(t, alice, 0, false, 0)
		// And once more, with the last of them.
		c = s.openQR(t, alice)
		for range 3 {
			c.code()
		}
		s.scanQR(t, c.code(), aliceAccount.ID)
		c.ends(`{"success":true}`)
		s.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
	})
}

func TestQRCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		authorization, protocols []string
		status                   int
	}{
		"header":                      {[]string{"Bearer " + secret}, nil, 101},
		"header and the protocol":     {[]string{"Bearer " + secret}, []string{qrProtocol}, 101},
		"header and another protocol": {[]string{"Bearer " + secret}, []string{"chat"}, 101},
		"subprotocol":                 {nil, []string{qrProtocol + ", " + authProtocol + secret}, 101},
		"subprotocol first":           {nil, []string{authProtocol + secret + "," + qrProtocol}, 101},
		"two lines":                   {nil, []string{qrProtocol, authProtocol + secret}, 101},
		"subprotocol alone":           {nil, []string{authProtocol + secret}, 101},
		"both":                        {[]string{"Bearer " + secret}, []string{authProtocol + secret}, 101},
		"neither":                     {nil, []string{qrProtocol}, 401},
		"wrong":                       {nil, []string{authProtocol + secret + "x"}, 401},
		"empty":                       {nil, []string{authProtocol}, 401},
		"two secrets":                 {nil, []string{authProtocol + secret + ", " + authProtocol + "x"}, 401},
		"the same twice":              {nil, []string{authProtocol + secret, authProtocol + secret}, 401},
		"upper case":                  {nil, []string{strings.ToUpper(authProtocol) + secret}, 401},
		"header wrong":                {[]string{"Bearer x"}, []string{authProtocol + secret}, 401},
		"header empty":                {[]string{""}, []string{authProtocol + secret}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			r := newRequest(http.MethodGet, user(alice, "/login/qr"), "")
			r.Header["Authorization"], r.Header["Sec-Websocket-Protocol"] = c.authorization, c.protocols
			a := b.scan(t, r, scannedBy(aliceAccount))
			if a.status != c.status {
				t.Errorf("got %d %s, want %d", a.status, a.body, c.status)
			}
			if a.status == 401 {
				a.want(t, 401, "shared_secret_invalid")
			}
			if got := a.header.Get("Sec-Websocket-Protocol"); strings.Contains(got, "auth") {
				t.Errorf("the subprotocol chosen is %q", got)
			}
			if strings.Contains(b.log.String(), secret) {
				t.Errorf("the secret is in the log: %s", b.log)
			}
		})
	}
}

// Somebody who opens the page again gets the login; the page that was open is told.
func TestNewerQRLoginCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		first := s.openQR(t, alice)
		old := first.code()
		others := s.openQR(t, bob)
		others.code()
		second := s.openQR(t, alice)
		first.ends(`{"success":false,"error":"replaced"}`)
		second.code()
		if s.telegram.ScanQR(old, aliceAccount.ID) == nil {
			t.Error("the QR code of the old page can be scanned")
		}
		third, fourth := s.openQR(t, alice), s.openQR(t, alice)
		second.ends(`{"success":false,"error":"replaced"}`)
		for {
			message := third.read()
			if message == `{"success":false,"error":"replaced"}` {
				break
			}
		}
		s.scanQR(t, fourth.code(), aliceAccount.ID)
		fourth.ends(`{"success":true}`)
		others.code() // somebody else's goes on
		if s.telegram.ShownQR() != 1 {
			t.Errorf("%d QR codes are shown", s.telegram.ShownQR())
		}
		s.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
	})
}

// Of two WebSockets the one counts whose request came last, though the other one has been
// held up and is ready later.
func TestNewerQRLoginCountsWhenItOvertakes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		heldUp, goOn := make(chan struct{}), make(chan struct{})
		hold := sync.OnceFunc(func() {
			close(heldUp)
			<-goOn
		})
		s.telegram.On("Account", func(context.Context) error {
			hold()
			return nil
		})
		opened := make(chan *scanner)
		go func() { opened <- s.openQR(t, alice) }()
		<-heldUp
		s.telegram.On("Account", nil)
		newer := s.openQR(t, alice)
		code := newer.code()
		close(goOn)
		(<-opened).ends(`{"success":false,"error":"replaced"}`)
		s.scanQR(t, code, aliceAccount.ID)
		newer.ends(`{"success":true}`)
	})
}

// A login that was scanned is not ended by a newer one.
func TestScannedQRLoginIsNotReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		entered, released := make(chan struct{}), make(chan struct{})
		s.users.On("LinkAccount", func(context.Context) error {
			close(entered)
			<-released
			return nil
		})
		first := s.openQR(t, alice)
		s.scanQR(t, first.code(), aliceAccount.ID)
		<-entered
		_, response, err := websocket.Dial(t.Context(), "ws://example.com"+prefix+"/v1"+user(alice, "/login/qr"), &websocket.DialOptions{
			HTTPClient: s.client(t), Subprotocols: []string{qrProtocol, authProtocol + secret},
		})
		if err == nil || response.StatusCode != http.StatusConflict {
			t.Errorf("a second socket got %v, %v", response, err)
		}
		close(released)
		first.ends(`{"success":true}`)
		s.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
	})
}

// hostQR is a client of a host's that logs in as it likes.
type hostQR struct {
	provisioning.TelegramClient
	login func(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (provisioning.Account, error)
}

func (c hostQR) LoginQR(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (provisioning.Account, error) {
	return c.login(ctx, show)
}

func (c hostQR) Client(context.Context, id.UserID) (provisioning.TelegramClient, error) {
	return c, nil
}

// A host that does not keep to its part neither holds a socket for ever nor breaks it.
func TestHostsQRLogin(t *testing.T) {
	type show = func(context.Context, provisioning.QRToken) error
	for name, c := range map[string]struct {
		login func(context.Context, show) (provisioning.Account, error)
		shown int
		want  string
		after time.Duration
	}{
		"never shows a code": {func(ctx context.Context, _ show) (provisioning.Account, error) {
			<-ctx.Done()
			return provisioning.Account{}, ctx.Err()
		}, 0, "unknown_error", 30 * time.Second},
		"shows one for ever": {func(ctx context.Context, show show) (provisioning.Account, error) {
			_ = show(ctx, provisioning.QRToken{URL: "tg://login?token=x", Expires: time.Now().Add(time.Minute)})
			<-ctx.Done()
			return provisioning.Account{}, ctx.Err()
		}, 1, "unknown_error", 90 * time.Second},
		"never gives up": {func(ctx context.Context, show show) (provisioning.Account, error) {
			for {
				if err := show(ctx, provisioning.QRToken{URL: "tg://login?token=x"}); err != nil {
					return provisioning.Account{}, err
				}
				advance(time.Second)
			}
		}, 4, "timeout", 4 * time.Second},
		"panics": {func(context.Context, show) (provisioning.Account, error) { panic("boom") }, 0, "unhandled_error", 0},
		"was canceled": {func(context.Context, show) (provisioning.Account, error) {
			return provisioning.Account{}, context.Canceled
		}, 0, "unknown_error", 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newBridge(t, func(b *bridge, cfg *provisioning.Config) {
					inner, _ := b.telegram.Client(t.Context(), alice)
					cfg.Telegram = hostQR{inner, c.login}
				})
				start, shown := time.Now(), 0
				a := b.scan(t, newRequest(http.MethodGet, user(alice, "/login/qr"), ""), func(*bridge, string) { shown++ })
				a.wantBody(t, 101, `{"success":false,"error":"`+c.want+`"}`)
				if took := time.Since(start); took != c.after || shown != c.shown {
					t.Errorf("%d QR codes in %s, want %d in %s", shown, took, c.shown, c.after)
				}
			})
		})
	}
}

// Many pages of many users, scanned at once: each user has one login, and no account two.
func TestManyQRLogins(t *testing.T) {
	b := newBridge(t)
	var wg sync.WaitGroup
	for range 4 {
		for _, userID := range []id.UserID{alice, bob, admin} {
			wg.Go(func() {
				a := b.scan(t, newRequest(http.MethodGet, user(userID, "/login/qr"), ""), scannedBy(aliceAccount))
				if a.status != 101 && a.status != 409 || a.status >= 500 {
					t.Errorf("got %d %s", a.status, a.body)
				}
			})
		}
	}
	wg.Wait()
	owners := 0
	for _, userID := range []id.UserID{alice, bob, admin} {
		b.call(t, http.MethodGet, user(userID, ""), "").want(t, 200, "")
		if session := b.telegram.LoggedIn(userID); session != 0 {
			owners++
			b.expectUser(t, userID, provisioning.TelegramID(session), false, provisioning.TelegramID(session))
		}
	}
	if owners != 1 || b.telegram.ShownQR() != 0 {
		t.Errorf("%d users are logged in with one account, %d QR codes are shown", owners, b.telegram.ShownQR())
	}
}

// A token keeps itself out of logs.
func TestQRTokenHidesItself(t *testing.T) {
	token := provisioning.QRToken{URL: "tg://login?token=86420"}
	for _, s := range []string{token.String(), token.GoString()} {
		if strings.Contains(s, "86420") {
			t.Errorf("it prints %s", s)
		}
	}
}
