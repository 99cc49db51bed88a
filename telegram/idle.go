package telegram

import (
	"context"
	"fmt"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// A client that nobody uses is stopped after a while, or when its place is needed. Its
// session stays, and the next request starts another client with it.

// use says that somebody uses the client, so that it isn't stopped as idle; unuse must
// follow. Whoever finds the client in its slot calls it before letting go of Factory.mu.
func (c *conn) use() { c.uses.Add(1) }

func (c *conn) unuse() {
	c.usedAt.Store(time.Now().UnixNano())
	c.uses.Add(-1)
}

// countUse makes every call on the client count as its use, those of the host too. When
// Telegram says that the session has ended, what is remembered of the account goes.
func (c *conn) countUse(next tg.Invoker) telegram.InvokeFunc {
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		c.use()
		defer c.unuse()
		err := next.Invoke(ctx, input, output)
		if endsSession(err) {
			c.forgetAccount()
		}
		return err
	}
}

// takenClient is a client that was taken out of its slot to be stopped. The slot is locked.
type takenClient struct {
	key  sessionKey
	slot *slot
	conn *conn
}

// takeIdle takes a client that nobody uses out of its slot, and locks the slot. It returns
// false where somebody uses it, or has locked the slot. It needs Factory.mu.
func (f *Factory) takeIdle(key sessionKey, s *slot) (takenClient, bool) {
	if s.conn == nil || s.conn.uses.Load() > 0 {
		return takenClient{}, false
	}
	return f.take(key, s)
}

// take takes the client out of a slot, and locks the slot. It returns false where somebody
// else has. It needs Factory.mu.
func (f *Factory) take(key sessionKey, s *slot) (takenClient, bool) {
	select {
	case s.lock <- struct{}{}:
	default:
		return takenClient{}, false
	}
	taken := takenClient{key, s, s.conn}
	s.refs++
	s.conn = nil
	return taken, true
}

// stopIdle stops a client, and lets the next one of its session start only when it has
// stopped: Telegram ends a session that is used twice. It waits for that as long as the
// context allows.
func (f *Factory) stopIdle(ctx context.Context, taken takenClient) {
	taken.conn.stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-taken.conn.done
		f.unlockSlot(taken.key, taken.slot)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
	}
}

// forgetStopped takes the clients that have stopped, or are just stopping because their rows
// are gone, out of their slots.
func (f *Factory) forgetStopped() {
	var taken []takenClient
	f.mu.Lock()
	for key, s := range f.slots {
		if s.conn == nil || !s.conn.stopped() && !s.conn.storage.isClosed() {
			continue
		}
		if t, ok := f.take(key, s); ok {
			taken = append(taken, t)
		}
	}
	f.mu.Unlock()
	for _, t := range taken {
		f.unlockSlot(t.key, t.slot)
	}
}

// stopIdleClients stops the clients that were not used for a time.
func (f *Factory) stopIdleClients(unused time.Duration) {
	before := time.Now().Add(-unused).UnixNano()
	var taken []takenClient
	f.mu.Lock()
	for key, s := range f.slots {
		if s.conn == nil || s.conn.usedAt.Load() > before {
			continue
		}
		if t, ok := f.takeIdle(key, s); ok {
			taken = append(taken, t)
		}
	}
	f.mu.Unlock()
	for _, t := range taken {
		t.conn.stop() // all at once
	}
	for _, t := range taken {
		f.stopIdle(f.ctx, t)
	}
	if len(taken) > 0 {
		f.cfg.Log.Debug().Int("clients", len(taken)).Msg("Stopped idle Telegram clients")
	}
}

// reserveClient counts one more client; releaseClient must follow when it has stopped.
// Where there are as many as there may be, it first stops the one that has been idle
// longest. Errors: provisioning.ErrOverloaded.
func (f *Factory) reserveClient(ctx context.Context) error {
	for {
		f.mu.Lock()
		if f.closed {
			f.mu.Unlock()
			return errClosed
		}
		if f.clients < f.cfg.MaxClients {
			f.clients++
			f.mu.Unlock()
			return nil
		}
		taken, ok := f.takeLongestIdle()
		f.mu.Unlock()
		if !ok {
			return fmt.Errorf("%w: there are %d Telegram clients, all of them in use", provisioning.ErrOverloaded, f.cfg.MaxClients)
		}
		f.stopIdle(ctx, taken)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// takeLongestIdle needs Factory.mu.
func (f *Factory) takeLongestIdle() (takenClient, bool) {
	for {
		var oldest *slot
		var of sessionKey
		for key, s := range f.slots {
			if s.conn == nil || s.conn.uses.Load() > 0 || len(s.lock) > 0 {
				continue
			}
			if oldest == nil || s.conn.usedAt.Load() < oldest.conn.usedAt.Load() {
				of, oldest = key, s
			}
		}
		if oldest == nil {
			return takenClient{}, false
		}
		if taken, ok := f.takeIdle(of, oldest); ok {
			return taken, true
		}
	}
}

// releaseClient counts one client less, which has stopped.
func (f *Factory) releaseClient(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients--
	delete(f.conns, c)
}
