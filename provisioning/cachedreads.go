package provisioning

import "context"

// cachedReadsKey is the key of the context's value that CachedReads returns.
type cachedReadsKey struct{}

// CachedReads says whether a call of a store or a [TelegramClient] may be answered with
// what the implementation has in memory, though another process may have just changed it.
// The core allows it for calls that show a user something, in GET operations, and for no
// call whose answer decides what is done. Implementations that keep nothing in memory
// need not look at it.
func CachedReads(ctx context.Context) bool {
	allowed, _ := ctx.Value(cachedReadsKey{}).(bool)
	return allowed
}

// WithCachedReads returns a context of which [CachedReads] says what is allowed, for the
// tests of implementations.
func WithCachedReads(ctx context.Context, allowed bool) context.Context {
	return context.WithValue(ctx, cachedReadsKey{}, allowed)
}
