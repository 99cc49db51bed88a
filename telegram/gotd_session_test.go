package telegram_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Then sessionConn.Recv can go.
func TestGotdReplacesUnknownKeys(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	require.NoError(t, s.AddAccount(ada))
	key, err := s.AddAuthKey(ada.ID)
	require.NoError(t, err)
	id := crypto.Key(key).ID()
	storage := &session.StorageMemory{}
	loader := session.Loader{Storage: storage}
	require.NoError(t, loader.Save(t.Context(), &session.Data{DC: s.DC(), AuthKey: key, AuthKeyID: id[:]}))
	ctx, client := startGotd(t, s, func(o *gotd.Options) { o.SessionStorage = storage })
	_, err = client.Self(ctx)
	require.NoError(t, err)

	require.NoError(t, s.ForgetKeys(ada.ID))
	ctx, cancel := context.WithCancel(ctx)
	self := make(chan error, 1)
	go func() {
		_, err := client.Self(ctx)
		self <- err
	}()
	require.Eventually(t, func() bool { return len(s.AuthKeys()) == 1 }, patience, time.Millisecond, "it makes no new key")
	assert.NotEqual(t, key, s.AuthKeys()[0])
	cancel()
	require.Error(t, <-self)
}

// contextConn counts the messages that are sent with a context of a call.
type contextConn struct {
	transport.Conn
	sent *atomic.Int64
}

type callValue struct{}

// Send implements transport.Conn.
func (c contextConn) Send(ctx context.Context, b *bin.Buffer) error {
	if ctx.Value(callValue{}) != nil {
		c.sent.Add(1)
	}
	return c.Conn.Send(ctx, b)
}

// contextResolver makes contextConns.
type contextResolver struct {
	dcs.Resolver
	sent *atomic.Int64
}

// Primary implements dcs.Resolver.
func (r contextResolver) Primary(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	conn, err := r.Resolver.Primary(ctx, dc, list)
	return contextConn{conn, r.sent}, err
}

// storedKeyFirst stands on this. It is not documented.
func TestGotdSendsWithTheCallsContext(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	ctx, client := startGotd(t, telegramtest.NewServer(t, telegramtest.Config{}), func(o *gotd.Options) {
		o.Resolver = contextResolver{o.Resolver, &sent}
	})
	require.Zero(t, sent.Load())
	_, err := client.API().HelpGetConfig(context.WithValue(ctx, callValue{}, true))
	require.NoError(t, err)
	assert.Positive(t, sent.Load())
}

// Then the type in calls.RepeatTransient has a better name.
func TestGotdHidesIgnoredMessages(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	ctx, client := startGotd(t, s, unchanged)
	s.RejectCalls(1, 20)
	_, err := client.API().HelpGetNearestDC(ctx)
	require.ErrorContains(t, err, "message too old")
	var types []string
	for ; err != nil; err = errors.Unwrap(err) {
		types = append(types, fmt.Sprintf("%T", err))
	}
	assert.Contains(t, types, "*mtproto.badMessageError")
}
