package telegram

import (
	"context"
	"embed"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

//go:embed upgrades/*.sql
var upgradeFiles embed.FS

// upgrades returns all upgrades of the tables. The last ones are not in files, since SQL
// can't encrypt. loginTimeout is for half-done logins of versions that have not stored
// when they end.
func (s *sessionStore) upgrades(loginTimeout time.Duration) dbutil.UpgradeTable {
	return append(schema.Upgrades(upgradeFiles), dbutil.WrapUpgrade(4, 5, 5, "A row for each auth key, which can be encrypted", dbutil.TxnModeOn,
		func(ctx context.Context, _ *dbutil.Database) error { return s.upgradeToRows(ctx, loginTimeout) }))
}

// tablesOfRows are the tables of version 5.
var tablesOfRows = []string{
	`ALTER TABLE tgprovision_session RENAME TO tgprovision_session_v4`,
	`ALTER TABLE tgprovision_peer RENAME TO tgprovision_peer_v4`,
	`CREATE TABLE tgprovision_session (
		-- Random. A client writes only to the row that it was made from.
		id         TEXT    PRIMARY KEY,
		-- A Matrix user ID, or relaybot:<bot ID>.
		user_id    TEXT    NOT NULL,
		-- 'trying', 'code', 'password', 'active', 'handover' or 'ending'.
		step       TEXT    NOT NULL,
		-- gotd's session, with the auth key, and JSON with the rest, each as keyring.seal
		-- makes it. The session is NULL until the auth key is made.
		session    BYTEA,
		details    BYTEA,
		-- The Telegram account of a session that is logged in, 0 where it is not known.
		account_id BIGINT  NOT NULL DEFAULT 0,
		-- Times are milliseconds since 1970 by the database's clock.
		-- When a half-done login is to be ended, or the end of a session to be tried again.
		due_at     BIGINT  NOT NULL,
		-- Of an ending session: since when, how often that was tried, and from when on
		-- Telegram's word that nobody is logged in is the last.
		ending_at  BIGINT  NOT NULL DEFAULT 0,
		attempts   INTEGER NOT NULL DEFAULT 0,
		final_at   BIGINT  NOT NULL DEFAULT 0
	)`,
	`CREATE UNIQUE INDEX tgprovision_session_user ON tgprovision_session (user_id) WHERE ` + ofUser,
	`CREATE INDEX tgprovision_session_due ON tgprovision_session (due_at) WHERE ` + unaccepted,
	`CREATE INDEX tgprovision_session_account ON tgprovision_session (account_id) WHERE step='active'`,
	// See sessionStore.headers.
	`CREATE INDEX tgprovision_session_key ON tgprovision_session (` + header("session") + `)`,
	`CREATE INDEX tgprovision_session_details_key ON tgprovision_session (` + header("details") + `)`,
	`CREATE TABLE tgprovision_peer (
		-- The row of the session, and with it the account, that the hash belongs to.
		session_id  TEXT   NOT NULL,
		-- 'user' or 'channel'.
		kind        TEXT   NOT NULL,
		peer_id     BIGINT NOT NULL,
		access_hash BIGINT NOT NULL,

		PRIMARY KEY (session_id, kind, peer_id)
	)`,
}

// upgradeToRows takes the sessions of version 4 over.
func (s *sessionStore) upgradeToRows(ctx context.Context, loginTimeout time.Duration) error {
	if err := s.overwriteDeleted(ctx); err != nil {
		return err
	}
	for _, statement := range tablesOfRows {
		if _, err := s.db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	for after := sessionKey(""); ; {
		sessions, err := s.sessionsOfV4(ctx, after)
		if err != nil {
			return err
		}
		for _, old := range sessions {
			if err := s.takeOver(ctx, old, loginTimeout); err != nil {
				return err
			}
			after = old.key
		}
		if len(sessions) == 0 {
			break
		}
	}
	for _, statement := range []string{
		`INSERT INTO tgprovision_peer SELECT s.id, p.kind, p.peer_id, p.access_hash
			FROM tgprovision_peer_v4 p JOIN tgprovision_session s ON s.user_id=p.user_id WHERE ` + ofUser,
		`DROP TABLE tgprovision_peer_v4`,
		`DROP TABLE tgprovision_session_v4`,
	} {
		if _, err := s.db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// sessionOfV4 is a row of the table of version 4.
type sessionOfV4 struct {
	key  sessionKey
	data []byte
	record
}

// sessionsOfV4 returns some of the rows whose keys come after one.
func (s *sessionStore) sessionsOfV4(ctx context.Context, after sessionKey) ([]sessionOfV4, error) {
	const query = `SELECT user_id, data, step, phone, code_hash, code_length, emailed, requested_at, delivery, destination,
			next_delivery, resend_at, password_hint, account_id, username, bot
		FROM tgprovision_session_v4 WHERE user_id>$1 ORDER BY user_id LIMIT 500`
	rows, err := s.db.Query(ctx, query, after)
	return dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (old sessionOfV4, err error) {
		var requestedAt, resendAt, accountID int64
		l, a := &old.login, &old.account
		err = row.Scan(&old.key, &old.data, &old.step, &l.phone, &l.codeHash, &l.codeLength, &l.emailed, &requestedAt, &l.delivery, &l.destination,
			&l.nextDelivery, &resendAt, &l.passwordHint, &accountID, &a.Username, &a.IsBot)
		l.requestedAt, l.resendAt, a.ID = time.UnixMilli(requestedAt), time.UnixMilli(resendAt), provisioning.TelegramID(accountID)
		return old, err
	}, err).AsList()
}

// takeOver makes a row of one of version 4. A session with no step but an auth key is one
// that a process left behind in the middle of a login.
func (s *sessionStore) takeOver(ctx context.Context, old sessionOfV4, loginTimeout time.Duration) error {
	if old.data == nil {
		return nil
	}
	old.row = newRowID()
	var due time.Duration
	switch old.step {
	case stepActive, stepHandOver:
		old.login = halfDone{}
	case stepCode, stepPassword:
		due, old.account = time.Until(old.login.requestedAt.Add(loginTimeout)), provisioning.Account{}
	default:
		old.step, old.login, old.account = stepTrying, halfDone{}, provisioning.Account{}
	}
	details, err := s.sealDetails(old.key, old.record)
	if err != nil {
		return err
	}
	query := `INSERT INTO tgprovision_session (id, user_id, step, session, details, account_id, due_at) VALUES ($1, $2, $3, $4, $5, $6, ` + s.now + `+$7)`
	_, err = s.db.Exec(ctx, query, old.row, old.key, string(old.step), s.keys.seal(old.data, place(old.key, old.row, "session")), details,
		int64(old.account.ID), due.Milliseconds())
	return err
}
