package provisioning

import (
	"context"
	"time"
)

// recordTimeout is how long may be taken to record what has happened on Telegram already.
const recordTimeout = 5 * time.Second

// recording returns a context for recording what has happened on Telegram already, which goes
// on when the API client hangs up, for recordTimeout. Where a request waits for it, it ends
// with the request's deadline: the user's next request finds what was not recorded.
func recording(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := recordTimeout
	if deadline, ok := ctx.Deadline(); ok && !answeredInTime(ctx) {
		limit = min(limit, time.Until(deadline))
	}
	return detachedFor(ctx, limit)
}

// detachedFor returns a context that goes on when the other one has ended, for a time.
func detachedFor(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
