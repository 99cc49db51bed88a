package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/places"
	"github.com/tgprovision/tgprovision/provisioning"
)

// What a [TokensConfig] says where it says nothing.
const (
	defaultTokenKeep        = 5 * time.Minute
	defaultTokenKeepInvalid = 10 * time.Second
	defaultTokenRemember    = 10_000
	defaultTokenTimeout     = 10 * time.Second
	defaultTokenChecks      = 32
	defaultTokenWaiting     = 16
)

// checksLine is how many questions may wait for each that may be under way.
const checksLine = 4

// maxToken is the largest token that the homeserver is asked about, in bytes.
const maxToken = 8 << 10

// TokensConfig is what [Tokens] are made of.
type TokensConfig struct {
	// Homeserver is the base URL of the homeserver's client-server API, such as
	// "http://127.0.0.1:8008". Required. Tokens travel there: other than on a network of
	// one's own it has to be https.
	Homeserver string
	// Federation is the base URL where the same homeserver answers the server-server API,
	// for OpenID tokens. Defaults to Homeserver.
	Federation string
	// ServerNames are the servers whose users may call, such as "example.com": as a rule
	// that of the homeserver alone. Required. The token of another server's user is
	// invalid.
	ServerNames []string

	// AccessTokens takes access tokens, those that Matrix clients work with. At least one
	// of AccessTokens and OpenID has to be set.
	AccessTokens bool
	// Guests takes the access tokens of guests, whom a homeserver lets in without an account.
	// An OpenID token does not say whether its user is one: where guests may get such tokens,
	// as on Synapse, their levels have to be low, or OpenID left out.
	Guests bool
	// OpenID takes OpenID tokens, sent as "openid:" and the token. They can do nothing but
	// tell who somebody is, and last for an hour on most homeservers. A homeserver that
	// does not serve the server-server API, at least what is about OpenID, can't be asked:
	// then such a token is a [provisioning.ErrHomeserver].
	OpenID bool

	// Keep is how long a valid token is not asked about again, and so for how long one
	// still works after it was revoked. Zero is 5 minutes.
	Keep time.Duration
	// KeepInvalid is the same for an invalid token. Zero is 10 seconds.
	KeepInvalid time.Duration
	// Remember is how many valid tokens are remembered at most, and how many invalid ones
	// besides; of more, those that were asked about first are forgotten. Zero is
	// 10,000, which takes some megabytes.
	Remember int
	// Timeout is how long one question to the homeserver may take. It goes on when those
	// who wait for the answer are gone. Zero is 10 seconds.
	Timeout time.Duration
	// Checks is how many questions to the homeserver may be under way. They are shared between
	// API clients, see [provisioning.ClientOf]: a client gets a further one while it has fewer
	// than are free. One more waits for two seconds at most, with no more than four times as
	// many others, and then fails with [provisioning.ErrOverloaded]. Zero is 32.
	Checks int
	// Waiting is how many checks of one token may wait for the answer to their one
	// question. One more fails with [provisioning.ErrOverloaded]: nobody can have requests
	// pile up with a token that the homeserver takes long to answer for. No more than
	// five times Checks times Waiting are waiting in all. Zero is 16.
	Waiting int
	// Transport sends the questions. It must not log request headers or query strings,
	// where the tokens are. Nil is http.DefaultTransport. Redirects are not followed.
	Transport http.RoundTripper
}

// Tokens is a [provisioning.TokenChecker] that asks the homeserver of the tokens' users.
// It remembers answers by hashes of the tokens, and no token in clear. It is safe for
// concurrent use, and has nothing to close.
type Tokens struct {
	kinds     map[string]*tokenKind // by their prefix
	servers   []string
	transport http.RoundTripper
	timeout   time.Duration
	checks    *places.Places[string] // of clients
	flights   singleflight.Group
	waiting   int // how many may for one token
	guests    bool

	mu      sync.Mutex
	waiters map[tokenKey]int // how many do

	valid, invalid *tokenCache
}

var _ provisioning.TokenChecker = (*Tokens)(nil)

// openIDPrefix tells OpenID tokens from access tokens. It is that of mautrix bridges.
const openIDPrefix = "openid:"

// tokenKind is a way to ask about tokens.
type tokenKind struct {
	name string
	url  string
	// inQuery says that the token belongs in the query, and not in a header.
	inQuery bool
	// field is where the answer has the user ID.
	field string
}

// NewTokens returns Tokens, or an error that names every fault of the configuration. It
// does not ask the homeserver anything yet.
func NewTokens(cfg TokensConfig) (*Tokens, error) {
	defaultTo(&cfg.Federation, cfg.Homeserver)
	if err := cfg.check(); err != nil {
		return nil, err
	}
	defaultTo(&cfg.Keep, defaultTokenKeep)
	defaultTo(&cfg.KeepInvalid, defaultTokenKeepInvalid)
	defaultTo(&cfg.Remember, defaultTokenRemember)
	defaultTo(&cfg.Timeout, defaultTokenTimeout)
	defaultTo(&cfg.Checks, defaultTokenChecks)
	defaultTo(&cfg.Waiting, defaultTokenWaiting)
	t := &Tokens{
		kinds: map[string]*tokenKind{}, servers: slices.Clone(cfg.ServerNames), transport: cfg.Transport,
		timeout: cfg.Timeout, checks: places.New[string](cfg.Checks, 0, checksLine*cfg.Checks), waiting: cfg.Waiting, guests: cfg.Guests, waiters: map[tokenKey]int{},
		valid: newTokenCache(cfg.Keep, cfg.Remember), invalid: newTokenCache(cfg.KeepInvalid, cfg.Remember),
	}
	if t.transport == nil {
		t.transport = http.DefaultTransport
	}
	if cfg.AccessTokens {
		// https://spec.matrix.org/v1.16/client-server-api/#get_matrixclientv3accountwhoami
		t.kinds[""] = &tokenKind{name: "access token", url: strings.TrimSuffix(cfg.Homeserver, "/") + "/_matrix/client/v3/account/whoami", field: "user_id"}
	}
	if cfg.OpenID {
		// https://spec.matrix.org/v1.16/server-server-api/#get_matrixfederationv1openiduserinfo
		t.kinds[openIDPrefix] = &tokenKind{name: "OpenID token", url: strings.TrimSuffix(cfg.Federation, "/") + "/_matrix/federation/v1/openid/userinfo", inQuery: true, field: "sub"}
	}
	return t, nil
}

// check says what is wrong with a configuration.
func (cfg TokensConfig) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("tokens: "+format, args...)) }
	if !validBase(cfg.Homeserver) {
		fault("Homeserver is not a base URL: use one such as http://127.0.0.1:8008")
	}
	if !validBase(cfg.Federation) {
		fault("Federation is not a base URL: use one such as http://127.0.0.1:8448, or leave it out")
	}
	if len(cfg.ServerNames) == 0 {
		fault("ServerNames is empty: name the server whose users may call, such as example.com")
	}
	for _, name := range cfg.ServerNames {
		if !id.ValidateServerName(name) {
			fault("ServerNames has %q, which is no server name such as example.com", name)
		}
	}
	if !cfg.AccessTokens && !cfg.OpenID {
		fault("neither AccessTokens nor OpenID is set: set one, or leave out the Tokens")
	}
	for _, limit := range []struct {
		name  string
		given any
		bad   bool
	}{
		{"Keep", cfg.Keep, cfg.Keep < 0},
		{"KeepInvalid", cfg.KeepInvalid, cfg.KeepInvalid < 0},
		{"Remember", cfg.Remember, cfg.Remember < 0},
		{"Timeout", cfg.Timeout, cfg.Timeout < 0},
		{"Checks", cfg.Checks, cfg.Checks < 0},
		{"Waiting", cfg.Waiting, cfg.Waiting < 0},
	} {
		if limit.bad {
			fault("%s is %v: use a positive value, or zero for the default", limit.name, limit.given)
		}
	}
	return errors.Join(faults...)
}

// defaultTo sets a value that is zero.
func defaultTo[T comparable](value *T, to T) {
	if zero := *new(T); *value == zero {
		*value = to
	}
}

// validBase says whether paths can be added to a URL.
func validBase(base string) bool {
	u, err := url.Parse(base)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && !strings.ContainsAny(base, "?#")
}

// Why a token is invalid.
var (
	errNotTaken = fmt.Errorf("%w: tokens of this kind are not taken", provisioning.ErrMatrixTokenInvalid)
	errNoToken  = fmt.Errorf("%w: it does not look like one", provisioning.ErrMatrixTokenInvalid)
	errUnknown  = fmt.Errorf("%w: the homeserver does not know it", provisioning.ErrMatrixTokenInvalid)
	errGuest    = fmt.Errorf("%w: its user is a guest", provisioning.ErrMatrixTokenInvalid)
	errForeign  = fmt.Errorf("%w: its user is another server's", provisioning.ErrMatrixTokenInvalid)
)

// CheckToken implements [provisioning.TokenChecker]. Checks of one token at once are one
// question to the homeserver.
func (t *Tokens) CheckToken(ctx context.Context, token string) (id.UserID, error) {
	prefix := ""
	if rest, ok := strings.CutPrefix(token, openIDPrefix); ok {
		prefix, token = openIDPrefix, rest
	}
	kind := t.kinds[prefix]
	switch {
	case kind == nil:
		return "", errNotTaken
	case token == "" || len(token) > maxToken || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return "", errNoToken
	}
	key := tokenKey(sha256.Sum256([]byte(prefix + token)))
	if v, ok := t.remembered(key); ok {
		return v.userID, v.err
	}
	if !t.wait(key) {
		return "", fmt.Errorf("%w: %d checks of one token are waiting already", provisioning.ErrOverloaded, t.waiting)
	}
	defer t.leave(key)
	flight := t.flights.DoChan(string(key[:]), func() (any, error) {
		return t.check(context.WithoutCancel(ctx), kind, token, key)
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return "", result.Err
		}
		v := result.Val.(verdict)
		return v.userID, v.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// wait says whether one more check of a token may wait; leave must follow if it may.
func (t *Tokens) wait(key tokenKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiters[key] >= t.waiting {
		return false
	}
	t.waiters[key]++
	return true
}

func (t *Tokens) leave(key tokenKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiters[key]--; t.waiters[key] == 0 {
		delete(t.waiters, key)
	}
}

// remembered returns what is known of a token.
func (t *Tokens) remembered(key tokenKey) (verdict, bool) {
	if v, ok := t.valid.get(key); ok {
		return v, true
	}
	return t.invalid.get(key)
}

// check asks the homeserver about a token, if there is room for one more question, and
// remembers the answer.
func (t *Tokens) check(ctx context.Context, kind *tokenKind, token string, key tokenKey) (v verdict, err error) {
	if v, ok := t.remembered(key); ok { // since CheckToken has looked
		return v, nil
	}
	var claim places.Claim[string]
	claim.Parties[0].Key = provisioning.ClientOf(ctx)
	if err := t.checks.Enter(ctx, claim); err != nil {
		return verdict{}, fmt.Errorf("%w: too many other tokens are being checked: %w", provisioning.ErrOverloaded, err)
	}
	defer t.checks.Leave(claim)
	defer func() {
		if p := recover(); p != nil {
			// There is no caller on this stack who could.
			err = fmt.Errorf("panic of the transport: %s\n%s", without(token, fmt.Sprint(p)), debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	v, err = t.ask(ctx, kind, token)
	if err != nil {
		// The cause is no part of the error: it is that of a question that others share.
		return verdict{}, fmt.Errorf("%w: check an %s: %s", provisioning.ErrHomeserver, kind.name, without(token, err.Error()))
	}
	if v.err != nil {
		t.invalid.put(key, v)
	} else {
		t.valid.put(key, v)
	}
	return v, nil
}

// ask asks the homeserver about a token. It uses no http.Client: that would put the URL,
// where an OpenID token stands, into errors, and follow redirects with it.
func (t *Tokens) ask(ctx context.Context, kind *tokenKind, token string) (verdict, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, kind.url, nil)
	if err != nil {
		return verdict{}, err
	}
	if kind.inQuery {
		r.URL.RawQuery = url.Values{"access_token": {token}}.Encode()
	} else {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := t.transport.RoundTrip(r)
	if err != nil {
		return verdict{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	const largest = 64 << 10
	data, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return verdict{}, err
	}
	var body map[string]any
	if err := json.Unmarshal(data, &body); err != nil {
		return verdict{}, fmt.Errorf("status %d, and not a JSON object", resp.StatusCode)
	}
	errcode, _ := body["errcode"].(string)
	switch refused := resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden; {
	case refused && errcode != "": // by the homeserver, and not by a proxy before it
		return verdict{err: errUnknown}, nil
	case resp.StatusCode != http.StatusOK:
		return verdict{}, fmt.Errorf("status %d", resp.StatusCode)
	}
	userID, _ := body[kind.field].(string)
	localpart, server, err := id.UserID(userID).ParseAndValidateRelaxed()
	switch {
	case err != nil || localpart == "":
		return verdict{}, errors.New("status 200, and no Matrix user ID")
	case !slices.Contains(t.servers, server):
		return verdict{err: errForeign}, nil
	}
	if guest := body["is_guest"]; guest != nil && guest != false && !t.guests {
		return verdict{err: errGuest}, nil
	}
	return verdict{userID: id.UserID(userID)}, nil
}

// without returns a text that does not hold a token.
func without(token, text string) string {
	for _, spelling := range []string{token, url.QueryEscape(token)} {
		text = strings.ReplaceAll(text, spelling, "…")
	}
	return text
}
