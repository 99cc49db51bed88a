package telegramtest_test

import (
	"context"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/proto/codec"
	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestFailTransport(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	s.FailTransport(5, 404)
	s.FailTransport(0, 0)
	c.is(ada)
	assert.Len(t, s.AuthKeys(), 1)

	// The client believes it, and makes another key. Where it was no call that got the error, but
	// an acknowledgement on a connection that was ending, it comes back with the key that it has.
	for len(s.AuthKeys()) < 2 {
		s.FailTransport(1, 404)
		ctx, cancel := context.WithCancel(t.Context())
		called := make(chan error, 1)
		go func() {
			_, err := c.API().HelpGetNearestDC(ctx)
			called <- err
		}()
		for len(s.AuthKeys()) < 2 && len(called) == 0 {
			runtime.Gosched()
		}
		cancel()
		<-called
	}
	assert.Equal(t, 1, s.Sessions(ada.ID))
}

// Who uses the auth key of a login over two connections in turns is logged out. To come
// back over another connection is no fault, nor are many connections for downloads.
func TestDuplicatedKeys(t *testing.T) {
	s := newServer(t, withDatacenters())
	storage := keyOf(t, s, ada, ada.DC)
	first := start(t, s, withSession(storage))
	first.is(ada)
	second := start(t, s, withSession(storage))
	second.is(ada) // the first may be a connection that is broken
	second.is(ada)
	assert.Equal(t, 1, s.Sessions(ada.ID))
	first.is(ada) // it may have been under way before
	rpcError(t, second.self(), 406, "AUTH_KEY_DUPLICATED")
	rpcError(t, first.self(), 406, "AUTH_KEY_DUPLICATED")
	assert.Zero(t, s.Sessions(ada.ID))

	storage = keyOf(t, s, ada, ada.DC)
	for range 2 {
		start(t, s, withSession(storage)).is(ada) // stays open, and is not used again
	}
	assert.Equal(t, 1, s.Sessions(ada.ID))

	c := start(t, s).logIn(alan)
	pool, err := c.DC(t.Context(), 5, 2)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, pool.Close()) })
	held := s.Hold("upload.getFile")
	failed := make(chan error)
	download := func() {
		_, err := tg.NewClient(pool).UploadGetFile(t.Context(), &tg.UploadGetFileRequest{Location: &tg.InputPhotoFileLocation{}, Limit: 4096})
		failed <- err
	}
	for range 2 {
		go download()
		<-held.Arrived()
	}
	held.Release()
	for range 2 {
		rpcError(t, <-failed, 400, "LOCATION_INVALID")
	}
	c.is(alan)

	require.NoError(t, s.Revoke(alan.ID, "AUTH_KEY_DUPLICATED"))
	rpcError(t, c.self(), 406, "AUTH_KEY_DUPLICATED")
}

// initConnection counts for an auth key, over all connections and after a restart, and not
// for the key that gotd makes in place of one that the server has forgotten.
func TestCallsBeforeInitConnection(t *testing.T) {
	options := telegramtest.Config{StateFile: filepath.Join(t.TempDir(), "state.json")}
	s := newServer(t, options)
	raw := openRaw(t, s)
	call := func() *mt.RPCError {
		t.Helper()
		id := messageID(time.Now())
		raw.send(id, &tg.HelpGetNearestDCRequest{})
		raw.gets(&mt.MsgsAck{MsgIDs: []int64{id}})
		return raw.failure()
	}
	assert.Equal(t, &mt.RPCError{ErrorCode: 400, ErrorMessage: "CONNECTION_NOT_INITED"}, call())
	id := messageID(time.Now())
	raw.send(id, &tg.InvokeWithLayerRequest{Layer: tg.Layer, Query: &tg.InitConnectionRequest{APIID: 1, Query: &tg.HelpGetNearestDCRequest{}}})
	raw.gets(&mt.MsgsAck{MsgIDs: []int64{id}})
	assert.Nil(t, raw.failure())
	assert.Nil(t, call())
	require.NoError(t, s.Close())
	raw = raw.again(newServer(t, options))
	assert.Nil(t, call())

	s = newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	c.is(ada)
	require.NoError(t, s.ForgetKeys(ada.ID))
	rpcError(t, c.self(), 400, "CONNECTION_NOT_INITED")
	rpcError(t, c.self(), 400, "CONNECTION_NOT_INITED")
}

// After 404 a client may go on with a new key over the same connection, after all other
// errors of the transport the server hangs up.
func TestTransportErrorsEndConnections(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	for _, code := range []int32{404, 429, 444} {
		socket, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr())
		require.NoError(t, err)
		conn, err := transport.Intermediate.Handshake(socket)
		require.NoError(t, err)
		s.FailTransport(1, code)
		send := func() {
			require.NoError(t, conn.Send(t.Context(), &bin.Buffer{Buf: append([]byte{1}, make([]byte, 63)...)}))
		}
		var answer bin.Buffer
		refused := func(code int32) {
			var protocol *codec.ProtocolErr
			require.ErrorAs(t, conn.Recv(t.Context(), &answer), &protocol)
			assert.Equal(t, code, protocol.Code)
		}
		send()
		refused(code)
		if code == 404 {
			send()
			refused(404)
		} else {
			require.ErrorIs(t, conn.Recv(t.Context(), &answer), io.EOF)
		}
		require.NoError(t, conn.Close())
	}
}

func TestTransports(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	storage := &session.StorageMemory{}
	start(t, s, withSession(storage)).logIn(ada).stop()
	for name, options := range map[string]dcs.PlainOptions{
		"abridged":                       {Protocol: transport.Abridged},
		"intermediate":                   {Protocol: transport.Intermediate},
		"padded intermediate":            {Protocol: transport.PaddedIntermediate},
		"full":                           {Protocol: transport.Full},
		"obfuscated abridged":            {Protocol: transport.Abridged, Obfuscated: true},
		"obfuscated intermediate":        {Protocol: transport.Intermediate, Obfuscated: true},
		"obfuscated padded intermediate": {Protocol: transport.PaddedIntermediate, Obfuscated: true},
	} {
		t.Run(name, func(t *testing.T) {
			start(t, s, withSession(storage), withResolver(options)).is(ada)
		})
	}
}

// The number that a client has to factor is small, unless it has to be what Telegram's is.
func TestProofOfWork(t *testing.T) {
	for full, bits := range map[bool]int{false: 33, true: 61} {
		s := newServer(t, telegramtest.Config{FullProof: full})
		socket, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr())
		require.NoError(t, err)
		conn, err := transport.Intermediate.Handshake(socket)
		require.NoError(t, err)
		var question, message bin.Buffer
		require.NoError(t, question.Encode(&mt.ReqPqMultiRequest{Nonce: bin.Int128{1}}))
		number := proto.NewMessageID(time.Now(), proto.MessageFromClient)
		require.NoError(t, message.Encode(proto.UnencryptedMessage{MessageID: int64(number), MessageData: question.Buf}))
		require.NoError(t, conn.Send(t.Context(), &message))
		require.NoError(t, conn.Recv(t.Context(), &message))
		var answer proto.UnencryptedMessage
		require.NoError(t, answer.Decode(&message))
		var got mt.ResPQ
		require.NoError(t, got.Decode(&bin.Buffer{Buf: answer.MessageData}))
		assert.Equal(t, bin.Int128{1}, got.Nonce)
		assert.Equal(t, bits, new(big.Int).SetBytes(got.Pq).BitLen())
		require.NoError(t, conn.Close())
	}
}
