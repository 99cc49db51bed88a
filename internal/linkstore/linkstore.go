// Package linkstore keeps login links on SQL.
package linkstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// Store is a [provisioning.LoginLinkStore] on SQLite or PostgreSQL. It is safe for concurrent use
// by several goroutines; several stores, in one process or in many, can share a database. Its clock
// is that of the PostgreSQL server, or of the machine that has the SQLite file.
type Store struct{ db schema.DB }

var _ provisioning.LoginLinkStore = (*Store)(nil)

//go:embed upgrades/*.sql
var upgradeFiles embed.FS

// Open opens the store, and makes or upgrades its table, in one transaction.
func Open(ctx context.Context, shared *dbutil.Database) (*Store, error) {
	db, err := schema.Open(ctx, shared, "tgprovision_login_link_version", upgradeFiles, "login link store")
	if err != nil {
		return nil, err
	}
	return &Store{db}, nil
}

// PutLoginLink implements [provisioning.LoginLinkStore]. It is one transaction, which first deletes
// all that is no longer valid. Calls follow one another, in all processes.
func (s *Store) PutLoginLink(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error {
	err := s.db.DoTxn(ctx, func(ctx context.Context) error {
		if s.db.Dialect == dbutil.Postgres { // two that delete the same rows could wait for each other
			if _, err := s.db.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('tgprovision_login_link'))`); err != nil {
				return err
			}
		}
		if _, err := s.db.Exec(ctx, `DELETE FROM tgprovision_login_link WHERE until<=`+s.db.Clock()); err != nil {
			return err
		}
		_, err := s.db.Exec(ctx, `
			INSERT INTO tgprovision_login_link (user_id, hash, until) VALUES ($1, $2, `+s.db.Clock()+`+$3)
			ON CONFLICT (user_id) DO UPDATE SET hash=excluded.hash, until=excluded.until`,
			userID, link, lifetime.Milliseconds())
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a login link: %w", err)
	}
	return nil
}

// OpenLoginLink implements [provisioning.LoginLinkStore]. It is one statement.
func (s *Store) OpenLoginLink(ctx context.Context, link, session string, lifetime time.Duration) (userID id.UserID, err error) {
	err = s.db.DoTxn(ctx, func(ctx context.Context) error {
		return s.db.QueryRow(ctx, `
			UPDATE tgprovision_login_link SET hash=$1, until=`+s.db.Clock()+`+$2
			WHERE hash=$3 AND until>`+s.db.Clock()+` RETURNING user_id`,
			session, lifetime.Milliseconds(), link).Scan(&userID)
	})
	return found(userID, err, "open a login link")
}

// LoginLinkUser implements [provisioning.LoginLinkStore]. It is one read.
func (s *Store) LoginLinkUser(ctx context.Context, hash string) (userID id.UserID, err error) {
	const query = `SELECT user_id FROM tgprovision_login_link WHERE hash=$1 AND until>`
	err = s.db.QueryRow(ctx, query+s.db.Clock(), hash).Scan(&userID)
	return found(userID, err, "look for a login link")
}

// found returns the user of a link. There is none where there is no row.
func found(userID id.UserID, err error, doing string) (id.UserID, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", provisioning.ErrLoginLinkInvalid
	case err != nil:
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return userID, nil
}

// RemoveLoginLink implements [provisioning.LoginLinkStore].
func (s *Store) RemoveLoginLink(ctx context.Context, userID id.UserID) error {
	err := s.db.DoTxn(ctx, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, `DELETE FROM tgprovision_login_link WHERE user_id=$1`, userID)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove a login link: %w", err)
	}
	return nil
}
