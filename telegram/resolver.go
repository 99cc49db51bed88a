package telegram

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/proto/codec"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/transport"
)

// clientResolver makes the connections of a client. They take turns at key exchanges, and
// they are closed when the client's context ends; from then on there are no more.
//
// A session that is not logged in has connections to the datacenter of its auth key only, see
// login.follow.
//
// gotd v0.162.0 sees to neither. In the middle of a key exchange with a server that does
// not answer, it reads on for 35 seconds (https://github.com/gotd/td/pull/1838 is about
// the same read; TestGotdExchangesKeysAfterItsEnd). It dials without a look at its context
// (no issue; TestGotdDialsAfterItsEnd), and may see that its connection is closed before
// it sees that it is to stop.
type clientResolver struct {
	inner   dcs.Resolver
	ctx     context.Context
	own     turns // at the exchanges of keyMaker
	gotds   turns // at those of gotd
	storage *storage
	clock   *telegramClock
	reached *reachable
	// keyUnknown is told when Telegram has said twice, over two connections, that it does
	// not know the auth key of the session.
	keyUnknown func()
	// connected is closed when the client has connected; until then refused is told of errors
	// that Telegram answers with.
	connected <-chan struct{}
	refused   func(error)
	// elsewhere is told where Telegram wants a call made that is to log in.
	elsewhere func(dc int)

	spare atomic.Pointer[spareConn]

	mu      sync.Mutex
	unknown int // how often Telegram has said so since it last took the key
}

var _ dcs.Resolver = (*clientResolver)(nil)

// Primary implements dcs.Resolver.
func (r *clientResolver) Primary(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	if spare := r.spare.Load(); spare != nil && spare.dc == dc && r.spare.CompareAndSwap(spare, nil) {
		return spare.Conn, nil
	}
	if !r.storage.mayUse(dc) {
		r.elsewhere(dc)
		return nil, movedError{dc}
	}
	return r.dial(ctx, dc, list, r.inner.Primary, r.gotds)
}

// spareConn is the connection on which a key was made, which gotd's client goes on with.
type spareConn struct {
	transport.Conn
	dc int
}

// MediaOnly implements dcs.Resolver.
func (r *clientResolver) MediaOnly(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	return r.dial(ctx, dc, list, r.inner.MediaOnly, r.gotds)
}

// CDN implements dcs.Resolver.
func (r *clientResolver) CDN(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	return r.dial(ctx, dc, list, r.inner.CDN, r.gotds)
}

func (r *clientResolver) dial(ctx context.Context, dc int, list dcs.List,
	resolve func(context.Context, int, dcs.List) (transport.Conn, error), turns turns,
) (transport.Conn, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := guardedDial(func() (transport.Conn, error) { return resolve(ctx, dc, list) })
	if r.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		r.reached.note(err)
	}
	if err != nil {
		return nil, err
	}
	conn = &exchangeConn{Conn: conn, turns: turns}
	conn = &sessionConn{Conn: conn, resolver: r}
	stopWaiting := context.AfterFunc(r.ctx, func() { _ = conn.Close() })
	return &closingConn{Conn: conn, stopWaiting: stopWaiting}, nil
}

// closingConn is a connection that the context closes, unless it was closed before.
type closingConn struct {
	transport.Conn
	stopWaiting func() bool // ends the wait for the context
}

// Close implements transport.Conn.
func (c *closingConn) Close() error {
	c.stopWaiting()
	return c.Conn.Close()
}

// sessionConn is a connection of a client with one session.
//
// When Telegram does not know the auth key, gotd v0.162.0 makes a new one on the spot and
// forgets the old one (no issue; TestGotdReplacesUnknownKeys). Telegram says so by
// mistake, too: the connection breaks the first time, and the client ends the second time.
//
// https://core.telegram.org/mtproto/mtproto-transports#transport-errors
type sessionConn struct {
	transport.Conn
	resolver *clientResolver

	mu      sync.Mutex
	last    authKeyID // of the last message that was sent
	timed   authKeyID // of the last message that the time was learned from, if it was
	learned bool
}

// errKeyUnknown: Telegram does not know the auth key of a session.
var errKeyUnknown = errors.New("Telegram does not know the auth key")

// Send implements transport.Conn.
func (c *sessionConn) Send(ctx context.Context, b *bin.Buffer) error {
	id := messageKey(b)
	c.mu.Lock()
	c.last = id
	c.mu.Unlock()
	return c.Conn.Send(ctx, b)
}

// Recv implements transport.Conn.
func (c *sessionConn) Recv(ctx context.Context, b *bin.Buffer) error {
	err := c.Conn.Recv(ctx, b)
	if err == nil {
		if c.resolver.storage.isStored(messageKey(b)) {
			c.resolver.keyTaken()
		}
		c.learn(b)
		return nil
	}
	refused, ok := errors.AsType[*codec.ProtocolErr](err)
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if !ok || refused.Code != codec.CodeAuthKeyNotFound || !c.resolver.storage.isStored(last) {
		return err
	}
	c.resolver.keyRefused()
	return errKeyUnknown
}

// learn learns from a message that the client has not read yet: the time, from the first one that
// comes with each key, and until the client has connected what Telegram refuses it with.
func (c *sessionConn) learn(b *bin.Buffer) {
	c.mu.Lock()
	timed := c.learned && c.timed == messageKey(b)
	c.mu.Unlock()
	if timed && isClosed(c.resolver.connected) {
		return
	}
	// To decrypt takes a large stack, which the goroutine that reads would keep for as long as
	// it waits for messages: 4 of the 80 KB that a client takes.
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !timed {
			c.learnTime(b)
		}
		c.learnRefusal(b)
	}()
	<-done
}

// learnTime learns the time from a message.
func (c *sessionConn) learnTime(b *bin.Buffer) {
	if messageID, ok := messageIDOf(b.Buf, c.resolver.storage.authKey()); ok {
		c.resolver.clock.learn(messageID)
		c.mu.Lock()
		c.timed, c.learned = messageKey(b), true
		c.mu.Unlock()
	}
}

// learnRefusal learns what Telegram refuses a client that connects with a stored key.
func (c *sessionConn) learnRefusal(b *bin.Buffer) {
	if isClosed(c.resolver.connected) {
		return
	}
	if err := refusalOf(b.Buf, c.resolver.storage.authKey()); err != nil {
		c.resolver.refused(err)
	}
}

// messageKey returns the ID of the auth key that a message is encrypted with, 0 for one of
// a key exchange.
func messageKey(b *bin.Buffer) (id authKeyID) {
	copy(id[:], b.Buf)
	return id
}

func (r *clientResolver) keyTaken() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unknown = 0
}

func (r *clientResolver) keyRefused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unknown++; r.unknown == 2 {
		r.keyUnknown()
	}
}
