package provisioning_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// checker knows the tokens that tokenOf makes.
type checker struct {
	mu    sync.Mutex
	calls int
	hook  func(context.Context) error // before anything is looked at, if set
}

const tokenPrefix = "syt_token-of-"

// tokenOf is the access token of a user, openIDOf another kind of token.
func tokenOf(userID id.UserID) string { return tokenPrefix + string(userID) }

func openIDOf(userID id.UserID) string { return "openid:" + tokenOf(userID) }

func (c *checker) CheckToken(ctx context.Context, token string) (id.UserID, error) {
	c.mu.Lock()
	c.calls++
	hook := c.hook
	c.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return "", fmt.Errorf("wrapped: %w", err)
		}
	}
	userID, ok := strings.CutPrefix(strings.TrimPrefix(token, "openid:"), tokenPrefix)
	if !ok {
		return "", fmt.Errorf("wrapped: %w", provisioning.ErrMatrixTokenInvalid)
	}
	return id.UserID(userID), nil
}

func (c *checker) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// on makes every check fail with what the hook returns.
func (c *checker) on(hook func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hook = hook
}

// newTokenBridge is a bridge that takes tokens, with rooms and a relay bot.
func newTokenBridge(t testing.TB, change ...func(*bridge, *provisioning.Config)) (*bridge, *checker) {
	t.Helper()
	c := &checker{}
	return newBridge(t, append([]func(*bridge, *provisioning.Config){withRelay, func(_ *bridge, cfg *provisioning.Config) {
		cfg.Tokens = c
	}}, change...)...), c
}

// callAs sends a request with a token in place of the secret.
func (b *bridge) callAs(t testing.TB, token, method, path, body string) answer {
	t.Helper()
	r := newRequest(method, path, body)
	r.Header.Set("Authorization", "Bearer "+token)
	return b.send(t, r)
}
