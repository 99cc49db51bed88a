package provisioningtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// QRBackend is what [TestQRLogin] needs. The suite calls its methods while a code is
// shown.
type QRBackend interface {
	// TelegramBackend is what all suites need.
	TelegramBackend
	// ScanQR scans a QR code with an app in which the account is logged in. It returns
	// Telegram's error for a code that is not valid any more.
	ScanQR(code string, telegramID provisioning.TelegramID) error
	// ExpireQR makes the code that is shown, or is about to be, be about to expire, by
	// the clock of the client.
	ExpireQR()
}

// TestQRLogin runs every check of the interface provisioning.QRLogin as a subtest, each on
// a backend of its own. The factory's clients have to implement it and
// provisioning.PhoneLogin, which finishes logins to accounts with a two-factor password.
// That no connection is left of a login that has ended is not checked.
func TestQRLogin[B QRBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, qrLoginChecks, func(t *testing.T) QRBackend { return backend(t) })
}

var qrLoginChecks = append([]suiteCheck[QRBackend]{
	{"scan", "LoginQR calls show with a token for a QR code, and returns the account once somebody has scanned one. Nothing is shown after that.", checkScan},
	{"fresh tokens", "LoginQR calls show again with a fresh token whenever the last is about to expire.", checkFreshTokens},
	{"nobody scans", "LoginQR calls show up to MaxQRTokens times, and returns ErrLoginTimeout when the last token has expired.", checkNobodyScans},
	{"show fails", "An error of show's ends the login and is returned.", checkShowFails},
	{"context ends", "The context ends: then nothing is left of the login, neither a connection nor a session on Telegram.", checkQRContext},
	{"context has ended", "Methods honour the context.", checkQRContextBefore},
	{"earlier login", "A half-done login that was there before is still there when the context ends; it is replaced only by one that somebody has scanned.", checkEarlierLogin},
	{"earlier login replaced", "A half-done login is replaced by one that somebody has scanned.", checkEarlierReplaced},
	{"context ends after the scan", "A login that somebody has scanned is brought to its end though the context ends meanwhile.", checkScanThenEnd},
	{"password", "LoginQR returns ErrPasswordNeeded when the account has a two-factor password, to be given to SubmitPassword, also after a restart.", checkQRPassword},
	{"password of an earlier login", "A half-done login is replaced only by one that somebody has scanned.", checkQRPasswordReplaces},
	{"another login is done first", "Other steps of a login may come in between; the one that is done first counts.", checkDoneFirst},
	{"banned", "LoginQR returns ErrPhoneNumberBanned for a banned or deleted account.", func(t T, b QRBackend) {
		checkScanRefused(t, b, provisioning.ErrPhoneNumberBanned, "USER_DEACTIVATED_BAN")
	}},
	{"revoked", "LoginQR returns ErrSessionRevoked when the login was ended from the outside.", func(t T, b QRBackend) {
		checkScanRefused(t, b, provisioning.ErrSessionRevoked, "SESSION_REVOKED")
	}},
	alreadyCheck(qrCalls()),
}, errorChecks(qrCalls())...)

// qrClient is a client with QRLogin.
type qrClient interface {
	phoneClient
	provisioning.QRLogin
}

// qrCalls is a login by QR code, which is scanned at once.
func qrCalls() clientCalls[QRBackend] {
	return clientCalls[QRBackend]{addLoginAccounts[QRBackend], []clientCall[QRBackend]{
		{"LoginQR", nil, func(ctx context.Context, b QRBackend, c provisioning.TelegramClient) error {
			_, err := c.(provisioning.QRLogin).LoginQR(ctx, func(_ context.Context, token provisioning.QRToken) error {
				return b.ScanQR(token.URL, plainAccount.ID)
			})
			return err
		}, nil},
	}}
}

func beginQR(t T, b QRBackend) qrClient {
	t.Helper()
	addLoginAccounts(b)
	return clientOf[qrClient](t, b.Open(), userA)
}

// shownTokens are the tokens of a login.
type shownTokens struct {
	mu   sync.Mutex
	list []provisioning.QRToken
}

func (s *shownTokens) add(token provisioning.QRToken) (shown int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, token)
	return len(s.list)
}

func (s *shownTokens) all() []provisioning.QRToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

// loginQR logs in, calling a function for each token that is shown, with its number.
func loginQR(ctx context.Context, t T, c provisioning.QRLogin, show func(n int, code string) error) (account provisioning.Account, shown *shownTokens, err error) {
	t.Helper()
	shown = &shownTokens{}
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	err = returning(t, "LoginQR", callDeadline, func() (err error) {
		account, err = c.LoginQR(ctx, func(_ context.Context, token provisioning.QRToken) error {
			n := shown.add(token)
			if !strings.HasPrefix(token.URL, "tg://login?token=") || !token.Expires.After(time.Now()) {
				t.Errorf("a token was shown whose URL begins with %.17q and that expires in %s", token.URL, time.Until(token.Expires))
			}
			return show(n, token.URL)
		})
		return err
	})
	return account, shown, err
}

// scans is what to show when an account is to scan the first code.
func scans(t T, b QRBackend, account TelegramAccount) func(int, string) error {
	return func(_ int, code string) error {
		if err := b.ScanQR(code, account.ID); err != nil {
			t.Errorf("the QR code that is shown can't be scanned: %v", err)
			return err
		}
		return nil
	}
}

func checkScan(t T, b QRBackend) {
	c := beginQR(t, b)
	account, shown, err := loginQR(t.Context(), t, c, scans(t, b, plainAccount))
	loggedIn(t, "LoginQR", c, account, err, plainAccount)
	if n := len(shown.all()); n != 1 {
		t.Errorf("%d tokens were shown, want the one that was scanned", n)
	}
	wantSessions(t, b, plainAccount.ID, 1)
	wantAccount(t, clientOf[qrClient](t, b.Open(), userA), plainAccount)
}

func checkFreshTokens(t T, b QRBackend) {
	c := beginQR(t, b)
	account, shown, err := loginQR(t.Context(), t, c, func(n int, code string) error {
		if n < provisioning.MaxQRTokens {
			b.ExpireQR()
			return nil
		}
		return scans(t, b, plainAccount)(n, code)
	})
	loggedIn(t, "LoginQR", c, account, err, plainAccount)
	tokens := map[string]bool{}
	for _, token := range shown.all() {
		tokens[token.URL] = true
	}
	if len(tokens) != provisioning.MaxQRTokens {
		t.Errorf("%d different tokens were shown, want %d", len(tokens), provisioning.MaxQRTokens)
	}
	wantSessions(t, b, plainAccount.ID, 1)
}

func checkNobodyScans(t T, b QRBackend) {
	c, other := beginTwo(t, b)
	var last string
	_, shown, err := loginQR(t.Context(), t, c, func(_ int, code string) error {
		last = code
		b.ExpireQR()
		return nil
	})
	wantError(t, "LoginQR when nobody scans", err, provisioning.ErrLoginTimeout)
	if n := len(shown.all()); n != provisioning.MaxQRTokens {
		t.Errorf("%d tokens were shown, want %d", n, provisioning.MaxQRTokens)
	}
	wantNothingLeft(t, b, c, other, last)
}

// beginTwo is beginQR, with the client of another user who is logged in to bob.
func beginTwo(t T, b QRBackend) (c, other qrClient) {
	t.Helper()
	addLoginAccounts(b)
	f := b.Open()
	b.LogIn(userB, bob.ID)
	return clientOf[qrClient](t, f, userA), clientOf[qrClient](t, f, userB)
}

// wantNothingLeft expects that scanning a code after the end logs nobody in.
func wantNothingLeft(t T, b QRBackend, c, other provisioning.TelegramClient, code string) {
	t.Helper()
	_ = b.ScanQR(code, plainAccount.ID) // Telegram may take it, if nobody uses it
	// Whatever is left of the login needs a moment to hear of it: less than another client
	// needs to connect and to make some calls.
	for range 5 {
		wantAccount(t, other, bob)
	}
	wantNobody(t, c)
	wantSessions(t, b, plainAccount.ID, 0)
}

var errShow = errors.New("the API client has hung up")

func checkShowFails(t T, b QRBackend) {
	c, other := beginTwo(t, b)
	const failing = 2
	var last string
	_, shown, err := loginQR(t.Context(), t, c, func(n int, code string) error {
		last = code
		if n == failing {
			return errShow
		}
		b.ExpireQR()
		return nil
	})
	wantError(t, "LoginQR, whose show failed", err, errShow)
	if n := len(shown.all()); n != failing {
		t.Errorf("%d tokens were shown, want %d, the last of which failed", n, failing)
	}
	wantNothingLeft(t, b, c, other, last)
}

// hangUp begins a login by QR code whose context ends when the first code is shown, and
// returns that code.
func hangUp(t T, c qrClient) (code string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, shown, err := loginQR(ctx, t, c, func(_ int, shown string) error {
		code = shown
		cancel()
		return nil
	})
	if err == nil {
		t.Errorf("LoginQR whose context has ended: no error")
	}
	if n := len(shown.all()); n != 1 {
		t.Errorf("%d tokens were shown, want only that which was shown before the context ended", n)
	}
	return code
}

func checkQRContext(t T, b QRBackend) {
	c, other := beginTwo(t, b)
	wantNothingLeft(t, b, c, other, hangUp(t, c))
}

func checkQRContextBefore(t T, b QRBackend) {
	c := beginQR(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, shown, err := loginQR(ctx, t, c, scans(t, b, plainAccount))
	if err == nil || len(shown.all()) > 0 {
		t.Errorf("LoginQR with a cancelled context has shown %d tokens and returned the error %s", len(shown.all()), errorText(err))
	}
	wantNobody(t, c)
}
