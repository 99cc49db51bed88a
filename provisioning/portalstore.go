package provisioning

import "context"

// PortalStore knows the portals of the bridge. A host that keeps its portals
// elsewhere implements it over its own tables; package portal has one on SQL.
//
// Methods are called concurrently, by several goroutines and, where processes
// share a database, by several processes. They honour the context.
type PortalStore interface {
	// AccountPortals returns the portals that the Telegram account of the given
	// user ID takes part in, in any order. It is asked for bot accounts, which
	// have no chat list of their own on Telegram. No portals, also for an unknown
	// account, is an empty list and no error.
	AccountPortals(ctx context.Context, telegramID int64) ([]Portal, error)
}
