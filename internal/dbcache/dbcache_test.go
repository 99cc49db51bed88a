package dbcache

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// process is what one process has of a shared file: a pool and a cache, whose clock
// stands still.
type process struct {
	*Cache[string, int]
	db    *dbutil.Database
	clock time.Time
	loads int
}

func newProcess(t *testing.T, path string) *process {
	t.Helper()
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate"
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: options}).String())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, raw.Close()) })
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), `
		CREATE TABLE IF NOT EXISTS cats (name TEXT PRIMARY KEY, lives BIGINT NOT NULL);
		CREATE TABLE IF NOT EXISTS cats_change (number BIGINT NOT NULL);
		INSERT INTO cats_change SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM cats_change);
		CREATE TRIGGER IF NOT EXISTS born AFTER INSERT ON cats BEGIN UPDATE cats_change SET number=number+1; END;
		CREATE TRIGGER IF NOT EXISTS hurt AFTER UPDATE ON cats BEGIN UPDATE cats_change SET number=number+1; END`)
	require.NoError(t, err)
	p := &process{Cache: New[string, int](schema.DB{Database: db}, "cats"), db: db, clock: time.Now()}
	p.now = func() time.Time { return p.clock }
	return p
}

func (p *process) load(ctx context.Context, name string) (lives int, err error) {
	p.loads++
	err = p.db.QueryRow(ctx, `SELECT lives FROM cats WHERE name=$1`, name).Scan(&lives)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, nil
	}
	return lives, err
}

func (p *process) lives(t *testing.T, ctx context.Context, name string) int {
	t.Helper()
	lives, err := p.Get(provisioning.WithCachedReads(ctx, true), name, func(ctx context.Context) (int, error) { return p.load(ctx, name) })
	require.NoError(t, err)
	return lives
}

func (p *process) set(t *testing.T, ctx context.Context, name string, lives int) {
	t.Helper()
	_, err := p.db.Exec(ctx, `INSERT INTO cats VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET lives=excluded.lives`, name, lives)
	require.NoError(t, err)
}

func newPair(t *testing.T) (a, b *process) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cats.db")
	return newProcess(t, path), newProcess(t, path)
}

func TestRowsAreReadOnce(t *testing.T) {
	a, _ := newPair(t)
	a.set(t, t.Context(), "tom", 9)
	for range 5 {
		assert.Equal(t, 9, a.lives(t, t.Context(), "tom"))
		assert.Equal(t, -1, a.lives(t, t.Context(), "nobody"))
		a.clock = a.clock.Add(Lease) // a new lease, but no change
	}
	assert.Equal(t, 2, a.loads)
}

func TestChangeOfAnotherProcessIsSeenWithinALease(t *testing.T) {
	a, b := newPair(t)
	a.set(t, t.Context(), "tom", 9)
	assert.Equal(t, 9, a.lives(t, t.Context(), "tom"))
	b.set(t, t.Context(), "tom", 8)
	a.clock = a.clock.Add(Lease)
	assert.Equal(t, 8, a.lives(t, t.Context(), "tom"))
}

// A read from which something follows sees what has just been committed, though its
// writer waits still.
func TestOtherReadsSeeEveryCommit(t *testing.T) {
	a, b := newPair(t)
	b.set(t, t.Context(), "tom", 9)
	assert.Equal(t, 9, a.lives(t, t.Context(), "tom"))
	b.set(t, t.Context(), "tom", 8)
	lives, err := a.Get(t.Context(), "tom", func(ctx context.Context) (int, error) { return a.load(ctx, "tom") })
	require.NoError(t, err)
	assert.Equal(t, 8, lives)
}

// As soon as Changed has returned, no process has the old row.
func TestNobodyReadsWhatWasBeforeAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(t)
		a.now, b.now = time.Now, time.Now
		for lives := range 10 {
			b.set(t, t.Context(), "tom", lives)
			b.Changed(t.Context())
			for range 10 {
				require.Equal(t, lives, a.lives(t, t.Context(), "tom"))
			}
		}
		assert.Equal(t, 10, a.loads)
	})
}

// A row that was read before a change must not be remembered after it.
func TestChangeDuringALoad(t *testing.T) {
	a, b := newPair(t)
	for name, writer := range map[string]*process{"of this process": a, "of another process": b} {
		a.set(t, t.Context(), "tom", 1)
		a.clock = a.clock.Add(Lease)
		lives, err := a.Get(provisioning.WithCachedReads(t.Context(), true), "tom", func(ctx context.Context) (int, error) {
			lives, err := a.load(ctx, "tom")
			writer.set(t, t.Context(), "tom", 9)
			a.clock = a.clock.Add(Lease)
			a.lives(t, t.Context(), "nobody") // looks
			return lives, err
		})
		require.NoError(t, err)
		require.Equal(t, 1, lives)
		assert.Equal(t, 9, a.lives(t, t.Context(), "tom"), "a change %s", name)
	}
}

// A change takes a lease, unless its caller has gone or has a transaction that goes on.
func TestChangedWaitsForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newPair(t)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		a.Changed(ended)
		require.NoError(t, a.db.DoTxn(t.Context(), nil, func(ctx context.Context) error {
			a.Changed(ctx)
			return nil
		}))
		assert.Zero(t, time.Since(start))
		a.Changed(t.Context())
		assert.Equal(t, Lease, time.Since(start))
	})
}

func TestTransactionsOfTheHostAreReadThrough(t *testing.T) {
	a, _ := newPair(t)
	assert.Equal(t, -1, a.lives(t, t.Context(), "tom"))
	rollback := errors.New("roll back")
	err := a.db.DoTxn(t.Context(), nil, func(ctx context.Context) error {
		a.set(t, ctx, "tom", 9)
		a.Changed(ctx)
		assert.Equal(t, 9, a.lives(t, ctx, "tom"))
		return rollback
	})
	require.ErrorIs(t, err, rollback)
	assert.Equal(t, -1, a.lives(t, t.Context(), "tom"))
}

func TestErrorsAreNotRemembered(t *testing.T) {
	a, _ := newPair(t)
	fault := errors.New("fault")
	_, err := a.Get(provisioning.WithCachedReads(t.Context(), true), "tom", func(context.Context) (int, error) { return 0, fault })
	require.ErrorIs(t, err, fault)
	assert.Equal(t, -1, a.lives(t, t.Context(), "tom"))

	_, err = a.db.Exec(t.Context(), `DROP TABLE cats_change`)
	require.NoError(t, err)
	a.clock = a.clock.Add(Lease)
	_, err = a.Get(provisioning.WithCachedReads(t.Context(), true), "tom", func(context.Context) (int, error) { return 9, nil })
	require.ErrorContains(t, err, "look for changes")
}

func TestSizeIsBounded(t *testing.T) {
	a, _ := newPair(t)
	a.size = 10
	for i := range 100 {
		name := fmt.Sprint(i)
		assert.Equal(t, -1, a.lives(t, t.Context(), name))
		require.LessOrEqual(t, len(a.rows), a.size)
		assert.Contains(t, a.rows, name)
	}
}

// lookedAt returns a process whose lease has ended, while somebody looks for changes, and
// what it answers after that.
func lookedAt(t *testing.T) (p *process, answer <-chan int) {
	t.Helper()
	p, _ = newPair(t)
	p.set(t, t.Context(), "tom", 9)
	assert.Equal(t, 9, p.lives(t, t.Context(), "tom"))
	p.clock = p.clock.Add(Lease)
	p.looking <- struct{}{}
	lives := make(chan int)
	go func() { lives <- p.lives(t, t.Context(), "tom") }()
	synctest.Wait()
	return p, lives
}

// After a pause, one read looks for changes, and those that come meanwhile load nothing.
func TestOthersWaitForWhoLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, answer := lookedAt(t)
		p.until = p.clock.Add(Lease)
		_, err := p.db.Exec(t.Context(), `DROP TABLE cats_change`) // nobody has to look again
		require.NoError(t, err)
		<-p.looking
		assert.Equal(t, 9, <-answer)
		assert.Equal(t, 1, p.loads)
	})
}

func TestOthersLookAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, answer := lookedAt(t)
		p.set(t, t.Context(), "tom", 8)
		<-p.looking
		assert.Equal(t, 8, <-answer)
	})
}

func TestWhoWaitsGivesUp(t *testing.T) {
	a, _ := newPair(t)
	a.looking <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.Get(provisioning.WithCachedReads(ctx, true), "tom", func(context.Context) (int, error) { return 9, nil })
	require.ErrorIs(t, err, context.Canceled)
}
