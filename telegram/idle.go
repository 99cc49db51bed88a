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

// use says that somebody uses the client: it isn't stopped for being idle. unuse must
// follow. Of those who found it in its slot, it is called with Factory.mu held.
func (c *conn) use() { c.users.Add(1) }

func (c *conn) unuse() {
	c.usedAt.Store(time.Now().UnixNano())
	c.users.Add(-1)
}

// used makes every call on the client count as its use, those of the host too. When
// Telegram says that the session has ended, the account is asked for again.
func (c *conn) used(next tg.Invoker) telegram.InvokeFunc {
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

// idle is a client that was taken out of its slot to be stopped, with the slot's turn.
type idle struct {
	key  sessionKey
	slot *slot
	conn *conn
}

// takeIdle takes a client out of its slot that nobody uses, unless somebody is about to
// change its session. It needs Factory.mu.
func (f *Factory) takeIdle(key sessionKey, s *slot) (idle, bool) {
	if s.conn == nil || s.conn.users.Load() > 0 {
		return idle{}, false
	}
	select {
	case s.turn <- struct{}{}:
	default:
		return idle{}, false
	}
	taken := idle{key, s, s.conn}
	s.refs++
	s.conn = nil
	return taken, true
}

// stopIdle stops a client, and lets the next one of its session start only when it has
// stopped: Telegram ends a session that is used twice. It waits for that as long as the
// context allows.
func (f *Factory) stopIdle(ctx context.Context, taken idle) {
	taken.conn.stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-taken.conn.done
		f.release(taken.key, taken.slot)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
	}
}

// stopIdleClients stops the clients that were not used for a time.
func (f *Factory) stopIdleClients(unused time.Duration) {
	before := time.Now().Add(-unused).UnixNano()
	var taken []idle
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

// makeRoom takes a place for one more client, if need be that of the client which has
// been idle longest. leave must follow when the client has stopped. Errors:
// provisioning.ErrOverloaded.
func (f *Factory) makeRoom(ctx context.Context) error {
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
func (f *Factory) takeLongestIdle() (idle, bool) {
	for {
		var oldest *slot
		var of sessionKey
		for key, s := range f.slots {
			if s.conn == nil || s.conn.users.Load() > 0 || len(s.turn) > 0 {
				continue
			}
			if oldest == nil || s.conn.usedAt.Load() < oldest.conn.usedAt.Load() {
				of, oldest = key, s
			}
		}
		if oldest == nil {
			return idle{}, false
		}
		if taken, ok := f.takeIdle(of, oldest); ok {
			return taken, true
		}
	}
}

// leave gives a place back.
func (f *Factory) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients--
}
