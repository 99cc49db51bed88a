package auth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/internal/dbcache"
	"github.com/tgprovision/tgprovision/provisioning"
)

// changes is how many changes of links the database has counted.
func changes(t *testing.T, db *dbutil.Database) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), `SELECT number FROM tgprovision_user_change`).Scan(&n))
	return n
}

// A call that changes no link waits for nothing, and isn't counted as a change.
func TestOnlyChangesWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(t)
		s := newStore(t, db, auth.StoreConfig{})
		link := func(userID id.UserID) func() error {
			return func() error { _, err := s.LinkAccount(t.Context(), userID, 42); return err }
		}
		claim := func(userID id.UserID) func() error {
			return func() error { return s.ClaimAccount(t.Context(), userID, 42) }
		}
		unlink := func(userID id.UserID) func() error {
			return func() error { return s.UnlinkAccount(t.Context(), userID, 42) }
		}
		for i, step := range []struct {
			call    func() error
			changes bool
			want    error
		}{
			{unlink(alice), false, nil},
			{link(alice), true, nil},
			{link(alice), false, nil},
			{claim(alice), false, nil},
			{claim(bob), false, provisioning.ErrAccountLinked},
			{unlink(bob), false, nil},
			{link(bob), true, nil}, // and alice is displaced
			{link(bob), false, nil},
			{claim(bob), false, nil},
			{link(alice), true, nil},
			{unlink(alice), true, nil},
			{unlink(alice), false, nil},
			{claim(bob), true, nil}, // who was displaced
		} {
			before, start := changes(t, db), time.Now()
			require.ErrorIs(t, step.call(), step.want, "step %d", i)
			took := time.Since(start)
			if step.changes {
				assert.Equal(t, dbcache.Lease, took, "step %d", i)
				assert.Greater(t, changes(t, db), before, "step %d", i)
			} else {
				assert.Zero(t, took, "step %d", i)
				assert.Equal(t, before, changes(t, db), "step %d", i)
			}
		}
	})
}

// A change of any column is counted, whoever makes it.
func TestEveryColumnIsCounted(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	_, err := newStore(t, db, auth.StoreConfig{}).LinkAccount(t.Context(), alice, 42)
	require.NoError(t, err)
	rows, err := db.Query(t.Context(), `SELECT * FROM tgprovision_user`)
	require.NoError(t, err)
	columns, err := rows.Columns()
	require.NoError(t, err)
	require.NoError(t, rows.Close())
	require.NotEmpty(t, columns)
	for _, column := range columns {
		before := changes(t, db)
		exec(t, db, `UPDATE tgprovision_user SET `+column+`=`+column)
		assert.Equal(t, before, changes(t, db), column)
		exec(t, db, `UPDATE tgprovision_user SET `+column+`=1-CAST(`+column+` AS INTEGER)`)
		assert.Greater(t, changes(t, db), before, column)
	}
}
