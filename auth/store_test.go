package auth_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

const (
	alice id.UserID = "@alice:example.com"
	bob   id.UserID = "@bob:example.com"
)

const (
	// documented are the options that the comment of NewStore names.
	documented = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate"
	// unsynced is for files that need not outlive the machine. It changes what SQLite waits
	// for at the end of a transaction, and no lock.
	unsynced = "&_pragma=synchronous(OFF)"
)

// options are those of the tests. SQLite's writers have no queue: under load, one of many
// may wait for longer than the documented ten seconds.
var options = strings.ReplaceAll(documented, "busy_timeout(10000)", "busy_timeout(600000)") + unsynced

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openDatabase opens a pool of its own on a SQLite file.
func openDatabase(t *testing.T, path, options string) *dbutil.Database {
	t.Helper()
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: options}).String())
	require.NoError(t, err)
	raw.SetMaxOpenConns(4) // more would only wait for SQLite's one writer
	t.Cleanup(func() { assert.NoError(t, raw.Close()) })
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	require.NoError(t, err)
	return db
}

func newDatabase(t *testing.T) *dbutil.Database {
	t.Helper()
	return openDatabase(t, filepath.Join(t.TempDir(), "bridge.db"), options)
}

func newStore(t *testing.T, db *dbutil.Database, cfg auth.StoreConfig) *auth.Store {
	t.Helper()
	cfg.DB = db
	s, err := auth.NewStore(t.Context(), cfg)
	require.NoError(t, err)
	return s
}

func rows(t *testing.T, db *dbutil.Database, table string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

func exec(t *testing.T, db *dbutil.Database, query string, args ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), query, args...)
	require.NoError(t, err)
}

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	provisioningtest.TestUserStore(t, func(t *testing.T) func(*testing.T) provisioning.UserStore {
		path := filepath.Join(t.TempDir(), "bridge.db")
		return func(t *testing.T) provisioning.UserStore {
			return newStore(t, openDatabase(t, path, options), auth.StoreConfig{})
		}
	})
}

func TestStoreFindsUsersOfAccounts(t *testing.T) {
	t.Parallel()
	provisioningtest.TestAccountFinder(t, func(t *testing.T) func(*testing.T) provisioningtest.AccountFinderStore {
		path := filepath.Join(t.TempDir(), "bridge.db")
		return func(t *testing.T) provisioningtest.AccountFinderStore {
			return newStore(t, openDatabase(t, path, options), auth.StoreConfig{})
		}
	})
}

func TestLimitStoreConforms(t *testing.T) {
	t.Parallel()
	provisioningtest.TestLimitStore(t, func(t *testing.T) func(*testing.T) provisioning.LimitStore {
		path := filepath.Join(t.TempDir(), "bridge.db")
		return func(t *testing.T) provisioning.LimitStore {
			return newStore(t, openDatabase(t, path, options), auth.StoreConfig{})
		}
	})
}

func TestLoginLinkStoreConforms(t *testing.T) {
	t.Parallel()
	provisioningtest.TestLoginLinkStore(t, func(t *testing.T) func(*testing.T) provisioning.LoginLinkStore {
		path := filepath.Join(t.TempDir(), "bridge.db")
		return func(t *testing.T) provisioning.LoginLinkStore {
			return newStore(t, openDatabase(t, path, options), auth.StoreConfig{})
		}
	})
}

// Links and sessions that are no longer valid are not kept.
func TestOldLoginLinksAreDeleted(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, filepath.Join(t.TempDir(), "bridge.db"), options)
	store := newStore(t, db, auth.StoreConfig{})
	for _, name := range []string{"alice", "bob"} {
		require.NoError(t, store.PutLoginLink(t.Context(), id.NewUserID(name, "example.com"), name, 15*time.Minute))
	}
	exec(t, db, `UPDATE tgprovision_login_link SET until=until-$1 WHERE hash='alice'`, (15*time.Minute - time.Second).Milliseconds())
	_, err := store.LoginLinkUser(t.Context(), "alice")
	require.NoError(t, err)
	exec(t, db, `UPDATE tgprovision_login_link SET until=until-1000 WHERE hash='alice'`)
	_, err = store.LoginLinkUser(t.Context(), "alice")
	require.ErrorIs(t, err, provisioning.ErrLoginLinkInvalid)
	require.Equal(t, 2, rows(t, db, "tgprovision_login_link"))
	require.NoError(t, store.PutLoginLink(t.Context(), "@carol:example.com", "carol", time.Hour))
	require.Equal(t, 2, rows(t, db, "tgprovision_login_link"))
}

// Events that count no more are not kept.
func TestOldEventsAreDeleted(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, filepath.Join(t.TempDir(), "bridge.db"), options)
	store := newStore(t, db, auth.StoreConfig{})
	for _, key := range []string{"a", "b"} {
		_, err := store.CountEvent(t.Context(), key, []provisioning.Limit{{Most: 5, Period: time.Hour}})
		require.NoError(t, err)
	}
	require.Equal(t, 2, rows(t, db, "tgprovision_event"))
	exec(t, db, `UPDATE tgprovision_event SET until=until-$1`, 2*time.Hour.Milliseconds())
	_, err := store.CountEvent(t.Context(), "c", []provisioning.Limit{{Most: 5, Period: time.Hour}})
	require.NoError(t, err)
	require.Equal(t, 1, rows(t, db, "tgprovision_event"))
}

// Without _txlock, a transaction only fails under load when it reads before it
// writes.
func TestRaceOfDeferredTransactions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bridge.db")
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" + unsynced
	first := openDatabase(t, path, options)
	stores := [2]*auth.Store{newStore(t, first, auth.StoreConfig{}), newStore(t, openDatabase(t, path, options), auth.StoreConfig{})}
	errs := make([]error, 30)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			_, errs[i] = stores[i%2].LinkAccount(t.Context(), id.UserID(fmt.Sprintf("@user%d:example.com", i)), 42)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	assert.Equal(t, len(errs), rows(t, first, "tgprovision_user"))
	assert.Equal(t, 1, rows(t, first, "tgprovision_user WHERE NOT displaced"))
}

// The same for claims, which look before they link.
func TestRaceOfDeferredClaims(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bridge.db")
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" + unsynced
	first := openDatabase(t, path, options)
	stores := [2]*auth.Store{newStore(t, first, auth.StoreConfig{}), newStore(t, openDatabase(t, path, options), auth.StoreConfig{})}
	errs := make([]error, 30)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = stores[i%2].ClaimAccount(t.Context(), id.UserID(fmt.Sprintf("@user%d:example.com", i)), 42)
		})
	}
	close(start)
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, provisioning.ErrAccountLinked)
		}
	}
	assert.Equal(t, 1, won)
	assert.Equal(t, 1, rows(t, first, "tgprovision_user"))
}

func TestStorePermissions(t *testing.T) {
	t.Parallel()
	permissions := auth.Permissions{"*": provisioning.PermissionUser, "example.com": provisioning.PermissionFull}
	s := newStore(t, newDatabase(t), auth.StoreConfig{
		Permissions:  permissions,
		IsBridgeUser: func(userID id.UserID) bool { return userID == "@telegrambot:example.com" },
	})
	permissions["*"] = provisioning.PermissionAdmin
	for userID, want := range map[id.UserID]provisioning.Permission{
		alice:                      provisioning.PermissionFull,
		"@alice:example.org":       provisioning.PermissionUser,
		"@telegrambot:example.com": provisioning.PermissionNone,
		"@telegrambot:example.org": provisioning.PermissionUser,
	} {
		user, err := s.User(t.Context(), userID)
		require.NoError(t, err)
		assert.Equal(t, provisioning.User{Permission: want}, user, "%s", userID)
	}
	_, err := s.LinkAccount(t.Context(), alice, 42)
	require.NoError(t, err)
	user, err := s.User(t.Context(), alice)
	require.NoError(t, err)
	assert.Equal(t, provisioning.User{Permission: provisioning.PermissionFull, TelegramID: 42}, user)
}

func TestReadingCreatesNoRow(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := newStore(t, db, auth.StoreConfig{Permissions: auth.Permissions{"*": provisioning.PermissionFull}})
	for i := range 500 {
		_, err := s.User(t.Context(), id.UserID(fmt.Sprintf("@user%d:example.com", i)))
		require.NoError(t, err)
	}
	assert.Zero(t, rows(t, db, "tgprovision_user"))
}

func TestUnlinkingLeavesNoRow(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := newStore(t, db, auth.StoreConfig{})
	for _, userID := range []id.UserID{alice, bob} {
		_, err := s.LinkAccount(t.Context(), userID, 42)
		require.NoError(t, err)
	}
	assert.Equal(t, 2, rows(t, db, "tgprovision_user"))
	require.NoError(t, s.UnlinkAccount(t.Context(), alice, 42))
	require.NoError(t, s.UnlinkAccount(t.Context(), bob, 42))
	assert.Zero(t, rows(t, db, "tgprovision_user"))
}

func TestLinkAccountRefusesWhatIsNoUser(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := newStore(t, db, auth.StoreConfig{})
	for _, telegramID := range []provisioning.TelegramID{0, -1} {
		_, err := s.LinkAccount(t.Context(), alice, telegramID)
		assert.ErrorContains(t, err, fmt.Sprint(telegramID))
	}
	assert.Zero(t, rows(t, db, "tgprovision_user"))
}

// A link that fails half-way leaves the account where it was.
func TestLinkAccountIsAtomic(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := newStore(t, db, auth.StoreConfig{})
	_, err := s.LinkAccount(t.Context(), alice, 42)
	require.NoError(t, err)
	exec(t, db, `CREATE TRIGGER fault BEFORE INSERT ON tgprovision_user BEGIN SELECT RAISE(ABORT, 'disk on fire'); END`)
	displaced, err := s.LinkAccount(t.Context(), bob, 42)
	require.ErrorContains(t, err, "disk on fire")
	assert.Empty(t, displaced)
	user, err := s.User(t.Context(), alice)
	require.NoError(t, err)
	assert.Equal(t, provisioning.User{TelegramID: 42}, user)
}

// Inside a transaction of the host's, a link is undone with it.
func TestLinkAccountInTransaction(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := newStore(t, db, auth.StoreConfig{})
	err := db.DoTxn(t.Context(), nil, func(ctx context.Context) error {
		if _, err := s.LinkAccount(ctx, alice, 42); err != nil {
			return err
		}
		return assert.AnError
	})
	require.ErrorIs(t, err, assert.AnError)
	assert.Zero(t, rows(t, db, "tgprovision_user"))
}

// The database itself lets an account be linked to one user only.
func TestOneUserByConstraint(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	newStore(t, db, auth.StoreConfig{})
	const insert = `INSERT INTO tgprovision_user (user_id, telegram_id, displaced) VALUES ($1, 42, $2)`
	exec(t, db, insert, alice, false)
	exec(t, db, insert, "@displaced1:example.com", true)
	exec(t, db, insert, "@displaced2:example.com", true)
	_, err := db.Exec(t.Context(), insert, bob, false)
	assert.ErrorContains(t, err, "UNIQUE")
}

func TestNewStoreErrors(t *testing.T) {
	t.Parallel()
	_, err := auth.NewStore(t.Context(), auth.StoreConfig{})
	assert.ErrorContains(t, err, "database")
	_, err = auth.NewStore(t.Context(), auth.StoreConfig{DB: newDatabase(t), Permissions: auth.Permissions{"@admin": provisioning.PermissionAdmin}})
	assert.ErrorContains(t, err, "@admin")
	closed := newDatabase(t)
	require.NoError(t, closed.Close())
	_, err = auth.NewStore(t.Context(), auth.StoreConfig{DB: closed})
	assert.ErrorContains(t, err, "database of the user store")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = auth.NewStore(ctx, auth.StoreConfig{DB: newDatabase(t)})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bridge.db")
	first := openDatabase(t, path, documented)
	_, err := newStore(t, first, auth.StoreConfig{}).LinkAccount(t.Context(), alice, 42)
	require.NoError(t, err)
	newStore(t, first, auth.StoreConfig{})
	second := openDatabase(t, path, documented)
	user, err := newStore(t, second, auth.StoreConfig{}).User(t.Context(), alice)
	require.NoError(t, err)
	assert.EqualValues(t, 42, user.TelegramID)
	assert.Equal(t, 1, rows(t, second, "tgprovision_auth_version"))
}

// Processes that start together on an empty database all succeed.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bridge.db")
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range errs {
		db := openDatabase(t, path, documented)
		wg.Go(func() { _, errs[i] = auth.NewStore(t.Context(), auth.StoreConfig{DB: db}) })
	}
	wg.Wait()
	for _, err := range errs {
		assert.NoError(t, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	newStore(t, db, auth.StoreConfig{})
	exec(t, db, `UPDATE tgprovision_auth_version SET version=99, compat=99`)
	_, err := auth.NewStore(t.Context(), auth.StoreConfig{DB: db})
	require.ErrorIs(t, err, dbutil.ErrUnsupportedDatabaseVersion)
	assert.ErrorContains(t, err, "newer version of tgprovision")
	assert.ErrorContains(t, err, "v99")

	// One that is newer and says that it is compatible is fine.
	exec(t, db, `UPDATE tgprovision_auth_version SET version=99, compat=1`)
	newStore(t, db, auth.StoreConfig{})
}

// The host's own version table, and its dbutil handle, stay as they are.
func TestSharedDatabase(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	exec(t, db, `CREATE TABLE version (version INTEGER, compat INTEGER)`)
	exec(t, db, `INSERT INTO version VALUES (17, 16)`)
	newStore(t, db, auth.StoreConfig{})
	var version int
	require.NoError(t, db.QueryRow(t.Context(), `SELECT version FROM version`).Scan(&version))
	assert.Equal(t, 17, version)
	assert.Equal(t, "version", db.VersionTable)
	assert.Empty(t, db.UpgradeTable)
}
