package integration

import (
	"database/sql"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

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

// portalDatabase is a backend for the suites: each handle has a pool of its own on
// one database.
func portalDatabase(t *testing.T) func(t *testing.T) *portal.Store {
	url := postgres.newDatabase(t)
	return func(t *testing.T) *portal.Store {
		store, err := portal.NewStore(t.Context(), openPostgres(t, url))
		require.NoError(t, err)
		return store
	}
}

func TestPortalStoreOnPostgres(t *testing.T) {
	provisioningtest.TestPortalStore(t, func(t *testing.T) func(t *testing.T) provisioning.PortalStore {
		open := portalDatabase(t)
		return func(t *testing.T) provisioning.PortalStore { return open(t) }
	})
}

func TestTaskStoreOnPostgres(t *testing.T) {
	provisioningtest.TestTaskStore(t, func(t *testing.T) func(t *testing.T) provisioningtest.TaskPortalStore {
		open := portalDatabase(t)
		return func(t *testing.T) provisioningtest.TaskPortalStore { return open(t) }
	})
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
