// Package recall marks reads that a store may answer from what it remembers. It is a
// package of its own since the core, which knows what its reads are for, knows no
// database.
package recall

import "context"

// Key is the key of the context's value that is true where a read may be answered from
// memory: as long as the change has not returned, it may show what was before. Reads
// from which something follows, such as what a task has to do, must not.
type Key struct{}

// Allow returns a context whose reads may be answered from memory.
func Allow(ctx context.Context) context.Context { return context.WithValue(ctx, Key{}, true) }

// Forbid returns a context whose reads may not be.
func Forbid(ctx context.Context) context.Context { return context.WithValue(ctx, Key{}, false) }

// Allowed says whether reads with the context may be.
func Allowed(ctx context.Context) bool {
	allowed, _ := ctx.Value(Key{}).(bool)
	return allowed
}
