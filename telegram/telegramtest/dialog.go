package telegramtest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gotd/td/tg"
)

// Kind is what a dialog is with.
type Kind int

// The kinds of dialogs.
const (
	// KindUser is a direct chat with a user who was added as an account.
	KindUser Kind = iota
	KindBasicGroup
	KindSupergroup
	KindChannel
)

// Dialog is one entry of an account's list of chats.
type Dialog struct {
	Kind Kind
	// ID is the MTProto ID of the user, group or channel, positive.
	ID int64
	// Title is of groups and channels, and so is Username, which is often empty.
	Title, Username string
	// Date is the time of the last message in seconds since 1970. Defaults to one
	// minute before that of the dialog before it in the list.
	Date int
	// Pinned dialogs come first.
	Pinned bool
	// Archived dialogs lie in the archive, folder 1.
	Archived bool
	// Forbidden groups and channels are those that the account was removed from.
	Forbidden bool
	// MigratedTo makes a basic group one that became this supergroup.
	MigratedTo int64
	// NoMessage leaves out the last message: its history was cleared.
	NoMessage bool
}

// The folders of dialogs.
const (
	folderMain    = 0
	folderArchive = 1
)

// dialogList is an account's list of chats, as it is given out.
type dialogList map[int]*folder

// folder is one folder of a list, in Telegram's order.
type folder struct {
	pinned, others []entry
}

func (f *folder) len() int { return len(f.pinned) + len(f.others) }

// entry is one dialog with everything that describes it.
type entry struct {
	Dialog
	message int // ID of the last message
}

// SetDialogs replaces the list of chats of an account. It returns an error for a
// user who was not added as an account.
func (s *Server) SetDialogs(accountID int64, dialogs []Dialog) error {
	list := dialogList{folderMain: {}, folderArchive: {}}
	date := 1_700_000_000
	for i, d := range dialogs {
		if d.Date == 0 {
			date -= 60
			d.Date = date
		}
		date = d.Date
		number := folderMain
		if d.Archived {
			number = folderArchive
		}
		f, e := list[number], entry{d, len(dialogs) - i}
		if d.Pinned {
			f.pinned = append(f.pinned, e)
		} else {
			f.others = append(f.others, e)
		}
	}
	for _, f := range list {
		slices.SortStableFunc(f.others, func(a, b entry) int { return cmp.Or(cmp.Compare(b.Date, a.Date), cmp.Compare(b.message, a.message)) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.world.accounts[accountID]
	if a == nil {
		return fmt.Errorf("no account %d", accountID)
	}
	for _, d := range dialogs {
		if d.Kind == KindUser && s.world.accounts[d.ID] == nil {
			return fmt.Errorf("dialog with user %d: no such account", d.ID)
		}
	}
	a.dialogs = list
	return nil
}

func (e entry) peer() tg.PeerClass {
	switch e.Kind {
	case KindUser:
		return &tg.PeerUser{UserID: e.ID}
	case KindBasicGroup:
		return &tg.PeerChat{ChatID: e.ID}
	default:
		return &tg.PeerChannel{ChannelID: e.ID}
	}
}

func (e entry) dialog() *tg.Dialog {
	d := &tg.Dialog{Peer: e.peer(), TopMessage: e.message, Pinned: e.Pinned}
	if e.Archived {
		d.SetFolderID(folderArchive)
	}
	return d
}

func (e entry) lastMessage() tg.MessageClass {
	return &tg.Message{ID: e.message, PeerID: e.peer(), Date: e.Date, Message: "Hello"}
}

// chat describes the group or channel.
func (e entry) chat() tg.ChatClass {
	switch {
	case e.Kind == KindBasicGroup && e.Forbidden:
		return &tg.ChatForbidden{ID: e.ID, Title: e.Title}
	case e.Kind == KindBasicGroup:
		chat := &tg.Chat{ID: e.ID, Title: e.Title, Photo: &tg.ChatPhotoEmpty{}, ParticipantsCount: 2, Date: e.Date}
		if e.MigratedTo != 0 {
			chat.Deactivated = true
			chat.SetMigratedTo(&tg.InputChannel{ChannelID: e.MigratedTo, AccessHash: accessHash(e.MigratedTo)})
		}
		return chat
	case e.Forbidden:
		return &tg.ChannelForbidden{
			ID: e.ID, AccessHash: accessHash(e.ID), Title: e.Title, Megagroup: e.Kind == KindSupergroup, Broadcast: e.Kind == KindChannel,
		}
	default:
		channel := &tg.Channel{
			ID: e.ID, Title: e.Title, Photo: &tg.ChatPhotoEmpty{}, Date: e.Date,
			Megagroup: e.Kind == KindSupergroup, Broadcast: e.Kind == KindChannel,
		}
		channel.SetAccessHash(accessHash(e.ID))
		if e.Username != "" {
			channel.SetUsername(e.Username)
		}
		return channel
	}
}
