package telegramtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Chat is a group or channel, the same for everybody. Who is in it has it among the
// dialogs, neither forbidden nor left, and whoever has it there is in it. Of a chat
// that so far only dialogs have named, the title is known and nothing else.
type Chat struct {
	// Kind is KindBasicGroup, KindSupergroup or KindChannel. Required.
	Kind DialogKind
	// ID is the ID in MTProto, see [Dialog]. Required.
	ID int64
	// Title and About are its title and description.
	Title, About string
	// Username is the public name of a supergroup or channel, without @, and
	// Collectibles are those that it has besides (https://core.telegram.org/api/fragment).
	Username     string
	Collectibles []string
	// Members are the user IDs of all members, among them the owner and the
	// administrators. Their order says nothing.
	Members []int64
	// Owner is the member who made it, 0 for a stranger, and Admins are the
	// administrators besides.
	Owner  int64
	Admins []int64
	// AdminsInvite means that only administrators may add members, which is always
	// so in a channel.
	AdminsInvite bool
	// MigratedFrom is the ID of the basic group that became this supergroup, 0 for none.
	// Whoever was in that one still has it among the dialogs, as one that was migrated, see
	// also [Server.MigrateChat].
	MigratedFrom int64
	// Created is when it was made, with the precision of seconds. Without it, nobody knows:
	// the chat is as old as the first dialogs are, and has had messages.
	Created time.Time `json:",omitzero"`
	// Photo is the photo of the chat, see also [Server.SetPhoto].
	Photo Photo
}

// chat is a Chat without its members, who are found in the dialogs.
type chat struct{ Chat }

// peerOf names a user, basic group or channel.
func peerOf(kind DialogKind, id int64) peer {
	d := Dialog{Kind: kind, ID: id}
	return d.peer()
}

func (c *chat) peer() peer { return peerOf(c.Kind, c.ID) }

// date is when it was made, as Telegram says it.
func (c *chat) date() int {
	if c.Created.IsZero() {
		return defaultDate
	}
	return int(c.Created.Unix())
}

// admin says whether a user may do everything there.
func (c *chat) admin(id int64) bool {
	return id != 0 && id == c.Owner || slices.Contains(c.Admins, id)
}

// mayInvite says whether a member may add others.
func (c *chat) mayInvite(id int64) bool {
	return c.admin(id) || c.Kind != KindChannel && !c.AdminsInvite
}

// setAdmin makes a user an administrator, or one no more.
func (c *chat) setAdmin(id int64, admin bool) {
	c.Admins = slices.DeleteFunc(c.Admins, func(other int64) bool { return other == id })
	if admin {
		c.Admins = append(c.Admins, id)
	}
}

// usernames returns all public names, in lower case.
func (c *chat) usernames() (names []string) {
	for _, name := range append([]string{c.Username}, c.Collectibles...) {
		if name != "" {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

func (c *Chat) check() error {
	public := c.Username != "" || len(c.Collectibles) > 0
	switch {
	case c.Kind < KindBasicGroup || c.Kind > KindChannel:
		return fmt.Errorf("unknown kind %d", c.Kind)
	case c.ID <= 0:
		return errors.New("the ID is not positive")
	case c.Kind == KindBasicGroup && public:
		return errors.New("a basic group has no username")
	case c.Kind != KindSupergroup && c.MigratedFrom != 0:
		return errors.New("only a supergroup was a basic group before")
	}
	return nil
}

// SetChat adds a group or channel, or replaces what one is, at any time. Members who
// were not in it get it to the top of their dialogs; whoever is no member loses it.
// It returns an error, and changes nothing, when a member was not added as an
// account, when a username is taken, and for fields that make no sense.
func (s *Server) SetChat(c Chat) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.world.setChat(c); err != nil {
		return fmt.Errorf("chat %d: %w", c.ID, err)
	}
	return nil
}

func (w *world) setChat(c Chat) error {
	if err := c.check(); err != nil {
		return err
	}
	members := slices.Concat(c.Members, c.Admins)
	if c.Owner != 0 {
		members = append(members, c.Owner)
	}
	for _, id := range members {
		if w.accounts[id] == nil {
			return fmt.Errorf("there is no account %d", id)
		}
	}
	c.Admins, c.Collectibles, c.Members = slices.Clone(c.Admins), slices.Clone(c.Collectibles), nil
	c.Photo.Data = slices.Clone(c.Photo.Data)
	set := &chat{c}
	for _, name := range set.usernames() {
		if owner, taken := w.byUsername[name]; taken && owner != set.peer() {
			return fmt.Errorf("the username %s is taken", name)
		}
	}
	w.removeChat(set.peer(), members)
	w.markMigrated(peer{chatPeer, c.MigratedFrom}, c.ID)
	w.chats[set.peer()] = set
	for _, name := range set.usernames() {
		w.byUsername[name] = set.peer()
	}
	for _, id := range members {
		w.join(set, w.accounts[id])
	}
	return nil
}

// removeChat removes a chat and its names, and from the dialogs of everybody but
// those to keep.
func (w *world) removeChat(p peer, keep []int64) {
	delete(w.chats, p)
	maps.DeleteFunc(w.byUsername, func(_ string, owner peer) bool { return owner == p })
	for id, a := range w.accounts {
		if !slices.Contains(keep, id) {
			a.dialogs = a.dialogs.without(p)
		}
	}
}

// join makes an account a member of a chat.
func (w *world) join(c *chat, a *account) {
	if !a.in(c.peer()) {
		a.dialogs = a.dialogs.with(Dialog{Kind: c.Kind, ID: c.ID})
	}
}

// in says whether the account is a member of a group or channel.
func (a *account) in(p peer) bool {
	d, ok := a.dialogs.find(p)
	return ok && !d.Forbidden && !d.Left && d.MigratedTo == 0
}

// meet records the groups and channels that dialogs name.
func (w *world) meet(dialogs []Dialog) {
	for _, d := range dialogs {
		if d.Kind == KindUser {
			continue
		}
		known := w.chats[d.peer()]
		if known == nil {
			known = &chat{Chat{ID: d.ID}}
			w.chats[d.peer()] = known
		}
		known.Kind = d.Kind
		if d.Title != "" {
			known.Title = d.Title
		}
		if d.Username != "" {
			delete(w.byUsername, strings.ToLower(known.Username))
			known.Username = d.Username
			w.byUsername[strings.ToLower(d.Username)] = d.peer()
		}
	}
}

// members returns the members of a chat, by their IDs.
func (w *world) members(p peer) (ids []int64) {
	for id, a := range w.accounts {
		if a.in(p) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// snapshot returns a chat as it is now.
func (w *world) snapshot(c *chat) Chat {
	now := c.Chat
	now.Admins, now.Collectibles = slices.Clone(now.Admins), slices.Clone(now.Collectibles)
	now.Photo.Data = slices.Clone(now.Photo.Data)
	now.Members = w.members(c.peer())
	return now
}

// Chat returns a group or channel as it is now, and false when there is none.
func (s *Server) Chat(kind DialogKind, id int64) (Chat, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.world.chats[peerOf(kind, id)]
	if c == nil {
		return Chat{}, false
	}
	return s.world.snapshot(c), true
}

// Chats returns all groups and channels as they are now, by ID.
func (s *Server) Chats() []Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	chats := make([]Chat, 0, len(s.world.chats))
	for _, c := range s.world.chats {
		chats = append(chats, s.world.snapshot(c))
	}
	slices.SortFunc(chats, func(a, b Chat) int { return compareChats(&a, &b) })
	return chats
}
