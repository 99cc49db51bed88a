package telegram

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/transport"
	"github.com/rs/zerolog"
)

// The functions of a host's that goroutines of gotd's and of this package call: a panic in one
// would end the process.

// guard calls a function of the host's, whose panic is logged.
func guard(log zerolog.Logger, name string, call func()) {
	defer func() {
		if v := recover(); v != nil {
			log.Error().Err(panicked(v)).Str("function", name).Msg("A function of the host's panicked")
		}
	}()
	call()
}

// panicked is the error for a recovered panic.
func panicked(v any) error { return fmt.Errorf("panic: %v\n%s", v, debug.Stack()) }

// guarded returns an Observer whose functions don't panic.
func (o Observer) guarded(log zerolog.Logger) Observer {
	safe := o
	if o.Call != nil {
		safe.Call = func(method, outcome string, took time.Duration) {
			guard(log, "Observer.Call", func() { o.Call(method, outcome, took) })
		}
	}
	if o.FloodWait != nil {
		safe.FloodWait = func(wait time.Duration, waitedOut bool) {
			guard(log, "Observer.FloodWait", func() { o.FloodWait(wait, waitedOut) })
		}
	}
	if o.Disconnected != nil {
		safe.Disconnected = func() { guard(log, "Observer.Disconnected", o.Disconnected) }
	}
	if o.SessionEnd != nil {
		safe.SessionEnd = func(outcome string) { guard(log, "Observer.SessionEnd", func() { o.SessionEnd(outcome) }) }
	}
	return safe
}

// guardedHandler returns a handler that does not panic.
func guardedHandler(log zerolog.Logger, handler telegram.UpdateHandler) telegram.UpdateHandler {
	return telegram.UpdateHandlerFunc(func(ctx context.Context, updates tg.UpdatesClass) (err error) {
		guard(log, "the handler of Config.Updates", func() { err = handler.Handle(ctx, updates) })
		return err
	})
}

// guardedDial returns what a resolver of the host's does, and an error for a panic.
func guardedDial(resolve func() (transport.Conn, error)) (conn transport.Conn, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	return resolve()
}
