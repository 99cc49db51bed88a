package telegram

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gotd/td/exchange"
	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/internal/authkey"
)

// The auth key of a new session is made with package authkey, before gotd's client starts with
// it. gotd v0.162.0 takes several times as much of a processor (no issue;
// TestGotdTestsPrimesAnew), and may use a key before it has stored it
// (https://github.com/gotd/td/pull/1851 wants to change it;
// TestGotdRunsBeforeTheSessionIsStored).

// keyMaker makes the auth key of a session.
type keyMaker struct {
	dc       int
	list     dcs.List
	keys     []telegram.PublicKey
	resolver *clientResolver
	primes   *authkey.Primes
	again    bool // also where the session has one
}

// newKeyMaker returns what makes the key of a client with the options, which gotd has
// defaults for.
func newKeyMaker(options telegram.Options, resolver *clientResolver, primes *authkey.Primes, again bool) *keyMaker {
	k := &keyMaker{
		dc: cmp.Or(options.DC, 2), list: options.DCList, keys: options.PublicKeys, resolver: resolver, primes: primes, again: again,
	}
	if k.list.Zero() {
		k.list = dcs.Prod()
	}
	if len(k.keys) == 0 {
		k.keys = publicKeys()
	}
	return k
}

// What gotd does with connections.
const (
	keyTimeout    = 35 * time.Second
	firstKeyRetry = 100 * time.Millisecond
	lastKeyRetry  = 5 * time.Second
)

// run makes the key and stores it, unless there is one. Like gotd it tries until it has one,
// and tells failed why it does not. Errors: the context's; exchange.ErrKeyFingerprintNotFound;
// those of LoadSession.
func (k *keyMaker) run(ctx context.Context, failed func(error)) error {
	if !k.again {
		if _, err := k.resolver.storage.LoadSession(ctx); !errors.Is(err, session.ErrNotFound) {
			return err
		}
	}
	var data []byte
	for pause := firstKeyRetry; ; pause = min(2*pause, lastKeyRetry) {
		var err error
		if data == nil {
			data, err = k.make(ctx)
		}
		if err == nil {
			err = k.resolver.storage.StoreSession(ctx, data)
		}
		if err == nil || errors.Is(err, exchange.ErrKeyFingerprintNotFound) {
			return err
		}
		failed(err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// make makes a session with a new key, and leaves the connection for gotd's client.
func (k *keyMaker) make(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	conn, err := k.resolver.dial(ctx, k.dc, k.list, k.resolver.inner.Primary, k.resolver.own)
	if err != nil {
		return nil, err
	}
	made, err := authkey.Exchange{Conn: conn, DC: k.dc, Keys: k.keys, Clock: k.resolver.clock, Primes: k.primes}.Run(ctx)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	k.resolver.spare.Store(&spareConn{conn, k.dc})
	return encodeSession(ctx, &session.Data{
		Config: session.Config{ThisDC: k.dc, DCOptions: k.list.Options}, DC: k.dc,
		AuthKey: made.Key.Value[:], AuthKeyID: made.Key.ID[:], Salt: made.Salt,
	})
}

// movedError is that of a call of a login that Telegram wants made at another datacenter.
type movedError struct{ dc int }

func (e movedError) Error() string {
	return fmt.Sprintf("Telegram wants a login made at datacenter %d", e.dc)
}

// Unwrap makes it provisioning.ErrTelegramUnavailable for whoever does not follow.
func (e movedError) Unwrap() error { return provisioning.ErrTelegramUnavailable }

// mostMoves is how often Telegram may send a login on to another datacenter.
const mostMoves = 3

// follow makes a call of a login, and makes it again where Telegram sends it to: with another
// client of the row, which it returns. gotd would make the auth key there by itself.
//
// https://core.telegram.org/api/errors#303-see-other
func (l *login) follow(ctx context.Context, c *conn, call func(c *conn) error) (*conn, error) {
	for moves := 0; ; moves++ {
		err := call(c)
		moved, ok := errors.AsType[movedError](err)
		if !ok || moves == mostMoves {
			return c, err
		}
		next, err := l.f.move(ctx, c, moved.dc)
		if err != nil {
			if l.record.row != c.row { // it is nobody's yet
				err = errors.Join(err, l.f.store.delete(context.WithoutCancel(ctx), c.row))
			}
			return c, err
		}
		if l.slot.conn == c {
			l.f.setConn(l.slot, next)
		}
		c = next
		if err := c.wait(ctx); err != nil {
			return c, err
		}
	}
}

// move starts a client of a row at another datacenter, with another auth key, in place of the
// one that runs.
func (f *Factory) move(ctx context.Context, c *conn, dc int) (*conn, error) {
	known := c.client.Config().DCOptions
	c.stopAndWait(ctx)
	return f.startClient(ctx, c.key, c.row, c.storage.data, f.cfg.optionsAt(dc, known), true)
}
