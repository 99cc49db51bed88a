package telegram

import (
	"context"
	"net/http"
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
			if err := f.pause(ctx, wait); err != nil {
				return err
			}
		}
	}
}

// endWhenMoved returns from calls with a movedError when Telegram wants the login made at
// another datacenter, where gotd would make them again. It notes calls that may log in.
func (c *conn) endWhenMoved(next tg.Invoker) telegram.InvokeFunc {
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		switch input.(type) {
		case *tg.AuthSignInRequest, *tg.AuthCheckPasswordRequest, *tg.AuthImportBotAuthorizationRequest,
			*tg.AuthExportLoginTokenRequest, *tg.AuthImportLoginTokenRequest:
			c.tried.Store(true)
		}
		call, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.moved, cancel)()
		err := next.Invoke(call, input, output)
		if err != nil && ctx.Err() == nil && c.moved.Err() != nil {
			return context.Cause(c.moved)
		}
		return err
	}
}

// exportAnew makes an error with the code 401 that Telegram answers auth.exportAuthorization with
// one of Telegram's own trouble, which it is to whoever waits for a photo: gotd v0.162.0 goes
// on without the login otherwise, and waits for its own connection for ever (no issue). So it
// begins anew, and RepeatTransient has the photo asked for again.
func exportAnew(next tg.Invoker) telegram.InvokeFunc {
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		err := next.Invoke(ctx, input, output)
		rpc, ok := tgerr.As(err)
		if _, export := input.(*tg.AuthExportAuthorizationRequest); export && ok && rpc.Code == http.StatusUnauthorized {
			return tgerr.New(http.StatusInternalServerError, rpc.Message)
		}
		return err
	}
}
