package provisioning

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"maunium.net/go/mautrix/id"
)

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
	c := newConnection(s, op)
	errs, warnings := checkConnection(ctx, s, op, c)
	if err := firstOf(errs); err != nil {
		return reply{}, err
	}
	act, info, err := s.accounts.inChat(ctx, &op.person, op.chatID)
	if err != nil {
		return reply{}, err
	}
	if err := s.portals.connect(ctx, c, info, act); err != nil {
		return reply{}, err
	}
	return accepted(connectedBody{warnings}), nil
}

// newConnection is the connection that connect_portal is asked for.
func newConnection(s *services, op *operation) *connection {
	return &connection{
		roomID: op.roomID, chatID: op.chatID, userID: op.userID, account: op.user.TelegramID, force: op.force,
		mayEnd: func(ctx context.Context, old Portal) error { return s.rights.mayUnbridge(ctx, op, old.RoomID) },
	}
}

// checkConnection makes the checks that come before Telegram is asked for the chat. It returns
// what each has found, nil for nothing: connect_portal answers with the first error. They are,
// in this order, errBridgeExists and ErrRoomBridged; those of mayBridge; and those of mayReplace.
// What the room's chat has become is asked only for somebody who may bridge the room.
func checkConnection(ctx context.Context, s *services, op *operation, c *connection) (errs []error, warnings []string) {
	errs = allAtOnce(
		func() error { return s.portals.checkFree(ctx, op.roomID, op.chatID) },
		func() error { return s.rights.mayBridge(ctx, op) },
		func() error { return mayReplace(ctx, s, op, c) },
		func() error {
			warnings = s.portals.warnings(ctx, op.roomID)
			return nil
		},
	)
	if errors.Is(errs[0], ErrRoomBridged) && errs[1] == nil {
		errs[0] = s.portals.checkMigrated(ctx, &op.person, c)
	}
	return errs, warnings
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

// preflightBody is the answer to preflight_connect. Blockers are the errors that connect_portal
// would answer with, the first of them first.
type preflightBody struct {
	CanConnect bool        `json:"can_connect"`
	Blockers   []errorBody `json:"blockers"`
	Warnings   []string    `json:"warnings"`
	// Acting is whose account would act, null where nobody's could.
	Acting *string `json:"acting"`
	// Chat is null where the account does not see it.
	Chat *seenChatBody `json:"chat"`
	// Replaces is the room whose portal would end, or go on in this one.
	Replaces *id.RoomID `json:"replaces"`
}

type seenChatBody struct {
	ID    ChatID `json:"id"`
	Title string `json:"title"`
	Type  string `json:"type"`
}

// preflightConnect is preflight_connect: the checks of connect_portal, all of them.
func preflightConnect(ctx context.Context, s *services, op *operation) (reply, error) {
	c := newConnection(s, op)
	c.look = true
	errs, warnings := checkConnection(ctx, s, op, c)
	if errors.Is(errs[1], errNoPower) { // and so nothing else is for the one who asks
		return reply{}, errs[1]
	}
	body := preflightBody{Warnings: warnings}
	if err := s.block(&body, errs...); err != nil {
		return reply{}, err
	}
	act, info, err := s.accounts.inChat(ctx, &op.person, op.chatID)
	if acting := act.name(); acting != "" {
		body.Acting = &acting
	}
	if err == nil {
		body.Chat = &seenChatBody{info.ID, info.Title, chatKind(info.ID, info.Megagroup)}
		var old *Portal
		if old, err = s.portals.wouldReplace(ctx, c, info, act); old != nil {
			body.Replaces = &old.RoomID
		}
	}
	if err = s.block(&body, err); err != nil {
		return reply{}, err
	}
	body.CanConnect = len(body.Blockers) == 0
	return ok(body), nil
}

// block adds the errors that are answers of connect_portal's to a body, each once. It returns
// the first that is none, but says that nobody can tell.
func (s *services) block(body *preflightBody, errs ...error) error {
	if body.Blockers == nil {
		body.Blockers = []errorBody{}
	}
	for _, err := range errs {
		if err == nil {
			continue
		}
		o := outcomeOf(err, "connect_portal")
		if o.status >= http.StatusInternalServerError || o.status == http.StatusTooManyRequests {
			return err
		}
		blocker := newErrorBody(err, o, s.portals.botID)
		if !slices.ContainsFunc(body.Blockers, func(known errorBody) bool { return known.ErrCode == blocker.ErrCode }) {
			body.Blockers = append(body.Blockers, blocker)
		}
	}
	return nil
}
