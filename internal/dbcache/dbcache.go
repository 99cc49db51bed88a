// Package dbcache remembers what was read from a table until somebody changes the
// table, in whichever process.
//
// Beside the table there is another one, called <table>_change. Its single row holds a
// number. Triggers add to it when rows have changed, in the same transaction: whoever
// sees the change sees a new number, and nobody else does.
//
// A process reads the number, and for the next 20 ms, the [Lease], it answers from the
// rows that it has read since. Then it reads the number again, and forgets the rows if it
// is another one. Who changes the table waits for a lease after the commit. After that,
// each process has either read the new number or has to before it answers. So a read that
// begins after a change has returned never gets what was before. One that begins earlier
// may get either.
//
// Who found nothing to change has nothing to wait for. What it found may be the work of
// another process that still waits: others see that when that one returns.
//
// The trigger locks the row until its transaction ends. No two transactions can wait for
// each other because of it: one at a time changes the tables of the stores. SQLite has
// one writer by itself; on PostgreSQL, another trigger takes one lock for all these tables
// before anything else. See upgrades/06-turns.sql of package portal.
package dbcache

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// Lease is how long a process goes on with what it remembers before it looks whether
// the table has changed, and so how long a writer waits before it says that it is done.
// Whoever changes the table by other means is seen after a lease at the latest.
const Lease = 20 * time.Millisecond

// Size is how many rows a Cache remembers at most. With one more, it begins anew.
const Size = 20_000

// Cache remembers rows, and that there are none, by a key. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	db    schema.DB
	query string // for the number
	size  int
	now   func() time.Time

	// looking holds a value while somebody reads the number.
	looking chan struct{}

	mu     sync.Mutex
	number int64     // as last read
	until  time.Time // the end of the lease
	rows   map[K]V   // read since
}

// New returns a cache for a table of the database. The other table's name is
// <table>_change, and its column is called number.
func New[K comparable, V any](db schema.DB, table string) *Cache[K, V] {
	return &Cache[K, V]{
		db: db, query: "SELECT number FROM " + table + "_change", size: Size, now: time.Now,
		looking: make(chan struct{}, 1), rows: map[K]V{},
	}
}

// Get returns what load returns for a key, or has returned since the last change. Errors
// are not remembered. Everything is loaded unless [provisioning.CachedReads], and in a
// transaction of the host's, which may have changes of its own.
func (c *Cache[K, V]) Get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, error) {
	if !provisioning.CachedReads(ctx) || c.inTransaction(ctx) {
		return load(ctx)
	}
	if err := c.look(ctx); err != nil {
		var none V
		return none, err
	}
	c.mu.Lock()
	v, ok := c.rows[key]
	number := c.number
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := load(ctx)
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.number == number { // else v may be older
		if len(c.rows) >= c.size {
			clear(c.rows)
		}
		c.rows[key] = v
	}
	return v, nil
}

// look reads the number where the lease has ended. When several want to, one does, and
// the others wait for it: each would have a connection opened.
func (c *Cache[K, V]) look(ctx context.Context) error {
	if c.leased(c.now()) {
		return nil
	}
	select {
	case c.looking <- struct{}{}:
		defer func() { <-c.looking }()
	case <-ctx.Done():
		return fmt.Errorf("wait for changes of a table: %w", schema.Fault(ctx, ctx.Err()))
	}
	now := c.now() // before the number is read
	if c.leased(now) {
		return nil
	}
	var number int64
	if err := c.db.QueryRow(ctx, c.query).Scan(&number); err != nil {
		return fmt.Errorf("look for changes of a table: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if number != c.number {
		c.number = number
		clear(c.rows)
	}
	c.until = now.Add(Lease)
	return nil
}

func (c *Cache[K, V]) leased(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Before(c.until)
}

// Changed must be called after each change of the table, before anybody is told of it,
// and not where nothing has changed. It returns when no process goes on with what it read
// before, or when the context ends. After a change in a transaction of the host's that
// can't be said, and it returns at once.
func (c *Cache[K, V]) Changed(ctx context.Context) {
	if c.inTransaction(ctx) {
		return
	}
	timer := time.NewTimer(Lease)
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
