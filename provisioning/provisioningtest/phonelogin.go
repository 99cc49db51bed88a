package provisioningtest

import (
	"context"
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// PhoneBackend is what [TestPhoneLogin] and [TestLoginControl] need.
//
// It sends the code 12345 to phone numbers that no account has, unless it refuses to.
type PhoneBackend interface {
	// TelegramBackend is what all suites need.
	TelegramBackend
	// ExpireCode makes the login codes expire that were sent to a phone number, in
	// digits.
	ExpireCode(phone string)
}

// TestPhoneLogin runs every check of the interface provisioning.PhoneLogin, which the
// factory's clients have to implement, as a subtest, each on a backend of its own.
func TestPhoneLogin[B PhoneBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, phoneLoginChecks, func(t *testing.T) PhoneBackend { return backend(t) })
}

var phoneLoginChecks = append([]suiteCheck[PhoneBackend]{
	{"code", "SubmitCode logs in with the code.", checkCode},
	{"usual spellings", "RequestCode has Telegram send a login code to the phone number, which may be in any usual spelling.", checkSpellings},
	{"sent code", "A SentCode says how Telegram delivers a login code.", checkSentCode},
	{"request again", "Asking again for the same number, before the code may be sent again, returns what was sent and asks Telegram nothing.", checkRequestAgain},
	{"another number", "RequestCode has Telegram send a login code to the phone number that it is given.", checkAnotherNumber},
	{"no phone number", "ErrPhoneNumberInvalid: what was given as a phone number is none.", checkNoPhoneNumber},
	{"refused numbers", "RequestCode returns ErrPhoneNumberBanned, ErrPhoneNumberAppSignupForbidden and ErrPhoneNumberFlood.", checkRefusedNumbers},
	{"e-mail address required", "RequestCode returns ErrLoginEmailRequired, and no login is under way then.", checkEmailRequired},
	{"nobody's number", "RequestCode or SubmitCode returns ErrPhoneNumberUnoccupied when no account has the number.", checkNobodysNumber},
	{"integer code", "An integer code has lost its leading zeros; it is padded to the length that Telegram announced.", checkIntegerCode},
	{"wrong code", "SubmitCode returns ErrPhoneCodeInvalid, after which the right code may follow.", checkWrongCode},
	{"counted codes", "Before RequestCode asks Telegram it calls CountCode.", checkCountedCodes},
	{"too many wrong codes", "SubmitCode returns ErrLoginGivenUp besides, and the login is ended.", checkGivenUpCode},
	{"too many wrong passwords", "SubmitPassword returns ErrLoginGivenUp besides, and the login is ended.", checkGivenUpPassword},
	{"wrong codes before a restart", "The half-done login survives a restart of the process.", checkGivenUpRestart},
	{"no code requested", "SubmitCode returns ErrPhoneCodeExpired when no code was requested.", checkNoCode},
	{"expired code", "SubmitCode returns ErrPhoneCodeExpired when the code timed out.", checkExpiredCode},
	{"password", "SubmitCode returns ErrPasswordNeeded when the account has a two-factor password, to be given to SubmitPassword, which finishes the login.", checkPassword},
	{"wrong password", "SubmitPassword returns ErrPasswordInvalid, after which the right password may follow.", checkWrongPassword},
	{"password before the code", "SubmitPassword returns ErrPhoneCodeNotEntered when no code was accepted before.", checkPasswordFirst},
	{"revoked before the password", "SubmitPassword returns ErrSessionRevoked when the half-done login was ended from the outside.", checkRevokedLogin},
	{"revoked before the code", "ErrNotLoggedIn is returned also when the session has just turned out to have been ended from the outside: the client has then forgotten it.", checkRevokedCode},
	{"too many tries", "SubmitCode and SubmitPassword return ErrPhoneNumberFlood.", checkTooManyTries},
	{"restart", "The half-done login survives a restart of the process.", checkLoginRestart},
	{"own logins", "Each Matrix user has a login of their own.", checkOwnLogins},
	{"race of codes", "Calls for one user may come concurrently: one login results, and each call has one clear outcome.", checkRaceCodes},
	{"race of passwords", "Calls for one user may come concurrently: one login results, and each call has one clear outcome.", checkRacePasswords},
	{"race of requests", "Calls for one user may come concurrently, and each call has one clear outcome.", checkRaceRequests},
	alreadyCheck(phoneCalls()),
}, errorChecks(phoneCalls())...)

// phoneClient is a client with PhoneLogin.
type phoneClient interface {
	provisioning.TelegramClient
	provisioning.PhoneLogin
}

// phoneCalls are the calls of PhoneLogin.
func phoneCalls() clientCalls[PhoneBackend] {
	client := func(c provisioning.TelegramClient) provisioning.PhoneLogin { return c.(provisioning.PhoneLogin) }
	requested := func(account TelegramAccount) func(T, PhoneBackend, provisioning.TelegramClient, id.UserID) {
		return func(t T, _ PhoneBackend, c provisioning.TelegramClient, _ id.UserID) {
			requestCode(t, client(c), account)
		}
	}
	submitCode := func(account TelegramAccount) func(context.Context, PhoneBackend, provisioning.TelegramClient) error {
		return func(ctx context.Context, _ PhoneBackend, c provisioning.TelegramClient) error {
			_, err := client(c).SubmitCode(ctx, provisioning.TextLoginCode(account.Code))
			return err
		}
	}
	return clientCalls[PhoneBackend]{addLoginAccounts[PhoneBackend], []clientCall[PhoneBackend]{
		{"RequestCode", nil, func(ctx context.Context, _ PhoneBackend, c provisioning.TelegramClient) error {
			_, err := client(c).RequestCode(ctx, "+"+plainAccount.Phone)
			return err
		}, nil},
		{"SubmitCode", requested(plainAccount), submitCode(plainAccount), nil},
		{"SubmitCode of an account with a password", requested(guardedAccount), submitCode(guardedAccount), provisioning.ErrPasswordNeeded},
		{"SubmitPassword", func(t T, _ PhoneBackend, c provisioning.TelegramClient, _ id.UserID) {
			enterCode(t, client(c))
		}, func(ctx context.Context, _ PhoneBackend, c provisioning.TelegramClient) error {
			_, err := client(c).SubmitPassword(ctx, guardedAccount.Password)
			return err
		}, nil},
	}}
}

// addLoginAccounts adds the accounts that log in.
func addLoginAccounts[B TelegramBackend](b B) {
	for _, account := range []TelegramAccount{plainAccount, guardedAccount, botAccount, bob} {
		b.Add(account)
	}
}

// beginPhoneLogin returns the client of a user, on a Telegram with the accounts that log
// in.
func beginPhoneLogin(t T, b PhoneBackend) phoneClient {
	t.Helper()
	addLoginAccounts(b)
	return clientOf[phoneClient](t, b.Open(), userA)
}

func requestCode(t T, c provisioning.PhoneLogin, account TelegramAccount) provisioning.SentCode {
	t.Helper()
	sent, err := c.RequestCode(t.Context(), "+"+account.Phone)
	if err != nil {
		t.Fatalf("RequestCode: %v", err)
	}
	return sent
}

// submitCode gives a code that logs in.
func submitCode(t T, c phoneClient, code provisioning.LoginCode, want TelegramAccount) {
	t.Helper()
	got, err := c.SubmitCode(t.Context(), code)
	loggedIn(t, "SubmitCode", c, got, err, want)
}

func submitPassword(t T, c phoneClient, password string, want TelegramAccount) {
	t.Helper()
	got, err := c.SubmitPassword(t.Context(), password)
	loggedIn(t, "SubmitPassword", c, got, err, want)
}

// loggedIn expects the result of a login, and that it is one.
func loggedIn(t T, what string, c provisioning.TelegramClient, got provisioning.Account, err error, want TelegramAccount) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if got != want.Account {
		t.Errorf("%s returned %+v, want %+v", what, got, want.Account)
	}
	wantAccount(t, c, want)
}

// wantCodeError expects SubmitCode to return an error.
func wantCodeError(t T, c provisioning.PhoneLogin, code, when string, want error) {
	t.Helper()
	_, err := c.SubmitCode(t.Context(), provisioning.TextLoginCode(code))
	wantError(t, "SubmitCode "+when, err, want)
}

func wantPasswordError(t T, c provisioning.PhoneLogin, password, when string, want error) {
	t.Helper()
	_, err := c.SubmitPassword(t.Context(), password)
	wantError(t, "SubmitPassword "+when, err, want)
}

// enterCode brings a login to where the password of guardedAccount is missing.
func enterCode(t T, c provisioning.PhoneLogin) {
	t.Helper()
	requestCode(t, c, guardedAccount)
	if _, err := c.SubmitCode(t.Context(), provisioning.TextLoginCode(guardedAccount.Code)); !errors.Is(err, provisioning.ErrPasswordNeeded) {
		t.Fatalf("SubmitCode for an account with a two-factor password: got the error %s, want %v", errorText(err), provisioning.ErrPasswordNeeded)
	}
}

func checkCode(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	requestCode(t, c, plainAccount)
	wantNobody(t, c)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
	wantSessions(t, b, plainAccount.ID, 1)
	wantAccount(t, clientOf[phoneClient](t, b.Open(), userA), plainAccount)
}

func checkSpellings(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	for _, phone := range []string{"+9996610001", " +999 66 10001 ", "+999-661-00-01", "+999 (66) 10001", "+999\u00a066\u00a010001"} {
		if _, err := c.RequestCode(t.Context(), phone); err != nil {
			t.Errorf("RequestCode(%q): %v", phone, err)
		}
	}
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkRequestAgain(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	first := requestCode(t, c, plainAccount)
	for range 3 {
		wantSent(t, "RequestCode for the same number", requestCode(t, c, plainAccount), first)
	}
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
	wantSessions(t, b, plainAccount.ID, 1)
}

func checkAnotherNumber(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	requestCode(t, c, guardedAccount)
	requestCode(t, c, plainAccount)
	wantCodeError(t, c, guardedAccount.Code, "with the code of the number before", provisioning.ErrPhoneCodeInvalid)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkNoPhoneNumber(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	for _, phone := range []string{"", " ", "+", "+1", "x", "+99966x10001", "check_ada", "+99966100010000000000"} {
		_, err := c.RequestCode(t.Context(), phone)
		wantError(t, "RequestCode for what is no phone number", err, provisioning.ErrPhoneNumberInvalid)
	}
	wantCodeError(t, c, plainAccount.Code, "after a request for no phone number", provisioning.ErrPhoneCodeExpired)
}

func checkRefusedNumbers(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	requestCode(t, c, guardedAccount)
	for _, refusal := range []struct {
		code      int
		errorType string
		want      error
	}{
		{400, "PHONE_NUMBER_BANNED", provisioning.ErrPhoneNumberBanned},
		{406, "PHONE_NUMBER_APP_SIGNUP_FORBIDDEN", provisioning.ErrPhoneNumberAppSignupForbidden},
		{400, "PHONE_NUMBER_FLOOD", provisioning.ErrPhoneNumberFlood},
		{406, "PHONE_PASSWORD_FLOOD", provisioning.ErrPhoneNumberFlood},
	} {
		b.SetError(refusal.code, refusal.errorType)
		_, err := c.RequestCode(t.Context(), "+"+plainAccount.Phone)
		wantError(t, "RequestCode, which Telegram answers with "+refusal.errorType, err, refusal.want)
		b.SetError(0, "")
	}
	requestCode(t, c, plainAccount)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkEmailRequired(t T, b PhoneBackend) {
	account := plainAccount
	account.ID, account.Username, account.Phone, account.EmailRequired = 1003, "", "9996610003", true
	b.Add(account)
	c := beginPhoneLogin(t, b)
	for _, before := range []func(){func() {}, func() { requestCode(t, c, guardedAccount) }} {
		before()
		_, err := c.RequestCode(t.Context(), "+"+account.Phone)
		wantError(t, "RequestCode for an account that needs an e-mail address", err, provisioning.ErrLoginEmailRequired)
		wantCodeError(t, c, account.Code, "after no code was sent", provisioning.ErrPhoneCodeExpired)
	}
	requestCode(t, c, plainAccount)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkNobodysNumber(t T, b PhoneBackend) {
	const nobodys, code = "+9996619999", "12345"
	c := beginPhoneLogin(t, b)
	_, err := c.RequestCode(t.Context(), nobodys)
	if err == nil {
		_, err = c.SubmitCode(t.Context(), provisioning.TextLoginCode(code))
	}
	wantError(t, "a login with a phone number that no account has", err, provisioning.ErrPhoneNumberUnoccupied)
	wantNobody(t, c)
}

func checkSentCode(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	for _, account := range []TelegramAccount{guardedAccount, plainAccount} {
		wantSent(t, "RequestCode", requestCode(t, c, account), provisioning.SentCode{
			Delivery: account.Delivery, Length: len(account.Code), Destination: account.Destination, Next: account.Next,
		})
	}
}

// wantSent expects how a code was sent, but for the time, which is the host's.
func wantSent(t T, what string, got, want provisioning.SentCode) {
	t.Helper()
	next := func(s provisioning.SentCode) string {
		if s.Next == nil {
			return "none"
		}
		return s.Next.String()
	}
	if got.Delivery != want.Delivery || got.Length != want.Length || got.Destination != want.Destination || next(got) != next(want) {
		t.Errorf("%s says that the code was sent by %s to %q, has %d characters and %s as the next way; want %s to %q, %d and %s",
			what, got.Delivery, got.Destination, got.Length, next(got), want.Delivery, want.Destination, want.Length, next(want))
	}
}
