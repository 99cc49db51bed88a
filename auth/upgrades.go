package auth

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
)

//go:embed upgrades/*.sql
var upgradeFiles embed.FS

// versionTable keeps the schema version of this package's tables.
const versionTable = "tgprovision_auth_version"

// openTables returns a handle for this package's tables on a shared database,
// after it has made or upgraded them.
func openTables(ctx context.Context, shared *dbutil.Database) (*dbutil.Database, error) {
	table := dbutil.BuildUpgradeTable().WithFSPath(upgradeFiles, "upgrades").Finish()
	db := shared.Child(versionTable, table, nil)
	// All in one transaction: several processes may start at once. It also means
	// that no upgrade can have a transaction mode but the default.
	err := db.DoTxn(ctx, transaction(db), func(ctx context.Context) error {
		if db.Dialect == dbutil.Postgres {
			if _, err := db.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext($1))`, versionTable); err != nil {
				return err
			}
		}
		return db.Upgrade(ctx)
	})
	if errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion) {
		return nil, fmt.Errorf("the user tables were made by a newer version of tgprovision: update it, or restore an older backup of the database: %w", err)
	} else if err != nil {
		return nil, fmt.Errorf("upgrade the user tables: %w", err)
	}
	return db, nil
}
