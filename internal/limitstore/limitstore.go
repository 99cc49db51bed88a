// Package limitstore counts on SQL what is limited over time.
package limitstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// Store is a [provisioning.LimitStore] on SQLite or PostgreSQL. It is safe for concurrent use by
// several goroutines; several stores, in one process or in many, can share a database. Its clock
// is that of the PostgreSQL server, or of the machine that has the SQLite file.
type Store struct{ db schema.DB }

var _ provisioning.LimitStore = (*Store)(nil)

//go:embed upgrades/*.sql
var upgradeFiles embed.FS

// Open opens the store, and makes or upgrades its table, in one transaction.
func Open(ctx context.Context, shared *dbutil.Database) (*Store, error) {
	db, err := schema.Open(ctx, shared, "tgprovision_limit_version", upgradeFiles, "limit store")
	if err != nil {
		return nil, err
	}
	return &Store{db}, nil
}

// CountEvent implements [provisioning.LimitStore]. It is one transaction, which first forgets
// all events that count for no limit any more. Calls follow one another, in all processes.
func (s *Store) CountEvent(ctx context.Context, key string, limits []provisioning.Limit) (wait time.Duration, err error) {
	err = s.db.DoTxn(ctx, func(ctx context.Context) error {
		now, err := s.beginTurn(ctx)
		if err != nil {
			return err
		}
		until := now
		for _, limit := range limits {
			// It is this one that has to become older than the period.
			const query = `SELECT at FROM tgprovision_event WHERE key=$1 ORDER BY at DESC LIMIT 1 OFFSET $2`
			var at int64
			switch err := s.db.QueryRow(ctx, query, key, limit.Most-1).Scan(&at); {
			case err == nil:
				wait = max(wait, time.Duration(at-now)*time.Millisecond+limit.Period)
			case !errors.Is(err, sql.ErrNoRows):
				return err
			}
			until = max(until, now+limit.Period.Milliseconds())
		}
		if wait > 0 {
			return nil
		}
		_, err = s.db.Exec(ctx, `INSERT INTO tgprovision_event (key, at, until) VALUES ($1, $2, $3)`, key, now, until)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count an event: %w", err)
	}
	return wait, nil
}

// beginTurn waits for the turn, forgets old events, and returns the time, in milliseconds since
// 1970.
func (s *Store) beginTurn(ctx context.Context) (now int64, err error) {
	if s.db.Dialect == dbutil.Postgres {
		if _, err := s.db.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('tgprovision_event'))`); err != nil {
			return 0, err
		}
	}
	// On SQLite this is the turn: there is one writer.
	if _, err := s.db.Exec(ctx, `DELETE FROM tgprovision_event WHERE until<=`+s.db.Clock()); err != nil {
		return 0, err
	}
	err = s.db.QueryRow(ctx, `SELECT `+s.db.Clock()).Scan(&now)
	return now, err
}
