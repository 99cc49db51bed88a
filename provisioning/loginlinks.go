package provisioning

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// loginLinkLifetime is for how long a login link can be opened, and for how long the session that
// it opens lasts.
const loginLinkLifetime = 15 * time.Minute

// What tokens begin with. The rest is random, of characters that a WebSocket subprotocol may have.
const (
	linkPrefix    = "login_link_"
	sessionPrefix = "login_session_"
)

// errNoLink: what was sent, whatever it is, can't be opened.
var errNoLink = fmt.Errorf("%w: it takes a login link", errLinkRefused)

// loginLinks are the links to a web page on which a Matrix user logs in to Telegram, and the
// sessions that the page opens with them.
type loginLinks struct {
	store LoginLinkStore
	page  string // "" where there is none
}

func newLoginLinks(cfg Config) *loginLinks {
	l := &loginLinks{store: cfg.LoginLinks, page: cfg.LoginPage}
	if l.store == nil {
		l.store = &LoginLinkMemory{}
	}
	return l
}

// faultOfPage says what is wrong with a Config.LoginPage, "" for nothing. It does not repeat the
// page, which may hold a password.
func faultOfPage(page string) string {
	u, err := url.Parse(page)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "is no absolute URL: use https://host/path, or http for tests"
	case u.User != nil:
		return "has a user in it, which everybody who gets a link would see: leave that out"
	case strings.Contains(page, "#"):
		return "has a fragment, in whose place links have their token: leave that out"
	}
	return ""
}

// newToken returns a random token and its hash.
func newToken(prefix string) (token, hash string) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // which never fails
	token = prefix + base64.RawURLEncoding.EncodeToString(random[:])
	return token, hashOfLink(guessOf(token))
}

// hashOfLink returns how the store knows a token.
func hashOfLink(sum guess) string { return base64.RawURLEncoding.EncodeToString(sum[:]) }

// isLogin says whether a credential is the token of a login link or of its session, right or
// wrong.
func isLogin(credential string) bool {
	return strings.HasPrefix(credential, linkPrefix) || strings.HasPrefix(credential, sessionPrefix)
}

// callerOf returns whose token it is. A link is not spent by that. Errors: errLinkRefused.
func (l *loginLinks) callerOf(ctx context.Context, token string) (caller, error) {
	hash := hashOfLink(guessOf(token))
	userID, err := l.store.LoginLinkUser(ctx, hash)
	switch {
	case errors.Is(err, ErrLoginLinkInvalid):
		return caller{}, fmt.Errorf("%w: %w", errLinkRefused, err)
	case err != nil:
		return caller{}, fmt.Errorf("look for a login link: %w", err)
	}
	who := caller{kind: byLoginLink, userID: userID}
	if strings.HasPrefix(token, linkPrefix) {
		who.link = hash
	}
	return who, nil
}

// create makes a link for a user, in place of an earlier one and its session.
func (l *loginLinks) create(ctx context.Context, userID id.UserID) (url string, err error) {
	token, hash := newToken(linkPrefix)
	if err := l.store.PutLoginLink(ctx, userID, hash, loginLinkLifetime); err != nil {
		return "", fmt.Errorf("keep a login link: %w", err)
	}
	return l.page + "#login_link=" + token, nil
}

// open spends a link for a session. Errors: errLinkRefused.
func (l *loginLinks) open(ctx context.Context, link string) (token string, userID id.UserID, err error) {
	token, hash := newToken(sessionPrefix)
	userID, err = l.store.OpenLoginLink(ctx, link, hash, loginLinkLifetime)
	switch {
	case errors.Is(err, ErrLoginLinkInvalid):
		return "", "", fmt.Errorf("%w: %w", errLinkRefused, err) // somebody was faster
	case err != nil:
		return "", "", fmt.Errorf("open a login link: %w", err)
	}
	return token, userID, nil
}

// linksLogins says whether the bridge has a page that login links lead to, and a way to log in there.
func linksLogins(s *services, client TelegramClient) bool {
	return s.links.page != "" && (is[PhoneLogin](s, client) || is[QRLogin](s, client) || is[BotLogin](s, client))
}

type linkBody struct {
	URL       string `json:"url"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// createLoginLink is create_login_link.
func createLoginLink(ctx context.Context, s *services, op *operation) (reply, error) {
	if s.links.page == "" {
		return reply{}, ErrNotImplemented
	}
	if err := s.accounts.checkLoggedOut(ctx, &op.person, op.rt.beginsLogin()); err != nil {
		return reply{}, err
	}
	link, err := s.links.create(ctx, op.userID)
	if err != nil {
		return reply{}, err
	}
	return ok(linkBody{link, waitSeconds(loginLinkLifetime)}), nil
}

type linkSessionBody struct {
	Token      string    `json:"token"`
	UserID     id.UserID `json:"user_id"`
	ExpiresIn  int64     `json:"expires_in"` // seconds
	Operations []string  `json:"operations"`
}

// openLoginLink is open_login_link. The link is spent when nothing else can fail.
func openLoginLink(ctx context.Context, s *services, op *operation) (reply, error) {
	if s.links.page == "" {
		return reply{}, ErrNotImplemented
	}
	operations, err := s.operations(ctx, func(rt *route) bool { return rt.bySession })
	if err != nil {
		return reply{}, err
	}
	token, userID, err := s.links.open(ctx, op.caller.link)
	if err != nil {
		return reply{}, err
	}
	return ok(linkSessionBody{token, userID, waitSeconds(loginLinkLifetime), operations}), nil
}
