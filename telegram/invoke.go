package telegram

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

// floodBudget is how long the calls of one request may still wait out flood waits.
type floodBudget struct {
	mu   sync.Mutex
	left time.Duration
}

type floodBudgetKey struct{}

// withFloodBudget lets the calls made with the context wait out flood waits, up to
// the configured time in all. Calls with any other context, those of the host on
// the same client included, get them as errors at once.
func (f *Factory) withFloodBudget(ctx context.Context) context.Context {
	return context.WithValue(ctx, floodBudgetKey{}, &floodBudget{left: f.cfg.MaxFloodWait})
}

// takeFloodBudget takes a wait out of the context's budget, if it is in there and the
// context's deadline leaves the time.
func takeFloodBudget(ctx context.Context, wait time.Duration) bool {
	budget, ok := ctx.Value(floodBudgetKey{}).(*floodBudget)
	if !ok {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false
	}
	budget.mu.Lock()
	defer budget.mu.Unlock()
	if budget.left < wait {
		return false
	}
	budget.left -= wait
	return true
}

// returnInTime returns from a call as soon as its context ends. gotd v0.162.0 first asks
// Telegram to drop the answer and waits until that is done, or until the connection has
// died, which takes more than a minute (https://github.com/gotd/td/pull/324;
// TestGotdCallsOutliveTheirContexts). The call's goroutine ends then, at the latest when
// the client stops.
func returnInTime(next tg.Invoker) telegram.InvokeFunc {
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		result := make(chan error, 1)
		go func() { result <- next.Invoke(ctx, input, output) }()
		select {
		case err := <-result:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// retryUnsent repeats calls that were not sent because the connection had just broken,
// until there is a new one. It gives up with the context, and when the client stops. gotd
// v0.162.0 waits for the new connection only when it knows that the old one has broken,
// and so not where it finds out by the call (https://github.com/gotd/td/issues/1030;
// https://github.com/gotd/td/pull/1830 was closed; TestGotdFailsCallsItCouldNotSend).
func (c *conn) retryUnsent(next tg.Invoker) telegram.InvokeFunc {
	const pause = 50 * time.Millisecond // a reconnection takes twice that
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		for {
			err := next.Invoke(ctx, input, output)
			if !wasNotSent(err) {
				return err
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			case <-c.done:
				return err
			}
		}
	}
}

// wasNotSent says whether an error is that of a write to a connection that has broken, or
// of setting the deadline for one.
func wasNotSent(err error) bool {
	broken, ok := errors.AsType[*net.OpError](err)
	return ok && (broken.Op == "write" || broken.Op == "set")
}

// sendOnce has requests that make a chat sent over one connection only. gotd v0.162.0
// sends a request again over the next connection when Telegram has not confirmed that it
// got it, though Telegram may have done what it says: there would be two chats
// (https://github.com/gotd/td/pull/1749; TestGotdSendsACallTwice).
func (c *conn) sendOnce(next tg.Invoker) telegram.InvokeFunc {
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		switch input.(type) {
		case *tg.MessagesCreateChatRequest, *tg.ChannelsCreateChannelRequest:
			input = &sentOnce{Encoder: input, conn: c}
		}
		return next.Invoke(ctx, input, output)
	}
}

// sentOnce is a request that can be encoded only until the connection breaks on which it
// was sent: gotd encodes a request each time that it sends it.
type sentOnce struct {
	bin.Encoder
	conn *conn

	mu     sync.Mutex
	sent   bool
	breaks int64 // how often the connection had broken when it was sent
}

// Encode implements bin.Encoder.
func (s *sentOnce) Encode(b *bin.Buffer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	breaks := s.conn.breaks.Load()
	if s.sent && s.breaks != breaks {
		return errInterrupted
	}
	s.sent, s.breaks = true, breaks
	return s.Encoder.Encode(b)
}

// floodWait repeats calls that Telegram answered with a flood wait, as far as the budget
// goes. gotd v0.162.0 leaves that to its user (https://github.com/gotd/td/issues/263;
// TestGotdReturnsFloodWaits), and the waiter that its README recommends hangs when a client
// changes its datacenter (https://github.com/gotd/td/issues/1842).
func (f *Factory) floodWait(next tg.Invoker) telegram.InvokeFunc {
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		for {
			err := next.Invoke(ctx, input, output)
			wait, ok := tgerr.AsFloodWait(err)
			if !ok {
				return err
			}
			again := takeFloodBudget(ctx, wait)
			if f.cfg.Observer.FloodWait != nil {
				f.cfg.Observer.FloodWait(wait, again)
			}
			if !again {
				return err
			}
			if err := f.sleep(ctx, wait); err != nil {
				return err
			}
		}
	}
}

// storedKeyFirst has the calls of a login sent only with an auth key that is stored, see
// sessionConn. It tells them by the context, which gotd v0.162.0 gives to the connection
// (TestGotdSendsWithTheCallsContext).
func (c *conn) storedKeyFirst(next tg.Invoker) telegram.InvokeFunc {
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		switch input.(type) {
		case *tg.AuthSendCodeRequest, *tg.AuthResendCodeRequest:
		case *tg.AuthSignInRequest, *tg.AuthCheckPasswordRequest, *tg.AuthImportBotAuthorizationRequest,
			*tg.AuthExportLoginTokenRequest, *tg.AuthImportLoginTokenRequest:
			c.tried.Store(true)
		default:
			return next.Invoke(ctx, input, output)
		}
		return next.Invoke(context.WithValue(ctx, needsStoredKeyValue{}, true), input, output)
	}
}
