package provisioning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// This file keeps two records in step: the client's session, which says whether
// a user is logged in, and the user store's link, which says whose an account is.
// A crash may come between them; every request about a user mends what it finds.

// account returns the account that the user of the call is logged in with.
func (p *Provisioner) account(ctx context.Context, c *call) (Account, error) {
	if c.user.Displaced {
		if err := p.endDisplaced(ctx, c.userID, c.user.TelegramID); err != nil {
			return Account{}, err
		}
		c.user.TelegramID, c.user.Displaced = 0, false
	}
	account, err := c.client.Account(ctx)
	if differs := account.ID != c.user.TelegramID; differs && (err == nil || errors.Is(err, ErrNotLoggedIn)) && CachedReads(ctx) {
		// Either may be what was remembered from before the other changed.
		ctx = WithCachedReads(ctx, false)
		if c.user, err = p.users.User(ctx, c.userID); err != nil {
			return Account{}, fmt.Errorf("look up the user again: %w", err)
		}
		return p.account(ctx, c)
	}
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		if unlinkErr := p.unlink(ctx, c); unlinkErr != nil {
			return Account{}, unlinkErr
		}
		return Account{}, err
	case err != nil:
		return Account{}, fmt.Errorf("get the account: %w", err)
	case account.ID != c.user.TelegramID:
		// The process died after Telegram accepted a login and before it was linked.
		return account, p.claim(ctx, c, account)
	}
	return account, nil
}

// errUnrecorded: the user has a session of an account that is linked to another
// user. It is either a login that another request is just about to record, or one
// that was never recorded because the process died, and whose account somebody else
// has logged in with since. As long as nobody tells which, it counts as logged out.
var errUnrecorded = fmt.Errorf("%w: there is a session, of an account that is linked to another user", ErrNotLoggedIn)

// claim links an account that the user of the call turns out to be logged in with,
// unless another user is linked to it: it takes no account from anybody, and ends no
// session. Errors: errUnrecorded.
func (p *Provisioner) claim(ctx context.Context, c *call, account Account) error {
	ctx, cancel := recording(ctx)
	defer cancel()
	recorded, err := p.announce(ctx, EventLogin, c.userID, account.ID)
	if err != nil {
		return err
	}
	defer recorded()
	err = p.links.ClaimAccount(ctx, c.userID, account.ID)
	switch {
	case err == nil:
		c.user.TelegramID = account.ID
		return nil
	case !errors.Is(err, ErrAccountLinked):
		return fmt.Errorf("claim the account: %w", err)
	}
	zerolog.Ctx(ctx).Info().Msg("A session was never linked, and its account is another user's now")
	if err := p.unlink(ctx, c); err != nil {
		return err
	}
	return errUnrecorded
}

// link records that the user of the call is logged in with the account, and logs
// out whoever was logged in with it before.
func (p *Provisioner) link(ctx context.Context, c *call, account Account) error {
	ctx, cancel := recording(ctx)
	defer cancel()
	recorded, err := p.announce(ctx, EventLogin, c.userID, account.ID)
	if err != nil {
		return err
	}
	defer recorded()
	displaced, err := p.links.LinkAccount(ctx, c.userID, account.ID)
	if err != nil {
		return fmt.Errorf("link the account: %w", err)
	}
	c.user.TelegramID = account.ID
	for _, userID := range displaced {
		// The login itself has succeeded. A session that can't be ended now is
		// ended at its user's next request.
		if err := p.endDisplaced(ctx, userID, account.ID); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Stringer("displaced_user_id", userID).
				Msg("Could not end the session of a user whose account has moved")
		}
	}
	return nil
}

// endDisplaced logs a displaced user out and forgets the link.
func (p *Provisioner) endDisplaced(ctx context.Context, userID id.UserID, telegramID TelegramID) error {
	client, err := p.telegram.Client(ctx, userID)
	if err != nil {
		return fmt.Errorf("get a displaced user's Telegram client: %w", err)
	}
	if err := client.Logout(ctx); err != nil && !errors.Is(err, ErrNotLoggedIn) {
		return fmt.Errorf("log a displaced user out: %w", err)
	}
	ctx, cancel := recording(ctx)
	defer cancel()
	return p.forget(ctx, userID, telegramID)
}

// unlink forgets the link of a user who is not logged in, if there is one.
func (p *Provisioner) unlink(ctx context.Context, c *call) error {
	if c.user.TelegramID == 0 {
		return nil
	}
	ctx, cancel := recording(ctx)
	defer cancel()
	if err := p.forget(ctx, c.userID, c.user.TelegramID); err != nil {
		return err
	}
	c.user.TelegramID = 0
	return nil
}

// forget unlinks a user and tells the host.
func (p *Provisioner) forget(ctx context.Context, userID id.UserID, telegramID TelegramID) error {
	recorded, err := p.announce(ctx, EventLogout, userID, telegramID)
	if err != nil {
		return err
	}
	defer recorded()
	if err := p.links.UnlinkAccount(ctx, userID, telegramID); err != nil {
		return fmt.Errorf("unlink the account: %w", err)
	}
	p.encoded.forget(userID)
	return nil
}

// recording returns a context for recording what has happened on Telegram already:
// it goes on when the request's own has ended.
func recording(ctx context.Context) (context.Context, context.CancelFunc) {
	const limit = 5 * time.Second
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
