package bridgev2host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

var _ provisioning.TelegramClientFactory = (*Host)(nil)

// Client implements [provisioning.TelegramClientFactory].
func (h *Host) Client(_ context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	return &client{h: h, userID: userID}, nil
}

// client is the Telegram client of a user, or of the relay bot.
type client struct {
	h      *Host
	userID id.UserID
	relay  networkid.UserLoginID // of the relay bot
}

var (
	_ provisioning.TelegramClient    = (*client)(nil)
	_ provisioning.PhoneLogin        = (*client)(nil)
	_ provisioning.LoginControl      = (*client)(nil)
	_ provisioning.QRLogin           = (*client)(nil)
	_ provisioning.BotLogin          = (*client)(nil)
	_ provisioning.ChatLister        = (*client)(nil)
	_ provisioning.ContactLister     = (*client)(nil)
	_ provisioning.ChatGetter        = (*client)(nil)
	_ provisioning.MigrationLister   = (*client)(nil)
	_ provisioning.ChatCreator       = (*client)(nil)
	_ provisioning.CreatedChatLister = (*client)(nil)
	_ provisioning.UserResolver      = (*client)(nil)
	_ provisioning.StickerSetLister  = (*client)(nil)
	_ provisioning.PhotoGetter       = (*client)(nil)
)

// login returns the client's login. Errors: provisioning.ErrNotLoggedIn.
func (c *client) login(ctx context.Context) (login *bridgev2.UserLogin, err error) {
	if c.relay != "" {
		return c.h.loginOf(ctx, c.h.network.TelegramID(c.relay))
	}
	login, err = c.h.login(ctx, c.userID)
	if err == nil && login == nil {
		err = provisioning.ErrNotLoggedIn
	}
	return login, err
}

// Account implements [provisioning.TelegramClient].
func (c *client) Account(ctx context.Context) (provisioning.Account, error) {
	login, err := c.login(ctx)
	if err != nil {
		return provisioning.Account{}, err
	}
	if provisioning.CachedReads(ctx) {
		if account, ok := c.h.accounts.get(login); ok {
			return account, nil
		}
	}
	account, err := c.h.network.Telegram(login).Account(ctx)
	if err != nil {
		c.h.accounts.forget(login)
		return provisioning.Account{}, err
	}
	c.h.accounts.put(login, account)
	return account, nil
}

// Logout implements [provisioning.TelegramClient]. bridgev2 ends the session on Telegram
// and deletes the login, and only logs what fails, also where the session had ended
// already: so Telegram is asked before. Only the connector can know whether the end of the
// session is pending.
func (c *client) Logout(ctx context.Context) (pending bool, err error) {
	unlock, err := c.h.changing.Lock(ctx, c.userID)
	if err != nil {
		return false, fmt.Errorf("wait for another login or logout: %w", err)
	}
	defer unlock()
	login, err := c.login(ctx)
	if err != nil {
		return false, err
	}
	c.h.accounts.forget(login)
	const patience = 2 * time.Second
	timed, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := c.h.network.Telegram(login).Account(timed); errors.Is(err, provisioning.ErrNotLoggedIn) {
		return false, provisioning.ErrNotLoggedIn
	}
	if ctx.Err() == context.Canceled {
		return false, ctx.Err()
	}
	login.Logout(c.h.background(ctx))
	ending, can := c.h.network.(EndingNetwork)
	return can && ending.EndPending(login), nil
}

// able returns what the connector has for a client's login. Errors:
// provisioning.ErrNotLoggedIn; provisioning.ErrNotImplemented where it can't do that.
func able[T any](ctx context.Context, c *client) (ability T, err error) {
	login, err := c.login(ctx)
	if err != nil {
		return ability, err
	}
	ability, ok := c.h.network.Telegram(login).(T)
	if !ok {
		return ability, provisioning.ErrNotImplemented
	}
	return ability, nil
}

// ask asks the connector for something.
func ask[T, R any](ctx context.Context, c *client, call func(T) (R, error)) (result R, err error) {
	ability, err := able[T](ctx, c)
	if err != nil {
		return result, err
	}
	return call(ability)
}

// Chats implements [provisioning.ChatLister].
func (c *client) Chats(ctx context.Context, query provisioning.ChatQuery) ([]provisioning.Chat, error) {
	return ask(ctx, c, func(t provisioning.ChatLister) ([]provisioning.Chat, error) { return t.Chats(ctx, query) })
}

// Contacts implements [provisioning.ContactLister].
func (c *client) Contacts(ctx context.Context, query provisioning.ContactQuery) ([]provisioning.Contact, error) {
	return ask(ctx, c, func(t provisioning.ContactLister) ([]provisioning.Contact, error) { return t.Contacts(ctx, query) })
}

// StickerSets implements [provisioning.StickerSetLister].
func (c *client) StickerSets(ctx context.Context) ([]string, error) {
	return ask(ctx, c, func(t provisioning.StickerSetLister) ([]string, error) { return t.StickerSets(ctx) })
}

// GetChat implements [provisioning.ChatGetter].
func (c *client) GetChat(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
	return ask(ctx, c, func(t provisioning.ChatGetter) (provisioning.ChatInfo, error) { return t.GetChat(ctx, chatID) })
}

// Migrations implements [provisioning.MigrationLister].
func (c *client) Migrations(ctx context.Context, groups []provisioning.ChatID) (map[provisioning.ChatID]provisioning.ChatID, error) {
	return ask(ctx, c, func(t provisioning.MigrationLister) (map[provisioning.ChatID]provisioning.ChatID, error) {
		return t.Migrations(ctx, groups)
	})
}

// ResolveUser implements [provisioning.UserResolver].
func (c *client) ResolveUser(ctx context.Context, identifier provisioning.Identifier) (provisioning.Contact, error) {
	return ask(ctx, c, func(t provisioning.UserResolver) (provisioning.Contact, error) { return t.ResolveUser(ctx, identifier) })
}

// CreateChat implements [provisioning.ChatCreator].
func (c *client) CreateChat(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
	return ask(ctx, c, func(t provisioning.ChatCreator) (provisioning.ChatInfo, error) { return t.CreateChat(ctx, chat) })
}

// InviteToChat implements [provisioning.ChatCreator].
func (c *client) InviteToChat(ctx context.Context, chatID provisioning.ChatID, users []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
	return ask(ctx, c, func(t provisioning.ChatCreator) ([]provisioning.TelegramID, error) {
		return t.InviteToChat(ctx, chatID, users)
	})
}

// DeleteChat implements [provisioning.ChatCreator].
func (c *client) DeleteChat(ctx context.Context, chatID provisioning.ChatID) error {
	t, err := able[provisioning.ChatCreator](ctx, c)
	if err != nil {
		return err
	}
	return t.DeleteChat(ctx, chatID)
}

// CreatedChats implements [provisioning.CreatedChatLister].
func (c *client) CreatedChats(ctx context.Context, chat provisioning.NewChat, since time.Time) ([]provisioning.CreatedChat, error) {
	return ask(ctx, c, func(t provisioning.CreatedChatLister) ([]provisioning.CreatedChat, error) {
		return t.CreatedChats(ctx, chat, since)
	})
}

// GetPhoto implements [provisioning.PhotoGetter].
func (c *client) GetPhoto(ctx context.Context, chatID provisioning.ChatID, photoID int64) (provisioning.Photo, error) {
	return ask(ctx, c, func(t provisioning.PhotoGetter) (provisioning.Photo, error) { return t.GetPhoto(ctx, chatID, photoID) })
}
