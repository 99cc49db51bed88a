package telegram

import (
	"context"
	"strings"

	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// dialogPage is the number of dialogs that Telegram gives at most in one answer.
const dialogPage = 100

// mainFolder is the folder of the dialogs that are not archived.
const mainFolder = 0

// Chats implements provisioning.ChatLister.
func (cl *Client) Chats(ctx context.Context) (chats []provisioning.Chat, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.f.call(ctx, cl.key, func(client *telegram.Client) error {
		chats, err = listChats(ctx, client.API())
		return err
	})
	return chats, err
}

// listChats pages through the dialogs. It does not use gotd's dialog iterator,
// which fails on a page whose last dialog has no message or no peer.
func listChats(ctx context.Context, api *tg.Client) ([]provisioning.Chat, error) {
	list := chatList{seen: map[provisioning.ChatID]bool{}}
	request := &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}, Limit: dialogPage}
	request.SetFolderID(mainFolder)
	for {
		answer, err := api.MessagesGetDialogs(ctx, request)
		if err != nil {
			return nil, err
		}
		page, ok := answer.AsModified()
		if !ok {
			return nil, unexpected(answer)
		}
		added := list.add(page)
		_, slice := answer.(*tg.MessagesDialogsSlice)
		// A page that brings nothing new would be the same again.
		if !slice || added == 0 || !nextPage(request, page) {
			return list.chats, nil
		}
	}
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

// chatList collects chats, each once: a chat that gets a message while it is
// listed moves to another page.
type chatList struct {
	chats []provisioning.Chat
	seen  map[provisioning.ChatID]bool
}

// add adds the chats of a page and returns how many of its dialogs were new,
// counting those that don't belong in the list.
func (l *chatList) add(page tg.ModifiedMessagesDialogs) (added int) {
	entities := entitiesOf(page)
	for _, entry := range page.GetDialogs() {
		dialog, ok := entry.(*tg.Dialog)
		if !ok {
			continue // a folder
		}
		id := chatIDOf(dialog.Peer)
		if l.seen[id] {
			continue
		}
		l.seen[id] = true
		added++
		if folder, ok := dialog.GetFolderID(); ok && folder != mainFolder {
			continue
		}
		if title, listed := entities.title(dialog.Peer); listed {
			l.chats = append(l.chats, provisioning.Chat{ID: id, Title: title})
		}
	}
	return added
}

// entities are the users and chats that an answer of Telegram's describes.
type entities struct {
	users map[int64]*tg.User
	chats map[int64]tg.ChatClass
}

func entitiesOf(page tg.ModifiedMessagesDialogs) entities {
	e := entities{users: map[int64]*tg.User{}, chats: map[int64]tg.ChatClass{}}
	for _, user := range page.GetUsers() {
		if u, ok := user.AsNotEmpty(); ok {
			e.users[u.ID] = u
		}
	}
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
