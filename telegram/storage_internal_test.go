package telegram

import (
	"context"
	"errors"
	"testing"

	"github.com/gotd/td/session"
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
