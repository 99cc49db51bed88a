package telegram

import (
	"context"

	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/transport"
)

// closingResolver has its connections take turns at key exchanges, and closes them when
// a context ends, with which the
// client stops, and makes no more of them. gotd itself, in the middle of a key exchange
// with a server that does not answer, reads on for half a minute; and it may see that
// its connection is closed before it sees that it is to stop, and try another one.
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
	forget := context.AfterFunc(r.ctx, func() { _ = conn.Close() })
	return &closingConn{Conn: conn, forget: forget}, nil
}

// closingConn is a connection that the context closes, unless it was closed before.
type closingConn struct {
	transport.Conn
	forget func() bool
}

// Close implements transport.Conn.
func (c *closingConn) Close() error {
	c.forget()
	return c.Conn.Close()
}
