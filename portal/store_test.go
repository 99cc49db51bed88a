package portal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// options are what the comment of NewStore says.
const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate"

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
	s, err := portal.NewStore(t.Context(), db)
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

func portals(t *testing.T, s *portal.Store, telegramID int64) []provisioning.Portal {
	t.Helper()
	list, err := s.AccountPortals(t.Context(), telegramID)
	require.NoError(t, err)
	return list
}

func TestAccountPortals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	one, two := newStore(t, openDatabase(t, path, options)), newStore(t, openDatabase(t, path, options))
	var (
		group   = provisioning.Portal{RoomID: "!group:example.com", ChatID: provisioning.BasicGroupChatID(1001), Title: "Cats & \u4e2d'; --"}
		channel = provisioning.Portal{RoomID: "!channel", ChatID: provisioning.ChannelChatID(997_852_516_352)} // v12 room, no title
		direct  = provisioning.Portal{RoomID: "!direct:example.com", ChatID: provisioning.UserChatID(7), Receiver: 1, Title: "Seven"}
		same    = provisioning.Portal{RoomID: "!same:example.com", ChatID: provisioning.UserChatID(7), Receiver: 2, Title: "Seven"}
	)
	assert.Empty(t, portals(t, one, 1))
	require.NoError(t, one.Insert(t.Context(), group, 1, 2, 2, math.MaxInt64))
	require.NoError(t, two.Insert(t.Context(), channel))
	require.NoError(t, one.Insert(t.Context(), direct))
	require.NoError(t, two.Insert(t.Context(), same, 2))
	for telegramID, want := range map[int64][]provisioning.Portal{
		1:             {direct, group},
		2:             {group, same},
		3:             nil,
		7:             nil,
		0:             nil,
		math.MaxInt64: {group},
	} {
		assert.Equal(t, want, portals(t, one, telegramID), "%d", telegramID)
		assert.Equal(t, want, portals(t, two, telegramID), "%d", telegramID)
	}
}

func TestInsertConflicts(t *testing.T) {
	db := newDatabase(t)
	s := newStore(t, db)
	old := provisioning.Portal{RoomID: "!old:example.com", ChatID: -1001, Title: "Old"}
	direct := provisioning.Portal{RoomID: "!direct:example.com", ChatID: 7, Receiver: 1}
	require.NoError(t, s.Insert(t.Context(), old, 1))
	require.NoError(t, s.Insert(t.Context(), direct))
	for _, test := range []struct {
		name   string
		portal provisioning.Portal
		want   error
	}{
		{"the same", old, portal.ErrRoomBridged},
		{"room to another chat", provisioning.Portal{RoomID: old.RoomID, ChatID: -1002}, portal.ErrRoomBridged},
		{"chat to another room", provisioning.Portal{RoomID: "!new:example.com", ChatID: old.ChatID}, portal.ErrChatBridged},
		{"direct chat to another room", provisioning.Portal{RoomID: "!new:example.com", ChatID: 7, Receiver: 1}, portal.ErrChatBridged},
		{"both", provisioning.Portal{RoomID: old.RoomID, ChatID: 7, Receiver: 1}, portal.ErrRoomBridged},
	} {
		err := s.Insert(t.Context(), test.portal, 9)
		assert.ErrorIs(t, err, test.want, test.name)
	}
	assert.Empty(t, portals(t, s, 9))
	assert.Equal(t, []provisioning.Portal{direct, old}, portals(t, s, 1))
	assert.Equal(t, 2, rows(t, db, "tgprovision_portal"))
}

func TestInsertRefusesWhatIsNoPortal(t *testing.T) {
	db := newDatabase(t)
	s := newStore(t, db)
	for _, p := range []provisioning.Portal{{}, {ChatID: -1}, {RoomID: "!room"}, {RoomID: "!room", ChatID: 7, Receiver: -1}} {
		assert.ErrorContains(t, s.Insert(t.Context(), p), "is not a portal", "%+v", p)
	}
	for _, telegramID := range []int64{0, -1} {
		err := s.Insert(t.Context(), provisioning.Portal{RoomID: "!room", ChatID: -1}, 1, telegramID)
		assert.ErrorContains(t, err, fmt.Sprint(telegramID))
	}
	assert.Zero(t, rows(t, db, "tgprovision_portal"))
}

// Of racing inserts, through two pools, exactly one wins.
func TestInsertRaces(t *testing.T) {
	for name, options := range map[string]string{
		"as documented": options,
		"deferred":      "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)",
	} {
		for _, race := range []struct {
			name string
			lost error
			make func(i int) provisioning.Portal
		}{
			{"room", portal.ErrRoomBridged, func(i int) provisioning.Portal {
				return provisioning.Portal{RoomID: "!room:example.com", ChatID: provisioning.BasicGroupChatID(int64(i + 1))}
			}},
			{"chat", portal.ErrChatBridged, func(i int) provisioning.Portal {
				return provisioning.Portal{RoomID: id.RoomID(fmt.Sprintf("!room%d:example.com", i)), ChatID: -1}
			}},
		} {
			t.Run(name+"/"+race.name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "bridge.db")
				handles := [2]*portal.Store{newStore(t, openDatabase(t, path, options)), newStore(t, openDatabase(t, path, options))}
				raceInserts(t, handles, race.make, race.lost)
			})
		}
	}
}

func raceInserts(t *testing.T, handles [2]*portal.Store, makePortal func(int) provisioning.Portal, lost error) {
	t.Helper()
	errs := make([]error, 50)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = handles[i%2].Insert(t.Context(), makePortal(i), 1)
		})
	}
	close(start)
	wg.Wait()
	won := -1
	for i, err := range errs {
		if err == nil {
			assert.Equal(t, -1, won, "two inserts won")
			won = i
		} else if !errors.Is(err, lost) {
			t.Errorf("a lost race returned %v, want %v", err, lost)
		}
	}
	require.NotEqual(t, -1, won, "no insert won")
	assert.Equal(t, []provisioning.Portal{makePortal(won)}, portals(t, handles[0], 1))
}

// An insert that fails half-way leaves no portal.
func TestInsertIsAtomic(t *testing.T) {
	db := newDatabase(t)
	s := newStore(t, db)
	exec(t, db, `CREATE TRIGGER fault BEFORE INSERT ON tgprovision_portal_account BEGIN SELECT RAISE(ABORT, 'disk on fire'); END`)
	err := s.Insert(t.Context(), provisioning.Portal{RoomID: "!room", ChatID: -1}, 1)
	require.ErrorContains(t, err, "disk on fire")
	assert.Zero(t, rows(t, db, "tgprovision_portal"))
}

// A portal that goes takes its accounts along.
func TestCascade(t *testing.T) {
	db := newDatabase(t)
	require.NoError(t, newStore(t, db).Insert(t.Context(), provisioning.Portal{RoomID: "!room", ChatID: -1}, 1, 2))
	assert.Equal(t, 2, rows(t, db, "tgprovision_portal_account"))
	exec(t, db, `DELETE FROM tgprovision_portal`)
	assert.Zero(t, rows(t, db, "tgprovision_portal_account"))
}

func TestCancelledContext(t *testing.T) {
	db := newDatabase(t)
	s := newStore(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.AccountPortals(ctx, 1)
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, s.Insert(ctx, provisioning.Portal{RoomID: "!room", ChatID: -1}), context.Canceled)
	assert.Zero(t, rows(t, db, "tgprovision_portal"))
	_, err = portal.NewStore(ctx, db)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestNewStoreErrors(t *testing.T) {
	_, err := portal.NewStore(t.Context(), nil)
	assert.ErrorContains(t, err, "database")
	closed := newDatabase(t)
	require.NoError(t, closed.Close())
	_, err = portal.NewStore(t.Context(), closed)
	assert.Error(t, err)
	_, err = portal.NewStore(t.Context(), openDatabase(t, filepath.Join(t.TempDir(), "bridge.db"), ""))
	assert.ErrorContains(t, err, "foreign_keys(1)")
}

func TestOpenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	first := openDatabase(t, path, options)
	p := provisioning.Portal{RoomID: "!room", ChatID: -1}
	require.NoError(t, newStore(t, first).Insert(t.Context(), p, 1))
	newStore(t, first)
	second := openDatabase(t, path, options)
	assert.Equal(t, []provisioning.Portal{p}, portals(t, newStore(t, second), 1))
	assert.Equal(t, 1, rows(t, second, "tgprovision_portal_version"))
}

// Processes that start together on an empty database all succeed.
func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range errs {
		db := openDatabase(t, path, options)
		wg.Go(func() { _, errs[i] = portal.NewStore(t.Context(), db) })
	}
	wg.Wait()
	for _, err := range errs {
		assert.NoError(t, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	db := newDatabase(t)
	newStore(t, db)
	exec(t, db, `UPDATE tgprovision_portal_version SET version=99, compat=99`)
	_, err := portal.NewStore(t.Context(), db)
	require.ErrorIs(t, err, dbutil.ErrUnsupportedDatabaseVersion)
	assert.ErrorContains(t, err, "newer version of tgprovision")
}
