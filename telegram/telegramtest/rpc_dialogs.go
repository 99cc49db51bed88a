package telegramtest

import (
	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func dialogMethods() []method {
	return []method{on(usersOnly, (*caller).messagesGetDialogs)}
}

// maxPage is how many dialogs there are in an answer at most.
const maxPage = 100

// messagesGetDialogs works off https://core.telegram.org/method/messages.getDialogs.
// The pinned dialogs are at the top of the first page. Without a folder in the
// request, so is an entry that stands for the archive: it is one more than the limit
// and counts as a dialog.
func (c *caller) messagesGetDialogs(q *tg.MessagesGetDialogsRequest) (bin.Encoder, error) {
	list := &c.account.dialogs.main
	id, only := q.GetFolderID()
	switch {
	case only && id == archiveID:
		list = &c.account.dialogs.archive
	case only && id != 0:
		return nil, tgerr.New(400, "FOLDER_ID_INVALID")
	}
	from := offset{date: q.OffsetDate, message: q.OffsetID, peer: c.inputPeer(q.OffsetPeer)}
	limit := q.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	begin, total := list.after(from), len(list.entries)
	if q.ExcludePinned {
		begin, total = max(begin, list.pinned), total-list.pinned
	}
	entries := list.entries[begin:min(begin+limit, len(list.entries))]

	page := &dialogPage{caller: c, seen: map[peer]bool{}}
	if archive := c.account.dialogs.archive.entries; !only && len(archive) > 0 {
		total++
		if from == (offset{}) {
			page.addArchive(archive[0])
		}
	}
	for _, e := range entries {
		page.add(e)
	}
	if len(page.dialogs) == total {
		return &tg.MessagesDialogs{Dialogs: page.dialogs, Messages: page.messages, Chats: page.chats, Users: page.users}, nil
	}
	return &tg.MessagesDialogsSlice{
		Count: total, Dialogs: page.dialogs, Messages: page.messages, Chats: page.chats, Users: page.users,
	}, nil
}

// inputPeer returns the peer that the caller names, the zero value for none.
func (c *caller) inputPeer(input tg.InputPeerClass) peer {
	switch p := input.(type) {
	case *tg.InputPeerSelf:
		return peer{userPeer, c.account.ID}
	case *tg.InputPeerUser:
		return peer{userPeer, p.UserID}
	case *tg.InputPeerChat:
		return peer{chatPeer, p.ChatID}
	case *tg.InputPeerChannel:
		return peer{channelPeer, p.ChannelID}
	default:
		return peer{}
	}
}

// dialogPage is an answer with dialogs, and with the last message and the peer of
// each.
type dialogPage struct {
	caller   *caller
	dialogs  []tg.DialogClass
	messages []tg.MessageClass
	chats    []tg.ChatClass
	users    []tg.UserClass
	seen     map[peer]bool
}

// archiveID is the folder with the archived dialogs.
const archiveID = 1

// addArchive adds the entry that stands for all archived dialogs.
func (p *dialogPage) addArchive(first entry) {
	p.dialogs = append(p.dialogs, &tg.DialogFolder{
		Pinned: true, Folder: tg.Folder{ID: archiveID, Title: "Archived Chats"},
		Peer: first.tlPeer(), TopMessage: first.message,
	})
	p.addPeer(first)
}

func (p *dialogPage) add(e entry) {
	dialog := &tg.Dialog{Pinned: e.Pinned, Peer: e.tlPeer(), TopMessage: e.message, ReadInboxMaxID: e.message}
	if e.peer().kind == channelPeer {
		dialog.SetPts(1)
	}
	if e.Archived {
		dialog.SetFolderID(archiveID)
	}
	p.dialogs = append(p.dialogs, dialog)
	p.addPeer(e)
}

func (p *dialogPage) addPeer(e entry) {
	if p.seen[e.peer()] {
		return
	}
	p.seen[e.peer()] = true
	p.messages = append(p.messages, p.lastMessage(e))
	if e.Kind == KindUser {
		p.users = append(p.users, p.caller.user(e.ID))
		return
	}
	p.chats = append(p.chats, p.caller.seen(e.Dialog))
}

// lastMessage is the last message of a dialog: that of a new chat is about its creation.
func (p *dialogPage) lastMessage(e entry) tg.MessageClass {
	if of := p.caller.server.world.chats[e.peer()]; of == nil || of.Created.IsZero() || e.said {
		return &tg.Message{ID: e.message, PeerID: e.tlPeer(), Date: e.date, Message: "Hello!", Post: e.Kind == KindChannel}
	}
	created := &tg.MessageService{ID: e.message, PeerID: e.tlPeer(), Date: e.date, Action: &tg.MessageActionChannelCreate{}}
	if e.Kind == KindBasicGroup {
		created.Action = &tg.MessageActionChatCreate{}
	}
	return created
}

func (e *entry) tlPeer() tg.PeerClass {
	switch e.peer().kind {
	case userPeer:
		return &tg.PeerUser{UserID: e.ID}
	case chatPeer:
		return &tg.PeerChat{ChatID: e.ID}
	default:
		return &tg.PeerChannel{ChannelID: e.ID}
	}
}
