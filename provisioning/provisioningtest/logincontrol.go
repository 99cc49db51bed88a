package provisioningtest

import (
	"context"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestLoginControl runs every check of the interface provisioning.LoginControl as a
// subtest, each on a backend of its own. The factory's clients have to implement it and
// provisioning.PhoneLogin. That CancelLogin makes Telegram forget the code is not checked.
func TestLoginControl[B PhoneBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, loginControlChecks, func(t *testing.T) PhoneBackend { return backend(t) })
}

var loginControlChecks = append([]suiteCheck[PhoneBackend]{
	{"no login", "LoginProgress returns how far the login has come: the zero value is no login.", checkNoProgress},
	{"code sent", "LoginProgress returns how far the login has come: a code has been sent, when, how, and to which number.", checkProgressCode},
	{"password missing", "LoginProgress returns how far the login has come: the password has been missing since, and this is its hint.", checkProgressPassword},
	{"progress while Telegram is away", "LoginProgress returns what is recorded: it asks Telegram nothing.", checkProgressAway},
	{"progress after a restart", "LoginProgress returns how far the login has come, from what is recorded.", checkProgressRestart},
	{"progress after the end", "LoginProgress returns how far the login has come: of one that has ended there is nothing to say.", checkProgressEnd},
	{"resend", "ResendCode has the code sent again, in the next way that Telegram has.", checkResend},
	{"resend counts", "Before ResendCode asks Telegram it calls CountCode.", checkResendCounts},
	{"no further way", "ResendCode returns ErrCodeNotResendable when Telegram has no further way.", checkNoFurtherWay},
	{"resend nothing", "ResendCode returns ErrPhoneCodeExpired when no code was requested or it timed out.", checkResendNothing},
	{"resend an accepted code", "ResendCode returns ErrPasswordNeeded when the code was accepted already.", checkResendAccepted},
	{"resend too often", "ResendCode returns ErrPhoneNumberFlood.", checkResendFlood},
	{"cancel", "CancelLogin forgets the half-done login.", checkCancel},
	{"cancel nothing", "CancelLogin is no error where there is no half-done login.", checkCancelNothing},
	{"cancel while Telegram is away", "When Telegram can't be reached, the login is forgotten here all the same.", checkCancelAway},
	{"context of what is recorded", "Methods honour the context.", checkControlContext},
	alreadyCheck(controlCalls(true)),
}, errorChecks(controlCalls(false))...)

// controlClient is a client with LoginControl.
type controlClient interface {
	phoneClient
	provisioning.LoginControl
}

// controlCalls are the calls of LoginControl that ask Telegram. CancelLogin succeeds
// whatever Telegram says.
func controlCalls(cancel bool) clientCalls[PhoneBackend] {
	s := clientCalls[PhoneBackend]{addLoginAccounts[PhoneBackend], []clientCall[PhoneBackend]{{
		"ResendCode",
		func(t T, _ PhoneBackend, c provisioning.TelegramClient, _ id.UserID) {
			requestCode(t, c.(phoneClient), plainAccount)
		},
		func(ctx context.Context, _ PhoneBackend, c provisioning.TelegramClient) error {
			_, err := c.(provisioning.LoginControl).ResendCode(ctx)
			return err
		}, nil,
	}}}
	if cancel {
		s.calls = append(s.calls, clientCall[PhoneBackend]{
			"CancelLogin", nil, func(ctx context.Context, _ PhoneBackend, c provisioning.TelegramClient) error {
				return c.(provisioning.LoginControl).CancelLogin(ctx)
			}, nil,
		})
	}
	return s
}

func beginControl(t T, b PhoneBackend) controlClient {
	t.Helper()
	addLoginAccounts(b)
	return clientOf[controlClient](t, b.Open(), userA)
}

func progress(t T, c provisioning.LoginControl) provisioning.LoginProgress {
	t.Helper()
	p, err := c.LoginProgress(t.Context())
	if err != nil {
		t.Fatalf("LoginProgress: %v", err)
	}
	return p
}

// clockPrecision is how precise the times are that hosts record, at least.
const clockPrecision = time.Second

// wantProgress expects a login to have come so far, between two moments.
func wantProgress(t T, c provisioning.LoginControl, want provisioning.LoginProgress, from, to time.Time) {
	t.Helper()
	got := progress(t, c)
	if got.Step != want.Step || got.Phone != want.Phone || got.PasswordHint != want.PasswordHint {
		t.Errorf("LoginProgress says step %d, phone %q, password hint %q; want %d, %q, %q",
			got.Step, got.Phone, got.PasswordHint, want.Step, want.Phone, want.PasswordHint)
	}
	wantSent(t, "LoginProgress", got.Sent, want.Sent)
	if off := got.Sent.ResendAt.Sub(want.Sent.ResendAt).Abs(); off > clockPrecision {
		t.Errorf("LoginProgress says that the code may be sent again at %s, want %s as when it was sent", got.Sent.ResendAt, want.Sent.ResendAt)
	}
	if got.Since.Before(from.Add(-clockPrecision)) || got.Since.After(to.Add(clockPrecision)) {
		t.Errorf("LoginProgress says since %s, want a moment from %s to %s", got.Since, from, to)
	}
}

func wantNoProgress(t T, c provisioning.LoginControl, when string) {
	t.Helper()
	if got := progress(t, c); got != (provisioning.LoginProgress{}) {
		t.Errorf("LoginProgress %s: %+v, want the zero value", when, got)
	}
}

func checkNoProgress(t T, b PhoneBackend) {
	c := beginControl(t, b)
	wantNoProgress(t, c, "of somebody who has not begun to log in")
	_, _ = c.SubmitCode(t.Context(), provisioning.TextLoginCode(plainAccount.Code))
	wantNoProgress(t, c, "after a code that nobody has requested")
	requestCode(t, clientOf[phoneClient](t, b.Open(), userB), plainAccount)
	wantNoProgress(t, clientOf[controlClient](t, b.Open(), userA), "when somebody else has begun to log in")
}

// sentProgress requests a code and returns what LoginProgress is to say.
func sentProgress(t T, c phoneClient, account TelegramAccount) provisioning.LoginProgress {
	t.Helper()
	return provisioning.LoginProgress{Step: provisioning.LoginCodeSent, Phone: account.Phone, Sent: requestCode(t, c, account)}
}

func checkProgressCode(t T, b PhoneBackend) {
	c := beginControl(t, b)
	for _, account := range []TelegramAccount{plainAccount, guardedAccount} {
		from := time.Now()
		want := sentProgress(t, c, account)
		wantProgress(t, c, want, from, time.Now())
		wantCodeError(t, c, "99999", "with a wrong code", provisioning.ErrPhoneCodeInvalid)
		wantProgress(t, c, want, from, time.Now())
	}
}

var passwordProgress = provisioning.LoginProgress{
	Step: provisioning.LoginPasswordNeeded, Phone: guardedAccount.Phone, PasswordHint: guardedAccount.PasswordHint,
}

func checkProgressPassword(t T, b PhoneBackend) {
	c := beginControl(t, b)
	from := time.Now()
	enterCode(t, c)
	wantProgress(t, c, passwordProgress, from, time.Now())
	first := progress(t, c)
	wantCodeError(t, c, guardedAccount.Code, "when the password is missing", provisioning.ErrPasswordNeeded)
	if got := progress(t, c); !got.Since.Equal(first.Since) {
		t.Errorf("LoginProgress says that the password has been missing since %s, want %s as before", got.Since, first.Since)
	}
}

func checkProgressAway(t T, b PhoneBackend) {
	c := beginControl(t, b)
	recorded := func(want provisioning.LoginStep) {
		t.Helper()
		b.SetAway(true)
		err := bounded(t, "LoginProgress", callDeadline, func(ctx context.Context) error {
			p, err := c.LoginProgress(ctx)
			if err == nil && p.Step != want {
				t.Errorf("LoginProgress when Telegram can't be reached: step %d, want %d", p.Step, want)
			}
			return err
		})
		wantError(t, "LoginProgress when Telegram can't be reached", err, nil)
		b.SetAway(false)
	}
	recorded(provisioning.LoginNone)
	requestCode(t, c, guardedAccount)
	recorded(provisioning.LoginCodeSent)
	wantCodeError(t, c, guardedAccount.Code, "of an account with a two-factor password", provisioning.ErrPasswordNeeded)
	recorded(provisioning.LoginPasswordNeeded)
}

func checkProgressRestart(t T, b PhoneBackend) {
	c := beginControl(t, b)
	from := time.Now()
	want := sentProgress(t, c, guardedAccount)
	c = clientOf[controlClient](t, b.Open(), userA)
	wantProgress(t, c, want, from, time.Now())
	wantCodeError(t, c, guardedAccount.Code, "of an account with a two-factor password", provisioning.ErrPasswordNeeded)
	c = clientOf[controlClient](t, b.Open(), userA)
	wantProgress(t, c, passwordProgress, from, time.Now())
}

func checkProgressEnd(t T, b PhoneBackend) {
	c := beginControl(t, b)
	from := time.Now()
	want := sentProgress(t, c, plainAccount)
	wantProgress(t, c, want, from, time.Now())
	b.ExpireCode(plainAccount.Phone)
	wantCodeError(t, c, plainAccount.Code, "with a code that has timed out", provisioning.ErrPhoneCodeExpired)
	wantNoProgress(t, c, "after a code that has timed out")

	f := b.Open()
	c = clientOf[controlClient](t, f, userB)
	enterCode(t, c)
	b.Revoke(guardedAccount.ID)
	wantPasswordError(t, c, guardedAccount.Password, "after the login was ended from the outside", provisioning.ErrSessionRevoked)
	wantNoProgress(t, c, "after the login was ended from the outside")

	c = clientOf[controlClient](t, f, userC)
	requestCode(t, c, plainAccount)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
	logout(t, c)
	wantNoProgress(t, c, "after a login and a logout")
}

func checkResend(t T, b PhoneBackend) {
	c := beginControl(t, b)
	for _, account := range []TelegramAccount{guardedAccount, plainAccount} {
		requestCode(t, c, account)
		from := time.Now()
		sent, err := c.ResendCode(t.Context())
		if err != nil {
			t.Fatalf("ResendCode: %v", err)
		}
		if sent.Delivery != *account.Next || sent.Length != len(account.Code) {
			t.Errorf("ResendCode says that a code of %d characters was sent by %s, want %d by %s", sent.Length, sent.Delivery, len(account.Code), account.Next)
		}
		wantProgress(t, c, provisioning.LoginProgress{Step: provisioning.LoginCodeSent, Phone: account.Phone, Sent: sent}, from, time.Now())
	}
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func wantResendError(t T, c provisioning.LoginControl, when string, want error) {
	t.Helper()
	_, err := c.ResendCode(t.Context())
	wantError(t, "ResendCode "+when, err, want)
}

func checkNoFurtherWay(t T, b PhoneBackend) {
	c := beginControl(t, b)
	requestCode(t, c, plainAccount)
	if _, err := c.ResendCode(t.Context()); err != nil {
		t.Fatalf("ResendCode: %v", err)
	}
	for range 2 {
		wantResendError(t, c, "when the code was sent in every way", provisioning.ErrCodeNotResendable)
	}
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkResendNothing(t T, b PhoneBackend) {
	c := beginControl(t, b)
	wantResendError(t, c, "when no code was requested", provisioning.ErrPhoneCodeExpired)
	requestCode(t, c, plainAccount)
	b.ExpireCode(plainAccount.Phone)
	wantResendError(t, c, "when the code has timed out", provisioning.ErrPhoneCodeExpired)
	wantNoProgress(t, c, "after a code that has timed out")

	requestCode(t, clientOf[phoneClient](t, b.Open(), userB), bob)
	b.Revoke(bob.ID)
	c = clientOf[controlClient](t, b.Open(), userB)
	if _, err := c.ResendCode(t.Context()); !isOneOf(err, []error{provisioning.ErrPhoneCodeExpired, provisioning.ErrNotLoggedIn}) {
		t.Errorf("ResendCode after the login was ended from the outside: got the error %s", errorText(err))
	}
	wantNoProgress(t, c, "after the login was ended from the outside")
}

func checkResendAccepted(t T, b PhoneBackend) {
	c := beginControl(t, b)
	from := time.Now()
	enterCode(t, c)
	wantResendError(t, c, "when the code was accepted", provisioning.ErrPasswordNeeded)
	wantProgress(t, c, passwordProgress, from, time.Now())
}

func checkResendFlood(t T, b PhoneBackend) {
	c := beginControl(t, b)
	requestCode(t, c, plainAccount)
	b.SetError(400, "PHONE_NUMBER_FLOOD")
	wantResendError(t, c, "which Telegram answers with PHONE_NUMBER_FLOOD", provisioning.ErrPhoneNumberFlood)
}

// wantCancelled cancels a login, and expects nothing to be left of it.
func wantCancelled(t T, c controlClient, deadline time.Duration, when string) {
	t.Helper()
	wantError(t, "CancelLogin "+when, bounded(t, "CancelLogin", deadline, c.CancelLogin), nil)
	wantNoProgress(t, c, "after CancelLogin "+when)
	wantPasswordError(t, c, guardedAccount.Password, "after CancelLogin "+when, provisioning.ErrPhoneCodeNotEntered)
	wantCodeError(t, c, guardedAccount.Code, "after CancelLogin "+when, provisioning.ErrPhoneCodeExpired)
}

func checkCancel(t T, b PhoneBackend) {
	c := beginControl(t, b)
	requestCode(t, c, guardedAccount)
	wantCancelled(t, clientOf[controlClient](t, b.Open(), userA), callDeadline, "when a code has been sent")
	f := b.Open()
	wantNoProgress(t, clientOf[controlClient](t, f, userA), "after CancelLogin and a restart")
	c = clientOf[controlClient](t, f, userB)
	enterCode(t, c)
	wantCancelled(t, c, callDeadline, "when the password is missing")
	enterCode(t, c)
}

func checkCancelNothing(t T, b PhoneBackend) {
	c := beginControl(t, b)
	for range 2 {
		wantCancelled(t, c, callDeadline, "of somebody who has not begun to log in")
	}
}

func checkCancelAway(t T, b PhoneBackend) {
	c := beginControl(t, b)
	requestCode(t, c, guardedAccount)
	b.SetAway(true)
	wantError(t, "CancelLogin when Telegram can't be reached", bounded(t, "CancelLogin", forgetDeadline, c.CancelLogin), nil)
	wantNoProgress(t, c, "after CancelLogin when Telegram can't be reached")
	b.SetAway(false)
	wantCodeError(t, c, guardedAccount.Code, "after CancelLogin when Telegram can't be reached", provisioning.ErrPhoneCodeExpired)
}

func checkControlContext(t T, b PhoneBackend) {
	c := beginControl(t, b)
	requestCode(t, c, plainAccount)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.LoginProgress(ctx); err == nil {
		t.Errorf("LoginProgress with a cancelled context: no error")
	}
	if err := c.CancelLogin(ctx); err == nil {
		t.Errorf("CancelLogin with a cancelled context: no error")
	}
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}
