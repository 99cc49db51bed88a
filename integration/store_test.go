package integration

import (
	"database/sql"
	"fmt"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram"
)

func openPostgres(t *testing.T, url string) *dbutil.Database {
	t.Helper()
	raw, err := sql.Open("pgx", url)
	require.NoError(t, err)
	raw.SetMaxOpenConns(20)
	db, err := dbutil.NewWithDB(raw, "postgres")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

func TestUserStoreOnPostgres(t *testing.T) {
	provisioningtest.TestUserStore(t, func(t *testing.T) func(t *testing.T) provisioning.UserStore {
		url := postgres.newDatabase(t)
		return func(t *testing.T) provisioning.UserStore {
			everybody := auth.Permissions{"*": provisioning.PermissionFull}
			store, err := auth.NewStore(t.Context(), openPostgres(t, url), auth.StoreConfig{Permissions: everybody})
			require.NoError(t, err)
			return store
		}
	})
}

func TestPortalStoreOnPostgres(t *testing.T) {
	url := postgres.newDatabase(t)
	var stores [2]*portal.Store
	for i := range stores {
		var err error
		stores[i], err = portal.NewStore(t.Context(), openPostgres(t, url))
		require.NoError(t, err)
	}
	const racers = 50
	errs := make([]error, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			p := provisioning.Portal{RoomID: id.RoomID(fmt.Sprintf("!room%d:example.com", i)), ChatID: -5, Title: "Chat"}
			errs[i] = stores[i%2].Insert(t.Context(), p, 42)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, portal.ErrChatBridged)
		}
	}
	assert.Equal(t, 1, won)
	portals, err := stores[0].AccountPortals(t.Context(), 42)
	require.NoError(t, err)
	assert.Len(t, portals, 1)
}

// Processes may start together on an empty database.
func TestAllTablesAreMadeAtOnce(t *testing.T) {
	url := postgres.newDatabase(t)
	var wg sync.WaitGroup
	for range 10 {
		db := openPostgres(t, url)
		wg.Go(func() {
			_, err := auth.NewStore(t.Context(), db, auth.StoreConfig{})
			assert.NoError(t, err)
			_, err = portal.NewStore(t.Context(), db)
			assert.NoError(t, err)
			f, err := telegram.NewFactory(t.Context(), telegram.Config{DB: db, APIID: 1, APIHash: "hash"})
			if assert.NoError(t, err) {
				assert.NoError(t, f.Close(t.Context()))
			}
		})
	}
	wg.Wait()
}
