package telegram

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/schema"
)

//go:embed upgrades/*.sql
var upgradeFiles embed.FS

// step is how far the login of a session has come.
type step string

const (
	stepConnected step = ""         // there is an auth key and nothing else
	stepCode      step = "code"     // a code was requested
	stepPassword  step = "password" // the code was right, the password is missing
	stepActive    step = "active"   // logged in
	stepHandOver  step = "handover" // logged in, and only for Client.HandOver
)

// accepted says whether Telegram has accepted the login: it is no longer half done.
func (s step) accepted() bool { return s == stepActive || s == stepHandOver }

// sessionKey names a session: a Matrix user ID, or relaybot:<bot ID>, which no
// user ID can be.
type sessionKey string

// userID returns the Matrix user of the session, "" for the relay bot.
func (k sessionKey) userID() id.UserID {
	if strings.HasPrefix(string(k), "@") {
		return id.UserID(k)
	}
	return ""
}

// record is what the database knows of a user's session, without the session
// itself.
type record struct {
	step        step
	phone       string
	codeHash    string
	codeLength  int
	emailed     bool // the code went by e-mail
	requestedAt time.Time

	// Only for showing.
	delivery     string // of the code, by the name that the core has for it
	destination  string
	nextDelivery string // "" where the code can't be sent again
	resendAt     time.Time
	passwordHint string

	identity identity // of an active session
}

// sessionStore is the SQL side of a Factory. Each user has at most one row in the
// table of sessions; each method that is about one is atomic.
type sessionStore struct{ db *dbutil.Database }

func newSessionStore(ctx context.Context, shared *dbutil.Database) (*sessionStore, error) {
	// A handle of our own on the same pool, without a query log: dbutil logs the
	// arguments of slow queries, and ours are session keys.
	db, err := dbutil.NewWithDB(shared.RawDB, shared.Dialect.String())
	if err != nil {
		return nil, fmt.Errorf("use the database: %w", err)
	}
	db.VersionTable = "tgprovision_telegram_version"
	db.UpgradeTable = schema.Upgrades(upgradeFiles)
	if err := schema.Upgrade(ctx, db, "session store"); err != nil {
		return nil, err
	}
	return &sessionStore{db}, nil
}

// get returns the record of a user, and false when there is none.
func (s *sessionStore) get(ctx context.Context, key sessionKey) (record, bool, error) {
	const query = `
		SELECT step, phone, code_hash, code_length, emailed, requested_at,
			delivery, destination, next_delivery, resend_at, password_hint, account_id, username, bot
		FROM tgprovision_session WHERE user_id=$1`
	var r record
	var requestedAt, resendAt int64
	err := s.db.QueryRow(ctx, query, key).Scan(&r.step, &r.phone, &r.codeHash, &r.codeLength, &r.emailed, &requestedAt,
		&r.delivery, &r.destination, &r.nextDelivery, &resendAt, &r.passwordHint, &r.identity.id, &r.identity.username, &r.identity.bot)
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, false, nil
	} else if err != nil {
		return record{}, false, fmt.Errorf("read a session record: %w", err)
	}
	r.requestedAt, r.resendAt = time.UnixMilli(requestedAt), time.UnixMilli(resendAt)
	return r, true, nil
}

// put stores the record of a user, and leaves the session itself alone.
func (s *sessionStore) put(ctx context.Context, key sessionKey, r record) error {
	const query = `
		INSERT INTO tgprovision_session
			(user_id, step, phone, code_hash, code_length, emailed, requested_at,
				delivery, destination, next_delivery, resend_at, password_hint, account_id, username, bot)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (user_id) DO UPDATE SET step=excluded.step, phone=excluded.phone, code_hash=excluded.code_hash,
			code_length=excluded.code_length, emailed=excluded.emailed, requested_at=excluded.requested_at,
			delivery=excluded.delivery, destination=excluded.destination, next_delivery=excluded.next_delivery,
			resend_at=excluded.resend_at, password_hint=excluded.password_hint,
			account_id=excluded.account_id, username=excluded.username, bot=excluded.bot`
	_, err := s.db.Exec(ctx, query, key, string(r.step), r.phone, r.codeHash, r.codeLength, r.emailed,
		r.requestedAt.UnixMilli(), r.delivery, r.destination, r.nextDelivery, r.resendAt.UnixMilli(), r.passwordHint, r.identity.id, r.identity.username, r.identity.bot)
	if err != nil {
		return fmt.Errorf("store a session record: %w", err)
	}
	return nil
}

// replace stores the record and the session of a user in place of whatever there is.
func (s *sessionStore) replace(ctx context.Context, key sessionKey, r record, data []byte) error {
	return s.db.DoTxn(ctx, schema.ReadCommitted(s.db), func(ctx context.Context) error {
		if err := s.put(ctx, key, r); err != nil {
			return err
		}
		return s.putSession(ctx, key, data)
	})
}

// session returns gotd's session of a user, nil when there is none.
func (s *sessionStore) session(ctx context.Context, key sessionKey) ([]byte, error) {
	var data []byte
	err := s.db.QueryRow(ctx, `SELECT data FROM tgprovision_session WHERE user_id=$1`, key).Scan(&data)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read a session: %w", err)
	}
	return data, nil
}

// putSession stores gotd's session of a user, and leaves the record alone.
func (s *sessionStore) putSession(ctx context.Context, key sessionKey, data []byte) error {
	const query = `
		INSERT INTO tgprovision_session (user_id, data, requested_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_id) DO UPDATE SET data=excluded.data`
	if _, err := s.db.Exec(ctx, query, key, data, time.Now().UnixMilli()); err != nil {
		return fmt.Errorf("store a session: %w", err)
	}
	return nil
}

// deleteLogins deletes the logins that were begun before a moment and never finished.
func (s *sessionStore) deleteLogins(ctx context.Context, before time.Time) error {
	const query = `DELETE FROM tgprovision_session WHERE step<>'active' AND step<>'handover' AND requested_at<$1`
	if _, err := s.db.Exec(ctx, query, before.UnixMilli()); err != nil {
		return fmt.Errorf("delete old logins: %w", err)
	}
	return nil
}

// acceptedUsers lists the Matrix users whose logins Telegram has accepted.
func (s *sessionStore) acceptedUsers(ctx context.Context) ([]id.UserID, error) {
	const query = `SELECT user_id FROM tgprovision_session WHERE step IN ('active', 'handover') AND user_id LIKE '@%' ORDER BY user_id`
	rows, err := s.db.Query(ctx, query)
	return dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.UserID], err).AsList()
}
