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
	_ provisioning.TelegramClient    = (*Client)(nil)
	_ provisioning.PhoneLogin        = (*Client)(nil)
	_ provisioning.LoginControl      = (*Client)(nil)
	_ provisioning.QRLogin           = (*Client)(nil)
	_ provisioning.BotLogin          = (*Client)(nil)
	_ provisioning.ChatLister        = (*Client)(nil)
	_ provisioning.ContactLister     = (*Client)(nil)
	_ provisioning.ChatGetter        = (*Client)(nil)
	_ provisioning.MigrationLister   = (*Client)(nil)
	_ provisioning.ChatCreator       = (*Client)(nil)
	_ provisioning.CreatedChatLister = (*Client)(nil)
	_ provisioning.UserResolver      = (*Client)(nil)
	_ provisioning.StickerSetLister  = (*Client)(nil)
	_ provisioning.PhotoGetter       = (*Client)(nil)
)

// readWait is how long a GET operation waits for Telegram to say whose account it is, where
// that was recorded before.
const readWait = 1500 * time.Millisecond

// Account implements provisioning.TelegramClient. It asks Telegram, and so notices a
// session that was ended from the outside. For a GET operation of the API it remembers
// the answer for [Config.AccountAge], and where Telegram does not answer within a second and
// a half, it returns the account as last seen. That of the relay bot is returned at once,
// and asked for meanwhile. Where [provisioning.RecordedAccount] allows it, Telegram is asked
// only for an account that was never seen.
//
// TL: users.getUsers.
func (cl *Client) Account(ctx context.Context) (provisioning.Account, error) {
	if provisioning.RecordedAccount(ctx) {
		return cl.recordedAccount(ctx)
	}
	if !provisioning.CachedReads(ctx) {
		return cl.askAccount(ctx)
	}
	if account, ok, err := cl.f.recentAccount(cl.key); ok {
		return account, err
	}
	r, err := cl.f.store.get(ctx, cl.key)
	if err != nil {
		return provisioning.Account{}, err
	}
	seen := r.step == stepActive && r.account.ID != 0
	patience := ctx
	if seen {
		wait := readWait
		if deadline, limited := ctx.Deadline(); limited {
			wait = min(wait, time.Until(deadline)/2) // so that there is time for the answer
		}
		if cl.token != "" {
			wait = 0
		}
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	account, err := share(patience, ctx, cl.f, "account "+string(cl.key), func(ctx context.Context) (provisioning.Account, error) {
		at, logins := time.Now(), cl.f.loggedOut.loginsSoFar()
		account, err := cl.askAccount(ctx)
		if errors.Is(err, provisioning.ErrNotLoggedIn) {
			cl.f.loggedOut.put(cl.key, at, logins)
		}
		return account, err
	})
	away := errors.Is(err, provisioning.ErrTelegramUnavailable) || errors.Is(err, context.DeadlineExceeded)
	if seen && away && !errors.Is(err, errClosed) && ctx.Err() == nil {
		return r.account, nil
	}
	return account, err
}

// recordedAccount returns the account as it was last seen.
func (cl *Client) recordedAccount(ctx context.Context) (provisioning.Account, error) {
	if account, ok, err := cl.f.recentAccount(cl.key); ok && err == nil {
		return account, nil
	}
	switch r, err := cl.f.store.get(ctx, cl.key); {
	case err != nil:
		return provisioning.Account{}, err
	case r.step == stepActive && r.account.ID != 0:
		return r.account, nil
	case r.step != stepActive && cl.token == "":
		return provisioning.Account{}, provisioning.ErrNotLoggedIn
	}
	return cl.askAccount(provisioning.WithCachedReads(ctx, false))
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

// logoutWait is how long Logout waits at most for Telegram to confirm the end of a session.
const logoutWait = 5 * time.Second

// Logout implements provisioning.TelegramClient. The user is logged out as soon as the end of
// the session is recorded. What Telegram has not confirmed within five seconds, or half of
// the time that the context leaves, is pending: the Factory tries it again until Telegram
// has, in this process or a later one.
//
// TL: auth.logOut.
func (cl *Client) Logout(ctx context.Context) (pending bool, err error) {
	s, err := cl.f.lockSlot(ctx, cl.key)
	if err != nil {
		return false, err
	}
	defer cl.f.unlockSlot(cl.key, s)
	r, err := cl.f.store.get(ctx, cl.key)
	if err != nil {
		return false, err
	}
	if !r.step.accepted() {
		return false, provisioning.ErrNotLoggedIn
	}
	if s.conn != nil && s.conn.row == r.row {
		s.conn.storage.finish()
	}
	e := ending{row: r.row, key: cl.key, attempts: 1}
	e.session, e.unread = cl.f.store.session(ctx, cl.key, r.row)
	if err := cl.f.store.end(ctx, r.row, endHold); err != nil {
		cl.f.stopConn(s)
		return false, err
	}
	said := cl.logOutNow(ctx, s, e)
	switch {
	case said == nil:
		return false, nil
	case isOver(said):
		return false, provisioning.ErrNotLoggedIn
	default:
		return true, nil
	}
}

// logOutNow tries to end a session whose end is promised with the client in a slot that the
// caller has locked, which stops then, or with one of its own.
func (cl *Client) logOutNow(ctx context.Context, s *slot, e ending) (said error) {
	c := s.conn
	cl.f.setConn(s, nil)
	if c != nil && c.row == e.row && !c.stopped() {
		if c.storage.last() != nil {
			return cl.f.endWith(ctx, c, e)
		}
		c.stopAndWait(ctx) // it was just being started, and finds no session any more
	}
	return cl.f.logOutSoon(ctx, e)
}
