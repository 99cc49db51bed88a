package provisioning

import (
	"context"
	"maps"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// LoginLinkStore keeps the login links of Matrix users, and the sessions that these have opened:
// of each user one link or one session, as the hash of its token. Package auth has one on SQL.
//
// Its methods are called concurrently, also by several processes, and share what they keep. The
// clock is the store's. Hashes are of different tokens, and printable. Errors, besides those of
// each method: [ErrDatabase] and the context's.
type LoginLinkStore interface {
	// PutLoginLink keeps a new link of a user for a lifetime, a positive number of milliseconds,
	// in place of the user's link or session.
	PutLoginLink(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error
	// OpenLoginLink keeps a session for a lifetime in place of the link that opens it, and returns
	// whose they are. It is atomic: a link opens one session. Errors: [ErrLoginLinkInvalid] for
	// what is not kept, or no longer valid; nothing is changed then.
	OpenLoginLink(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error)
	// LoginLinkUser returns whose link or session is kept with a hash. It changes nothing. Errors:
	// [ErrLoginLinkInvalid].
	LoginLinkUser(ctx context.Context, hash string) (id.UserID, error)
	// RemoveLoginLink removes a user's link or session. It is no error when there is none.
	RemoveLoginLink(ctx context.Context, userID id.UserID) error
}

// LoginLinkMemory is the [LoginLinkStore] of a [Config] without one: it keeps links in the memory
// of this process. Its zero value is ready to use. It is safe for concurrent use.
type LoginLinkMemory struct {
	mu    sync.Mutex
	links map[string]keptLink // by their hashes
	users map[id.UserID]string
}

// keptLink is a link or a session.
type keptLink struct {
	userID id.UserID
	until  time.Time
}

var _ LoginLinkStore = (*LoginLinkMemory)(nil)

// PutLoginLink implements [LoginLinkStore].
func (m *LoginLinkMemory) PutLoginLink(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tidy()
	m.put(userID, link, lifetime)
	return nil
}

// OpenLoginLink implements [LoginLinkStore].
func (m *LoginLinkMemory) OpenLoginLink(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	userID, err := m.user(link)
	if err != nil {
		return "", err
	}
	m.put(userID, session, lifetime)
	return userID, nil
}

// LoginLinkUser implements [LoginLinkStore].
func (m *LoginLinkMemory) LoginLinkUser(ctx context.Context, hash string) (id.UserID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user(hash)
}

// RemoveLoginLink implements [LoginLinkStore].
func (m *LoginLinkMemory) RemoveLoginLink(ctx context.Context, userID id.UserID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(userID)
	return nil
}

// put keeps a link or a session in place of what is kept of the user.
func (m *LoginLinkMemory) put(userID id.UserID, hash string, lifetime time.Duration) {
	m.remove(userID)
	if m.links == nil {
		m.links, m.users = map[string]keptLink{}, map[id.UserID]string{}
	}
	m.links[hash], m.users[userID] = keptLink{userID, time.Now().Add(lifetime)}, hash
}

func (m *LoginLinkMemory) remove(userID id.UserID) {
	delete(m.links, m.users[userID])
	delete(m.users, userID)
}

// user returns whose link or session is kept. Errors: ErrLoginLinkInvalid.
func (m *LoginLinkMemory) user(hash string) (id.UserID, error) {
	kept, ok := m.links[hash]
	if !ok || !kept.until.After(time.Now()) {
		return "", ErrLoginLinkInvalid
	}
	return kept.userID, nil
}

// tidy forgets what is no longer valid.
func (m *LoginLinkMemory) tidy() {
	now := time.Now()
	maps.DeleteFunc(m.users, func(_ id.UserID, hash string) bool { return !m.links[hash].until.After(now) })
	maps.DeleteFunc(m.links, func(_ string, kept keptLink) bool { return !kept.until.After(now) })
}
