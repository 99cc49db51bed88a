package telegram

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// Observer is told what the clients of a [Factory] do, for metrics. Each function may
// be nil. They are called by many goroutines at once, in the middle of the work: they
// have to return at once. A panic is recovered and logged.
//
// The strings that they are told come from fixed lists and can be labels of metrics.
// Fields may be added later.
type Observer struct {
	// Call is told of every call to Telegram that has ended, also of one that is tried
	// again after it. The method is that of Telegram's schema, such as
	// "messages.getDialogs", where this package calls it; the calls of a host on the
	// same clients count too, and are "other" where they are of another method. The
	// outcome is
	//
	//   - "ok";
	//   - "flood_wait": Telegram asked for a pause;
	//   - "refused": another error of Telegram's, such as a wrong login code;
	//   - "internal": Telegram had trouble of its own, a status of 500 or more, or below 0;
	//   - "timeout": no answer before the caller's deadline;
	//   - "cancelled": the caller gave up, for example because the API client hung up;
	//   - "failed": no answer for another reason, such as a broken connection.
	Call func(method, outcome string, took time.Duration)
	// FloodWait is told of every pause that Telegram asked for, and whether the call is
	// tried again after it (Config.MaxFloodWait) or ends in an error.
	FloodWait func(wait time.Duration, waitedOut bool)
	// Disconnected is told of every connection that broke, or could not be made, while
	// its client was to run. The client connects again by itself.
	Disconnected func()
	// SessionEnd is told what came of a try to end a session at Telegram, after a logout for
	// example. The outcome is
	//
	//   - "ended": Telegram has confirmed it, or does not know the session any more;
	//   - "failed": it is tried again later;
	//   - "given_up": it has failed for 30 days, and the session may go on at Telegram.
	SessionEnd func(outcome string)
}

func (o Observer) sessionEnd(outcome string) {
	if o.SessionEnd != nil {
		o.SessionEnd(outcome)
	}
}

// ObservedMethods returns the methods that Observer.Call tells apart, "other" aside.
func ObservedMethods() []string {
	var names []string
	for name, called := range methods {
		if called {
			names = append(names, name)
		}
	}
	return names
}

// methods are those that this package calls, itself or by what it uses of gotd: those whose
// errors package rpcerror has.
var methods = calledMethods()

func calledMethods() map[string]bool {
	called := map[string]bool{}
	for name := range rpcerror.Documented() {
		called[name] = name != ""
	}
	return called
}

// methodOf returns the method of a call as an Observer is told it.
func methodOf(input bin.Encoder) string {
	if typed, ok := input.(interface{ TypeName() string }); ok {
		if name := typed.TypeName(); methods[name] {
			return name
		}
	}
	return "other"
}

// outcomeOf says how a call has ended as an Observer is told it.
func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	if _, ok := tgerr.AsFloodWait(err); ok {
		return "flood_wait"
	}
	refused, ok := tgerr.As(err)
	switch {
	case ok && (refused.Code < 0 || refused.Code >= http.StatusInternalServerError):
		return "internal"
	case ok:
		return "refused"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	default:
		return "failed"
	}
}

// observe tells the Observer of calls.
func (f *Factory) observe(next tg.Invoker) telegram.InvokeFunc {
	observer := f.cfg.Observer
	if observer.Call == nil {
		return next.Invoke
	}
	return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		start := time.Now()
		err := next.Invoke(ctx, input, output)
		observer.Call(methodOf(input), outcomeOf(err), time.Since(start))
		return err
	}
}

// Stats is what a [Factory] has in memory at one moment.
type Stats struct {
	// Connected and Connecting are the clients that run with a connection to Telegram,
	// and those that are still waiting for one. Clients start when they are first
	// needed, so that there are fewer of them than users who are logged in.
	Connected, Connecting int
	// Ending is how many sessions are to be ended at Telegram, by all processes on the
	// database, as this one has counted them some seconds ago.
	Ending int
}

// Stats counts the clients that run. It asks neither the database nor Telegram.
func (f *Factory) Stats() (s Stats) {
	s.Ending = int(f.ending.Load())
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, slot := range f.slots {
		switch c := slot.conn; {
		case c == nil || c.stopped():
		case c.up.Load():
			s.Connected++
		default:
			s.Connecting++
		}
	}
	return s
}
