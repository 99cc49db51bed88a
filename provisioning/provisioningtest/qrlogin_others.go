package provisioningtest

import (
	"context"

	"github.com/tgprovision/tgprovision/provisioning"
)

func checkEarlierLogin(t T, b QRBackend) {
	c := beginQR(t, b)
	requestCode(t, c, plainAccount)
	hangUp(t, c)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkEarlierReplaced(t T, b QRBackend) {
	c := beginQR(t, b)
	requestCode(t, c, bob)
	account, _, err := loginQR(t.Context(), t, c, scans(t, b, plainAccount))
	loggedIn(t, "LoginQR", c, account, err, plainAccount)
	wantCodeError(t, c, bob.Code, "of a login that was replaced", provisioning.ErrAlreadyLoggedIn)
	logout(t, c)
	wantCodeError(t, c, bob.Code, "of a login that was replaced, after a logout", provisioning.ErrPhoneCodeExpired)
	wantSessions(t, b, bob.ID, 0)
}

// The client may or may not have heard of the scan when the context ends: either
// somebody is logged in now, or there never was a session.
func checkScanThenEnd(t T, b QRBackend) {
	c := beginQR(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	account, _, err := loginQR(ctx, t, c, func(n int, code string) error {
		defer cancel()
		return scans(t, b, plainAccount)(n, code)
	})
	if err == nil {
		loggedIn(t, "LoginQR", c, account, err, plainAccount)
		wantSessions(t, b, plainAccount.ID, 1)
		return
	}
	wantNobody(t, c)
	wantSessions(t, b, plainAccount.ID, 0)
}

// scanGuarded logs in with a QR code as far as that goes for an account with a password.
func scanGuarded(t T, b QRBackend, c qrClient) {
	t.Helper()
	_, shown, err := loginQR(t.Context(), t, c, scans(t, b, guardedAccount))
	wantError(t, "LoginQR for an account with a two-factor password", err, provisioning.ErrPasswordNeeded)
	if n := len(shown.all()); n != 1 {
		t.Errorf("%d tokens were shown, want the one that was scanned", n)
	}
}

func checkQRPassword(t T, b QRBackend) {
	c := beginQR(t, b)
	scanGuarded(t, b, c)
	wantNobody(t, c)
	wantCodeError(t, c, "12345", "when the password is missing", provisioning.ErrPasswordNeeded)
	c = clientOf[qrClient](t, b.Open(), userA)
	submitPassword(t, c, guardedAccount.Password, guardedAccount)
	wantSessions(t, b, guardedAccount.ID, 1)
}

func checkQRPasswordReplaces(t T, b QRBackend) {
	c := beginQR(t, b)
	requestCode(t, c, plainAccount)
	scanGuarded(t, b, c)
	wantCodeError(t, c, plainAccount.Code, "of a login that was replaced", provisioning.ErrPasswordNeeded)
	wantNobody(t, c)
}

func checkDoneFirst(t T, b QRBackend) {
	c := beginQR(t, b)
	requestCode(t, c, bob)
	_, shown, err := loginQR(t.Context(), t, c, func(n int, code string) error {
		if _, err := c.SubmitCode(t.Context(), provisioning.TextLoginCode(bob.Code)); err != nil {
			t.Errorf("SubmitCode during a login by QR code: %v", err)
		}
		return scans(t, b, plainAccount)(n, code)
	})
	wantError(t, "LoginQR when another login was done first", err, provisioning.ErrAlreadyLoggedIn)
	if n := len(shown.all()); n != 1 {
		t.Errorf("%d tokens were shown, want 1", n)
	}
	wantAccount(t, c, bob)
	wantSessions(t, b, plainAccount.ID, 0)
	wantSessions(t, b, bob.ID, 1)
}

// checkScanRefused has Telegram answer the client with an error once its code was scanned.
func checkScanRefused(t T, b QRBackend, want error, errorType string) {
	c := beginQR(t, b)
	_, _, err := loginQR(t.Context(), t, c, func(n int, code string) error {
		b.SetError(401, errorType)
		return scans(t, b, plainAccount)(n, code)
	})
	wantError(t, "LoginQR, which Telegram answers with "+errorType, err, want)
	b.SetError(0, "")
	wantNobody(t, c)
	wantSessions(t, b, plainAccount.ID, 0)
}
