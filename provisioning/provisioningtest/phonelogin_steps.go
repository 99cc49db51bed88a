package provisioningtest

import (
	"errors"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func checkIntegerCode(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	requestCode(t, c, plainAccount)
	submitCode(t, c, provisioning.IntegerLoginCode("1234"), plainAccount)
}

func checkWrongCode(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	requestCode(t, c, plainAccount)
	for _, code := range []string{"99999", "1234", "x", "012345"} {
		wantCodeError(t, c, code, "with a wrong code", provisioning.ErrPhoneCodeInvalid)
	}
	wantNobody(t, c)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkNoCode(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	wantCodeError(t, c, plainAccount.Code, "when none was requested", provisioning.ErrPhoneCodeExpired)
	wantNobody(t, c)
}

func checkExpiredCode(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	requestCode(t, c, plainAccount)
	b.ExpireCode(plainAccount.Phone)
	for range 2 {
		wantCodeError(t, c, plainAccount.Code, "with a code that has timed out", provisioning.ErrPhoneCodeExpired)
	}
	wantNobody(t, c)
	requestCode(t, c, plainAccount)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkPassword(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	enterCode(t, c)
	wantNobody(t, c)
	wantSessions(t, b, guardedAccount.ID, 0)
	wantCodeError(t, c, guardedAccount.Code, "when the password is missing", provisioning.ErrPasswordNeeded)
	submitPassword(t, c, guardedAccount.Password, guardedAccount)
	wantSessions(t, b, guardedAccount.ID, 1)
}

func checkWrongPassword(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	enterCode(t, c)
	wantPasswordError(t, c, strings.TrimSpace(guardedAccount.Password), "with a wrong password", provisioning.ErrPasswordInvalid)
	wantNobody(t, c)
	submitPassword(t, c, guardedAccount.Password, guardedAccount)
}

func checkPasswordFirst(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	wantPasswordError(t, c, guardedAccount.Password, "when no code was requested", provisioning.ErrPhoneCodeNotEntered)
	requestCode(t, c, guardedAccount)
	wantPasswordError(t, c, guardedAccount.Password, "when no code was entered", provisioning.ErrPhoneCodeNotEntered)
	wantCodeError(t, c, guardedAccount.Code, "after a password that came too early", provisioning.ErrPasswordNeeded)
}

func checkRevokedLogin(t T, b PhoneBackend) {
	addLoginAccounts(b)
	f := b.Open()
	for i, restart := range []bool{false, true} {
		c := clientOf[phoneClient](t, f, claimant(i))
		enterCode(t, c)
		b.Revoke(guardedAccount.ID)
		if restart {
			f = b.Open()
			c = clientOf[phoneClient](t, f, claimant(i))
		}
		wantPasswordError(t, c, guardedAccount.Password, "after the login was ended from the outside", provisioning.ErrSessionRevoked)
		wantPasswordError(t, c, guardedAccount.Password, "for the second time after the login was ended", provisioning.ErrPhoneCodeNotEntered)
		wantNobody(t, c)
	}
}

// checkRevokedCode has logins end from the outside whose code is missing: after the code was
// refused at the latest, a request begins another.
func checkRevokedCode(t T, b PhoneBackend) {
	addLoginAccounts(b)
	f := b.Open()
	for i, restart := range []bool{false, true} {
		c := clientOf[phoneClient](t, f, claimant(i))
		requestCode(t, c, plainAccount)
		b.Revoke(plainAccount.ID)
		if restart {
			f = b.Open()
			c = clientOf[phoneClient](t, f, claimant(i))
		}
		requestCode(t, c, plainAccount)
		_, err := c.SubmitCode(t.Context(), provisioning.TextLoginCode(plainAccount.Code))
		if err == nil { // the request had begun another login
			continue
		}
		if !isOneOf(err, []error{provisioning.ErrPhoneCodeExpired, provisioning.ErrNotLoggedIn}) {
			t.Errorf("SubmitCode after the login was ended from the outside: %v", err)
		}
		requestCode(t, c, plainAccount)
		submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
	}
	c := clientOf[phoneClient](t, f, userA)
	requestCode(t, c, bob)
	b.Revoke(bob.ID)
	c = clientOf[phoneClient](t, b.Open(), userA)
	for _, lost := range [][]error{{provisioning.ErrPhoneCodeExpired, provisioning.ErrNotLoggedIn}, {provisioning.ErrPhoneCodeExpired}} {
		if _, err := c.SubmitCode(t.Context(), provisioning.TextLoginCode(bob.Code)); !isOneOf(err, lost) {
			t.Errorf("SubmitCode after the login was ended from the outside: got the error %s, want one of %v", errorText(err), lost)
		}
	}
}

func checkTooManyTries(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	requestCode(t, c, guardedAccount)
	b.SetError(400, "PHONE_NUMBER_FLOOD")
	wantCodeError(t, c, guardedAccount.Code, "which Telegram answers with PHONE_NUMBER_FLOOD", provisioning.ErrPhoneNumberFlood)
	b.SetError(0, "")
	enterCode(t, c)
	b.SetError(406, "PHONE_PASSWORD_FLOOD")
	wantPasswordError(t, c, guardedAccount.Password, "which Telegram answers with PHONE_PASSWORD_FLOOD", provisioning.ErrPhoneNumberFlood)
}

func checkLoginRestart(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	restart := func() { c = clientOf[phoneClient](t, b.Open(), userA) }
	requestCode(t, c, guardedAccount)
	restart()
	wantNobody(t, c)
	wantCodeError(t, c, "99999", "with a wrong code after a restart", provisioning.ErrPhoneCodeInvalid)
	restart()
	wantCodeError(t, c, guardedAccount.Code, "after a restart", provisioning.ErrPasswordNeeded)
	restart()
	wantNobody(t, c)
	submitPassword(t, c, guardedAccount.Password, guardedAccount)
	restart()
	wantAccount(t, c, guardedAccount)

	other := clientOf[phoneClient](t, b.Open(), userB)
	requestCode(t, other, plainAccount)
	other = clientOf[phoneClient](t, b.Open(), userB)
	submitCode(t, other, provisioning.IntegerLoginCode("1234"), plainAccount)
}

func checkOwnLogins(t T, b PhoneBackend) {
	addLoginAccounts(b)
	f := b.Open()
	one, two := clientOf[phoneClient](t, f, userA), clientOf[phoneClient](t, f, userB)
	requestCode(t, one, plainAccount)
	wantCodeError(t, two, plainAccount.Code, "of somebody who has requested none", provisioning.ErrPhoneCodeExpired)
	enterCode(t, two)
	wantPasswordError(t, one, guardedAccount.Password, "of somebody who has entered no code", provisioning.ErrPhoneCodeNotEntered)
	requestCode(t, two, bob)
	// Two clients of one user are the same.
	submitCode(t, clientOf[phoneClient](t, f, userA), provisioning.TextLoginCode(plainAccount.Code), plainAccount)
	wantAccount(t, one, plainAccount)
	wantNobody(t, two)
	submitCode(t, two, provisioning.TextLoginCode(bob.Code), bob)
	wantAccount(t, one, plainAccount)
}

// loginRacers is how many calls race for one login.
const loginRacers = 5

// raceLogin runs calls at once that log a user in: at least one has to succeed, and the
// others return the account as well, or ErrAlreadyLoggedIn.
func raceLogin(t T, b PhoneBackend, f provisioning.TelegramClientFactory, userID id.UserID, want TelegramAccount, call func(phoneClient) (provisioning.Account, error)) {
	t.Helper()
	won := make(chan struct{}, loginRacers)
	var calls []func() error
	for range loginRacers {
		c := clientOf[phoneClient](t, f, userID)
		calls = append(calls, func() error {
			account, err := call(c)
			switch {
			case errors.Is(err, provisioning.ErrAlreadyLoggedIn):
				return nil
			case err == nil && account != want.Account:
				return fmt.Errorf("it returned %+v, want %+v", account, want.Account)
			case err == nil:
				won <- struct{}{}
			}
			return err
		})
	}
	race(t, calls)
	if len(won) == 0 {
		t.Errorf("none of %d racing calls has logged in", loginRacers)
	}
	wantAccount(t, clientOf[phoneClient](t, f, userID), want)
	wantSessions(t, b, want.ID, 1)
}

func checkRaceCodes(t T, b PhoneBackend) {
	addLoginAccounts(b)
	f := b.Open()
	requestCode(t, clientOf[phoneClient](t, f, userA), plainAccount)
	raceLogin(t, b, f, userA, plainAccount, func(c phoneClient) (provisioning.Account, error) {
		return c.SubmitCode(t.Context(), provisioning.TextLoginCode(plainAccount.Code))
	})
}

func checkRacePasswords(t T, b PhoneBackend) {
	addLoginAccounts(b)
	f := b.Open()
	requestCode(t, clientOf[phoneClient](t, f, userA), guardedAccount)
	var calls []func() error
	for range loginRacers {
		c := clientOf[phoneClient](t, f, userA)
		calls = append(calls, func() error {
			_, err := c.SubmitCode(t.Context(), provisioning.TextLoginCode(guardedAccount.Code))
			if errors.Is(err, provisioning.ErrPasswordNeeded) {
				return nil
			}
			return fmt.Errorf("SubmitCode for an account with a two-factor password: got the error %s", errorText(err))
		})
	}
	race(t, calls)
	raceLogin(t, b, f, userA, guardedAccount, func(c phoneClient) (provisioning.Account, error) {
		return c.SubmitPassword(t.Context(), guardedAccount.Password)
	})
}

func checkRaceRequests(t T, b PhoneBackend) {
	addLoginAccounts(b)
	f := b.Open()
	var calls []func() error
	for range loginRacers {
		c := clientOf[phoneClient](t, f, userA)
		calls = append(calls, func() error {
			_, err := c.RequestCode(t.Context(), "+"+plainAccount.Phone)
			return err
		})
	}
	race(t, calls)
	c := clientOf[phoneClient](t, f, userA)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
	wantSessions(t, b, plainAccount.ID, 1)
}
