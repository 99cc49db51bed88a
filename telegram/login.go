package telegram

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/calls"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// A login is a row with an auth key of its own, from before the key is made. It is nobody's
// while its process tries to begin the login, and becomes its user's with the first step that
// another request, or another process, can go on from. Every step locks the slot of the
// session, reads from the database how far the login has come, and stores what it has done
// before it answers: a process that starts anew goes on from there, with the same auth key,
// as Telegram demands.

// login is a login during one step. The slot is locked.
type login struct {
	*Client
	slot   *slot
	record record // of a half-done login, the zero value where there is none
}

// withLogin runs a step of the login. Errors: provisioning.ErrAlreadyLoggedIn, and ended where
// Telegram, or another process, has ended the login meanwhile.
func (cl *Client) withLogin(ctx context.Context, ended error, run func(l *login) error) error {
	s, err := cl.f.lockSlot(ctx, cl.key)
	if err != nil {
		return err
	}
	defer cl.f.unlockSlot(cl.key, s)
	r, err := cl.f.store.get(ctx, cl.key)
	if err != nil {
		return err
	}
	if r.step.accepted() {
		return provisioning.ErrAlreadyLoggedIn
	}
	l := &login{cl, s, r}
	if r.expired {
		if err := l.abandon(ctx, nil); err != nil {
			return err
		}
	}
	if err := run(l); !errors.Is(err, provisioning.ErrNotLoggedIn) || errors.Is(err, provisioning.ErrDatabase) {
		return err
	}
	return ended
}

// abandon ends the login, also when ctx has ended, and returns the reason.
func (l *login) abandon(ctx context.Context, reason error) error {
	if l.record.row == "" {
		return reason
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	l.f.stopConn(l.slot)
	end := l.f.endRow
	if errors.Is(reason, provisioning.ErrNotLoggedIn) { // Telegram has ended it
		end = l.f.store.delete
	}
	err := end(ctx, l.record.row)
	l.record = record{}
	return errors.Join(err, reason)
}

// begin starts a login with a new auth key; put or Factory.discard must follow. Errors:
// provisioning.ErrOverloaded.
func (l *login) begin(ctx context.Context) (*conn, error) {
	row, err := l.f.newRow(ctx, l.key)
	if err != nil {
		return nil, err
	}
	c, err := l.f.startSession(ctx, l.key, row)
	if err != nil {
		return nil, errors.Join(err, l.f.store.delete(context.WithoutCancel(ctx), row))
	}
	if err := c.wait(ctx); err != nil {
		l.f.discard(ctx, c)
		return nil, err
	}
	return c, nil
}

// newRow makes a row for a login.
func (f *Factory) newRow(ctx context.Context, key sessionKey) (rowID, error) {
	row, err := f.store.insert(ctx, key)
	if err == nil && f.premade != nil {
		err = f.store.putSession(ctx, key, row, f.premade())
	}
	return row, err
}

// connect returns the connection of a login that has begun. When Telegram has ended the
// login, it is deleted.
func (l *login) connect(ctx context.Context) (*conn, error) {
	c, err := l.f.connect(ctx, l.key, l.slot, l.record.row)
	if errors.Is(err, provisioning.ErrNotLoggedIn) {
		err = l.abandon(ctx, err)
	}
	return c, err
}

// put stores how far a login has come, in the row of its client, which is the user's from
// now on. Errors: those of sessionStore.put.
func (l *login) put(ctx context.Context, c *conn, r record) error {
	r.row = c.row
	ctx, cancel := recording(ctx)
	defer cancel()
	if err := l.f.store.put(ctx, l.key, r, l.f.cfg.LoginTimeout); err != nil {
		return err
	}
	if l.slot.conn != c {
		l.f.stopConn(l.slot)
		l.f.setConn(l.slot, c)
	}
	l.record = r
	return nil
}

// finish stores that Telegram has accepted the login. Where it can't be stored because the
// login has ended meanwhile, or another one was accepted, the session is ended; the error
// is errRowGone in the first case, provisioning.ErrAlreadyLoggedIn in the second.
func (l *login) finish(ctx context.Context, c *conn, user tg.UserClass) (provisioning.Account, error) {
	self, ok := user.AsNotEmpty()
	if !ok {
		return provisioning.Account{}, rpcerror.Unexpected(user)
	}
	account := calls.AccountOf(self)
	if err := l.put(ctx, c, record{step: stepActive, account: account}); err != nil {
		if errors.Is(err, errRowGone) || errors.Is(err, provisioning.ErrAlreadyLoggedIn) {
			l.f.endAccepted(ctx, c)
		}
		return provisioning.Account{}, err
	}
	l.f.loggedOut.loggedIn(l.key)
	c.authorize()
	c.rememberAccount(account, time.Now())
	return account, nil
}

// finishAccepted finishes a login that Telegram has accepted already: the process died
// before that was stored. It returns false for one that was not accepted.
func (l *login) finishAccepted(ctx context.Context, c *conn) (provisioning.Account, bool) {
	self, err := c.client.Self(ctx)
	if err != nil {
		return provisioning.Account{}, false
	}
	account, err := l.finish(ctx, c, self)
	return account, err == nil
}

// errEndedWhileTrying: another process has ended a login that this one was trying, and took
// too long for.
var errEndedWhileTrying = fmt.Errorf("%w: the login took too long", provisioning.ErrTelegramUnavailable)

// LoginBot implements provisioning.BotLogin. A login by phone number that is half done is
// ended when the bot is logged in.
func (cl *Client) LoginBot(ctx context.Context, token string) (account provisioning.Account, err error) {
	err = cl.withLogin(ctx, errEndedWhileTrying, func(l *login) error {
		leave, err := l.f.newSessions.enter(ctx, l.key)
		if err != nil {
			return err
		}
		defer leave()
		c, err := l.begin(ctx)
		if err != nil {
			return err
		}
		var result *tg.AuthAuthorization
		c, err = l.follow(ctx, c, func(c *conn) (err error) {
			result, err = c.client.Auth().Bot(ctx, token)
			return err
		})
		if err != nil {
			err = c.explain(ctx, "auth.importBotAuthorization", err)
		} else {
			account, err = l.finish(ctx, c, result.User)
		}
		if err != nil {
			l.f.discard(ctx, c)
		}
		return err
	})
	return account, err
}

// SubmitCode implements provisioning.PhoneLogin.
func (cl *Client) SubmitCode(ctx context.Context, code provisioning.LoginCode) (account provisioning.Account, err error) {
	err = cl.withLogin(ctx, provisioning.ErrPhoneCodeExpired, func(l *login) error {
		switch l.record.step {
		case stepCode:
			account, err = l.submitCode(ctx, code)
			return err
		case stepPassword:
			return provisioning.ErrPasswordNeeded
		default:
			return provisioning.ErrPhoneCodeExpired
		}
	})
	return account, err
}

func (l *login) submitCode(ctx context.Context, code provisioning.LoginCode) (provisioning.Account, error) {
	c, err := l.connect(ctx)
	if err != nil {
		return provisioning.Account{}, err
	}
	user, err := l.signIn(ctx, c.client.API(), code.Value(l.record.login.codeLength))
	if err == nil {
		return l.finish(ctx, c, user)
	}
	err = c.explain(ctx, "auth.signIn", err)
	switch {
	case errors.Is(err, provisioning.ErrPhoneCodeInvalid):
		return provisioning.Account{}, l.countWrong(ctx, c, l.f.cfg.WrongCodes, err)
	case errors.Is(err, provisioning.ErrPasswordNeeded):
		r := l.record
		r.step, r.login.requestedAt, r.login.passwordHint, r.login.wrong = stepPassword, time.Now(), passwordHint(ctx, c), 0
		if err := l.put(ctx, c, r); err != nil {
			return provisioning.Account{}, err
		}
		return provisioning.Account{}, err
	case errors.Is(err, provisioning.ErrPhoneCodeExpired):
		if account, ok := l.finishAccepted(ctx, c); ok {
			return account, nil
		}
		return provisioning.Account{}, l.abandon(ctx, err)
	case errors.Is(err, provisioning.ErrPhoneNumberUnoccupied):
		return provisioning.Account{}, l.abandon(ctx, err)
	default:
		return provisioning.Account{}, err
	}
}

// countWrong counts a wrong code or password. The login that has had as many as it may have is
// ended. It returns the reason, with provisioning.ErrLoginGivenUp in the latter case.
func (l *login) countWrong(ctx context.Context, c *conn, most int, reason error) error {
	r := l.record
	if r.login.wrong++; most > 0 && r.login.wrong >= most {
		return l.abandon(ctx, fmt.Errorf("%w: %w", provisioning.ErrLoginGivenUp, reason))
	}
	if err := l.put(ctx, c, r); err != nil {
		return err
	}
	return reason
}

// signIn gives the code to Telegram. It is not gotd's SignIn, which in v0.162.0 knows
// nothing of codes that went by e-mail (no issue; TestGotdKnowsNoCodesByEmail).
//
// TL: auth.signIn; https://core.telegram.org/api/auth#email-verification
func (l *login) signIn(ctx context.Context, api *tg.Client, code string) (tg.UserClass, error) {
	request := &tg.AuthSignInRequest{PhoneNumber: l.record.login.phone, PhoneCodeHash: l.record.login.codeHash}
	if l.record.login.emailed {
		request.SetEmailVerification(&tg.EmailVerificationCode{Code: code})
	} else {
		request.SetPhoneCode(code)
	}
	answer, err := api.AuthSignIn(ctx, request)
	if err != nil {
		return nil, err
	}
	switch a := answer.(type) {
	case *tg.AuthAuthorization:
		return a.User, nil
	case *tg.AuthAuthorizationSignUpRequired:
		return nil, &auth.SignUpRequired{TermsOfService: a.TermsOfService}
	default:
		return nil, rpcerror.Unexpected(answer)
	}
}

// SubmitPassword implements provisioning.PhoneLogin.
func (cl *Client) SubmitPassword(ctx context.Context, password string) (account provisioning.Account, err error) {
	err = cl.withLogin(ctx, provisioning.ErrSessionRevoked, func(l *login) error {
		if l.record.step != stepPassword {
			return provisioning.ErrPhoneCodeNotEntered
		}
		account, err = l.submitPassword(ctx, password)
		return err
	})
	return account, err
}

func (l *login) submitPassword(ctx context.Context, password string) (provisioning.Account, error) {
	c, err := l.connect(ctx)
	if err != nil {
		return provisioning.Account{}, err
	}
	// Not gotd's Password, which tests the prime each time (TestGotdTestsPrimesAnew).
	result, err := c.client.Auth().PasswordWith(ctx, l.f.primes.Password(password))
	if tgerr.Is(err, passwordParametersUsed...) {
		// Another attempt has used the parameters meanwhile: ask for new ones.
		result, err = c.client.Auth().PasswordWith(ctx, l.f.primes.Password(password))
	}
	if err == nil {
		return l.finish(ctx, c, result.User)
	}
	err = c.explain(ctx, "auth.checkPassword", err)
	if errors.Is(err, provisioning.ErrSessionRevoked) {
		return provisioning.Account{}, l.abandon(ctx, err)
	}
	if errors.Is(err, provisioning.ErrPasswordInvalid) {
		return provisioning.Account{}, l.countWrong(ctx, c, l.f.cfg.WrongPasswords, err)
	}
	if _, refused := errors.AsType[*provisioning.TelegramError](err); refused {
		if account, ok := l.finishAccepted(ctx, c); ok {
			return account, nil
		}
	}
	return provisioning.Account{}, err
}
