package schema

import (
	"context"
	"database/sql"
	"math"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/provisioning"
)

// openDB opens a pool on a SQLite file, whose writers wait for a minute.
func openDB(t *testing.T, path string) DB {
	t.Helper()
	const options = "_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_txlock=immediate"
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: options}).String())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, raw.Close()) })
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	require.NoError(t, err)
	return DB{db}
}

// newCats returns a database with a table, and another pool on the same file.
func newCats(t *testing.T) (db, other DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cats.db")
	db, other = openDB(t, path), openDB(t, path)
	_, err := db.Exec(t.Context(), `CREATE TABLE cats (name TEXT PRIMARY KEY, lives BIGINT NOT NULL CHECK (lives>0))`)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), `INSERT INTO cats VALUES ('tom', 9)`)
	require.NoError(t, err)
	return db, other
}

// lock has another process write until the test ends.
func lock(t *testing.T, other DB) {
	t.Helper()
	tx, err := other.RawDB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
}

// uses are the ways to use a database.
var uses = map[string]func(ctx context.Context, db DB) error{
	"exec": func(ctx context.Context, db DB) error {
		_, err := db.Exec(ctx, `UPDATE cats SET lives=8`)
		return err
	},
	"query": func(ctx context.Context, db DB) error {
		found, err := db.Query(ctx, `UPDATE cats SET lives=8 RETURNING lives`)
		_, err = dbutil.NewRowIterWithError(found, dbutil.ScanSingleColumn[int], err).AsList()
		return err
	},
	"row": func(ctx context.Context, db DB) error {
		var lives int
		return db.QueryRow(ctx, `UPDATE cats SET lives=8 RETURNING lives`).Scan(&lives)
	},
	"transaction": func(ctx context.Context, db DB) error {
		return db.DoTxn(ctx, func(ctx context.Context) error {
			_, err := db.Exec(ctx, `UPDATE cats SET lives=8`)
			return err
		})
	},
}

// shortly returns a context whose deadline is near.
func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestFaultsOfADatabase(t *testing.T) {
	for fault, bring := range map[string]func(t *testing.T, db, other DB) context.Context{
		"closed": func(t *testing.T, db, _ DB) context.Context {
			require.NoError(t, db.RawDB.Close())
			return t.Context()
		},
		"locked": func(t *testing.T, _, other DB) context.Context {
			lock(t, other)
			return shortly(t)
		},
		"exhausted": func(t *testing.T, db, _ DB) context.Context {
			db.RawDB.SetMaxOpenConns(1)
			conn, err := db.RawDB.Conn(t.Context())
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			return shortly(t)
		},
		"without its tables": func(t *testing.T, db, _ DB) context.Context {
			_, err := db.Exec(t.Context(), `DROP TABLE cats`)
			require.NoError(t, err)
			return t.Context()
		},
	} {
		for name, use := range uses {
			t.Run(fault+"/"+name, func(t *testing.T) {
				db, other := newCats(t)
				require.NoError(t, use(t.Context(), db))
				ctx := bring(t, db, other)
				err := use(ctx, db)
				require.ErrorIs(t, err, provisioning.ErrDatabase)
				if ctx.Err() != nil {
					assert.ErrorIs(t, err, context.DeadlineExceeded, "the deadline ends the wait, not the busy timeout")
				}
			})
		}
	}
}

func TestNoFaultsOfADatabase(t *testing.T) {
	for name, use := range map[string]struct {
		run  func(ctx context.Context, db DB) error
		want string
	}{
		"no row": {func(ctx context.Context, db DB) error {
			var lives int
			err := db.QueryRow(ctx, `SELECT lives FROM cats WHERE name='nobody'`).Scan(&lives)
			assert.ErrorIs(t, err, sql.ErrNoRows)
			return err
		}, "no rows"},
		"unique": {func(ctx context.Context, db DB) error {
			_, err := db.Exec(ctx, `INSERT INTO cats VALUES ('tom', 9)`)
			return err
		}, "UNIQUE constraint failed"},
		"check": {func(ctx context.Context, db DB) error {
			_, err := db.Exec(ctx, `UPDATE cats SET lives=0`)
			return err
		}, "CHECK constraint failed"},
		"an error of the transaction's own": {func(ctx context.Context, db DB) error {
			return db.DoTxn(ctx, func(context.Context) error { return provisioning.ErrRoomBridged })
		}, provisioning.ErrRoomBridged.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			db, _ := newCats(t)
			err := use.run(t.Context(), db)
			require.ErrorContains(t, err, use.want)
			assert.NotErrorIs(t, err, provisioning.ErrDatabase)
		})
	}
}

// Who gives up has found no fault.
func TestCancelledWaitIsNoFault(t *testing.T) {
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			db, other := newCats(t)
			lock(t, other)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := use(ctx, db)
			require.ErrorIs(t, err, context.Canceled)
			assert.NotErrorIs(t, err, provisioning.ErrDatabase)
		})
	}
}

// sqlStateError is an error as PostgreSQL's drivers have them.
type sqlStateError string

func (e sqlStateError) Error() string    { return "an error of the server's" }
func (e sqlStateError) SQLState() string { return string(e) }

func TestConstraintsOfPostgres(t *testing.T) {
	require.NotErrorIs(t, Fault(t.Context(), sqlStateError("23505")), provisioning.ErrDatabase)
	require.ErrorIs(t, Fault(t.Context(), sqlStateError("57P01")), provisioning.ErrDatabase)
	require.NoError(t, Fault(t.Context(), nil))
}

// So are texts, and pairs of numbers.
func TestTexts(t *testing.T) {
	db, _ := newCats(t)
	for _, want := range [][]string{nil, {""}, {`a"b`, "é\n", "1", "null"}} {
		rows, err := db.Query(t.Context(), db.Texts("$1"), Array(want))
		found, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
		require.NoError(t, err)
		assert.Equal(t, want, found)
	}
}

func TestPairs(t *testing.T) {
	db, _ := newCats(t)
	for _, want := range [][][2]int64{nil, {{0, 1}}, {{math.MinInt64, -1}, {math.MaxInt64, math.MinInt64}}} {
		rows, err := db.Query(t.Context(), db.Pairs("$1"), Array(want))
		found, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (pair [2]int64, err error) {
			err = row.Scan(&pair[0], &pair[1])
			return pair, err
		}, err).AsList()
		require.NoError(t, err)
		assert.Equal(t, want, found)
	}
}

// A list of numbers is one parameter, however many there are and however large they are.
func TestNumbers(t *testing.T) {
	db, _ := newCats(t)
	many := make([]int64, 100_000)
	for _, want := range [][]int64{nil, {0}, {math.MinInt64, -1, math.MaxInt64}, many} {
		var found []int64
		rows, err := db.Query(t.Context(), db.Numbers("$1"), Array(want))
		require.NoError(t, err)
		for rows.Next() {
			var number int64
			require.NoError(t, rows.Scan(&number))
			found = append(found, number)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		assert.Equal(t, want, found)
	}
}
