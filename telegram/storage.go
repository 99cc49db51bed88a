package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"

	"github.com/tgprovision/tgprovision/provisioning"
)

// sessionData is where the session of one client is stored, in gotd's form.
type sessionData interface {
	load(ctx context.Context) ([]byte, error) // nil where there is none yet
	store(ctx context.Context, data []byte) error
}

// storedSession is the session of a row.
type storedSession struct {
	rows *sessionStore
	key  sessionKey
	row  rowID
}

func (s storedSession) load(ctx context.Context) ([]byte, error) {
	return s.rows.session(ctx, s.key, s.row)
}

func (s storedSession) store(ctx context.Context, data []byte) error {
	return s.rows.putSession(ctx, s.key, s.row, data)
}

// readOnlySession is a session that was read, for a client whose session is not stored any more.
type readOnlySession []byte

func (s readOnlySession) load(context.Context) ([]byte, error) { return s, nil }
func (s readOnlySession) store(context.Context, []byte) error  { return nil }

// authKeyID names an auth key, as the messages that are encrypted with it do.
type authKeyID [8]byte

// storage is what gotd reads a client's session from and writes it to. A client whose row
// is gone is stopped by its next write, and so is one that would write another auth key than
// the one that is logged in: Telegram has forgotten that one, or says so by mistake.
type storage struct {
	data sessionData
	gone func() // stops the client

	away atomic.Bool // the database has not done what it was last asked for

	writing sync.Mutex // held while a session is stored; locked before mu

	mu     sync.Mutex
	closed bool
	fixed  bool // the auth key is logged in
	done   bool // see finish
	key    crypto.AuthKey
	dc     int    // of the key, 0 where that is not known
	latest []byte // as it is stored
}

var _ telegram.SessionStorage = (*storage)(nil)

func newStorage(data sessionData, gone func()) *storage {
	return &storage{data: data, gone: gone}
}

// LoadSession implements telegram.SessionStorage.
func (s *storage) LoadSession(ctx context.Context) ([]byte, error) {
	if latest := s.afterFinish(); latest != nil {
		return latest, nil
	}
	s.away.Store(true)
	data, err := s.data.load(ctx)
	s.answered(err)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, session.ErrNotFound
	}
	key, dc, err := keyOf(ctx, data)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.dc, s.latest = key, dc, data
	return data, nil
}

// StoreSession implements telegram.SessionStorage.
func (s *storage) StoreSession(ctx context.Context, data []byte) error {
	key, dc, err := keyOf(ctx, data)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	closed, done, another := s.closed, s.done, s.fixed && key.ID != s.key.ID
	s.mu.Unlock()
	switch {
	case closed:
		return errSessionClosed
	case done:
		return nil
	case another:
		err = errors.New("the auth key of a session can't change")
	default: // without mu, which those lock who must not wait for the database
		s.away.Store(true)
		err = s.data.store(ctx, data)
		s.answered(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.key, s.dc, s.latest = key, dc, data
		return nil
	case s.done && errors.Is(err, errRowGone): // meanwhile
		return nil
	}
	if another || errors.Is(err, errRowGone) {
		s.closed = true
		s.gone()
	}
	return err
}

// answered notes what the database has answered.
func (s *storage) answered(err error) { s.away.Store(errors.Is(err, provisioning.ErrDatabase)) }

// blame returns an error that says that there is no connection. Without the database there can
// be none: then it is a provisioning.ErrDatabase.
func (s *storage) blame(err error) error {
	if s.away.Load() && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: a session can't be read or stored: %w", provisioning.ErrDatabase, err)
	}
	return err
}

var errSessionClosed = errors.New("the session is closed")

// isStored says whether an auth key is the stored one. The zero ID is none.
func (s *storage) isStored(id authKeyID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return authKeyID(s.key.ID) == id && id != authKeyID{}
}

// mayUse says whether a connection to a datacenter may be made: where the session is not
// logged in, to that of its auth key.
func (s *storage) mayUse(dc int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fixed || s.dc == 0 || s.dc == dc
}

// authKey returns the stored auth key.
func (s *storage) authKey() crypto.AuthKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

// last returns the session as it was stored last.
func (s *storage) last() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest
}

// afterFinish returns the session that a client goes on with whose row is to be ended: gotd
// loads it before it stores it, as it does soon after it has connected. It is nil before.
func (s *storage) afterFinish() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		return nil
	}
	return s.latest
}

// fix says that the auth key is logged in.
func (s *storage) fix() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fixed = true
}

// finish has nothing stored any more, without an error: the client is about to end its
// session, whose row is to be ended. What is being stored finds the row as it is, or ended.
func (s *storage) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
}

// isFinished says whether whoever has called finish or close sees to the client.
func (s *storage) isFinished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done || s.closed
}

func (s *storage) close() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *storage) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// decodeSession reads gotd's form of a session.
func decodeSession(ctx context.Context, data []byte) (*session.Data, error) {
	memory := &session.StorageMemory{}
	err := memory.StoreSession(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("decode a session: %w", err)
	}
	loader := session.Loader{Storage: memory}
	decoded, err := loader.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("decode a session: %w", err)
	}
	return decoded, nil
}

// encodeSession returns gotd's form of a session.
func encodeSession(ctx context.Context, data *session.Data) ([]byte, error) {
	memory := &session.StorageMemory{}
	loader := session.Loader{Storage: memory}
	if err := loader.Save(ctx, data); err != nil {
		return nil, fmt.Errorf("encode a session: %w", err)
	}
	return memory.LoadSession(ctx)
}

// keyOf returns the auth key of a session in gotd's form, and its datacenter.
func keyOf(ctx context.Context, data []byte) (key crypto.AuthKey, dc int, err error) {
	decoded, err := decodeSession(ctx, data)
	if err != nil {
		return key, 0, err
	}
	if len(decoded.AuthKeyID) != len(key.ID) {
		return key, 0, errors.New("a session has no auth key")
	}
	copy(key.ID[:], decoded.AuthKeyID)
	copy(key.Value[:], decoded.AuthKey)
	return key, decoded.DC, nil
}
