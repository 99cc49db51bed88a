package provisioningtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// brokenTelegram is a backend of the suites whose factory is broken.
type brokenTelegram struct {
	*Telegram
	change  func(c *brokenClient)                     // every client
	client  func(t *Telegram, userID id.UserID) error // is called by Client
	restart func(sessions map[id.UserID]*session)     // is called by every Open but the first
	shared  map[id.UserID]any                         // of all clients, for what they like
	opened  bool
}

func (b *brokenTelegram) Open() provisioning.TelegramClientFactory {
	if b.opened && b.restart != nil {
		b.restart(b.sessions)
	}
	b.opened = true
	return b
}

func (b *brokenTelegram) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	if b.client != nil {
		if err := b.client(b.Telegram, userID); err != nil {
			return nil, err
		}
	}
	sound, err := b.Telegram.Client(ctx, userID)
	if err != nil {
		return nil, err
	}
	c := newBrokenClient(sound.(*client), b.shared)
	if b.change != nil {
		b.change(c)
	}
	return c, nil
}

// telegramMutant is a factory whose clients are broken in one way, and the check that has
// to notice. If not all of them are to be broken alike, whole breaks the backend.
type telegramMutant struct {
	name   string
	check  string
	change func(c *brokenClient)
	whole  func(b *brokenTelegram)
}

// backend returns a backend that is broken in this way.
func (m telegramMutant) backend() *brokenTelegram {
	b := &brokenTelegram{Telegram: NewTelegram(), change: m.change, shared: map[id.UserID]any{}}
	if m.whole != nil {
		m.whole(b)
	}
	return b
}

// testTelegramSuite is testSuite on a Telegram.
func testTelegramSuite[B TelegramBackend](t *testing.T, checks []suiteCheck[B], mutants ...[]telegramMutant) {
	t.Helper()
	backend := func(m telegramMutant) func() B { return func() B { return any(m.backend()).(B) } }
	var list []suiteMutant[B]
	for _, m := range slices.Concat(mutants...) {
		list = append(list, suiteMutant[B]{m.name, m.check, backend(m)})
	}
	testSuite(t, checks, backend(telegramMutant{}), list)
}

// session returns what the client keeps, nil for nothing.
func (c *brokenClient) session() *session {
	c.telegram.mu.Lock()
	defer c.telegram.mu.Unlock()
	return c.telegram.sessions[c.userID]
}

// keep replaces what the client keeps; nil is nothing.
func (c *brokenClient) keep(s *session) { c.keepFor(c.userID, s) }

func (c *brokenClient) keepFor(userID id.UserID, s *session) {
	c.telegram.mu.Lock()
	defer c.telegram.mu.Unlock()
	if s == nil {
		delete(c.telegram.sessions, userID)
		return
	}
	c.telegram.sessions[userID] = s
}

func (c *brokenClient) isAway() bool {
	c.telegram.mu.Lock()
	defer c.telegram.mu.Unlock()
	return c.telegram.away
}

var errSome = errors.New("EOF")

// insteadOf has the client return an error in place of another.
func insteadOf(from, to error) func(*brokenClient) {
	return onError(from, func(*brokenClient) error { return to })
}

// onError does something when the client is about to return an error, and returns another
// one.
func onError(which error, do func(c *brokenClient) error) func(*brokenClient) {
	return func(c *brokenClient) {
		c.around = func(ctx context.Context, _ string, call func(context.Context) error) error {
			err := call(ctx)
			if errors.Is(err, which) {
				return do(c)
			}
			return err
		}
	}
}

// forgetting forgets what the client keeps when it is about to return an error.
func forgetting(which error) func(*brokenClient) {
	return onError(which, func(c *brokenClient) error {
		c.keep(nil)
		return which
	})
}

// inMethod does something in place of a method.
func inMethod(name string, do func(ctx context.Context, c *brokenClient, call func(context.Context) error) error) func(*brokenClient) {
	return func(c *brokenClient) {
		c.around = func(ctx context.Context, method string, call func(context.Context) error) error {
			if method != name {
				return call(ctx)
			}
			return do(ctx, c, call)
		}
	}
}

// notLoggedInMutants are of suites of methods that need a login.
var notLoggedInMutants = []telegramMutant{
	{name: "not logged in is some error", check: "not logged in", change: insteadOf(provisioning.ErrNotLoggedIn, errSome)},
	{name: "not logged in is no error", check: "not logged in", change: insteadOf(provisioning.ErrNotLoggedIn, nil)},
	{name: "an ended session is a refusal", check: "ended session", change: endedRefused},
	{name: "an ended session is kept", check: "ended session", change: endedKept},
}

// endedRefused returns a refusal when a session was ended.
func endedRefused(c *brokenClient) {
	insteadOf(errSessionEnded, &provisioning.TelegramError{Code: 401, Type: "SESSION_REVOKED"})(c)
}

// endedKept keeps a session that was ended.
func endedKept(c *brokenClient) {
	c.around = func(ctx context.Context, _ string, call func(context.Context) error) error {
		before := c.session()
		err := call(ctx)
		if errors.Is(err, errSessionEnded) {
			c.keep(before)
		}
		return err
	}
}

// errorMutants are of all suites.
var errorMutants = []telegramMutant{
	{name: "a flood wait is a refusal", check: "flood wait", change: changingErrors(func(err error) error {
		if _, ok := errors.AsType[*provisioning.FloodWaitError](err); ok {
			return &provisioning.TelegramError{Code: 420, Type: "FLOOD_WAIT"}
		}
		return err
	})},
	{name: "a flood wait of a second", check: "flood wait", change: changingErrors(func(err error) error {
		if _, ok := errors.AsType[*provisioning.FloodWaitError](err); ok {
			return &provisioning.FloodWaitError{Wait: time.Second}
		}
		return err
	})},
	{name: "flood waits are waited out", check: "flood wait", change: func(c *brokenClient) {
		c.around = func(ctx context.Context, _ string, call func(context.Context) error) error {
			err := call(ctx)
			if flood, ok := errors.AsType[*provisioning.FloodWaitError](err); ok {
				_ = wait(ctx, flood.Wait)
				return ctx.Err()
			}
			return err
		}
	}},
	{name: "a refusal is some error", check: "refusal", change: changingErrors(func(err error) error {
		if _, ok := errors.AsType[*provisioning.TelegramError](err); ok {
			return errSome
		}
		return err
	})},
	{name: "a refusal without its code", check: "refusal", change: changingErrors(func(err error) error {
		if refusal, ok := errors.AsType[*provisioning.TelegramError](err); ok {
			return &provisioning.TelegramError{Type: refusal.Type}
		}
		return err
	})},
	{name: "a restricted account is some refusal", check: "restricted account", change: insteadOf(
		provisioning.ErrTelegramRestricted, &provisioning.TelegramError{Code: 420, Type: "FROZEN_METHOD_INVALID"},
	)},
	{name: "a restricted account without Telegram's name", check: "restricted account", change: changingErrors(func(err error) error {
		if errors.Is(err, provisioning.ErrTelegramRestricted) {
			return provisioning.ErrTelegramRestricted
		}
		return err
	})},
	{name: "a refused bridge is some refusal", check: "refused bridge", change: insteadOf(
		provisioning.ErrBridgeRefused, &provisioning.TelegramError{Code: 400, Type: "API_ID_INVALID"},
	)},
	{name: "away is some error", check: "Telegram away", change: insteadOf(provisioning.ErrTelegramUnavailable, errSome)},
	{name: "a call hangs", check: "Telegram away", change: onError(provisioning.ErrTelegramUnavailable, func(*brokenClient) error {
		<-time.After(hang)
		return provisioning.ErrTelegramUnavailable
	})},
	{name: "no context", check: "context", change: func(c *brokenClient) {
		c.around = func(ctx context.Context, _ string, call func(context.Context) error) error {
			return call(context.WithoutCancel(ctx))
		}
	}},
}

// losingMutants are of suites of calls that have something to lose.
var losingMutants = []telegramMutant{
	{name: "a flood wait ends everything", check: "flood wait", change: func(c *brokenClient) {
		c.around = func(ctx context.Context, _ string, call func(context.Context) error) error {
			err := call(ctx)
			if _, ok := errors.AsType[*provisioning.FloodWaitError](err); ok {
				c.keep(nil)
			}
			return err
		}
	}},
	{name: "all is lost when Telegram is away", check: "Telegram away", change: forgetting(provisioning.ErrTelegramUnavailable)},
	{name: "all is lost when the context ends", check: "context", change: forgetting(context.Canceled)},
}

// alreadyMutants are of suites of logins.
var alreadyMutants = []telegramMutant{
	{name: "logged in is some error", check: "already logged in", change: insteadOf(provisioning.ErrAlreadyLoggedIn, errSome)},
	{name: "logged in is no error", check: "already logged in", change: insteadOf(provisioning.ErrAlreadyLoggedIn, nil)},
	{name: "a second login ends the first", check: "already logged in", change: forgetting(provisioning.ErrAlreadyLoggedIn)},
}

func changingErrors(change func(error) error) func(*brokenClient) {
	return func(c *brokenClient) {
		c.around = func(ctx context.Context, _ string, call func(context.Context) error) error { return change(call(ctx)) }
	}
}

// wait pauses, or returns the context's error.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
