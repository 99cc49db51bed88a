// Package suiteserver arranges on a telegramtest.Server what the suites of package
// provisioningtest want.
package suiteserver

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Server is the Telegram of a backend of the suites, without the factory that is tested.
type Server struct {
	t        *testing.T
	Telegram *telegramtest.Server
	Accounts map[provisioning.TelegramID]provisioningtest.TelegramAccount // that were added
}

// New starts a Server, which is closed with the test.
func New(t *testing.T) *Server {
	t.Helper()
	key, err := key()
	require.NoError(t, err)
	return On(t, telegramtest.NewServer(t, telegramtest.Config{Key: key}))
}

// On returns a Server on a telegramtest.Server that has no accounts yet.
func On(t *testing.T, telegram *telegramtest.Server) *Server {
	return &Server{t: t, Telegram: telegram, Accounts: map[provisioning.TelegramID]provisioningtest.TelegramAccount{}}
}

// NewSession returns a session that is logged in to an account, as gotd stores it, or for
// the ID 0 one that spares a login the key exchange.
func (s *Server) NewSession(telegramID provisioning.TelegramID) []byte {
	s.t.Helper()
	key, err := s.Telegram.AddAuthKey(int64(telegramID))
	require.NoError(s.t, err)
	keyID := crypto.Key(key).ID()
	storage := &session.StorageMemory{}
	loader := session.Loader{Storage: storage}
	require.NoError(s.t, loader.Save(s.t.Context(), &session.Data{DC: s.Telegram.DC(), AuthKey: key, AuthKeyID: keyID[:]}))
	data, err := storage.LoadSession(s.t.Context())
	require.NoError(s.t, err)
	return data
}

// key is the key of all servers: making one takes long.
var key = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, crypto.RSAKeyBits) })

// deliveries are the ways in which the server sends codes.
var deliveries = map[provisioning.CodeDelivery]telegramtest.CodeDelivery{
	provisioning.DeliverySMS: telegramtest.CodeBySMS, provisioning.DeliveryEmail: telegramtest.CodeByEmail,
}

// Add implements provisioningtest.TelegramBackend.
func (s *Server) Add(account provisioningtest.TelegramAccount) {
	added := telegramtest.Account{
		ID: int64(account.ID), Phone: account.Phone, Username: account.Username, FirstName: account.FirstName, LastName: account.LastName,
		Bot: account.IsBot, Token: account.Token, Code: account.Code, CodeDelivery: deliveries[account.Delivery],
		Password: account.Password, PasswordHint: account.PasswordHint, StickerSets: account.StickerSets,
	}
	if account.EmailRequired {
		added.CodeDelivery = telegramtest.EmailSetUpRequired
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
	require.NoError(s.t, s.Telegram.AddAccount(added))
	s.Accounts[account.ID] = account
	for _, contact := range account.Contacts {
		if contact.PhotoID != 0 {
			s.SetPhoto(provisioning.UserChatID(contact.ID), provisioning.Photo{ID: contact.PhotoID})
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
	kind, id := kindOf(chat.ID, chat.Megagroup)
	d := telegramtest.Dialog{Kind: kind, ID: id, Title: chat.Title}
	if kind != telegramtest.KindUser { // whose account has it
		d.Username = chat.Username
	}
	return d
}

// Revoke implements provisioningtest.TelegramBackend.
func (s *Server) Revoke(telegramID provisioning.TelegramID) {
	require.NoError(s.t, s.Telegram.Revoke(int64(telegramID), "SESSION_REVOKED"))
}

// Sessions implements provisioningtest.TelegramBackend.
func (s *Server) Sessions(telegramID provisioning.TelegramID) int {
	return s.Telegram.Sessions(int64(telegramID))
}

// SetAway implements provisioningtest.TelegramBackend.
func (s *Server) SetAway(away bool) { s.Telegram.Blackhole(away) }

// refusable are the methods that are about accounts and chats.
var refusable = strings.Fields(`
	account.getPassword auth.cancelCode auth.checkPassword auth.exportLoginToken auth.importBotAuthorization
	auth.importLoginToken auth.logOut auth.resendCode auth.sendCode auth.signIn
	channels.createChannel channels.deleteChannel channels.editAdmin channels.getFullChannel channels.inviteToChannel
	contacts.getContacts contacts.resolvePhone contacts.resolveUsername
	messages.addChatUser messages.createChat messages.deleteChat messages.editChatAbout messages.getAllStickers
	messages.getChats messages.getDialogs messages.getFullChat upload.getFile users.getUsers`)

// SetError implements provisioningtest.TelegramBackend.
func (s *Server) SetError(code int, errorType string) {
	for _, method := range refusable {
		s.Telegram.Fail(method, 0, 0, "")
		if code != 0 {
			const all = 1000
			s.Telegram.Fail(method, all, code, errorType)
		}
	}
}

// AddGroup implements provisioningtest.GroupBackend.
func (s *Server) AddGroup(group provisioningtest.TelegramGroup) {
	kind, id := kindOf(group.ID, group.Megagroup)
	chat := telegramtest.Chat{
		Kind: kind, ID: id, Title: group.Title, About: group.About, Username: group.Username, Photo: telegramtest.Photo{ID: group.PhotoID},
		Created: group.Created,
	}
	for _, member := range group.Members {
		chat.Members = append(chat.Members, int64(member))
	}
	chat.Owner = chat.Members[0]
	if group.MigratedFrom != 0 {
		_, was := kindOf(group.MigratedFrom, false)
		chat.MigratedFrom = was
		for _, member := range group.Members {
			require.NoError(s.t, s.Telegram.PutDialog(int64(member), telegramtest.Dialog{
				Kind: telegramtest.KindBasicGroup, ID: was, Title: "Before", MigratedTo: id,
			}))
		}
	}
	require.NoError(s.t, s.Telegram.SetChat(chat))
	if group.Written {
		require.NoError(s.t, s.Telegram.SendMessage(telegramtest.Message{From: chat.Owner, Kind: kind, Chat: id, Text: "Hello!"}))
	}
	for _, banned := range group.Banned {
		require.NoError(s.t, s.Telegram.PutDialog(int64(banned), telegramtest.Dialog{Kind: kind, ID: id, Forbidden: true}))
	}
}

// Group implements provisioningtest.CreatorBackend.
func (s *Server) Group(chatID provisioning.ChatID) (group provisioningtest.TelegramGroup, ok bool) {
	kind, id := kindOf(chatID, false)
	chat, ok := s.Telegram.Chat(kind, id)
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

// SetPhoto implements provisioningtest.PhotoBackend.
func (s *Server) SetPhoto(chatID provisioning.ChatID, photo provisioning.Photo) {
	kind, id := kindOf(chatID, false)
	require.NoError(s.t, s.Telegram.SetPhoto(kind, id, telegramtest.Photo{ID: photo.ID, Data: photo.Data}), fmt.Sprint(chatID))
}

// ids are Telegram user IDs as package provisioning has them.
func ids(of ...int64) []provisioning.TelegramID {
	var ids []provisioning.TelegramID
	for _, id := range of {
		ids = append(ids, provisioning.TelegramID(id))
	}
	return ids
}
