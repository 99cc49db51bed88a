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
	"github.com/tgprovision/tgprovision/telegram/calls"
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
	// moved ends with a movedError as its cause when Telegram wants the login made elsewhere.
	moved context.Context

	uses   atomic.Int64 // see use
	usedAt atomic.Int64 // when it was used last, as time.Time.UnixNano

	account     atomic.Pointer[rememberedAccount] // nil where it has to be asked for
	chatChanges atomic.Int64                      // see chatsChanged
	kept        keptLists

	ready      chan struct{} // closed when the first connection is up
	refused    chan error    // has what Telegram has refused a connection with
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
			options.UpdateHandler = guardedHandler(f.cfg.Log, handler)
		}
	}
	c, err := f.startClient(ctx, key, row, data, options, false)
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

// startClient starts a client of a row, with a new auth key where it has none, or is to have
// another one. Errors: provisioning.ErrOverloaded.
func (f *Factory) startClient(request context.Context, key sessionKey, row rowID, data sessionData, options telegram.Options, newKey bool) (*conn, error) {
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
		refused:    make(chan error, 1),
		authorized: make(chan struct{}),
		done:       make(chan struct{}),
	}
	reconnected := make(chan struct{})
	c.reconnected.Store(&reconnected)
	c.usedAt.Store(time.Now().UnixNano())
	log := f.loggerOf(key)
	ofTelegram := &telegramClock{log: log}
	options.SessionStorage, options.Clock, options.MessageID = c.storage, ofTelegram, &messageIDs{clock: ofTelegram}
	moved, move := context.WithCancelCause(context.Background())
	c.moved = moved
	resolver := &clientResolver{
		inner: options.Resolver, ctx: ctx, own: f.ownTurns, gotds: f.gotdsTurns, storage: c.storage, clock: ofTelegram, reached: f.reached,
		keyUnknown: c.endByTelegram, elsewhere: func(dc int) {
			move(movedError{dc})
			cancel()
		},
		connected: c.ready, refused: func(err error) { c.noteFlood(err, f.cfg.MaxFloodWait) },
	}
	keys := newKeyMaker(options, resolver, f.primes, newKey)
	options.Resolver = resolver
	options.Middlewares = []telegram.Middleware{
		telegram.MiddlewareFunc(c.countUse), telegram.MiddlewareFunc(c.endWhenMoved), telegram.MiddlewareFunc(f.floodWait),
		telegram.MiddlewareFunc(exportAnew),
		wrapped(func(next tg.Invoker) tg.Invoker { return calls.RepeatTransient(next, f.pause) }),
		telegram.MiddlewareFunc(f.observe), wrapped(calls.ReturnInTime),
		wrapped(func(next tg.Invoker) tg.Invoker { return calls.RetryUnsent(next, c.done) }),
		wrapped(func(next tg.Invoker) tg.Invoker { return calls.SendOnce(next, c.breaks.Load) }),
	}
	failed := func(err error) {
		log().Debug().Err(err).Msg("Lost a connection to Telegram")
		c.noteRefusal(err)
	}
	options.OnDead = failed
	options.OnConnectionState = func(state telegram.ConnectionState) {
		log().Debug().Stringer("state", state).Msg("Connection to Telegram")
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
	f.work.Go(func() { f.runClient(c, log, func() error { return keys.run(ctx, failed) }) })
	return c, nil
}

// logger returns the logger of a client. It is made when there is something to log: each takes
// half a kilobyte, and there are thousands of clients.
type logger func() *zerolog.Logger

func (f *Factory) loggerOf(key sessionKey) logger {
	return func() *zerolog.Logger {
		log := f.cfg.Log.With().Str("session", string(key)).Logger()
		return &log
	}
}

// wrapped is a middleware of package calls.
func wrapped(wrap func(tg.Invoker) tg.Invoker) telegram.Middleware {
	return telegram.MiddlewareFunc(func(next tg.Invoker) telegram.InvokeFunc { return wrap(next).Invoke })
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

// runClient runs a client until it stops, once it has an auth key.
func (f *Factory) runClient(c *conn, log logger, makeKey func() error) {
	defer c.cancel()
	defer close(c.done)
	defer f.releaseClient(c)
	log().Debug().Msg("Starting a Telegram client")
	if c.err = makeKey(); c.err == nil {
		c.err = c.client.Run(c.ctx, func(ctx context.Context) error {
			// gotd v0.162.0 may tell the state later (no issue;
			// TestGotdRunsBeforeItSaysThatItIsConnected).
			c.up.Store(true)
			close(c.ready)
			select {
			case <-c.authorized:
				f.callRunning(ctx, c, log)
			case <-ctx.Done():
			}
			<-ctx.Done()
			return ctx.Err()
		})
	}
	if c.ctx.Err() == nil {
		log().Warn().Err(c.err).Msg("A Telegram client has stopped by itself")
	} else {
		log().Debug().Msg("Stopped a Telegram client")
	}
}

// callRunning calls Config.Running for a client that is logged in.
func (f *Factory) callRunning(ctx context.Context, c *conn, log logger) {
	if f.cfg.Running == nil {
		return
	}
	c.use()
	defer c.unuse()
	guard(*log(), "Config.Running", func() { f.cfg.Running(ctx, c.key.userID(), c.client) })
}

// connectWait is how long a read of the API waits for a connection, which fails fast after
// that: whoever reads is told that Telegram is away.
const connectWait = 3 * time.Second

// wait waits until the first connection is up.
func (c *conn) wait(ctx context.Context) error {
	if isClosed(c.ready) {
		return nil
	}
	if provisioning.CachedReads(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, connectWait, provisioning.ErrTelegramUnavailable)
		defer cancel()
	}
	select {
	case <-c.ready:
		return nil
	case err := <-c.refused:
		return translate(connecting, err)
	case <-c.done:
		return c.stopReason("")
	case <-ctx.Done():
		return c.storage.blame(fmt.Errorf("connect to Telegram: %w", context.Cause(ctx)))
	}
}

// waitUp waits for a read of the API until a connection that is known to be down is up again.
func (c *conn) waitUp(ctx context.Context) error {
	next := *c.reconnected.Load()
	if c.up.Load() {
		return nil
	}
	timer := time.NewTimer(connectWait)
	defer timer.Stop()
	select {
	case <-next:
		return nil
	case <-c.done:
		return c.stopReason("")
	case <-timer.C:
		return c.storage.blame(fmt.Errorf("%w: the connection is down", provisioning.ErrTelegramUnavailable))
	case <-ctx.Done():
		return c.storage.blame(fmt.Errorf("connect to Telegram: %w", ctx.Err()))
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
	case errors.Is(err, provisioning.ErrDatabase):
		return err
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
// which gotd says a moment later, it is why that was so, else calls.ErrInterrupted.
func (c *conn) interrupted(ctx context.Context, method string) error {
	const moment = time.Second
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.stopReason(method)
	case <-*c.reconnected.Load():
		return calls.ErrInterrupted
	case <-timer.C:
		return calls.ErrInterrupted
	case <-ctx.Done():
		return fmt.Errorf("wait for Telegram: %w", ctx.Err())
	}
}
