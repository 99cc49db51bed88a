package auth

import (
	"container/list"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// tokenKey is the hash of a token with its prefix.
type tokenKey [sha256.Size]byte

// verdict is what the homeserver has said of a token: whose it is, or why it is invalid.
type verdict struct {
	userID id.UserID
	err    error
}

// tokenCache remembers verdicts, each for the same time. It is safe for concurrent use.
type tokenCache struct {
	keep time.Duration
	size int

	mu      sync.Mutex
	entries map[tokenKey]*list.Element
	order   list.List // of *cached, in the order in which they end
}

// cached is a verdict for as long as it is good.
type cached struct {
	key tokenKey
	verdict
	until time.Time
}

func newTokenCache(keep time.Duration, size int) *tokenCache {
	return &tokenCache{keep: keep, size: size, entries: map[tokenKey]*list.Element{}}
}

// get returns the verdict of a token, if there is one that is good still.
func (c *tokenCache) get(key tokenKey) (verdict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return verdict{}, false
	}
	entry := e.Value.(*cached)
	if !time.Now().Before(entry.until) {
		c.drop(e)
		return verdict{}, false
	}
	return entry.verdict, true
}

// put remembers a verdict from now on. Those that are over go, and of too many the
// oldest.
func (c *tokenCache) put(key tokenKey, v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[key]; ok {
		c.drop(old)
	}
	now := time.Now()
	for first := c.order.Front(); first != nil; first = c.order.Front() {
		if len(c.entries) < c.size && now.Before(first.Value.(*cached).until) {
			break
		}
		c.drop(first)
	}
	v.userID = id.UserID(strings.Clone(string(v.userID)))
	c.entries[key] = c.order.PushBack(&cached{key, v, now.Add(c.keep)})
}

func (c *tokenCache) drop(e *list.Element) {
	delete(c.entries, e.Value.(*cached).key)
	c.order.Remove(e)
}
