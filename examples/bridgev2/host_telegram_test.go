//go:build cgo

package main

import (
	"testing"

	"github.com/gotd/td/crypto"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
	"github.com/tgprovision/tgprovision/internal/suiteserver"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram"
)

func TestTelegramSuites(t *testing.T) {
	for name, suite := range map[string]func(*testing.T, func(*testing.T) *telegramBackend){
		"TelegramClient":   provisioningtest.TestTelegramClient[*telegramBackend],
		"PhoneLogin":       provisioningtest.TestPhoneLogin[*telegramBackend],
		"LoginControl":     provisioningtest.TestLoginControl[*telegramBackend],
		"BotLogin":         provisioningtest.TestBotLogin[*telegramBackend],
		"ChatLister":       provisioningtest.TestChatLister[*telegramBackend],
		"ContactLister":    provisioningtest.TestContactLister[*telegramBackend],
		"StickerSetLister": provisioningtest.TestStickerSetLister[*telegramBackend],
		"ChatGetter":       provisioningtest.TestChatGetter[*telegramBackend],
		"ChatCreator":      provisioningtest.TestChatCreator[*telegramBackend],
		"UserResolver":     provisioningtest.TestUserResolver[*telegramBackend],
		"PhotoGetter":      provisioningtest.TestPhotoGetter[*telegramBackend],
	} {
		t.Run(name, func(t *testing.T) { suite(t, newTelegramBackend) })
	}
}

// telegramBackend is a bridge, as the suites of Telegram clients use it.
type telegramBackend struct {
	*suiteserver.Server
	w      *world
	opened bool
}

func newTelegramBackend(t *testing.T) *telegramBackend {
	w := newWorldWith(t, nil, func(b *bridge) { b.connector.Config.CreateLimit = 0 })
	return &telegramBackend{Server: suiteserver.On(t, w.telegram), w: w}
}

// Open implements provisioningtest.TelegramBackend.
func (b *telegramBackend) Open() provisioning.TelegramClientFactory {
	if b.opened {
		b.w.stop()
		b.w.start()
	}
	b.opened = true
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
