package provisioning

import "context"

type (
	// cachedReadsKey is the key of the context's value that CachedReads returns.
	cachedReadsKey struct{}
	// recordedAccountKey is that of RecordedAccount.
	recordedAccountKey struct{}
)

// CachedReads says whether a call of a store or a [TelegramClient] may be answered with
// what the implementation has in memory, though another process may have just changed it.
// The core allows it for calls that show a user something, in GET operations, and where
// [RecordedAccount] is true too, for no other call whose answer decides what is done.
// Implementations that keep nothing in memory need not look at it.
func CachedReads(ctx context.Context) bool {
	allowed, _ := ctx.Value(cachedReadsKey{}).(bool)
	return allowed
}

// WithCachedReads returns a context of which [CachedReads] says what is allowed, for the
// tests of implementations.
func WithCachedReads(ctx context.Context, allowed bool) context.Context {
	return context.WithValue(ctx, cachedReadsKey{}, allowed)
}

// RecordedAccount says whether [TelegramClient].Account may return the account as it was last
// seen, however long ago, without asking Telegram. The core allows it where the account is
// about to do something: Telegram says then whether the session has ended. Implementations
// that keep no account need not look at it.
func RecordedAccount(ctx context.Context) bool {
	allowed, _ := ctx.Value(recordedAccountKey{}).(bool)
	return allowed
}

// WithRecordedAccount returns a context of which [RecordedAccount] says what is allowed, for
// the tests of implementations.
func WithRecordedAccount(ctx context.Context, allowed bool) context.Context {
	return context.WithValue(ctx, recordedAccountKey{}, allowed)
}
