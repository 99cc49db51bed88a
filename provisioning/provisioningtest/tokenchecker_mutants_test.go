package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// checkerFunc is a TokenChecker.
type checkerFunc func(ctx context.Context, token string) (id.UserID, error)

func (f checkerFunc) CheckToken(ctx context.Context, token string) (id.UserID, error) {
	return f(ctx, token)
}

// tokensMutant is a checker that is broken in one way, and the check that has to notice.
type tokensMutant struct {
	name  string
	check string
	alter func(m *MemTokens) checkerFunc
}

func TestTokenCheckerMutants(t *testing.T) {
	backend := func(alter func(*MemTokens) checkerFunc) func() TokensBackend {
		return func() TokensBackend {
			m := NewMemTokens()
			// The tokens of mallory are valid, and mallory may not call.
			m.users["mallorys"] = "@mallory:example.com"
			f := alter(m)
			b := tokensBackend(m, checkerFunc(func(ctx context.Context, token string) (id.UserID, error) {
				userID, err := f(ctx, token)
				if userID == "@mallory:example.com" {
					return "", provisioning.ErrMatrixTokenInvalid
				}
				return userID, err
			}))
			b.Foreign = func(context.Context) (string, error) { return "mallorys", nil }
			return b
		}
	}
	var all []suiteMutant[TokensBackend]
	for _, m := range tokensMutants {
		all = append(all, suiteMutant[TokensBackend]{m.name, m.check, backend(m.alter)})
	}
	testSuite(t, tokenCheckerChecks, backend(func(m *MemTokens) checkerFunc { return m.CheckToken }), all)
}

// withToken alters the token that is checked.
func withToken(change func(token string) string) func(*MemTokens) checkerFunc {
	return func(m *MemTokens) checkerFunc {
		return func(ctx context.Context, token string) (id.UserID, error) { return m.CheckToken(ctx, change(token)) }
	}
}

// withError alters the error.
func withError(change func(token string, err error) error) func(*MemTokens) checkerFunc {
	return func(m *MemTokens) checkerFunc {
		return func(ctx context.Context, token string) (id.UserID, error) {
			userID, err := m.CheckToken(ctx, token)
			if err != nil {
				err = change(token, err)
			}
			return userID, err
		}
	}
}

// remembering asks once about a token.
func remembering(m *MemTokens) checkerFunc {
	var mu sync.Mutex
	known := map[string]id.UserID{}
	return func(ctx context.Context, token string) (id.UserID, error) {
		mu.Lock()
		userID, ok := known[token]
		mu.Unlock()
		if ok {
			return userID, nil
		}
		userID, err := m.CheckToken(ctx, token)
		if err == nil {
			mu.Lock()
			known[token] = userID
			mu.Unlock()
		}
		return userID, err
	}
}

var tokensMutants = []tokensMutant{
	{"localparts", "valid tokens", func(m *MemTokens) checkerFunc {
		return func(ctx context.Context, token string) (id.UserID, error) {
			userID, err := m.CheckToken(ctx, token)
			if err != nil {
				return "", err
			}
			return id.UserID(userID.Localpart()), nil
		}
	}},
	{"the first user is everybody", "valid tokens", func(m *MemTokens) checkerFunc {
		var first id.UserID
		return func(ctx context.Context, token string) (id.UserID, error) {
			userID, err := m.CheckToken(ctx, token)
			if err == nil && first == "" {
				first = userID
			}
			return first, err
		}
	}},
	{"no OpenID", "valid tokens", withToken(func(token string) string { return strings.TrimPrefix(token, "openid:") })},
	{"an access token whatever stands before it", "kinds of tokens", func(m *MemTokens) checkerFunc {
		return func(ctx context.Context, token string) (id.UserID, error) {
			if userID, err := m.CheckToken(ctx, strings.TrimPrefix(token, "openid:")); err == nil {
				return userID, nil
			}
			return m.CheckToken(ctx, token)
		}
	}},
	{"an OpenID token without its prefix", "kinds of tokens", func(m *MemTokens) checkerFunc {
		return func(ctx context.Context, token string) (id.UserID, error) {
			if userID, err := m.CheckToken(ctx, "openid:"+token); err == nil {
				return userID, nil
			}
			return m.CheckToken(ctx, token)
		}
	}},
	{"everybody is somebody", "invalid tokens", withError(func(string, error) error { return nil })},
	{"tokens by their beginning", "invalid tokens", withToken(func(token string) string { return token[:min(len(token), len("syt_1000001"))] })},
	{"another error", "invalid tokens", withError(func(_ string, err error) error {
		if errors.Is(err, provisioning.ErrMatrixTokenInvalid) {
			return provisioning.ErrHomeserver
		}
		return err
	})},
	{"control characters are a fault", "odd tokens", withError(func(token string, err error) error {
		if strings.ContainsFunc(token, func(c rune) bool { return c < ' ' }) {
			return errors.New("invalid header field value")
		}
		return err
	})},
	{"long tokens are a fault", "odd tokens", withError(func(token string, err error) error {
		if len(token) > 8192 {
			return fmt.Errorf("%w: HTTP 414", provisioning.ErrHomeserver)
		}
		return err
	})},
	{"remembered for ever", "revoked tokens", remembering},
	{"everybody may call", "user who may not call", func(m *MemTokens) checkerFunc {
		m.users["mallorys"] = "@eve:example.com"
		return m.CheckToken
	}},
	{"no answer is no", "homeserver fails", withError(func(string, error) error { return provisioning.ErrMatrixTokenInvalid })},
	{"an error of its own", "homeserver fails", withError(func(_ string, err error) error {
		if errors.Is(err, provisioning.ErrHomeserver) {
			return errors.New("HTTP 502")
		}
		return err
	})},
	{"no answer is remembered", "homeserver fails", func(m *MemTokens) checkerFunc {
		failed := map[string]error{}
		return func(ctx context.Context, token string) (id.UserID, error) {
			if failed[token] != nil {
				return "", failed[token]
			}
			userID, err := m.CheckToken(ctx, token)
			failed[token] = err
			return userID, err
		}
	}},
	{"the token is in the error", "no token in errors", withError(func(token string, err error) error { return fmt.Errorf("check %q: %w", token, err) })},
	{"the token is in some errors", "no token in errors", withError(func(token string, err error) error {
		if errors.Is(err, provisioning.ErrHomeserver) {
			return fmt.Errorf("GET /userinfo?access_token=%s: %w", strings.TrimPrefix(token, "openid:"), err)
		}
		return err
	})},
	{"waits on", "context cancelled while waiting", func(m *MemTokens) checkerFunc {
		return func(ctx context.Context, token string) (id.UserID, error) {
			return m.CheckToken(context.WithoutCancel(ctx), token)
		}
	}},
	{"the first one's context", "context of another call", sharing},
	{"the token in a field", "concurrent calls", func(m *MemTokens) checkerFunc {
		var mu sync.Mutex
		var current string
		return func(ctx context.Context, token string) (id.UserID, error) {
			mu.Lock()
			current = token
			mu.Unlock()
			letOthersIn()
			mu.Lock()
			token = current
			mu.Unlock()
			return m.CheckToken(ctx, token)
		}
	}},
	{"one at a time", "concurrent calls", func(m *MemTokens) checkerFunc {
		busy := make(chan struct{}, 1)
		return func(ctx context.Context, token string) (id.UserID, error) {
			select {
			case busy <- struct{}{}:
			default:
				return "", provisioning.ErrOverloaded
			}
			letOthersIn()
			defer func() { <-busy }()
			return m.CheckToken(ctx, token)
		}
	}},
}

// sharing has calls for one token wait for the first one's answer, which ends with the
// first one's context.
func sharing(m *MemTokens) checkerFunc {
	type answer struct {
		done   chan struct{}
		userID id.UserID
		err    error
	}
	var mu sync.Mutex
	asking := map[string]*answer{}
	return func(ctx context.Context, token string) (id.UserID, error) {
		mu.Lock()
		a, ok := asking[token]
		if !ok {
			a = &answer{done: make(chan struct{})}
			asking[token] = a
		}
		mu.Unlock()
		if !ok {
			a.userID, a.err = m.CheckToken(ctx, token)
			mu.Lock()
			delete(asking, token)
			mu.Unlock()
			close(a.done)
		}
		select {
		case <-a.done:
			return a.userID, a.err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
