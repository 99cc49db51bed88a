package telegramtest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

// AnyMethod stands for every method in Fail, Hold and Latency.
const AnyMethod = "*"

// faults are what a test makes the server do. Server.mu guards them.
type faults struct {
	calls     map[string]int
	failures  map[string]*failure
	held      map[string]*Held
	latency   map[string]time.Duration
	refuse    bool
	blackhole bool
}

type failure struct {
	times int
	err   *tgerr.Error
}

func newFaults() faults {
	return faults{
		calls: map[string]int{}, failures: map[string]*failure{},
		held: map[string]*Held{}, latency: map[string]time.Duration{},
	}
}

// Held are the calls of a method that are held back, see [Server.Hold].
type Held struct {
	arrived chan struct{}
	release chan struct{}
	forget  func()
}

// Arrived gives one value for each call that has arrived and is held.
func (h *Held) Arrived() <-chan struct{} { return h.arrived }

// Release lets the calls go on, and holds no more. It must be called once.
func (h *Held) Release() {
	h.forget()
	close(h.release)
}

// Fail makes the next calls of a TL method, such as auth.sendCode, fail with an
// error of Telegram's, such as 420 FLOOD_WAIT_5.
func (s *Server) Fail(method string, times, code int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault.failures[method] = &failure{times, tgerr.New(code, message)}
}

// Hold holds back every call of a TL method, until it is released or the
// connection ends.
func (s *Server) Hold(method string) *Held {
	const waiting = 1024 // more calls than any test holds
	h := &Held{arrived: make(chan struct{}, waiting), release: make(chan struct{})}
	h.forget = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fault.held[method] == h {
			delete(s.fault.held, method)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault.held[method] = h
	return h
}

// Latency delays every call of a TL method; 0 ends that.
func (s *Server) Latency(method string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault.latency[method] = d
}

// Refuse makes the server unreachable, or ends that: open connections break and
// new ones are closed at once.
func (s *Server) Refuse(refuse bool) {
	s.mu.Lock()
	s.fault.refuse = refuse
	s.mu.Unlock()
	if refuse {
		s.DropConnections()
	}
}

// Blackhole makes the server swallow everything that it is sent, or ends that.
// Connections stay open.
func (s *Server) Blackhole(blackhole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault.blackhole = blackhole
}

// DropConnections breaks all connections that are open. Clients may connect again.
func (s *Server) DropConnections() {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		c.drop()
	}
}

// Revoke ends all sessions of an account: their calls are answered with the error
// of the given name from now on, such as AUTH_KEY_UNREGISTERED, SESSION_REVOKED or
// USER_DEACTIVATED.
func (s *Server) Revoke(accountID int64, reason string) error {
	return s.update(func(state *state) {
		for _, key := range state.keys {
			if key.Account == accountID {
				key.Revoked = reason
			}
		}
	})
}

// ForgetKeys makes the server forget the auth keys of an account altogether, which
// clients learn from the protocol error 404.
func (s *Server) ForgetKeys(accountID int64) error {
	return s.update(func(state *state) {
		maps.DeleteFunc(state.keys, func(_ keyID, key *authKey) bool { return key.Account == accountID })
	})
}

// Calls counts the calls of a TL method that have arrived since the start or the
// last ResetCalls.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault.calls[method]
}

// ResetCalls sets all counts to zero.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.fault.calls)
}

// SendUpdates pushes updates to every connection that is logged in as the account
// and wants updates. It returns the first error of those that could not be sent.
func (s *Server) SendUpdates(accountID int64, updates tg.UpdatesClass) error {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		key, session, silent := c.key, c.session, c.noUpdates
		c.mu.Unlock()
		if l, ok := s.loginOf(key.ID); !ok || silent || l.Account != accountID || l.Revoked != "" {
			continue
		}
		if err := c.send(key, session, proto.MessageFromServer, updates); err != nil {
			return err
		}
	}
	return nil
}

// enter counts a call and applies the faults for it.
func (s *Server) enter(ctx context.Context, method string) error {
	s.mu.Lock()
	s.fault.calls[method]++
	held := first(s.fault.held[method], s.fault.held[AnyMethod])
	latency := max(s.fault.latency[method], s.fault.latency[AnyMethod])
	s.mu.Unlock()
	if held != nil {
		held.arrived <- struct{}{}
		select {
		case <-held.release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	failing := first(s.fault.failures[method], s.fault.failures[AnyMethod])
	if failing == nil || failing.times <= 0 {
		return nil
	}
	failing.times--
	return failing.err
}

func first[V any](a, b *V) *V {
	if a != nil {
		return a
	}
	return b
}

// rawBuffer decodes nothing: it leaves the inner call of a wrapper in the buffer.
type rawBuffer struct{}

func (rawBuffer) Decode(*bin.Buffer) error { return nil }
func (rawBuffer) Encode(*bin.Buffer) error { return nil }
