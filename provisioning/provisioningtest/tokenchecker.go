package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TokensBackend is what [TestTokenChecker] needs of whoever runs it: the implementation,
// and a homeserver that issues tokens.
type TokensBackend struct {
	// Checker is the implementation. It has to be set up so that it remembers no answer for
	// longer than Revoke takes.
	Checker provisioning.TokenChecker
	// AccessToken and OpenID return a new token of the Matrix user with a localpart, who
	// comes into being with the first, as it stands after "Bearer ", and the user's ID. One
	// of them is nil where the implementation does not take such tokens.
	AccessToken func(ctx context.Context, localpart string) (token string, userID id.UserID, err error)
	OpenID      func(ctx context.Context, localpart string) (token string, userID id.UserID, err error)
	// Foreign returns a token that is valid, and that of a user who may not call. It is nil
	// where everybody may.
	Foreign func(ctx context.Context) (token string, err error)
	// Revoke makes a token invalid.
	Revoke func(ctx context.Context, token string) error
	// Disturb runs a hook before every later request of the implementation to the
	// homeserver, as that of [RoomsBackend] does.
	Disturb func(before func(context.Context) error)
}

// TestTokenChecker runs every check of the interface provisioning.TokenChecker as a
// subtest, each on a backend of its own. Package auth runs it in its tokens_suite_test.go.
func TestTokenChecker(t *testing.T, backend func(t *testing.T) TokensBackend) {
	runSuite(t, tokenCheckerChecks, backend)
}

var tokenCheckerChecks = []suiteCheck[TokensBackend]{
	{"valid tokens", "CheckToken returns the user of a token.", checkValidTokens},
	{"kinds of tokens", `By convention a token that begins with "openid:" is an OpenID token, and any other an access token.`, checkTokenKinds},
	{"invalid tokens", "CheckToken returns ErrMatrixTokenInvalid for a token that is nobody's.", checkInvalidTokens},
	{"odd tokens", "A token is never empty, and otherwise anything: ErrMatrixTokenInvalid for one that is nobody's.", checkOddTokens},
	{"revoked tokens", "CheckToken returns ErrMatrixTokenInvalid for a token that is not valid any more.", checkRevokedTokens},
	{"user who may not call", "CheckToken returns ErrMatrixTokenInvalid for a token of a user who may not call.", checkForeignTokens},
	{"homeserver fails", "ErrHomeserver when it can't be said now whose a token is; only ErrMatrixTokenInvalid counts for Config.FailureLimit.", checkTokensFail},
	{"no token in errors", "Error texts reach the log, and so never hold the token.", checkTokenErrors},
	{"context cancelled while waiting", "It honours the context, which ends with the request's deadline.", checkTokensWaiting},
	{"context of another call", "CheckToken is called by many goroutines at once, for any token again and again: it honours its own context, and that of no other call.", checkTokensContext},
	{"concurrent calls", "CheckToken is called by many goroutines at once.", checkTokensAtOnce},
}

// tokensWorld is a backend as the checks use it.
type tokensWorld struct {
	T
	TokensBackend
}

// issuer is a way to get tokens of a kind.
type issuer struct {
	kind  string
	issue func(localpart string) (string, id.UserID)
}

// issuers are those of the kinds of tokens that the implementation takes.
func (w tokensWorld) issuers() (issuers []issuer) {
	w.Helper()
	for kind, issue := range map[string]func(context.Context, string) (string, id.UserID, error){
		"access token": w.AccessToken, "OpenID token": w.OpenID,
	} {
		if issue == nil {
			continue
		}
		issuers = append(issuers, issuer{kind, func(localpart string) (string, id.UserID) {
			w.Helper()
			token, userID, err := issue(w.Context(), localpart)
			if err != nil {
				w.Fatalf("the backend of the test: an %s of %s: %v", kind, localpart, err)
			}
			return token, userID
		}})
	}
	if len(issuers) == 0 {
		w.Fatalf("the backend of the test has neither AccessToken nor OpenID")
	}
	return issuers
}

// wantUser checks whose a token is.
func (w tokensWorld) wantUser(kind, token string, want id.UserID) {
	w.Helper()
	if got, err := w.Checker.CheckToken(w.Context(), token); err != nil || got != want {
		w.Errorf("CheckToken of an %s of %s: %s, %v", kind, want, got, err)
	}
}

// wantInvalid checks that a token is not valid.
func (w tokensWorld) wantInvalid(what, token string) {
	w.Helper()
	got, err := w.Checker.CheckToken(w.Context(), token)
	if !errors.Is(err, provisioning.ErrMatrixTokenInvalid) || errors.Is(err, provisioning.ErrHomeserver) || got != "" {
		w.Errorf("CheckToken of %s: %q, %v; want ErrMatrixTokenInvalid", what, got, err)
	}
}

func checkValidTokens(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	for _, kind := range w.issuers() {
		first, alice := kind.issue("alice")
		second, again := kind.issue("alice")
		other, bob := kind.issue("bob")
		if alice != again || alice == bob || first == second {
			t.Fatalf("the backend of the test: the tokens %q of %s, %q of %s and %q of %s", first, alice, second, again, other, bob)
		}
		for range 2 {
			w.wantUser(kind.kind, first, alice)
			w.wantUser(kind.kind, second, alice)
			w.wantUser(kind.kind, other, bob)
		}
	}
}

func checkTokenKinds(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	const prefix = "openid:"
	if w.AccessToken != nil {
		token, _, err := w.AccessToken(t.Context(), "alice")
		if err != nil || strings.HasPrefix(token, prefix) {
			t.Fatalf("the backend of the test: the access token %q, %v", token, err)
		}
		w.wantInvalid("an access token as an OpenID token", prefix+token)
	}
	if w.OpenID != nil {
		token, _, err := w.OpenID(t.Context(), "alice")
		if err != nil || !strings.HasPrefix(token, prefix) {
			t.Fatalf("the backend of the test: the OpenID token %q, %v", token, err)
		}
		w.wantInvalid("an OpenID token as an access token", strings.TrimPrefix(token, prefix))
	}
}

func checkInvalidTokens(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	for _, kind := range w.issuers() {
		token, userID := kind.issue("alice")
		for range 2 {
			w.wantInvalid("a longer token", token+"x")
			w.wantInvalid("a shorter token", token[:len(token)-1])
			w.wantInvalid("a user ID", string(userID))
			w.wantInvalid("an unknown token", "check-unknown-token")
			w.wantInvalid("an unknown OpenID token", "openid:check-unknown-token")
			w.wantUser(kind.kind, token, userID)
		}
	}
}

func checkOddTokens(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	for _, token := range []string{
		"openid:", "openid:openid:", "OPENID:x", ":", " ", "a b", "a\tb", "\x00", "a\r\nX: y", "é", "\xff", "中", "../../versions", "?access_token=x", "a&b=c", "%00", "%", "#",
		strings.Repeat("x", 10_000), "openid:" + strings.Repeat("x", 10_000),
	} {
		w.wantInvalid(fmt.Sprintf("%.40q", token), token)
		w.wantInvalid(fmt.Sprintf("%.40q", "openid:"+token), "openid:"+token)
	}
}

func checkRevokedTokens(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	for _, kind := range w.issuers() {
		token, userID := kind.issue("alice")
		other, _ := kind.issue("alice")
		w.wantUser(kind.kind, token, userID)
		if err := w.Revoke(t.Context(), token); err != nil {
			t.Fatalf("the backend of the test: Revoke: %v", err)
		}
		for range 2 {
			w.wantInvalid("a revoked "+kind.kind, token)
		}
		w.wantUser(kind.kind, other, userID)
	}
}

func checkForeignTokens(t T, b TokensBackend) {
	if b.Foreign == nil {
		return // everybody may call
	}
	w := tokensWorld{t, b}
	token, err := w.Foreign(t.Context())
	if err != nil {
		t.Fatalf("the backend of the test: Foreign: %v", err)
	}
	for range 2 {
		w.wantInvalid("a token of a user who may not call", token)
	}
}

func checkTokensFail(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	for _, kind := range w.issuers() {
		for _, fault := range []error{errAway, errTrouble, StatusError{429, "M_LIMIT_EXCEEDED"}} {
			token, userID := kind.issue("alice")
			unknown := "unknown-" + userID.Localpart()
			if strings.HasPrefix(token, "openid:") {
				unknown = "openid:" + unknown
			}
			for _, token := range []string{token, unknown} {
				var got id.UserID
				asked, err := disturb(w.Disturb).failing(fault, func() (err error) {
					got, err = w.Checker.CheckToken(t.Context(), token)
					return err
				})
				if asked && (!errors.Is(err, provisioning.ErrHomeserver) || errors.Is(err, provisioning.ErrMatrixTokenInvalid) || got != "") {
					t.Errorf("CheckToken of an %s while the homeserver fails (%v): %q, %v; want ErrHomeserver", kind.kind, fault, got, err)
				}
			}
			w.wantUser(kind.kind, token, userID)
			w.wantInvalid("an unknown token", unknown)
		}
	}
}

func checkTokenErrors(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	const secret = "check+canary/token%41"
	for _, token := range []string{secret, "openid:" + secret} {
		for _, fault := range []error{nil, errAway, errTrouble, StatusError{502, ""}} {
			_, err := disturb(w.Disturb).failing(fault, func() error {
				_, err := w.Checker.CheckToken(t.Context(), token)
				return err
			})
			if err == nil {
				t.Errorf("CheckToken of a token that is nobody's: no error")
				continue
			}
			for _, spelling := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
				if strings.Contains(err.Error(), spelling) {
					t.Errorf("the error of CheckToken holds the token: %v", err)
				}
			}
		}
	}
}

func checkTokensWaiting(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	for _, kind := range w.issuers() {
		token, _ := kind.issue("alice")
		wantEndOfWaiting(t, w.Disturb, []roomsCall{{"CheckToken", func(ctx context.Context) error {
			_, err := w.Checker.CheckToken(ctx, token)
			return err
		}}})
	}
}

// observed is a context that tells when somebody first waits for its end.
type observed struct {
	context.Context
	once   sync.Once
	waited chan struct{}
}

func (c *observed) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waited) })
	return c.Context.Done()
}

// Two calls for one token may be one question to the homeserver.
func checkTokensContext(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	for _, kind := range w.issuers() {
		token, userID := kind.issue("alice")
		came, release := disturb(w.Disturb).holdAll()
		ctx, cancel := context.WithCancel(t.Context())
		second := &observed{Context: t.Context(), waited: make(chan struct{})}
		cancelled, answered := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(cancelled)
			_, _ = w.Checker.CheckToken(ctx, token) // another check's business
		}()
		select {
		case <-came:
		case <-cancelled:
		}
		go func() {
			defer close(answered)
			if got, err := w.Checker.CheckToken(second, token); err != nil || got != userID {
				t.Errorf("CheckToken of an %s, while another call for it is cancelled: %q, %v; want %q", kind.kind, got, err, userID)
			}
		}()
		select {
		case <-second.waited:
		case <-answered:
		case <-time.After(patience):
		}
		cancel()
		<-cancelled
		release()
		<-answered
	}
}

func checkTokensAtOnce(t T, b TokensBackend) {
	w := tokensWorld{t, b}
	for _, kind := range w.issuers() {
		var calls []func()
		for i := range 4 {
			token, userID := kind.issue(fmt.Sprintf("user%d", i))
			for range 2 {
				calls = append(calls,
					func() { w.wantUser(kind.kind, token, userID) },
					func() { w.wantInvalid("an unknown token", token+"x") },
					func() { w.wantInvalid("an unknown token", "unknown") })
			}
		}
		atOnce(calls...)
	}
}
