package provisioningtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestLoginControlMutants(t *testing.T) {
	testTelegramSuite(t, loginControlChecks, controlMutants, errorMutants, losingMutants, alreadyMutants)
}

// withResend replaces ResendCode.
func withResend(resend func(ctx context.Context, c *brokenClient) (provisioning.SentCode, error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.resendCode = func(ctx context.Context) (provisioning.SentCode, error) { return resend(ctx, c) }
	}
}

// withCancel replaces CancelLogin.
func withCancel(cancel func(ctx context.Context, c *brokenClient) error) func(*brokenClient) {
	return func(c *brokenClient) {
		c.cancelLogin = func(ctx context.Context) error { return cancel(ctx, c) }
	}
}

// withProgress changes what LoginProgress returns.
func withProgress(change func(c *brokenClient, p *provisioning.LoginProgress)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.loginProgress = func(ctx context.Context) (provisioning.LoginProgress, error) {
			p, err := c.client.LoginProgress(ctx)
			change(c, &p)
			return p, err
		}
	}
}

// anotherTime is added to a time to get one that is not the one that is recorded.
const anotherTime = time.Minute

var controlMutants = []telegramMutant{
	{name: "a resent code is not counted", check: "resend counts", change: func(c *brokenClient) {
		c.resendCode = func(context.Context) (provisioning.SentCode, error) { return c.client.ResendCode(context.Background()) }
	}},
	{name: "nobody has been sent a code", check: "no login", change: withProgress(func(c *brokenClient, p *provisioning.LoginProgress) {
		if c.session() == nil {
			p.Step = provisioning.LoginCodeSent
		}
	})},
	{name: "no login is since now", check: "no login", change: withProgress(func(c *brokenClient, p *provisioning.LoginProgress) {
		if c.session() == nil {
			p.Since = time.Now()
		}
	})},
	{name: "no login is an error", check: "no login", change: inMethod("LoginProgress", func(ctx context.Context, c *brokenClient, call func(context.Context) error) error {
		if c.session() == nil {
			return provisioning.ErrPhoneCodeExpired
		}
		return call(ctx)
	})},
	{name: "progress without the number", check: "code sent", change: withProgress(func(_ *brokenClient, p *provisioning.LoginProgress) { p.Phone = "" })},
	{name: "progress without the time", check: "code sent", change: withProgress(func(_ *brokenClient, p *provisioning.LoginProgress) { p.Since = time.Time{} })},
	{name: "progress without the code", check: "code sent", change: withProgress(func(_ *brokenClient, p *provisioning.LoginProgress) { p.Sent = provisioning.SentCode{} })},
	{name: "progress without the next way", check: "code sent", change: withProgress(func(_ *brokenClient, p *provisioning.LoginProgress) { p.Sent.Next = nil })},
	{name: "progress without the time of the next way", check: "code sent", change: withProgress(func(_ *brokenClient, p *provisioning.LoginProgress) { p.Sent.ResendAt = time.Time{} })},
	{name: "progress of every wrong code", check: "code sent", change: onError(provisioning.ErrPhoneCodeInvalid, func(c *brokenClient) error {
		c.changeSession(func(s *session) { s.since = s.since.Add(anotherTime) })
		return provisioning.ErrPhoneCodeInvalid
	})},
	{name: "progress without the hint", check: "password missing", change: withProgress(func(_ *brokenClient, p *provisioning.LoginProgress) { p.PasswordHint = "" })},
	{name: "progress with a code that was accepted", check: "password missing", change: withProgress(func(_ *brokenClient, p *provisioning.LoginProgress) {
		p.Sent = provisioning.SentCode{Delivery: provisioning.DeliverySMS, Length: 5}
	})},
	{name: "progress of every code", check: "password missing", change: onError(provisioning.ErrPasswordNeeded, func(c *brokenClient) error {
		c.changeSession(func(s *session) {
			if c.shared[c.userID] != nil {
				s.since = s.since.Add(anotherTime)
			}
		})
		c.shared[c.userID] = true
		return provisioning.ErrPasswordNeeded
	})},
	{name: "progress asks Telegram", check: "progress while Telegram is away", change: inMethod("LoginProgress", func(ctx context.Context, c *brokenClient, call func(context.Context) error) error {
		if c.isAway() {
			return provisioning.ErrTelegramUnavailable
		}
		return call(ctx)
	})},
	{name: "progress is unknown to Telegram", check: "progress while Telegram is away", change: withProgress(func(c *brokenClient, p *provisioning.LoginProgress) {
		if c.isAway() {
			*p = provisioning.LoginProgress{}
		}
	})},
	{name: "progress in memory", check: "progress after a restart", whole: atRestart(func(s *session) { s.since = s.since.Add(anotherTime) })},
	{name: "how the code was sent in memory", check: "progress after a restart", whole: atRestart(func(s *session) { s.sent = provisioning.SentCode{} })},
	{name: "progress is remembered", check: "progress after the end", change: withProgress(func(c *brokenClient, p *provisioning.LoginProgress) {
		if last, ok := c.shared[c.userID].(provisioning.LoginProgress); ok && p.Step == provisioning.LoginNone {
			*p = last
		}
		c.shared[c.userID] = *p
	})},
	{name: "progress of a login that was done", check: "progress after the end", change: func(c *brokenClient) {
		c.logout = func(ctx context.Context) (bool, error) {
			s := c.session()
			pending, err := c.client.Logout(ctx)
			c.keep(&session{account: s.account, since: time.Now()})
			return pending, err
		}
	}},
	{name: "resent in the same way", check: "resend", change: withResend(func(ctx context.Context, c *brokenClient) (provisioning.SentCode, error) {
		sent := c.session().sent
		_, err := c.client.ResendCode(ctx)
		return sent, err
	})},
	{name: "not recorded how it was resent", check: "resend", change: withResend(func(ctx context.Context, c *brokenClient) (provisioning.SentCode, error) {
		before := c.session()
		sent, err := c.client.ResendCode(ctx)
		c.keep(before)
		return sent, err
	})},
	{name: "resent to nobody", check: "resend", change: withResend(func(ctx context.Context, c *brokenClient) (provisioning.SentCode, error) {
		sent, err := c.client.ResendCode(ctx)
		c.changeSession(func(s *session) { s.expired = true })
		return sent, err
	})},
	{name: "no further way is an expired code", check: "no further way", change: insteadOf(provisioning.ErrCodeNotResendable, provisioning.ErrPhoneCodeExpired)},
	{name: "no further way ends the login", check: "no further way", change: forgetting(provisioning.ErrCodeNotResendable)},
	{name: "nothing to resend is no further way", check: "resend nothing", change: insteadOf(provisioning.ErrPhoneCodeExpired, provisioning.ErrCodeNotResendable)},
	{name: "nothing to resend is no error", check: "resend nothing", change: insteadOf(provisioning.ErrPhoneCodeExpired, nil)},
	{name: "an expired code stays", check: "resend nothing", change: withResend(func(ctx context.Context, c *brokenClient) (provisioning.SentCode, error) {
		before := c.session()
		sent, err := c.client.ResendCode(ctx)
		if errors.Is(err, provisioning.ErrPhoneCodeExpired) {
			c.keep(before)
		}
		return sent, err
	})},
	{name: "an accepted code has expired", check: "resend an accepted code", change: withResend(func(ctx context.Context, c *brokenClient) (provisioning.SentCode, error) {
		sent, err := c.client.ResendCode(ctx)
		if errors.Is(err, provisioning.ErrPasswordNeeded) {
			err = provisioning.ErrPhoneCodeExpired
		}
		return sent, err
	})},
	{name: "an accepted code is resent", check: "resend an accepted code", change: withResend(func(ctx context.Context, c *brokenClient) (provisioning.SentCode, error) {
		sent, err := c.client.ResendCode(ctx)
		if errors.Is(err, provisioning.ErrPasswordNeeded) {
			c.changeSession(func(s *session) { s.codeAccepted = false })
		}
		return sent, err
	})},
	{name: "resending too often is some refusal", check: "resend too often", change: insteadOf(provisioning.ErrPhoneNumberFlood, refused)},
	{name: "cancel does nothing", check: "cancel", change: withCancel(func(context.Context, *brokenClient) error { return nil })},
	{name: "cancel only codes", check: "cancel", change: withCancel(func(ctx context.Context, c *brokenClient) error {
		if s := c.session(); s != nil && s.codeAccepted {
			return nil
		}
		return c.client.CancelLogin(ctx)
	})},
	{name: "cancel in memory", check: "cancel", whole: func(b *brokenTelegram) {
		b.change = withCancel(func(ctx context.Context, c *brokenClient) error {
			b.shared[c.userID] = c.session()
			return c.client.CancelLogin(ctx)
		})
		b.restart = func(sessions map[id.UserID]*session) {
			for userID, s := range b.shared {
				sessions[userID] = s.(*session)
			}
		}
	}},
	{name: "cancel nothing is an error", check: "cancel nothing", change: withCancel(func(ctx context.Context, c *brokenClient) error {
		if c.session() == nil {
			return provisioning.ErrPhoneCodeExpired
		}
		return c.client.CancelLogin(ctx)
	})},
	{name: "cancel needs Telegram", check: "cancel while Telegram is away", change: withCancel(func(ctx context.Context, c *brokenClient) error {
		if c.isAway() {
			return provisioning.ErrTelegramUnavailable
		}
		return c.client.CancelLogin(ctx)
	})},
	{name: "cancel only what Telegram forgets", check: "cancel while Telegram is away", change: withCancel(func(ctx context.Context, c *brokenClient) error {
		if c.isAway() {
			return nil
		}
		return c.client.CancelLogin(ctx)
	})},
	{name: "cancel without the context", check: "context of what is recorded", change: withCancel(func(ctx context.Context, c *brokenClient) error {
		return c.client.CancelLogin(context.WithoutCancel(ctx))
	})},
	{name: "cancel notices the context too late", check: "context of what is recorded", change: withCancel(func(ctx context.Context, c *brokenClient) error {
		return errors.Join(c.client.CancelLogin(context.WithoutCancel(ctx)), ctx.Err())
	})},
	{name: "progress without the context", check: "context of what is recorded", change: inMethod("LoginProgress", func(ctx context.Context, _ *brokenClient, call func(context.Context) error) error {
		return call(context.WithoutCancel(ctx))
	})},
	{name: "cancel logs out", check: "already logged in", change: withCancel(func(_ context.Context, c *brokenClient) error {
		c.keep(nil)
		return nil
	})},
}
