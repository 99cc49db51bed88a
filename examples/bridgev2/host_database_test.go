//go:build cgo

package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Whatever is asked of a bridge whose database is away, the error says that it is.
func TestHostWithoutItsDatabase(t *testing.T) {
	w := newWorld(t)
	cfg := w.bridge.api.Config()
	require.NoError(t, w.bridge.api.Ready(t.Context()))
	require.NoError(t, w.bridge.DB.RawDB.Close())
	portal := provisioning.Portal{RoomID: "!room:example.com", ChatID: -1}
	for name, call := range map[string]func(ctx context.Context) error{
		"User":           func(ctx context.Context) error { _, err := cfg.Users.User(ctx, "@you:example.com"); return err },
		"PortalByRoom":   func(ctx context.Context) error { _, err := cfg.Portals.PortalByRoom(ctx, portal.RoomID); return err },
		"PortalByChat":   func(ctx context.Context) error { _, err := cfg.Portals.PortalByChat(ctx, portal.ChatID, 0); return err },
		"AccountPortals": func(ctx context.Context) error { _, err := cfg.Portals.AccountPortals(ctx, 1); return err },
		"ListPortals": func(ctx context.Context) error {
			_, err := cfg.Portals.(provisioning.PortalLister).ListPortals(ctx, provisioning.PortalQuery{Limit: 1})
			return err
		},
		"PortalsOfChats": func(ctx context.Context) error {
			_, err := cfg.Portals.(provisioning.PortalLister).PortalsOfChats(ctx, 1, []provisioning.ChatID{-1})
			return err
		},
		"Connect": func(ctx context.Context) error {
			return cfg.Portals.Connect(ctx, provisioning.NewPortal{Portal: portal})
		},
		"Disconnect": func(ctx context.Context) error { return cfg.Portals.Disconnect(ctx, portal) },
		"Move": func(ctx context.Context) error {
			return cfg.Portals.Move(ctx, portal, provisioning.NewPortal{Portal: portal})
		},
	} {
		assert.ErrorIs(t, call(t.Context()), provisioning.ErrDatabase, name)
	}
	fault, ok := errors.AsType[*provisioning.NotReadyError](w.bridge.api.Ready(t.Context()))
	require.True(t, ok)
	assert.Equal(t, []string{"portals", "tasks", "telegram", "users"}, slices.Sorted(maps.Keys(fault.Parts)))
	for name, err := range fault.Parts {
		assert.ErrorIs(t, err, provisioning.ErrDatabase, name)
	}
}

// A database that another process has locked can be read, and is not ready. The driver waits
// for the lock whatever the context says: the answer does not.
func TestHostWithALockedDatabase(t *testing.T) {
	w := newWorld(t)
	other, err := dbutil.NewWithDialect("file:"+filepath.Join(w.dir, "bridge.db")+"?_txlock=immediate", "sqlite3-fk-wal")
	require.NoError(t, err)
	defer other.Close()
	tx, err := other.RawDB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	fault, ok := errors.AsType[*provisioning.NotReadyError](w.bridge.api.Ready(t.Context()))
	require.True(t, ok)
	assert.Equal(t, []string{"tasks", "telegram"}, slices.Sorted(maps.Keys(fault.Parts)))
	require.NoError(t, tx.Rollback())
	require.NoError(t, w.bridge.api.Ready(t.Context()))
}

// Telegram is the connector's to check, and the homeserver is asked.
func TestHostWithoutTelegram(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.telegram.Close())
	require.NoError(t, w.homeserver.Close())
	fault, ok := errors.AsType[*provisioning.NotReadyError](w.bridge.api.Ready(t.Context()))
	require.True(t, ok)
	assert.ErrorIs(t, fault.Parts["telegram"], provisioning.ErrTelegramUnavailable)
	assert.ErrorIs(t, fault.Parts["rooms"], provisioning.ErrHomeserver)
	assert.Len(t, fault.Parts, 2)
	http.DefaultClient.CloseIdleConnections()
}
