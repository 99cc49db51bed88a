package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"maunium.net/go/mautrix/id"
)

type portalBody struct {
	MXID        id.RoomID `json:"mxid"`
	ChatID      ChatID    `json:"chat_id"`
	PeerType    PeerType  `json:"peer_type"`
	Title       string    `json:"title"`
	About       string    `json:"about"`
	Username    string    `json:"username"`
	Megagroup   bool      `json:"megagroup"`
	CanUnbridge bool      `json:"can_unbridge"`
}

func (p *Provisioner) getPortal(ctx context.Context, c *call) (reply, error) {
	roomID, err := parseRoomID(c.vars.get("room_id"))
	if err != nil {
		return reply{}, err
	}
	return p.showPortal(ctx, c, func() (Portal, error) { return p.portals.PortalByRoom(ctx, roomID) })
}

func (p *Provisioner) getPortalByTgid(ctx context.Context, c *call) (reply, error) {
	chatID, err := parseGroupID(c.vars.get("group_id"))
	if err != nil {
		return reply{}, err
	}
	return p.showPortal(ctx, c, func() (Portal, error) { return p.portals.PortalByChat(ctx, chatID, 0) })
}

func (p *Provisioner) showPortal(ctx context.Context, c *call, find func() (Portal, error)) (reply, error) {
	if err := p.readUserID(ctx, c); err != nil {
		return reply{}, err
	}
	portal, err := find()
	if err != nil {
		return reply{}, fmt.Errorf("look up the portal: %w", err)
	}
	kind, _, _ := portal.ChatID.Split()
	body := portalBody{
		MXID: portal.RoomID, ChatID: portal.ChatID, PeerType: kind, Title: portal.Title,
		About: portal.About, Username: portal.Username, Megagroup: portal.Megagroup,
	}
	if c.userID != "" && p.rooms != nil {
		if err = p.checkLevel(ctx, c); err == nil {
			err = p.mayEnd(ctx, c, portal.RoomID)
		}
		if err != nil && !errors.Is(err, errNoPower) {
			return reply{}, err
		}
		body.CanUnbridge = err == nil
	}
	return reply{http.StatusOK, body}, nil
}

// readUserID takes the user who asks for something from the query, if one is
// given. Where none is, that is a Matrix caller, or nobody for a trusted one.
func (p *Provisioner) readUserID(ctx context.Context, c *call) error {
	given, err := queryValue(c.r.URL, "user_id")
	if err != nil {
		return errUserIDInvalid
	}
	if given == "" {
		c.userID = c.caller.userID
		return nil
	}
	if c.userID, err = checkUserID(given); err != nil {
		return err
	}
	if err = p.countFor(c, c.userID); err != nil {
		return err
	}
	return p.mayActFor(ctx, c, c.userID)
}

// unnamed says whether a trusted caller has named no user: then nothing is checked.
func (c *call) unnamed() bool { return c.userID == "" && c.caller.trusted() }

// mayChange returns nil when the user of the call, whose level was checked, may
// bridge or unbridge a room, whichever the event type says, or when the call names
// no user. Errors: errNoPower, ErrBridgeBotNotInRoom.
func (p *Provisioner) mayChange(ctx context.Context, c *call, roomID id.RoomID, eventType string) error {
	if c.unnamed() || c.user.Permission >= PermissionAdmin {
		return nil
	}
	has, err := p.rooms.HasPower(ctx, roomID, c.userID, eventType)
	switch {
	case err != nil:
		return fmt.Errorf("ask for a user's power: %w", err)
	case !has:
		return errNoPower
	}
	return nil
}

// checkLevel looks the user of the call up, if there is one, and checks that they
// may change portals at all. Errors: errNoPower.
func (p *Provisioner) checkLevel(ctx context.Context, c *call) (err error) {
	if c.unnamed() {
		return nil
	}
	c.user, err = p.users.User(ctx, c.userID)
	switch {
	case errors.Is(err, ErrMatrixUserRefused):
		return fmt.Errorf("%w: %w", errNoPower, err)
	case err != nil:
		return fmt.Errorf("look up the user: %w", err)
	case c.user.Permission < PermissionUser:
		return errNoPower
	}
	return nil
}

// checkRoom returns nil when the bridge bot is in a room and the user of the call,
// if there is one, may bridge it. Errors: ErrBridgeBotNotInRoom, errNoPower.
func (p *Provisioner) checkRoom(ctx context.Context, c *call, roomID id.RoomID) error {
	if err := p.rooms.CheckBot(ctx, roomID); err != nil {
		return fmt.Errorf("look for the bridge bot: %w", err)
	}
	return p.mayChange(ctx, c, roomID, bridgeEvent)
}

// actor is the account that acts on Telegram for a call.
type actor struct {
	client  TelegramClient
	account Account
	relay   bool
}

// actorOf returns the account of the call's user, if there is a user and they are
// logged in, else the relay bot. Errors: ErrNotLoggedIn where there is neither.
func (p *Provisioner) actorOf(ctx context.Context, c *call) (actor, error) {
	if c.userID != "" {
		if err := p.getClient(ctx, c); err != nil {
			return actor{}, err
		}
		account, err := p.account(ctx, c)
		if err == nil {
			return actor{client: c.client, account: account}, nil
		}
		if !errors.Is(err, ErrNotLoggedIn) {
			return actor{}, err
		}
	}
	if p.relayBot == nil {
		return actor{}, ErrNotLoggedIn
	}
	account, err := p.relayBot.Account(ctx)
	if err != nil {
		return actor{}, fmt.Errorf("%w: %w", errRelayBot, err)
	}
	return actor{client: p.relayBot, account: account, relay: true}, nil
}

// fault tells whose trouble an error of the actor's is.
func (a actor) fault(err error) error {
	switch {
	case errors.Is(err, ErrNotInChat) && a.relay:
		return fmt.Errorf("%w: %w", errRelayNotInChat, err)
	case a.relay:
		return fmt.Errorf("%w: %w", errRelayBot, err)
	}
	return err
}

// freeRoom returns nil when a room is not bridged, and errBridgeExists when it is
// bridged to this chat. Errors: ErrRoomBridged.
func (p *Provisioner) freeRoom(ctx context.Context, roomID id.RoomID, chatID ChatID) error {
	portal, err := p.portals.PortalByRoom(ctx, roomID)
	switch {
	case errors.Is(err, ErrPortalNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look up the room's portal: %w", err)
	case portal.ChatID == chatID:
		return errBridgeExists
	}
	return ErrRoomBridged
}

// The values of connect_portal's force.
const (
	forceUnbridge = "unbridge"
	forceDelete   = "delete"
)

func (p *Provisioner) connectPortal(ctx context.Context, c *call) (reply, error) {
	if p.rooms == nil {
		return reply{}, ErrNotImplemented
	}
	roomID, err := parseRoomID(c.vars.get("room_id"))
	if err != nil {
		return reply{}, err
	}
	chatID, err := parseGroupID(c.vars.get("chat_id"))
	if err != nil {
		return reply{}, err
	}
	force, err := queryValue(c.r.URL, "force")
	if err != nil {
		return reply{}, err
	}
	if force != "" && force != forceUnbridge && force != forceDelete {
		return reply{}, errValueUnknown
	}
	if err = p.readUserID(ctx, c); err != nil {
		return reply{}, err
	}
	if err = p.checkLevel(ctx, c); err != nil {
		return reply{}, err
	}
	if err = p.freeRoom(ctx, roomID, chatID); err != nil {
		return reply{}, err
	}
	if err = p.checkRoom(ctx, c, roomID); err != nil {
		return reply{}, err
	}
	if _, err = p.replaced(ctx, c, chatID, force); err != nil {
		return reply{}, err
	}
	act, err := p.actorOf(ctx, c)
	if err != nil {
		return reply{}, err
	}
	getter, ok := act.client.(ChatGetter)
	if !ok {
		return reply{}, ErrNotImplemented
	}
	info, err := getter.GetChat(ctx, chatID)
	if err != nil {
		return reply{}, act.fault(fmt.Errorf("get the chat: %w", err))
	}
	return p.connect(ctx, c, roomID, info, act, force)
}

// replaced returns the portal that the chat has in another room, if force allows to
// end it and the user of the call may. Errors: ErrChatBridged, errNoPower.
func (p *Provisioner) replaced(ctx context.Context, c *call, chatID ChatID, force string) (*Portal, error) {
	old, err := p.portals.PortalByChat(ctx, chatID, 0)
	switch {
	case errors.Is(err, ErrPortalNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look up the chat's portal: %w", err)
	case force == "":
		return nil, ErrChatBridged
	}
	if err = p.mayEnd(ctx, c, old.RoomID); err != nil {
		return nil, err
	}
	return &old, nil
}

// mayEnd is mayChange for unbridging a room. In one that the bridge bot is not in, no
// user can show any power.
func (p *Provisioner) mayEnd(ctx context.Context, c *call, roomID id.RoomID) error {
	err := p.mayChange(ctx, c, roomID, unbridgeEvent)
	if errors.Is(err, ErrBridgeBotNotInRoom) {
		return fmt.Errorf("%w: %w", errNoPower, err)
	}
	return err
}

// connect records the portal.
func (p *Provisioner) connect(ctx context.Context, c *call, roomID id.RoomID, info ChatInfo, act actor, force string) (reply, error) {
	portal := Portal{
		RoomID: roomID, ChatID: info.ID, Title: info.Title,
		About: info.About, Username: info.Username, Megagroup: info.Megagroup,
	}
	// The chat's portal may change between being read and being replaced; somebody
	// else has got ahead then, each time.
	const tries = 5
	for range tries {
		old, err := p.replaced(ctx, c, info.ID, force)
		if err != nil {
			return reply{}, err
		}
		n := NewPortal{Portal: portal, Accounts: []TelegramID{act.account.ID}}
		n.Tasks = append(n.Tasks, newTask(taskSetUp, setUpData{Portal: portal, UserID: c.userID, Relay: act.relay, PhotoID: info.PhotoID}))
		n.Tasks = append(n.Tasks, p.eventTask(Event{Type: EventPortalConnected, UserID: c.userID, TelegramID: act.account.ID, Portal: portal})...)
		if old != nil {
			n.Replaces = old.RoomID
			n.Tasks = append(n.Tasks, newTask(taskCleanUp, cleanUpData{Portal: *old, Everybody: force == forceDelete}))
			n.Tasks = append(n.Tasks, p.eventTask(Event{Type: EventPortalDisconnected, UserID: c.userID, TelegramID: act.account.ID, Portal: *old})...)
		}
		err = p.portals.Connect(ctx, n)
		switch {
		case err == nil:
			p.tasks.notify()
			return reply{http.StatusAccepted, struct{}{}}, nil
		case errors.Is(err, ErrRoomBridged):
			// By a request that came first, possibly for the same chat.
			if err := p.freeRoom(ctx, roomID, info.ID); err != nil {
				return reply{}, err
			}
		case force == "" || !errors.Is(err, ErrChatBridged) && !errors.Is(err, ErrPortalNotFound):
			return reply{}, fmt.Errorf("record the portal: %w", err)
		}
	}
	return reply{}, ErrChatBridged
}

func (p *Provisioner) disconnectPortal(ctx context.Context, c *call) (reply, error) {
	if p.rooms == nil {
		return reply{}, ErrNotImplemented
	}
	roomID, err := parseRoomID(c.vars.get("room_id"))
	if err != nil {
		return reply{}, err
	}
	everybody, err := parseBool(c.r.URL, "delete")
	if err != nil {
		return reply{}, err
	}
	wait, err := parseBool(c.r.URL, "sync")
	if err != nil {
		return reply{}, err
	}
	if err = p.readUserID(ctx, c); err != nil {
		return reply{}, err
	}
	if err = p.checkLevel(ctx, c); err != nil {
		return reply{}, err
	}
	portal, err := p.portals.PortalByRoom(ctx, roomID)
	if err != nil {
		return reply{}, fmt.Errorf("look up the portal: %w", err)
	}
	if err = p.mayEnd(ctx, c, roomID); err != nil {
		return reply{}, err
	}
	cleanUp := newTask(taskCleanUp, cleanUpData{Portal: portal, Everybody: everybody})
	if wait {
		cleanUp = held(cleanUp)
	}
	event := p.eventTask(Event{Type: EventPortalDisconnected, UserID: c.userID, Portal: portal})
	if err = p.portals.Disconnect(ctx, portal, append(event, cleanUp)...); err != nil {
		return reply{}, fmt.Errorf("remove the portal: %w", err)
	}
	p.tasks.notify()
	if wait {
		// Emptying a large room may take longer than a request has: here the client
		// says for how long it waits. The work goes on without it.
		select {
		case err = <-p.tasks.start(cleanUp):
		case <-c.r.Context().Done():
			err = c.r.Context().Err()
		}
	}
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusAccepted, struct{}{}}, nil
}
