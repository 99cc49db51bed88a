package telegram

import (
	"context"
	"encoding/binary"
	"net"
	"runtime"
	"sync"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/transport"
)

// The clients of somebody who is logged in exchange keys with the datacenters where files lie.
// gotd v0.162.0 tests two numbers of 2048 bits for being prime each time, which takes half a
// second of a processor (no issue; TestGotdTestsPrimesAnew). Many at once would take all
// processors from everybody else, and be done all at the same time, which is too late. So
// these take turns, and so do the exchanges of new sessions, which take little (keyMaker), but
// not with those of the files.
//
// gotd says nobody when it begins to compute (no issue; TestGotdTellsNobodyOfKeyExchanges): so
// a connection looks at what it receives.
//
// https://core.telegram.org/mtproto/auth_key

// turns has a value for each that computes.
type turns chan struct{}

// newTurns lets half of the processors compute.
func newTurns() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

// exchangeConn is a connection whose client takes a turn when it has received what it has
// to compute with in a key exchange. It has the turn until it uses the connection again:
// never while it waits for Telegram.
type exchangeConn struct {
	transport.Conn
	turns turns

	mu     sync.Mutex
	turn   bool // it has one
	closed bool
}

// Send implements transport.Conn.
func (c *exchangeConn) Send(ctx context.Context, b *bin.Buffer) error {
	c.endTurn()
	return c.Conn.Send(ctx, b)
}

// Recv implements transport.Conn.
func (c *exchangeConn) Recv(ctx context.Context, b *bin.Buffer) error {
	c.endTurn()
	if err := c.Conn.Recv(ctx, b); err != nil || !isExchangeStep(b.Buf) {
		return err
	}
	select {
	case c.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		<-c.turns
		return net.ErrClosed
	}
	c.turn = true
	return nil
}

// Close implements transport.Conn.
func (c *exchangeConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.endTurn()
	return c.Conn.Close()
}

// endTurn gives the turn back, if the connection has it.
func (c *exchangeConn) endTurn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn {
		c.turn = false
		<-c.turns
	}
}

// isExchangeStep says whether a message of Telegram's is one after which a client has to
// compute. Those of a key exchange are not encrypted: they have 0 for the key.
func isExchangeStep(message []byte) bool {
	const constructor = 8 + 8 + 4 // after the key, the ID and the length
	if len(message) < constructor+4 || binary.LittleEndian.Uint64(message) != 0 {
		return false
	}
	step := binary.LittleEndian.Uint32(message[constructor:])
	return step == mt.ResPQTypeID || step == mt.ServerDHParamsOkTypeID
}
