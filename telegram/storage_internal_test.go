package telegram

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gotd/td/session"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
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

// blockedData is a database that answers when its context ends.
type blockedData struct{}

func (blockedData) load(ctx context.Context) ([]byte, error) {
	return nil, blockedData{}.store(ctx, nil)
}

func (blockedData) store(ctx context.Context, _ []byte) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", provisioning.ErrDatabase, ctx.Err())
}

// Who waits for a connection that can't be made without the database is told so, whether the
// database has failed or says nothing yet; and not when it works again.
func TestDatabaseIsBlamedForNoConnection(t *testing.T) {
	ended, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	newConn := func(data sessionData) *conn {
		c := &conn{storage: newStorage(data, func() {}), ready: make(chan struct{}), refused: make(chan error), done: make(chan struct{})}
		c.reconnected.Store(&c.ready)
		return c
	}
	waits := func(c *conn) map[string]error {
		return map[string]error{"wait": c.wait(ended), "waitUp": c.waitUp(ended)}
	}

	failed := &memoryData{data: encoded(t, authKeyID{1}), err: provisioning.ErrDatabase}
	c := newConn(failed)
	require.Error(t, c.storage.StoreSession(t.Context(), failed.data))
	for name, err := range waits(c) {
		assert.ErrorIs(t, err, provisioning.ErrDatabase, name)
	}
	failed.err = nil
	require.NoError(t, c.storage.StoreSession(t.Context(), failed.data))
	for name, err := range waits(c) {
		assert.NotErrorIs(t, err, provisioning.ErrDatabase, name)
		assert.ErrorIs(t, err, context.DeadlineExceeded, name)
	}

	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		client, stop := context.WithCancel(t.Context())
		defer stop()
		c := newConn(blockedData{})
		go func() { _ = c.storage.StoreSession(client, encoded(t, authKeyID{1})) }()
		require.ErrorIs(t, c.wait(ended), provisioning.ErrDatabase)
		assert.False(t, c.storage.isClosed(), "who looks does not wait for the database")
		c.storage.finish()
	})
}

// goneData is a database that does something before it says that the row is gone.
type goneData struct{ before func() }

func (goneData) load(context.Context) ([]byte, error) { return nil, nil }

func (g goneData) store(context.Context, []byte) error {
	g.before()
	return errRowGone
}

// A client that ends its session is not stopped by what it was just storing.
func TestFinishDuringAWrite(t *testing.T) {
	var s *storage
	s = newStorage(goneData{func() { s.finish() }}, func() { t.Error("the client was stopped") })
	require.NoError(t, s.StoreSession(t.Context(), encoded(t, authKeyID{1})))
	assert.False(t, s.isClosed())
}

// The error of a call that the database has failed is the database's, though the request's
// deadline has come.
func TestDeadlineOfTheDatabaseIsNotTelegrams(t *testing.T) {
	ended, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	c := &conn{storage: newStorage(&memoryData{}, func() {}), done: make(chan struct{})}
	fault := fmt.Errorf("%w: %w", provisioning.ErrDatabase, ended.Err())
	require.ErrorIs(t, c.reason(ended, "", fault), provisioning.ErrDatabase)
	require.NotErrorIs(t, c.reason(ended, "", ended.Err()), provisioning.ErrDatabase)
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
		{"the database is away", true, authKeyID{1}, provisioning.ErrDatabase, false},
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
