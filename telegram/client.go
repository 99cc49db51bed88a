package telegram

import (
	"context"
	"errors"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Client is the Telegram client of one Matrix user, or of the relay bot. It is a
// cheap handle: making one connects nothing. It is safe for concurrent use, and
// so are several Clients of one user.
type Client struct {
	f     *Factory
	key   sessionKey
	token string // of the relay bot
}

var (
	_ provisioning.TelegramClient   = (*Client)(nil)
	_ provisioning.PhoneLogin       = (*Client)(nil)
	_ provisioning.LoginControl     = (*Client)(nil)
	_ provisioning.QRLogin          = (*Client)(nil)
	_ provisioning.BotLogin         = (*Client)(nil)
	_ provisioning.ChatLister       = (*Client)(nil)
	_ provisioning.ContactLister    = (*Client)(nil)
	_ provisioning.ChatGetter       = (*Client)(nil)
	_ provisioning.ChatCreator      = (*Client)(nil)
	_ provisioning.UserResolver     = (*Client)(nil)
	_ provisioning.StickerSetLister = (*Client)(nil)
	_ provisioning.PhotoGetter      = (*Client)(nil)
)

// Account implements provisioning.TelegramClient. It asks Telegram, and so notices a
// session that was ended from the outside. For a GET operation of the API it remembers
// the answer for [Config.AccountAge].
//
// TL: users.getUsers.
func (cl *Client) Account(ctx context.Context) (provisioning.Account, error) {
	if !provisioning.CachedReads(ctx) {
		return cl.askAccount(ctx)
	}
	if account, ok, err := cl.f.recentAccount(cl.key); ok {
		return account, err
	}
	return share(ctx, cl.f, "account "+string(cl.key), func(ctx context.Context) (provisioning.Account, error) {
		at, logins := time.Now(), cl.f.loggedOut.loginsSoFar()
		account, err := cl.askAccount(ctx)
		if errors.Is(err, provisioning.ErrNotLoggedIn) {
			cl.f.loggedOut.put(cl.key, at, logins)
		}
		return account, err
	})
}

func (cl *Client) askAccount(ctx context.Context) (account provisioning.Account, err error) {
	err = cl.call(ctx, func(a *active) error {
		account, err = a.account(ctx)
		return err
	})
	return account, err
}

// call runs a function that may be run again with the client's session.
func (cl *Client) call(ctx context.Context, run func(*active) error) error {
	return cl.withBotLogin(ctx, func() error { return cl.f.call(ctx, cl.key, run) })
}

// callOnce runs a function that must not be run again, for example because each time
// makes another chat, with the client's session.
func (cl *Client) callOnce(ctx context.Context, run func(*active) error) error {
	return cl.withBotLogin(ctx, func() error { return cl.f.callOnce(ctx, cl.key, run) })
}

// withBotLogin runs a call. Where the client is the relay bot's, and it is not logged in,
// it logs in and runs the call again.
func (cl *Client) withBotLogin(ctx context.Context, call func() error) error {
	err := call()
	if cl.token == "" || !errors.Is(err, provisioning.ErrNotLoggedIn) {
		return err
	}
	// Another request may have logged in meanwhile.
	if _, err := cl.LoginBot(ctx, cl.token); err != nil && !errors.Is(err, provisioning.ErrAlreadyLoggedIn) {
		return err
	}
	return call()
}

// Logout implements provisioning.TelegramClient.
//
// TL: auth.logOut.
func (cl *Client) Logout(ctx context.Context) (pending bool, err error) {
	s, err := cl.f.lockSlot(ctx, cl.key)
	if err != nil {
		return false, err
	}
	defer cl.f.unlockSlot(cl.key, s)
	r, _, err := cl.f.store.get(ctx, cl.key)
	if err != nil {
		return false, err
	}
	if !r.step.accepted() {
		return false, provisioning.ErrNotLoggedIn
	}
	remoteErr := cl.logoutRemote(ctx, s)
	if err := cl.f.deleteSession(ctx, cl.key, s); err != nil {
		return false, err
	}
	if errors.Is(remoteErr, provisioning.ErrNotLoggedIn) {
		return false, remoteErr
	}
	if remoteErr != nil {
		cl.f.cfg.Log.Warn().Err(remoteErr).Str("session", string(cl.key)).
			Msg("Logged out here, but could not end the session on Telegram")
	}
	return false, nil
}

// logoutRemote ends the session on Telegram, in a part of the request's time. Errors:
// provisioning.ErrNotLoggedIn when it has ended already.
func (cl *Client) logoutRemote(ctx context.Context, s *slot) error {
	ctx, cancel := remoteTimeout(ctx)
	defer cancel()
	c, err := cl.f.connect(ctx, cl.key, s)
	if err != nil {
		return err
	}
	_, err = c.client.API().AuthLogOut(ctx)
	return c.explain(ctx, "auth.logOut", err)
}
