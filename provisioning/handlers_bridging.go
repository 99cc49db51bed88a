package provisioning

import (
	"context"
	"errors"
	"strings"

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

// getPortal is get_portal.
func getPortal(ctx context.Context, s *services, op *operation) (reply, error) {
	portal, err := s.portals.byRoom(ctx, op.roomID)
	if err != nil {
		return reply{}, err
	}
	if err = s.rights.maySee(ctx, op, portal); err != nil {
		return reply{}, err
	}
	return showPortal(ctx, s, op, s.portals.shown(ctx, &op.person, portal))
}

// getPortalByTgid is get_portal_by_tgid.
func getPortalByTgid(ctx context.Context, s *services, op *operation) (reply, error) {
	portal, err := s.portals.byChat(ctx, op.chatID, op.user.TelegramID)
	if errors.Is(err, ErrPortalNotFound) {
		portal, err = s.portals.sought(ctx, &op.person, op.chatID)
	}
	if err != nil {
		return reply{}, err
	}
	if err = s.rights.maySee(ctx, op, portal); err != nil {
		return reply{}, err
	}
	return showPortal(ctx, s, op, s.portals.shown(ctx, &op.person, portal))
}

func showPortal(ctx context.Context, s *services, op *operation, portal Portal) (reply, error) {
	kind, _, _ := portal.ChatID.Split()
	body := portalBody{
		MXID: portal.RoomID, ChatID: portal.ChatID, PeerType: kind, Title: portal.Title,
		About: portal.About, Username: portal.Username, Megagroup: portal.Megagroup,
	}
	if op.userID != "" && s.portals.rooms != nil {
		err := s.rights.mayUnbridge(ctx, op, portal.RoomID)
		if err != nil && !errors.Is(err, errNoPower) && !errors.Is(err, ErrBridgeBotNotInRoom) {
			return reply{}, err
		}
		body.CanUnbridge = err == nil
	}
	return ok(body), nil
}

// The values of connect_portal's force.
const (
	forceUnbridge = "unbridge"
	forceDelete   = "delete"
)

// connectedBody is the answer to connect_portal. Warnings are what may keep the portal from
// working as people expect.
type connectedBody struct {
	Warnings []string `json:"warnings"`
}

// warnRoomEncrypted: the room is encrypted, and the bridge can't decrypt.
const warnRoomEncrypted = "room_encrypted"

// connectPortal is connect_portal.
func connectPortal(ctx context.Context, s *services, op *operation) (reply, error) {
	c := &connection{
		roomID: op.roomID, chatID: op.chatID, userID: op.userID, account: op.user.TelegramID, force: op.force,
		mayEnd: func(ctx context.Context, old Portal) error { return s.rights.mayUnbridge(ctx, op, old.RoomID) },
	}
	var warnings []string
	err := atOnce(func() error { return mayConnect(ctx, s, op) }, func() error { return mayReplace(ctx, s, op, c) }, func() error {
		warnings = s.portals.warnings(ctx, op.roomID)
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	act, info, err := s.accounts.inChat(ctx, &op.person, op.chatID)
	if err != nil {
		return reply{}, err
	}
	if act.relay { // the user may have been logged out meanwhile, or their account may not act
		c.account = 0
	}
	if err := s.portals.connect(ctx, c, info, act); err != nil {
		return reply{}, err
	}
	return accepted(connectedBody{warnings}), nil
}

// mayConnect returns nil when the room is not bridged, and the one who asks may bridge it.
// Telegram is asked what the room's chat has become only for somebody who may. Errors:
// errBridgeExists, ErrRoomBridged, those of mayBridge.
func mayConnect(ctx context.Context, s *services, op *operation) error {
	err := s.portals.checkFree(ctx, op.roomID, op.chatID)
	if err != nil && !errors.Is(err, ErrRoomBridged) {
		return err
	}
	switch may := s.rights.mayBridge(ctx, op); {
	case err == nil:
		return may
	case may != nil:
		return err
	}
	return s.portals.checkMigrated(ctx, &op.person, op.roomID, op.chatID)
}

// mayReplace returns nil when the portal that the chat has, if there is one, may give way. A
// confined caller is told of it when their account is in the chat, and not before. Errors:
// those of replaced.
func mayReplace(ctx context.Context, s *services, op *operation, c *connection) error {
	if op.caller.confined() {
		return nil
	}
	_, err := s.portals.replaced(ctx, c)
	return err
}

type createdBody struct {
	ChatID ChatID `json:"chat_id"`
}

// chatTypes are the values of create_portal's type.
var chatTypes = map[string]ChatType{
	"chat": ChatTypeBasicGroup, "group": ChatTypeBasicGroup, "supergroup": ChatTypeSupergroup, "channel": ChatTypeChannel,
}

// readNewChat reads what chat to create. Its title is empty where none is given.
func readNewChat(body object) (chat NewChat, err error) {
	kind, err := body.text("type")
	if err != nil {
		return chat, err
	}
	if chat.Type = chatTypes[kind]; chat.Type == 0 {
		return chat, errValueUnknown
	}
	if chat.Title, err = body.optionalText("title"); err != nil {
		return chat, err
	}
	if chat.About, err = body.optionalText("about"); err != nil {
		return chat, err
	}
	chat.Title, chat.About = strings.TrimSpace(chat.Title), strings.TrimSpace(chat.About)
	return chat, nil
}

// createPortal is create_portal.
func createPortal(ctx context.Context, s *services, op *operation) (reply, error) {
	chat, err := readNewChat(op.body)
	if err != nil {
		return reply{}, err
	}
	// The database decides of two racing requests. That only one at a time gets as far
	// in this process spares Telegram a chat that is deleted again.
	unlock, err := s.portals.creating.Lock(ctx, op.roomID)
	if err != nil {
		return reply{}, err
	}
	defer unlock()
	if err = s.portals.checkFree(ctx, op.roomID, 0); err != nil {
		return reply{}, err
	}
	act, err := s.accounts.creator(ctx, &op.person)
	if err != nil {
		return reply{}, err
	}
	room, err := contentForBridging(ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	info, err := s.portals.create(ctx, op.userID, act, op.roomID, room, chat)
	if err != nil {
		return reply{}, err
	}
	return created(createdBody{info.ID}).about(op.roomID, info.ID), nil
}

// contentForBridging reads the room for somebody who may bridge it. Errors: those of mayBridge.
func contentForBridging(ctx context.Context, s *services, op *operation) (room Room, err error) {
	err = atOnce(func() error { return s.rights.mayBridge(ctx, op) }, func() (err error) {
		room, err = s.portals.content(ctx, op.roomID)
		return err
	})
	return room, err
}

// disconnectPortal is disconnect_portal.
func disconnectPortal(ctx context.Context, s *services, op *operation) (reply, error) {
	portal, err := s.portals.byRoom(ctx, op.roomID)
	if err != nil {
		return reply{}, err
	}
	if err = s.rights.maySee(ctx, op, portal); err != nil {
		return reply{}, err
	}
	if err = s.rights.mayUnbridge(ctx, op, op.roomID); err != nil {
		return reply{}, err
	}
	cleaned, err := s.portals.end(ctx, portal, op.userID, op.everybody, op.wait)
	if err != nil {
		return reply{}, err
	}
	if op.wait {
		// Emptying a large room may take longer than a request has: here the client
		// says for how long it waits. The work goes on without it.
		select {
		case err = <-cleaned:
		case <-op.connected.Done():
			err = op.connected.Err()
		}
	}
	if err != nil {
		return reply{}, err
	}
	return accepted(struct{}{}).about(op.roomID, portal.ChatID), nil
}
