package provisioning_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Hanging up at any moment leaves nothing, and what was there before is there still.
func TestHangUpDuringQR(t *testing.T) {
	hangUps := map[string]func(*scanner){
		"properly": func(c *scanner) { _ = c.Close(websocket.StatusGoingAway, "") },
		"at once":  func(c *scanner) { _ = c.CloseNow() },
	}
	moments := map[string]func(t *testing.T, s *wireServer, c *scanner){
		"after a code": func(_ *testing.T, _ *wireServer, c *scanner) { c.code() },
		"after two codes": func(_ *testing.T, s *wireServer, c *scanner) {
			c.code()
			s.telegram.ExpireQR()
			c.code()
		},
		"before a code is there": nil,
	}
	for name, hangUp := range hangUps {
		for moment, reach := range moments {
			t.Run(moment+", "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newWireServer(t, nil)
					s.login(t, alice, requestAlice)
					start := time.Now()
					if reach == nil {
						gate := s.telegram.Hold("LoginQR")
						c := s.openQR(t, alice)
						<-gate.Entered()
						hangUp(c)
						if err := <-gate.Cancelled(); !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					} else {
						c := s.openQR(t, alice)
						reach(t, s, c)
						hangUp(c)
					}
					s.wantNoQR(t, start, 0)
					s.login(t, alice, [2]string{"send_code", `{"code":"01234"}`})
				})
			})
		}
	}
}

// Who hangs up when the app has said that it is done is logged in.
func TestHangUpAfterScan(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		entered, released := make(chan struct{}), make(chan struct{})
		s.users.On("LinkAccount", func(ctx context.Context) error {
			close(entered)
			<-released
			return ctx.Err()
		})
		start := time.Now()
		c := s.openQR(t, alice)
		s.scanQR(t, c.code(), aliceAccount.ID)
		<-entered
		_ = c.CloseNow()
		synctest.Wait()
		close(released)
		s.wantNoQR(t, start, 0)
		s.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
	})
}

// Close ends what nobody has scanned, and waits for what somebody has.
func TestCloseEndsQRLogins(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		start := time.Now()
		entered, released := make(chan struct{}), make(chan struct{})
		s.users.On("LinkAccount", func(context.Context) error {
			close(entered)
			<-released
			return nil
		})
		idle, scanned := s.openQR(t, alice), s.openQR(t, bob)
		idle.code()
		s.scanQR(t, scanned.code(), aliceAccount.ID)
		<-entered
		closed := make(chan error, 1)
		go func() { closed <- s.provisioner.Close(t.Context()) }()
		idle.ends(`{"success":false,"error":"unknown_error"}`)
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("Close has not waited: %v", err)
		default:
		}
		close(released)
		scanned.ends(`{"success":true}`)
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Close has taken %s", took)
		}
		s.expectUser(t, bob, aliceAccount.ID, false, aliceAccount.ID)
	})
}

// A peer that is gone without a word is noticed by the pings.
func TestDeadPeerOfQR(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		start := time.Now()
		s.openQR(t, alice).code() // and then it reads no more
		advance(30 * time.Second)
		s.wantNoQR(t, start, 30*time.Second)
	})
	// Also while Telegram is waited for; and nobody waits for it to read the last word.
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		gate := s.telegram.Hold("LoginQR")
		start := time.Now()
		c := s.openQR(t, alice)
		<-gate.Entered()
		<-gate.Cancelled()
		s.wantNoQR(t, start, provisioning.DefaultTimeout)
		_ = c.CloseNow()
	})
}

// A client that is there stays connected, however long a QR code lasts.
func TestLivePeerOfQR(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		c := s.openQR(t, alice)
		messages := make(chan string, 10)
		go func() {
			defer close(messages)
			for {
				_, data, err := c.Read(t.Context())
				if err != nil {
					return
				}
				messages <- string(data)
			}
		}()
		// What it sends is of no interest.
		for _, said := range []string{"hello", "", "{}"} {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(said)); err != nil {
				t.Error(err)
			}
		}
		for range 4 {
			<-messages
		}
		if last := <-messages; last != `{"success":false,"error":"timeout"}` {
			t.Errorf("the last message is %s", last)
		}
		<-messages
	})
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		start := time.Now()
		c := s.openQR(t, alice)
		c.code()
		go func() { _ = c.Write(t.Context(), websocket.MessageText, make([]byte, 64<<10)) }()
		if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("a large message ends the socket with %v", err)
		}
		_ = c.CloseNow()
		s.wantNoQR(t, start, 10*time.Second)
	})
}
