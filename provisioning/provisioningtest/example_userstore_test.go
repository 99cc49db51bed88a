package provisioningtest_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"testing"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// userStore is a provisioning.UserStore on a table of the bridge's.
type userStore struct{ db *dbutil.Database }

const userTable = `CREATE TABLE IF NOT EXISTS bridge_user (mxid TEXT PRIMARY KEY, telegram_id BIGINT NOT NULL, displaced BOOLEAN NOT NULL)`

// User implements provisioning.UserStore. All users of the bridge have one level here.
func (s userStore) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	user := provisioning.User{Permission: provisioning.PermissionFull}
	err := s.db.QueryRow(ctx, `SELECT telegram_id, displaced FROM bridge_user WHERE mxid=$1`, userID).Scan(&user.TelegramID, &user.Displaced)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return provisioning.User{}, err
	}
	return user, nil
}

// LinkAccount implements provisioning.UserStore.
func (s userStore) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) (displaced []id.UserID, err error) {
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		if _, err := s.db.Exec(ctx, `UPDATE bridge_user SET displaced=true WHERE telegram_id=$1 AND mxid<>$2`, telegramID, userID); err != nil {
			return err
		}
		if err := s.link(ctx, userID, telegramID); err != nil {
			return err
		}
		rows, err := s.db.Query(ctx, `SELECT mxid FROM bridge_user WHERE telegram_id=$1 AND displaced`, telegramID)
		displaced, err = dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.UserID], err).AsList()
		return err
	})
	return displaced, err
}

// ClaimAccount implements provisioning.UserStore.
func (s userStore) ClaimAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	return s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		var others int
		err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM bridge_user WHERE telegram_id=$1 AND mxid<>$2 AND NOT displaced`, telegramID, userID).Scan(&others)
		switch {
		case err != nil:
			return err
		case others > 0:
			return provisioning.ErrAccountLinked
		}
		return s.link(ctx, userID, telegramID)
	})
}

func (s userStore) link(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	_, err := s.db.Exec(ctx, `INSERT INTO bridge_user VALUES ($1, $2, false)
		ON CONFLICT (mxid) DO UPDATE SET telegram_id=excluded.telegram_id, displaced=false`, userID, telegramID)
	return err
}

// UnlinkAccount implements provisioning.UserStore.
func (s userStore) UnlinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	_, err := s.db.Exec(ctx, `DELETE FROM bridge_user WHERE mxid=$1 AND telegram_id=$2`, userID, telegramID)
	return err
}

// userStoreBackend makes an empty database. The function that it returns opens it, each
// time as another process does.
func userStoreBackend(t *testing.T) func(*testing.T) provisioning.UserStore {
	path := filepath.Join(t.TempDir(), "bridge.db")
	return func(t *testing.T) provisioning.UserStore {
		return userStore{openDatabase(t, path, userTable)}
	}
}

// openDatabase opens the bridge's database. With the lock at the start of a transaction
// (_txlock=immediate), what a transaction reads is true until its end. On PostgreSQL, the
// transactions above have to lock the table before they read.
func openDatabase(t *testing.T, path, table string) *dbutil.Database {
	t.Helper()
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_txlock=immediate"
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: options}).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.SetMaxOpenConns(4)
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	return db
}

// A bridge with a table of users of its own writes a UserStore over it, and a test function
// that runs the suite on it.
func ExampleTestUserStore() {
	var t *testing.T // the one of: func TestUserStore(t *testing.T)

	provisioningtest.TestUserStore(t, userStoreBackend)
}
