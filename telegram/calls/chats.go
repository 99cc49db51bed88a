package calls

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// dialogPage is the number of dialogs that Telegram gives at most in one answer.
const dialogPage = 100

// mostExpected is for how many dialogs memory is taken before they have come.
const mostExpected = 10_000

// The folders of dialogs: those that are not archived, and those that are.
const (
	mainFolder    = 0
	archiveFolder = 1
)

// Chats implements provisioning.ChatLister.
//
// TL: messages.getDialogs.
func (c *Client) Chats(ctx context.Context, _ provisioning.ChatQuery) (chats []provisioning.Chat, err error) {
	err = c.call(ctx, func(a *account) error {
		asked := time.Now()
		list, err := inTime(ctx, a.chats)
		if err != nil {
			return err
		}
		chats = list.chats
		a.keepList(DialogList, list.peers, asked)
		return nil
	})
	return chats, err
}

// chatList is a list of chats, and the access hashes that came with it.
type chatList struct {
	chats []provisioning.Chat
	peers []Peer
}

// chats lists the chats.
func (a *account) chats(ctx context.Context) (list chatList, err error) {
	err = dialogPages(ctx, a.api, mainFolder, func(page *dialogs) (bool, error) {
		if list.chats == nil {
			list = chatList{make([]provisioning.Chat, 0, page.count), make([]Peer, 0, 2*page.count)}
		}
		list.chats = page.chats(list.chats)
		list.peers = appendPeers(list.peers, page.GetUsers(), page.GetChats())
		return true, nil
	})
	return list, err
}

// dialogs is a page of them.
type dialogs struct {
	tg.ModifiedMessagesDialogs
	fresh []*tg.Dialog // those that were on no page before
	count int          // how many dialogs there are to expect on all pages
}

// chats adds those of a page's dialogs to a list of chats that belong in it.
func (d *dialogs) chats(list []provisioning.Chat) []provisioning.Chat {
	entities := entitiesOf(d)
	for _, dialog := range d.fresh {
		if folder, ok := dialog.GetFolderID(); ok && folder != mainFolder {
			continue
		}
		if chat, listed := entities.chat(dialog.Peer); listed {
			list = append(list, chat)
		}
	}
	return list
}

// dialogPages pages through the dialogs of a folder, until the function that is given
// each page says that this is enough. The function is given each dialog once. A chat that
// gets a message meanwhile moves to the front: so the first pages are read again at the end,
// until one brings nothing new.
//
// It is not gotd's iterator. That of v0.162.0 fails on a page whose last dialog has a peer
// that the page does not describe, and asks for the same page for ever after one whose
// last dialog has no message (no issue; TestGotdDialogIteratorNeedsPeers,
// TestGotdDialogIteratorNeedsMessages).
func dialogPages(ctx context.Context, api *tg.Client, folder int, visit func(page *dialogs) (more bool, err error)) error {
	seen := map[provisioning.ChatID]bool{}
	const passes = 10 // of which each but the last finds somebody who has moved
	for range passes {
		before := len(seen)
		pages, err := dialogPass(ctx, api, folder, seen, visit)
		if err != nil {
			return err
		}
		if pages == 1 || len(seen) == before {
			return nil
		}
	}
	return nil
}

// dialogPass reads pages from the first one to one after which all have been seen, or that
// brings nothing new, and returns how many. One that is all, or after which it is enough, counts as one.
func dialogPass(ctx context.Context, api *tg.Client, folder int, seen map[provisioning.ChatID]bool, visit func(page *dialogs) (more bool, err error)) (pages int, err error) {
	request := &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}, Limit: dialogPage}
	request.SetFolderID(folder)
	for {
		pages++
		answer, err := api.MessagesGetDialogs(ctx, request)
		if err != nil {
			return pages, err
		}
		modified, ok := answer.AsModified()
		if !ok {
			return pages, rpcerror.Unexpected(answer)
		}
		page := &dialogs{modified, newDialogs(modified, seen), len(modified.GetDialogs())}
		slice, is := answer.(*tg.MessagesDialogsSlice)
		if is {
			page.count = max(page.count, min(slice.Count, mostExpected))
		}
		more, err := visit(page)
		if err != nil || !more {
			return 1, err
		}
		// A page that brings nothing new would be the same again.
		if !is || len(seen) >= slice.Count || len(page.fresh) == 0 || !page.next(request) {
			return pages, nil
		}
	}
}

// newDialogs returns those dialogs of a page that were not seen before. Folders are
// none.
func newDialogs(page tg.ModifiedMessagesDialogs, seen map[provisioning.ChatID]bool) []*tg.Dialog {
	fresh := make([]*tg.Dialog, 0, len(page.GetDialogs()))
	for _, entry := range page.GetDialogs() {
		dialog, ok := entry.(*tg.Dialog)
		if !ok {
			continue
		}
		before := len(seen)
		if seen[chatIDOf(dialog.Peer)] = true; len(seen) > before {
			fresh = append(fresh, dialog)
		}
	}
	return fresh
}

// next moves the offsets of the request behind a page (TL: messages.getDialogs;
// https://core.telegram.org/api/offsets): to its last dialog that has a message and
// a peer. It returns false when the page has none.
func (d *dialogs) next(request *tg.MessagesGetDialogsRequest) bool {
	for _, entry := range slices.Backward(d.GetDialogs()) {
		dialog, ok := entry.(*tg.Dialog)
		if !ok {
			continue
		}
		message, peer := d.topMessage(dialog), d.inputPeer(dialog.Peer)
		if message == nil || peer == nil {
			continue
		}
		request.OffsetDate, request.OffsetID, request.OffsetPeer = message.GetDate(), message.GetID(), peer
		return true
	}
	return false
}

// topMessage returns the last message of a dialog, nil when the page does not have it.
func (d *dialogs) topMessage(dialog *tg.Dialog) tg.NotEmptyMessage {
	for _, message := range slices.Backward(d.GetMessages()) {
		if message.GetID() != dialog.TopMessage {
			continue
		}
		if m, ok := message.AsNotEmpty(); ok && chatIDOf(m.GetPeerID()) == chatIDOf(dialog.Peer) {
			return m
		}
	}
	return nil
}

// entities are the users and chats that an answer of Telegram's describes.
type entities struct {
	users  map[int64]*tg.User
	groups map[provisioning.ChatID]tg.ChatClass // a basic group and a channel may have one number
}

func entitiesOf(page tg.ModifiedMessagesDialogs) entities {
	chats := page.GetChats()
	e := entities{users: usersByID(page.GetUsers()), groups: make(map[provisioning.ChatID]tg.ChatClass, len(chats))}
	for _, chat := range chats {
		e.groups[groupIDOf(chat)] = chat
	}
	return e
}

// chat returns a chat, and whether it belongs in a list of chats: a basic group that was
// migrated to a supergroup does not.
func (e entities) chat(peer tg.PeerClass) (chat provisioning.Chat, listed bool) {
	chat.ID, listed = chatIDOf(peer), true
	switch p := peer.(type) {
	case *tg.PeerUser:
		user := e.users[p.UserID]
		if chat.Title = nameOf(user); user != nil {
			chat.Username = usernameOf(user)
		}
	case *tg.PeerChat:
		switch group := e.groups[chat.ID].(type) {
		case *tg.Chat:
			_, migrated := group.GetMigratedTo()
			chat.Title, listed = group.Title, !migrated
		case *tg.ChatForbidden:
			chat.Title = group.Title
		}
	case *tg.PeerChannel:
		switch channel := e.groups[chat.ID].(type) {
		case *tg.Channel:
			chat.Title, chat.Username, chat.Megagroup = channel.Title, mainUsername(channel.Username, channel.Usernames), channel.Megagroup
		case *tg.ChannelForbidden:
			chat.Title, chat.Megagroup = channel.Title, channel.Megagroup
		}
	}
	return chat, listed
}

// inputPeer returns a peer as it stands in requests, nil when the page does not describe it.
func (d *dialogs) inputPeer(peer tg.PeerClass) tg.InputPeerClass {
	switch p := peer.(type) {
	case *tg.PeerUser:
		for _, user := range d.GetUsers() {
			if u, ok := user.AsNotEmpty(); ok && u.ID == p.UserID {
				return &tg.InputPeerUser{UserID: u.ID, AccessHash: u.AccessHash}
			}
		}
	case *tg.PeerChat:
		return &tg.InputPeerChat{ChatID: p.ChatID}
	case *tg.PeerChannel:
		for _, chat := range d.GetChats() {
			switch channel := chat.(type) {
			case *tg.Channel:
				if channel.ID == p.ChannelID {
					return &tg.InputPeerChannel{ChannelID: channel.ID, AccessHash: channel.AccessHash}
				}
			case *tg.ChannelForbidden:
				if channel.ID == p.ChannelID {
					return &tg.InputPeerChannel{ChannelID: channel.ID, AccessHash: channel.AccessHash}
				}
			}
		}
	}
	return nil
}

// chatIDOf returns the Bot-API style ID of a peer.
func chatIDOf(peer tg.PeerClass) provisioning.ChatID {
	switch p := peer.(type) {
	case *tg.PeerUser:
		return provisioning.UserChatID(provisioning.TelegramID(p.UserID))
	case *tg.PeerChat:
		return provisioning.BasicGroupChatID(p.ChatID)
	case *tg.PeerChannel:
		return provisioning.ChannelChatID(p.ChannelID)
	default:
		return 0
	}
}

// groupIDOf returns the Bot-API style ID of a basic group, a supergroup or a channel.
func groupIDOf(chat tg.ChatClass) provisioning.ChatID {
	switch chat.(type) {
	case *tg.Channel, *tg.ChannelForbidden:
		return provisioning.ChannelChatID(chat.GetID())
	default:
		return provisioning.BasicGroupChatID(chat.GetID())
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
