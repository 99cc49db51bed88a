package provisioningtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestPhoneLoginMutants(t *testing.T) {
	testTelegramSuite(t, phoneLoginChecks, phoneMutants, errorMutants, losingMutants, alreadyMutants)
}

// withRequest replaces RequestCode.
func withRequest(request func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.requestCode = func(ctx context.Context, phone string) (provisioning.SentCode, error) { return request(ctx, c, phone) }
	}
}

// withSent changes what RequestCode returns.
func withSent(change func(sent *provisioning.SentCode)) func(*brokenClient) {
	return withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		sent, err := c.client.RequestCode(ctx, phone)
		change(&sent)
		return sent, err
	})
}

// withCode replaces SubmitCode.
func withCode(submit func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.submitCode = func(ctx context.Context, code provisioning.LoginCode) (provisioning.Account, error) {
			return submit(ctx, c, code)
		}
	}
}

// withPassword replaces SubmitPassword.
func withPassword(submit func(ctx context.Context, c *brokenClient, password string) (provisioning.Account, error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.submitPassword = func(ctx context.Context, password string) (provisioning.Account, error) {
			return submit(ctx, c, password)
		}
	}
}

// afterLogin does something when SubmitCode, or SubmitPassword, has logged in.
func afterLogin(do func(c *brokenClient, a *provisioning.Account)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.submitCode = func(ctx context.Context, code provisioning.LoginCode) (provisioning.Account, error) {
			a, err := c.client.SubmitCode(ctx, code)
			if err == nil {
				do(c, &a)
			}
			return a, err
		}
		c.submitPassword = func(ctx context.Context, password string) (provisioning.Account, error) {
			a, err := c.client.SubmitPassword(ctx, password)
			if err == nil {
				do(c, &a)
			}
			return a, err
		}
	}
}

// changeSession changes what the client keeps, if it keeps anything.
func (c *brokenClient) changeSession(change func(s *session)) {
	if s := c.session(); s != nil {
		changed := *s
		change(&changed)
		c.keep(&changed)
	}
}

var refused = &provisioning.TelegramError{Code: 400, Type: "PHONE_NUMBER_REFUSED"}

var phoneMutants = []telegramMutant{
	{name: "nobody is logged in after all", check: "code", change: afterLogin(func(c *brokenClient, _ *provisioning.Account) { c.keep(nil) })},
	{name: "no account is returned", check: "code", change: afterLogin(func(_ *brokenClient, a *provisioning.Account) { *a = provisioning.Account{} })},
	{name: "two sessions", check: "code", change: afterLogin(func(c *brokenClient, _ *provisioning.Account) {
		c.keepFor("@left:example.com", c.session())
	})},
	{name: "logged in by the request", check: "code", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		sent, err := c.client.RequestCode(ctx, phone)
		c.changeSession(func(s *session) { s.loggedIn = true })
		return sent, err
	})},
	{name: "one spelling", check: "usual spellings", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		if strings.Trim(phone, "+0123456789") != "" {
			return provisioning.SentCode{}, provisioning.ErrPhoneNumberInvalid
		}
		return c.client.RequestCode(ctx, phone)
	})},
	{name: "no blanks around", check: "usual spellings", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		if strings.TrimSpace(phone) != phone {
			return provisioning.SentCode{}, provisioning.ErrPhoneNumberInvalid
		}
		return c.client.RequestCode(ctx, phone)
	})},
	{name: "always by SMS", check: "sent code", change: withSent(func(s *provisioning.SentCode) { s.Delivery = provisioning.DeliverySMS })},
	{name: "of no length", check: "sent code", change: withSent(func(s *provisioning.SentCode) { s.Length = 0 })},
	{name: "to nowhere", check: "sent code", change: withSent(func(s *provisioning.SentCode) { s.Destination = "" })},
	{name: "in one way only", check: "sent code", change: withSent(func(s *provisioning.SentCode) { s.Next = nil })},
	{name: "a second request sends the code again", check: "request again", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		if c.session() != nil {
			return c.client.ResendCode(ctx)
		}
		return c.client.RequestCode(ctx, phone)
	})},
	{name: "a second request is refused", check: "request again", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		if c.session() != nil {
			return provisioning.SentCode{}, provisioning.ErrPhoneNumberFlood
		}
		return c.client.RequestCode(ctx, phone)
	})},
	{name: "a second request ends the first", check: "request again", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		again := c.session() != nil
		sent, err := c.client.RequestCode(ctx, phone)
		if again {
			c.changeSession(func(s *session) { s.expired = true })
		}
		return sent, err
	})},
	{name: "the first number stays", check: "another number", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		before := c.session()
		sent, err := c.client.RequestCode(ctx, phone)
		if before != nil {
			c.keep(before)
		}
		return sent, err
	})},
	{name: "anything is a phone number", check: "no phone number", change: insteadOf(provisioning.ErrPhoneNumberInvalid, provisioning.ErrPhoneNumberUnoccupied)},
	{name: "any digits are a phone number", check: "no phone number", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		if n := strings.TrimPrefix(phone, "+"); n != "" && strings.Trim(n, "0123456789") == "" {
			phone = "+" + plainAccount.Phone
		}
		return c.client.RequestCode(ctx, phone)
	})},
	{name: "banned is some refusal", check: "refused numbers", change: insteadOf(provisioning.ErrPhoneNumberBanned, refused)},
	{name: "forbidden is some refusal", check: "refused numbers", change: insteadOf(provisioning.ErrPhoneNumberAppSignupForbidden, refused)},
	{name: "flood is some refusal", check: "refused numbers", change: insteadOf(provisioning.ErrPhoneNumberFlood, refused)},
	{name: "no e-mail address is some refusal", check: "e-mail address required", change: insteadOf(provisioning.ErrLoginEmailRequired, refused)},
	{name: "no e-mail address is no error", check: "e-mail address required", change: insteadOf(provisioning.ErrLoginEmailRequired, nil)},
	{name: "the login before goes on without an e-mail address", check: "e-mail address required", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		before := c.session()
		sent, err := c.client.RequestCode(ctx, phone)
		if errors.Is(err, provisioning.ErrLoginEmailRequired) {
			c.keep(before)
		}
		return sent, err
	})},
	{name: "no account is some refusal", check: "nobody's number", change: insteadOf(provisioning.ErrPhoneNumberUnoccupied, refused)},
	{name: "a number without an account is none", check: "nobody's number", change: insteadOf(provisioning.ErrPhoneNumberUnoccupied, provisioning.ErrPhoneNumberInvalid)},
	{name: "integers as they are", check: "integer code", change: withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
		return c.client.SubmitCode(ctx, provisioning.TextLoginCode(code.Value(0)))
	})},
	{name: "a wrong code has expired", check: "wrong code", change: insteadOf(provisioning.ErrPhoneCodeInvalid, provisioning.ErrPhoneCodeExpired)},
	{name: "a wrong code ends the login", check: "wrong code", change: forgetting(provisioning.ErrPhoneCodeInvalid)},
	{name: "text is padded too", check: "wrong code", change: withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
		return c.client.SubmitCode(ctx, provisioning.IntegerLoginCode(code.Value(0)))
	})},
	{name: "codes are not counted", check: "counted codes", change: withRequest(func(_ context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		return c.client.RequestCode(context.Background(), phone)
	})},
	{name: "every request counts", check: "counted codes", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		if err := provisioning.CountCode(ctx, phone); err != nil {
			return provisioning.SentCode{}, err
		}
		return c.client.RequestCode(context.Background(), phone)
	})},
	{name: "a refused code is sent", check: "counted codes", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		sent, err := c.client.RequestCode(ctx, phone)
		if errors.Is(err, errNoMoreCodes) {
			_, _ = c.client.RequestCode(context.Background(), phone)
		}
		return sent, err
	})},
	{name: "codes without end", check: "too many wrong codes", change: withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
		c.changeSession(func(s *session) { s.wrong = 0 })
		return c.client.SubmitCode(ctx, code)
	})},
	{name: "given up and kept", check: "too many wrong codes", change: withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
		before := c.session()
		a, err := c.client.SubmitCode(ctx, code)
		if errors.Is(err, provisioning.ErrLoginGivenUp) {
			c.keep(before)
		}
		return a, err
	})},
	{name: "passwords without end", check: "too many wrong passwords", change: withPassword(func(ctx context.Context, c *brokenClient, password string) (provisioning.Account, error) {
		c.changeSession(func(s *session) { s.wrong = 0 })
		return c.client.SubmitPassword(ctx, password)
	})},
	{name: "wrong codes in memory", check: "wrong codes before a restart", whole: atRestart(func(s *session) { s.wrong = 0 })},
	{name: "a code without a request is wrong", check: "no code requested", change: insteadOf(provisioning.ErrPhoneCodeExpired, provisioning.ErrPhoneCodeInvalid)},
	{name: "an expired code is wrong", check: "expired code", change: insteadOf(provisioning.ErrPhoneCodeExpired, provisioning.ErrPhoneCodeInvalid)},
	{name: "codes never expire", check: "expired code", change: withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
		c.changeSession(func(s *session) { s.expired = false })
		return c.client.SubmitCode(ctx, code)
	})},
	{name: "an expired code ends everything", check: "expired code", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		if c.shared[c.userID] != nil && c.session() == nil {
			return provisioning.SentCode{}, provisioning.ErrPhoneNumberFlood
		}
		c.shared[c.userID] = true
		return c.client.RequestCode(ctx, phone)
	})},
	{name: "no password needed", check: "password", change: onError(provisioning.ErrPasswordNeeded, func(c *brokenClient) error {
		c.changeSession(func(s *session) { s.loggedIn = true })
		return nil
	})},
	{name: "logged in while the password is missing", check: "password", change: onError(provisioning.ErrPasswordNeeded, func(c *brokenClient) error {
		c.changeSession(func(s *session) { s.loggedIn = true })
		return provisioning.ErrPasswordNeeded
	})},
	{name: "the password is some refusal", check: "password", change: insteadOf(provisioning.ErrPasswordNeeded, refused)},
	{name: "a code for the second time is none", check: "password", change: withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
		if s := c.session(); s != nil && s.codeAccepted {
			return provisioning.Account{}, provisioning.ErrPhoneCodeExpired
		}
		return c.client.SubmitCode(ctx, code)
	})},
	{name: "the password makes two sessions", check: "password", change: afterLogin(func(c *brokenClient, _ *provisioning.Account) {
		c.keepFor("@left:example.com", c.session())
	})},
	{name: "passwords trimmed", check: "wrong password", change: withPassword(func(ctx context.Context, c *brokenClient, password string) (provisioning.Account, error) {
		if strings.TrimSpace(password) == strings.TrimSpace(guardedAccount.Password) {
			password = guardedAccount.Password
		}
		return c.client.SubmitPassword(ctx, password)
	})},
	{name: "a wrong password is some refusal", check: "wrong password", change: insteadOf(provisioning.ErrPasswordInvalid, refused)},
	{name: "a wrong password ends the login", check: "wrong password", change: forgetting(provisioning.ErrPasswordInvalid)},
	{name: "a password before the code is wrong", check: "password before the code", change: insteadOf(provisioning.ErrPhoneCodeNotEntered, provisioning.ErrPasswordInvalid)},
	{name: "a password before the code ends the login", check: "password before the code", change: forgetting(provisioning.ErrPhoneCodeNotEntered)},
	{name: "a revoked login is not logged in", check: "revoked before the password", change: insteadOf(provisioning.ErrSessionRevoked, provisioning.ErrNotLoggedIn)},
	{name: "a revoked login is kept", check: "revoked before the password", change: withPassword(func(ctx context.Context, c *brokenClient, password string) (provisioning.Account, error) {
		before := c.session()
		a, err := c.client.SubmitPassword(ctx, password)
		if errors.Is(err, provisioning.ErrSessionRevoked) {
			c.keep(before)
		}
		return a, err
	})},
	{name: "a revoked login is the last one", check: "revoked before the code", change: withRequest(func(ctx context.Context, c *brokenClient, phone string) (provisioning.SentCode, error) {
		if s := c.session(); s != nil && s.revoked {
			return provisioning.SentCode{}, provisioning.ErrNotLoggedIn
		}
		return c.client.RequestCode(ctx, phone)
	})},
	{name: "a revoked code is kept", check: "revoked before the code", change: withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
		before := c.session()
		a, err := c.client.SubmitCode(ctx, code)
		if errors.Is(err, provisioning.ErrPhoneCodeExpired) && before != nil {
			c.keep(before)
			return a, provisioning.ErrNotLoggedIn
		}
		return a, err
	})},
	{name: "too many tries are some refusal", check: "too many tries", change: insteadOf(provisioning.ErrPhoneNumberFlood, refused)},
	{name: "too many passwords are wrong", check: "too many tries", change: inMethod("SubmitPassword", func(ctx context.Context, _ *brokenClient, call func(context.Context) error) error {
		if err := call(ctx); !errors.Is(err, provisioning.ErrPhoneNumberFlood) {
			return err
		}
		return provisioning.ErrPasswordInvalid
	})},
	{name: "half-done logins in memory", check: "restart", whole: atRestart(func(s *session) { s.expired, s.revoked = true, true })},
	{name: "the accepted code in memory", check: "restart", whole: atRestart(func(s *session) { s.codeAccepted = false })},
	{name: "the length of the code in memory", check: "restart", whole: func(b *brokenTelegram) {
		restarted := false
		b.restart = func(map[id.UserID]*session) { restarted = true }
		b.change = withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
			if restarted {
				code = provisioning.TextLoginCode(code.Value(0))
			}
			return c.client.SubmitCode(ctx, code)
		})
	}},
	{name: "one login for all", check: "own logins", change: func(c *brokenClient) { c.client.userID = userA }},
	{name: "each client has a login of its own", check: "own logins", change: func(c *brokenClient) {
		if c.session() != nil {
			c.submitCode = func(context.Context, provisioning.LoginCode) (provisioning.Account, error) {
				return provisioning.Account{}, provisioning.ErrPhoneCodeExpired
			}
		}
	}},
	{name: "the code is looked at, then used", check: "race of codes", change: withCode(func(ctx context.Context, c *brokenClient, code provisioning.LoginCode) (provisioning.Account, error) {
		before := c.session()
		letOthersIn()
		a, err := c.client.SubmitCode(ctx, code)
		if errors.Is(err, provisioning.ErrAlreadyLoggedIn) && !before.loggedIn {
			c.keepFor("@left:example.com", c.session())
			return before.account.Account, nil
		}
		return a, err
	})},
	{name: "who comes second has no code", check: "race of codes", change: insteadOf(provisioning.ErrAlreadyLoggedIn, provisioning.ErrPhoneCodeExpired)},
	{name: "who comes second has an empty account", check: "race of codes", change: insteadOf(provisioning.ErrAlreadyLoggedIn, nil)},
	{name: "one code at a time", check: "race of codes", change: func(c *brokenClient) { c.around = oneAtATime(c) }},
	{name: "who comes second has entered no code", check: "race of passwords", change: insteadOf(provisioning.ErrAlreadyLoggedIn, provisioning.ErrPhoneCodeNotEntered)},
	{name: "one request at a time", check: "race of requests", change: func(c *brokenClient) { c.around = oneAtATime(c) }},
}

// atRestart changes half-done logins at a restart.
func atRestart(change func(s *session)) func(*brokenTelegram) {
	return func(b *brokenTelegram) {
		b.restart = func(sessions map[id.UserID]*session) {
			for _, s := range sessions {
				if !s.loggedIn {
					change(s)
				}
			}
		}
	}
}
