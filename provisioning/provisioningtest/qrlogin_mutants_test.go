package provisioningtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestQRLoginMutants(t *testing.T) {
	testTelegramSuite(t, qrLoginChecks, qrMutants, errorMutants, alreadyMutants)
}

func TestBotLoginMutants(t *testing.T) {
	testTelegramSuite(t, botLoginChecks, botMutants, errorMutants, alreadyMutants)
}

// withQR replaces LoginQR.
func withQR(login func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.loginQR = func(ctx context.Context, show showFunc) (provisioning.Account, error) { return login(ctx, c, show) }
	}
}

// withShow changes what is shown, and how often.
func withShow(change func(ctx context.Context, token provisioning.QRToken, n int, show showFunc) error) func(*brokenClient) {
	return withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		n := 0
		return c.client.LoginQR(ctx, func(ctx context.Context, token provisioning.QRToken) error {
			n++
			return change(ctx, token, n, show)
		})
	})
}

// afterQR does something with the result of LoginQR.
func afterQR(do func(c *brokenClient, a *provisioning.Account, err error) error) func(*brokenClient) {
	return withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		a, err := c.client.LoginQR(ctx, show)
		return a, do(c, &a, err)
	})
}

var botMutants = []telegramMutant{
	{name: "a bot is nobody after all", check: "token", change: func(c *brokenClient) {
		c.loginBot = func(ctx context.Context, token string) (provisioning.Account, error) {
			a, err := c.client.LoginBot(ctx, token)
			c.keep(nil)
			return a, err
		}
	}},
	{name: "a bot is a person", check: "token", change: func(c *brokenClient) {
		c.loginBot = func(ctx context.Context, token string) (provisioning.Account, error) {
			a, err := c.client.LoginBot(ctx, token)
			a.IsBot = false
			return a, err
		}
	}},
	{name: "bots in memory", check: "token", whole: func(b *brokenTelegram) {
		b.restart = func(sessions map[id.UserID]*session) { clear(sessions) }
	}},
	{name: "an invalid token is some refusal", check: "invalid token", change: insteadOf(provisioning.ErrBotTokenInvalid, refused)},
	{name: "an invalid token is the last one", check: "invalid token", change: func(c *brokenClient) {
		c.loginBot = func(ctx context.Context, token string) (provisioning.Account, error) {
			if c.shared[c.userID] != nil {
				return provisioning.Account{}, provisioning.ErrBotTokenInvalid
			}
			c.shared[c.userID] = true
			return c.client.LoginBot(ctx, token)
		}
	}},
	{name: "an expired token is invalid", check: "expired token", change: insteadOf(provisioning.ErrBotTokenExpired, provisioning.ErrBotTokenInvalid)},
}

var qrMutants = []telegramMutant{
	{name: "scanned by nobody", check: "scan", change: afterQR(func(c *brokenClient, _ *provisioning.Account, err error) error {
		c.keep(nil)
		return err
	})},
	{name: "scanned by an empty account", check: "scan", change: afterQR(func(_ *brokenClient, a *provisioning.Account, err error) error {
		*a = provisioning.Account{}
		return err
	})},
	{name: "shown twice", check: "scan", change: withShow(func(ctx context.Context, token provisioning.QRToken, _ int, show showFunc) error {
		err := show(ctx, token)
		_ = show(ctx, token)
		return err
	})},
	{name: "the token alone", check: "scan", change: withShow(func(ctx context.Context, token provisioning.QRToken, _ int, show showFunc) error {
		token.URL = token.URL[len("tg://login?token="):]
		return show(ctx, token)
	})},
	{name: "a token without its end", check: "scan", change: withShow(func(ctx context.Context, token provisioning.QRToken, _ int, show showFunc) error {
		token.Expires = time.Time{}
		return show(ctx, token)
	})},
	{name: "a scan makes two sessions", check: "scan", change: afterQR(func(c *brokenClient, _ *provisioning.Account, err error) error {
		c.keepFor("@left:example.com", c.session())
		return err
	})},
	{name: "one token", check: "fresh tokens", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		if err := c.telegram.beginLogin(c.userID); err != nil {
			return provisioning.Account{}, err
		}
		account, err := c.showQR(ctx, show)
		if account == nil {
			return provisioning.Account{}, errors.Join(err, provisioning.ErrLoginTimeout)
		}
		return c.scanned(account)
	})},
	{name: "the same token again", check: "fresh tokens", change: func(c *brokenClient) {
		var first provisioning.QRToken
		withShow(func(ctx context.Context, token provisioning.QRToken, n int, show showFunc) error {
			if n == 1 {
				first = token
			}
			return show(ctx, first)
		})(c)
	}},
	{name: "tokens without end", check: "nobody scans", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		for {
			if a, err := c.client.LoginQR(ctx, show); !errors.Is(err, provisioning.ErrLoginTimeout) {
				return a, err
			}
			_ = wait(ctx, time.Second)
		}
	})},
	{name: "one token too many", check: "nobody scans", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		a, err := c.client.LoginQR(ctx, show)
		if errors.Is(err, provisioning.ErrLoginTimeout) {
			_ = show(ctx, provisioning.QRToken{URL: "tg://login?token=x", Expires: time.Now().Add(time.Second)})
		}
		return a, err
	})},
	{name: "a timeout is the context's", check: "nobody scans", change: insteadOf(provisioning.ErrLoginTimeout, context.DeadlineExceeded)},
	{name: "show may fail", check: "show fails", change: withShow(func(ctx context.Context, token provisioning.QRToken, _ int, show showFunc) error {
		_ = show(ctx, token)
		return nil
	})},
	{name: "show's error is hidden", check: "show fails", change: insteadOf(errShow, errSome)},
	{name: "the end of the context is no error", check: "context ends", change: insteadOf(context.Canceled, nil)},
	{name: "the login goes on without a context", check: "context ends", change: lingering},
	{name: "the login goes on without a context", check: "show fails", change: lingering},
	{name: "shown without a context", check: "context ends", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		a, err := c.client.LoginQR(ctx, show)
		if ctx.Err() != nil {
			_ = show(ctx, provisioning.QRToken{URL: "tg://login?token=x", Expires: time.Now().Add(time.Second)})
		}
		return a, err
	})},
	{name: "the context counts later", check: "context has ended", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		a, err := c.client.LoginQR(context.WithoutCancel(ctx), show)
		return a, errors.Join(err, ctx.Err())
	})},
	{name: "an earlier login is forgotten", check: "earlier login", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		if s := c.session(); s != nil && !s.loggedIn {
			c.keep(nil)
		}
		return c.client.LoginQR(ctx, show)
	})},
	{name: "an earlier login is forgotten at the end", check: "earlier login", change: afterQR(func(c *brokenClient, _ *provisioning.Account, err error) error {
		if err != nil {
			c.keep(nil)
		}
		return err
	})},
	{name: "an earlier login goes on", check: "earlier login replaced", change: earlierStays},
	{name: "a scan is lost when the context ends", check: "context ends after the scan", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		a, err := c.client.LoginQR(ctx, show)
		if err == nil && ctx.Err() != nil {
			c.keepFor("@left:example.com", c.session())
			c.keep(nil)
			return provisioning.Account{}, ctx.Err()
		}
		return a, err
	})},
	{name: "logged in, and the context's error", check: "context ends after the scan", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		a, err := c.client.LoginQR(ctx, show)
		return a, errors.Join(err, ctx.Err())
	})},
	{name: "no password needed", check: "password", change: onError(provisioning.ErrPasswordNeeded, func(c *brokenClient) error {
		c.changeSession(func(s *session) { s.loggedIn = true })
		return nil
	})},
	{name: "a password is some refusal", check: "password", change: insteadOf(provisioning.ErrPasswordNeeded, refused)},
	{name: "the scan in memory", check: "password", whole: atRestart(func(s *session) { s.codeAccepted = false })},
	{name: "a scan is no accepted code", check: "password", change: afterQR(func(c *brokenClient, _ *provisioning.Account, err error) error {
		if errors.Is(err, provisioning.ErrPasswordNeeded) {
			c.keep(nil)
		}
		return err
	})},
	{name: "an earlier login goes on", check: "password of an earlier login", change: earlierStays},
	{name: "the last login counts", check: "another login is done first", change: withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		return c.client.LoginQR(ctx, func(ctx context.Context, token provisioning.QRToken) error {
			err := show(ctx, token)
			if s := c.session(); s != nil && s.loggedIn {
				c.keep(nil)
			}
			return err
		})
	})},
	{name: "both logins count", check: "another login is done first", change: afterQR(func(c *brokenClient, _ *provisioning.Account, err error) error {
		if errors.Is(err, provisioning.ErrAlreadyLoggedIn) {
			c.telegram.LogIn("@left:example.com", plainAccount.ID)
		}
		return err
	})},
	{name: "done first is some refusal", check: "another login is done first", change: insteadOf(provisioning.ErrAlreadyLoggedIn, refused)},
	{name: "banned is not logged in", check: "banned", change: insteadOf(provisioning.ErrPhoneNumberBanned, provisioning.ErrNotLoggedIn)},
	{name: "revoked is not logged in", check: "revoked", change: insteadOf(provisioning.ErrSessionRevoked, provisioning.ErrNotLoggedIn)},
}

// lingering has LoginQR go on when it should have ended. Calls to Telegram take a moment.
func lingering(c *brokenClient) {
	withQR(lingerQR)(c)
	c.account = func(ctx context.Context) (provisioning.Account, error) {
		letOthersIn()
		return c.client.Account(ctx)
	}
}

func lingerQR(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
	type result struct {
		account provisioning.Account
		err     error
	}
	done, failed := make(chan result, 1), make(chan error, 1)
	go func() {
		a, err := c.client.LoginQR(context.WithoutCancel(ctx), func(ctx context.Context, token provisioning.QRToken) error {
			if err := show(ctx, token); err != nil {
				failed <- err
			}
			return nil
		})
		done <- result{a, err}
	}()
	select {
	case r := <-done:
		return r.account, r.err
	case err := <-failed:
		return provisioning.Account{}, err
	case <-ctx.Done():
		return provisioning.Account{}, ctx.Err()
	}
}

// earlierStays keeps a half-done login that was there when somebody has scanned a code.
func earlierStays(c *brokenClient) {
	withQR(func(ctx context.Context, c *brokenClient, show showFunc) (provisioning.Account, error) {
		before := c.session()
		a, err := c.client.LoginQR(ctx, show)
		if before != nil && (err == nil || errors.Is(err, provisioning.ErrPasswordNeeded)) {
			c.keep(before)
		}
		return a, err
	})(c)
}
