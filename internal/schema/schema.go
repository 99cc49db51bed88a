// Package schema makes and upgrades the SQL tables of the bundled stores, which all
// may lie in one database.
package schema

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
)

// Folder is where a store's upgrades lie, files such as 01-users.sql in dbutil's
// form.
const Folder = "upgrades"

// Upgrades reads a store's upgrades.
func Upgrades(files embed.FS) dbutil.UpgradeTable {
	sub, err := fs.Sub(files, Folder) // dbutil itself would join paths as Windows does
	if err != nil {
		panic(err) // the folder's name is valid
	}
	return dbutil.BuildUpgradeTable().WithFS(sub.(interface {
		fs.ReadFileFS
		fs.ReadDirFS
	})).Finish()
}

// Connect makes sure that the database can be reached. On SQLite it waits, for as
// long as a busy timeout usually is, where a new connection is refused because of
// another process's: connections that set the journal mode at the same moment are, at
// once, whatever the busy timeout.
func Connect(ctx context.Context, db *dbutil.Database) error {
	const (
		patience = 10 * time.Second
		pause    = 10 * time.Millisecond
	)
	deadline := time.Now().Add(patience)
	for {
		err := db.RawDB.PingContext(ctx)
		// Every driver has an error type of its own and this text, SQLite's.
		locked := err != nil && db.Dialect == dbutil.SQLite && strings.Contains(err.Error(), "database is locked")
		if !locked || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Open returns a handle on a shared database for the tables of a store, after [Upgrade]. The
// version table keeps which upgrades were made.
func Open(ctx context.Context, shared *dbutil.Database, versionTable string, upgrades embed.FS, store string) (DB, error) {
	db := DB{shared.Child(versionTable, Upgrades(upgrades), nil)}
	return db, Upgrade(ctx, db.Database, store)
}

// Upgrade makes or upgrades the tables of a store, whose name is for errors. It is
// one transaction, since several processes may start at once; no upgrade can have a
// transaction mode but the default, therefore. Tables made by newer code than this
// are an error that wraps [dbutil.ErrUnsupportedDatabaseVersion].
func Upgrade(ctx context.Context, db *dbutil.Database, store string) error {
	if err := Connect(ctx, db); err != nil {
		return fmt.Errorf("connect to the database of the %s: %w", store, err)
	}
	err := db.DoTxn(ctx, readCommitted(db), func(ctx context.Context) error {
		if db.Dialect == dbutil.Postgres {
			if _, err := db.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext($1))`, db.VersionTable); err != nil {
				return err
			}
		}
		return db.Upgrade(ctx)
	})
	switch {
	case errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion):
		return fmt.Errorf("the tables of the %s were made by a newer version of tgprovision: update it, or restore an older backup of the database: %w", store, err)
	case err != nil:
		return fmt.Errorf("upgrade the tables of the %s: %w", store, err)
	}
	return nil
}

// readCommitted returns the options of every transaction.
func readCommitted(db *dbutil.Database) *dbutil.TxnOptions {
	if db.Dialect == dbutil.Postgres {
		return &dbutil.TxnOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}
