package auth_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// Whatever is asked of a store whose database is away, the error says that it is.
func TestStoreWithoutItsDatabase(t *testing.T) {
	db := newDatabase(t)
	s := newStore(t, db, auth.StoreConfig{})
	require.NoError(t, db.Close())
	for name, call := range map[string]func(ctx context.Context) error{
		"User": func(ctx context.Context) error { _, err := s.User(ctx, alice); return err },
		"cached User": func(ctx context.Context) error {
			_, err := s.User(provisioning.WithCachedReads(ctx, true), alice)
			return err
		},
		"LinkAccount":   func(ctx context.Context) error { _, err := s.LinkAccount(ctx, alice, 1); return err },
		"ClaimAccount":  func(ctx context.Context) error { return s.ClaimAccount(ctx, alice, 1) },
		"UnlinkAccount": func(ctx context.Context) error { return s.UnlinkAccount(ctx, alice, 1) },
		"AccountUser":   func(ctx context.Context) error { _, err := s.AccountUser(ctx, 1); return err },
		"CountEvent": func(ctx context.Context) error {
			_, err := s.CountEvent(ctx, "a", []provisioning.Limit{{Most: 1, Period: time.Hour}})
			return err
		},
		"PutLoginLink": func(ctx context.Context) error { return s.PutLoginLink(ctx, alice, "link", time.Hour) },
		"OpenLoginLink": func(ctx context.Context) error {
			_, err := s.OpenLoginLink(ctx, "link", "session", time.Hour)
			return err
		},
		"LoginLinkUser":   func(ctx context.Context) error { _, err := s.LoginLinkUser(ctx, "link"); return err },
		"RemoveLoginLink": func(ctx context.Context) error { return s.RemoveLoginLink(ctx, alice) },
		"Check":           s.Check,
	} {
		assert.ErrorIs(t, call(t.Context()), provisioning.ErrDatabase, name)
	}
}

func TestStoreChecks(t *testing.T) {
	provisioningtest.TestChecker(t, func(t *testing.T) provisioningtest.CheckerBackend {
		db := newDatabase(t)
		return provisioningtest.CheckerBackend{
			Checker: newStore(t, db, auth.StoreConfig{}), Fault: provisioning.ErrDatabase,
			Away: func() { require.NoError(t, db.Close()) },
		}
	})
}

// While another process has locked the database, what is there is still read.
func TestLockedDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	s := newStore(t, openDatabase(t, path, options), auth.StoreConfig{})
	tx, err := openDatabase(t, path, options).RawDB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.ClaimAccount(ctx, alice, 1), provisioning.ErrDatabase)
	require.ErrorIs(t, s.Check(ctx), provisioning.ErrDatabase)
	_, err = s.User(t.Context(), alice)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	require.NoError(t, s.Check(t.Context()))
}
