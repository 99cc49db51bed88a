package provisioningtest_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// portalStore is a provisioning.PortalStore on tables of the bridge's. The tasks go into the
// bundled TaskStore, in the same database and so in the same transaction.
type portalStore struct {
	*portal.TaskStore
	db *dbutil.Database
}

const portalTables = `
	CREATE TABLE IF NOT EXISTS bridge_portal (
		room TEXT PRIMARY KEY, chat BIGINT NOT NULL, receiver BIGINT NOT NULL,
		title TEXT NOT NULL, about TEXT NOT NULL, username TEXT NOT NULL, megagroup BOOLEAN NOT NULL,
		UNIQUE (chat, receiver)
	);
	CREATE TABLE IF NOT EXISTS bridge_portal_account (room TEXT NOT NULL, account BIGINT NOT NULL, PRIMARY KEY (room, account))`

const selectPortal = `SELECT room, chat, receiver, title, about, username, megagroup FROM bridge_portal `

func scanPortal(row dbutil.Scannable) (p provisioning.Portal, err error) {
	err = row.Scan(&p.RoomID, &p.ChatID, &p.Receiver, &p.Title, &p.About, &p.Username, &p.Megagroup)
	if errors.Is(err, sql.ErrNoRows) {
		err = provisioning.ErrPortalNotFound
	}
	return p, err
}

// PortalByRoom implements provisioning.PortalStore.
func (s portalStore) PortalByRoom(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
	return scanPortal(s.db.QueryRow(ctx, selectPortal+`WHERE room=$1`, roomID))
}

// PortalByChat implements provisioning.PortalStore. The account is that of a direct chat.
func (s portalStore) PortalByChat(ctx context.Context, chatID provisioning.ChatID, account provisioning.TelegramID) (provisioning.Portal, error) {
	if kind, _, _ := chatID.Split(); kind != provisioning.PeerUser {
		account = 0
	}
	return scanPortal(s.db.QueryRow(ctx, selectPortal+`WHERE chat=$1 AND receiver=$2`, chatID, account))
}

// AccountPortals implements provisioning.PortalStore.
func (s portalStore) AccountPortals(ctx context.Context, account provisioning.TelegramID) ([]provisioning.Portal, error) {
	rows, err := s.db.Query(ctx, selectPortal+`WHERE room IN (SELECT room FROM bridge_portal_account WHERE account=$1)`, account)
	return dbutil.NewRowIterWithError(rows, scanPortal, err).AsList()
}

// Connect implements provisioning.PortalStore.
func (s portalStore) Connect(ctx context.Context, n provisioning.NewPortal) error {
	return s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		if err := s.mayConnect(ctx, n); err != nil {
			return err
		}
		if n.Replaces != "" {
			if err := s.remove(ctx, n.Replaces); err != nil {
				return err
			}
		}
		return s.insert(ctx, n)
	})
}

// insert inserts a portal, the accounts that take part in it, and its tasks.
func (s portalStore) insert(ctx context.Context, n provisioning.NewPortal) error {
	if _, err := s.db.Exec(ctx, `INSERT INTO bridge_portal VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		n.RoomID, n.ChatID, n.Receiver, n.Title, n.About, n.Username, n.Megagroup); err != nil {
		return err
	}
	accounts := n.Accounts
	if n.Receiver != 0 {
		accounts = append([]provisioning.TelegramID{n.Receiver}, accounts...)
	}
	for _, account := range accounts {
		if _, err := s.db.Exec(ctx, `INSERT INTO bridge_portal_account VALUES ($1, $2) ON CONFLICT DO NOTHING`, n.RoomID, account); err != nil {
			return err
		}
	}
	return s.AddTasks(ctx, n.Tasks...)
}

// Move implements provisioning.PortalStore. The accounts are moved before the portal is:
// here nothing says that they need one.
func (s portalStore) Move(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
	return s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		if err := s.is(ctx, from); err != nil {
			return err
		}
		if _, err := s.db.Exec(ctx, `DELETE FROM bridge_portal WHERE room=$1`, from.RoomID); err != nil {
			return err
		}
		if err := s.mayConnect(ctx, to); err != nil {
			return err
		}
		if _, err := s.db.Exec(ctx, `UPDATE bridge_portal_account SET room=$1 WHERE room=$2`, to.RoomID, from.RoomID); err != nil {
			return err
		}
		return s.insert(ctx, to)
	})
}

// mayConnect returns the errors of Connect that say what is bridged.
func (s portalStore) mayConnect(ctx context.Context, n provisioning.NewPortal) error {
	_, err := s.PortalByRoom(ctx, n.RoomID)
	switch {
	case err == nil:
		return provisioning.ErrRoomBridged
	case !errors.Is(err, provisioning.ErrPortalNotFound):
		return err
	}
	old, err := s.PortalByChat(ctx, n.ChatID, n.Receiver)
	switch {
	case errors.Is(err, provisioning.ErrPortalNotFound) && n.Replaces == "":
		return nil
	case err != nil:
		return err
	case old.RoomID != n.Replaces:
		return provisioning.ErrChatBridged
	}
	return nil
}

// Disconnect implements provisioning.PortalStore.
func (s portalStore) Disconnect(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
	return s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		if err := s.is(ctx, p); err != nil {
			return err
		}
		if err := s.remove(ctx, p.RoomID); err != nil {
			return err
		}
		return s.AddTasks(ctx, tasks...)
	})
}

// is returns ErrPortalNotFound where the room is not bridged to that chat.
func (s portalStore) is(ctx context.Context, p provisioning.Portal) error {
	found, err := s.PortalByRoom(ctx, p.RoomID)
	if err == nil && (found.ChatID != p.ChatID || found.Receiver != p.Receiver) {
		err = provisioning.ErrPortalNotFound
	}
	return err
}

func (s portalStore) remove(ctx context.Context, roomID id.RoomID) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM bridge_portal WHERE room=$1`, roomID); err != nil {
		return err
	}
	_, err := s.db.Exec(ctx, `DELETE FROM bridge_portal_account WHERE room=$1`, roomID)
	return err
}

// openPortalStore opens the store as another process does.
func openPortalStore(t *testing.T, path string) portalStore {
	t.Helper()
	db := openDatabase(t, path, portalTables)
	tasks, err := portal.NewTaskStore(t.Context(), portal.TaskStoreConfig{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	return portalStore{tasks, db}
}

func portalStoreBackend(t *testing.T) func(*testing.T) provisioning.PortalStore {
	path := filepath.Join(t.TempDir(), "bridge.db")
	return func(t *testing.T) provisioning.PortalStore { return openPortalStore(t, path) }
}

func taskPortalStoreBackend(t *testing.T) func(*testing.T) provisioningtest.TaskPortalStore {
	path := filepath.Join(t.TempDir(), "bridge.db")
	return func(t *testing.T) provisioningtest.TaskPortalStore { return openPortalStore(t, path) }
}

// A bridge with a table of portals of its own writes a PortalStore over it, and a test
// function that runs two suites on it: the second one checks that the tasks are recorded
// together with the portals.
func ExampleTestPortalStore() {
	var t *testing.T // the one of: func TestPortalStore(t *testing.T)

	provisioningtest.TestPortalStore(t, portalStoreBackend)
	provisioningtest.TestTaskPortalStore(t, taskPortalStoreBackend)
}
