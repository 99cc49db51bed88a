package telegram

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gotd/td/telegram"
	"golang.org/x/sync/singleflight"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/testsleep"
	"github.com/tgprovision/tgprovision/provisioning"
)

// Factory makes the Telegram clients of all Matrix users. It is made by
// [NewFactory] and safe for concurrent use.
//
// Two processes may share a Factory's database only while no Matrix user is
// served by both: Telegram ends a session that is used over two connections.
type Factory struct {
	cfg   Config
	store *sessionStore
	sleep func(context.Context, time.Duration) error

	ctx    context.Context // ends at Close, and with it every client
	cancel context.CancelFunc
	work   sync.WaitGroup // the goroutines of clients, the janitor, and shared calls

	lists     *listMemory
	loggedOut loggedOutMemory
	exchanges *exchanges
	shared    singleflight.Group

	mu      sync.Mutex
	closed  bool
	slots   map[sessionKey]*slot
	clients int // that run, or are about to
}

var _ provisioning.TelegramClientFactory = (*Factory)(nil)

func init() {
	testsleep.Set = func(factory any, sleep func(context.Context, time.Duration) error) { factory.(*Factory).sleep = sleep }
}

// slot is the place of one session's client. It exists while somebody has locked it or
// waits for that, and while there is a client.
type slot struct {
	lock chan struct{} // has a value while the slot is locked: while somebody changes the session
	refs int           // how many have locked it or wait; guarded by Factory.mu
	conn *conn         // written with the slot locked and Factory.mu held
}

// NewFactory upgrades the session tables and returns a Factory. ctx limits the
// upgrade only.
func NewFactory(ctx context.Context, cfg Config) (*Factory, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	store, err := newSessionStore(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	f := &Factory{cfg: cfg, store: store, sleep: sleep, exchanges: newExchanges(), slots: map[sessionKey]*slot{}}
	f.lists, f.loggedOut.age = newListMemory(cfg.ListAge), cfg.AccountAge
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.work.Go(f.runJanitor)
	return f, nil
}

// Client implements provisioning.TelegramClientFactory. The client returned is a
// *Client, and implements every optional interface of package provisioning.
func (f *Factory) Client(_ context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	return &Client{f: f, key: sessionKey(userID)}, nil
}

// RelayBot returns the client of the bridge's relay bot, which logs itself in with
// the token when needed, for provisioning.Config.RelayBot.
func (f *Factory) RelayBot(token string) (*Client, error) {
	botID, secret, ok := strings.Cut(token, ":")
	if !ok || botID == "" || secret == "" || strings.Trim(botID, "0123456789") != "" {
		return nil, errors.New("the relay bot's token is not of the form <bot ID>:<secret>, as BotFather gives it")
	}
	return &Client{f: f, key: sessionKey("relaybot:" + botID), token: token}, nil
}

// LoggedIn lists the Matrix users who were logged in when last seen, for a host
// that wants all clients running after its start, or goes on with what [Client.HandOver]
// has left unfinished: who is being handed over is among them.
func (f *Factory) LoggedIn(ctx context.Context) ([]id.UserID, error) {
	return f.store.acceptedUsers(ctx)
}

// Telegram returns the live gotd client of a user who is logged in, starting it if
// need be. It may be used until it stops, see [Config.Running]; of a host without Running
// and Updates, that may be when it has made no call for [Config.IdleTimeout]. Errors:
// provisioning.ErrNotLoggedIn; provisioning.ErrOverloaded, see [Config.MaxClients]; the
// context's when Telegram can't be reached.
func (f *Factory) Telegram(ctx context.Context, userID id.UserID) (*telegram.Client, error) {
	a, err := f.activeSession(ctx, sessionKey(userID))
	if a != nil {
		defer a.unuse()
	}
	if err != nil {
		return nil, err
	}
	return a.client, nil
}

// Close stops every client, waits until they have stopped, or returns the
// context's error if that comes first. Sessions stay: a new Factory on the same
// database goes on with them.
func (f *Factory) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	stopped := make(chan struct{})
	go func() {
		f.work.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errClosed is what everything returns after Close.
var errClosed = fmt.Errorf("%w: the factory is closed", provisioning.ErrTelegramUnavailable)

// lockSlot waits until it has locked the slot of a session; unlockSlot must follow. Whoever
// changes what is stored of a session, or starts or stops its client, locks it.
func (f *Factory) lockSlot(ctx context.Context, key sessionKey) (*slot, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, errClosed
	}
	s := f.slots[key]
	if s == nil {
		s = &slot{lock: make(chan struct{}, 1)}
		f.slots[key] = s
	}
	s.refs++
	f.mu.Unlock()
	select {
	case s.lock <- struct{}{}:
		return s, nil
	case <-ctx.Done():
		f.unref(key, s)
		return nil, ctx.Err()
	}
}

func (f *Factory) unlockSlot(key sessionKey, s *slot) {
	<-s.lock
	f.unref(key, s)
}

func (f *Factory) unref(key sessionKey, s *slot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.refs--
	if s.refs == 0 && s.conn == nil {
		delete(f.slots, key)
	}
}

// setConn changes the client of a slot that the caller has locked.
func (f *Factory) setConn(s *slot, c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.conn = c
}

// useLiveConn returns the client of a session that runs, nil if there is none; conn.unuse
// must follow.
func (f *Factory) useLiveConn(key sessionKey) *conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.liveConnLocked(key)
	if c != nil {
		c.use()
	}
	return c
}

// liveConn returns the client of a session that runs, for a look at what is remembered
// with it, nil if there is none.
func (f *Factory) liveConn(key sessionKey) *conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.liveConnLocked(key)
}

// liveConnLocked needs Factory.mu.
func (f *Factory) liveConnLocked(key sessionKey) *conn {
	if s := f.slots[key]; s != nil && s.conn != nil && !s.conn.stopped() {
		return s.conn
	}
	return nil
}

// runJanitor deletes half-done logins that are too old, forgets old lists, and stops idle
// clients, until the factory is closed. The logins that a killed process left behind go
// at the first round.
func (f *Factory) runJanitor() {
	period := f.cfg.LoginTimeout
	if f.cfg.IdleTimeout > 0 {
		period = min(period, f.cfg.IdleTimeout)
	}
	ticker := time.NewTicker(max(period/4, time.Second))
	defer ticker.Stop()
	for {
		if err := f.deleteOldLogins(f.ctx); err != nil && f.ctx.Err() == nil {
			f.cfg.Log.Warn().Err(err).Msg("Could not delete old logins")
		}
		f.lists.expire()
		if f.cfg.IdleTimeout > 0 {
			f.stopIdleClients(f.cfg.IdleTimeout)
		}
		select {
		case <-ticker.C:
		case <-f.ctx.Done():
			return
		}
	}
}

// deleteOldLogins deletes the half-done logins that are too old, those that have a client
// together with it.
func (f *Factory) deleteOldLogins(ctx context.Context) error {
	f.mu.Lock()
	var pending []sessionKey
	for key, s := range f.slots {
		if s.conn != nil && !s.conn.isAuthorized() {
			pending = append(pending, key)
		}
	}
	f.mu.Unlock()
	for _, key := range pending {
		if err := f.deleteOldLogin(ctx, key); err != nil {
			return err
		}
	}
	return f.store.deleteLogins(ctx, time.Now().Add(-f.cfg.LoginTimeout))
}

func (f *Factory) deleteOldLogin(ctx context.Context, key sessionKey) error {
	s, err := f.lockSlot(ctx, key)
	if err != nil {
		return err
	}
	defer f.unlockSlot(key, s)
	r, _, err := f.store.get(ctx, key)
	if err != nil {
		return err
	}
	if r.step.accepted() || !f.expired(r) {
		return nil
	}
	return f.deleteSession(ctx, key, s)
}

// expired says whether a half-done login is too old to go on.
func (f *Factory) expired(r record) bool {
	return time.Since(r.requestedAt) > f.cfg.LoginTimeout
}

// sleep pauses, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
