package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

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
			store, err := auth.NewStore(t.Context(), auth.StoreConfig{DB: openPostgres(t, url), Permissions: everybody})
			require.NoError(t, err)
			return store
		}
	})
}

func TestAccountFinderOnPostgres(t *testing.T) {
	provisioningtest.TestAccountFinder(t, func(t *testing.T) func(t *testing.T) provisioningtest.AccountFinderStore {
		url := postgres.newDatabase(t)
		return func(t *testing.T) provisioningtest.AccountFinderStore {
			store, err := auth.NewStore(t.Context(), auth.StoreConfig{DB: openPostgres(t, url)})
			require.NoError(t, err)
			return store
		}
	})
}

func TestLimitStoreOnPostgres(t *testing.T) {
	provisioningtest.TestLimitStore(t, func(t *testing.T) func(t *testing.T) provisioning.LimitStore {
		url := postgres.newDatabase(t)
		return func(t *testing.T) provisioning.LimitStore {
			store, err := auth.NewStore(t.Context(), auth.StoreConfig{DB: openPostgres(t, url)})
			require.NoError(t, err)
			return store
		}
	})
}

func TestLoginLinkStoreOnPostgres(t *testing.T) {
	for _, isolation := range isolationLevels {
		t.Run(isolation, func(t *testing.T) {
			provisioningtest.TestLoginLinkStore(t, func(t *testing.T) func(t *testing.T) provisioning.LoginLinkStore {
				url := atLevel(isolation, postgres.newDatabase(t))
				return func(t *testing.T) provisioning.LoginLinkStore {
					store, err := auth.NewStore(t.Context(), auth.StoreConfig{DB: openPostgres(t, url)})
					require.NoError(t, err)
					return store
				}
			})
		})
	}
}

// Databases may have another default than PostgreSQL itself.
var isolationLevels = []string{"read committed", "serializable"}

func openPortals(t *testing.T, url string) *portal.Store {
	t.Helper()
	store, err := portal.NewStore(t.Context(), portal.StoreConfig{DB: openPostgres(t, url)})
	require.NoError(t, err)
	return store
}

func openTasks(t *testing.T, url string) *portal.TaskStore {
	t.Helper()
	store, err := portal.NewTaskStore(t.Context(), portal.TaskStoreConfig{DB: openPostgres(t, url)})
	require.NoError(t, err)
	return store
}

// atLevel returns the URL with an isolation level that transactions are at unless told
// otherwise.
func atLevel(isolation, url string) string {
	return url + "&default_transaction_isolation=" + strings.ReplaceAll(isolation, " ", "%20")
}

// portalDatabase is a backend for the suites: each handle has a pool of its own on
// one database.
func portalDatabase(t *testing.T, isolation string) func(t *testing.T) *portal.Store {
	url := atLevel(isolation, postgres.newDatabase(t))
	return func(t *testing.T) *portal.Store { return openPortals(t, url) }
}

func TestPortalStoreOnPostgres(t *testing.T) {
	for _, isolation := range isolationLevels {
		t.Run(isolation, func(t *testing.T) {
			provisioningtest.TestPortalStore(t, func(t *testing.T) func(t *testing.T) provisioning.PortalStore {
				open := portalDatabase(t, isolation)
				return func(t *testing.T) provisioning.PortalStore { return open(t) }
			})
		})
	}
}

func TestPortalListerOnPostgres(t *testing.T) {
	for _, isolation := range isolationLevels {
		t.Run(isolation, func(t *testing.T) {
			provisioningtest.TestPortalLister(t, func(t *testing.T) func(t *testing.T) provisioningtest.PortalListerStore {
				open := portalDatabase(t, isolation)
				return func(t *testing.T) provisioningtest.PortalListerStore { return open(t) }
			})
		})
	}
}

// Among many portals, those of chats are looked for by the database.
func TestPortalsOfChatsAmongManyOnPostgres(t *testing.T) {
	url := postgres.newDatabase(t)
	fill(t, url, amounts{portals: 3000})
	store := openPortals(t, url)
	migrated := provisioning.Portal{
		RoomID: "!migrated:example.com", ChatID: provisioning.ChannelChatID(1 << 40), MigratedFrom: provisioning.BasicGroupChatID(1), Megagroup: true,
	}
	own := provisioning.Portal{RoomID: "!own:example.com", ChatID: provisioning.UserChatID(9), Receiver: 7}
	others := provisioning.Portal{RoomID: "!others:example.com", ChatID: own.ChatID, Receiver: 8}
	for _, p := range []provisioning.Portal{migrated, own, others} {
		require.NoError(t, store.Connect(t.Context(), provisioning.NewPortal{Portal: p}))
	}
	filled := provisioning.ChatID(filledChat(2999))
	for _, chats := range [][]provisioning.ChatID{
		{migrated.MigratedFrom, own.ChatID, filled, filled - 1},
		{migrated.ChatID, own.ChatID, migrated.MigratedFrom, filled},
	} {
		portals, err := store.PortalsOfChats(t.Context(), 7, chats)
		require.NoError(t, err)
		require.Len(t, portals, 3)
		for _, chatID := range chats[:3] {
			want, err := store.PortalByChat(t.Context(), chatID, 7)
			require.NoError(t, err)
			require.Contains(t, portals, want)
		}
	}
}

func TestPortalUsersOnPostgres(t *testing.T) {
	for _, isolation := range isolationLevels {
		t.Run(isolation, func(t *testing.T) {
			provisioningtest.TestPortalUsers(t, func(t *testing.T) func(t *testing.T) provisioningtest.PortalUsersStore {
				open := portalDatabase(t, isolation)
				return func(t *testing.T) provisioningtest.PortalUsersStore { return open(t) }
			})
		})
	}
}

func TestTaskStoreOnPostgres(t *testing.T) {
	for _, isolation := range isolationLevels {
		t.Run(isolation, func(t *testing.T) {
			provisioningtest.TestTaskStore(t, func(t *testing.T) func(t *testing.T) provisioning.TaskStore {
				url := atLevel(isolation, postgres.newDatabase(t, inEnglish...))
				return func(t *testing.T) provisioning.TaskStore { return openTasks(t, url) }
			})
		})
	}
}

func TestTaskPortalStoreOnPostgres(t *testing.T) {
	for _, isolation := range isolationLevels {
		t.Run(isolation, func(t *testing.T) {
			provisioningtest.TestTaskPortalStore(t, func(t *testing.T) func(t *testing.T) provisioningtest.TaskPortalStore {
				open := portalDatabase(t, isolation)
				return func(t *testing.T) provisioningtest.TaskPortalStore { return open(t) }
			})
		})
	}
}

// Transactions of hosts that change several portals, in whatever order, wait for
// each other and not for ever.
func TestPortalStoreInHostTransactionsOnPostgres(t *testing.T) {
	url := postgres.newDatabase(t)
	portals := [2]provisioning.Portal{{RoomID: "!a:example.com", ChatID: -1}, {RoomID: "!b:example.com", ChatID: -2}}
	dbs := [2]*dbutil.Database{openPostgres(t, url), openPostgres(t, url)}
	var stores [2]*portal.Store
	for i, db := range dbs {
		var err error
		stores[i], err = portal.NewStore(t.Context(), portal.StoreConfig{DB: db})
		require.NoError(t, err)
	}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 20 {
		s := stores[i%2]
		change := func(ctx context.Context, p provisioning.Portal) error {
			err := s.Connect(ctx, provisioning.NewPortal{Portal: p, Accounts: []provisioning.TelegramID{1}})
			if !errors.Is(err, provisioning.ErrRoomBridged) {
				return err
			}
			return s.Disconnect(ctx, p, provisioning.NewTask{ID: fmt.Sprint(i, p.RoomID)}) // the transaction goes on
		}
		wg.Go(func() {
			<-start
			assert.NoError(t, dbs[i%2].DoTxn(t.Context(), nil, func(ctx context.Context) error {
				return errors.Join(change(ctx, portals[i/2%2]), change(ctx, portals[1-i/2%2]))
			}))
		})
	}
	close(start)
	wg.Wait()
	left, err := stores[0].AccountPortals(t.Context(), 1)
	require.NoError(t, err)
	assert.Empty(t, left)
	tasks, err := stores[1].TakeTasks(t.Context(), "", time.Minute, 100)
	require.NoError(t, err)
	assert.Len(t, tasks, 20)
}

// Tables of version 1 are upgraded, with what is in them, also where processes start
// together.
func TestPortalStoreUpgradeFrom1OnPostgres(t *testing.T) {
	url := postgres.newDatabase(t)
	made, err := os.ReadFile("../portal/upgrades/01-portals.sql")
	require.NoError(t, err)
	db := openPostgres(t, url)
	for _, query := range []string{
		string(made),
		`CREATE TABLE tgprovision_portal_version (version INTEGER, compat INTEGER)`,
		`INSERT INTO tgprovision_portal_version VALUES (1, 1)`,
		`INSERT INTO tgprovision_portal VALUES ('!group:example.com', -1001, 0, 'Cats'), ('!direct:example.com', 7, 1, '')`,
		`INSERT INTO tgprovision_portal_account VALUES ('!group:example.com', 1), ('!direct:example.com', 1)`,
	} {
		_, err = db.Exec(t.Context(), query)
		require.NoError(t, err)
	}
	group := provisioning.Portal{RoomID: "!group:example.com", ChatID: -1001, Title: "Cats"}
	direct := provisioning.Portal{RoomID: "!direct:example.com", ChatID: 7, Receiver: 1}
	var wg sync.WaitGroup
	for range 5 {
		db := openPostgres(t, url)
		wg.Go(func() {
			store, err := portal.NewStore(t.Context(), portal.StoreConfig{DB: db})
			if !assert.NoError(t, err) {
				return
			}
			portals, err := store.AccountPortals(t.Context(), 1)
			assert.NoError(t, err)
			assert.Equal(t, []provisioning.Portal{direct, group}, portals)
		})
	}
	wg.Wait()
	assert.NoError(t, openPortals(t, url).AddTasks(t.Context(), provisioning.NewTask{ID: "task"}))
}

// Processes may start together on an empty database.
func TestAllTablesAreMadeAtOnce(t *testing.T) {
	url := postgres.newDatabase(t)
	var wg sync.WaitGroup
	for range 10 {
		db := openPostgres(t, url)
		wg.Go(func() {
			_, err := auth.NewStore(t.Context(), auth.StoreConfig{DB: db})
			assert.NoError(t, err)
			_, err = portal.NewStore(t.Context(), portal.StoreConfig{DB: db})
			assert.NoError(t, err)
			f, err := telegram.NewFactory(t.Context(), telegram.Config{DB: db, APIID: 1, APIHash: "hash"})
			if assert.NoError(t, err) {
				assert.NoError(t, f.Close(t.Context()))
			}
		})
	}
	wg.Wait()
}
