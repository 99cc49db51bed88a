package provisioning

import (
	"context"
	"sync/atomic"
)

// databaseWaitsKey is the key of the context's value that WaitsForDatabase counts in.
type databaseWaitsKey struct{}

// WaitsForDatabase says, until done is called, that a call of a store or a [TelegramClient]
// waits for a database. A request whose deadline comes meanwhile is then answered as for
// [ErrDatabase], though the database does not look at the context, or what has happened is
// recorded beyond the deadline. Implementations need not call it, and may call it more than
// once at a time.
func WaitsForDatabase(ctx context.Context) (done func()) {
	waits, counts := ctx.Value(databaseWaitsKey{}).(*atomic.Int64)
	if !counts {
		return func() {}
	}
	waits.Add(1)
	return func() { waits.Add(-1) }
}

// answeredInTime says whether the request of a context is answered at its deadline though its
// operation goes on: it has the value of withDatabaseWaits.
func answeredInTime(ctx context.Context) bool { return ctx.Value(databaseWaitsKey{}) != nil }

// withDatabaseWaits returns a context in which WaitsForDatabase counts.
func withDatabaseWaits(ctx context.Context) (context.Context, *atomic.Int64) {
	waits := new(atomic.Int64)
	return context.WithValue(ctx, databaseWaitsKey{}, waits), waits
}
