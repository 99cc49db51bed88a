package provisioning

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// rights decides what a caller may do, for whom, and in which room. The route table says what
// an operation takes. Nothing else in the package compares levels, or asks for power.
//
// A caller with a shared secret is trusted, within the scope of the secret: it names the users
// whose rights count, or nobody. A Matrix user below the level admin is confined: to themselves, and to the rooms
// that they are in.
type rights struct {
	users UserReader
	rooms Rooms // nil where nobody is known to be in a room
}

// level returns what the level of a user counts for with a caller. An OpenID token is given
// to widgets, to prove who somebody is, and a login link to one login: they make nobody an admin.
func (c caller) level(user User) Permission {
	if c.kind == byOpenID || c.kind == byLoginLink {
		return min(user.Permission, PermissionFull)
	}
	return user.Permission
}

// mayUseTelegram says whether a user may log in to Telegram, and have their account act. The
// session of somebody who may not any more is kept, for them to see and to end.
func mayUseTelegram(user User) bool { return user.Permission >= PermissionFull }

// mustName says whether the one who asks has to be named.
func (op *operation) mustName() bool {
	return op.rt.asker == askerRequired || op.caller.trusted() && op.caller.secret.requireUser
}

// unnamed says whether a trusted caller has named no user: then nobody's rights are
// checked.
func (op *operation) unnamed() bool { return op.userID == "" && op.caller.trusted() }

// unrestricted says whether the operation takes no power in a room: nobody is named, or an
// admin.
func (op *operation) unrestricted() bool {
	return op.unnamed() || op.caller.level(op.user) >= PermissionAdmin
}

// checkCaller returns nil when the caller may do the operation at all. Errors: errNoLink,
// errScope, errCallerLevel.
func (r *rights) checkCaller(ctx context.Context, op *operation) error {
	switch {
	case op.rt.byLink && op.caller.link == "":
		return errNoLink
	case op.caller.kind == byLoginLink && !op.caller.mayByLogin(op.rt):
		return errScope
	case op.caller.trusted() && op.caller.secret.scope < op.rt.scope:
		return errScope
	case op.caller.trusted() || op.rt.callerNeed == PermissionNone:
		return nil
	}
	level, err := r.callerLevel(ctx, op.caller)
	if err == nil && level < op.rt.callerNeed {
		return errCallerLevel
	}
	return err
}

// mayByLogin says whether a login link, or the session of one, is for a route. What matches no
// route is told to them as to others.
func (c caller) mayByLogin(rt *route) bool {
	switch {
	case rt.method == "":
		return true
	case c.link != "":
		return rt.byLink
	}
	return rt.bySession
}

// checkNamed returns nil when the caller may name a user: trusted callers and admins any,
// others themselves. Errors: errNotYourself, errScope.
func (r *rights) checkNamed(ctx context.Context, op *operation, userID id.UserID) error {
	if op.caller.trusted() || userID == op.caller.userID {
		return nil
	}
	if op.caller.kind == byLoginLink {
		return errScope
	}
	level, err := r.callerLevel(ctx, op.caller)
	if err == nil && level < PermissionAdmin {
		return errNotYourself
	}
	op.caller.admin = err == nil
	return err
}

// callerLevel looks the level of a Matrix caller up.
func (r *rights) callerLevel(ctx context.Context, who caller) (Permission, error) {
	user, err := r.users.User(ctx, who.userID)
	switch {
	case errors.Is(err, ErrMatrixUserRefused):
		return PermissionNone, nil
	case err != nil:
		return PermissionNone, fmt.Errorf("look up the caller: %w", err)
	}
	return who.level(user), nil
}

// checkUser fills in the user that an operation is about, and returns nil when it may be done
// for them. Errors: errNotWhitelisted, ErrMatrixUserRefused.
func (r *rights) checkUser(ctx context.Context, op *operation) (err error) {
	if op.user, err = r.users.User(ctx, op.userID); err != nil {
		return fmt.Errorf("look up the user: %w", err)
	}
	if op.user.Permission < op.rt.need {
		return errNotWhitelisted
	}
	return nil
}

// checkAsker fills in the user who asks, if there is one, and returns nil when they may ask
// for that. Of a confined caller it looks first at what they may do in the room: nothing
// that is said of the room before that is for them. Errors: errNoPower,
// ErrBridgeBotNotInRoom.
func (r *rights) checkAsker(ctx context.Context, op *operation) (err error) {
	if op.unnamed() {
		op.relay = true
		return nil
	}
	op.user, err = r.users.User(ctx, op.userID)
	if errors.Is(err, ErrMatrixUserRefused) {
		op.user, err = User{}, nil
	}
	if err != nil {
		return fmt.Errorf("look up the user: %w", err)
	}
	if op.user.Permission < op.rt.askerNeed {
		return errNoPower
	}
	if op.userID == op.caller.userID {
		op.caller.admin = op.caller.level(op.user) >= PermissionAdmin
	}
	op.relay = !op.caller.confined()
	if op.rt.bridges && op.caller.confined() {
		return r.mayBridge(ctx, op)
	}
	return nil
}

// maySee returns nil when the caller may know of a portal: one who is confined has joined its
// room, or has the account whose direct chat it is. Errors: ErrPortalNotFound, the same as for
// no portal.
func (r *rights) maySee(ctx context.Context, op *operation, portal Portal) error {
	own := portal.Receiver != 0 && portal.Receiver == op.user.TelegramID && !op.user.Displaced
	if own || !op.caller.confined() {
		return nil
	}
	if r.rooms == nil {
		return ErrPortalNotFound
	}
	room, err := r.rooms.Room(ctx, portal.RoomID, RoomQuery{Member: op.caller.userID})
	switch {
	case err == nil && room.Joined:
		return nil
	case err == nil || errors.Is(err, ErrBridgeBotNotInRoom):
		return ErrPortalNotFound
	}
	return fmt.Errorf("see who is in a room: %w", err)
}

// portalsOf returns those of a list of portals that the one who asks may see. These are all for
// callers that name nobody, and for admins, and for others those in which their account takes part:
// which rooms they are in, the homeserver would have to be asked one by one.
func (r *rights) portalsOf(ctx context.Context, op *operation, lister PortalLister, query PortalQuery) ([]Portal, error) {
	if !op.unrestricted() {
		if query.Account = op.user.TelegramID; query.Account == 0 || op.user.Displaced {
			return nil, nil
		}
	}
	portals, err := lister.ListPortals(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list portals: %w", err)
	}
	return portals, nil
}

// roomsOf returns the rooms that chats of an account are bridged to, of the portals that the
// caller may see: those in which the account takes part and, for callers that are not confined,
// all others, as far as the store lists them.
func (r *rights) roomsOf(ctx context.Context, op *operation, store PortalStore, account TelegramID, chats []Chat) (map[ChatID]id.RoomID, error) {
	var portals []Portal
	var err error
	lister, can := store.(PortalLister)
	if can && (!op.caller.confined() || op.unrestricted()) {
		ids := make([]ChatID, len(chats))
		for i, chat := range chats {
			ids[i] = chat.ID
		}
		portals, err = lister.PortalsOfChats(ctx, account, ids)
	} else {
		portals, err = store.AccountPortals(ctx, account)
	}
	if err != nil {
		return nil, fmt.Errorf("look for the portals of chats: %w", err)
	}
	rooms := make(map[ChatID]id.RoomID, len(portals))
	for _, portal := range portals {
		rooms[portal.ChatID] = portal.RoomID
	}
	return rooms, nil
}

// mayBridge returns nil when the bridge bot is in the room and the user who asks, if there
// is one, may bridge it. Errors: ErrBridgeBotNotInRoom, errNoPower.
func (r *rights) mayBridge(ctx context.Context, op *operation) error {
	switch {
	case op.bridgeable:
		return nil
	case !op.unrestricted():
		err := r.checkPower(ctx, op, op.roomID, bridgeEvent)
		op.bridgeable = err == nil
		return err
	}
	if err := r.rooms.CheckBot(ctx, op.roomID); err != nil {
		return fmt.Errorf("look for the bridge bot: %w", err)
	}
	return nil
}

// mayUnbridge returns nil when the user who asks, if there is one, may end the portal of a
// room. In one that the bridge bot is not in, nobody below the level admin can show any
// power. Errors: errNoPower, ErrBridgeBotNotInRoom.
func (r *rights) mayUnbridge(ctx context.Context, op *operation, roomID id.RoomID) error {
	if !op.unnamed() && op.user.Permission < PermissionUser {
		return errNoPower
	}
	return r.checkPower(ctx, op, roomID, unbridgeEvent)
}

// checkPower returns nil when the user who asks may send a state event of a type in a room,
// has the level admin, or is not named. Errors: errNoPower, ErrBridgeBotNotInRoom.
func (r *rights) checkPower(ctx context.Context, op *operation, roomID id.RoomID, eventType string) error {
	if op.unrestricted() {
		return nil
	}
	has, err := r.rooms.HasPower(ctx, roomID, op.userID, eventType)
	switch {
	case err != nil:
		return fmt.Errorf("ask for a user's power: %w", err)
	case !has:
		return errNoPower
	}
	return nil
}
