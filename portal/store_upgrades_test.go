package portal_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bridge.db")
	first := openDatabase(t, path, documented)
	p := provisioning.Portal{RoomID: "!room", ChatID: -1}
	connect(t, newStore(t, first), p, 1)
	newStore(t, first)
	second := openDatabase(t, path, documented)
	assert.Equal(t, []provisioning.Portal{p}, portals(t, newStore(t, second), 1))
	assert.Equal(t, 1, rows(t, second, "tgprovision_portal_version"))
}

// Processes that start together on an empty database all succeed.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bridge.db")
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range errs {
		db := openDatabase(t, path, documented)
		wg.Go(func() { _, errs[i] = portal.NewStore(t.Context(), portal.StoreConfig{DB: db}) })
	}
	wg.Wait()
	for _, err := range errs {
		assert.NoError(t, err)
	}
}

// Tables of version 1 are upgraded, with what is in them.
func TestUpgradeFrom1(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	made, err := os.ReadFile("upgrades/01-portals.sql")
	require.NoError(t, err)
	exec(t, db, string(made))
	exec(t, db, `CREATE TABLE tgprovision_portal_version (version INTEGER, compat INTEGER)`)
	exec(t, db, `INSERT INTO tgprovision_portal_version VALUES (1, 1)`)
	exec(t, db, `INSERT INTO tgprovision_portal VALUES ('!group:example.com', -1001, 0, 'Cats'), ('!direct:example.com', 7, 1, '')`)
	exec(t, db, `INSERT INTO tgprovision_portal_account VALUES ('!group:example.com', 1), ('!group:example.com', 2), ('!direct:example.com', 1)`)

	s := newStore(t, db)
	group := provisioning.Portal{RoomID: "!group:example.com", ChatID: -1001, Title: "Cats"}
	direct := provisioning.Portal{RoomID: "!direct:example.com", ChatID: 7, Receiver: 1}
	assert.Equal(t, []provisioning.Portal{direct, group}, portals(t, s, 1))
	assert.Equal(t, []provisioning.Portal{group}, portals(t, s, 2))
	p, err := s.PortalByRoom(t.Context(), group.RoomID)
	require.NoError(t, err)
	assert.Equal(t, group, p)
	p, err = s.PortalByChat(t.Context(), direct.ChatID, direct.Receiver)
	require.NoError(t, err)
	assert.Equal(t, direct, p)

	next := group
	next.RoomID, next.About, next.Username, next.Megagroup = "!next:example.com", "About", "cats", true
	require.NoError(t, s.Connect(t.Context(), provisioning.NewPortal{Portal: next, Accounts: []provisioning.TelegramID{2}, Replaces: group.RoomID}))
	require.NoError(t, s.Disconnect(t.Context(), direct, provisioning.NewTask{ID: "task"}))
	assert.Equal(t, []provisioning.Portal{next}, portals(t, newStore(t, db), 2))
	assert.Empty(t, portals(t, s, 1))
	assert.Equal(t, 1, rows(t, db, "tgprovision_portal_task"))
}

func TestUpgradeFrom2(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for _, file := range []string{"upgrades/01-portals.sql", "upgrades/02-tasks.sql"} {
		made, err := os.ReadFile(file)
		require.NoError(t, err)
		exec(t, db, string(made))
	}
	exec(t, db, `CREATE TABLE tgprovision_portal_version (version INTEGER, compat INTEGER)`)
	exec(t, db, `INSERT INTO tgprovision_portal_version VALUES (2, 2)`)
	exec(t, db, `INSERT INTO tgprovision_portal VALUES ('!group:example.com', -1001, 0, 'Cats', 'About', 'cats', true)`)
	exec(t, db, `INSERT INTO tgprovision_portal_task VALUES ('task', 'kind', 'data', 3, 1000, 0)`)

	start := time.Now()
	s := newStore(t, db)
	p, err := s.PortalByChat(t.Context(), -1001, 0)
	require.NoError(t, err)
	assert.Equal(t, provisioning.Portal{RoomID: "!group:example.com", ChatID: -1001, Title: "Cats", About: "About", Username: "cats", Megagroup: true}, p)
	var added int64 // when the upgrade ran, in whole seconds
	require.NoError(t, db.QueryRow(t.Context(), `SELECT added FROM tgprovision_portal_task`).Scan(&added))
	assert.WithinRange(t, time.UnixMilli(added), start.Truncate(time.Second), time.Now())
	tasks, err := s.TakeTasks(t.Context(), "kind", 0, 10)
	require.NoError(t, err)
	require.Len(t, tasks, 1)
	tasks[0].Age = 0
	assert.Equal(t, []provisioning.Task{{ID: "task", Kind: "kind", Data: "data", Attempts: 4}}, tasks)
	assert.Zero(t, rows(t, db, "tgprovision_ghost")+rows(t, db, "tgprovision_photo"))
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	newStore(t, db)
	exec(t, db, `UPDATE tgprovision_portal_version SET version=99, compat=99`)
	_, err := portal.NewStore(t.Context(), portal.StoreConfig{DB: db})
	require.ErrorIs(t, err, dbutil.ErrUnsupportedDatabaseVersion)
	assert.ErrorContains(t, err, "newer version of tgprovision")
}
