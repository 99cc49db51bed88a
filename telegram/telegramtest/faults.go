package telegramtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

// AnyMethod stands for every method in [Server.Fail], [Server.Hold] and
// [Server.Latency]. What is set for a method itself goes first.
const AnyMethod = "*"

// faults are what the server does wrong on demand, and what it has counted.
// Server.mu guards them.
type faults struct {
	calls    map[string]int
	failures map[string][]failure
	held     map[string]*Held
	latency  map[string]time.Duration
	// transportCode is the transport's error for as many messages as transportTimes says.
	transportCode  int32
	transportTimes int
	// rejectCode is why as many calls are rejected as rejectTimes says.
	rejectCode, rejectTimes int
}

// failure is an error for the next calls.
type failure struct {
	times int
	err   *tgerr.Error
}

// methodNames has the names of TL.
var methodNames = sync.OnceValue(tg.NamesMap)

// checkMethod panics for what is no TL method: a test that waits for its calls, or counts
// them, would prove nothing.
func checkMethod(name string) {
	if _, ok := methodNames()[name]; !ok && name != AnyMethod {
		panic(fmt.Sprintf("telegramtest: TL has no method %q", name))
	}
}

func newFaults() faults {
	return faults{
		calls: map[string]int{}, failures: map[string][]failure{},
		held: map[string]*Held{}, latency: map[string]time.Duration{},
	}
}

// Fail makes the next calls of a TL method, such as auth.sendCode, get an error of
// Telegram's, such as 420 FLOOD_WAIT_5, 303 NETWORK_MIGRATE_4 or -503 Timeout, instead of
// being done. Code and message go out as they are. Errors that are set while others are left
// come after them. Zero times takes back those that are left. It panics for a name that is no
// method's, as Hold, Latency and Calls do.
func (s *Server) Fail(method string, times, code int, message string) {
	checkMethod(method)
	s.mu.Lock()
	defer s.mu.Unlock()
	if times <= 0 {
		delete(s.faults.failures, method)
		return
	}
	s.faults.failures[method] = append(s.faults.failures[method], failure{times, tgerr.New(code, message)})
}

// FailTransport makes the next encrypted messages get an error of the transport instead of
// an answer, such as 404, which says that their auth key is not known, and 429. Nothing
// is forgotten. The connection is closed then, but for 404. Zero times takes back those that
// are left.
//
// https://core.telegram.org/mtproto/mtproto-transports#transport-errors
func (s *Server) FailTransport(times int, code int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.transportCode, s.faults.transportTimes = code, times
}

// failTransport returns the code of the error that a message has to get, 0 for none.
func (s *Server) failTransport() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.transportTimes <= 0 {
		return 0
	}
	s.faults.transportTimes--
	return s.faults.transportCode
}

// fail returns the error that a call has to get, nil for none.
func (f *faults) fail(method string) error {
	for _, name := range []string{method, AnyMethod} {
		queue := f.failures[name]
		if len(queue) == 0 {
			continue
		}
		queue[0].times--
		err := queue[0].err
		if queue[0].times == 0 {
			f.failures[name] = queue[1:]
		}
		return err
	}
	return nil
}

// Held are the calls of a method that are held back, see [Server.Hold]. It is safe
// for concurrent use.
type Held struct {
	server   *Server
	method   string
	arrived  chan struct{}
	released chan struct{}
	once     sync.Once
}

// Hold holds back every call of a TL method, such as auth.signIn, until it is
// released or the call's connection ends. Only then it is looked at any further:
// whether it has to fail, and who makes it. A later Hold of the same method takes
// over the calls that arrive from then on.
func (s *Server) Hold(method string) *Held {
	checkMethod(method)
	h := &Held{server: s, method: method, arrived: make(chan struct{}), released: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.held[method] = h
	return h
}

// Arrived gives one value for each call that is held. The channel is never closed.
func (h *Held) Arrived() <-chan struct{} { return h.arrived }

// Release lets the calls go on, and holds no more. Calls after the first do nothing.
func (h *Held) Release() {
	h.once.Do(func() {
		h.server.mu.Lock()
		defer h.server.mu.Unlock()
		if h.server.faults.held[h.method] == h {
			delete(h.server.faults.held, h.method)
		}
		close(h.released)
	})
}

// wait holds a call.
func (h *Held) wait(ctx context.Context) error {
	arrived := h.arrived
	for {
		select {
		case arrived <- struct{}{}:
			arrived = nil // told
		case <-h.released:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Latency makes every call of a TL method take that much longer. Zero ends it.
func (s *Server) Latency(method string, d time.Duration) {
	checkMethod(method)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.latency[method] = d
}

// enter counts a call and does to it what the test wants. It returns an error that
// the call has to get.
func (s *Server) enter(ctx context.Context, method string) error {
	s.mu.Lock()
	s.faults.calls[method]++
	s.faults.calls[AnyMethod]++
	held := s.faults.held[method]
	if held == nil {
		held = s.faults.held[AnyMethod]
	}
	latency := s.faults.latency[method]
	if latency == 0 {
		latency = s.faults.latency[AnyMethod]
	}
	s.mu.Unlock()
	if held != nil {
		if err := held.wait(ctx); err != nil {
			return err
		}
	}
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.fail(method)
}

// DropConnections closes all connections that are open now.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropAll()
}

// dropAll closes all connections. Server.mu is held.
func (s *Server) dropAll() {
	for c := range s.conns {
		c.drop()
	}
}

// Refuse closes all connections, and every new one at once, until it is called with
// false.
func (s *Server) Refuse(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
	if refuse {
		s.dropAll()
	}
}

// Blackhole makes the server accept connections and bytes, but answer nothing,
// until it is called with false. Then all connections are closed, so that no client
// waits for answers to what was lost.
func (s *Server) Blackhole(blackhole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blackhole.Swap(blackhole) && !blackhole {
		s.dropAll()
	}
}
