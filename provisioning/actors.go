package provisioning

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// relay returns the account of the relay bot. Errors: ErrNotLoggedIn where there is no
// relay bot, or it is not logged in; any other error wraps errRelayBot.
func (a *accounts) relay(ctx context.Context) (Account, error) {
	if a.relayBot == nil {
		return Account{}, ErrNotLoggedIn
	}
	account, err := a.relayBot.Account(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		return Account{}, err
	case err != nil:
		return Account{}, fmt.Errorf("%w: %w", errRelayBot, err)
	}
	return account, nil
}

// actor is the account that acts on Telegram for an operation.
type actor struct {
	client  TelegramClient
	account Account
	relay   bool
}

// name is what the API calls the account, "" for none.
func (a actor) name() string {
	switch {
	case a.client == nil:
		return ""
	case a.relay:
		return "relaybot"
	}
	return "user"
}

// actor returns the account of a user, if there is a user whose account may act, else the
// relay bot where that may act for the caller. Errors: ErrNotLoggedIn where there is neither.
func (a *accounts) actor(ctx context.Context, p *person) (actor, error) {
	if p.userID != "" {
		act, err := a.own(ctx, p)
		if err == nil || !errors.Is(err, ErrNotLoggedIn) {
			return act, err
		}
	}
	if !p.relay {
		return actor{}, errOwnAccountOnly
	}
	account, err := a.relay(acting(ctx))
	if err != nil {
		return actor{}, err
	}
	return actor{client: a.relayBot, account: account, relay: true}, nil
}

// inChat is actor, with what a group or channel says of itself to the account. Where Telegram
// turns out to have ended the session of the user's account, which nobody knew before, the
// logout is recorded, and the relay bot acts.
func (a *accounts) inChat(ctx context.Context, p *person, chatID ChatID) (actor, ChatInfo, error) {
	act, err := a.actor(ctx, p)
	if err != nil {
		return actor{}, ChatInfo{}, err
	}
	info, err := act.chat(ctx, chatID)
	if act.relay || !errors.Is(err, ErrNotLoggedIn) {
		return act, info, err
	}
	if err = a.heard(ctx, p, err); !errors.Is(err, ErrNotLoggedIn) {
		return actor{}, ChatInfo{}, err
	}
	if act, err = a.actor(ctx, p); err != nil {
		return actor{}, ChatInfo{}, err
	}
	info, err = act.chat(ctx, chatID)
	return act, info, err
}

// recorded returns the client of a user who is on record as logged in and may use it, nil for
// anybody else. It is for operations that show something: Telegram is not asked.
func (a *accounts) recorded(ctx context.Context, p *person) TelegramClient {
	if p.userID == "" || p.user.TelegramID == 0 || p.user.Displaced || !mayUseTelegram(p.user) {
		return nil
	}
	client, err := a.client(ctx, p.userID)
	if err != nil {
		return nil
	}
	return client
}

// allowedClient returns the client of a user who may use Telegram now. Errors: errSessionKept.
func (a *accounts) allowedClient(ctx context.Context, userID id.UserID) (TelegramClient, error) {
	user, err := a.lookUp(ctx, userID)
	switch {
	case err != nil:
		return nil, err
	case !mayUseTelegram(user):
		return nil, errSessionKept
	}
	return a.client(ctx, userID)
}

// watcher returns who looks at Telegram for an operation that shows something: a user who is
// on record as logged in, else the relay bot where it may, nil where there is neither.
func (a *accounts) watcher(ctx context.Context, p *person) TelegramClient {
	if client := a.recorded(ctx, p); client != nil {
		return client
	}
	if !p.relay {
		return nil
	}
	return a.relayBot
}

// acting returns a context for asking which account acts. That Telegram has ended its session
// is heard from what it does.
func acting(ctx context.Context) context.Context {
	return WithRecordedAccount(WithCachedReads(ctx, true), true)
}

// own returns a user's own account, as it is on record. That of somebody who may not use
// Telegram any more counts as none. Errors: ErrNotLoggedIn.
func (a *accounts) own(ctx context.Context, p *person) (act actor, err error) {
	if p.client, err = a.client(ctx, p.userID); err != nil {
		return actor{}, err
	}
	account, err := a.loggedIn(acting(ctx), p)
	switch {
	case err != nil:
		return actor{}, err
	case !mayUseTelegram(p.user):
		p.client = nil
		return actor{}, errSessionKept
	}
	return actor{client: p.client, account: account}, nil
}

// heard returns the error of an operation. Where that is the first to hear that the user's
// session has ended, the logout is recorded.
func (a *accounts) heard(ctx context.Context, p *person, err error) error {
	if !errors.Is(err, ErrNotLoggedIn) || p.client == nil || p.user.TelegramID == 0 {
		return err
	}
	ctx = WithCachedReads(ctx, false)
	if _, lookErr := a.loggedIn(ctx, p); lookErr != nil && !errors.Is(lookErr, ErrNotLoggedIn) {
		return lookErr
	}
	return err
}

// creator returns a user's own account, which can create chats. Errors: errNoRealAccount.
func (a *accounts) creator(ctx context.Context, p *person) (actor, error) {
	act, err := a.own(ctx, p)
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		return actor{}, fmt.Errorf("%w: %w", errNoRealAccount, err)
	case err != nil:
		return actor{}, err
	case act.account.IsBot:
		return actor{}, errNoRealAccount
	}
	return act, nil
}

// chat returns what a group or channel says of itself. The relay bot's errors, but for
// ErrNotLoggedIn, wrap errRelayNotInChat or errRelayBot. Errors: ErrNotImplemented,
// ErrNotLoggedIn.
func (a actor) chat(ctx context.Context, chatID ChatID) (ChatInfo, error) {
	getter, can := a.client.(ChatGetter)
	if !can {
		return ChatInfo{}, ErrNotImplemented
	}
	info, err := getter.GetChat(ctx, chatID)
	switch {
	case err == nil:
		return info, nil
	case errors.Is(err, ErrNotInChat) && a.relay:
		err = fmt.Errorf("%w: %w", errRelayNotInChat, err)
	case a.relay && !errors.Is(err, ErrNotLoggedIn):
		err = fmt.Errorf("%w: %w", errRelayBot, err)
	}
	return ChatInfo{}, fmt.Errorf("get the chat: %w", err)
}
