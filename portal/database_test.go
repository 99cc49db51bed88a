package portal_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// Whatever is asked of stores whose database is away, the error says that it is.
func TestStoresWithoutTheirDatabase(t *testing.T) {
	db := newDatabase(t)
	s := newStore(t, db)
	tasks := newTaskStore(t, db)
	require.NoError(t, db.Close())
	p := provisioning.UserPortal{Portal: provisioning.Portal{RoomID: "!room:example.com", ChatID: -1}, Account: 1}
	for name, call := range map[string]func(ctx context.Context) error{
		"PortalByRoom": func(ctx context.Context) error { _, err := s.PortalByRoom(ctx, p.RoomID); return err },
		"cached PortalByRoom": func(ctx context.Context) error {
			_, err := s.PortalByRoom(provisioning.WithCachedReads(ctx, true), p.RoomID)
			return err
		},
		"PortalByChat":   func(ctx context.Context) error { _, err := s.PortalByChat(ctx, p.ChatID, 0); return err },
		"AccountPortals": func(ctx context.Context) error { _, err := s.AccountPortals(ctx, 1); return err },
		"Connect":        func(ctx context.Context) error { return s.Connect(ctx, provisioning.NewPortal{Portal: p.Portal}) },
		"Disconnect":     func(ctx context.Context) error { return s.Disconnect(ctx, p.Portal) },
		"Move": func(ctx context.Context) error {
			return s.Move(ctx, p.Portal, provisioning.NewPortal{Portal: p.Portal})
		},
		"UserPortals":    func(ctx context.Context) error { _, err := s.UserPortals(ctx, "@alice:example.com"); return err },
		"SetPortalUser":  func(ctx context.Context) error { return s.SetPortalUser(ctx, p, "@alice:example.com") },
		"RemoveAccount":  func(ctx context.Context) error { return s.RemoveAccount(ctx, p) },
		"AddTasks":       func(ctx context.Context) error { return s.AddTasks(ctx, provisioning.NewTask{ID: "1"}) },
		"TakeTasks":      func(ctx context.Context) error { _, err := s.TakeTasks(ctx, "kind", time.Second, 1); return err },
		"PostponeTask":   func(ctx context.Context) error { return s.PostponeTask(ctx, "1", time.Second) },
		"FinishTask":     func(ctx context.Context) error { return s.FinishTask(ctx, "1") },
		"ListTasks":      func(ctx context.Context) error { _, err := s.ListTasks(ctx, "", 1); return err },
		"CountTasks":     func(ctx context.Context) error { _, err := s.CountTasks(ctx); return err },
		"Check":          s.Check,
		"Check of tasks": tasks.Check,
	} {
		assert.ErrorIs(t, call(t.Context()), provisioning.ErrDatabase, name)
	}
}

// The rooms say whose fault it is, too, and are the homeserver's to check.
func TestRoomsWithoutTheirDatabase(t *testing.T) {
	w := newWorld(t, "11")
	require.NoError(t, w.db.Close())
	photo := func(context.Context) (provisioning.Photo, error) {
		return provisioning.Photo{}, errors.New("not asked for")
	}
	for name, call := range map[string]func(ctx context.Context) error{
		"Avatars": func(ctx context.Context) error {
			_, _, err := w.rooms.Avatars(ctx, []provisioning.Contact{{ID: 42, PhotoID: 1}})
			return err
		},
		"UpdateGhost":  func(ctx context.Context) error { return w.rooms.UpdateGhost(ctx, zaphod, photo) },
		"NeedGhosts":   func(ctx context.Context) error { return w.rooms.NeedGhosts(ctx, "@alice:example.com", 42) },
		"ForgetGhosts": func(ctx context.Context) error { _, err := w.rooms.ForgetGhosts(ctx, "@alice:example.com"); return err },
	} {
		err := call(t.Context())
		assert.ErrorIs(t, err, provisioning.ErrDatabase, name)
		assert.NotErrorIs(t, err, provisioning.ErrHomeserver, name)
	}
	require.NoError(t, w.rooms.Check(t.Context()))
}

func TestStoresCheck(t *testing.T) {
	t.Run("portals", func(t *testing.T) {
		provisioningtest.TestChecker(t, func(t *testing.T) provisioningtest.CheckerBackend {
			db := newDatabase(t)
			return provisioningtest.CheckerBackend{
				Checker: newStore(t, db), Fault: provisioning.ErrDatabase, Away: func() { require.NoError(t, db.Close()) },
			}
		})
	})
	t.Run("tasks", func(t *testing.T) {
		provisioningtest.TestChecker(t, func(t *testing.T) provisioningtest.CheckerBackend {
			db := newDatabase(t)
			return provisioningtest.CheckerBackend{
				Checker: newTaskStore(t, db), Fault: provisioning.ErrDatabase, Away: func() { require.NoError(t, db.Close()) },
			}
		})
	})
}

func TestRoomsCheck(t *testing.T) {
	provisioningtest.TestChecker(t, func(t *testing.T) provisioningtest.CheckerBackend {
		b := roomsBackend(t)
		return provisioningtest.CheckerBackend{
			Checker: b.Rooms.(provisioning.Checker), Fault: provisioning.ErrHomeserver,
			Away: func() { b.Disturb(func(context.Context) error { return errors.New("connection refused") }) },
			Back: func() { b.Disturb(nil) },
		}
	})
}

// A homeserver that does not know the appservice can't be used.
func TestRoomsCheckTheirToken(t *testing.T) {
	w := newWorld(t, "11")
	stranger := registration() // with another token
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: newAppService(t, stranger, w.hs.URL()), DB: w.db})
	require.NoError(t, err)
	err = rooms.Check(t.Context())
	require.ErrorIs(t, err, provisioning.ErrHomeserver)
	assert.NotContains(t, err.Error(), stranger.AppToken)
}

// While another process has locked the database, what is there is still read.
func TestLockedDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	db := openDatabase(t, path, options)
	s, tasks := newStore(t, db), newTaskStore(t, db)
	tx, err := openDatabase(t, path, options).RawDB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for _, check := range []func(context.Context) error{s.Check, tasks.Check} {
		require.ErrorIs(t, check(ctx), provisioning.ErrDatabase)
	}
	_, err = s.PortalByRoom(t.Context(), "!room:example.com")
	require.ErrorIs(t, err, provisioning.ErrPortalNotFound)
	require.NoError(t, tx.Rollback())
	for _, check := range []func(context.Context) error{s.Check, tasks.Check} {
		require.NoError(t, check(t.Context()))
	}
}
