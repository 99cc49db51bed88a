package matrixtest

import (
	"context"
	"fmt"
	"sync"
)

// script counts the calls of operations, makes them fail, and holds them. Operations
// go by names such as "createRoom" or "PUT state"; "" is every one.
type script struct {
	known map[string]bool // the operations; set before the server starts

	mu    sync.Mutex
	calls map[string]int
	fails map[string]*failure
	gates map[string]*Gate
}

type failure struct {
	left  int
	fault fault
}

// check panics where there is no such operation: a test that waits for its calls, or counts
// them, would prove nothing.
func (c *script) check(operation string) {
	if !c.known[operation] {
		panic(fmt.Sprintf("matrixtest: no operation is named %q", operation))
	}
}

// Calls returns how often an operation was asked for. It panics where there is none of that
// name, as Fail and Hold do.
func (s *Server) Calls(operation string) int {
	s.script.check(operation)
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	return s.script.calls[operation]
}

// Fail makes the next n calls of an operation fail with a status and an errcode;
// operation "" is any.
func (s *Server) Fail(operation string, n, status int, errcode string) {
	if operation != "" {
		s.script.check(operation)
	}
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	if s.script.fails == nil {
		s.script.fails = map[string]*failure{}
	}
	s.script.fails[operation] = &failure{n, fault{status, errcode, "this is a fault on demand"}}
}

// Hold makes every later call of an operation wait until the gate is released.
func (s *Server) Hold(operation string) *Gate {
	s.script.check(operation)
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	if s.script.gates == nil {
		s.script.gates = map[string]*Gate{}
	}
	const capacity = 1024
	g := &Gate{arrived: make(chan struct{}, capacity), released: make(chan struct{})}
	s.script.gates[operation] = g
	return g
}

// Gate holds calls. It is made by [Server.Hold].
type Gate struct {
	arrived  chan struct{}
	once     sync.Once
	released chan struct{}
}

// Arrived receives one value for each call that has come to the gate.
func (g *Gate) Arrived() <-chan struct{} { return g.arrived }

// Release lets all calls go, and all later ones.
func (g *Gate) Release() { g.once.Do(func() { close(g.released) }) }

// enter is the beginning of every call.
func (c *script) enter(ctx context.Context, operation string) *fault {
	c.mu.Lock()
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[operation]++
	gate := c.gates[operation]
	c.mu.Unlock()
	if gate != nil {
		select {
		case gate.arrived <- struct{}{}:
		default:
		}
		select {
		case <-gate.released:
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{operation, ""} {
		if f := c.fails[name]; f != nil && f.left > 0 {
			f.left--
			return &f.fault
		}
	}
	return nil
}

func (c *script) releaseAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.gates {
		g.Release()
	}
}
