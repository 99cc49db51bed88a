package telegram

import (
	"context"

	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/transport"
)

// closingResolver makes the connections of a client. They take turns at key exchanges, and
// they are closed when the client's context ends; from then on there are no more.
//
// gotd v0.162.0 sees to neither. In the middle of a key exchange with a server that does
// not answer, it reads on for 35 seconds (https://github.com/gotd/td/pull/1838 is about
// the same read; TestGotdExchangesKeysAfterItsEnd). It dials without a look at its context
// (no issue; TestGotdDialsAfterItsEnd), and may see that its connection is closed before
// it sees that it is to stop.
type closingResolver struct {
	inner     dcs.Resolver
	ctx       context.Context
	exchanges *exchanges
}

var _ dcs.Resolver = (*closingResolver)(nil)

// Primary implements dcs.Resolver.
func (r *closingResolver) Primary(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	return r.dial(ctx, dc, list, r.inner.Primary)
}

// MediaOnly implements dcs.Resolver.
func (r *closingResolver) MediaOnly(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	return r.dial(ctx, dc, list, r.inner.MediaOnly)
}

// CDN implements dcs.Resolver.
func (r *closingResolver) CDN(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	return r.dial(ctx, dc, list, r.inner.CDN)
}

func (r *closingResolver) dial(ctx context.Context, dc int, list dcs.List,
	resolve func(context.Context, int, dcs.List) (transport.Conn, error),
) (transport.Conn, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := resolve(ctx, dc, list)
	if err != nil {
		return nil, err
	}
	conn = &exchangeConn{Conn: conn, exchanges: r.exchanges}
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
