package telegram

import (
	"context"
	"errors"
	"testing"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/session"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encoded returns gotd's form of a session with an auth key.
func encoded(t *testing.T, id authKeyID) []byte {
	t.Helper()
	memory := &session.StorageMemory{}
	loader := session.Loader{Storage: memory}
	require.NoError(t, loader.Save(t.Context(), &session.Data{AuthKeyID: id[:]}))
	data, err := memory.LoadSession(t.Context())
	require.NoError(t, err)
	return data
}

// memoryData keeps a session in memory.
type memoryData struct {
	data []byte
	err  error
}

func (m *memoryData) load(context.Context) ([]byte, error) { return m.data, m.err }

func (m *memoryData) store(_ context.Context, data []byte) error {
	if m.err == nil {
		m.data = data
	}
	return m.err
}

// sent is a connection that has everything that is sent.
type sent struct {
	transport.Conn
	messages chan []byte
}

func (s sent) Send(_ context.Context, b *bin.Buffer) error {
	s.messages <- b.Copy()
	return nil
}

// A call that makes a session is sent with a key that is stored, and waits for that.
func TestCallWaitsForStoredKey(t *testing.T) {
	one, two := authKeyID{1}, authKeyID{2}
	data := &memoryData{}
	storage := newStorage(data, func() {})
	wire := sent{messages: make(chan []byte, 1)}
	conn := &sessionConn{Conn: wire, resolver: &clientResolver{storage: storage}}
	require.NoError(t, storage.StoreSession(t.Context(), encoded(t, one)))

	other := context.WithValue(t.Context(), needsStoredKeyValue{}, nil)
	require.NoError(t, conn.Send(other, &bin.Buffer{Buf: two[:]}))
	<-wire.messages
	login := context.WithValue(t.Context(), needsStoredKeyValue{}, true)
	require.NoError(t, conn.Send(login, &bin.Buffer{Buf: one[:]}))
	<-wire.messages

	ctx, cancel := context.WithCancel(login)
	result := make(chan error)
	go func() { result <- conn.Send(ctx, &bin.Buffer{Buf: two[:]}) }()
	data.err = errors.New("the database is away")
	require.Error(t, storage.StoreSession(t.Context(), encoded(t, two)))
	assert.Empty(t, wire.messages)
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)

	go func() { result <- conn.Send(login, &bin.Buffer{Buf: two[:]}) }()
	data.err = nil
	require.NoError(t, storage.StoreSession(t.Context(), encoded(t, two)))
	require.NoError(t, <-result)
	assert.Equal(t, two[:], <-wire.messages)

	go func() { result <- conn.Send(login, &bin.Buffer{Buf: one[:]}) }()
	storage.close()
	require.ErrorIs(t, <-result, errSessionClosed)
}

// A client whose row is gone is stopped, and so is one with another key than the one that is
// logged in. Other errors stop nothing.
func TestStorageStopsItsClient(t *testing.T) {
	for _, c := range []struct {
		name  string
		fixed bool
		key   authKeyID
		err   error
		stops bool
	}{
		{"the same key", true, authKeyID{1}, nil, false},
		{"another key of a login", false, authKeyID{2}, nil, false},
		{"another key of somebody who is logged in", true, authKeyID{2}, nil, true},
		{"the row is gone", true, authKeyID{1}, errRowGone, true},
		{"the database is away", true, authKeyID{1}, errors.New("away"), false},
	} {
		stopped := false
		data := &memoryData{data: encoded(t, authKeyID{1})}
		s := newStorage(data, func() { stopped = true })
		_, err := s.LoadSession(t.Context())
		require.NoError(t, err)
		if c.fixed {
			s.fix()
		}
		data.err = c.err
		err = s.StoreSession(t.Context(), encoded(t, c.key))
		assert.Equal(t, c.stops, stopped, c.name)
		assert.Equal(t, c.stops || c.err != nil, err != nil, c.name)
		assert.Equal(t, c.stops, s.isClosed(), c.name)
		assert.Equal(t, c.key == authKeyID{2} && !c.fixed, s.isStored(authKeyID{2}), c.name)
	}
}
