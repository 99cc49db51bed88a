package telegram

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/transport"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Check implements [provisioning.Checker]. Telegram can be used where a client that runs has
// a connection. Where none has, a connection to the datacenter is opened and closed, over
// [Config.Resolver] and without a word: no client is started, and no keys are exchanged. The
// database can be used where a transaction that writes can begin and end: one that another
// process has locked for as long as the context lasts can't. Errors:
// [provisioning.ErrDatabase], [provisioning.ErrTelegramUnavailable], or both.
func (f *Factory) Check(ctx context.Context) error {
	if f.ctx.Err() != nil {
		return errClosed
	}
	stored := make(chan error, 1)
	go func() { stored <- f.store.txn(ctx, func(context.Context) error { return nil }) }()
	err := f.checkTelegram(ctx)
	return errors.Join(<-stored, err)
}

// checkTelegram is Check for Telegram.
func (f *Factory) checkTelegram(ctx context.Context) error {
	if f.Stats().Connected > 0 {
		return ctx.Err()
	}
	const standard = 2 // that of gotd
	options := f.cfg.options()
	if options.DCList.Zero() {
		options.DCList = dcs.Prod()
	}
	conn, err := guardedDial(func() (transport.Conn, error) {
		return options.Resolver.Primary(ctx, cmp.Or(options.DC, standard), options.DCList)
	})
	switch {
	case err == nil:
		_ = conn.Close()
		return ctx.Err()
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("connect to Telegram: %w", ctx.Err())
	}
	return fmt.Errorf("%w: %w", provisioning.ErrTelegramUnavailable, err)
}
