package schema_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"modernc.org/sqlite"

	"github.com/tgprovision/tgprovision/internal/schema"
)

// lockedOnce makes connections to a SQLite file that somebody else has locked,
// until the first attempt has failed.
type lockedOnce struct {
	dsn      string
	unlock   func()
	attempts int
}

func (*lockedOnce) Driver() driver.Driver { return &sqlite.Driver{} }

func (c *lockedOnce) Connect(context.Context) (driver.Conn, error) {
	if c.attempts++; c.attempts == 2 {
		c.unlock()
	}
	return c.Driver().Open(c.dsn)
}

func TestConnectToLockedDatabase(t *testing.T) {
	path := "file:" + filepath.Join(t.TempDir(), "bridge.db")
	holder, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer holder.Close()
	conn, err := holder.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(t.Context(), `BEGIN EXCLUSIVE`)
	require.NoError(t, err)

	connector := &lockedOnce{dsn: path + "?_pragma=journal_mode(WAL)", unlock: func() {
		_, err := conn.ExecContext(t.Context(), `ROLLBACK`)
		assert.NoError(t, err)
	}}
	raw := sql.OpenDB(connector)
	defer raw.Close()
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	require.NoError(t, err)
	require.NoError(t, schema.Connect(t.Context(), db))
	assert.Equal(t, 2, connector.attempts)
}

// Other troubles are not waited out.
func TestConnectFails(t *testing.T) {
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "missing", "bridge.db"))
	require.NoError(t, err)
	defer raw.Close()
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	require.NoError(t, err)
	assert.ErrorContains(t, schema.Connect(t.Context(), db), "unable to open database file")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, schema.Connect(ctx, db), context.Canceled)
}
