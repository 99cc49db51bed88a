package telegram

import (
	"context"
	"net"
	"testing"

	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Between the end of a client's context and gotd's noticing it, gotd may see its
// connection close and try another one.
func TestNoDialAfterTheEnd(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	list := dcs.List{Options: []tg.DCOption{{ID: 2, IPAddress: "127.0.0.1", Port: port}}}
	dials := 0
	ctx, cancel := context.WithCancel(t.Context())
	r := &clientResolver{ctx: ctx, own: newTurns(), gotds: newTurns(), storage: newStorage(nil, nil), reached: &reachable{}, inner: dcs.Plain(dcs.PlainOptions{
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	})}

	conn, err := r.Primary(t.Context(), 2, list)
	require.NoError(t, err)
	cancel()
	_, err = r.Primary(t.Context(), 2, list)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, dials)
	_ = conn.Close() // which the end of the context does as well
}
