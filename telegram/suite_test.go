package telegram_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestSuites(t *testing.T) {
	t.Parallel()
	for name, suite := range map[string]func(*testing.T, func(*testing.T) *suiteBackend){
		"TelegramClient":   provisioningtest.TestTelegramClient[*suiteBackend],
		"PhoneLogin":       provisioningtest.TestPhoneLogin[*suiteBackend],
		"LoginControl":     provisioningtest.TestLoginControl[*suiteBackend],
		"QRLogin":          provisioningtest.TestQRLogin[*suiteBackend],
		"BotLogin":         provisioningtest.TestBotLogin[*suiteBackend],
		"ChatLister":       provisioningtest.TestChatLister[*suiteBackend],
		"ContactLister":    provisioningtest.TestContactLister[*suiteBackend],
		"StickerSetLister": provisioningtest.TestStickerSetLister[*suiteBackend],
		"ChatGetter":       provisioningtest.TestChatGetter[*suiteBackend],
		"ChatCreator":      provisioningtest.TestChatCreator[*suiteBackend],
		"UserResolver":     provisioningtest.TestUserResolver[*suiteBackend],
		"PhotoGetter":      provisioningtest.TestPhotoGetter[*suiteBackend],
	} {
		t.Run(name, func(t *testing.T) { suite(t, newSuiteBackend) })
	}
}

// suiteKey is the key of all servers: making one takes long.
var suiteKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, crypto.RSAKeyBits) })

// suiteBackend is the backend of all suites: a Telegram server and the database of a
// factory, with the configuration that hosts get who set nothing.
type suiteBackend struct {
	t        *testing.T
	telegram *telegramtest.Server
	db       *dbutil.Database
	factory  *telegram.Factory
	accounts map[provisioning.TelegramID]provisioningtest.TelegramAccount
	config   func(*telegram.Config)
	dialled  *atomic.Int64
	expired  chan struct{} // has a value for each QR code that is to expire
}

func newSuiteBackend(t *testing.T) *suiteBackend {
	t.Parallel()
	key, err := suiteKey()
	require.NoError(t, err)
	b := &suiteBackend{
		t: t, telegram: telegramtest.NewServer(t, telegramtest.Config{Key: key}), db: openDatabase(t, filepath.Join(t.TempDir(), "bridge.db")),
		accounts: map[provisioning.TelegramID]provisioningtest.TelegramAccount{}, expired: make(chan struct{}, provisioning.MaxQRTokens),
	}
	b.config, b.dialled = countDials()
	b.start()
	for _, user := range []string{"a", "b", "c", "0", "1", "2", "3", "4"} {
		b.putSession(id.UserID("@check-"+user+":example.com"), provisioning.Account{})
	}
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
	b.factory.SetSleep(func(ctx context.Context, _ time.Duration) error {
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

// deliveries are the ways in which the server sends codes.
var deliveries = map[provisioning.CodeDelivery]telegramtest.CodeDelivery{
	provisioning.DeliverySMS: telegramtest.CodeBySMS, provisioning.DeliveryEmail: telegramtest.CodeByEmail,
}

func (b *suiteBackend) Add(account provisioningtest.TelegramAccount) {
	added := telegramtest.Account{
		ID: int64(account.ID), Phone: account.Phone, Username: account.Username, FirstName: account.FirstName, LastName: account.LastName,
		Bot: account.IsBot, Token: account.Token, Code: account.Code, CodeDelivery: deliveries[account.Delivery],
		Password: account.Password, PasswordHint: account.PasswordHint, StickerSets: account.StickerSets,
	}
	if account.NoInvites {
		added.InviteError = "USER_PRIVACY_RESTRICTED"
	}
	for _, chat := range account.Migrated {
		d := dialog(chat)
		d.MigratedTo = 1_000_000 + d.ID
		added.Dialogs = append(added.Dialogs, d)
	}
	for _, chat := range account.Chats {
		added.Dialogs = append(added.Dialogs, dialog(chat))
	}
	for _, chat := range account.Archived {
		d := dialog(chat)
		d.Archived = true
		added.Dialogs = append(added.Dialogs, d)
	}
	for _, contact := range account.Contacts {
		added.Contacts = append(added.Contacts, int64(contact.ID))
	}
	require.NoError(b.t, b.telegram.AddAccount(added))
	b.accounts[account.ID] = account
	for _, contact := range account.Contacts {
		if contact.PhotoID != 0 {
			b.SetPhoto(provisioning.UserChatID(contact.ID), provisioning.Photo{ID: contact.PhotoID})
		}
	}
}

// kindOf returns the kind of a chat, as a supergroup if it may be one, and its ID in
// MTProto.
func kindOf(chatID provisioning.ChatID, megagroup bool) (telegramtest.DialogKind, int64) {
	peer, id, _ := chatID.Split()
	switch {
	case peer == provisioning.PeerUser:
		return telegramtest.KindUser, id
	case peer == provisioning.PeerChat:
		return telegramtest.KindBasicGroup, id
	case megagroup:
		return telegramtest.KindSupergroup, id
	default:
		return telegramtest.KindChannel, id
	}
}

func dialog(chat provisioning.Chat) telegramtest.Dialog {
	kind, id := kindOf(chat.ID, true)
	return telegramtest.Dialog{Kind: kind, ID: id, Title: chat.Title}
}

// LogIn gives the user a session without a login.
func (b *suiteBackend) LogIn(userID id.UserID, telegramID provisioning.TelegramID) {
	b.putSession(userID, b.accounts[telegramID].Account)
}

// putSession gives the user a session that is logged in to an account or, for the zero
// account, spares logins by phone number the key exchange.
func (b *suiteBackend) putSession(userID id.UserID, account provisioning.Account) {
	key, err := b.telegram.AddAuthKey(int64(account.ID))
	require.NoError(b.t, err)
	keyID := crypto.Key(key).ID()
	storage := &session.StorageMemory{}
	loader := session.Loader{Storage: storage}
	require.NoError(b.t, loader.Save(b.t.Context(), &session.Data{DC: b.telegram.DC(), AuthKey: key, AuthKeyID: keyID[:]}))
	data, err := storage.LoadSession(b.t.Context())
	require.NoError(b.t, err)
	require.NoError(b.t, b.factory.PutSession(b.t.Context(), userID, data, account))
}

func (b *suiteBackend) Revoke(telegramID provisioning.TelegramID) {
	require.NoError(b.t, b.telegram.Revoke(int64(telegramID), "SESSION_REVOKED"))
}

func (b *suiteBackend) Sessions(telegramID provisioning.TelegramID) int {
	return b.telegram.Sessions(int64(telegramID))
}

func (b *suiteBackend) Started() int { return int(b.dialled.Load()) }

func (b *suiteBackend) SetAway(away bool) { b.telegram.Blackhole(away) }

// refusable are the methods that are about accounts and chats.
var refusable = strings.Fields(`
	account.getPassword auth.cancelCode auth.checkPassword auth.exportLoginToken auth.importBotAuthorization
	auth.importLoginToken auth.logOut auth.resendCode auth.sendCode auth.signIn
	channels.createChannel channels.deleteChannel channels.editAdmin channels.getFullChannel channels.inviteToChannel
	contacts.getContacts contacts.resolvePhone contacts.resolveUsername
	messages.addChatUser messages.createChat messages.deleteChat messages.editChatAbout messages.getAllStickers
	messages.getDialogs messages.getFullChat upload.getFile users.getUsers`)

func (b *suiteBackend) SetError(code int, errorType string) {
	for _, method := range refusable {
		b.telegram.Fail(method, 0, 0, "")
		if code != 0 {
			const all = 1000
			b.telegram.Fail(method, all, code, errorType)
		}
	}
}

func (b *suiteBackend) ExpireCode(phone string) { require.NoError(b.t, b.telegram.ExpireCode(phone)) }

func (b *suiteBackend) ScanQR(code string, telegramID provisioning.TelegramID) error {
	return b.telegram.AcceptLoginToken(code, int64(telegramID))
}

func (b *suiteBackend) ExpireQR() { b.expired <- struct{}{} }

func (b *suiteBackend) AddGroup(group provisioningtest.TelegramGroup) {
	kind, id := kindOf(group.ID, group.Megagroup)
	chat := telegramtest.Chat{
		Kind: kind, ID: id, Title: group.Title, About: group.About, Username: group.Username, Photo: telegramtest.Photo{ID: group.PhotoID},
	}
	for _, member := range group.Members {
		chat.Members = append(chat.Members, int64(member))
	}
	chat.Owner = chat.Members[0]
	require.NoError(b.t, b.telegram.SetChat(chat))
	for _, banned := range group.Banned {
		require.NoError(b.t, b.telegram.PutDialog(int64(banned), telegramtest.Dialog{Kind: kind, ID: id, Forbidden: true}))
	}
}

func (b *suiteBackend) Group(chatID provisioning.ChatID) (group provisioningtest.TelegramGroup, ok bool) {
	kind, id := kindOf(chatID, false)
	chat, ok := b.telegram.Chat(kind, id)
	if !ok {
		return group, false
	}
	group.ChatInfo = provisioning.ChatInfo{
		ID: chatID, Title: chat.Title, About: chat.About, Username: chat.Username, Megagroup: chat.Kind == telegramtest.KindSupergroup, PhotoID: chat.Photo.ID,
	}
	group.Members = append(ids(chat.Owner), slices.DeleteFunc(ids(chat.Members...), func(member provisioning.TelegramID) bool {
		return int64(member) == chat.Owner
	})...)
	return group, true
}

func (b *suiteBackend) SetPhoto(chatID provisioning.ChatID, photo provisioning.Photo) {
	kind, id := kindOf(chatID, false)
	require.NoError(b.t, b.telegram.SetPhoto(kind, id, telegramtest.Photo{ID: photo.ID, Data: photo.Data}), fmt.Sprint(chatID))
}
