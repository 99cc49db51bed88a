package telegram

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
)

const (
	// tryingHold is how long a login of stepTrying is left alone without a word from its
	// process.
	tryingHold = time.Minute
	// endHold is how long a try to end a session has it to itself.
	endHold = time.Minute
	// endGrace is how long after the end of a login Telegram may still accept it: an answer
	// under way to a process that has stopped, or a QR code that somebody has seen. Until
	// then it is not the last word that nobody is logged in.
	endGrace = time.Minute
)

// ending is a session that is to be ended at Telegram.
type ending struct {
	row     rowID
	key     sessionKey
	session []byte // gotd's
	unread  error  // why session can't be read
	// attempts counts how often it was taken.
	attempts int
	early    bool          // endGrace is not over
	age      time.Duration // since its end was promised
}

// endRows is a part of a transaction in which rows are ended: no client may use them any
// more, and takeEnding returns them. Those that have no auth key yet are deleted.
func (s *sessionStore) endRows(ctx context.Context, where string, args ...any) error {
	for _, statement := range []string{
		`DELETE FROM tgprovision_peer WHERE session_id IN (SELECT id FROM tgprovision_session WHERE ` + where + `)`,
		`DELETE FROM tgprovision_session WHERE session IS NULL AND ` + where,
		`UPDATE tgprovision_session SET step='ending', details=NULL, account_id=0, ending_at=` + s.now + `, due_at=` + s.now + `,
			final_at=` + s.now + `+CASE WHEN ` + unaccepted + fmt.Sprintf(` THEN %d ELSE 0 END WHERE `, endGrace.Milliseconds()) + where,
	} {
		if _, err := s.exec(ctx, statement, args...); err != nil {
			return err
		}
	}
	return nil
}

// end ends a row, unless that was done before. Nobody else tries to end the session at
// Telegram for a time.
func (s *sessionStore) end(ctx context.Context, row rowID, hold time.Duration) error {
	err := s.txn(ctx, func(ctx context.Context) error {
		if err := s.endRows(ctx, `id=$1 AND step<>'ending'`, row); err != nil {
			return err
		}
		_, err := s.exec(ctx, `UPDATE tgprovision_session SET due_at=`+s.now+`+$1 WHERE id=$2`, hold.Milliseconds(), row)
		return err
	})
	if err != nil {
		return fmt.Errorf("promise the end of a session: %w", err)
	}
	return nil
}

// endLost promises the end of a session that has no row. Nobody else tries it for a time.
func (s *sessionStore) endLost(ctx context.Context, key sessionKey, row rowID, data []byte, hold time.Duration) error {
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	query := `INSERT INTO tgprovision_session (id, user_id, session, step, due_at, ending_at, final_at)
		VALUES ($1, $2, $3, 'ending', ` + s.now + `+$4, ` + s.now + `, ` + s.now + `) ON CONFLICT (id) DO NOTHING`
	if _, err := s.write(ctx, query, row, key, s.keys.seal(data, place(key, row, "session")), hold.Milliseconds()); err != nil {
		return fmt.Errorf("promise the end of a session: %w", err)
	}
	return nil
}

// takeEnding takes at most limit of the sessions to be ended that are due, for endHold. Half-done
// logins that are due are among them from now on. Of two racing calls no session goes to both.
func (s *sessionStore) takeEnding(ctx context.Context, limit int) (taken []ending, err error) {
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	locked := ``
	if s.db.Dialect == dbutil.Postgres {
		locked = ` FOR UPDATE SKIP LOCKED`
	}
	query := `WITH due AS MATERIALIZED (
			SELECT id FROM tgprovision_session WHERE ` + isEnding + ` AND due_at<=` + s.now + ` ORDER BY due_at LIMIT $1` + locked + `
		) UPDATE tgprovision_session SET due_at=` + s.now + `+$2, attempts=attempts+1 WHERE id IN (SELECT id FROM due)
		RETURNING id, user_id, session, attempts, ` + s.now + `<final_at, ` + s.now + `-ending_at`
	err = s.txn(ctx, func(ctx context.Context) error {
		if err := s.endRows(ctx, unaccepted+` AND step<>'ending' AND due_at<=`+s.now); err != nil {
			return err
		}
		rows, err := s.db.Query(ctx, query, limit, endHold.Milliseconds())
		taken, err = dbutil.ConvertRowFn[ending](s.scanEnding).NewRowIter(rows, err).AsList()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for sessions to end: %w", err)
	}
	return taken, nil
}

func (s *sessionStore) scanEnding(row dbutil.Scannable) (e ending, err error) {
	var sealed []byte
	var age int64
	if err := row.Scan(&e.row, &e.key, &sealed, &e.attempts, &e.early, &age); err != nil {
		return e, err
	}
	e.age = time.Duration(age) * time.Millisecond
	e.session, e.unread = s.keys.open(sealed, place(e.key, e.row, "session"))
	return e, nil
}

// postponeEnd has a session to be ended taken after a pause at the earliest.
func (s *sessionStore) postponeEnd(ctx context.Context, row rowID, pause time.Duration) error {
	query := `UPDATE tgprovision_session SET due_at=` + s.now + `+$1 WHERE id=$2 AND step='ending'`
	if _, err := s.write(ctx, query, pause.Milliseconds(), row); err != nil {
		return fmt.Errorf("postpone the end of a session: %w", err)
	}
	return nil
}

// countEnding counts the sessions to be ended.
func (s *sessionStore) countEnding(ctx context.Context) (n int, err error) {
	if err = s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tgprovision_session WHERE `+isEnding).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the sessions to end: %w", err)
	}
	return n, nil
}

// keep has the logins of stepTrying among rows left alone for tryingHold from now.
func (s *sessionStore) keep(ctx context.Context, rows []rowID) error {
	if len(rows) == 0 {
		return nil
	}
	query := `UPDATE tgprovision_session SET due_at=` + s.now + fmt.Sprintf(`+%d`, tryingHold.Milliseconds()) +
		` WHERE step='trying' AND id IN (` + s.db.Texts("$1") + `)`
	_, err := s.write(ctx, query, schema.Array(rows))
	return err
}

// alive returns those of rows that are there and not to be ended.
func (s *sessionStore) alive(ctx context.Context, rows []rowID) (map[rowID]bool, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	found, err := s.db.Query(ctx, `SELECT id FROM tgprovision_session WHERE step<>'ending' AND id IN (`+s.db.Texts("$1")+`)`, schema.Array(rows))
	ids, err := dbutil.NewRowIterWithError(found, dbutil.ScanSingleColumn[rowID], err).AsList()
	alive := make(map[rowID]bool, len(ids))
	for _, id := range ids {
		alive[id] = true
	}
	return alive, err
}
