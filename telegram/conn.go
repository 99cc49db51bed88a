package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/provisioning"
)

// conn is one running gotd client. It reconnects by itself until it is stopped.
type conn struct {
	client  *telegram.Client
	storage *storage
	ctx     context.Context // ends when the client is to stop
	cancel  context.CancelFunc
	breaks  atomic.Int64 // how often the connection has broken
	up      atomic.Bool  // there is a connection

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

// startSession starts the client of a stored session, or of a new one. The caller has
// locked the slot, which gets the client.
func (f *Factory) startSession(ctx context.Context, key sessionKey, s *slot) (*conn, error) {
	elsewhere, err := f.otherDatacenters(ctx, key)
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
	c, err := f.startClient(ctx, key, s, f.store, options)
	if err == nil && options.UpdateHandler != nil {
		c.use() // for as long as it runs
	}
	return c, err
}

// otherDatacenters returns where to find the datacenters that a stored session knows of,
// for a session of an account that is at home in another one than Config.Datacenter. gotd
// v0.162.0 has them in the session, and connects with those of its options only (no issue;
// TestGotdForgetsDatacenters).
func (f *Factory) otherDatacenters(ctx context.Context, key sessionKey) ([]tg.DCOption, error) {
	if f.cfg.Datacenter == nil {
		return nil, nil // gotd knows Telegram's own
	}
	loader := session.Loader{Storage: &storage{rows: f.store, key: key}}
	data, err := loader.Load(ctx)
	if errors.Is(err, session.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a session: %w", err)
	}
	return f.cfg.Datacenter.otherThan(data.Config.DCOptions), nil
}

// startClient starts a client whose session is in rows. The caller has locked the slot,
// which gets the client; nil is none. Errors: provisioning.ErrOverloaded.
func (f *Factory) startClient(request context.Context, key sessionKey, s *slot, rows sessionRows, options telegram.Options) (*conn, error) {
	if err := f.reserveClient(request); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(f.ctx)
	c := &conn{
		storage:    &storage{rows: rows, key: key, saved: make(chan struct{})},
		ctx:        ctx,
		cancel:     cancel,
		ready:      make(chan struct{}),
		authorized: make(chan struct{}),
		done:       make(chan struct{}),
	}
	c.usedAt.Store(time.Now().UnixNano())
	log := f.cfg.Log.With().Str("session", string(key)).Logger()
	options.SessionStorage = c.storage
	options.Resolver = &closingResolver{inner: options.Resolver, ctx: ctx, exchanges: f.exchanges}
	options.Middlewares = []telegram.Middleware{
		telegram.MiddlewareFunc(c.countUse), telegram.MiddlewareFunc(f.floodWait), telegram.MiddlewareFunc(f.observe),
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
	if s != nil {
		s.conn = c
	}
	f.work.Go(func() { f.runClient(c, key, log) })
	return c, nil
}

// connectionState is told of every change of the state of a client's connection.
func (f *Factory) connectionState(c *conn, state telegram.ConnectionState) {
	c.up.Store(state == telegram.ConnectionStateReady)
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
func (f *Factory) runClient(c *conn, key sessionKey, log zerolog.Logger) {
	defer c.cancel()
	defer close(c.done)
	defer f.releaseClient()
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
				f.cfg.Running(ctx, key.userID(), c.client)
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

// waitStored waits until the client's session is stored, which has the auth key. gotd
// v0.162.0 runs before it stores the session (https://github.com/gotd/td/pull/1851 wants
// to change it; TestGotdRunsBeforeTheSessionIsStored).
func (c *conn) waitStored(ctx context.Context) error {
	select {
	case <-c.storage.saved:
		return nil
	case <-c.done:
		return c.stopReason("")
	case <-ctx.Done():
		return fmt.Errorf("store the session: %w", ctx.Err())
	}
}

// stopReason says why a client that is done has stopped, in the core's language. The
// method is that of a call which it stopped with, "" for none.
func (c *conn) stopReason(method string) error {
	if c.err == nil || errors.Is(c.err, context.Canceled) {
		return fmt.Errorf("%w: the client was stopped", provisioning.ErrTelegramUnavailable)
	}
	return translate(method, c.err)
}

// stop ends the client. Nothing of it writes to the database afterwards, though it
// may take a moment until all of it has ended.
func (c *conn) stop() {
	c.cancel() // and with it a write under way
	c.storage.close()
}

func (c *conn) stopped() bool { return isClosed(c.done) }

func (c *conn) authorize() { c.authOnce.Do(func() { close(c.authorized) }) }

func (c *conn) isAuthorized() bool { return isClosed(c.authorized) }

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// connect returns the client of a slot that the caller has locked, once it is connected.
func (f *Factory) connect(ctx context.Context, key sessionKey, s *slot) (*conn, error) {
	c := s.conn
	if c == nil || c.stopped() {
		var err error
		if c, err = f.startSession(ctx, key, s); err != nil {
			return nil, err
		}
	}
	return c, c.wait(ctx)
}

// activeSession returns a session that is logged in, and whose client is connected;
// conn.unuse must follow. With an error of the connection it returns both. Errors:
// provisioning.ErrNotLoggedIn, provisioning.ErrOverloaded; those of the database and the
// context.
func (f *Factory) activeSession(ctx context.Context, key sessionKey) (*active, error) {
	r, ok, err := f.store.get(ctx, key)
	if err != nil {
		return nil, err
	}
	if !ok || r.step != stepActive {
		if c := f.liveConn(key); c != nil {
			c.forgetAccount() // somebody else has logged out
		}
		return nil, provisioning.ErrNotLoggedIn
	}
	c := f.useLiveConn(key)
	if c == nil {
		if c, err = f.startActive(ctx, key); err != nil {
			return nil, err
		}
	}
	return &active{conn: c, f: f, key: key, record: r}, c.wait(ctx)
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
	if r, _, err := f.store.get(ctx, key); err != nil {
		return nil, err
	} else if r.step != stepActive {
		return nil, provisioning.ErrNotLoggedIn
	}
	c := s.conn
	if c == nil || c.stopped() {
		if c, err = f.startSession(ctx, key, s); err != nil {
			return nil, err
		}
		c.authorize()
	}
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
	case c.storage.isClosed():
		return provisioning.ErrNotLoggedIn // logged out by another request meanwhile
	case !cancelled && !errors.Is(err, provisioning.ErrTelegramUnavailable):
		return err
	case c.stopped():
		return c.stopReason(method)
	case cancelled: // by gotd: ctx has not ended
		return errInterrupted
	default:
		return err
	}
}

// deleteEndedSession deletes a session that Telegram has ended and stops its client,
// unless another one has taken its place already.
func (f *Factory) deleteEndedSession(ctx context.Context, key sessionKey, ended *conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	s, err := f.lockSlot(ctx, key)
	if err != nil {
		return err
	}
	defer f.unlockSlot(key, s)
	if s.conn != ended {
		return nil
	}
	f.cfg.Log.Info().Str("session", string(key)).Msg("Telegram has ended a session")
	return f.deleteSession(ctx, key, s)
}

// cleanupTimeout is how long it may take to delete a session, beyond the deadline of the
// request that found that it has ended, or ended it.
const cleanupTimeout = 5 * time.Second

// deleteSession stops the client of a slot that the caller has locked and deletes the
// session, also when ctx has ended.
func (f *Factory) deleteSession(ctx context.Context, key sessionKey, s *slot) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if s.conn != nil {
		s.conn.stop()
		f.setConn(s, nil)
	}
	return f.store.delete(ctx, key)
}
