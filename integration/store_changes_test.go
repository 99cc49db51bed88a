package integration

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// counted says whether a statement, or a call, is counted as a change of a table.
func counted(t *testing.T, db *dbutil.Database, table string, change func()) bool {
	t.Helper()
	number := func() (n int) {
		require.NoError(t, db.QueryRow(t.Context(), `SELECT number FROM `+table+`_change`).Scan(&n))
		return n
	}
	before := number()
	change()
	return number() > before
}

// Statements that change no row are not counted, all others are.
func TestChangesAreCountedOnPostgres(t *testing.T) {
	s := openStores(t, postgres.newDatabase(t))
	for table, insert := range map[string]string{
		"tgprovision_user":   `INSERT INTO tgprovision_user VALUES ('@alice:example.com', 42, false)`,
		"tgprovision_portal": `INSERT INTO tgprovision_portal VALUES ('!room:example.com', -1, 0, 'Cats')`,
	} {
		check := func(want bool, query string) {
			t.Helper()
			assert.Equal(t, want, counted(t, s.Database, table, func() {
				_, err := s.Exec(t.Context(), query)
				require.NoError(t, err, query)
			}), query)
		}
		check(true, insert)
		check(false, insert+` ON CONFLICT DO NOTHING`)
		rows, err := s.Query(t.Context(), `SELECT column_name, data_type FROM information_schema.columns WHERE table_name=$1`, table)
		columns, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (c [2]string, err error) {
			err = row.Scan(&c[0], &c[1])
			return c, err
		}, err).AsList()
		require.NoError(t, err)
		require.NotEmpty(t, columns)
		others := map[string]string{"text": "||'x'", "bigint": "+1", "boolean": "=false"}
		for _, column := range columns {
			name, other := column[0], others[column[1]]
			require.NotEmpty(t, other, column[1])
			check(false, `UPDATE `+table+` SET `+name+`=`+name)
			check(true, `UPDATE `+table+` SET `+name+`=`+name+other)
		}
		check(false, `DELETE FROM `+table+` WHERE false`)
		check(true, `DELETE FROM `+table)
		check(true, `TRUNCATE `+table+` CASCADE`)
	}
}

// On PostgreSQL too, calls that change nothing wait for nothing.
func TestOnlyChangesWaitOnPostgres(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const alice, bob id.UserID = "@alice:example.com", "@bob:example.com"
		s := openStores(t, postgres.newDatabase(t))
		for i, test := range []struct {
			table   string
			change  step
			changes bool
			want    error
		}{
			{"user", unlink(alice, 42), false, nil},
			{"user", link(alice, 42), true, nil},
			{"user", link(alice, 42), false, nil},
			{"user", claim(alice, 42), false, nil},
			{"user", claim(bob, 42), false, provisioning.ErrAccountLinked},
			{"user", link(bob, 42), true, nil},
			{"user", link(bob, 42), false, nil},
			{"user", unlink(bob, 42), true, nil},
			{"portal", disconnect("!a", -1), false, provisioning.ErrPortalNotFound},
			{"portal", connect("!a", -1), true, nil},
			{"portal", connect("!a", -1), false, provisioning.ErrRoomBridged},
			{"portal", disconnect("!a", -1), true, nil},
		} {
			start := time.Now()
			assert.Equal(t, test.changes, counted(t, s.Database, "tgprovision_"+test.table, func() {
				require.ErrorIs(t, test.change(t.Context(), s), test.want, "step %d", i)
			}), "step %d", i)
			assert.Equal(t, test.changes, time.Since(start) > 0, "step %d", i)
		}
	})
}

// Databases may have another default than PostgreSQL itself, under which a statement that
// has waited for another one fails.
func TestUsersComeAndGoOnSerializablePostgres(t *testing.T) {
	url := postgres.newDatabase(t) + "&default_transaction_isolation=serializable"
	stores := [2]sharedStores{openStores(t, url), openStores(t, url)}
	var wg sync.WaitGroup
	for i := range 10 {
		s, userID := stores[i%2], id.UserID(fmt.Sprintf("@user%d:example.com", i))
		wg.Go(func() {
			for range 5 {
				assert.NoError(t, link(userID, 42)(t.Context(), s))
				assert.NoError(t, unlink(userID, 42)(t.Context(), s))
			}
		})
	}
	wg.Wait()
}
