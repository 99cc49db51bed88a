package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/provisioning"
)

// conn is one running gotd client. It reconnects by itself until it is stopped.
type conn struct {
	key     sessionKey
	row     rowID
	client  *telegram.Client
	storage *storage
	ctx     context.Context // ends when the client is to stop
	cancel  context.CancelFunc
	breaks  atomic.Int64 // how often the connection has broken
	up      atomic.Bool  // there is a connection
	// reconnected is closed when the next connection is up.
	reconnected atomic.Pointer[chan struct{}]
	ended       atomic.Bool // Telegram does not know the auth key
	tried       atomic.Bool // it has made a call that may have logged in

	uses   atomic.Int64 // see use
	usedAt atomic.Int64 // when it was used last, as time.Time.UnixNano

	account     atomic.Pointer[rememberedAccount] // nil where it has to be asked for
	chatChanges atomic.Int64                      // see chatsChanged

	ready      chan struct{} // closed when the first connection is up
	authorized chan struct{} // closed when the client is known to be logged in
	authOnce   sync.Once
	done       chan struct{} // closed when the client has stopped
	err        error         // why it stopped; read after done
}

// startSession starts the client of a row, which need not have an auth key yet.
func (f *Factory) startSession(ctx context.Context, key sessionKey, row rowID) (*conn, error) {
	data := storedSession{f.store, key, row}
	elsewhere, err := f.otherDatacenters(ctx, data)
	if err != nil {
		return nil, err
	}
	options := f.cfg.options()
	options.DCList.Options = append(options.DCList.Options, elsewhere...)
	if f.cfg.Updates != nil {
		if handler := f.cfg.Updates(key.userID()); handler != nil {
			options.UpdateHandler = handler
		}
	}
	c, err := f.startClient(ctx, key, row, data, options)
	if err == nil && options.UpdateHandler != nil {
		c.use() // for as long as it runs
	}
	return c, err
}

// otherDatacenters returns where to find the datacenters that a stored session knows of,
// for a session of an account that is at home in another one than Config.Datacenter. gotd
// v0.162.0 has them in the session, and connects with those of its options only (no issue;
// TestGotdForgetsDatacenters).
func (f *Factory) otherDatacenters(ctx context.Context, stored sessionData) ([]tg.DCOption, error) {
	if f.cfg.Datacenter == nil {
		return nil, nil // gotd knows Telegram's own
	}
	data, err := stored.load(ctx)
	if err != nil || data == nil {
		return nil, err
	}
	decoded, err := decodeSession(ctx, data)
	if err != nil {
		return nil, err
	}
	return f.cfg.Datacenter.otherThan(decoded.Config.DCOptions), nil
}

// startClient starts a client of a row. Errors: provisioning.ErrOverloaded.
func (f *Factory) startClient(request context.Context, key sessionKey, row rowID, data sessionData, options telegram.Options) (*conn, error) {
	if err := f.reserveClient(request); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(f.ctx)
	c := &conn{
		key:        key,
		row:        row,
		storage:    newStorage(data, cancel),
		ctx:        ctx,
		cancel:     cancel,
		ready:      make(chan struct{}),
		authorized: make(chan struct{}),
		done:       make(chan struct{}),
	}
	reconnected := make(chan struct{})
	c.reconnected.Store(&reconnected)
	c.usedAt.Store(time.Now().UnixNano())
	log := f.cfg.Log.With().Str("session", string(key)).Logger()
	options.SessionStorage = c.storage
	options.Resolver = &clientResolver{
		inner: options.Resolver, ctx: ctx, exchanges: f.exchanges, storage: c.storage, keyUnknown: c.endByTelegram,
	}
	options.Middlewares = []telegram.Middleware{
		telegram.MiddlewareFunc(c.countUse), telegram.MiddlewareFunc(c.storedKeyFirst), telegram.MiddlewareFunc(f.floodWait), telegram.MiddlewareFunc(f.observe),
		telegram.MiddlewareFunc(returnInTime), telegram.MiddlewareFunc(c.retryUnsent), telegram.MiddlewareFunc(c.sendOnce),
	}
	options.OnDead = func(err error) { log.Debug().Err(err).Msg("Lost a connection to Telegram") }
	options.OnConnectionState = func(state telegram.ConnectionState) {
		log.Debug().Stringer("state", state).Msg("Connection to Telegram")
		f.connectionState(c, state)
	}
	c.client = telegram.NewClient(f.cfg.APIID, f.cfg.APIHash, options)

	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		cancel()
		f.clients--
		return nil, errClosed
	}
	f.conns[c] = struct{}{}
	f.work.Go(func() { f.runClient(c, log) })
	return c, nil
}

// connectionState is told of every change of the state of a client's connection.
func (f *Factory) connectionState(c *conn, state telegram.ConnectionState) {
	c.up.Store(state == telegram.ConnectionStateReady)
	if state == telegram.ConnectionStateReady {
		next := make(chan struct{})
		close(*c.reconnected.Swap(&next))
	}
	if state != telegram.ConnectionStateDisconnected {
		return
	}
	c.breaks.Add(1)
	c.forgetAccount() // Telegram may have closed it because the session has ended
	if f.cfg.Observer.Disconnected != nil && c.ctx.Err() == nil {
		f.cfg.Observer.Disconnected()
	}
}

// runClient runs a client until it stops.
func (f *Factory) runClient(c *conn, log zerolog.Logger) {
	defer c.cancel()
	defer close(c.done)
	defer f.releaseClient(c)
	log.Debug().Msg("Starting a Telegram client")
	c.err = c.client.Run(c.ctx, func(ctx context.Context) error {
		// gotd v0.162.0 may tell the state later (no issue;
		// TestGotdRunsBeforeItSaysThatItIsConnected).
		c.up.Store(true)
		close(c.ready)
		select {
		case <-c.authorized:
			if f.cfg.Running != nil {
				c.use()
				f.cfg.Running(ctx, c.key.userID(), c.client)
				c.unuse()
			}
		case <-ctx.Done():
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if c.ctx.Err() == nil {
		log.Warn().Err(c.err).Msg("A Telegram client has stopped by itself")
	} else {
		log.Debug().Msg("Stopped a Telegram client")
	}
}

// wait waits until the first connection is up.
func (c *conn) wait(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-c.done:
		return c.stopReason("")
	case <-ctx.Done():
		return fmt.Errorf("connect to Telegram: %w", ctx.Err())
	}
}

// stopReason says why a client that is done has stopped, in the core's language. The
// method is that of a call which it stopped with, "" for none.
func (c *conn) stopReason(method string) error {
	switch {
	case c.ended.Load():
		return fmt.Errorf("%w: %w", provisioning.ErrNotLoggedIn, errKeyUnknown)
	case c.storage.isClosed():
		return errRowGone
	case c.err == nil || errors.Is(c.err, context.Canceled):
		return fmt.Errorf("%w: the client was stopped", provisioning.ErrTelegramUnavailable)
	default:
		return translate(method, c.err)
	}
}

// stop ends the client. Nothing of it writes to the database afterwards, though it
// may take a moment until all of it has ended.
func (c *conn) stop() {
	c.cancel() // and with it a write under way
	c.storage.close()
}

func (c *conn) stopped() bool { return isClosed(c.done) }

// endByTelegram stops the client because Telegram has ended the session.
func (c *conn) endByTelegram() {
	c.ended.Store(true)
	c.cancel()
}

// authorize says that the client is logged in.
func (c *conn) authorize() {
	c.storage.fix()
	c.authOnce.Do(func() { close(c.authorized) })
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// connect returns the client of a row, in the slot of its user that the caller has locked,
// once it is connected.
func (f *Factory) connect(ctx context.Context, key sessionKey, s *slot, row rowID) (*conn, error) {
	c, err := f.clientOf(ctx, key, s, row)
	if err != nil {
		return nil, err
	}
	return c, c.wait(ctx)
}

// clientOf returns the client of a row, and starts it if need be. A client of another row in
// the slot is stopped: another process has ended that row. The caller has locked the slot.
func (f *Factory) clientOf(ctx context.Context, key sessionKey, s *slot, row rowID) (*conn, error) {
	if c := s.conn; c != nil && c.row == row && !c.stopped() && !c.storage.isClosed() {
		return c, nil
	}
	f.stopConn(s)
	c, err := f.startSession(ctx, key, row)
	if err != nil {
		return nil, err
	}
	f.setConn(s, c)
	return c, nil
}

// stopConn stops the client in a slot that the caller has locked, if there is one.
func (f *Factory) stopConn(s *slot) {
	if s.conn != nil {
		s.conn.stop()
		f.setConn(s, nil)
	}
}

// activeSession returns a session that is logged in, and whose client is connected;
// conn.unuse must follow. With an error of the connection it returns both. Errors:
// provisioning.ErrNotLoggedIn, provisioning.ErrOverloaded; those of the database and the
// context.
func (f *Factory) activeSession(ctx context.Context, key sessionKey) (*active, error) {
	r, err := f.store.get(ctx, key)
	if err != nil {
		return nil, err
	}
	if r.step != stepActive {
		if c := f.liveConn(key); c != nil {
			c.forgetAccount() // somebody else has logged out
		}
		return nil, provisioning.ErrNotLoggedIn
	}
	c := f.useLiveConn(key, r.row)
	if c == nil {
		if c, err = f.startActive(ctx, key); err != nil {
			return nil, err
		}
	}
	return &active{conn: c, f: f, record: r}, c.wait(ctx)
}

// startActive starts the client of a session that is logged in, unless another
// request has just done so; conn.unuse must follow. It does not wait for the connection.
func (f *Factory) startActive(ctx context.Context, key sessionKey) (*conn, error) {
	s, err := f.lockSlot(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.unlockSlot(key, s)
	// Somebody may have logged out while this waited for the slot.
	r, err := f.store.get(ctx, key)
	if err != nil {
		return nil, err
	}
	if r.step != stepActive {
		return nil, provisioning.ErrNotLoggedIn
	}
	c, err := f.clientOf(ctx, key, s, r.row)
	if err != nil {
		return nil, err
	}
	c.authorize()
	c.use() // it can't be stopped as idle as long as the slot is locked
	return c, nil
}

// call runs a function that may be run again with a session that is logged in, and
// runs it again when the connection broke meanwhile.
func (f *Factory) call(ctx context.Context, key sessionKey, run func(*active) error) error {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		err := f.callOnce(ctx, key, run)
		if attempt == attempts || !errors.Is(err, errInterrupted) {
			return err
		}
	}
}

// callOnce runs a function with a session that is logged in. When it turns out that
// Telegram has ended the session, the session is deleted.
func (f *Factory) callOnce(ctx context.Context, key sessionKey, run func(*active) error) error {
	a, err := f.activeSession(ctx, key)
	if a != nil {
		defer a.unuse()
	}
	if err == nil {
		err = a.reason(ctx, "", run(a))
	}
	if a != nil && errors.Is(err, provisioning.ErrNotLoggedIn) {
		if deleteErr := f.deleteEndedSession(ctx, key, a.conn); deleteErr != nil {
			return deleteErr
		}
	}
	return err
}

// errInterrupted: the connection broke before Telegram's answer came. Telegram may or may
// not have done what it was asked. gotd v0.162.0 says that the call was cancelled
// (https://github.com/gotd/td/pull/1749; TestGotdCancelsCallsOfABrokenConnection).
var errInterrupted = fmt.Errorf("%w: the connection broke before the answer", provisioning.ErrTelegramUnavailable)

// explain turns the error of a call on the client into one of the core's. The method is
// the one that was called, "" where that makes no difference.
func (c *conn) explain(ctx context.Context, method string, err error) error {
	return c.reason(ctx, method, translate(method, err))
}

// reason returns one of the core's errors, or a better one that the client knows. Where no
// answer came because the client has stopped, it is why that was so: gotd v0.162.0 only
// says that calls were cancelled (no issue; TestGotdHidesWhyItHasStopped).
func (c *conn) reason(ctx context.Context, method string, err error) error {
	cancelled := errors.Is(err, context.Canceled)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("wait for Telegram: %w", ctx.Err())
	case c.ended.Load():
		return fmt.Errorf("%w: %w", provisioning.ErrNotLoggedIn, errKeyUnknown)
	case c.storage.isClosed():
		return errRowGone
	case !cancelled && !errors.Is(err, provisioning.ErrTelegramUnavailable):
		return err
	case c.stopped():
		return c.stopReason(method)
	case cancelled: // by gotd: ctx has not ended
		return c.interrupted(ctx, method)
	default:
		return err
	}
}

// interrupted returns why gotd has cancelled a call: where the client is just about to stop,
// which gotd says a moment later, it is why that was so, else errInterrupted.
func (c *conn) interrupted(ctx context.Context, method string) error {
	const moment = time.Second
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.stopReason(method)
	case <-*c.reconnected.Load():
		return errInterrupted
	case <-timer.C:
		return errInterrupted
	case <-ctx.Done():
		return fmt.Errorf("wait for Telegram: %w", ctx.Err())
	}
}

// deleteEndedSession deletes a session that Telegram has ended and stops its client. A
// session that has taken its place stays.
func (f *Factory) deleteEndedSession(ctx context.Context, key sessionKey, ended *conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	s, err := f.lockSlot(ctx, key)
	if err != nil {
		return err
	}
	defer f.unlockSlot(key, s)
	if s.conn == ended {
		f.setConn(s, nil)
	}
	if ended.storage.isClosed() { // by somebody who sees to the row
		return nil
	}
	ended.stop()
	f.cfg.Log.Info().Str("session", string(key)).Msg("Telegram has ended a session")
	return f.store.delete(ctx, ended.row)
}

// cleanupTimeout is how long it may take to delete a session, beyond the deadline of the
// request that found that it has ended, or ended it.
const cleanupTimeout = 5 * time.Second
