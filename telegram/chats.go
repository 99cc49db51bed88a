package telegram

import (
	"context"
	"strings"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// dialogPage is the number of dialogs that Telegram gives at most in one answer.
const dialogPage = 100

// The folders of dialogs: those that are not archived, and those that are.
const (
	mainFolder    = 0
	archiveFolder = 1
)

// Chats implements provisioning.ChatLister. It remembers the list for [Config.ListAge],
// or until the account makes or deletes a chat here.
//
// TL: messages.getDialogs.
func (cl *Client) Chats(ctx context.Context) ([]provisioning.Chat, error) {
	return listed(ctx, cl, listOfChats, func(ctx context.Context, a *active) (chats []provisioning.Chat, err error) {
		err = dialogPages(ctx, a.api(), mainFolder, func(page tg.ModifiedMessagesDialogs, dialogs []*tg.Dialog) (bool, error) {
			chats = append(chats, chatsOf(page, dialogs)...)
			return true, nil
		})
		return chats, err
	})
}

// chatsOf returns those of a page's dialogs that belong in a list of chats.
func chatsOf(page tg.ModifiedMessagesDialogs, dialogs []*tg.Dialog) (chats []provisioning.Chat) {
	entities := entitiesOf(page)
	for _, dialog := range dialogs {
		if folder, ok := dialog.GetFolderID(); ok && folder != mainFolder {
			continue
		}
		if title, listed := entities.title(dialog.Peer); listed {
			chats = append(chats, provisioning.Chat{ID: chatIDOf(dialog.Peer), Title: title})
		}
	}
	return chats
}

// dialogPages pages through the dialogs of a folder, until the function that is given
// each page says that this is enough. The function is given each dialog once: a chat
// that gets a message meanwhile moves to another page. It does not use gotd's dialog
// iterator, which fails on a page whose last dialog has no message or no peer.
func dialogPages(
	ctx context.Context, api *tg.Client, folder int,
	visit func(page tg.ModifiedMessagesDialogs, dialogs []*tg.Dialog) (more bool, err error),
) error {
	seen := map[provisioning.ChatID]bool{}
	request := &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}, Limit: dialogPage}
	request.SetFolderID(folder)
	for {
		answer, err := api.MessagesGetDialogs(ctx, request)
		if err != nil {
			return err
		}
		page, ok := answer.AsModified()
		if !ok {
			return unexpected(answer)
		}
		dialogs := newDialogs(page, seen)
		more, err := visit(page, dialogs)
		if err != nil {
			return err
		}
		_, slice := answer.(*tg.MessagesDialogsSlice)
		// A page that brings nothing new would be the same again.
		if !more || !slice || len(dialogs) == 0 || !nextPage(request, page) {
			return nil
		}
	}
}

// newDialogs returns those dialogs of a page that were not seen before. Folders are
// none.
func newDialogs(page tg.ModifiedMessagesDialogs, seen map[provisioning.ChatID]bool) (fresh []*tg.Dialog) {
	for _, entry := range page.GetDialogs() {
		dialog, ok := entry.(*tg.Dialog)
		if !ok || seen[chatIDOf(dialog.Peer)] {
			continue
		}
		seen[chatIDOf(dialog.Peer)] = true
		fresh = append(fresh, dialog)
	}
	return fresh
}

// nextPage moves the offsets of the request behind a page (TL: messages.getDialogs;
// https://core.telegram.org/api/offsets): to its last dialog that has a message and
// a peer. It returns false when the page has none.
func nextPage(request *tg.MessagesGetDialogsRequest, page tg.ModifiedMessagesDialogs) bool {
	type place struct {
		chat    provisioning.ChatID
		message int
	}
	messages := map[place]tg.NotEmptyMessage{}
	for _, message := range page.GetMessages() {
		if m, ok := message.AsNotEmpty(); ok {
			messages[place{chatIDOf(m.GetPeerID()), m.GetID()}] = m
		}
	}
	entities := entitiesOf(page)
	dialogs := page.GetDialogs()
	for i := len(dialogs) - 1; i >= 0; i-- {
		dialog, ok := dialogs[i].(*tg.Dialog)
		if !ok {
			continue
		}
		message, ok := messages[place{chatIDOf(dialog.Peer), dialog.TopMessage}]
		peer := entities.inputPeer(dialog.Peer)
		if !ok || peer == nil {
			continue
		}
		request.OffsetDate, request.OffsetID, request.OffsetPeer = message.GetDate(), message.GetID(), peer
		return true
	}
	return false
}

// entities are the users and chats that an answer of Telegram's describes.
type entities struct {
	users map[int64]*tg.User
	chats map[int64]tg.ChatClass
}

func entitiesOf(page tg.ModifiedMessagesDialogs) entities {
	e := entities{users: usersByID(page.GetUsers()), chats: map[int64]tg.ChatClass{}}
	for _, chat := range page.GetChats() {
		e.chats[chat.GetID()] = chat
	}
	return e
}

// title returns the title of a chat, and whether it belongs in a list of chats:
// a basic group that was migrated to a supergroup does not.
func (e entities) title(peer tg.PeerClass) (title string, listed bool) {
	switch p := peer.(type) {
	case *tg.PeerUser:
		return nameOf(e.users[p.UserID]), true
	case *tg.PeerChat:
		switch chat := e.chats[p.ChatID].(type) {
		case *tg.Chat:
			_, migrated := chat.GetMigratedTo()
			return chat.Title, !migrated
		case *tg.ChatForbidden:
			return chat.Title, true
		}
	case *tg.PeerChannel:
		switch channel := e.chats[p.ChannelID].(type) {
		case *tg.Channel:
			return channel.Title, true
		case *tg.ChannelForbidden:
			return channel.Title, true
		}
	}
	return "", true
}

// inputPeer returns a peer as it stands in requests, nil when the answer does not
// describe it.
func (e entities) inputPeer(peer tg.PeerClass) tg.InputPeerClass {
	switch p := peer.(type) {
	case *tg.PeerUser:
		if user := e.users[p.UserID]; user != nil {
			return &tg.InputPeerUser{UserID: user.ID, AccessHash: user.AccessHash}
		}
	case *tg.PeerChat:
		return &tg.InputPeerChat{ChatID: p.ChatID}
	case *tg.PeerChannel:
		switch channel := e.chats[p.ChannelID].(type) {
		case *tg.Channel:
			return &tg.InputPeerChannel{ChannelID: channel.ID, AccessHash: channel.AccessHash}
		case *tg.ChannelForbidden:
			return &tg.InputPeerChannel{ChannelID: channel.ID, AccessHash: channel.AccessHash}
		}
	}
	return nil
}

// chatIDOf returns the Bot-API style ID of a peer.
func chatIDOf(peer tg.PeerClass) provisioning.ChatID {
	switch p := peer.(type) {
	case *tg.PeerUser:
		return provisioning.UserChatID(p.UserID)
	case *tg.PeerChat:
		return provisioning.BasicGroupChatID(p.ChatID)
	case *tg.PeerChannel:
		return provisioning.ChannelChatID(p.ChannelID)
	default:
		return 0
	}
}

// nameOf returns the full name of a user, never empty.
func nameOf(user *tg.User) string {
	if user == nil || user.Deleted {
		return "Deleted Account"
	}
	name := strings.TrimSpace(user.FirstName + " " + user.LastName)
	switch {
	case name != "":
		return name
	case usernameOf(user) != "":
		return usernameOf(user)
	default:
		return "Telegram user"
	}
}
