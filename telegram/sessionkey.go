package telegram

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

// SessionKey is a secret that a [Factory] encrypts with what it keeps of sessions and
// half-done logins, see [Config.SessionKeys]. It is 32 random bytes. Who has it and the
// database has the accounts; who has only the database has nothing.
//
// No verb of fmt prints a key, and encoding/json gives an empty object for one.
type SessionKey struct {
	secret [chacha20poly1305.KeySize]byte
}

// NewSessionKey makes a key.
func NewSessionKey() SessionKey {
	var k SessionKey
	_, _ = rand.Read(k.secret[:]) // it never fails
	return k
}

// ParseSessionKey reads a key from what [SessionKey.Text] returns, or from any 32 random
// bytes in base64, such as those of
//
//	openssl rand -base64 32
//
// White space around it is left out. An error does not show the text.
func ParseSessionKey(text string) (SessionKey, error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(secret) != chacha20poly1305.KeySize {
		return SessionKey{}, errors.New("not a session key: it is 32 bytes in base64, as `openssl rand -base64 32` makes them")
	}
	return SessionKey{[chacha20poly1305.KeySize]byte(secret)}, nil
}

// Text returns the key for ParseSessionKey, to be kept in a safe place.
func (k SessionKey) Text() string { return base64.StdEncoding.EncodeToString(k.secret[:]) }

// ID names the key, in 16 digits, for logs and errors. It says nothing of the key itself.
func (k SessionKey) ID() string { return fmt.Sprintf("%x", k.id()) }

// Format implements fmt.Formatter. It leaves the secret out.
func (k SessionKey) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "session key %s", k.ID()) }

// keyID is what a stored value has of its key. It is a hash, which gives nothing away of
// 32 random bytes.
type keyID [8]byte

func (k SessionKey) id() keyID {
	hash := sha256.Sum256(append([]byte("tgprovision session key\x00"), k.secret[:]...))
	return keyID(hash[:])
}

// A stored value begins with its form:
//
//	formClear   the value
//	formSealed  the ID of the key, a random nonce, and the value encrypted with
//	            XChaCha20-Poly1305, which takes any number of random nonces
const (
	formClear  = 0
	formSealed = 1
)

// sealedHeader is how many bytes of a sealed value name its form and its key.
const sealedHeader = 1 + len(keyID{})

// errUnknownKey: a value is sealed with a key that the Factory does not have.
var errUnknownKey = errors.New("it is encrypted with a session key that is not among Config.SessionKeys")

// keyring seals and opens stored values. Its keys may be replaced at any time.
type keyring struct {
	keys atomic.Pointer[[]SessionKey] // the first seals; without any, values stay clear
	// using is read-locked from seal until the value is stored, and from where a stored value
	// is read until it is opened: when keys were replaced, nothing that the old ones have
	// sealed is under way any more.
	using sync.RWMutex
}

func newKeyring(keys []SessionKey) *keyring {
	r := &keyring{}
	r.set(keys)
	return r
}

func (r *keyring) set(keys []SessionKey) {
	keys = slices.Clone(keys)
	r.keys.Store(&keys)
}

// seal returns a value as it is stored. The place that it is stored in has to be the same
// when it is opened: no value can be moved to another row or column.
func (r *keyring) seal(value []byte, place string) []byte {
	keys := *r.keys.Load()
	if len(keys) == 0 {
		return append([]byte{formClear}, value...)
	}
	id := keys[0].id()
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	_, _ = rand.Read(nonce) // it never fails
	stored := slices.Concat([]byte{formSealed}, id[:], nonce)
	return keys[0].cipher().Seal(stored, nonce, value, []byte(place))
}

// open returns a value that was stored. A clear one is refused where there are keys: who can
// write to the database, and has no key, must not be able to plant a session. Errors:
// errUnknownKey.
func (r *keyring) open(stored []byte, place string) ([]byte, error) {
	if isClear(stored) && len(*r.keys.Load()) > 0 {
		return nil, errors.New("it is not encrypted: another process on the database has no session key")
	}
	return r.openAny(stored, place)
}

// openAny is open for clear values too.
func (r *keyring) openAny(stored []byte, place string) ([]byte, error) {
	const header = sealedHeader + chacha20poly1305.NonceSizeX
	switch {
	case isClear(stored):
		return stored[1:], nil
	case len(stored) < header || stored[0] != formSealed:
		return nil, errors.New("it is damaged")
	}
	key, ok := r.find(keyID(stored[1:]))
	if !ok {
		return nil, errUnknownKey
	}
	value, err := key.cipher().Open(nil, stored[sealedHeader:header], stored[header:], []byte(place))
	if err != nil {
		return nil, errors.New("it is damaged, or was moved here from another place")
	}
	return value, nil
}

func (r *keyring) find(id keyID) (SessionKey, bool) {
	keys := *r.keys.Load()
	i := slices.IndexFunc(keys, func(k SessionKey) bool { return k.id() == id })
	if i < 0 {
		return SessionKey{}, false
	}
	return keys[i], true
}

// current says whether a stored value is as seal makes it now.
func (r *keyring) current(stored []byte) bool {
	keys := *r.keys.Load()
	if len(keys) == 0 {
		return isClear(stored)
	}
	return len(stored) >= sealedHeader && stored[0] == formSealed && keyID(stored[1:]) == keys[0].id()
}

func (k SessionKey) cipher() cipher.AEAD {
	aead, err := chacha20poly1305.NewX(k.secret[:])
	if err != nil {
		panic(err) // the key's length is right
	}
	return aead
}
