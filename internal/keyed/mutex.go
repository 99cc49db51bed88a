// Package keyed has a mutex for each of many keys.
package keyed

import (
	"context"
	"sync"
)

// Mutex is a mutex for each key. Its zero value is ready to use.
type Mutex[K comparable] struct {
	mu    sync.Mutex
	turns map[K]*turn
}

// turn is a key that somebody holds or waits for.
type turn struct {
	free  chan struct{} // holds one value while nobody has the turn
	users int
}

// Lock waits for the key, and returns what gives it back, or the context's error.
func (m *Mutex[K]) Lock(ctx context.Context, key K) (unlock func(), err error) {
	m.mu.Lock()
	if m.turns == nil {
		m.turns = map[K]*turn{}
	}
	t := m.turns[key]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		m.turns[key] = t
	}
	t.users++
	m.mu.Unlock()

	leave := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(m.turns, key)
		}
	}
	select {
	case <-t.free:
		return func() {
			t.free <- struct{}{}
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
