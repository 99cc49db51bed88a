package telegram

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
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
		e := newExchanges()
		e.turns = 1
		open := func(types ...uint32) *exchangeConn {
			return &exchangeConn{Conn: &script{types: types}, exchanges: e}
		}
		var b bin.Buffer
		receive := func(ctx context.Context, c *exchangeConn) <-chan error {
			got := make(chan error, 1)
			go func() { got <- c.Recv(ctx, &bin.Buffer{}) }()
			synctest.Wait()
			return got
		}

		first := open(mt.ResPQTypeID, mt.DhGenOkTypeID, 0)
		second := open(mt.ResPQTypeID)
		third := open(mt.ServerDHParamsOkTypeID)
		require.NoError(t, first.Recv(t.Context(), &b))
		secondGot, thirdGot := receive(t.Context(), second), receive(t.Context(), third)
		assert.Empty(t, secondGot)
		assert.Empty(t, thirdGot)

		require.NoError(t, first.Send(t.Context(), &b)) // it has computed
		synctest.Wait()
		require.NoError(t, <-thirdGot, "who is half done comes first")
		assert.Empty(t, secondGot)
		require.NoError(t, first.Recv(t.Context(), &b), "nothing to compute")
		require.NoError(t, first.Recv(t.Context(), &b))

		// Whoever gives up leaves the line, and whoever closes gives the turn back.
		ctx, giveUp := context.WithCancel(t.Context())
		fourthGot := receive(ctx, open(mt.ServerDHParamsOkTypeID))
		giveUp()
		require.ErrorIs(t, <-fourthGot, context.Canceled)
		require.NoError(t, third.Close())
		require.NoError(t, <-secondGot)
		fifth := open(mt.ResPQTypeID)
		fifthGot := receive(t.Context(), fifth)
		require.NoError(t, fifth.Close())
		require.NoError(t, second.Close())
		require.ErrorIs(t, <-fifthGot, net.ErrClosed)
		assert.Equal(t, 1, e.turns)
		assert.Empty(t, e.urgent)
		assert.Empty(t, e.waiting)
	})
}

// Giving up and being given the turn at the same moment loses no turn.
func TestNoTurnIsLost(t *testing.T) {
	e := newExchanges()
	e.turns = 1
	for range 200 {
		require.NoError(t, e.take(t.Context(), false))
		ctx, giveUp := context.WithCancel(t.Context())
		taken := make(chan error, 1)
		go func() { taken <- e.take(ctx, true) }()
		go giveUp()
		e.give()
		if <-taken == nil {
			e.give()
		}
	}
	assert.Equal(t, 1, e.turns)
}

func TestKeyExchangesAreBounded(t *testing.T) {
	e := newExchanges()
	for range e.most {
		require.NoError(t, e.enter())
	}
	require.ErrorIs(t, e.enter(), provisioning.ErrOverloaded)
	e.leave()
	require.NoError(t, e.enter())
}
