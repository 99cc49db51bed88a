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

	users  atomic.Int64 // see use
	usedAt atomic.Int64 // when it was used last, as time.Time.UnixNano

	account     atomic.Pointer[knownAccount] // nil where it has to be asked for
	chatChanges atomic.Int64                 // see changeChats

	ready      chan struct{} // closed when the first connection is up
	authorized chan struct{} // closed when the client is known to be logged in
	authOnce   sync.Once
	done       chan struct{} // closed when the client has stopped
	err        error         // why it stopped; read after done
}

// start runs a client for a session. The caller holds the slot's turn.
func (f *Factory) start(ctx context.Context, key sessionKey, s *slot) (*conn, error) {
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
	c, err := f.run(ctx, key, s, f.store, options)
	if err == nil && options.UpdateHandler != nil {
		c.use() // for as long as it runs
	}
	return c, err
}

// otherDatacenters returns where to find the datacenters that a stored session knows of,
// for a session of an account that is at home in another one than Config.Datacenter.
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
	return f.cfg.Datacenter.others(data.Config.DCOptions), nil
}

// run runs a client for a session that is stored in rows. The caller holds the turn of
// the slot, which gets the client; nil is none. Errors: provisioning.ErrOverloaded.
func (f *Factory) run(request context.Context, key sessionKey, s *slot, rows sessionRows, options telegram.Options) (*conn, error) {
	if err := f.makeRoom(request); err != nil {
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
		telegram.MiddlewareFunc(c.used), telegram.MiddlewareFunc(f.floodWait), telegram.MiddlewareFunc(f.observe),
		telegram.MiddlewareFunc(punctual), telegram.MiddlewareFunc(c.resend), telegram.MiddlewareFunc(c.once),
	}
	options.OnDead = func(err error) { log.Debug().Err(err).Msg("Lost a connection to Telegram") }
	options.OnConnectionState = func(state telegram.ConnectionState) {
		log.Debug().Stringer("state", state).Msg("Connection to Telegram")
		c.up.Store(state == telegram.ConnectionStateReady)
		if state == telegram.ConnectionStateDisconnected {
			c.breaks.Add(1)
			c.forgetAccount() // Telegram may have closed it because the session has ended
			if f.cfg.Observer.Disconnected != nil && ctx.Err() == nil {
				f.cfg.Observer.Disconnected()
			}
		}
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
	f.work.Go(func() {
		defer cancel()
		defer close(c.done)
		defer f.leave()
		log.Debug().Msg("Starting a Telegram client")
		c.err = c.client.Run(ctx, func(ctx context.Context) error {
			c.up.Store(true) // gotd tells the state a moment later
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
		if ctx.Err() == nil {
			log.Warn().Err(c.err).Msg("A Telegram client has stopped by itself")
		} else {
			log.Debug().Msg("Stopped a Telegram client")
		}
	})
	return c, nil
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

// connect returns a connection of a slot whose turn the caller holds, and which is
// up.
func (f *Factory) connect(ctx context.Context, key sessionKey, s *slot) (*conn, error) {
	c := s.conn
	if c == nil || c.stopped() {
		var err error
		if c, err = f.start(ctx, key, s); err != nil {
			return nil, err
		}
	}
	return c, c.wait(ctx)
}

// connected returns a session that is logged in, and whose connection is up; conn.unuse
// must follow. With an error of the connection it returns both. Errors:
// provisioning.ErrNotLoggedIn, provisioning.ErrOverloaded; those of the database and the
// context.
func (f *Factory) connected(ctx context.Context, key sessionKey) (*active, error) {
	r, ok, err := f.store.get(ctx, key)
	if err != nil {
		return nil, err
	}
	if !ok || r.step != stepActive {
		if c := f.running(key); c != nil {
			c.forgetAccount() // somebody else has logged out
		}
		return nil, provisioning.ErrNotLoggedIn
	}
	c := f.hold(key)
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
	s, err := f.acquire(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.release(key, s)
	// Somebody may have logged out while this waited for its turn.
	if r, _, err := f.store.get(ctx, key); err != nil {
		return nil, err
	} else if r.step != stepActive {
		return nil, provisioning.ErrNotLoggedIn
	}
	c := s.conn
	if c == nil || c.stopped() {
		if c, err = f.start(ctx, key, s); err != nil {
			return nil, err
		}
		c.authorize()
	}
	c.use() // it can't be stopped as idle as long as this holds the turn
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
// Telegram has ended the session, the session is forgotten.
func (f *Factory) callOnce(ctx context.Context, key sessionKey, run func(*active) error) error {
	a, err := f.connected(ctx, key)
	if a != nil {
		defer a.unuse()
	}
	if err == nil {
		err = a.explain(ctx, "", run(a))
	}
	if a != nil && errors.Is(err, provisioning.ErrNotLoggedIn) {
		if forgetErr := f.forget(ctx, key, a.conn); forgetErr != nil {
			return forgetErr
		}
	}
	return err
}

// errInterrupted: the connection broke before Telegram's answer came. Telegram may
// or may not have done what it was asked.
var errInterrupted = fmt.Errorf("%w: the connection broke before the answer", provisioning.ErrTelegramUnavailable)

// explain turns the error of a call on the client into one of the core's. The method is
// the one that was called, "" where that makes no difference.
func (c *conn) explain(ctx context.Context, method string, err error) error {
	done, isSettled := errors.AsType[*settled](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("wait for Telegram: %w", ctx.Err())
	case c.storage.isClosed():
		return provisioning.ErrNotLoggedIn // logged out by another request meanwhile
	case isSettled:
		return done.error
	case c.stopped():
		return c.stopReason(method)
	case errors.Is(err, context.Canceled): // gotd's, not ours
		return errInterrupted
	default:
		return translate(method, err)
	}
}

// forget stops the client of a session that Telegram has ended and deletes the
// session, unless another one has taken its place already.
func (f *Factory) forget(ctx context.Context, key sessionKey, ended *conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	s, err := f.acquire(ctx, key)
	if err != nil {
		return err
	}
	defer f.release(key, s)
	if s.conn != ended {
		return nil
	}
	f.cfg.Log.Info().Str("session", string(key)).Msg("Telegram has ended a session")
	return f.discard(ctx, key, s)
}

// cleanupTimeout is how long it may take to forget a session, beyond the deadline
// of the request that found it dead or ended it.
const cleanupTimeout = 5 * time.Second

// discard stops the client of a slot whose turn the caller holds and deletes the
// session, also when ctx has ended.
func (f *Factory) discard(ctx context.Context, key sessionKey, s *slot) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if s.conn != nil {
		s.conn.stop()
		f.setConn(s, nil)
	}
	return f.store.delete(ctx, key)
}
