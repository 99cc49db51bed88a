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
	scanned chan TelegramAccount // has room for one
	expired chan struct{}        // closed by ExpireQR
}

// ScanQR scans a QR code, tg://login?token=…, with an app in which the account is logged
// in. It returns an error for a code that is not shown, or not any more, and when there
// is no account of this ID.
func (t *Telegram) ScanQR(code string, telegramID provisioning.TelegramID) error {
	account, ok := t.find(func(a TelegramAccount) bool { return a.ID == telegramID })
	if !ok {
		return errors.New("provisioningtest: there is no account of this ID")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
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
		account, scanned, err := c.showQR(ctx, show)
		if err != nil {
			return provisioning.Account{}, err
		}
		if scanned {
			return c.scanned(account)
		}
	}
	return provisioning.Account{}, provisioning.ErrLoginTimeout
}

// showQR shows one QR code until it is scanned, or has expired.
func (c *client) showQR(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (account TelegramAccount, scanned bool, err error) {
	t := c.telegram
	shown := &qrCode{scanned: make(chan TelegramAccount, 1), expired: make(chan struct{})}
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
		return TelegramAccount{}, false, err
	}
	select {
	case account := <-shown.scanned:
		return account, true, nil
	case <-shown.expired:
		return TelegramAccount{}, false, nil
	case <-timer.C:
		return TelegramAccount{}, false, nil
	case <-ctx.Done():
		select {
		case account := <-shown.scanned: // at the same time
			return account, true, nil
		default:
			return TelegramAccount{}, false, ctx.Err()
		}
	}
}

// scanned ends the login that somebody has scanned.
func (c *client) scanned(account TelegramAccount) (provisioning.Account, error) {
	err := c.login(func(*session) (*session, error) {
		if account.Password != "" {
			return &session{account: account, codeAccepted: true, since: time.Now()}, provisioning.ErrPasswordNeeded
		}
		return &session{account: account, loggedIn: true}, nil
	})
	if err != nil {
		return provisioning.Account{}, err
	}
	return account.Account, nil
}

// beginLogin returns provisioning.ErrAlreadyLoggedIn for somebody who is.
func (t *Telegram) beginLogin(userID id.UserID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started[userID] = true
	if s := t.sessions[userID]; s != nil && s.loggedIn {
		return provisioning.ErrAlreadyLoggedIn
	}
	return nil
}
