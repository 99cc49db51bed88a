package provisioningtest

import (
	"context"
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestTelegramClientMutants(t *testing.T) {
	testTelegramSuite(t, clientChecks, clientMutants, errorMutants, losingMutants)
}

// withAccount changes what Account returns.
func withAccount(change func(a *provisioning.Account)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.account = func(ctx context.Context) (provisioning.Account, error) {
			a, err := c.client.Account(ctx)
			if err == nil {
				change(&a)
			}
			return a, err
		}
	}
}

// withLogout replaces Logout.
func withLogout(logout func(ctx context.Context, c *brokenClient) (pending bool, err error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.logout = func(ctx context.Context) (bool, error) { return logout(ctx, c) }
	}
}

// afterPending changes something before each Account of a user who was once logged out while
// Telegram was away.
func afterPending(change func(*brokenClient)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.logout = func(ctx context.Context) (bool, error) {
			pending, err := c.client.Logout(ctx)
			if pending {
				c.shared[c.userID] = true
			}
			return pending, err
		}
		c.account = func(ctx context.Context) (provisioning.Account, error) {
			if c.shared[c.userID] != nil {
				change(c)
			}
			return c.client.Account(ctx)
		}
	}
}

var clientMutants = []telegramMutant{
	{name: "Client starts a client", check: "start nothing", whole: func(b *brokenTelegram) {
		b.client = func(t *Telegram, userID id.UserID) error { return t.beginLogin(userID) }
	}},
	{name: "Client asks Telegram", check: "start nothing", whole: func(b *brokenTelegram) {
		b.client = func(t *Telegram, _ id.UserID) error {
			t.mu.Lock()
			defer t.mu.Unlock()
			return t.ask()
		}
	}},
	{name: "Account starts a client for nobody", check: "nobody", change: func(c *brokenClient) {
		c.account = func(ctx context.Context) (provisioning.Account, error) {
			_ = c.telegram.beginLogin(c.userID)
			return c.client.Account(ctx)
		}
	}},
	{name: "Account asks Telegram of nobody", check: "nobody", change: func(c *brokenClient) {
		c.account = func(ctx context.Context) (provisioning.Account, error) {
			if c.isAway() {
				return provisioning.Account{}, provisioning.ErrTelegramUnavailable
			}
			return c.client.Account(ctx)
		}
	}},
	{name: "no account is no error", check: "nobody", change: insteadOf(provisioning.ErrNotLoggedIn, nil)},
	{name: "no phone number", check: "account", change: withAccount(func(a *provisioning.Account) { a.Phone = "" })},
	{name: "phone number with +", check: "account", change: withAccount(func(a *provisioning.Account) {
		if a.Phone != "" {
			a.Phone = "+" + a.Phone
		}
	})},
	{name: "no last name", check: "account", change: withAccount(func(a *provisioning.Account) { a.LastName = "" })},
	{name: "bots are people", check: "account", change: withAccount(func(a *provisioning.Account) { a.IsBot = false })},
	{name: "accounts of 32 bits", check: "account", change: withAccount(func(a *provisioning.Account) {
		a.ID = provisioning.TelegramID(int32(a.ID))
	})},
	{name: "one session for all", check: "users", change: func(c *brokenClient) { c.client.userID = userA }},
	{name: "what a client was is what it is", check: "users", change: func(c *brokenClient) {
		if c.session() == nil {
			c.account = func(context.Context) (provisioning.Account, error) {
				return provisioning.Account{}, provisioning.ErrNotLoggedIn
			}
		}
	}},
	{name: "sessions in memory", check: "account after a restart", whole: func(b *brokenTelegram) {
		b.restart = func(sessions map[id.UserID]*session) { clear(sessions) }
	}},
	{name: "what was asked once is remembered", check: "session ended", change: func(c *brokenClient) {
		c.account = func(ctx context.Context) (provisioning.Account, error) {
			if s := c.session(); s != nil && s.loggedIn {
				return s.account.Account, nil
			}
			return c.client.Account(ctx)
		}
	}},
	{name: "an ended session is kept", check: "session ended", change: endedKept},
	{name: "an ended session is a refusal", check: "session ended", change: endedRefused},
	{name: "logout here only", check: "logout", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		c.keepFor("@left:example.com", c.session())
		return c.client.Logout(ctx)
	})},
	{name: "logout on Telegram only", check: "logout", change: withLogout(func(_ context.Context, c *brokenClient) (bool, error) {
		c.telegram.EndSession(c.userID)
		return false, nil
	})},
	{name: "logout does nothing", check: "logout", change: withLogout(func(context.Context, *brokenClient) (bool, error) { return false, nil })},
	{name: "logout of the account", check: "logout of one", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		s := c.session()
		pending, err := c.client.Logout(ctx)
		c.telegram.Revoke(s.account.ID)
		return pending, err
	})},
	{name: "logout of nobody is no error", check: "logout of nobody", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		if pending, err := c.client.Logout(ctx); !errors.Is(err, provisioning.ErrNotLoggedIn) {
			return pending, err
		}
		return false, nil
	})},
	{name: "the end is no error", check: "logout after the end", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		if pending, err := c.client.Logout(ctx); !errors.Is(err, errSessionEnded) {
			return pending, err
		}
		return false, nil
	})},
	{name: "logout needs Telegram", check: "logout while Telegram is away", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		if c.isAway() {
			return false, provisioning.ErrTelegramUnavailable
		}
		return c.client.Logout(ctx)
	})},
	{name: "logout forgets and fails", check: "logout while Telegram is away", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		pending, err := c.client.Logout(ctx)
		if c.isAway() {
			return false, provisioning.ErrTelegramUnavailable
		}
		return pending, err
	})},
	{name: "logout forgets only what Telegram has ended", check: "logout while Telegram is away", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		if c.isAway() {
			return true, nil
		}
		return c.client.Logout(ctx)
	})},
	{name: "pending though Telegram answers", check: "logout", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		_, err := c.client.Logout(ctx)
		return true, err
	})},
	{name: "no login after a pending end", check: "logout while Telegram is away", change: afterPending(func(c *brokenClient) { c.keep(nil) })},
	{name: "the pending end is that of the next session", check: "logout while Telegram is away", change: afterPending(func(c *brokenClient) {
		c.telegram.EndSession(c.userID)
	})},
	{name: "logout without the context", check: "logout with a cancelled context", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		return c.client.Logout(context.WithoutCancel(ctx))
	})},
	{name: "logout notices the context too late", check: "logout with a cancelled context", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		pending, err := c.client.Logout(context.WithoutCancel(ctx))
		return pending, errors.Join(err, ctx.Err())
	})},
	{name: "an ended session is the last one", check: "login again", change: func(c *brokenClient) {
		c.account = func(ctx context.Context) (provisioning.Account, error) {
			if c.shared[c.userID] != nil {
				return provisioning.Account{}, provisioning.ErrNotLoggedIn
			}
			a, err := c.client.Account(ctx)
			if errors.Is(err, errSessionEnded) {
				c.shared[c.userID] = true
			}
			return a, err
		}
	}},
	{name: "logout looks, then forgets", check: "concurrent calls", change: withLogout(func(ctx context.Context, c *brokenClient) (bool, error) {
		if s := c.session(); s == nil || !s.loggedIn {
			return false, provisioning.ErrNotLoggedIn
		}
		letOthersIn()
		c.keep(nil)
		return false, ctx.Err()
	})},
	{name: "one call at a time", check: "concurrent calls", change: func(c *brokenClient) { c.around = oneAtATime(c) }},
}

// oneAtATime refuses calls while another one lasts.
func oneAtATime(c *brokenClient) func(context.Context, string, func(context.Context) error) error {
	const busy = id.UserID("busy")
	set := func(to bool) (was bool) {
		c.telegram.mu.Lock()
		defer c.telegram.mu.Unlock()
		was, _ = c.shared[busy].(bool)
		c.shared[busy] = to
		return was
	}
	return func(ctx context.Context, _ string, call func(context.Context) error) error {
		if set(true) {
			return errSome
		}
		defer set(false)
		letOthersIn()
		return call(ctx)
	}
}
