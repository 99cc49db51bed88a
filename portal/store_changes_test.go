package portal_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/dbcache"
	"github.com/tgprovision/tgprovision/provisioning"
)

// changes is how many changes of portals the database has counted.
func changes(t *testing.T, db *dbutil.Database) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), `SELECT number FROM tgprovision_portal_change`).Scan(&n))
	return n
}

// A call that changes no portal waits for nothing, and isn't counted as a change.
func TestOnlyChangesWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(t)
		s := newStore(t, db)
		connect := func(roomID id.RoomID, chatID provisioning.ChatID, replaces id.RoomID) func() error {
			return func() error {
				p := provisioning.Portal{RoomID: roomID, ChatID: chatID}
				return s.Connect(t.Context(), provisioning.NewPortal{Portal: p, Replaces: replaces})
			}
		}
		disconnect := func(roomID id.RoomID, chatID provisioning.ChatID) func() error {
			return func() error {
				return s.Disconnect(t.Context(), provisioning.Portal{RoomID: roomID, ChatID: chatID})
			}
		}
		for i, step := range []struct {
			call    func() error
			changes bool
			want    error
		}{
			{disconnect("!a", -1), false, provisioning.ErrPortalNotFound},
			{connect("!a", -1, "!b"), false, provisioning.ErrPortalNotFound},
			{connect("!a", -1, ""), true, nil},
			{connect("!a", -1, ""), false, provisioning.ErrRoomBridged},
			{connect("!b", -1, ""), false, provisioning.ErrChatBridged},
			{disconnect("!a", -2), false, provisioning.ErrPortalNotFound},
			{connect("!b", -1, "!a"), true, nil},
			{disconnect("!b", -1), true, nil},
			{disconnect("!b", -1), false, provisioning.ErrPortalNotFound},
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
	connect(t, newStore(t, db), provisioning.Portal{RoomID: "!room", ChatID: -1})
	rows, err := db.Query(t.Context(), `SELECT * FROM tgprovision_portal`)
	require.NoError(t, err)
	columns, err := rows.Columns()
	require.NoError(t, err)
	require.NoError(t, rows.Close())
	require.NotEmpty(t, columns)
	for _, column := range columns {
		before := changes(t, db)
		exec(t, db, `UPDATE tgprovision_portal SET `+column+`=`+column)
		assert.Equal(t, before, changes(t, db), column)
		exec(t, db, `UPDATE tgprovision_portal SET `+column+`=1-CAST(`+column+` AS INTEGER)`)
		assert.Greater(t, changes(t, db), before, column)
	}
}
