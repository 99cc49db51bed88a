package provisioningtest

import (
	"context"
	"sync"
)

// Script steers a fake from a test: it counts calls, makes methods fail and
// holds calls. Methods go by their Go names, such as "RequestCode". The zero
// value intervenes nowhere. It is safe for concurrent use.
type Script struct {
	mu    sync.Mutex
	calls map[string]int
	hooks map[string]func(context.Context) error
}

// On runs the hook in every later call of the method, before the method does
// anything. When the hook returns an error the method returns it and does
// nothing. The hook may panic. A nil hook ends it. The method "" is every method
// without a hook of its own.
func (s *Script) On(method string, hook func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooks == nil {
		s.hooks = map[string]func(context.Context) error{}
	}
	s.hooks[method] = hook
}

// Fail makes every later call of the method return the error; nil ends it. The
// method "" is every method without a hook of its own.
func (s *Script) Fail(method string, err error) {
	if err == nil {
		s.On(method, nil)
		return
	}
	s.On(method, func(context.Context) error { return err })
}

// Hold makes every later call of the method wait in the gate that it returns,
// until the gate is released or the call's context ends.
func (s *Script) Hold(method string) *Gate {
	g := &Gate{
		entered:   make(chan struct{}, gateCapacity),
		cancelled: make(chan error, gateCapacity),
		released:  make(chan struct{}),
	}
	s.On(method, g.wait)
	return g
}

// Calls returns how often the method has been called, failed calls included.
func (s *Script) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Check implements provisioning.Checker for the fakes: all is well, unless a hook says
// otherwise.
func (s *Script) Check(ctx context.Context) error { return s.enter(ctx, "Check") }

// enter is the beginning of every scripted method. The context counts only after
// the hook, so that a hook sees every call.
func (s *Script) enter(ctx context.Context, method string) error {
	s.mu.Lock()
	if s.calls == nil {
		s.calls = map[string]int{}
	}
	s.calls[method]++
	hook := s.hooks[method]
	if hook == nil {
		hook = s.hooks[""]
	}
	s.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// gateCapacity is how many calls a Gate reports without anybody listening.
const gateCapacity = 1024

// Gate holds calls in the middle. It is made by [Script.Hold].
type Gate struct {
	entered   chan struct{}
	cancelled chan error
	release   sync.Once
	released  chan struct{}
}

// Entered receives one value for each call that has come to the gate.
func (g *Gate) Entered() <-chan struct{} { return g.entered }

// Cancelled receives the context's error of each call whose context ended while
// it was held.
func (g *Gate) Cancelled() <-chan error { return g.cancelled }

// Release lets go all calls that are held, and all later ones.
func (g *Gate) Release() { g.release.Do(func() { close(g.released) }) }

func (g *Gate) wait(ctx context.Context) error {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	select {
	case <-g.released:
		return nil
	case <-ctx.Done():
		select {
		case g.cancelled <- ctx.Err():
		default:
		}
		return ctx.Err()
	}
}
