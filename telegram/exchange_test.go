package telegram

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// script is a connection on which messages of given types arrive.
type script struct {
	transport.Conn
	types []uint32
}

func (s *script) Recv(_ context.Context, b *bin.Buffer) error {
	if len(s.types) == 0 {
		return errors.New("the script is over")
	}
	b.Buf = make([]byte, 24)
	binary.LittleEndian.PutUint32(b.Buf[20:], s.types[0])
	if s.types[0] == 0 { // an encrypted one
		b.Buf[0] = 1
	}
	s.types = s.types[1:]
	return nil
}

func (s *script) Send(context.Context, *bin.Buffer) error { return nil }
func (s *script) Close() error                            { return nil }

func TestKeyExchangesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := make(turns, 1)
		open := func(types ...uint32) *exchangeConn {
			return &exchangeConn{Conn: &script{types: types}, turns: line}
		}
		var b bin.Buffer
		receive := func(ctx context.Context, c *exchangeConn) <-chan error {
			got := make(chan error, 1)
			go func() { got <- c.Recv(ctx, &bin.Buffer{}) }()
			synctest.Wait()
			return got
		}

		first := open(mt.ResPQTypeID, mt.DhGenOkTypeID, 0)
		second := open(mt.ServerDHParamsOkTypeID)
		require.NoError(t, first.Recv(t.Context(), &b))
		secondGot := receive(t.Context(), second)
		assert.Empty(t, secondGot)

		require.NoError(t, first.Send(t.Context(), &b)) // it has computed
		synctest.Wait()
		require.NoError(t, <-secondGot)
		require.NoError(t, first.Recv(t.Context(), &b), "nothing to compute")
		require.NoError(t, first.Recv(t.Context(), &b))

		// Whoever gives up waits no more, and whoever closes gives the turn back.
		ctx, giveUp := context.WithCancel(t.Context())
		thirdGot := receive(ctx, open(mt.ServerDHParamsOkTypeID))
		giveUp()
		require.ErrorIs(t, <-thirdGot, context.Canceled)
		fourth := open(mt.ResPQTypeID)
		fourthGot := receive(t.Context(), fourth)
		require.NoError(t, fourth.Close())
		require.NoError(t, second.Close())
		require.ErrorIs(t, <-fourthGot, net.ErrClosed)
		assert.Empty(t, line)
	})
}

// stepsConn counts the steps of key exchanges that arrive on it.
type stepsConn struct {
	transport.Conn
	steps *int
}

func (c stepsConn) Recv(ctx context.Context, b *bin.Buffer) error {
	err := c.Conn.Recv(ctx, b)
	if err == nil && isExchangeStep(b.Buf) {
		*c.steps++
	}
	return err
}

type stepsResolver struct {
	dcs.Resolver
	steps int
}

func (r *stepsResolver) Primary(ctx context.Context, dc int, list dcs.List) (transport.Conn, error) {
	conn, err := r.Resolver.Primary(ctx, dc, list)
	return stepsConn{conn, &r.steps}, err
}

// What a client receives in a key exchange, and after it.
func TestStepsOfAKeyExchange(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	resolver := &stepsResolver{Resolver: dcs.Plain(dcs.PlainOptions{})}
	err := telegram.NewClient(1, "hash", telegram.Options{
		DC: s.DC(), DCList: s.DCList(), PublicKeys: []telegram.PublicKey{s.PublicKey()}, Resolver: resolver,
		DialTimeout: time.Hour, ExchangeTimeout: time.Hour,
	}).Run(t.Context(), func(context.Context) error { return nil })
	require.NoError(t, err)
	assert.Equal(t, 2, resolver.steps)
}
