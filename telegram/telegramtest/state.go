package telegramtest

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gotd/td/crypto"
)

// state is what survives a restart of the server.
type state struct {
	path string // "" for memory only
	Key  *rsa.PrivateKey
	keys map[keyID]*authKey
}

// authKey is a client's auth key and how far its login has come.
type authKey struct {
	crypto.AuthKey
	login
}

// login is how far an auth key has come with logging in.
type login struct {
	// Account is the account that the key is logged in as, 0 for none.
	Account int64 `json:"account,omitempty"`
	// PasswordFor is the account whose code was accepted and whose password is
	// missing.
	PasswordFor int64 `json:"password_for,omitempty"`
	// Phone and CodeHash are of the login code that was sent last.
	Phone    string `json:"phone,omitempty"`
	CodeHash string `json:"code_hash,omitempty"`
	Resent   bool   `json:"resent,omitempty"`
	// Revoked is the error that ended the session, such as SESSION_REVOKED.
	Revoked string `json:"revoked,omitempty"`
}

// stateFile is the form of the state in a file.
type stateFile struct {
	Key      string        `json:"key"` // PEM
	AuthKeys []authKeyFile `json:"auth_keys"`
}

type authKeyFile struct {
	Value []byte `json:"value"`
	login
}

const privateKeyType = "RSA PRIVATE KEY"

func loadState(path string) (state, error) {
	s := state{path: path, keys: map[keyID]*authKey{}}
	if path == "" {
		return s, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read the state: %w", err)
	}
	corrupt := func(why any) (state, error) {
		return s, fmt.Errorf("the state file %s can't be used, delete it to start afresh: %v", path, why)
	}
	var file stateFile
	if err := json.Unmarshal(data, &file); err != nil {
		return corrupt(err)
	}
	block, _ := pem.Decode([]byte(file.Key))
	if block == nil || block.Type != privateKeyType {
		return corrupt("no private key")
	}
	if s.Key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
		return corrupt(err)
	}
	for _, k := range file.AuthKeys {
		var key crypto.Key
		if copy(key[:], k.Value) != len(key) || len(k.Value) != len(key) {
			return corrupt("an auth key of a wrong length")
		}
		s.keys[key.ID()] = &authKey{key.WithID(), k.login}
	}
	return s, nil
}

// save writes the state to its file, whole or not at all.
func (s *state) save() error {
	if s.path == "" {
		return nil
	}
	block := &pem.Block{Type: privateKeyType, Bytes: x509.MarshalPKCS1PrivateKey(s.Key)}
	file := stateFile{Key: string(pem.EncodeToMemory(block))}
	for _, k := range s.keys {
		file.AuthKeys = append(file.AuthKeys, authKeyFile{k.Value[:], k.login})
	}
	slices.SortFunc(file.AuthKeys, func(a, b authKeyFile) int { return bytes.Compare(a.Value, b.Value) })
	data, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	temp, err := os.CreateTemp(dir, ".telegram-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), s.path)
	}
	if err != nil {
		return fmt.Errorf("write the state: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// update changes the state and saves it.
func (s *Server) update(change func(*state)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	return s.state.save()
}

// loginOf returns how far an auth key has come, and false for an unknown key.
func (s *Server) loginOf(id keyID) (login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.state.keys[id]; key != nil {
		return key.login, true
	}
	return login{}, false
}

// setLogin records how far an auth key has come.
func (s *Server) setLogin(id keyID, l login) error {
	return s.update(func(state *state) {
		if key := state.keys[id]; key != nil {
			key.login = l
		}
	})
}

// Sessions counts the auth keys that are logged in as the account.
func (s *Server) Sessions(accountID int64) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.state.keys {
		if key.Account == accountID && key.Revoked == "" {
			n++
		}
	}
	return n
}

// AuthKeys returns the auth keys that the server knows, so that a test can look
// for them where they don't belong, such as in a log.
func (s *Server) AuthKeys() (keys [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.state.keys {
		keys = append(keys, bytes.Clone(key.Value[:]))
	}
	return keys
}

// PublicKeyPEM returns the key that clients have to know in PEM form.
func (s *Server) PublicKeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(s.PublicKey().RSA)})
}
