package telegramtest

import (
	"errors"
	"fmt"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
)

// MigrateChat makes a basic group a supergroup, as if its owner did so in an app, and
// returns the ID of that. The supergroup has the members, the administrators and what else
// the group had. The group stays among the dialogs, deactivated and with the supergroup's
// ID, and nobody is in it any more. Its members get an update. It returns an error for a
// group that does not exist or was migrated before, and when the state file can't be
// written.
//
// https://core.telegram.org/api/channel#migration
func (s *Server) MigrateChat(id int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := s.world.chats[peer{chatPeer, id}]
	if group == nil {
		return 0, fmt.Errorf("migrate a group: there is no basic group %d", id)
	}
	super, _, err := (&caller{server: s, account: s.world.accounts[group.Owner]}).migrate(group)
	if err != nil {
		return 0, fmt.Errorf("migrate group %d: %w", id, err)
	}
	return super.ID, nil
}

// https://core.telegram.org/method/messages.migrateChat
func (c *caller) messagesMigrateChat(q *tg.MessagesMigrateChatRequest) (bin.Encoder, error) {
	group, err := c.myGroup(q.ChatID)
	if err != nil {
		return nil, err
	}
	if group.Owner != c.account.ID {
		return nil, errAdminRequired(403)
	}
	_, updates, err := c.migrate(group)
	return updates, err
}

// markMigrated marks a basic group as migrated for whoever is in it.
func (w *world) markMigrated(group peer, to int64) {
	for _, a := range w.accounts {
		if !a.in(group) {
			continue
		}
		d, _ := a.dialogs.find(group)
		d.MigratedTo = to
		a.dialogs = a.dialogs.with(d)
	}
}

// migrate makes a basic group a supergroup, and returns what the caller is told of it.
// Server.mu is held.
func (c *caller) migrate(group *chat) (*chat, *tg.Updates, error) {
	w := &c.server.world
	for _, other := range w.chats {
		if other.MigratedFrom == group.ID {
			return nil, nil, errors.New("it was migrated before")
		}
	}
	become := w.snapshot(group)
	w.lastChat++
	become.Kind, become.ID, become.MigratedFrom = KindSupergroup, w.lastChat, group.ID
	if err := w.setChat(become); err != nil {
		return nil, nil, err
	}
	super := w.chats[peer{channelPeer, become.ID}]
	var own *tg.Updates
	for _, id := range w.members(super.peer()) {
		reader := w.accounts[id]
		updates := (&caller{server: c.server, account: reader}).toldMigrated(group, super)
		if reader == c.account {
			own = updates
		}
		c.tell(reader, updates)
	}
	c.server.work.Go(c.server.tellPending)
	return super, own, c.server.keep(super)
}

// toldMigrated is what the caller, who is a member, is told of a group that was migrated.
func (c *caller) toldMigrated(group, super *chat) *tg.Updates {
	now, numbers := int(c.server.now().Unix()), c.server.messages.last
	mine := peer{userPeer, c.account.ID}
	numbers[mine]++
	from := &tg.PeerUser{UserID: group.Owner}
	last := &tg.MessageService{
		ID: firstMessage + numbers[mine], FromID: from, PeerID: &tg.PeerChat{ChatID: group.ID}, Date: now,
		Action: &tg.MessageActionChatMigrateTo{ChannelID: super.ID},
	}
	first := &tg.MessageService{
		ID: 1, FromID: from, PeerID: &tg.PeerChannel{ChannelID: super.ID}, Date: now,
		Action: &tg.MessageActionChannelMigrateFrom{Title: group.Title, ChatID: group.ID},
	}
	return &tg.Updates{
		Updates: []tg.UpdateClass{
			&tg.UpdateChannel{ChannelID: super.ID}, &tg.UpdateNewMessage{Message: last, Pts: last.ID, PtsCount: 1},
			&tg.UpdateNewChannelMessage{Message: first, Pts: 1, PtsCount: 1},
		},
		Users: []tg.UserClass{c.user(group.Owner)}, Chats: []tg.ChatClass{c.chat(group), c.chat(super)}, Date: now,
	}
}
