package telegramtest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gotd/td/tg"
)

// DialogKind is the kind of chat that a dialog is with.
type DialogKind int

// The kinds of chats.
const (
	// KindUser is a private chat.
	KindUser DialogKind = iota + 1
	// KindBasicGroup is a small group (TL: chat).
	KindBasicGroup
	// KindSupergroup is a large group (TL: channel with megagroup).
	KindSupergroup
	// KindChannel is a broadcast channel (TL: channel with broadcast).
	KindChannel
)

// Dialog is a chat in an account's list.
type Dialog struct {
	// Kind is what the chat is with. Required.
	Kind DialogKind
	// ID is the ID in MTProto: of the user, basic group or channel, positive and
	// without the marks of the Bot API. Required.
	ID int64
	// Title is the title of a group or channel, which is the same for everybody: the
	// one that was given last. Defaults to the one that the chat has.
	Title string
	// Username is the public name of a supergroup or channel, without @, also the same for
	// everybody. Defaults to the one that the chat has.
	Username string
	// Date is when the last message was sent, with the precision of seconds.
	// Defaults to a second earlier than the dialog before it in the list.
	Date time.Time
	// Members is the number of members of a group or channel that lists tell.
	Members int
	// Pinned puts the dialog to the top of its list.
	Pinned bool
	// Archived puts the dialog in the archive, folder 1.
	Archived bool
	// Forbidden means that the account may no longer see the group or channel: it
	// was thrown out (TL: chatForbidden, channelForbidden).
	Forbidden bool
	// Left means that the account has left the group or channel.
	Left bool
	// MigratedTo is the supergroup that a basic group became, 0 for none.
	MigratedTo int64
}

// peerKind tells which IDs are of the same kind.
type peerKind int

const (
	userPeer peerKind = iota + 1
	chatPeer
	channelPeer
)

// peer names a user, basic group or channel.
type peer struct {
	kind peerKind
	id   int64
}

func (d *Dialog) peer() peer {
	switch d.Kind {
	case KindUser:
		return peer{userPeer, d.ID}
	case KindBasicGroup:
		return peer{chatPeer, d.ID}
	default:
		return peer{channelPeer, d.ID}
	}
}

func (d *Dialog) check() error {
	switch {
	case d.Kind < KindUser || d.Kind > KindChannel:
		return fmt.Errorf("unknown kind %d", d.Kind)
	case d.ID <= 0:
		return errors.New("the ID is not positive")
	case d.Kind == KindUser && (d.Forbidden || d.Left):
		return errors.New("a private chat can be neither forbidden nor left")
	case d.Kind < KindSupergroup && d.Username != "":
		return errors.New("only a supergroup or channel has a username of its own")
	case d.Kind != KindBasicGroup && d.MigratedTo != 0:
		return errors.New("only a basic group can be migrated")
	case !d.Date.IsZero() && (d.Date.Unix() <= 0 || d.Date.Unix() > math.MaxInt32):
		return fmt.Errorf("%s is no date that Telegram can express", d.Date)
	}
	return nil
}

// entry is a dialog in its place.
type entry struct {
	Dialog
	date    int  // of the last message
	message int  // the last message's ID
	said    bool // that it was sent here
}

// compareChats orders chats by ID.
func compareChats(a, b *Chat) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Kind, b.Kind))
}

// compareEntries is Telegram's order: the latest first.
func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(b.date, a.date), cmp.Compare(b.message, a.message))
}

// folder is a list of dialogs in order.
type folder struct {
	entries []entry // first the pinned ones, in the order in which they were given
	pinned  int
	places  map[peer]int // index in entries
}

// dialogList are the dialogs of an account. It never changes.
type dialogList struct {
	main, archive folder
}

// defaultDate is the date of the first of those dialogs that have none.
const defaultDate = 1_767_225_600 // 2026-01-01

func newDialogList(dialogs []Dialog) (*dialogList, error) {
	list := &dialogList{}
	seen := make(map[peer]bool, len(dialogs))
	date := defaultDate
	for i, d := range dialogs {
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("dialog %d: %w", i, err)
		}
		if seen[d.peer()] {
			return nil, fmt.Errorf("dialog %d: it is in the list twice", i)
		}
		seen[d.peer()] = true
		if !d.Date.IsZero() {
			date = int(d.Date.Unix())
		}
		e := entry{Dialog: d, date: date, message: len(dialogs) - i}
		date--
		list.insert(e)
	}
	list.order()
	return list, nil
}

// insert adds a dialog, in no order.
func (l *dialogList) insert(e entry) {
	if e.Archived {
		l.archive.entries = append(l.archive.entries, e)
	} else {
		l.main.entries = append(l.main.entries, e)
	}
}

func (l *dialogList) order() {
	l.main.order()
	l.archive.order()
}

func (f *folder) order() {
	slices.SortStableFunc(f.entries, func(a, b entry) int {
		switch {
		case a.Pinned != b.Pinned && a.Pinned:
			return -1
		case a.Pinned != b.Pinned:
			return 1
		case a.Pinned:
			return 0
		default:
			return compareEntries(a, b)
		}
	})
	f.places = make(map[peer]int, len(f.entries))
	for i := range f.entries {
		f.places[f.entries[i].peer()] = i
		if f.entries[i].Pinned {
			f.pinned++
		}
	}
}

// find returns the dialog with a chat, and false when there is none.
func (l *dialogList) find(p peer) (Dialog, bool) {
	for _, f := range []*folder{&l.main, &l.archive} {
		if place, ok := f.places[p]; ok {
			return f.entries[place].Dialog, true
		}
	}
	return Dialog{}, false
}

// entries returns all dialogs.
func (l *dialogList) entries() []entry { return slices.Concat(l.main.entries, l.archive.entries) }

// without returns the list without a chat.
func (l *dialogList) without(p peer) *dialogList {
	if _, ok := l.find(p); !ok {
		return l
	}
	changed := &dialogList{}
	for _, e := range l.entries() {
		if e.peer() != p {
			changed.insert(e)
		}
	}
	changed.order()
	return changed
}

// with returns the list with a dialog added, or replaced. If it has no date, it
// comes first.
func (l *dialogList) with(d Dialog) *dialogList {
	added := entry{Dialog: d, date: defaultDate}
	if !d.Date.IsZero() {
		added.date = int(d.Date.Unix())
	}
	changed := &dialogList{}
	for _, e := range l.entries() {
		added.message = max(added.message, e.message)
		if d.Date.IsZero() {
			added.date = max(added.date, e.date+1)
		}
		if e.peer() != d.peer() {
			changed.insert(e)
		}
	}
	added.message++
	changed.insert(added)
	changed.order()
	return changed
}

// raised returns the list with a dialog at the top, but below the pinned ones, because of a
// message. One with a user is added where there is none.
func (l *dialogList) raised(p peer, last *tg.Message) *dialogList {
	first := entry{Dialog: Dialog{Kind: KindUser, ID: p.id}, date: last.Date, message: last.ID, said: true}
	changed := &dialogList{}
	for _, e := range l.entries() {
		if e.peer() == p {
			first.Dialog = e.Dialog
			continue
		}
		if compareEntries(e, first) <= 0 { // of the same second, or of the future
			first.date = e.date + 1
		}
		changed.insert(e)
	}
	changed.insert(first)
	changed.order()
	return changed
}

// offset is where a page begins: after this dialog. The zero value is the top.
type offset struct {
	date, message int
	peer          peer
}

// after returns the index of the first dialog after an offset, as
// https://core.telegram.org/api/offsets has it: by date and then message ID; by the
// peer alone if there is no date. The pinned dialogs are found by their peer.
func (f *folder) after(o offset) int {
	place, known := f.places[o.peer]
	switch {
	case o == offset{}:
		return 0
	case known && (o.date == 0 || place < f.pinned):
		return place + 1
	case o.date == 0:
		rest := slices.IndexFunc(f.entries[f.pinned:], func(e entry) bool { return e.message < o.message })
		if rest < 0 {
			return len(f.entries)
		}
		return f.pinned + rest
	}
	rest, _ := slices.BinarySearchFunc(f.entries[f.pinned:], o, func(e entry, o offset) int {
		if compareEntries(e, entry{date: o.date, message: o.message}) <= 0 {
			return -1
		}
		return 1
	})
	return f.pinned + rest
}

// SetDialogs replaces the dialogs of an account, at any time: also while a client
// pages through them. It returns an error for dialogs that make no sense or are in
// the list twice. Users who are not added are deleted accounts to Telegram's
// clients.
func (s *Server) SetDialogs(accountID int64, dialogs []Dialog) error {
	list, err := newDialogList(dialogs)
	if err != nil {
		return fmt.Errorf("dialogs of account %d: %w", accountID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.account(accountID)
	if err != nil {
		return err
	}
	a.dialogs = list
	s.world.meet(dialogs)
	return nil
}

// PutDialog adds a dialog to those of an account, or replaces the one with the same
// chat, at any time. One without a date comes first. So an account joins a group or
// channel: also a bot, which has dialogs like anybody and only can't list them.
func (s *Server) PutDialog(accountID int64, d Dialog) error {
	if err := d.check(); err != nil {
		return fmt.Errorf("dialog of account %d: %w", accountID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.account(accountID)
	if err != nil {
		return err
	}
	a.dialogs = a.dialogs.with(d)
	s.world.meet([]Dialog{d})
	return nil
}
