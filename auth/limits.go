package auth

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

// LimitStore is a [provisioning.LimitStore] on SQL: SQLite or PostgreSQL. It is safe for
// concurrent use by several goroutines; several stores, in one process or in many, can share a
// database. Its clock is that of the PostgreSQL server, or of the machine that has the SQLite
// file. There is nothing to close but the database. A [Store] has one.
type LimitStore struct{ db schema.DB }

var _ provisioning.LimitStore = (*LimitStore)(nil)

//go:embed limit_upgrades/*.sql
var limitUpgradeFiles embed.FS

// NewLimitStore opens the store, and makes or upgrades its table, tgprovision_event, in one
// transaction. Errors: those of [NewStore], permissions aside.
func NewLimitStore(ctx context.Context, db *dbutil.Database) (*LimitStore, error) {
	if db == nil {
		return nil, errors.New("the database of the limit store is nil: set the bridge's database")
	}
	db = db.Child("tgprovision_limit_version", schema.Upgrades(limitUpgradeFiles, "limit_upgrades"), nil)
	if err := schema.Upgrade(ctx, db, "limit store"); err != nil {
		return nil, err
	}
	return &LimitStore{schema.DB{Database: db}}, nil
}

// CountEvent implements [provisioning.LimitStore]. It is one transaction, which first forgets
// all events that count for no limit any more. Calls follow one another, in all processes.
func (s *LimitStore) CountEvent(ctx context.Context, key string, limits []provisioning.Limit) (wait time.Duration, err error) {
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
func (s *LimitStore) beginTurn(ctx context.Context) (now int64, err error) {
	clock := `SELECT CAST((julianday('now')-2440587.5)*86400000 AS INTEGER)`
	if s.db.Dialect == dbutil.Postgres {
		clock = `SELECT (extract(epoch FROM clock_timestamp())*1000)::BIGINT`
		if _, err := s.db.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('tgprovision_event'))`); err != nil {
			return 0, err
		}
	}
	// On SQLite this is the turn: there is one writer.
	if _, err := s.db.Exec(ctx, `DELETE FROM tgprovision_event WHERE until<=(`+clock+`)`); err != nil {
		return 0, err
	}
	err = s.db.QueryRow(ctx, clock).Scan(&now)
	return now, err
}
