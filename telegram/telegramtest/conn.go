package telegramtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/proto/codec"
	"github.com/gotd/td/tgerr"
	"github.com/gotd/td/transport"
)

// keyID names an auth key.
type keyID [8]byte

// conn is one TCP connection. It reads in one goroutine, and answers each call in
// one of its own.
type conn struct {
	server *Server
	socket net.Conn
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	wire   transport.Conn // the socket with MTProto's framing
	calls  sync.WaitGroup

	// Of the reading goroutine.
	greeted map[int64]bool // MTProto sessions that were told they are new

	mu        sync.Mutex
	key       crypto.AuthKey // the one used last
	session   int64
	noUpdates bool
}

// drop ends the connection.
func (c *conn) drop() {
	c.cancel()
	_ = c.socket.Close()
}

// serve serves the connection until it ends.
func (c *conn) serve() {
	defer func() {
		c.drop()
		c.calls.Wait()
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
	}()
	err := c.read()
	if c.ctx.Err() == nil {
		c.server.log.Debug().Err(err).Msg("A connection has ended")
	}
}

func (c *conn) read() (err error) {
	// The framing is found out from the first bytes: here, so that a connection that
	// sends nothing holds up nobody else.
	if c.wire, err = transport.Listen(&oneConn{conn: c.socket}).Accept(); err != nil {
		return err
	}
	c.greeted = map[int64]bool{}
	for {
		frame := &bin.Buffer{}
		if err := c.wire.Recv(c.ctx, frame); err != nil {
			return err
		}
		var id keyID
		if err := frame.PeekN(id[:], len(id)); err != nil {
			return err
		}
		c.server.mu.Lock()
		key, known := c.server.state.keys[id]
		blackhole := c.server.fault.blackhole
		c.server.mu.Unlock()
		switch {
		case blackhole:
		case id == keyID{}:
			err = c.exchange(frame)
		case known:
			err = c.message(key.AuthKey, frame)
		default:
			var b bin.Buffer
			b.PutInt32(-codec.CodeAuthKeyNotFound)
			err = c.wire.Send(c.ctx, &b)
		}
		if err != nil {
			return err
		}
	}
}

// exchange makes an auth key with the client.
func (c *conn) exchange(first *bin.Buffer) error {
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	result, err := exchange.NewExchanger(&pushedBack{Conn: c.wire, first: first}, c.server.dc).Server(c.server.key).Run(ctx)
	if refused, ok := errors.AsType[*exchange.ServerExchangeError](err); ok {
		var b bin.Buffer
		b.PutInt32(-refused.Code)
		return errors.Join(err, c.wire.Send(ctx, &b))
	}
	if err != nil {
		return err
	}
	return c.server.update(func(s *state) { s.keys[result.Key.ID] = &authKey{AuthKey: result.Key} })
}

// message takes one encrypted message.
func (c *conn) message(key crypto.AuthKey, frame *bin.Buffer) error {
	data, err := c.server.cipher.DecryptFromBuffer(key, frame)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.key, c.session = key, data.SessionID
	c.mu.Unlock()
	if !c.greeted[data.SessionID] {
		c.greeted[data.SessionID] = true
		created := &mt.NewSessionCreated{FirstMsgID: data.MessageID, ServerSalt: saltOf(key)}
		if err := c.send(key, data.SessionID, proto.MessageFromServer, created); err != nil {
			return err
		}
	}
	return c.dispatch(&call{conn: c, key: key, session: data.SessionID, msgID: data.MessageID, body: &bin.Buffer{Buf: data.Data()}})
}

func saltOf(key crypto.AuthKey) int64 { return int64(binary.LittleEndian.Uint64(key.ID[:])) }

// dispatch answers service messages, and starts a goroutine for a call.
//
// https://core.telegram.org/mtproto/service_messages
func (c *conn) dispatch(r *call) error {
	id, err := r.body.PeekID()
	if err != nil {
		return err
	}
	switch id {
	case proto.MessageContainerTypeID:
		var container proto.MessageContainer
		if err := container.Decode(r.body); err != nil {
			return err
		}
		for _, m := range container.Messages {
			inner := *r
			inner.msgID, inner.body = m.ID, &bin.Buffer{Buf: m.Body}
			if err := c.dispatch(&inner); err != nil {
				return err
			}
		}
		return nil
	case proto.GZIPTypeID:
		var content proto.GZIP
		if err := content.Decode(r.body); err != nil {
			return err
		}
		r.body = &bin.Buffer{Buf: content.Data}
		return c.dispatch(r)
	case mt.PingRequestTypeID:
		var ping mt.PingRequest
		if err := ping.Decode(r.body); err != nil {
			return err
		}
		return r.reply(&mt.Pong{MsgID: r.msgID, PingID: ping.PingID})
	case mt.PingDelayDisconnectRequestTypeID:
		var ping mt.PingDelayDisconnectRequest
		if err := ping.Decode(r.body); err != nil {
			return err
		}
		return r.reply(&mt.Pong{MsgID: r.msgID, PingID: ping.PingID})
	case mt.GetFutureSaltsRequestTypeID:
		salt := mt.FutureSalt{ValidSince: 1, ValidUntil: math.MaxInt32, Salt: saltOf(r.key)}
		return r.reply(&mt.FutureSalts{ReqMsgID: r.msgID, Now: int(time.Now().Unix()), Salts: []mt.FutureSalt{salt}})
	case mt.RPCDropAnswerRequestTypeID:
		return r.result(&mt.RPCAnswerDroppedRunning{})
	case mt.MsgsAckTypeID, mt.HTTPWaitRequestTypeID:
		return nil
	}
	if err := c.send(r.key, r.session, proto.MessageFromServer, &mt.MsgsAck{MsgIDs: []int64{r.msgID}}); err != nil {
		return err
	}
	c.calls.Go(func() {
		if err := r.run(); err != nil && c.ctx.Err() == nil {
			c.server.log.Warn().Err(err).Msg("A call has failed")
			c.drop()
		}
	})
	return nil
}

// send encrypts and sends a message.
func (c *conn) send(key crypto.AuthKey, session int64, kind proto.MessageType, message bin.Encoder) error {
	var b bin.Buffer
	if err := message.Encode(&b); err != nil {
		return fmt.Errorf("encode %T: %w", message, err)
	}
	data := crypto.EncryptedMessageData{
		Salt: saltOf(key), SessionID: session, MessageID: c.server.msgID.New(kind),
		MessageDataLen: int32(b.Len()), MessageDataWithPadding: b.Copy(),
	}
	if err := c.server.cipher.Encrypt(key, data, &b); err != nil {
		return err
	}
	c.server.mu.Lock()
	blackhole := c.server.fault.blackhole
	c.server.mu.Unlock()
	if blackhole {
		return nil
	}
	return c.wire.Send(c.ctx, &b)
}

// call is one RPC call.
type call struct {
	conn    *conn
	key     crypto.AuthKey
	session int64
	msgID   int64
	body    *bin.Buffer
}

// reply sends a service message.
func (r *call) reply(message bin.Encoder) error {
	return r.conn.send(r.key, r.session, proto.MessageServerResponse, message)
}

// result sends the result of the call, packed when it is large.
func (r *call) result(message bin.Encoder) error {
	var b bin.Buffer
	if err := message.Encode(&b); err != nil {
		return fmt.Errorf("encode %T: %w", message, err)
	}
	const large = 4 << 10
	if b.Len() > large {
		var packed bin.Buffer
		if err := (proto.GZIP{Data: b.Buf}).Encode(&packed); err != nil {
			return err
		}
		b = packed
	}
	return r.reply(&proto.Result{RequestMessageID: r.msgID, Result: b.Raw()})
}

// fail sends an error as the result of the call.
func (r *call) fail(e *tgerr.Error) error {
	return r.result(&mt.RPCError{ErrorCode: e.Code, ErrorMessage: e.Message})
}

// oneConn is a net.Listener that accepts one connection.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) { return l.conn, nil }
func (l *oneConn) Close() error              { return nil }
func (l *oneConn) Addr() net.Addr            { return l.conn.LocalAddr() }

// pushedBack gives back a frame that was read already.
type pushedBack struct {
	transport.Conn
	first *bin.Buffer
}

func (p *pushedBack) Recv(ctx context.Context, b *bin.Buffer) error {
	if p.first != nil {
		b.ResetTo(p.first.Copy())
		p.first = nil
		return nil
	}
	return p.Conn.Recv(ctx, b)
}
