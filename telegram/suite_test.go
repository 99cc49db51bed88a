package telegram_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/suiteserver"
	"github.com/tgprovision/tgprovision/internal/testsleep"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestSuites(t *testing.T) {
	t.Parallel()
	for name, suite := range map[string]func(*testing.T, func(*testing.T) *suiteBackend){
		"TelegramClient":    provisioningtest.TestTelegramClient[*suiteBackend],
		"PhoneLogin":        provisioningtest.TestPhoneLogin[*suiteBackend],
		"LoginControl":      provisioningtest.TestLoginControl[*suiteBackend],
		"QRLogin":           provisioningtest.TestQRLogin[*suiteBackend],
		"BotLogin":          provisioningtest.TestBotLogin[*suiteBackend],
		"ChatLister":        provisioningtest.TestChatLister[*suiteBackend],
		"ContactLister":     provisioningtest.TestContactLister[*suiteBackend],
		"StickerSetLister":  provisioningtest.TestStickerSetLister[*suiteBackend],
		"ChatGetter":        provisioningtest.TestChatGetter[*suiteBackend],
		"MigrationLister":   provisioningtest.TestMigrationLister[*suiteBackend],
		"ChatCreator":       provisioningtest.TestChatCreator[*suiteBackend],
		"CreatedChatLister": provisioningtest.TestCreatedChatLister[*suiteBackend],
		"UserResolver":      provisioningtest.TestUserResolver[*suiteBackend],
		"PhotoGetter":       provisioningtest.TestPhotoGetter[*suiteBackend],
	} {
		t.Run(name, func(t *testing.T) { suite(t, newSuiteBackend) })
	}
}

// suiteBackend is the backend of all suites: a Telegram server and the database of a
// factory, with the configuration that hosts get who set nothing.
type suiteBackend struct {
	*suiteserver.Server
	t        *testing.T
	telegram *telegramtest.Server
	db       *dbutil.Database
	factory  *telegram.Factory
	config   func(*telegram.Config)
	dialled  *atomic.Int64
	expired  chan struct{} // has a value for each QR code that is to expire
}

func newSuiteBackend(t *testing.T) *suiteBackend {
	t.Parallel()
	server := suiteserver.New(t)
	b := &suiteBackend{
		Server: server, t: t, telegram: server.Telegram, db: openDatabase(t, filepath.Join(t.TempDir(), "bridge.db")),
		expired: make(chan struct{}, provisioning.MaxQRTokens),
	}
	b.config, b.dialled = countDials()
	b.start()
	t.Cleanup(func() {
		b.stop()
		require.NoError(t, b.db.Close())
	})
	return b
}

func (b *suiteBackend) start() {
	cfg := telegram.Config{
		DB: b.db, APIID: 1, APIHash: "hash",
		Datacenter: &telegram.Datacenter{ID: b.telegram.DC(), Addr: b.telegram.Addr(), Key: b.telegram.PublicKey().RSA},
	}
	b.config(&cfg)
	var err error
	b.factory, err = telegram.NewFactory(b.t.Context(), cfg)
	require.NoError(b.t, err)
	b.factory.Premade(func() []byte { return b.NewSession(0) })
	testsleep.Set(b.factory, func(ctx context.Context, _ time.Duration) error {
		select {
		case <-b.expired:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (b *suiteBackend) stop() {
	require.NoError(b.t, b.factory.Close(context.WithoutCancel(b.t.Context())))
}

func (b *suiteBackend) Open() provisioning.TelegramClientFactory {
	b.stop()
	b.start()
	return b.factory
}

// LogIn gives the user a session without a login.
func (b *suiteBackend) LogIn(userID id.UserID, telegramID provisioning.TelegramID) {
	require.NoError(b.t, b.factory.PutSession(b.t.Context(), userID, b.NewSession(telegramID), b.Accounts[telegramID].Account))
}

func (b *suiteBackend) Started() int { return int(b.dialled.Load()) }

func (b *suiteBackend) ExpireCode(phone string) { require.NoError(b.t, b.telegram.ExpireCode(phone)) }

func (b *suiteBackend) ScanQR(code string, telegramID provisioning.TelegramID) error {
	return b.telegram.AcceptLoginToken(code, int64(telegramID))
}

func (b *suiteBackend) ExpireQR() { b.expired <- struct{}{} }
