package telegramtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/proto/codec"
	"github.com/gotd/td/transport"
)

// keyID names an auth key.
type keyID [8]byte

// session is an MTProto session: what a message is encrypted with and belongs to.
type session struct {
	key  crypto.AuthKey
	salt int64 // of the auth key, when the session's last message came
	id   int64
}

// conn is one TCP connection. One goroutine reads it, and every call is answered in
// one of its own.
type conn struct {
	server *Server
	socket net.Conn
	dc     int             // the datacenter that it was made to
	number int             // counts the server's connections
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	calls  sync.WaitGroup

	// Of the reading goroutine. The wire is there before the first message, and so
	// before any other goroutine sends.
	wire     *wire
	greeted  map[int64]bool           // sessions that were told that they are new
	received map[messageName]struct{} // not those that are too old to come again

	sendMu sync.Mutex // keeps message IDs in the order in which they are sent
	sent   map[int64]int32

	mu         sync.Mutex
	current    session // of the last message
	subscribed bool    // a call came that was not in invokeWithoutUpdates
}

func newConn(s *Server, socket net.Conn, dc int) *conn {
	c := &conn{server: s, socket: socket, dc: dc, greeted: map[int64]bool{}, received: map[messageName]struct{}{}, sent: map[int64]int32{}}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// drop closes the connection; serve then ends.
func (c *conn) drop() {
	c.cancel()
	_ = c.socket.Close()
}

// serve serves the connection until it ends.
func (c *conn) serve() {
	log := c.server.log.With().Stringer("client", c.socket.RemoteAddr()).Logger()
	log.Debug().Msg("A client has connected")
	err := c.read()
	log.Debug().Err(err).Msg("A connection has ended")
	c.drop()
	c.calls.Wait()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.conns, c)
}

// read takes frames until the connection ends.
func (c *conn) read() (err error) {
	if c.wire, err = openWire(c.socket, &c.server.blackhole); err != nil {
		return err
	}
	for {
		var frame bin.Buffer
		if err := c.wire.Recv(c.ctx, &frame); err != nil {
			return err
		}
		if err := c.frame(&frame); err != nil {
			return err
		}
	}
}

// frame takes a frame: an encrypted message, or the first one of a key exchange.
func (c *conn) frame(frame *bin.Buffer) error {
	var id keyID
	if err := frame.PeekN(id[:], len(id)); err != nil {
		return err
	}
	if id == (keyID{}) {
		return c.exchange(frame)
	}
	if code := c.server.failTransport(); code != 0 {
		return c.protocolError(code)
	}
	in, known := c.server.session(id, c.dc)
	if !known {
		return c.protocolError(codec.CodeAuthKeyNotFound)
	}
	data, err := c.server.cipher.DecryptFromBuffer(in.key, frame)
	if err != nil {
		return err
	}
	in.id = data.SessionID
	return c.message(in, data)
}

// protocolError sends an error of the transport, which is not encrypted. The connection
// ends with it, except that a client whose auth key is not known may make another one there.
func (c *conn) protocolError(code int32) error {
	var b bin.Buffer
	b.PutInt32(-code)
	if err := c.wire.Send(c.ctx, &b); err != nil || code == codec.CodeAuthKeyNotFound {
		return err
	}
	return fmt.Errorf("transport error %d", code)
}

// exchange makes an auth key together with the client.
func (c *conn) exchange(first *bin.Buffer) error {
	const forever = 365 * 24 * time.Hour // a client may take its time; the context ends with the connection
	var wire transport.Conn = &replay{c.wire, first}
	if !c.server.fullProof {
		wire = lightProof{wire}
	}
	result, err := exchange.NewExchanger(wire, c.dc).
		WithClock(c.server.clock()).WithTimeout(forever).Server(c.server.key).Run(c.ctx)
	if encrypted, ok := errors.AsType[*exchange.UnexpectedEncryptedError](err); ok {
		return c.frame(&bin.Buffer{Buf: encrypted.Frame}) // the client has a key after all
	}
	if refused, ok := errors.AsType[*exchange.ServerExchangeError](err); ok {
		return errors.Join(err, c.protocolError(refused.Code))
	}
	if err != nil {
		return err
	}
	return c.server.addAuthKey(&authKey{AuthKey: result.Key, salt: result.ServerSalt, dc: c.dc})
}

// message takes a decrypted message.
func (c *conn) message(in session, data *crypto.EncryptedMessageData) error {
	r := &call{conn: c, in: in, messageID: data.MessageID, seqNo: data.SeqNo, body: &bin.Buffer{Buf: data.Data()}}
	if refused, err := r.refuse(data.Salt); refused || err != nil {
		return err
	}
	c.mu.Lock()
	c.current = in
	c.mu.Unlock()
	if !c.greeted[in.id] {
		c.greeted[in.id] = true
		created := &mt.NewSessionCreated{FirstMsgID: data.MessageID, UniqueID: in.id, ServerSalt: in.salt}
		if err := c.send(in, proto.MessageFromServer, true, created); err != nil {
			return err
		}
	}
	return c.dispatch(r)
}

// send encrypts and sends a message. Content messages are those that the client has
// to acknowledge.
func (c *conn) send(in session, kind proto.MessageType, content bool, message bin.Encoder) error {
	var plain bin.Buffer
	if err := message.Encode(&plain); err != nil {
		return fmt.Errorf("encode %T: %w", message, err)
	}
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	data := crypto.EncryptedMessageData{
		Salt: in.salt, SessionID: in.id, MessageID: c.server.messageIDs.Load().New(kind), SeqNo: 2 * c.sent[in.id],
		MessageDataLen: int32(plain.Len()), MessageDataWithPadding: plain.Buf,
	}
	if content {
		data.SeqNo++
		c.sent[in.id]++
	}
	var frame bin.Buffer
	if err := c.server.cipher.Encrypt(in.key, data, &frame); err != nil {
		return fmt.Errorf("encrypt a message: %w", err)
	}
	return c.wire.Send(c.ctx, &frame)
}
