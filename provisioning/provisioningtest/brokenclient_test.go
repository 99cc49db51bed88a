package provisioningtest

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// showFunc shows the token of a QR code.
type showFunc = func(context.Context, provisioning.QRToken) error

// brokenClient is a client of a Telegram whose methods can be replaced. A method calls
// around, which calls the field.
type brokenClient struct {
	*client
	shared map[id.UserID]any
	around func(ctx context.Context, method string, call func(context.Context) error) error

	account        func(context.Context) (provisioning.Account, error)
	logout         func(context.Context) (bool, error)
	requestCode    func(context.Context, string) (provisioning.SentCode, error)
	submitCode     func(context.Context, provisioning.LoginCode) (provisioning.Account, error)
	submitPassword func(context.Context, string) (provisioning.Account, error)
	loginProgress  func(context.Context) (provisioning.LoginProgress, error)
	resendCode     func(context.Context) (provisioning.SentCode, error)
	cancelLogin    func(context.Context) error
	loginQR        func(context.Context, showFunc) (provisioning.Account, error)
	loginBot       func(context.Context, string) (provisioning.Account, error)
	chats          func(context.Context, provisioning.ChatQuery) ([]provisioning.Chat, error)
	contacts       func(context.Context, provisioning.ContactQuery) ([]provisioning.Contact, error)
	stickerSets    func(context.Context) ([]string, error)
	getChat        func(context.Context, provisioning.ChatID) (provisioning.ChatInfo, error)
	migrations     func(context.Context, []provisioning.ChatID) (map[provisioning.ChatID]provisioning.ChatID, error)
	createChat     func(context.Context, provisioning.NewChat) (provisioning.ChatInfo, error)
	inviteToChat   func(context.Context, provisioning.ChatID, []provisioning.TelegramID) ([]provisioning.TelegramID, error)
	deleteChat     func(context.Context, provisioning.ChatID) error
	createdChats   func(context.Context, provisioning.NewChat, time.Time) ([]provisioning.CreatedChat, error)
	resolveUser    func(context.Context, provisioning.Identifier) (provisioning.Contact, error)
	getPhoto       func(context.Context, provisioning.ChatID, int64) (provisioning.Photo, error)
}

// newBrokenClient returns a client that is not broken yet.
func newBrokenClient(c *client, shared map[id.UserID]any) *brokenClient {
	return &brokenClient{
		client: c, shared: shared,
		around:  func(ctx context.Context, _ string, call func(context.Context) error) error { return call(ctx) },
		account: c.Account, logout: c.Logout, requestCode: c.RequestCode, submitCode: c.SubmitCode, submitPassword: c.SubmitPassword,
		loginProgress: c.LoginProgress, resendCode: c.ResendCode, cancelLogin: c.CancelLogin, loginQR: c.LoginQR, loginBot: c.LoginBot,
		chats: c.Chats, contacts: c.Contacts, stickerSets: c.StickerSets, getChat: c.GetChat, migrations: c.Migrations, createChat: c.CreateChat,
		inviteToChat: c.InviteToChat, deleteChat: c.DeleteChat, createdChats: c.CreatedChats, resolveUser: c.ResolveUser, getPhoto: c.GetPhoto,
	}
}

// within makes a call that has a result.
func within[R any](ctx context.Context, c *brokenClient, method string, call func(context.Context) (R, error)) (result R, err error) {
	err = c.around(ctx, method, func(ctx context.Context) (err error) {
		result, err = call(ctx)
		return err
	})
	return result, err
}

func (c *brokenClient) Account(ctx context.Context) (provisioning.Account, error) {
	return within(ctx, c, "Account", c.account)
}

func (c *brokenClient) Logout(ctx context.Context) (bool, error) {
	return within(ctx, c, "Logout", c.logout)
}

func (c *brokenClient) RequestCode(ctx context.Context, phone string) (provisioning.SentCode, error) {
	return within(ctx, c, "RequestCode", func(ctx context.Context) (provisioning.SentCode, error) { return c.requestCode(ctx, phone) })
}

func (c *brokenClient) SubmitCode(ctx context.Context, code provisioning.LoginCode) (provisioning.Account, error) {
	return within(ctx, c, "SubmitCode", func(ctx context.Context) (provisioning.Account, error) { return c.submitCode(ctx, code) })
}

func (c *brokenClient) SubmitPassword(ctx context.Context, password string) (provisioning.Account, error) {
	return within(ctx, c, "SubmitPassword", func(ctx context.Context) (provisioning.Account, error) { return c.submitPassword(ctx, password) })
}

func (c *brokenClient) LoginProgress(ctx context.Context) (provisioning.LoginProgress, error) {
	return within(ctx, c, "LoginProgress", c.loginProgress)
}

func (c *brokenClient) ResendCode(ctx context.Context) (provisioning.SentCode, error) {
	return within(ctx, c, "ResendCode", c.resendCode)
}

func (c *brokenClient) CancelLogin(ctx context.Context) error {
	return c.around(ctx, "CancelLogin", c.cancelLogin)
}

func (c *brokenClient) LoginQR(ctx context.Context, show showFunc) (provisioning.Account, error) {
	return within(ctx, c, "LoginQR", func(ctx context.Context) (provisioning.Account, error) { return c.loginQR(ctx, show) })
}

func (c *brokenClient) LoginBot(ctx context.Context, token string) (provisioning.Account, error) {
	return within(ctx, c, "LoginBot", func(ctx context.Context) (provisioning.Account, error) { return c.loginBot(ctx, token) })
}

func (c *brokenClient) Chats(ctx context.Context, query provisioning.ChatQuery) ([]provisioning.Chat, error) {
	return within(ctx, c, "Chats", func(ctx context.Context) ([]provisioning.Chat, error) { return c.chats(ctx, query) })
}

func (c *brokenClient) Contacts(ctx context.Context, query provisioning.ContactQuery) ([]provisioning.Contact, error) {
	return within(ctx, c, "Contacts", func(ctx context.Context) ([]provisioning.Contact, error) { return c.contacts(ctx, query) })
}

func (c *brokenClient) StickerSets(ctx context.Context) ([]string, error) {
	return within(ctx, c, "StickerSets", c.stickerSets)
}

func (c *brokenClient) GetChat(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
	return within(ctx, c, "GetChat", func(ctx context.Context) (provisioning.ChatInfo, error) { return c.getChat(ctx, chatID) })
}

func (c *brokenClient) Migrations(ctx context.Context, groups []provisioning.ChatID) (map[provisioning.ChatID]provisioning.ChatID, error) {
	return within(ctx, c, "Migrations", func(ctx context.Context) (map[provisioning.ChatID]provisioning.ChatID, error) {
		return c.migrations(ctx, groups)
	})
}

func (c *brokenClient) CreateChat(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
	return within(ctx, c, "CreateChat", func(ctx context.Context) (provisioning.ChatInfo, error) { return c.createChat(ctx, chat) })
}

func (c *brokenClient) InviteToChat(ctx context.Context, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
	return within(ctx, c, "InviteToChat", func(ctx context.Context) ([]provisioning.TelegramID, error) {
		return c.inviteToChat(ctx, chatID, people)
	})
}

func (c *brokenClient) DeleteChat(ctx context.Context, chatID provisioning.ChatID) error {
	return c.around(ctx, "DeleteChat", func(ctx context.Context) error { return c.deleteChat(ctx, chatID) })
}

func (c *brokenClient) CreatedChats(ctx context.Context, chat provisioning.NewChat, since time.Time) ([]provisioning.CreatedChat, error) {
	return within(ctx, c, "CreatedChats", func(ctx context.Context) ([]provisioning.CreatedChat, error) {
		return c.createdChats(ctx, chat, since)
	})
}

func (c *brokenClient) ResolveUser(ctx context.Context, identifier provisioning.Identifier) (provisioning.Contact, error) {
	return within(ctx, c, "ResolveUser", func(ctx context.Context) (provisioning.Contact, error) { return c.resolveUser(ctx, identifier) })
}

func (c *brokenClient) GetPhoto(ctx context.Context, chatID provisioning.ChatID, photoID int64) (provisioning.Photo, error) {
	return within(ctx, c, "GetPhoto", func(ctx context.Context) (provisioning.Photo, error) { return c.getPhoto(ctx, chatID, photoID) })
}
