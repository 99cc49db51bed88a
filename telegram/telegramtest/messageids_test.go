package telegramtest_test

import (
	"crypto/rand"
	"net"
	"testing"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/clock"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// rawConn is an MTProto session whose messages are what the test wants.
type rawConn struct {
	transport.Conn
	t      *testing.T
	cipher crypto.Cipher
	key    crypto.AuthKey
	salt   int64
}

// dialRaw connects with a new auth key.
func dialRaw(t *testing.T, s *telegramtest.Server) *rawConn {
	t.Helper()
	key, err := s.AddAuthKey(0)
	require.NoError(t, err)
	return (&rawConn{t: t, cipher: crypto.NewClientCipher(rand.Reader), key: crypto.Key(key).WithID()}).again(s)
}

// again connects with the same auth key.
func (c *rawConn) again(s *telegramtest.Server) *rawConn {
	t := c.t
	t.Helper()
	socket, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr())
	require.NoError(t, err)
	conn, err := transport.Intermediate.Handshake(socket)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	return &rawConn{Conn: conn, t: t, cipher: c.cipher, key: c.key, salt: c.salt}
}

// send sends a message.
func (c *rawConn) send(id int64, message bin.Encoder) {
	c.t.Helper()
	var plain, frame bin.Buffer
	require.NoError(c.t, message.Encode(&plain))
	require.NoError(c.t, c.cipher.Encrypt(c.key, crypto.EncryptedMessageData{
		Salt: c.salt, SessionID: 7, MessageID: id, SeqNo: 1, MessageDataLen: int32(plain.Len()), MessageDataWithPadding: plain.Buf,
	}, &frame))
	require.NoError(c.t, c.Send(c.t.Context(), &frame))
}

// receive returns the next message but new_session_created, and when it was made by the
// server's clock.
func (c *rawConn) receive() (*bin.Buffer, time.Time) {
	c.t.Helper()
	var frame bin.Buffer
	require.NoError(c.t, c.Recv(c.t.Context(), &frame))
	data, err := c.cipher.DecryptFromBuffer(c.key, &frame)
	require.NoError(c.t, err)
	body := &bin.Buffer{Buf: data.Data()}
	if id, err := body.PeekID(); err == nil && id == mt.NewSessionCreatedTypeID {
		return c.receive()
	}
	return body, proto.MessageID(data.MessageID).Time()
}

// gets asserts that the next message is a certain one.
func (c *rawConn) gets(want bin.Object) {
	c.t.Helper()
	body, _ := c.receive()
	got := want
	switch want.(type) {
	case *mt.BadMsgNotification:
		got = &mt.BadMsgNotification{}
	case *mt.MsgsAck:
		got = &mt.MsgsAck{}
	case *mt.Pong:
		got = &mt.Pong{}
	}
	require.NoError(c.t, got.Decode(body))
	assert.Equal(c.t, want, got)
}

// failure waits for the result of a call, and returns the error that it is, nil for none.
func (c *rawConn) failure() *mt.RPCError {
	c.t.Helper()
	body, _ := c.receive()
	var result proto.Result
	require.NoError(c.t, result.Decode(body))
	failed, b := &mt.RPCError{}, &bin.Buffer{Buf: result.Result}
	if id, err := b.PeekID(); err != nil || id != failed.TypeID() {
		return nil
	}
	require.NoError(c.t, failed.Decode(b))
	return failed
}

// openRaw connects with a new auth key, and learns the salt.
func openRaw(t *testing.T, s *telegramtest.Server) *rawConn {
	t.Helper()
	c, id := dialRaw(t, s), messageID(time.Now())
	c.send(id, &mt.PingRequest{PingID: 1})
	body, _ := c.receive()
	var bad mt.BadServerSalt
	require.NoError(t, bad.Decode(body))
	assert.Equal(t, mt.BadServerSalt{BadMsgID: id, BadMsgSeqno: 1, ErrorCode: 48, NewServerSalt: bad.NewServerSalt}, bad)
	c.salt = bad.NewServerSalt
	c.send(id, &mt.PingRequest{PingID: 1}) // it counts as not sent before
	c.gets(&mt.Pong{MsgID: id, PingID: 1})
	return c
}

func messageID(at time.Time) int64 { return int64(proto.NewMessageID(at, proto.MessageFromClient)) }

func bad(id int64, code int) *mt.BadMsgNotification {
	return &mt.BadMsgNotification{BadMsgID: id, BadMsgSeqno: 1, ErrorCode: code}
}

func TestMessageIDsAreChecked(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := openRaw(t, s)
	now := time.Now()
	for code, id := range map[int]int64{
		16: messageID(now.Add(-400 * time.Second)), 17: messageID(now.Add(400 * time.Second)), 18: messageID(now) + 1,
	} {
		c.send(id, &mt.PingRequest{PingID: 2})
		c.gets(bad(id, code))
	}
	for i, ago := range []time.Duration{-20 * time.Second, 0, 200 * time.Second} {
		id := messageID(now.Add(-ago))
		c.send(id, &mt.PingRequest{PingID: int64(i)})
		c.gets(&mt.Pong{MsgID: id, PingID: int64(i)})
	}

	// A message that comes again is not done again.
	id := messageID(now.Add(-time.Second))
	c.send(id, &mt.PingRequest{PingID: 3})
	c.gets(&mt.Pong{MsgID: id, PingID: 3})
	c.send(id, &mt.PingRequest{PingID: 3})
	c.gets(&mt.MsgsAck{MsgIDs: []int64{id}})

	ping := func(id, ping int64) proto.Message {
		var b bin.Buffer
		require.NoError(t, b.Encode(&mt.PingRequest{PingID: ping}))
		return proto.Message{ID: id, SeqNo: 1, Bytes: b.Len(), Body: b.Buf}
	}
	outer, inner := messageID(now.Add(time.Second)), messageID(now.Add(-500*time.Second))
	container := &proto.MessageContainer{Messages: []proto.Message{ping(inner, 4), ping(inner+1, 5), ping(inner, 6), ping(inner+4, 7)}}
	c.send(outer, container)
	c.gets(&mt.Pong{MsgID: inner, PingID: 4})
	c.gets(bad(inner+1, 18))
	c.gets(&mt.MsgsAck{MsgIDs: []int64{inner}})
	c.gets(&mt.Pong{MsgID: inner + 4, PingID: 7})
	c.send(outer, container)
	c.gets(bad(outer, 19))
	c.send(outer+4, &proto.MessageContainer{Messages: []proto.Message{ping(outer+4, 8)}})
	c.gets(bad(outer+4, 64))
}

// withClock sets a client's clock.
func withClock(ahead time.Duration) setting {
	return func(o *telegram.Options) { o.Clock = shiftedClock{clock.System, ahead} }
}

type shiftedClock struct {
	clock.Clock
	ahead time.Duration
}

func (c shiftedClock) Now() time.Time { return time.Now().Add(c.ahead) }

func TestClocksThatDiffer(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	s.SetClock(-time.Minute)
	require.ErrorContains(t, c.self(), "msg_id too high")
	s.SetClock(0) // also back
	c.is(ada)

	const ahead = 2 * time.Hour
	s.SetClock(ahead)
	c = start(t, s, withClock(ahead)).logIn(ada)
	c.is(ada)
	assert.WithinDuration(t, time.Now().Add(ahead), time.Unix(int64(c.config().Date), 0), time.Hour)
	raw := dialRaw(t, s)
	id := messageID(time.Now())
	raw.send(id, &mt.PingRequest{PingID: 1})
	body, at := raw.receive()
	assert.WithinDuration(t, time.Now().Add(ahead), at, time.Hour)
	var notice mt.BadMsgNotification
	require.NoError(t, notice.Decode(body))
	assert.Equal(t, 16, notice.ErrorCode)
}

func TestExpireSalts(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	raw, c := openRaw(t, s), start(t, s).logIn(ada)
	before := raw.salt
	require.NoError(t, s.ExpireSalts())
	c.is(ada)
	id := messageID(time.Now())
	raw.send(id, &mt.PingRequest{PingID: 1})
	body, _ := raw.receive()
	var bad mt.BadServerSalt
	require.NoError(t, bad.Decode(body))
	assert.NotEqual(t, before, bad.NewServerSalt)
}

func TestRejectCalls(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	s.ResetCalls()
	for code, says := range map[int]string{16: "too low", 17: "too high", 20: "too old", 32: "seqno", 64: "64"} {
		s.RejectCalls(1, code)
		require.NoError(t, c.Ping(t.Context())) // is no call
		require.ErrorContains(t, c.self(), says)
		c.is(ada)
	}
	s.RejectCalls(1, 48) // gotd sends it again
	c.is(ada)
	s.RejectCalls(2, 16)
	s.RejectCalls(0, 0)
	c.is(ada)
	assert.Equal(t, 7, s.Calls("users.getUsers"))
}
