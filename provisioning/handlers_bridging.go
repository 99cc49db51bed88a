package provisioning

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"maunium.net/go/mautrix/id"
)

// portalFields are what is said of a portal wherever one is shown.
type portalFields struct {
	MXID      id.RoomID `json:"mxid"`
	ChatID    ChatID    `json:"chat_id"`
	PeerType  PeerType  `json:"peer_type"`
	Title     string    `json:"title"`
	About     string    `json:"about"`
	Username  string    `json:"username"`
	Megagroup bool      `json:"megagroup"`
}

func newPortalFields(portal Portal) portalFields {
	kind, _, _ := portal.ChatID.Split()
	return portalFields{
		MXID: portal.RoomID, ChatID: portal.ChatID, PeerType: kind, Title: portal.Title,
		About: portal.About, Username: portal.Username, Megagroup: portal.Megagroup,
	}
}

type portalBody struct {
	portalFields
	CanUnbridge bool `json:"can_unbridge"`
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
	body := portalBody{portalFields: newPortalFields(portal)}
	if op.userID != "" && s.portals.rooms != nil {
		err := s.rights.mayUnbridge(ctx, op, portal.RoomID)
		if err != nil && !errors.Is(err, errNoPower) && !errors.Is(err, ErrBridgeBotNotInRoom) {
			return reply{}, err
		}
		body.CanUnbridge = err == nil
	}
	return ok(body), nil
}

// portalsBody is the answer to list_portals. Next is what the next page comes after, null where
// there is none.
type portalsBody struct {
	Portals []listedPortalBody `json:"portals"`
	Next    *string            `json:"next"`
}

type listedPortalBody struct {
	portalFields
	// Receiver is null for groups and channels.
	Receiver *TelegramID `json:"receiver"`
}

// listPortals is list_portals.
func listPortals(ctx context.Context, s *services, op *operation) (reply, error) {
	lister, can := s.portals.store.(PortalLister)
	if !can {
		return reply{}, ErrNotImplemented
	}
	limit := cmp.Or(op.limit, defaultPortals)
	portals, err := s.rights.portalsOf(ctx, op, lister, PortalQuery{After: id.RoomID(op.after), Limit: limit + 1})
	if err != nil {
		return reply{}, err
	}
	body := portalsBody{Portals: []listedPortalBody{}}
	if len(portals) > limit {
		portals = portals[:limit]
		body.Next = new(base64.RawURLEncoding.EncodeToString([]byte(portals[limit-1].RoomID)))
	}
	for _, portal := range portals {
		listed := listedPortalBody{portalFields: newPortalFields(portal)}
		if portal.Receiver != 0 {
			listed.Receiver = &portal.Receiver
		}
		body.Portals = append(body.Portals, listed)
	}
	return ok(body), nil
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
