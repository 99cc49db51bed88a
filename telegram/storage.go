package telegram

import (
	"context"
	"errors"
	"sync"

	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"
)

// sessionRows is where sessions are stored, in gotd's form.
type sessionRows interface {
	session(ctx context.Context, key sessionKey) ([]byte, error)
	putSession(ctx context.Context, key sessionKey, data []byte) error
}

// storage is what gotd reads a client's session from and writes it to. It takes no more
// writes once it is closed, so that a client that is about to stop can't bring back a
// session that was deleted.
type storage struct {
	rows sessionRows
	key  sessionKey

	mu        sync.Mutex
	closed    bool
	savedOnce sync.Once
	saved     chan struct{} // closed after the first write
}

var _ telegram.SessionStorage = (*storage)(nil)

// LoadSession implements telegram.SessionStorage.
func (s *storage) LoadSession(ctx context.Context) ([]byte, error) {
	data, err := s.rows.session(ctx, s.key)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, session.ErrNotFound
	}
	return data, nil
}

// StoreSession implements telegram.SessionStorage.
func (s *storage) StoreSession(ctx context.Context, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the session is closed")
	}
	if err := s.rows.putSession(ctx, s.key, data); err != nil {
		return err
	}
	s.savedOnce.Do(func() { close(s.saved) })
	return nil
}

func (s *storage) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *storage) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
