package provisioning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/rs/zerolog"
	"github.com/tgprovision/tgprovision/internal/keyed"
)

// portals connects, creates and ends portals, and does what these have promised.
type portals struct {
	store    PortalStore
	rooms    Rooms      // nil where portals are only read
	decrypts bool       // see Config.Decrypts
	needs    GhostUsers // nil where it is not recorded who needs ghosts
	accounts *accounts
	events   *events
	outbox   *outbox
	// longest is how long a request takes at most that creates a chat and records its portal.
	longest time.Duration

	unrelated unrelatedChats

	creating keyed.Mutex[id.RoomID]
	starting keyed.Mutex[directChat]
	changing keyed.Mutex[id.RoomID] // by tasks
}

// newPortals has the outbox do the work on portals.
func newPortals(cfg Config, accounts *accounts, events *events, outbox *outbox) *portals {
	p := &portals{store: cfg.Portals, rooms: cfg.Rooms, decrypts: cfg.Decrypts, accounts: accounts, events: events, outbox: outbox, longest: cfg.timeout() + recordTimeout}
	p.needs, _ = cfg.Rooms.(GhostUsers)
	p.handleTasks()
	return p
}

// byRoom returns the portal of a room. Errors: ErrPortalNotFound.
func (p *portals) byRoom(ctx context.Context, roomID id.RoomID) (Portal, error) {
	portal, err := p.store.PortalByRoom(ctx, roomID)
	if err != nil {
		return Portal{}, fmt.Errorf("look up the room's portal: %w", err)
	}
	return portal, nil
}

// byChat returns the portal that a chat has for an account. Errors: ErrPortalNotFound.
func (p *portals) byChat(ctx context.Context, chatID ChatID, account TelegramID) (Portal, error) {
	portal, err := p.store.PortalByChat(ctx, chatID, account)
	if err != nil {
		return Portal{}, fmt.Errorf("look up the chat's portal: %w", err)
	}
	return portal, nil
}

// isPortal says whether the portal's room is bridged to its chat.
func isPortal(ctx context.Context, store PortalStore, portal Portal) (bool, error) {
	current, err := store.PortalByRoom(ctx, portal.RoomID)
	switch {
	case errors.Is(err, ErrPortalNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look up the portal: %w", err)
	}
	return current.sameAs(portal), nil
}

// sameAs says whether two portals are of one room, chat and account. A supergroup is the
// basic group that it was.
func (p Portal) sameAs(other Portal) bool {
	return p.RoomID == other.RoomID && p.isOf(other.ChatID) && p.Receiver == other.Receiver
}

// isOf says whether it is the portal of a chat, for whichever account.
func (p Portal) isOf(chatID ChatID) bool {
	return p.ChatID == chatID || p.MigratedFrom != 0 && p.MigratedFrom == chatID
}

// checkFree returns nil when a room is not bridged, and errBridgeExists when it is
// bridged to this chat. Errors: ErrRoomBridged.
func (p *portals) checkFree(ctx context.Context, roomID id.RoomID, chatID ChatID) error {
	portal, err := p.byRoom(ctx, roomID)
	switch {
	case errors.Is(err, ErrPortalNotFound):
		return nil
	case err != nil:
		return err
	case portal.isOf(chatID):
		return errBridgeExists
	}
	return ErrRoomBridged
}

// connection is a room that is to be connected to a chat.
type connection struct {
	roomID  id.RoomID
	chatID  ChatID
	userID  id.UserID  // who asks, "" for nobody in particular
	account TelegramID // of whom
	force   string
	// upgraded is the room that has been upgraded to this one, as far as that is known.
	upgraded id.RoomID
	// mayEnd says whether the portal that the chat has in another room may be ended. That of
	// the room ends is known to be.
	mayEnd func(context.Context, Portal) error
	ends   id.RoomID
	// look: it is only looked at, and nothing may change.
	look bool
}

// replaced returns the portal that the chat has in another room, nil for none, if it may
// give way: its room was upgraded to this one, or force allows to end it and the one who asks
// may. Errors: errBridgeExists, ErrChatBridged, those of mayEnd.
func (p *portals) replaced(ctx context.Context, c *connection) (*Portal, error) {
	old, err := p.byChat(ctx, c.chatID, c.account)
	switch {
	case errors.Is(err, ErrPortalNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case old.RoomID == c.roomID: // by a request that came first
		return nil, errBridgeExists
	case c.force == "":
		return p.upgradedFrom(ctx, c, old)
	case old.RoomID == c.ends:
		return &old, nil
	}
	if err = c.mayEnd(ctx, old); err != nil {
		return nil, err
	}
	c.ends = old.RoomID
	return &old, nil
}

// upgradedFrom returns a portal whose room was upgraded to that of a connection. Errors:
// ErrChatBridged for any other.
func (p *portals) upgradedFrom(ctx context.Context, c *connection, old Portal) (*Portal, error) {
	if c.upgraded != old.RoomID {
		is, err := p.isUpgrade(ctx, old.RoomID, c.roomID)
		if err != nil {
			return nil, err
		}
		if !is {
			return nil, ErrChatBridged
		}
		c.upgraded = old.RoomID
	}
	return &old, nil
}

// wouldReplace is replaced for the chat that is there, where nothing may change. A basic group
// that has become it may be the chat of a portal still. Errors: those of replaced.
func (p *portals) wouldReplace(ctx context.Context, c *connection, info ChatInfo, act actor) (*Portal, error) {
	c.found(info, act)
	old, err := p.replaced(ctx, c)
	if old != nil || err != nil || info.MigratedFrom == 0 {
		return old, err
	}
	c.chatID = info.MigratedFrom
	return p.replaced(ctx, c)
}

// found fills in which chat it is, and whose account is in it.
func (c *connection) found(info ChatInfo, act actor) {
	c.chatID = info.ID // which the group that was asked for may have become
	if act.relay {     // the user may have been logged out meanwhile, or their account may not act
		c.account = 0
	}
}

// connect records that a room is bridged to a chat.
func (p *portals) connect(ctx context.Context, c *connection, info ChatInfo, act actor) error {
	c.found(info, act)
	if info.MigratedFrom != 0 {
		if err := p.migrate(ctx, info.MigratedFrom, info, c.account); err != nil {
			return err
		}
	}
	// The chat's portal may change between being read and being replaced; somebody
	// else has got ahead then, each time.
	const tries = 5
	var err error
	for range tries {
		var old *Portal
		if old, err = p.replaced(ctx, c); err != nil {
			return err
		}
		err = p.record(ctx, c, info, act, old)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrRoomBridged):
			// By a request that came first, possibly for the same chat; or by something of the
			// bridge's that is no portal here.
			if err := p.checkFree(ctx, c.roomID, c.chatID); err != nil {
				return err
			}
		case old == nil || !errors.Is(err, ErrChatBridged) && !errors.Is(err, ErrPortalNotFound):
			return err
		}
	}
	if errors.Is(err, ErrRoomBridged) {
		return err
	}
	return ErrChatBridged
}

// record records a connection once, in place of an old portal unless that is nil. Errors:
// those of [PortalStore].
func (p *portals) record(ctx context.Context, c *connection, info ChatInfo, act actor, old *Portal) error {
	portal := portalOf(c.roomID, info)
	n := NewPortal{Portal: portal, Accounts: []TelegramID{act.account.ID}, UserID: c.userID, Relay: act.relay}
	if old != nil && old.RoomID == c.upgraded {
		return p.move(ctx, *old, n, info.PhotoID)
	}
	n.Tasks = append(n.Tasks, newTask(taskSetUp, &setUpRecord{
		Portal: portalRecord(portal), UserID: c.userID, Relay: act.relay, PhotoID: info.PhotoID,
	}))
	event := Event{Type: EventPortalConnected, UserID: c.userID, TelegramID: act.account.ID, Portal: portal}
	n.Tasks = append(n.Tasks, p.events.task(event)...)
	if old != nil {
		n.Replaces = old.RoomID
		n.Tasks = append(n.Tasks, newTask(taskCleanUp, &cleanUpRecord{Portal: portalRecord(*old), Everybody: c.force == forceDelete}))
		event.Type, event.Portal = EventPortalDisconnected, *old
		n.Tasks = append(n.Tasks, p.events.task(event)...)
	}
	if err := p.store.Connect(ctx, n); err != nil {
		return fmt.Errorf("record the portal: %w", err)
	}
	p.outbox.notify()
	return nil
}

// portalOf is the portal of a room and a chat.
func portalOf(roomID id.RoomID, info ChatInfo) Portal {
	return Portal{
		RoomID: roomID, ChatID: info.ID, Title: info.Title,
		About: info.About, Username: info.Username, Megagroup: info.Megagroup, MigratedFrom: info.MigratedFrom,
	}
}

// warnings returns what may keep a portal of a room from working, never nil. A room that can't
// be read has none: whether it can be bridged is somebody else's question.
func (p *portals) warnings(ctx context.Context, roomID id.RoomID) []string {
	if p.decrypts {
		return []string{}
	}
	room, err := p.rooms.Room(ctx, roomID, RoomQuery{})
	if err != nil {
		if !errors.Is(err, ErrBridgeBotNotInRoom) {
			zerolog.Ctx(ctx).Info().Err(err).Msg("Could not see whether a room is encrypted")
		}
		return []string{}
	}
	if room.Encrypted {
		return []string{warnRoomEncrypted}
	}
	return []string{}
}

// botID returns the bridge bot's Matrix ID, "" on a bridge without rooms.
func (p *portals) botID() id.UserID {
	if p.rooms == nil {
		return ""
	}
	return p.rooms.BotID()
}

// end removes a portal, for a user or, where that is "", for nobody in particular, and has
// its room cleaned up. With wait it sends what came of the clean-up. Errors:
// ErrPortalNotFound.
func (p *portals) end(ctx context.Context, portal Portal, userID id.UserID, everybody, wait bool) (cleaned <-chan error, err error) {
	cleanUp := newTask(taskCleanUp, &cleanUpRecord{Portal: portalRecord(portal), Everybody: everybody})
	if wait {
		cleanUp = held(cleanUp)
	}
	event := p.events.task(Event{Type: EventPortalDisconnected, UserID: userID, Portal: portal})
	if err := p.store.Disconnect(ctx, portal, append(event, cleanUp)...); err != nil {
		return nil, fmt.Errorf("remove the portal: %w", err)
	}
	p.outbox.notify()
	if wait {
		cleaned = p.outbox.doNow(cleanUp)
	}
	return cleaned, nil
}
