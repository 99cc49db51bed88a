package telegramtest

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/tg"
)

// ExpireCode makes the login codes that were sent to a phone number expire. It
// returns an error when the state file can't be written.
func (s *Server) ExpireCode(phone string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.state.authKeys {
		if key.Code != nil && key.Code.Phone == digits(phone) {
			key.Code = nil
		}
	}
	return s.state.save()
}

// ExpireToken makes a bot token one that was replaced by another. Who is logged in
// with it stays so.
func (s *Server) ExpireToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.expiredTokens[token] = true
}

// owned returns the auth keys that are logged in as an account or about to be.
// Server.mu is held.
func (s *Server) owned(a *account) (keys []*authKey) {
	for _, key := range s.state.authKeys {
		if key.Account == a.ID || key.PasswordFor == a.ID || key.Code != nil && key.Code.Phone == a.Phone {
			keys = append(keys, key)
		}
	}
	return keys
}

// Revoke ends the sessions of an account and the logins to it that are half done.
// From then on, every call with their auth keys gets the 401 error of that type,
// such as SESSION_REVOKED or USER_DEACTIVATED, or 406 for AUTH_KEY_DUPLICATED. With
// AUTH_KEY_UNREGISTERED, which is what any auth key gets that is not logged in, they can be
// logged in again.
//
// Connections stay. It returns an error for an account that was not added, and when
// the state file can't be written.
func (s *Server) Revoke(accountID int64, errorType string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.account(accountID)
	if err != nil {
		return err
	}
	for _, key := range s.owned(a) {
		key.login, key.challenge = login{}, nil
		if errorType != errUnauthorized().Type {
			key.Revoked = errorType
		}
	}
	return s.state.save()
}

// ForgetKeys makes the server forget the auth keys of an account, also of logins
// that are half done. Clients that use them get the protocol error 404 instead of an
// answer, and can make another key over the same connection.
//
// Connections stay. It returns an error for an account that was not added, and when
// the state file can't be written.
func (s *Server) ForgetKeys(accountID int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.account(accountID)
	if err != nil {
		return err
	}
	for _, key := range s.owned(a) {
		delete(s.state.authKeys, key.ID)
	}
	return s.state.save()
}

// SendUpdates pushes updates to every connection that is logged in as the account,
// except those that so far only made calls in invokeWithoutUpdates. It returns an
// error for an account that was not added, and for updates that can't be encoded.
func (s *Server) SendUpdates(accountID int64, updates tg.UpdatesClass) error {
	var b bin.Buffer
	if err := updates.Encode(&b); err != nil {
		return fmt.Errorf("encode updates: %w", err)
	}
	s.mu.Lock()
	_, err := s.account(accountID)
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, c := range conns {
		c.mu.Lock()
		in, subscribed := c.current, c.subscribed
		c.mu.Unlock()
		if !subscribed || s.loggedInAs(in.key.ID) != accountID {
			continue
		}
		if err := c.send(in, proto.MessageFromServer, true, updates); err != nil {
			s.log.Debug().Err(err).Msg("Could not send updates")
			c.drop()
		}
	}
	return nil
}

// loggedInAs returns the account that an auth key is logged in as, 0 for none.
func (s *Server) loggedInAs(id keyID) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.state.authKeys[id]; key != nil {
		return key.Account
	}
	return 0
}

// Calls counts the calls of a TL method that have arrived since the start or the
// last ResetCalls; those of [AnyMethod] are all of them.
func (s *Server) Calls(method string) int {
	checkMethod(method)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.calls[method]
}

// ResetCalls sets the counts of all methods to zero.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults.calls)
}

// AddAuthKey makes an auth key of 256 bytes that is logged in to an account, 0 for none. It
// belongs to the account's datacenter, or to that of [Server.DC] for none. A client that is
// given it needs no key exchange, which takes half a second of a processor, and no login. It
// returns an error for an account that was not added, and when the state file can't be
// written.
func (s *Server) AddAuthKey(accountID int64) ([]byte, error) {
	var key crypto.Key
	_, _ = rand.Read(key[:]) // never fails
	s.mu.Lock()
	defer s.mu.Unlock()
	dc := s.dc
	if accountID != 0 {
		a, err := s.account(accountID)
		if err != nil {
			return nil, err
		}
		dc = a.DC
	}
	s.state.authKeys[key.ID()] = &authKey{AuthKey: key.WithID(), dc: dc, salt: newSalt(), login: login{Account: accountID}}
	return key[:], s.state.save()
}

// Sessions counts the auth keys that are logged in as an account.
func (s *Server) Sessions(accountID int64) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.state.authKeys {
		if key.Account == accountID {
			n++
		}
	}
	return n
}

// AccountKeys returns the auth keys that are logged in as an account. Sessions counts them.
func (s *Server) AccountKeys(accountID int64) (keys [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.state.authKeys {
		if key.Account == accountID {
			keys = append(keys, bytes.Clone(key.Value[:]))
		}
	}
	return keys
}

// CodeHashes returns the phone_code_hash of every login code that was sent since the start,
// so that a test can look for them where they don't belong, such as in a database.
//
// https://core.telegram.org/constructor/auth.sentCode
func (s *Server) CodeHashes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.world.codeHashes)
}

// Connections counts the TCP connections that are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// AuthKeys returns the auth keys that the server knows, so that a test can look for
// them where they don't belong, such as in a log.
func (s *Server) AuthKeys() (keys [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.state.authKeys {
		keys = append(keys, bytes.Clone(key.Value[:]))
	}
	return keys
}
