package telegram

import (
	"context"

	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/transport"
)

// closingResolver closes its connections when a context ends, with which the
// client stops. gotd itself, in the middle of a key exchange with a server that does
// not answer, reads on for half a minute.
type closingResolver struct {
	inner dcs.Resolver
	ctx   context.Context
}

var _ dcs.Resolver = (*closingResolver)(nil)

// Primary implements dcs.Resolver.
func (r *closingResolver) Primary(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	return r.closing(r.inner.Primary(ctx, dc, list))
}

// MediaOnly implements dcs.Resolver.
func (r *closingResolver) MediaOnly(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	return r.closing(r.inner.MediaOnly(ctx, dc, list))
}

// CDN implements dcs.Resolver.
func (r *closingResolver) CDN(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	return r.closing(r.inner.CDN(ctx, dc, list))
}

func (r *closingResolver) closing(conn transport.Conn, err error) (transport.Conn, error) {
	if err != nil {
		return nil, err
	}
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
