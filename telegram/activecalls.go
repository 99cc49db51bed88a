package telegram

import (
	"context"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// What a Client does with an account that is logged in stands in package calls. Here is
// what it does besides: it remembers lists, waits out flood waits, and makes calls again
// when the connection broke.

// Chats implements provisioning.ChatLister. It remembers the list for [Config.ListAge],
// or until the account makes or deletes a chat here: the slice must not be changed.
//
// TL: messages.getDialogs.
func (cl *Client) Chats(ctx context.Context, query provisioning.ChatQuery) ([]provisioning.Chat, error) {
	return getList(ctx, cl, listOfChats, func(ctx context.Context, a *active) ([]provisioning.Chat, error) {
		return a.calls().Chats(ctx, query)
	})
}

// Contacts implements provisioning.ContactLister. It remembers the list for
// [Config.ListAge]: the slice must not be changed.
//
// TL: contacts.getContacts.
func (cl *Client) Contacts(ctx context.Context, query provisioning.ContactQuery) ([]provisioning.Contact, error) {
	return getList(ctx, cl, listOfContacts, func(ctx context.Context, a *active) ([]provisioning.Contact, error) {
		return a.calls().Contacts(ctx, query)
	})
}

// StickerSets implements provisioning.StickerSetLister. It remembers the list for
// [Config.ListAge]: the slice must not be changed.
//
// TL: messages.getAllStickers.
func (cl *Client) StickerSets(ctx context.Context) ([]string, error) {
	return getList(ctx, cl, listOfStickers, func(ctx context.Context, a *active) ([]string, error) {
		return a.calls().StickerSets(ctx)
	})
}

// GetChat implements provisioning.ChatGetter.
//
// TL: messages.getFullChat, channels.getFullChannel.
func (cl *Client) GetChat(ctx context.Context, chatID provisioning.ChatID) (info provisioning.ChatInfo, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.call(ctx, func(a *active) error {
		info, err = a.calls().GetChat(ctx, chatID)
		return err
	})
	return info, err
}

// Migrations implements provisioning.MigrationLister.
//
// TL: messages.getChats.
func (cl *Client) Migrations(ctx context.Context, groups []provisioning.ChatID) (become map[provisioning.ChatID]provisioning.ChatID, err error) {
	err = cl.call(ctx, func(a *active) error {
		become, err = a.calls().Migrations(ctx, groups)
		return err
	})
	return become, err
}

// CreateChat implements provisioning.ChatCreator. When the connection breaks before
// Telegram's answer comes, there may be a chat that only CreatedChats finds.
//
// TL: messages.createChat, messages.editChatAbout, channels.createChannel.
func (cl *Client) CreateChat(ctx context.Context, chat provisioning.NewChat) (info provisioning.ChatInfo, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.callOnce(ctx, func(a *active) error {
		defer a.chatsChanged()
		info, err = a.calls().CreateChat(cl.f.cfg.Log.WithContext(ctx), chat)
		return err
	})
	return info, err
}

// DeleteChat implements provisioning.ChatCreator.
//
// TL: messages.deleteChat, channels.deleteChannel.
func (cl *Client) DeleteChat(ctx context.Context, chatID provisioning.ChatID) error {
	ctx = cl.f.withFloodBudget(ctx)
	return cl.callOnce(ctx, func(a *active) error {
		defer a.chatsChanged()
		return a.calls().DeleteChat(ctx, chatID)
	})
}

// CreatedChats implements provisioning.CreatedChatLister.
//
// TL: messages.getDialogs, messages.getFullChat, channels.getFullChannel, help.getConfig.
func (cl *Client) CreatedChats(ctx context.Context, chat provisioning.NewChat, since time.Time) (made []provisioning.CreatedChat, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.call(ctx, func(a *active) error {
		made, err = a.calls().CreatedChats(ctx, chat, since)
		return err
	})
	return made, err
}

// InviteToChat implements provisioning.ChatCreator. The account knows the people in
// its contacts and chats, those whom it resolved before, and those with a username who
// are logged in here, the relay bot included.
//
// TL: messages.addChatUser, channels.inviteToChannel, channels.editAdmin.
func (cl *Client) InviteToChat(
	ctx context.Context, chatID provisioning.ChatID, telegramIDs []provisioning.TelegramID,
) (missing []provisioning.TelegramID, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.call(ctx, func(a *active) error {
		missing, err = a.calls().InviteToChat(ctx, chatID, telegramIDs)
		return err
	})
	return missing, err
}

// ResolveUser implements provisioning.UserResolver.
//
// TL: contacts.resolveUsername, contacts.resolvePhone, users.getUsers.
func (cl *Client) ResolveUser(ctx context.Context, identifier provisioning.Identifier) (contact provisioning.Contact, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.call(ctx, func(a *active) error {
		contact, err = a.calls().ResolveUser(ctx, identifier)
		return err
	})
	return contact, err
}

// GetPhoto implements provisioning.PhotoGetter. Where the photo lies in another
// datacenter, gotd connects to that one too.
//
// TL: upload.getFile.
func (cl *Client) GetPhoto(ctx context.Context, chatID provisioning.ChatID, photoID int64) (photo provisioning.Photo, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.call(ctx, func(a *active) error {
		photo, err = a.calls().GetPhoto(ctx, chatID, photoID)
		return err
	})
	return photo, err
}
