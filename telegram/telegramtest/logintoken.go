package telegramtest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

// DefaultLoginTokenLifetime is how long the token of a QR code can be accepted where
// [Config.LoginTokenLifetime] is zero: as long as Telegram's.
const DefaultLoginTokenLifetime = 30 * time.Second

// loginURL is what the content of a login's QR code begins with.
const loginURL = "tg://login?token="

// loginToken is what a QR code holds.
//
// https://core.telegram.org/api/qr-login
type loginToken struct {
	key      keyID // of the client that shows it
	expires  time.Time
	accepted *account // nil until somebody has accepted it
}

func tokenMethods() []method {
	return []method{
		on(anybody, (*caller).authExportLoginToken),
		on(anybody, (*caller).authImportLoginToken),
		on(usersOnly, (*caller).authAcceptLoginToken),
	}
}

// AcceptLoginToken logs the client that shows a QR code in to an account, as the account's
// app does that scans the code: the token is accepted, and the client's connections are
// sent updateLoginToken, except those that so far only made calls in invokeWithoutUpdates.
// The client then has to ask for the outcome: the login, the error
// SESSION_PASSWORD_NEEDED, or the account's own datacenter to go on at.
//
// code is what the QR code says, tg://login?token=…. It returns an error for an account
// that was not added, and for a code that the server never gave out, that has expired
// or was accepted before.
func (s *Server) AcceptLoginToken(code string, accountID int64) error {
	encoded, ok := strings.CutPrefix(code, loginURL)
	raw, err := base64.URLEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return errors.New("accept a login token: not what the QR code of a login says")
	}
	s.mu.Lock()
	a, err := s.account(accountID)
	var key keyID
	if err == nil {
		key, err = s.acceptLoginToken(raw, a)
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("accept a login token: %w", err)
	}
	s.tellLoginToken(key)
	return nil
}

// ExpireLoginTokens makes the tokens of all QR codes expire that nobody has accepted.
func (s *Server) ExpireLoginTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.world.loginTokens {
		if t.accepted == nil {
			t.expires = time.Time{}
		}
	}
}

// acceptLoginToken records that an account has accepted a token, and returns the auth
// key that is to be logged in. Server.mu is held.
func (s *Server) acceptLoginToken(raw []byte, a *account) (keyID, error) {
	t := s.world.loginTokens[string(raw)]
	switch {
	case t == nil:
		return keyID{}, tgerr.New(400, "AUTH_TOKEN_INVALIDX")
	case t.accepted != nil:
		return keyID{}, tgerr.New(400, "AUTH_TOKEN_ALREADY_ACCEPTED")
	case !s.now().Before(t.expires):
		return keyID{}, tgerr.New(400, "AUTH_TOKEN_EXPIRED")
	}
	t.accepted = a
	return t.key, nil
}

// tellLoginToken tells the connections of an auth key that its token was accepted.
func (s *Server) tellLoginToken(key keyID) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	update := &tg.UpdateShort{Update: &tg.UpdateLoginToken{}, Date: int(s.now().Unix())}
	for _, c := range conns {
		c.mu.Lock()
		in, subscribed := c.current, c.subscribed
		c.mu.Unlock()
		if !subscribed || in.key.ID != key {
			continue
		}
		if err := c.send(in, proto.MessageFromServer, true, update); err != nil {
			s.log.Debug().Err(err).Msg("Could not send updateLoginToken")
			c.drop()
		}
	}
}

// https://core.telegram.org/method/auth.exportLoginToken
func (c *caller) authExportLoginToken(q *tg.AuthExportLoginTokenRequest) (bin.Encoder, error) {
	switch {
	case q.APIID == 0 || q.APIHash == "":
		return nil, tgerr.New(400, "API_ID_INVALID")
	case c.key.PasswordFor != 0:
		return nil, tgerr.New(401, "SESSION_PASSWORD_NEEDED")
	case c.account != nil:
		return &tg.AuthLoginTokenSuccess{Authorization: &tg.AuthAuthorization{User: c.user(c.account.ID)}}, nil
	}
	for raw, t := range c.server.world.loginTokens {
		if t.key == c.key.ID && t.accepted != nil {
			return c.acceptedToken(raw, t)
		}
	}
	raw := rand.Text()
	expires := c.server.now().Add(c.server.tokenLife)
	c.server.world.loginTokens[raw] = &loginToken{key: c.key.ID, expires: expires}
	return &tg.AuthLoginToken{Expires: int(expires.Unix()), Token: []byte(raw)}, nil
}

// https://core.telegram.org/method/auth.importLoginToken
func (c *caller) authImportLoginToken(q *tg.AuthImportLoginTokenRequest) (bin.Encoder, error) {
	t := c.server.world.loginTokens[string(q.Token)]
	if t == nil || t.accepted == nil {
		return nil, tgerr.New(400, "AUTH_TOKEN_INVALID")
	}
	return c.acceptedToken(string(q.Token), t)
}

// acceptedToken logs the caller in to the account that has accepted a token, as far as
// that goes at this datacenter.
func (c *caller) acceptedToken(raw string, t *loginToken) (bin.Encoder, error) {
	a := t.accepted
	if a.DC != c.conn.dc {
		return &tg.AuthLoginTokenMigrateTo{DCID: a.DC, Token: []byte(raw)}, nil
	}
	delete(c.server.world.loginTokens, raw)
	if a.verifier != nil {
		if err := c.setLogin(login{PasswordFor: a.ID}); err != nil {
			return nil, err
		}
		return nil, tgerr.New(401, "SESSION_PASSWORD_NEEDED")
	}
	authorization, err := c.logIn(a)
	if err != nil {
		return nil, err
	}
	return &tg.AuthLoginTokenSuccess{Authorization: authorization}, nil
}

// https://core.telegram.org/method/auth.acceptLoginToken
func (c *caller) authAcceptLoginToken(q *tg.AuthAcceptLoginTokenRequest) (bin.Encoder, error) {
	key, err := c.server.acceptLoginToken(q.Token, c.account)
	if err != nil {
		return nil, err
	}
	// The call's connection keeps the server from being closed meanwhile.
	c.conn.calls.Go(func() { c.server.tellLoginToken(key) })
	now := int(c.server.now().Unix())
	return &tg.Authorization{DeviceModel: "test", DateCreated: now, DateActive: now}, nil
}
