package portal

import (
	"context"
	"embed"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
)

//go:embed upgrades/*.sql
var upgradeFiles embed.FS

// versionTable keeps the schema version of this package's tables.
const versionTable = "tgprovision_portal_version"

// openTables returns a handle for this package's tables on a shared database,
// after it has made or upgraded them.
func openTables(ctx context.Context, shared *dbutil.Database) (schema.DB, error) {
	return schema.Open(ctx, shared, versionTable, upgradeFiles, "portal store")
}
