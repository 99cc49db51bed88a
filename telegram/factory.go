package telegram

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gotd/td/telegram"
	"golang.org/x/sync/singleflight"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/testsleep"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/internal/authkey"
)

// Factory makes the Telegram clients of all Matrix users. It is made by
// [NewFactory] and safe for concurrent use.
//
// Two processes may share a Factory's database only while no Matrix user is
// served by both: Telegram ends a session that is used over two connections. A session that
// one process ends has no client in the others some seconds later.
type Factory struct {
	cfg   Config
	store *sessionStore
	sleep func(context.Context, time.Duration) error // guarded by mu: a test may replace it
	// premade, if set by a test, returns a session to begin a login with, in place of a key
	// exchange.
	premade func() []byte

	ctx    context.Context // ends at Close, and with it every client
	cancel context.CancelFunc
	work   sync.WaitGroup // the goroutines of clients, runMaintenance, runEnds, and shared calls
	wake   chan struct{}  // there may be sessions to end
	ending atomic.Int64   // how many there were lately
	ends   sync.Mutex     // held by a round of endDue

	lists                *listMemory
	loggedOut            loggedOutMemory
	primes               *authkey.Primes
	ownTurns, gotdsTurns turns
	newSessions          newSessions
	shared               singleflight.Group
	reached              *reachable

	mu      sync.Mutex
	closed  bool
	slots   map[sessionKey]*slot
	conns   map[*conn]struct{} // the clients that run
	clients int                // that run, or are about to
}

var (
	_ provisioning.TelegramClientFactory = (*Factory)(nil)
	_ provisioning.Checker               = (*Factory)(nil)
)

func init() {
	testsleep.Set = func(factory any, sleep func(context.Context, time.Duration) error) {
		f := factory.(*Factory)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sleep = sleep
	}
}

// slot is the place of one session's client. It exists while somebody has locked it or
// waits for that, and while there is a client.
type slot struct {
	lock chan struct{} // has a value while the slot is locked: while somebody changes the session
	refs int           // how many have locked it or wait; guarded by Factory.mu
	conn *conn         // written with the slot locked and Factory.mu held
}

// NewFactory upgrades the session tables, encrypts what is in them where there is a
// session key, and returns a Factory. ctx limits no more than that. Errors: ErrSessionKey
// where sessions are encrypted with a key that is not there, and nothing has changed then;
// dbutil.ErrUnsupportedDatabaseVersion for tables of a newer version.
func NewFactory(ctx context.Context, cfg Config) (*Factory, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	store, err := openStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	f := &Factory{
		cfg: cfg, store: store, sleep: sleep, primes: authkey.NewPrimes(), ownTurns: newTurns(), gotdsTurns: newTurns(), newSessions: makeNewSessions(cfg.MaxClients),
		slots: map[sessionKey]*slot{}, conns: map[*conn]struct{}{}, wake: make(chan struct{}, 1), reached: &reachable{log: cfg.Log},
	}
	f.lists, f.loggedOut.age = newListMemory(cfg.ListAge), cfg.AccountAge
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.work.Go(f.runMaintenance)
	f.work.Go(f.runEnds)
	return f, nil
}

// openStore upgrades the tables, and encrypts what is clear.
func openStore(ctx context.Context, cfg Config) (*sessionStore, error) {
	store, err := newSessionStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := store.checkKeys(ctx, store.keys); err != nil {
		return nil, err
	}
	if len(cfg.SessionKeys) == 0 {
		cfg.Log.Warn().Msg("Telegram sessions are stored in clear: who reads the database has the accounts. Set Config.SessionKeys")
		return store, nil
	}
	if _, err := store.reencrypt(ctx, isClear); err != nil {
		return nil, err
	}
	return store, nil
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

// useLiveConn returns the client of a row that runs, nil if there is none; conn.unuse
// must follow.
func (f *Factory) useLiveConn(key sessionKey, row rowID) *conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.liveConnLocked(key)
	if c == nil || c.row != row || !isClosed(c.authorized) {
		return nil
	}
	c.use()
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

// maxMaintenance is how often runMaintenance looks at least, and with it how long a client goes on at
// most whose session another process has ended.
const maxMaintenance = 5 * time.Second

// runMaintenance maintains what the factory has, until it is closed.
func (f *Factory) runMaintenance() {
	period := maxMaintenance
	if f.cfg.IdleTimeout > 0 {
		period = min(period, max(f.cfg.IdleTimeout/4, time.Second))
	}
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		if err := f.checkRows(f.ctx); err != nil && f.ctx.Err() == nil {
			f.cfg.Log.Warn().Err(err).Msg("Could not look whether sessions were ended")
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

// checkRows stops the clients whose rows are gone or to be ended, and keeps the rows of
// logins that are being tried.
func (f *Factory) checkRows(ctx context.Context) error {
	f.mu.Lock()
	conns := slices.Collect(maps.Keys(f.conns))
	f.mu.Unlock()
	conns = slices.DeleteFunc(conns, func(c *conn) bool { return c.row == "" || c.storage.isFinished() })
	rows := make([]rowID, len(conns))
	var logins []rowID
	for i, c := range conns {
		rows[i] = c.row
		if !isClosed(c.authorized) {
			logins = append(logins, c.row)
		}
	}
	if err := f.store.keep(ctx, logins); err != nil {
		return err
	}
	alive, err := f.store.alive(ctx, rows)
	if err != nil {
		return err
	}
	for _, c := range conns {
		if !alive[c.row] {
			f.cfg.Log.Info().Str("session", string(c.key)).Msg("A session was ended elsewhere: its Telegram client stops")
			c.stop()
		}
	}
	f.forgetStopped()
	return nil
}

// pause pauses, or returns the context's error.
func (f *Factory) pause(ctx context.Context, d time.Duration) error {
	f.mu.Lock()
	sleep := f.sleep
	f.mu.Unlock()
	return sleep(ctx, d)
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
