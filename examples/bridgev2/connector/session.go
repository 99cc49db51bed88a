package connector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/gotd/td/session"
	tdtelegram "github.com/gotd/td/telegram"
)

// LoginMetadata is what the bridge's database keeps of a login beside what bridgev2 does:
// the session. It is safe for concurrent use: bridgev2 stores it at any time.
type LoginMetadata struct {
	mu     sync.Mutex
	stored storedSession
}

// storedSession is a session as it stands in the database. Without a key there is none.
type storedSession struct {
	DC      int    `json:"dc,omitempty"`
	Addr    string `json:"addr,omitempty"` // "" for one of Telegram's own
	AuthKey []byte `json:"auth_key,omitempty"`
	KeyID   []byte `json:"auth_key_id,omitempty"`
	Salt    int64  `json:"salt,omitempty"`
	Bot     bool   `json:"bot,omitempty"`
	Synced  bool   `json:"synced,omitempty"` // the first chats have got portals
}

// MarshalJSON implements json.Marshaler.
func (m *LoginMetadata) MarshalJSON() ([]byte, error) { return json.Marshal(m.get()) }

// UnmarshalJSON implements json.Unmarshaler.
func (m *LoginMetadata) UnmarshalJSON(data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return json.Unmarshal(data, &m.stored)
}

// CopyFrom implements database.MetaMerger.
func (m *LoginMetadata) CopyFrom(other any) {
	if from, ok := other.(*LoginMetadata); ok {
		m.set(from.get())
	}
}

// IsBot says whether the login is that of a bot.
func (m *LoginMetadata) IsBot() bool { return m.get().Bot }

func (m *LoginMetadata) get() storedSession {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stored
}

func (m *LoginMetadata) set(s storedSession) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored = s
}

// end forgets the session of a key, and returns false where that is not the login's.
func (m *LoginMetadata) end(key []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(key) == 0 || !bytes.Equal(m.stored.AuthKey, key) {
		return false
	}
	m.stored = storedSession{Bot: m.stored.Bot}
	return true
}

// sync notes that the first chats get portals.
func (m *LoginMetadata) sync() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored.Synced = true
}

// storage is where gotd reads a client's session and writes it.
type storage struct {
	metadata *LoginMetadata
	save     func(context.Context) error
	stored   func() // is called after each
}

var _ tdtelegram.SessionStorage = (*storage)(nil)

// LoadSession implements telegram.SessionStorage.
func (s *storage) LoadSession(ctx context.Context) ([]byte, error) {
	stored := s.metadata.get()
	if len(stored.AuthKey) == 0 {
		return nil, session.ErrNotFound
	}
	memory := &session.StorageMemory{}
	err := (&session.Loader{Storage: memory}).Save(ctx, &session.Data{
		DC: stored.DC, Addr: stored.Addr, AuthKey: stored.AuthKey, AuthKeyID: stored.KeyID, Salt: stored.Salt,
	})
	if err != nil {
		return nil, err
	}
	return memory.LoadSession(ctx)
}

// StoreSession implements telegram.SessionStorage.
func (s *storage) StoreSession(ctx context.Context, raw []byte) error {
	memory := &session.StorageMemory{}
	if err := memory.StoreSession(ctx, raw); err != nil {
		return err
	}
	data, err := (&session.Loader{Storage: memory}).Load(ctx)
	if err != nil {
		return err
	}
	changed, err := s.metadata.update(data)
	if err == nil && changed {
		err = s.save(ctx)
	}
	if err == nil {
		s.stored()
	}
	return err
}

// errEnded is what gotd gets that wants to store another session in place of one that has
// ended.
var errEnded = errors.New("the session has ended")

// update takes over what has changed of the session.
func (m *LoginMetadata) update(data *session.Data) (changed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.stored.AuthKey, data.AuthKey) {
		return false, errEnded
	}
	changed = m.stored.DC != data.DC || m.stored.Salt != data.Salt
	m.stored.DC, m.stored.Salt = data.DC, data.Salt
	return changed, nil
}
