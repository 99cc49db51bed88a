// Package dbcache remembers what was read from a table until somebody changes the
// table, in whichever process.
package dbcache

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Lease is how long a process goes on with what it remembers before it looks whether
// the table has changed, and so how long a writer waits before it says that it is done.
// Whoever changes the table by other means is seen after a lease at the latest.
const Lease = 20 * time.Millisecond

// Size is how many rows a Cache remembers at most.
const Size = 20_000

// Cache remembers rows, and that there are none, by a key. The table has another one
// beside it whose single row holds a number: a trigger adds to it with every change, in
// the same transaction. As long as the number is the same, so are the rows. The number is
// read once in a lease; with a writer that waits for a lease (see Changed), nobody reads
// an old row after a change has returned.
//
// It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	db    *dbutil.Database
	query string // for the number
	lease time.Duration
	size  int // of each half
	now   func() time.Time

	mu      sync.Mutex
	asking  chan struct{} // closed when who reads the number has done so, nil if nobody does
	number  int64         // as last read
	until   time.Time     // the end of the lease
	changes int           // by this process
	// What was used lately, and what was before that.
	fresh, old map[K]V
}

// New returns a cache for a table of the database. The other table's name is
// <table>_change, and its column is called number.
func New[K comparable, V any](db *dbutil.Database, table string) *Cache[K, V] {
	return &Cache[K, V]{
		db: db, query: "SELECT number FROM " + table + "_change", lease: Lease, size: Size / 2, now: time.Now,
		fresh: map[K]V{},
	}
}

// Get returns what load returns for a key, or has returned since the last change. Errors
// are not remembered. Everything is loaded unless the context allows else // recall), and in a transaction of the host's, which may have changes of its own.
func (c *Cache[K, V]) Get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, error) {
	if !provisioning.CachedReads(ctx) || c.inTransaction(ctx) {
		return load(ctx)
	}
	now := c.now()
	c.mu.Lock()
	left := c.until.Sub(now)
	if left > 0 {
		if v, ok := c.get(key); ok && (left > c.lease/2 || c.asking != nil) {
			c.mu.Unlock()
			return v, nil
		}
	}
	if left <= c.lease/2 && c.asking == nil || left <= 0 {
		// In the second half of a lease, one request renews it for all. They go on
		// meanwhile, and after its end wait for that one: each would load what is
		// remembered, and have a connection opened.
		if err := c.renewOnce(ctx, now); err != nil {
			var none V
			return none, err
		}
		c.mu.Lock()
		if v, ok := c.get(key); ok && c.now().Before(c.until) {
			c.mu.Unlock()
			return v, nil
		}
	}
	number, changes := c.number, c.changes
	c.mu.Unlock()

	v, err := load(ctx)
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.number == number && c.changes == changes {
		c.put(key, v)
	}
	return v, nil
}

// renew reads the number. now is a time before that.
func (c *Cache[K, V]) renew(ctx context.Context, now time.Time) error {
	var number int64
	if err := c.db.QueryRow(ctx, c.query).Scan(&number); err != nil {
		return fmt.Errorf("look for changes of a table: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if number != c.number {
		c.number = number
		c.forget()
	}
	c.until = now.Add(c.lease)
	return nil
}

// Changed must be called after each change of the table, before anybody is told of it.
// It returns when no process goes on with what it read before, or when the context
// ends. After a change in a transaction of the host's that can't be said, and it returns
// at once.
func (c *Cache[K, V]) Changed(ctx context.Context) {
	if c.inTransaction(ctx) {
		return
	}
	c.mu.Lock()
	c.changes++
	c.forget()
	c.mu.Unlock()
	timer := time.NewTimer(c.lease)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (c *Cache[K, V]) inTransaction(ctx context.Context) bool {
	_, is := c.db.Execable(ctx).(dbutil.Transaction)
	return is
}

// What follows needs the mutex.

// renewOnce reads the number, or waits for who does, and unlocks the mutex before. now is
// a time before that.
func (c *Cache[K, V]) renewOnce(ctx context.Context, now time.Time) error {
	if asking := c.asking; asking != nil {
		c.mu.Unlock()
		select {
		case <-asking:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("wait for changes of a table: %w", ctx.Err())
		}
	}
	asking := make(chan struct{})
	c.asking = asking
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asking = nil
		close(asking)
	}()
	return c.renew(ctx, now)
}

func (c *Cache[K, V]) get(key K) (V, bool) {
	v, ok := c.fresh[key]
	if !ok {
		if v, ok = c.old[key]; ok {
			c.put(key, v)
		}
	}
	return v, ok
}

func (c *Cache[K, V]) put(key K, v V) {
	if len(c.fresh) >= c.size {
		c.old, c.fresh = c.fresh, map[K]V{}
	}
	c.fresh[key] = v
}

func (c *Cache[K, V]) forget() { c.fresh, c.old = map[K]V{}, nil }
