package telegramtest

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gotd/td/crypto"
)

// state is what outlasts the server, if there is a file for it.
type state struct {
	path     string // "" for memory only
	key      *rsa.PrivateKey
	authKeys map[keyID]*authKey
	chats    map[peer]chatFile // those that clients made or changed
}

// authKey is a client's auth key and how far its login has come.
type authKey struct {
	crypto.AuthKey
	login
	dc        int        // the datacenter that has it
	salt      int64      // the only one that is good
	inited    bool       // initConnection was called with it
	newest    *conn      // of the connections that calls came over, nil for none
	older     *conn      // that calls came over since then, nil for none
	challenge *challenge // for the password, nil for none
}

// login is how far an auth key has come with logging in.
type login struct {
	// Account is the account that the key is logged in as, 0 for none.
	Account int64 `json:"account,omitempty"`
	// Revoked is the error that every call gets, such as SESSION_REVOKED.
	Revoked string `json:"revoked,omitempty"`
	// PasswordFor is the account whose code was accepted and whose password is
	// missing, 0 for none.
	PasswordFor int64 `json:"password_for,omitempty"`
	// Code is the code that was sent last and may still be entered, nil for none.
	Code *sentCode `json:"code,omitempty"`
}

// sentCode is a login code under way.
type sentCode struct {
	Phone    string       `json:"phone"`
	Hash     string       `json:"hash"`
	Delivery CodeDelivery `json:"delivery"`
}

// stateFile is what the file looks like.
type stateFile struct {
	PrivateKey string        `json:"private_key"` // PEM
	AuthKeys   []authKeyFile `json:"auth_keys"`
	Chats      []chatFile    `json:"chats,omitempty"`
}

type chatFile struct {
	Chat
	Deleted bool `json:",omitempty"`
}

type authKeyFile struct {
	Value []byte `json:"value"`
	DC    int    `json:"dc"`
	Salt  int64  `json:"salt"`
	Init  bool   `json:"init,omitempty"`
	login
}

const privateKeyType = "RSA PRIVATE KEY"

// openState reads the state from a file, or makes a new one there. A key that is
// given takes precedence over the file's. Auth keys that are stored without a datacenter
// belong to dc: there was one only when they were made.
func openState(path string, key *rsa.PrivateKey, dc int) (state, error) {
	s := state{path: path, authKeys: map[keyID]*authKey{}, chats: map[peer]chatFile{}}
	if path != "" {
		if err := s.load(); err != nil {
			return s, err
		}
	}
	if key != nil {
		s.key = key
	}
	for _, k := range s.authKeys {
		k.dc = cmp.Or(k.dc, dc)
	}
	if s.key == nil {
		var err error
		if s.key, err = processKey(); err != nil {
			return s, fmt.Errorf("make a private key: %w", err)
		}
	}
	return s, s.save()
}

// processKey is made once: that takes longer than everything else that a server starts with.
var processKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, crypto.RSAKeyBits) })

// load reads the file, if there is one.
func (s *state) load() error {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the state of the Telegram test server: %w", err)
	}
	if err := s.parse(data); err != nil {
		return fmt.Errorf("the state file %s of the Telegram test server is damaged, delete it to start afresh: %w", s.path, err)
	}
	return nil
}

func (s *state) parse(data []byte) error {
	var file stateFile
	if err := json.Unmarshal(data, &file); err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(file.PrivateKey))
	if block == nil || block.Type != privateKeyType {
		return errors.New("private_key is not a PEM block of type " + privateKeyType)
	}
	var err error
	if s.key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
		return fmt.Errorf("private_key: %w", err)
	}
	for i, k := range file.AuthKeys {
		var value crypto.Key
		if len(k.Value) != len(value) {
			return fmt.Errorf("auth_keys[%d] has %d bytes instead of %d", i, len(k.Value), len(value))
		}
		copy(value[:], k.Value)
		s.authKeys[value.ID()] = &authKey{AuthKey: value.WithID(), login: k.login, dc: k.DC, salt: k.Salt, inited: k.Init}
	}
	for i, c := range file.Chats {
		if err := c.check(); err != nil {
			return fmt.Errorf("chats[%d]: %w", i, err)
		}
		s.chats[peerOf(c.Kind, c.ID)] = c
	}
	return nil
}

// save writes the file, whole or not at all.
func (s *state) save() error {
	if s.path == "" {
		return nil
	}
	block := &pem.Block{Type: privateKeyType, Bytes: x509.MarshalPKCS1PrivateKey(s.key)}
	file := stateFile{PrivateKey: string(pem.EncodeToMemory(block)), AuthKeys: []authKeyFile{}}
	for _, k := range s.authKeys {
		file.AuthKeys = append(file.AuthKeys, authKeyFile{bytes.Clone(k.Value[:]), k.dc, k.salt, k.inited, k.login})
	}
	slices.SortFunc(file.AuthKeys, func(a, b authKeyFile) int { return bytes.Compare(a.Value, b.Value) })
	file.Chats = slices.SortedFunc(maps.Values(s.chats), func(a, b chatFile) int { return compareChats(&a.Chat, &b.Chat) })
	data, err := json.MarshalIndent(file, "", "\t")
	if err == nil {
		err = replaceFile(s.path, data)
	}
	if err != nil {
		return fmt.Errorf("write the state of the Telegram test server: %w", err)
	}
	return nil
}

// replaceFile writes a file that only its owner may read, so that at any moment it
// is either the old or the new one.
func replaceFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".telegramtest-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// session returns a session of an auth key, and false for one that a datacenter does not
// know.
func (s *Server) session(id keyID, dc int) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.state.authKeys[id]
	if key == nil || key.dc != dc {
		return session{}, false
	}
	return session{key: key.AuthKey, salt: key.salt}, true
}

func (s *Server) addAuthKey(key *authKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.authKeys[key.ID] = key
	return s.state.save()
}

// setLogin records how far the caller's auth key has come.
func (c *caller) setLogin(l login) error {
	c.key.login = l
	return c.server.state.save()
}

// keep records a chat that a client made or changed.
func (s *Server) keep(c *chat) error {
	s.state.chats[c.peer()] = chatFile{Chat: s.world.snapshot(c)}
	return s.state.save()
}

// keepDeleted records that a client has deleted a chat.
func (s *Server) keepDeleted(c *chat) error {
	s.state.chats[c.peer()] = chatFile{Chat: Chat{Kind: c.Kind, ID: c.ID}, Deleted: true}
	return s.state.save()
}

// restoreChats does again what clients did to chats, as far as their accounts are
// still there.
func (s *Server) restoreChats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &s.world
	gone := func(id int64) bool { return w.accounts[id] == nil }
	kept := slices.SortedFunc(maps.Values(s.state.chats), func(a, b chatFile) int { return compareChats(&a.Chat, &b.Chat) })
	for _, c := range kept {
		w.lastChat = max(w.lastChat, c.ID)
		if c.Deleted {
			w.removeChat(peerOf(c.Kind, c.ID), nil)
			continue
		}
		c.Members = slices.DeleteFunc(slices.Clone(c.Members), gone)
		c.Admins = slices.DeleteFunc(slices.Clone(c.Admins), gone)
		if gone(c.Owner) {
			c.Owner = 0
		}
		if err := w.setChat(c.Chat); err != nil {
			s.log.Warn().Err(err).Int64("chat", c.ID).Msg("Could not bring back a chat")
		}
	}
}
