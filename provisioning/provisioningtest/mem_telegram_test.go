package provisioningtest

import (
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// memTelegram is the backend of the suites on a Telegram, which is also the storage of its
// clients.
type memTelegram struct{ *Telegram }

func newMemTelegram(*testing.T) memTelegram { return memTelegram{NewTelegram()} }

func (b memTelegram) Open() provisioning.TelegramClientFactory { return b.Telegram }

func TestMemTelegram(t *testing.T) {
	t.Run("TelegramClient", func(t *testing.T) { TestTelegramClient(t, newMemTelegram) })
	t.Run("PhoneLogin", func(t *testing.T) { TestPhoneLogin(t, newMemTelegram) })
	t.Run("LoginControl", func(t *testing.T) { TestLoginControl(t, newMemTelegram) })
	t.Run("QRLogin", func(t *testing.T) { TestQRLogin(t, newMemTelegram) })
	t.Run("BotLogin", func(t *testing.T) { TestBotLogin(t, newMemTelegram) })
	t.Run("ChatLister", func(t *testing.T) { TestChatLister(t, newMemTelegram) })
	t.Run("ContactLister", func(t *testing.T) { TestContactLister(t, newMemTelegram) })
	t.Run("StickerSetLister", func(t *testing.T) { TestStickerSetLister(t, newMemTelegram) })
	t.Run("ChatGetter", func(t *testing.T) { TestChatGetter(t, newMemTelegram) })
	t.Run("MigrationLister", func(t *testing.T) { TestMigrationLister(t, newMemTelegram) })
	t.Run("ChatCreator", func(t *testing.T) { TestChatCreator(t, newMemTelegram) })
	t.Run("CreatedChatLister", func(t *testing.T) { TestCreatedChatLister(t, newMemTelegram) })
	t.Run("UserResolver", func(t *testing.T) { TestUserResolver(t, newMemTelegram) })
	t.Run("PhotoGetter", func(t *testing.T) { TestPhotoGetter(t, newMemTelegram) })
}
