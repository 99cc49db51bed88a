package provisioningtest

import (
	"context"
	"fmt"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemTokens is a provisioning.TokenChecker in memory. It passes [TestTokenChecker]. Make
// it with [NewMemTokens].
type MemTokens struct {
	// Script makes CheckToken fail and counts its calls.
	Script

	mu     sync.Mutex
	issued int
	users  map[string]id.UserID // by token
}

var _ provisioning.TokenChecker = (*MemTokens)(nil)

// NewMemTokens returns a checker that no token is valid for.
func NewMemTokens() *MemTokens { return &MemTokens{users: map[string]id.UserID{}} }

// AccessToken returns a new access token of a Matrix user.
func (m *MemTokens) AccessToken(userID id.UserID) string { return m.issue("syt_%d", userID) }

// OpenID returns a new OpenID token of a Matrix user, with the prefix that says so.
func (m *MemTokens) OpenID(userID id.UserID) string { return m.issue("openid:mem_%d", userID) }

func (m *MemTokens) issue(format string, userID id.UserID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.issued++
	token := fmt.Sprintf(format, 1_000_000+m.issued) // none is the beginning of another
	m.users[token] = userID
	return token
}

// Revoke makes a token invalid.
func (m *MemTokens) Revoke(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.users, token)
}

// CheckToken implements provisioning.TokenChecker.
func (m *MemTokens) CheckToken(ctx context.Context, token string) (id.UserID, error) {
	if err := m.enter(ctx, "CheckToken"); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	userID, ok := m.users[token]
	if !ok {
		return "", provisioning.ErrMatrixTokenInvalid
	}
	return userID, nil
}
