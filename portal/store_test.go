package portal_test

import (
	"context"
	"database/sql"
	"errors"
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
	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
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

func newStore(t *testing.T, db *dbutil.Database) *portal.Store {
	t.Helper()
	s, err := portal.NewStore(t.Context(), portal.StoreConfig{DB: db})
	require.NoError(t, err)
	return s
}

func newTaskStore(t *testing.T, db *dbutil.Database) *portal.TaskStore {
	t.Helper()
	s, err := portal.NewTaskStore(t.Context(), portal.TaskStoreConfig{DB: db})
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

func portals(t *testing.T, s *portal.Store, telegramID provisioning.TelegramID) []provisioning.Portal {
	t.Helper()
	list, err := s.AccountPortals(t.Context(), telegramID)
	require.NoError(t, err)
	return list
}

// sharedFile is a backend for the suites: each handle has a pool of its own on one
// SQLite file.
func sharedFile(options string) func(*testing.T) func(*testing.T) *portal.Store {
	return func(t *testing.T) func(*testing.T) *portal.Store {
		path := filepath.Join(t.TempDir(), "bridge.db")
		return func(t *testing.T) *portal.Store { return newStore(t, openDatabase(t, path, options)) }
	}
}

// The suites run all at once: a store waits after each change for what others remember.
func TestSuites(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for name, options := range map[string]string{
		"immediate": options,
		"deferred":  strings.ReplaceAll(options, "&_txlock=immediate", ""),
	} {
		backend := sharedFile(options)
		wg.Go(func() {
			t.Run(name+"/portals", func(t *testing.T) {
				provisioningtest.TestPortalStore(t, func(t *testing.T) func(*testing.T) provisioning.PortalStore {
					open := backend(t)
					return func(t *testing.T) provisioning.PortalStore { return open(t) }
				})
			})
		})
		wg.Go(func() {
			t.Run(name+"/portals with tasks", func(t *testing.T) {
				provisioningtest.TestTaskPortalStore(t, func(t *testing.T) func(*testing.T) provisioningtest.TaskPortalStore {
					open := backend(t)
					return func(t *testing.T) provisioningtest.TaskPortalStore { return open(t) }
				})
			})
		})
		wg.Go(func() {
			t.Run(name+"/lists of portals", func(t *testing.T) {
				provisioningtest.TestPortalLister(t, func(t *testing.T) func(*testing.T) provisioningtest.PortalListerStore {
					open := backend(t)
					return func(t *testing.T) provisioningtest.PortalListerStore { return open(t) }
				})
			})
		})
		wg.Go(func() {
			t.Run(name+"/lists of many portals", func(t *testing.T) {
				provisioningtest.TestPortalLister(t, func(t *testing.T) func(*testing.T) provisioningtest.PortalListerStore {
					open := backend(t)
					return func(t *testing.T) provisioningtest.PortalListerStore {
						s := open(t)
						s.SetFewPortals(-1)
						return s
					}
				})
			})
		})
		wg.Go(func() {
			t.Run(name+"/users of portals", func(t *testing.T) {
				provisioningtest.TestPortalUsers(t, func(t *testing.T) func(*testing.T) provisioningtest.PortalUsersStore {
					open := backend(t)
					return func(t *testing.T) provisioningtest.PortalUsersStore { return open(t) }
				})
			})
		})
		wg.Go(func() {
			t.Run(name+"/tasks", func(t *testing.T) {
				provisioningtest.TestTaskStore(t, func(t *testing.T) func(*testing.T) provisioning.TaskStore {
					path := filepath.Join(t.TempDir(), "bridge.db")
					return func(t *testing.T) provisioning.TaskStore { return newTaskStore(t, openDatabase(t, path, options)) }
				})
			})
		})
	}
	wg.Wait()
}

// connect connects a group to a room.
func connect(t *testing.T, s *portal.Store, p provisioning.Portal, accounts ...provisioning.TelegramID) {
	t.Helper()
	require.NoError(t, s.Connect(t.Context(), provisioning.NewPortal{Portal: p, Accounts: accounts}))
}

func TestAccountPortalsAreSorted(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDatabase(t))
	var want []provisioning.Portal
	for i := range 9 {
		want = append(want, provisioning.Portal{RoomID: id.RoomID(fmt.Sprintf("!room%d", i)), ChatID: provisioning.BasicGroupChatID(int64(i + 1))})
	}
	for _, i := range []int{3, 8, 0, 7, 1, 6, 2, 5, 4} {
		connect(t, s, want[i], 1)
	}
	assert.Equal(t, want, portals(t, s, 1))
}

func TestConnectRefusesWhatIsNoPortal(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := newStore(t, db)
	for _, p := range []provisioning.Portal{{}, {ChatID: -1}, {RoomID: "!room"}, {RoomID: "!room", ChatID: 7, Receiver: -1}} {
		err := s.Connect(t.Context(), provisioning.NewPortal{Portal: p, Tasks: []provisioning.NewTask{{ID: "task"}}})
		assert.ErrorContains(t, err, "is not a portal", "%+v", p)
	}
	for _, telegramID := range []provisioning.TelegramID{0, -1} {
		p := provisioning.Portal{RoomID: "!room", ChatID: -1}
		err := s.Connect(t.Context(), provisioning.NewPortal{Portal: p, Accounts: []provisioning.TelegramID{1, telegramID}})
		assert.ErrorContains(t, err, fmt.Sprint(telegramID))
	}
	assert.Zero(t, rows(t, db, "tgprovision_portal"))
	assert.Zero(t, rows(t, db, "tgprovision_portal_task"))
}

// What no database can hold of a chat's name must not keep it from being bridged.
func TestConnectTakesAnyText(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDatabase(t))
	p := provisioning.Portal{RoomID: "!room", ChatID: -1, Title: "a\x00b\xff\xfec", About: "\x00", Username: "\xc3"}
	connect(t, s, p)
	got, err := s.PortalByRoom(t.Context(), p.RoomID)
	require.NoError(t, err)
	p.Title, p.About, p.Username = "ab\uFFFDc", "", "\uFFFD"
	assert.Equal(t, p, got)
}

// A change that fails half-way changes nothing.
func TestChangesAreAtomic(t *testing.T) {
	t.Parallel()
	task := provisioning.NewTask{ID: "task", Kind: "test"}
	old := provisioning.Portal{RoomID: "!old", ChatID: -1}
	move := func(t *testing.T, s *portal.Store) error {
		p := provisioning.Portal{RoomID: "!new", ChatID: -1}
		return s.Connect(t.Context(), provisioning.NewPortal{Portal: p, Replaces: old.RoomID, Accounts: []provisioning.TelegramID{1, 2}, Tasks: []provisioning.NewTask{task}})
	}
	disconnect := func(t *testing.T, s *portal.Store) error { return s.Disconnect(t.Context(), old, task) }
	for _, test := range []struct {
		fault  string
		change func(*testing.T, *portal.Store) error
	}{
		{"DELETE ON tgprovision_portal", move},
		{"INSERT ON tgprovision_portal", move},
		{"INSERT ON tgprovision_portal_account", move},
		{"INSERT ON tgprovision_portal_task", move},
		{"DELETE ON tgprovision_portal", disconnect},
		{"INSERT ON tgprovision_portal_task", disconnect},
	} {
		db := newDatabase(t)
		s := newStore(t, db)
		connect(t, s, old, 1)
		exec(t, db, `CREATE TRIGGER fault BEFORE `+test.fault+` BEGIN SELECT RAISE(ABORT, 'disk on fire'); END`)
		require.ErrorContains(t, test.change(t, s), "disk on fire", test.fault)
		assert.Equal(t, []provisioning.Portal{old}, portals(t, s, 1), test.fault)
		assert.Equal(t, 1, rows(t, db, "tgprovision_portal"), test.fault)
		assert.Equal(t, 1, rows(t, db, "tgprovision_portal_account"), test.fault)
		assert.Zero(t, rows(t, db, "tgprovision_portal_task"), test.fault)
	}
}

// Calls are part of a transaction of the host's, whether it ends well or not.
func TestCallsInATransactionOfTheHost(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := newStore(t, db)
	old := provisioning.Portal{RoomID: "!old", ChatID: -1}
	first := provisioning.Portal{RoomID: "!first", ChatID: -2, Title: "First"}
	connect(t, s, old, 1)
	exec(t, db, `CREATE TABLE host (n INTEGER)`)
	change := func(ctx context.Context) error {
		if _, err := db.Exec(ctx, `INSERT INTO host VALUES (1)`); err != nil {
			return err
		}
		if err := s.Connect(ctx, provisioning.NewPortal{Portal: first, Accounts: []provisioning.TelegramID{1}}); err != nil {
			return err
		}
		// The errors that a host expects leave the transaction as it was.
		again := provisioning.NewPortal{Portal: first}
		assert.ErrorIs(t, s.Connect(ctx, again), provisioning.ErrRoomBridged)
		again.RoomID = "!second"
		assert.ErrorIs(t, s.Connect(ctx, again), provisioning.ErrChatBridged)
		assert.ErrorIs(t, s.Disconnect(ctx, again.Portal), provisioning.ErrPortalNotFound)
		if err := s.Disconnect(ctx, old, provisioning.NewTask{ID: "a"}); err != nil {
			return err
		}
		if err := s.AddTasks(ctx, provisioning.NewTask{ID: "b"}, provisioning.NewTask{ID: "c"}); err != nil {
			return err
		}
		if err := s.FinishTask(ctx, "b"); err != nil {
			return err
		}
		tasks, err := s.TakeTasks(ctx, "", time.Minute, 10)
		assert.Len(t, tasks, 2)
		return err
	}
	failed := errors.New("the host thinks better of it")
	err := db.DoTxn(t.Context(), nil, func(ctx context.Context) error {
		require.NoError(t, change(ctx))
		p, err := s.PortalByRoom(ctx, first.RoomID)
		assert.NoError(t, err)
		assert.Equal(t, first, p)
		return failed
	})
	require.ErrorIs(t, err, failed)
	assert.Equal(t, []provisioning.Portal{old}, portals(t, s, 1))
	assert.Zero(t, rows(t, db, "tgprovision_portal_task"))
	require.NoError(t, db.DoTxn(t.Context(), nil, change))
	assert.Equal(t, []provisioning.Portal{first}, portals(t, s, 1))
	assert.Equal(t, 2, rows(t, db, "tgprovision_portal_task"))
	assert.Equal(t, 1, rows(t, db, "host"))
}

// A portal that goes takes its accounts along.
func TestAccountsGoWithTheirPortal(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	connect(t, newStore(t, db), provisioning.Portal{RoomID: "!room", ChatID: -1}, 1, 2)
	assert.Equal(t, 2, rows(t, db, "tgprovision_portal_account"))
	exec(t, db, `DELETE FROM tgprovision_portal`)
	assert.Zero(t, rows(t, db, "tgprovision_portal_account"))
}

// The constraints hold whoever writes.
func TestOnePortalByConstraint(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	connect(t, newStore(t, db), provisioning.Portal{RoomID: "!room", ChatID: -1})
	const insert = `INSERT INTO tgprovision_portal (room_id, chat_id, receiver) VALUES ($1, $2, $3)`
	_, err := db.Exec(t.Context(), insert, "!room", -2, 0)
	assert.ErrorContains(t, err, "UNIQUE")
	_, err = db.Exec(t.Context(), insert, "!other", -1, 0)
	assert.ErrorContains(t, err, "UNIQUE")
	exec(t, db, insert, "!other", -1, 7)
}

func TestNewStoreHonoursContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := portal.NewStore(ctx, portal.StoreConfig{DB: newDatabase(t)})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestNewStoreErrors(t *testing.T) {
	t.Parallel()
	_, err := portal.NewStore(t.Context(), portal.StoreConfig{})
	assert.ErrorContains(t, err, "database")
	closed := newDatabase(t)
	require.NoError(t, closed.Close())
	_, err = portal.NewStore(t.Context(), portal.StoreConfig{DB: closed})
	assert.Error(t, err)
	_, err = portal.NewStore(t.Context(), portal.StoreConfig{DB: openDatabase(t, filepath.Join(t.TempDir(), "bridge.db"), "")})
	assert.ErrorContains(t, err, "foreign_keys(1)")
}
