//go:build cgo

package main

import (
	"context"
	"testing"
	"time"

	"github.com/gotd/td/crypto"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/bridgev2/bridgeconfig"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
	"github.com/tgprovision/tgprovision/internal/suiteserver"
	"github.com/tgprovision/tgprovision/internal/testsleep"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram"
)

func TestTelegramSuites(t *testing.T) {
	for name, suite := range map[string]func(*testing.T, func(*testing.T) *telegramBackend){
		"TelegramClient":    provisioningtest.TestTelegramClient[*telegramBackend],
		"PhoneLogin":        provisioningtest.TestPhoneLogin[*telegramBackend],
		"LoginControl":      provisioningtest.TestLoginControl[*telegramBackend],
		"QRLogin":           provisioningtest.TestQRLogin[*telegramBackend],
		"BotLogin":          provisioningtest.TestBotLogin[*telegramBackend],
		"ChatLister":        provisioningtest.TestChatLister[*telegramBackend],
		"ContactLister":     provisioningtest.TestContactLister[*telegramBackend],
		"StickerSetLister":  provisioningtest.TestStickerSetLister[*telegramBackend],
		"ChatGetter":        provisioningtest.TestChatGetter[*telegramBackend],
		"MigrationLister":   provisioningtest.TestMigrationLister[*telegramBackend],
		"ChatCreator":       provisioningtest.TestChatCreator[*telegramBackend],
		"CreatedChatLister": provisioningtest.TestCreatedChatLister[*telegramBackend],
		"UserResolver":      provisioningtest.TestUserResolver[*telegramBackend],
		"PhotoGetter":       provisioningtest.TestPhotoGetter[*telegramBackend],
	} {
		t.Run(name, func(t *testing.T) { suite(t, newTelegramBackend) })
	}
}

// telegramBackend is a bridge, as the suites of Telegram clients use it.
type telegramBackend struct {
	*suiteserver.Server
	w       *world
	opened  bool
	expired chan struct{} // has a value for each QR code that is to expire
}

func newTelegramBackend(t *testing.T) *telegramBackend {
	w := newWorldWith(t, nil, func(b *bridge) {
		b.connector.Config.CreateLimit = 0
		b.Bridge.Config.Permissions["*"] = &bridgeconfig.PermissionLevelUser // those of the suites are on no homeserver
	})
	return &telegramBackend{Server: suiteserver.On(t, w.telegram), w: w, expired: make(chan struct{}, provisioning.MaxQRTokens)}
}

// Open implements provisioningtest.TelegramBackend.
func (b *telegramBackend) Open() provisioning.TelegramClientFactory {
	if b.opened {
		b.w.stop()
		b.w.start()
	}
	b.opened = true
	testsleep.Set(b.w.bridge.connector.Logins(), func(ctx context.Context, _ time.Duration) error {
		select {
		case <-b.expired:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return b.w.bridge.api.Config().Telegram
}

// LogIn implements provisioningtest.TelegramBackend.
func (b *telegramBackend) LogIn(userID id.UserID, telegramID provisioning.TelegramID) {
	b.w.adopt(userID, b.Accounts[telegramID].Account)
}

// Started implements provisioningtest.ClientBackend.
func (b *telegramBackend) Started() int { return b.w.telegram.Connections() }

// ExpireCode implements provisioningtest.PhoneBackend.
func (b *telegramBackend) ExpireCode(phone string) {
	require.NoError(b.w.t, b.w.telegram.ExpireCode(phone))
}

// ScanQR implements provisioningtest.QRBackend.
func (b *telegramBackend) ScanQR(code string, telegramID provisioning.TelegramID) error {
	return b.w.telegram.AcceptLoginToken(code, int64(telegramID))
}

// ExpireQR implements provisioningtest.QRBackend.
func (b *telegramBackend) ExpireQR() { b.expired <- struct{}{} }

// adopt has the bridge take over a session of an account, as after a login, and waits until
// it is connected.
func (w *world) adopt(userID id.UserID, account provisioning.Account) {
	w.t.Helper()
	key, err := w.telegram.AddAuthKey(int64(account.ID))
	require.NoError(w.t, err)
	keyID := crypto.Key(key).ID()
	user, err := w.bridge.Bridge.GetUserByMXID(w.ctx, userID)
	require.NoError(w.t, err)
	login, err := w.bridge.connector.Adopt(w.ctx, user, telegram.HandedSession{
		Account: account, DC: w.telegram.DC(), Addr: w.telegram.Addr(), AuthKey: key, AuthKeyID: keyID[:],
	})
	require.NoError(w.t, err)
	_, err = login.Client.(*connector.Client).API(w.ctx)
	require.NoError(w.t, err)
}
