package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/telegram"
)

// The benchmarks compare: what they report is how many times as long something takes as
// a reference that was measured in the same run, in turns, so that a machine which is
// slow today, or busy for a moment, is slow for both.

// wire is an HTTP connection for one request after the other. It takes less of the
// machine than an http.Client, which would be measured as well.
type wire struct {
	net.Conn
	in           *bufio.Reader
	host, prefix string
}

// dialWire connects to the API at a URL.
func dialWire(t testing.TB, address string) *wire {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &wire{conn, bufio.NewReader(conn), u.Host, u.Path + "/v1"}
}

// get sends a GET request and returns the status of the answer, which it has read to the
// end.
func (w *wire) get(path string) (status int, err error) { return w.send(http.MethodGet, path, "") }

// send sends a request like get, with a body if there is one.
func (w *wire) send(method, path, body string) (status int, err error) {
	_, err = fmt.Fprintf(w, "%s %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, w.prefix, path, w.host, secret)
	if err == nil && body != "" {
		_, err = fmt.Fprintf(w, "Content-Length: %d\r\n", len(body))
	}
	if err == nil {
		_, err = io.WriteString(w, "\r\n"+body)
	}
	if err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}

// amounts is how much is in a database.
type amounts struct {
	portals int
	users   int // who are logged in, and idle
	logins  int // half-done ones, of other users
}

// What a filled database holds, as numbers that are spread over all that they can be.
func filledRoom(i int) string  { return fmt.Sprintf("!%d:example.com", spread(i)) }
func filledChat(i int) int64   { return -1_000_000_000_000 - int64(spread(i)) - 1 }
func filledUser(i int) string  { return fmt.Sprintf("@user%d:example.com", spread(i)) }
func filledLogin(i int) string { return fmt.Sprintf("@login%d:example.com", spread(i)) }

// spread gives every number below 2^32 another one of them, in no order. sqlSpread is
// the same.
func spread(i int) uint32 { return uint32(uint64(i) * 2654435761) }

const sqlSpread = `((i * 2654435761) % 4294967296)`

// fill makes the tables of a database and puts rows into them.
func fill(t testing.TB, database string, rows amounts) {
	t.Helper()
	db := openDatabase(t, database)
	defer func() { require.NoError(t, db.Close()) }()
	ctx := t.Context()
	_, err := auth.NewStore(ctx, auth.StoreConfig{DB: db})
	require.NoError(t, err)
	_, err = portal.NewStore(ctx, portal.StoreConfig{DB: db})
	require.NoError(t, err)
	makeSessions(t, db)

	db.RawDB.SetMaxOpenConns(1) // which has the cache
	session := `'\x00'::BYTEA || CAST(repeat(md5(CAST(i AS TEXT)), 32) AS BYTEA)`
	clear := func(text string) string { return `'\x00'::BYTEA || convert_to(` + text + `, 'UTF8')` }
	after := []string{`VACUUM ANALYZE`, `CHECKPOINT`}
	if db.Dialect == dbutil.SQLite {
		clear = func(text string) string { return `CAST(x'00' || ` + text + ` AS BLOB)` }
		session = clear(`randomblob(1024)`)
		after = []string{`ANALYZE`, `PRAGMA wal_checkpoint(TRUNCATE)`}
		_, err := db.RawDB.ExecContext(ctx, `PRAGMA cache_size=-400000; PRAGMA synchronous=OFF`)
		require.NoError(t, err)
	}
	tx, err := db.RawDB.BeginTx(ctx, nil)
	require.NoError(t, err)
	insert := func(n int, query string, args ...any) {
		t.Helper()
		if n == 0 {
			return
		}
		const numbers = `WITH RECURSIVE n(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i+1 FROM n WHERE i < $1)`
		_, err := tx.ExecContext(ctx, numbers+query, append([]any{n - 1}, args...)...)
		require.NoError(t, err)
	}
	insert(rows.portals, `INSERT INTO tgprovision_portal (room_id, chat_id, title, megagroup)
		SELECT '!' || `+sqlSpread+` || ':example.com', -1000000000001 - `+sqlSpread+`, 'Group number ' || i, true FROM n`)
	insert(rows.users, `INSERT INTO tgprovision_user (user_id, telegram_id, displaced)
		SELECT '@user' || `+sqlSpread+` || ':example.com', 1 + i, false FROM n`)
	account := clear(`'{"version":1,"account":{"id":' || (1 + i) || ',"username":"user_' || i || '"}}'`)
	insert(rows.users, `INSERT INTO tgprovision_session (id, user_id, step, session, details, account_id, due_at)
		SELECT 'user' || i, '@user' || `+sqlSpread+` || ':example.com', 'active', `+session+`, `+account+`, 1 + i, 0 FROM n`)
	login := clear(`'{"version":1,"login":{"phone":"` + accountOf(0).Phone + `","code_length":5}}'`)
	insert(rows.logins, `INSERT INTO tgprovision_session (id, user_id, step, session, details, due_at)
		SELECT 'login' || i, '@login' || `+sqlSpread+` || ':example.com', 'code', `+session+`, `+login+`, $2 FROM n`, time.Now().AddDate(1, 0, 0).UnixMilli())
	require.NoError(t, tx.Commit())
	makeSessions(t, db)
	for _, query := range after {
		_, err := db.RawDB.ExecContext(ctx, query)
		require.NoError(t, err)
	}
}

// makeSessions makes the tables of package telegram, and encrypts what is in them.
func makeSessions(t testing.TB, db *dbutil.Database) {
	t.Helper()
	clients, err := telegram.NewFactory(t.Context(), telegram.Config{DB: db, SessionKeys: []telegram.SessionKey{sessionKey}, APIID: 1, APIHash: "hash"})
	require.NoError(t, err)
	require.NoError(t, clients.Close(t.Context()))
}

// filled are the databases that were filled already, by kind and amounts: filling one
// takes longer than most of what is measured on it.
var filled = map[string]string{}

// filledDatabase returns a database with rows in it, which nobody may change.
func filledDatabase(t testing.TB, kind string, rows amounts) string {
	t.Helper()
	name := fmt.Sprint(kind, rows)
	if filled[name] == "" {
		database := filepath.Join(filepath.Dir(program), fmt.Sprintf("filled%d.db", len(filled)))
		if kind == "postgres" {
			database = postgres.newDatabase(t)
		}
		fill(t, database, rows)
		filled[name] = database
	}
	return filled[name]
}

// eachDatabase runs a benchmark on every database, in the same order each time.
func eachDatabase(b *testing.B, run func(b *testing.B, kind string)) {
	b.Helper()
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) { run(b, kind) })
	}
}

// median returns the middle one of some values.
func median[T int | int64 | uint64 | float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// turns are two things that were measured in turns.
type turns struct {
	reference, measured []time.Duration
	ratios              []float64
}

// take measures both for a number of rounds. Which of them goes first changes each time.
func (t *turns) take(rounds int, reference, measured func(round int) time.Duration) {
	for round := range rounds {
		var of, took time.Duration
		if round%2 == 0 {
			of, took = reference(round), measured(round)
		} else {
			took = measured(round)
			of = reference(round)
		}
		t.reference, t.measured = append(t.reference, of), append(t.measured, took)
		t.ratios = append(t.ratios, float64(took)/float64(of))
	}
}
