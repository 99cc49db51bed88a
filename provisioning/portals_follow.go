package provisioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// A portal follows its chat when that is a basic group that becomes a supergroup, and its
// room when that is upgraded. Nobody tells the core of either, so it looks: at the chat
// where a portal is shown or connected, at the room where a chat is connected that has a
// portal in another one. A host that is told calls ChatMigrated or RoomUpgraded.

// followTimeout is for how long an operation that shows a portal waits for Telegram.
const followTimeout = 1500 * time.Millisecond

// shown returns a portal as it is to be shown: that of a basic group moves to the
// supergroup that the group has become. Where Telegram can't say, it is what is recorded.
func (p *portals) shown(ctx context.Context, who *person, portal Portal) Portal {
	to := p.become(ctx, who, portal.ChatID)
	if to == portal.ChatID {
		return portal
	}
	return p.migrated(ctx, portal, to)
}

// wouldShow is shown where nothing may change.
func (p *portals) wouldShow(ctx context.Context, who *person, portal Portal) Portal {
	to := p.become(ctx, who, portal.ChatID)
	if to == portal.ChatID {
		return portal
	}
	if _, err := p.byChat(ctx, to, 0); !errors.Is(err, ErrPortalNotFound) { // and so it can't move there
		return portal
	}
	portal.ChatID, portal.MigratedFrom = to, portal.ChatID
	return portal
}

// become returns the supergroup that a basic group has become, and any other chat as it is.
func (p *portals) become(ctx context.Context, who *person, chatID ChatID) ChatID {
	if kind, _, _ := chatID.Split(); kind != PeerChat {
		return chatID
	}
	return cmp.Or(migrations(ctx, p.accounts.watcher(ctx, who), chatID)[chatID], chatID)
}

// sought returns the portal of a chat that has none on record, since it was recorded for
// the basic group that the chat was, or for the supergroup that it has become. Errors:
// ErrPortalNotFound.
func (p *portals) sought(ctx context.Context, who *person, chatID ChatID) (Portal, error) {
	switch kind, _, _ := chatID.Split(); kind {
	case PeerChat:
		if to := migrations(ctx, p.accounts.watcher(ctx, who), chatID)[chatID]; to != 0 {
			return p.byChat(ctx, to, who.user.TelegramID)
		}
	case PeerChannel:
		portal, err := p.soughtOfUser(ctx, who, chatID)
		if errors.Is(err, ErrPortalNotFound) {
			return p.soughtByRelay(ctx, who, chatID)
		}
		return portal, err
	}
	return Portal{}, ErrPortalNotFound
}

// soughtOfUser returns the portal of the basic group that a supergroup was, among those that
// a user's account takes part in. All that it finds to have become supergroups move. Errors:
// ErrPortalNotFound.
func (p *portals) soughtOfUser(ctx context.Context, who *person, supergroup ChatID) (Portal, error) {
	client := p.accounts.recorded(ctx, who)
	if client == nil {
		return Portal{}, ErrPortalNotFound
	}
	portals, err := p.store.AccountPortals(ctx, who.user.TelegramID)
	if err != nil {
		return Portal{}, fmt.Errorf("list the portals of an account: %w", err)
	}
	var groups []ChatID
	for _, portal := range portals {
		if kind, _, _ := portal.ChatID.Split(); kind == PeerChat {
			groups = append(groups, portal.ChatID)
		}
	}
	become := migrations(ctx, client, groups...)
	found, err := Portal{}, ErrPortalNotFound
	for _, portal := range portals {
		to := become[portal.ChatID]
		if to == 0 {
			continue
		}
		if moved := p.migrated(ctx, portal, to); moved.ChatID == supergroup {
			found, err = moved, nil
		}
	}
	return found, err
}

// soughtByRelay returns the portal of the basic group that a supergroup was, where the relay
// bot is in that. Errors: ErrPortalNotFound.
func (p *portals) soughtByRelay(ctx context.Context, who *person, supergroup ChatID) (Portal, error) {
	relay, can := p.accounts.relayBot.(ChatGetter)
	if !can || !who.relay || p.unrelated.has(supergroup) {
		return Portal{}, ErrPortalNotFound
	}
	ask, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	info, err := relay.GetChat(ask, supergroup)
	switch {
	case errors.Is(err, ErrNotInChat):
		p.unrelated.add(supergroup, time.Minute)
	case err == nil && info.MigratedFrom == 0:
		p.unrelated.add(supergroup, 24*time.Hour)
	case err == nil:
		portal, err := p.byChat(ctx, info.MigratedFrom, 0)
		if err != nil {
			return Portal{}, err
		}
		if moved := p.migrated(ctx, portal, supergroup); moved.ChatID == supergroup {
			return moved, nil
		}
	}
	return Portal{}, ErrPortalNotFound
}

// maxUnrelated is how many supergroups are remembered.
const maxUnrelated = 10_000

// unrelatedChats remembers the supergroups that were not basic groups before, and for a short
// time those that the relay bot is not in, so that it does not look at them each time that
// somebody asks for their portal. Its zero value is ready.
type unrelatedChats struct {
	mu    sync.Mutex
	until map[ChatID]time.Time
}

func (u *unrelatedChats) has(chatID ChatID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Now().Before(u.until[chatID])
}

func (u *unrelatedChats) add(chatID ChatID, keep time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.until == nil || len(u.until) >= maxUnrelated {
		u.until = map[ChatID]time.Time{}
	}
	u.until[chatID] = time.Now().Add(keep)
}

// checkMigrated says why a room that is bridged can't be connected to a chat, when one of the
// chats may have become the other: errBridgeExists or ErrRoomBridged. It returns nil for a room
// that is not bridged any more.
func (p *portals) checkMigrated(ctx context.Context, who *person, c *connection) error {
	portal, err := p.byRoom(ctx, c.roomID)
	switch {
	case errors.Is(err, ErrPortalNotFound): // it has ended since
		return nil
	case err != nil:
		return err
	}
	chatID, show := p.become(ctx, who, c.chatID), p.shown
	if c.look {
		show = p.wouldShow
	}
	if show(ctx, who, portal).isOf(chatID) {
		return errBridgeExists
	}
	return ErrRoomBridged
}

// migrations returns the supergroups that basic groups have become, as far as a client says
// so in time.
func migrations(ctx context.Context, client TelegramClient, groups ...ChatID) map[ChatID]ChatID {
	lister, can := client.(MigrationLister)
	if !can || len(groups) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	become, err := lister.Migrations(ctx, groups)
	if err != nil && !errors.Is(err, ErrNotLoggedIn) && !errors.Is(err, ErrNotImplemented) {
		zerolog.Ctx(ctx).Info().Err(err).Msg("Could not see whether basic groups have become supergroups")
	}
	return become
}

// migrated moves the portal of a basic group to the supergroup that this has become, and
// returns it as it is recorded then.
func (p *portals) migrated(ctx context.Context, portal Portal, supergroup ChatID) Portal {
	to := portal
	to.ChatID, to.MigratedFrom, to.Megagroup = supergroup, portal.ChatID, true
	err := p.move(ctx, portal, NewPortal{Portal: to}, 0)
	if err == nil {
		return to
	}
	zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", portal.RoomID).Int64("chat_id", int64(supergroup)).
		Msg("A portal could not follow a basic group that has become a supergroup")
	if current, err := p.byRoom(ctx, portal.RoomID); err == nil { // somebody else has moved it
		return current
	}
	return portal
}

// move records that a portal goes on as another one. Errors: those of [PortalStore.Move].
func (p *portals) move(ctx context.Context, from Portal, to NewPortal, photoID int64) error {
	to.Tasks = append(to.Tasks, newTask(taskSetUp, &setUpRecord{
		Portal: portalRecord(to.Portal), UserID: to.UserID, Relay: to.Relay, PhotoID: photoID,
	}))
	if from.RoomID != to.RoomID {
		to.Tasks = append(to.Tasks, newTask(taskCleanUp, &cleanUpRecord{Portal: portalRecord(from)}))
	}
	event := Event{Type: EventPortalMoved, UserID: to.UserID, Portal: to.Portal, Former: from}
	if len(to.Accounts) > 0 {
		event.TelegramID = to.Accounts[0]
	}
	to.Tasks = append(to.Tasks, p.events.task(event)...)
	if err := p.store.Move(ctx, from, to); err != nil {
		return fmt.Errorf("move a portal: %w", err)
	}
	p.outbox.notify()
	return nil
}

// migrate moves the portal of the basic group that a supergroup was, if there is one.
func (p *portals) migrate(ctx context.Context, group ChatID, supergroup ChatInfo, account TelegramID) error {
	old, err := p.byChat(ctx, group, account)
	if errors.Is(err, ErrPortalNotFound) || err == nil && old.ChatID != group {
		return nil
	}
	if err != nil {
		return err
	}
	err = p.move(ctx, old, NewPortal{Portal: portalOf(old.RoomID, supergroup)}, supergroup.PhotoID)
	if errors.Is(err, ErrPortalNotFound) || errors.Is(err, ErrChatBridged) {
		return nil // somebody else has moved it, or the supergroup has a room of its own
	}
	return err
}

// isUpgrade says whether a room has been upgraded to another one. A room that the bridge
// bot can't see has not.
func (p *portals) isUpgrade(ctx context.Context, from, to id.RoomID) (bool, error) {
	for _, side := range []struct {
		room id.RoomID
		says func(Room) bool
	}{
		{to, func(r Room) bool { return r.Predecessor == from }},
		{from, func(r Room) bool { return r.Replacement == to }},
	} {
		room, err := p.rooms.Room(ctx, side.room, RoomQuery{})
		switch {
		case errors.Is(err, ErrBridgeBotNotInRoom):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("see whether a room was upgraded: %w", err)
		case !side.says(room):
			return false, nil
		}
	}
	return true, nil
}

// ChatMigrated has the portal of a basic group go on with the supergroup that the group has
// become. It is for a host that hears of that from Telegram; without it, the portal moves
// when somebody asks the API for it. A group without a portal is no error. Errors:
// [ErrChatBridged] where the supergroup has a portal in another room; those of the
// [PortalStore].
func (p *Provisioner) ChatMigrated(ctx context.Context, group, supergroup ChatID) error {
	portals := p.services.portals
	portal, err := portals.byChat(ctx, group, 0)
	switch {
	case errors.Is(err, ErrPortalNotFound) || err == nil && portal.ChatID != group:
		return nil
	case err != nil:
		return err
	}
	to := portal
	to.ChatID, to.MigratedFrom, to.Megagroup = supergroup, group, true
	return portals.move(ctx, portal, NewPortal{Portal: to}, 0)
}

// RoomUpgraded has the portal of a room go on in the room that it was upgraded to, if both
// rooms say so and the bridge bot is in both. It is for a host that sees the tombstone;
// without it, the portal moves when somebody connects the new room to the chat. It returns
// whether a portal has moved. Errors: [ErrRoomBridged] where the new room has a portal;
// [ErrNotImplemented] on a bridge without Rooms; those of the [PortalStore] and the [Rooms].
func (p *Provisioner) RoomUpgraded(ctx context.Context, from, to id.RoomID) (moved bool, err error) {
	portals := p.services.portals
	if portals.rooms == nil {
		return false, ErrNotImplemented
	}
	portal, err := portals.byRoom(ctx, from)
	if errors.Is(err, ErrPortalNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if is, err := portals.isUpgrade(ctx, from, to); err != nil || !is {
		return false, err
	}
	next := portal
	next.RoomID = to
	err = portals.move(ctx, portal, NewPortal{Portal: next}, 0)
	return err == nil, err
}
