package telegram

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// ErrSessionKey says that stored sessions are encrypted with a key that is not among
// [Config.SessionKeys].
var ErrSessionKey = errors.New("stored sessions are encrypted with another session key")

// SetSessionKeys replaces the keys of [Config.SessionKeys] while the Factory runs: the first
// encrypts what is written from now on, all of them decrypt. Keys are rotated in four
// steps, each in every process before the next: the new key is added as the last one; it
// is made the first one; one process calls Reencrypt; the old key goes. A single process
// needs only SetSessionKeys(new, old), Reencrypt and SetSessionKeys(new).
//
// Errors: ErrSessionKey where there are sessions that none of the keys decrypts, and the
// old keys stay; those of the database.
func (f *Factory) SetSessionKeys(ctx context.Context, keys ...SessionKey) error {
	f.store.keys.using.Lock()
	defer f.store.keys.using.Unlock()
	if err := f.store.checkKeys(ctx, newKeyring(keys)); err != nil {
		return err
	}
	f.store.keys.set(keys)
	return nil
}

// Reencrypt encrypts all that is stored with the first session key, row by row, and returns
// how many rows it has changed. Everything goes on meanwhile. After an error it can be called
// again. Errors: ErrSessionKey, those of the database and the context.
func (f *Factory) Reencrypt(ctx context.Context) (changed int, err error) {
	return f.store.reencrypt(ctx, func(stored []byte) bool { return !f.store.keys.current(stored) })
}

// DroppedSession is a session that [DropUnreadableSessions] has deleted.
type DroppedSession struct {
	// UserID is the Matrix user's, "" for the relay bot.
	UserID id.UserID
	// Account is the Telegram account that was logged in, 0 for a half-done login and a
	// session whose end was promised.
	Account provisioning.TelegramID
}

// DropUnreadableSessions deletes the sessions that none of cfg.SessionKeys decrypts, for a
// host whose key is lost, and returns whose they were. Their users have to log in again.
// Nobody can end these sessions at Telegram any more but their owners, in the list of
// devices of a Telegram app. It needs cfg.DB and cfg.SessionKeys only, and must be called
// before NewFactory. Errors: those of the database and the context.
func DropUnreadableSessions(ctx context.Context, cfg Config) ([]DroppedSession, error) {
	if cfg.DB == nil {
		return nil, errors.New("Config.DB is nil: set the database of the sessions")
	}
	store, err := newSessionStore(ctx, cfg.withDefaults())
	if err != nil {
		return nil, err
	}
	var dropped []DroppedSession
	err = store.eachRow(ctx, func(r storedRow) error {
		if store.keys.opens(r.session) && store.keys.opens(r.details) {
			return nil
		}
		dropped = append(dropped, DroppedSession{r.key.userID(), r.account})
		return store.delete(ctx, r.row)
	})
	return dropped, err
}

// isClear says whether a stored value is not sealed.
func isClear(stored []byte) bool { return len(stored) > 0 && stored[0] == formClear }

// opens says whether a stored value is clear, or sealed with a key that is there.
func (r *keyring) opens(stored []byte) bool {
	if len(stored) < sealedHeader || stored[0] != formSealed {
		return true
	}
	_, ok := r.find(keyID(stored[1:]))
	return ok
}

// storedRow is a row as it is stored.
type storedRow struct {
	row              rowID
	key              sessionKey
	account          provisioning.TelegramID
	session, details []byte
}

// eachRow runs a function for every row that is there from the beginning to the end.
func (s *sessionStore) eachRow(ctx context.Context, run func(storedRow) error) error {
	const query = `SELECT id, user_id, account_id, session, details FROM tgprovision_session WHERE id>$1 ORDER BY id LIMIT 500`
	for after := rowID(""); ; {
		found, err := s.db.Query(ctx, query, after)
		rows, err := dbutil.NewRowIterWithError(found, func(row dbutil.Scannable) (r storedRow, err error) {
			var account int64
			err = row.Scan(&r.row, &r.key, &account, &r.session, &r.details)
			r.account = provisioning.TelegramID(account)
			return r, err
		}, err).AsList()
		if err != nil {
			return fmt.Errorf("read the sessions: %w", err)
		}
		for _, r := range rows {
			if err := run(r); err != nil {
				return err
			}
			after = r.row
		}
		if len(rows) == 0 {
			return nil
		}
	}
}

// header is SQL for how the values of a column begin: what names their form and their key.
func header(column string) string { return fmt.Sprintf(`substr(%s, 1, %d)`, column, sealedHeader) }

// headers returns how the stored values begin, each header once. Indexes have them: how many
// rows there are makes no difference.
func (s *sessionStore) headers(ctx context.Context) (all [][]byte, err error) {
	for _, column := range []string{"session", "details"} {
		first := `(SELECT ` + header(column) + ` FROM tgprovision_session WHERE ` + header(column) + `%s ORDER BY ` + header(column) + ` LIMIT 1)`
		rows, err := s.db.Query(ctx, `WITH RECURSIVE found(header) AS (SELECT `+fmt.Sprintf(first, ` IS NOT NULL`)+`
			UNION ALL SELECT `+fmt.Sprintf(first, `>found.header`)+` FROM found WHERE found.header IS NOT NULL
			) SELECT header FROM found WHERE header IS NOT NULL`)
		found, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[[]byte], err).AsList()
		if err != nil {
			return nil, fmt.Errorf("look for session keys in use: %w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// checkKeys returns ErrSessionKey, with what helps, where there are values that none of
// the keys opens.
func (s *sessionStore) checkKeys(ctx context.Context, keys *keyring) error {
	headers, err := s.headers(ctx)
	if err != nil {
		return err
	}
	missing := map[keyID]string{}
	for _, h := range headers {
		if keys.opens(h) {
			continue
		}
		var n int
		query := `SELECT COUNT(*) FROM tgprovision_session WHERE ` + header("session") + `=$1 OR ` + header("details") + `=$1`
		if err := s.db.QueryRow(ctx, query, h).Scan(&n); err != nil {
			return fmt.Errorf("count the sessions of a key: %w", err)
		}
		id := keyID(h[1:])
		missing[id] = fmt.Sprintf("key %x (%d sessions)", id, n)
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s. Give the Factory the right key, or, if it is lost, have DropUnreadableSessions delete them",
		ErrSessionKey, strings.Join(slices.Sorted(maps.Values(missing)), ", "))
}

// reencrypt seals anew the values of all rows that have one of which outdated is true.
func (s *sessionStore) reencrypt(ctx context.Context, outdated func(stored []byte) bool) (changed int, err error) {
	headers, err := s.headers(ctx)
	if err != nil || !slices.ContainsFunc(headers, outdated) {
		return 0, err
	}
	err = s.eachRow(ctx, func(r storedRow) error {
		if (r.session == nil || !outdated(r.session)) && (r.details == nil || !outdated(r.details)) {
			return nil
		}
		changed++
		return s.reencryptRow(ctx, r)
	})
	return changed, err
}

// reencryptRow seals the values of a row anew, as they are when it has locked the row.
func (s *sessionStore) reencryptRow(ctx context.Context, r storedRow) error {
	s.keys.using.RLock()
	defer s.keys.using.RUnlock()
	err := s.txn(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `UPDATE tgprovision_session SET id=id WHERE id=$1`, r.row); err != nil { // locks it
			return err
		}
		err := s.db.QueryRow(ctx, `SELECT session, details FROM tgprovision_session WHERE id=$1`, r.row).Scan(&r.session, &r.details)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.session, err = s.resealed(r.session, place(r.key, r.row, "session")); err != nil {
			return err
		}
		if r.details, err = s.resealed(r.details, place(r.key, r.row, "details")); err != nil {
			return err
		}
		_, err = s.exec(ctx, `UPDATE tgprovision_session SET session=$1, details=$2 WHERE id=$3`, r.session, r.details, r.row)
		return err
	})
	switch {
	case errors.Is(err, errUnknownKey):
		return fmt.Errorf("encrypt a session anew: %w", ErrSessionKey)
	case err != nil:
		return fmt.Errorf("encrypt a session anew: %w", err)
	}
	return nil
}

// resealed seals a stored value anew; nil stays nil.
func (s *sessionStore) resealed(stored []byte, place string) ([]byte, error) {
	if stored == nil {
		return nil, nil
	}
	value, err := s.keys.openAny(stored, place)
	if err != nil {
		return nil, err
	}
	return s.keys.seal(value, place), nil
}
