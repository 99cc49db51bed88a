package telegram

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// step is how far a session has come.
type step string

const (
	stepTrying   step = "trying"   // a login that has sent no code yet, or has none: only its process goes on with it
	stepCode     step = "code"     // a code was requested
	stepPassword step = "password" // the code was right, the password is missing
	stepActive   step = "active"   // logged in
	stepHandOver step = "handover" // logged in, and only for Client.HandOver
	stepEnding   step = "ending"   // to be ended at Telegram
)

// accepted says whether Telegram has accepted the login: it is no longer half done.
func (s step) accepted() bool { return s == stepActive || s == stepHandOver }

// The conditions of rows in SQL. The indexes have the same words.
const (
	// ofUser: the row is what a user has. There is one at most.
	ofUser = `step<>'trying' AND step<>'ending'`
	// unaccepted: the row is to be ended when it is due.
	unaccepted = `step<>'active' AND step<>'handover'`
	// isEnding has the words of an index besides its own, without which SQLite reads all rows.
	isEnding = unaccepted + ` AND step='ending'`
)

// sessionKey names whose sessions are meant: a Matrix user ID, or relaybot:<bot ID>, which
// no user ID can be.
type sessionKey string

// userID returns the Matrix user of the sessions, "" for the relay bot.
func (k sessionKey) userID() id.UserID {
	if strings.HasPrefix(string(k), "@") {
		return id.UserID(k)
	}
	return ""
}

// rowID names a row of the table of sessions. It is random, and no other row ever has it.
type rowID string

func newRowID() rowID { return rowID(rand.Text()) }

// record is what the database knows of a session, without the auth key.
type record struct {
	row     rowID // "" where there is none
	step    step
	expired bool // a half-done login that is too old to go on

	login   halfDone             // at stepCode and stepPassword
	account provisioning.Account // as last seen, when accepted
}

// halfDone is a login that waits for its next step.
type halfDone struct {
	phone       string
	codeHash    string
	codeLength  int
	emailed     bool // the code went by e-mail
	requestedAt time.Time
	wrong       int // how many codes, or passwords, Telegram has refused

	// Only for showing.
	delivery     string // of the code, by the name that the core has for it
	destination  string
	nextDelivery string // "" where the code can't be sent again
	resendAt     time.Time
	passwordHint string
}

// errRowGone: a session was ended, by this process or another one, or a row has the place
// of another one that was.
var errRowGone = fmt.Errorf("%w: the session was ended meanwhile", provisioning.ErrNotLoggedIn)

// sessionStore is the SQL side of a Factory. A row is one auth key and what is done with
// it, from the moment before it is made until Telegram has confirmed its end. A user has at
// most one row of those that are neither trying nor ending. Each method is atomic. Times are
// those of the database's clock, which on SQLite is this machine's.
type sessionStore struct {
	db   schema.DB
	keys *keyring
	now  string // SQL: milliseconds since 1970
}

func newSessionStore(ctx context.Context, cfg Config) (*sessionStore, error) {
	// A handle of our own on the same pool, without a query log: dbutil logs the
	// arguments of slow queries, and ours are session keys.
	db, err := dbutil.NewWithDB(cfg.DB.RawDB, cfg.DB.Dialect.String())
	if err != nil {
		return nil, fmt.Errorf("use the database: %w", err)
	}
	s := &sessionStore{db: schema.DB{Database: db}, keys: newKeyring(cfg.SessionKeys)}
	s.now = s.db.Clock()
	db.VersionTable = "tgprovision_telegram_version"
	db.UpgradeTable = s.upgrades(cfg.LoginTimeout)
	if err := schema.Upgrade(ctx, db, "session store"); err != nil {
		return nil, err
	}
	return s, nil
}

// txn runs a transaction that writes. SQLite overwrites what it deletes.
func (s *sessionStore) txn(ctx context.Context, fn func(context.Context) error) error {
	return s.db.DoTxn(ctx, func(ctx context.Context) error {
		if err := s.overwriteDeleted(ctx); err != nil {
			return err
		}
		return fn(ctx)
	})
}

// overwriteDeleted has SQLite overwrite with zeros what the connection of a transaction
// deletes. https://sqlite.org/pragma.html#pragma_secure_delete
func (s *sessionStore) overwriteDeleted(ctx context.Context) error {
	if s.db.Dialect != dbutil.SQLite {
		return nil
	}
	_, err := s.db.Exec(ctx, `PRAGMA secure_delete=ON`)
	return err
}

// write runs one statement that writes, and says whether it has changed anything.
func (s *sessionStore) write(ctx context.Context, query string, args ...any) (changed bool, err error) {
	err = s.txn(ctx, func(ctx context.Context) error {
		changed, err = s.exec(ctx, query, args...)
		return err
	})
	return changed, err
}

// exec is write as a part of a transaction.
func (s *sessionStore) exec(ctx context.Context, query string, args ...any) (changed bool, err error) {
	result, err := s.db.Exec(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// get returns the record of a user, whose row is "" when there is none.
func (s *sessionStore) get(ctx context.Context, key sessionKey) (record, error) {
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	query := `SELECT id, step, details, ` + unaccepted + ` AND due_at<=` + s.now + `
		FROM tgprovision_session WHERE user_id=$1 AND ` + ofUser
	var r record
	var sealed []byte
	err := s.db.QueryRow(ctx, query, key).Scan(&r.row, &r.step, &sealed, &r.expired)
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, nil
	}
	if err == nil {
		err = s.openDetails(key, &r, sealed)
	}
	if err != nil {
		return record{}, fmt.Errorf("read a session record: %w", err)
	}
	return r, nil
}

// insert makes a row for a login that a process is about to try. It is due unless the
// process keeps it, see keep.
func (s *sessionStore) insert(ctx context.Context, key sessionKey) (rowID, error) {
	row := newRowID()
	query := `INSERT INTO tgprovision_session (id, user_id, step, due_at) VALUES ($1, $2, 'trying', ` + s.now + `+$3)`
	if _, err := s.write(ctx, query, row, key, tryingHold.Milliseconds()); err != nil {
		return "", fmt.Errorf("store a login: %w", err)
	}
	return row, nil
}

// put stores the record of a user in its row. Another half-done login of the user is ended,
// and this one is due after a time, unless it is accepted. Errors: errRowGone;
// provisioning.ErrAlreadyLoggedIn where another login was accepted.
func (s *sessionStore) put(ctx context.Context, key sessionKey, r record, timeout time.Duration) error {
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	details, err := s.sealDetails(key, r)
	if err != nil {
		return err
	}
	err = s.txn(ctx, func(ctx context.Context) error {
		if s.db.Dialect == dbutil.Postgres { // in turn with others of the user
			if _, err := s.exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "tgprovision_session "+string(key)); err != nil {
				return err
			}
		}
		others := `user_id=$1 AND id<>$2 AND ` + ofUser
		if err := s.endRows(ctx, others+` AND `+unaccepted, key, r.row); err != nil {
			return err
		}
		var accepted int
		if err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tgprovision_session WHERE `+others, key, r.row).Scan(&accepted); err != nil {
			return err
		}
		if accepted > 0 {
			return provisioning.ErrAlreadyLoggedIn
		}
		query := `UPDATE tgprovision_session SET step=$1, details=$2, account_id=$3, due_at=` + s.now + `+$4 WHERE id=$5 AND step<>'ending'`
		changed, err := s.exec(ctx, query, string(r.step), details, int64(r.account.ID), timeout.Milliseconds(), r.row)
		if err == nil && !changed {
			err = errRowGone
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("store a session record: %w", err)
	}
	return nil
}

// session returns gotd's session in a row, nil where there is none yet. Errors: errRowGone.
func (s *sessionStore) session(ctx context.Context, key sessionKey, row rowID) ([]byte, error) {
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	var sealed []byte
	err := s.db.QueryRow(ctx, `SELECT session FROM tgprovision_session WHERE id=$1 AND step<>'ending'`, row).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errRowGone
	}
	if err == nil && sealed != nil {
		sealed, err = s.keys.open(sealed, place(key, row, "session"))
	}
	if err != nil {
		return nil, fmt.Errorf("read a session: %w", err)
	}
	return sealed, nil
}

// putSession stores gotd's session in a row that is there and is not to be ended. Errors:
// errRowGone.
func (s *sessionStore) putSession(ctx context.Context, key sessionKey, row rowID, data []byte) error {
	const query = `UPDATE tgprovision_session SET session=$1 WHERE id=$2 AND step<>'ending'`
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	changed, err := s.write(ctx, query, s.keys.seal(data, place(key, row, "session")), row)
	if err == nil && !changed {
		err = errRowGone
	}
	if err != nil {
		return fmt.Errorf("store a session: %w", err)
	}
	return nil
}

// setAccount stores whose session it is, if it is still active.
func (s *sessionStore) setAccount(ctx context.Context, key sessionKey, row rowID, account provisioning.Account) error {
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	details, err := s.sealDetails(key, record{row: row, account: account})
	if err != nil {
		return err
	}
	const query = `UPDATE tgprovision_session SET details=$1, account_id=$2 WHERE id=$3 AND step='active'`
	if _, err := s.write(ctx, query, details, int64(account.ID), row); err != nil {
		return fmt.Errorf("store an account: %w", err)
	}
	return nil
}

// username returns the username of an account that is logged in here, "" when it has
// none or is not.
func (s *sessionStore) username(ctx context.Context, account provisioning.TelegramID) (string, error) {
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	const query = `SELECT user_id, id, details FROM tgprovision_session WHERE account_id=$1 AND step='active'`
	scan := dbutil.ConvertRowFn[record](func(row dbutil.Scannable) (r record, err error) {
		var key sessionKey
		var sealed []byte
		if err = row.Scan(&key, &r.row, &sealed); err == nil {
			err = s.openDetails(key, &r, sealed)
		}
		return r, err
	})
	rows, err := s.db.Query(ctx, query, int64(account))
	found, err := scan.NewRowIter(rows, err).AsList()
	if err != nil {
		return "", fmt.Errorf("read a username: %w", err)
	}
	for _, r := range found {
		if r.account.Username != "" {
			return r.account.Username, nil
		}
	}
	return "", nil
}

// acceptedUsers lists the Matrix users whose logins Telegram has accepted.
func (s *sessionStore) acceptedUsers(ctx context.Context) ([]id.UserID, error) {
	const query = `SELECT user_id FROM tgprovision_session WHERE step IN ('active', 'handover') AND user_id LIKE '@%' ORDER BY user_id`
	rows, err := s.db.Query(ctx, query)
	return dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.UserID], err).AsList()
}

// delete deletes a row whose session has ended at Telegram, or is somebody else's to end.
func (s *sessionStore) delete(ctx context.Context, row rowID) error {
	err := s.txn(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM tgprovision_session WHERE id=$1`, row); err != nil {
			return err
		}
		_, err := s.exec(ctx, `DELETE FROM tgprovision_peer WHERE session_id=$1`, row)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete a session: %w", err)
	}
	return nil
}
