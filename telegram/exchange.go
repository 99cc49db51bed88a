package telegram

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/transport"

	"github.com/tgprovision/tgprovision/provisioning"
)

// A session begins with a key exchange, in which gotd takes a number apart and tests two
// numbers of 2048 bits for being prime: about half a second of a processor. Many at once
// would take all processors from everybody else, and be done all at the same time, which
// is too late. So they take turns, and past a number of them there are no more.
//
// gotd v0.162.0 tests the same two numbers anew for each key (no issue;
// TestGotdTestsPrimesAnew), and says nobody when it begins to compute (no issue;
// TestGotdTellsNobodyOfKeyExchanges): so a connection looks at what it receives.
//
// https://core.telegram.org/mtproto/auth_key

// exchangesPerTurn is how many key exchanges may be under way for each that may compute:
// as many as can be done well within the default of provisioning.Config.Timeout, also on a busy machine.
const exchangesPerTurn = 16

// exchanges counts the key exchanges under way, and lets some of them compute at a time.
type exchanges struct {
	most int // that may be under way

	mu       sync.Mutex
	underWay int
	turns    int             // how many more may compute now
	urgent   []chan struct{} // those that wait for a turn and are half done
	waiting  []chan struct{} // the others that wait
}

// newExchanges lets half of the processors compute.
func newExchanges() *exchanges {
	turns := max(1, runtime.GOMAXPROCS(0)/2)
	return &exchanges{turns: turns, most: turns * exchangesPerTurn}
}

// begin counts one more; end must follow. Errors: provisioning.ErrOverloaded.
func (e *exchanges) begin() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.underWay >= e.most {
		return fmt.Errorf("%w: %d key exchanges are under way", provisioning.ErrOverloaded, e.most)
	}
	e.underWay++
	return nil
}

func (e *exchanges) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.underWay--
}

// takeTurn waits for a turn; giveTurn must follow. Urgent ones come first.
func (e *exchanges) takeTurn(ctx context.Context, urgent bool) error {
	e.mu.Lock()
	if e.turns > 0 {
		e.turns--
		e.mu.Unlock()
		return nil
	}
	line := &e.waiting
	if urgent {
		line = &e.urgent
	}
	turn := make(chan struct{})
	*line = append(*line, turn)
	e.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	e.mu.Lock()
	place := slices.Index(*line, turn)
	if place >= 0 {
		*line = slices.Delete(*line, place, place+1)
	}
	e.mu.Unlock()
	if place < 0 { // it was given the turn meanwhile
		e.giveTurn()
	}
	return ctx.Err()
}

// giveTurn gives a turn back, and with it to the next that waits.
func (e *exchanges) giveTurn() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range []*[]chan struct{}{&e.urgent, &e.waiting} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = slices.Delete(*line, 0, 1)
			return
		}
	}
	e.turns++
}

// exchangeConn is a connection whose client takes a turn when it has received what it has
// to compute with in a key exchange. It has the turn until it uses the connection again:
// never while it waits for Telegram.
type exchangeConn struct {
	transport.Conn
	exchanges *exchanges

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
	if err := c.Conn.Recv(ctx, b); err != nil {
		return err
	}
	step := exchangeStep(b.Buf)
	if step == 0 {
		return nil
	}
	if err := c.exchanges.takeTurn(ctx, step == mt.ServerDHParamsOkTypeID); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.exchanges.giveTurn()
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
		c.exchanges.giveTurn()
	}
}

// exchangeStep returns the type of a message of Telegram's after which a client has to
// compute, 0 for any other. Those of a key exchange are not encrypted: they have 0 for
// the key.
func exchangeStep(message []byte) uint32 {
	const constructor = 8 + 8 + 4 // after the key, the ID and the length
	if len(message) < constructor+4 || binary.LittleEndian.Uint64(message) != 0 {
		return 0
	}
	switch step := binary.LittleEndian.Uint32(message[constructor:]); step {
	case mt.ResPQTypeID, mt.ServerDHParamsOkTypeID:
		return step
	default:
		return 0
	}
}
