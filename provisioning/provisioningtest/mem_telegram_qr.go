package provisioningtest

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// QRLifetime is how long a QR code of a [Telegram]'s can be scanned.
const QRLifetime = 30 * time.Second

// qrCode is a QR code that is shown.
type qrCode struct {
	scanned chan *TelegramAccount // has room for one
	expired chan struct{}         // closed by ExpireQR
}

// ScanQR scans a QR code, tg://login?token=…, with an app in which the account is logged
// in. It returns an error for a code that is not shown, or not any more, and when there
// is no account of this ID.
func (t *Telegram) ScanQR(code string, telegramID provisioning.TelegramID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	account := t.account(telegramID)
	if account == nil {
		return errors.New("provisioningtest: there is no account of this ID")
	}
	shown := t.qrCodes[code]
	if shown == nil {
		return errors.New("provisioningtest: this QR code is not shown")
	}
	delete(t.qrCodes, code)
	shown.scanned <- account
	return nil
}

// ExpireQR makes all QR codes expire that are shown.
func (t *Telegram) ExpireQR() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for code, shown := range t.qrCodes {
		delete(t.qrCodes, code)
		close(shown.expired)
	}
}

// ShownQR returns how many QR codes can be scanned.
func (t *Telegram) ShownQR() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.qrCodes)
}

// LoginQR implements provisioning.QRLogin.
func (c *client) LoginQR(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (provisioning.Account, error) {
	if err := c.telegram.enter(ctx, "LoginQR"); err != nil {
		return provisioning.Account{}, err
	}
	for range provisioning.MaxQRTokens {
		if err := c.telegram.beginLogin(c.userID); err != nil {
			return provisioning.Account{}, err
		}
		account, err := c.showQR(ctx, show)
		if err != nil {
			return provisioning.Account{}, err
		}
		if account != nil {
			return c.scanned(account)
		}
	}
	return provisioning.Account{}, provisioning.ErrLoginTimeout
}

// showQR shows one QR code until it is scanned by an account, or has expired, which is
// nil.
func (c *client) showQR(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (*TelegramAccount, error) {
	t := c.telegram
	shown := &qrCode{scanned: make(chan *TelegramAccount, 1), expired: make(chan struct{})}
	code := "tg://login?token=" + rand.Text()
	t.mu.Lock()
	t.qrCodes[code] = shown
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.qrCodes, code)
	}()
	timer := time.NewTimer(QRLifetime)
	defer timer.Stop()
	if err := show(ctx, provisioning.QRToken{URL: code, Expires: time.Now().Add(QRLifetime)}); err != nil {
		return nil, err
	}
	select {
	case account := <-shown.scanned:
		return account, nil
	case <-shown.expired:
		return nil, nil
	case <-timer.C:
		return nil, nil
	case <-ctx.Done():
		select {
		case account := <-shown.scanned: // at the same time
			return account, nil
		default:
			return nil, ctx.Err()
		}
	}
}

// scanned ends the login that somebody has scanned.
func (c *client) scanned(account *TelegramAccount) (logged provisioning.Account, err error) {
	err = c.login(func(s *session) (*session, error) {
		if err := c.telegram.askQR(); err != nil {
			return s, err
		}
		if account.Password != "" {
			return &session{account: account, codeAccepted: true, since: time.Now()}, provisioning.ErrPasswordNeeded
		}
		logged = account.Account
		return &session{account: account, loggedIn: true}, nil
	})
	return logged, err
}

// beginLogin returns provisioning.ErrAlreadyLoggedIn for somebody who is.
func (t *Telegram) beginLogin(userID id.UserID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started[userID] = true
	if s := t.sessions[userID]; s != nil && s.loggedIn {
		return provisioning.ErrAlreadyLoggedIn
	}
	return t.askQR()
}

// askQR is ask for a login by QR code, whose session may be ended as any other.
func (t *Telegram) askQR() error {
	switch err := t.ask(); {
	case errors.Is(err, errAccountGone):
		return provisioning.ErrPhoneNumberBanned
	case errors.Is(err, errSessionEnded):
		return provisioning.ErrSessionRevoked
	default:
		return err
	}
}
