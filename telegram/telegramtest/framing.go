package telegramtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync/atomic"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/mtproxy/obfuscated2"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/proto/codec"
	"github.com/gotd/td/transport"
)

// wire is a socket with the framing of one of MTProto's transports. In a blackhole,
// frames vanish in both directions.
type wire struct {
	transport.Conn
	blackhole *atomic.Bool
}

// Recv implements transport.Conn.
func (w *wire) Recv(ctx context.Context, b *bin.Buffer) error {
	for {
		if err := w.Conn.Recv(ctx, b); err != nil {
			return err
		}
		if !w.blackhole.Load() {
			return nil
		}
	}
}

// Send implements transport.Conn.
func (w *wire) Send(ctx context.Context, b *bin.Buffer) error {
	if w.blackhole.Load() {
		return nil
	}
	return w.Conn.Send(ctx, b)
}

// openWire finds out from the first bytes of a socket which transport the client
// speaks. It blocks until they are there.
//
// https://core.telegram.org/mtproto/mtproto-transports
func openWire(socket net.Conn, blackhole *atomic.Bool) (*wire, error) {
	framing, stream, err := detect(socket)
	if err != nil {
		return nil, fmt.Errorf("detect the transport: %w", err)
	}
	listener := transport.ListenCodec(func() transport.Codec { return codec.NoHeader{Codec: framing} }, oneConn{stream})
	conn, err := listener.Accept()
	if err != nil {
		return nil, fmt.Errorf("open the transport: %w", err)
	}
	return &wire{conn, blackhole}, nil
}

func detect(socket net.Conn) (transport.Codec, net.Conn, error) {
	var head [8]byte
	if _, err := io.ReadFull(socket, head[:1]); err != nil {
		return nil, nil, err
	}
	if head[0] == codec.AbridgedClientStart[0] {
		return codec.Abridged{}, socket, nil
	}
	if _, err := io.ReadFull(socket, head[1:4]); err != nil {
		return nil, nil, err
	}
	if framing := tagged([4]byte(head[:4])); framing != nil {
		return framing, socket, nil
	}
	if _, err := io.ReadFull(socket, head[4:]); err != nil {
		return nil, nil, err
	}
	replayed := &stream{Conn: socket, Reader: io.MultiReader(bytes.NewReader(head[:]), socket), Writer: socket}
	// The full transport begins with a length and the sequence number 0, which the
	// random head of an obfuscated one avoids.
	if [4]byte(head[4:]) == [4]byte{} {
		return &codec.Full{}, replayed, nil
	}
	plain, metadata, err := obfuscated2.Accept(replayed, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("deobfuscate: %w", err)
	}
	framing := tagged(metadata.Protocol)
	if framing == nil {
		return nil, nil, fmt.Errorf("unknown transport %x", metadata.Protocol)
	}
	return framing, &stream{Conn: socket, Reader: plain, Writer: plain}, nil
}

// tagged returns the framing that a tag stands for, nil if none.
func tagged(tag [4]byte) transport.Codec {
	for _, framing := range []codec.TaggedCodec{codec.Abridged{}, codec.Intermediate{}, codec.PaddedIntermediate{}} {
		if tag == framing.ObfuscatedTag() {
			return framing
		}
	}
	return nil
}

// stream is a socket whose bytes go through something else.
type stream struct {
	net.Conn
	io.Reader
	io.Writer
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// Write implements net.Conn.
func (s *stream) Write(p []byte) (int, error) { return s.Writer.Write(p) }

// oneConn is a net.Listener with one connection: gotd makes a transport.Conn with
// a given codec from a listener only.
type oneConn struct{ net.Conn }

// Accept implements net.Listener.
func (l oneConn) Accept() (net.Conn, error) { return l.Conn, nil }

// Addr implements net.Listener.
func (l oneConn) Addr() net.Addr { return l.LocalAddr() }

// replay gives a frame that was read before once more, and then those of the
// connection.
type replay struct {
	transport.Conn
	frame *bin.Buffer
}

// Recv implements transport.Conn.
func (r *replay) Recv(ctx context.Context, b *bin.Buffer) error {
	if r.frame == nil {
		return r.Conn.Recv(ctx, b)
	}
	b.ResetTo(r.frame.Copy())
	r.frame = nil
	return nil
}

// lightPQ is what a client has to factor, 65537 by 65539. A number of the real size
// is most of what a key exchange costs under the race detector.
var lightPQ = big.NewInt(65537 * 65539).Bytes()

// lightProof makes the proof of work in a key exchange a light one. Which number was
// factored does not matter to gotd's server.
type lightProof struct{ transport.Conn }

// Send implements transport.Conn.
func (l lightProof) Send(ctx context.Context, b *bin.Buffer) error {
	var message proto.UnencryptedMessage
	if err := message.Decode(&bin.Buffer{Buf: b.Buf}); err != nil {
		return err
	}
	body := &bin.Buffer{Buf: message.MessageData}
	id, err := body.PeekID()
	if err != nil {
		return err
	}
	if id != mt.ResPQTypeID {
		return l.Conn.Send(ctx, b)
	}
	var question mt.ResPQ
	if err := question.Decode(body); err != nil {
		return err
	}
	question.Pq = lightPQ
	body.Reset()
	if err := question.Encode(body); err != nil {
		return err
	}
	message.MessageData = body.Buf
	b.Reset()
	if err := message.Encode(b); err != nil {
		return err
	}
	return l.Conn.Send(ctx, b)
}
