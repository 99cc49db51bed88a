package bridgev2host

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// StartDirect implements [provisioning.DirectPortals]. bridgev2 makes the room and invites
// the user; with double puppeting the user joins it at once. A room of somebody who had the
// account before gives way to one of the user's own.
func (s *portalStore) StartDirect(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
	login, err := s.h.loginOf(ctx, account.ID)
	if err != nil {
		return provisioning.Portal{}, false, err
	}
	unlock, err := s.starting.Lock(ctx, directChat{account.ID, contact.ID})
	if err != nil {
		return provisioning.Portal{}, false, fmt.Errorf("wait for another start of the chat: %w", err)
	}
	defer unlock()
	chatID := provisioning.UserChatID(contact.ID)
	portal, err := s.PortalByChat(ctx, chatID, account.ID)
	if err == nil {
		err = s.endOfAnother(ctx, portal, userID)
	}
	if err == nil {
		return portal, false, s.invite(ctx, portal.RoomID, userID, contact.ID)
	}
	if !errors.Is(err, provisioning.ErrPortalNotFound) {
		return provisioning.Portal{}, false, err
	}
	if err := s.makeDirect(ctx, login, chatID, account.ID); err != nil {
		return provisioning.Portal{}, false, err
	}
	if portal, err = s.PortalByChat(ctx, chatID, account.ID); err != nil {
		return provisioning.Portal{}, false, err
	}
	return portal, true, s.invite(ctx, portal.RoomID, userID, contact.ID)
}

// directChat is an account's chat with somebody.
type directChat struct{ account, contact provisioning.TelegramID }

// makeDirect has bridgev2 make the room of a direct chat. It goes on when the context ends:
// the next request finds the room.
func (s *portalStore) makeDirect(ctx context.Context, login *bridgev2.UserLogin, chatID provisioning.ChatID, account provisioning.TelegramID) error {
	key, err := s.key(ctx, chatID, account)
	if err != nil {
		return err
	}
	p, err := s.h.br.GetPortalByKey(ctx, key)
	if err != nil {
		return fault(ctx, "make a portal", err)
	}
	made := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil { // of the connector's, which would end the process
				made <- fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		made <- p.CreateMatrixRoom(s.h.background(ctx), login, nil)
	}()
	select {
	case err = <-made:
	case <-ctx.Done():
		return fmt.Errorf("make a direct room: %w", ctx.Err())
	}
	if err == nil {
		return nil
	}
	if err = s.h.network.Error(err); errors.Is(err, provisioning.ErrNotLoggedIn) || errors.Is(err, provisioning.ErrTelegramUserNotFound) {
		return err
	}
	return fmt.Errorf("%w: make a direct room: %w", provisioning.ErrHomeserver, err)
}

// endOfAnother ends a direct portal whose room is that of another user, who had the account
// before: bridgev2 keeps it, and would have the next one join them there. Errors:
// provisioning.ErrPortalNotFound for one that has ended.
func (s *portalStore) endOfAnother(ctx context.Context, portal provisioning.Portal, userID id.UserID) error {
	is, err := s.isOfAnother(ctx, portal.RoomID, userID)
	if err != nil || !is {
		return err
	}
	if err = s.Disconnect(ctx, portal); err != nil {
		return err
	}
	// Nothing more of the account comes into the room, even where it can't be emptied.
	if err = s.h.rooms.Rooms.CleanUp(ctx, portal, true); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", portal.RoomID).
			Msg("Could not empty the room of somebody who had a Telegram account before")
	}
	return provisioning.ErrPortalNotFound
}

// isOfAnother says whether the room of a direct chat is that of somebody else: they are there,
// and the user has not joined. bridgev2 itself forgets whose it was with the login.
func (s *portalStore) isOfAnother(ctx context.Context, roomID id.RoomID, userID id.UserID) (bool, error) {
	members, err := s.h.br.Matrix.GetMembers(ctx, roomID)
	if err != nil {
		return false, fmt.Errorf("%w: list the members of a direct room: %w", provisioning.ErrHomeserver, err)
	}
	if own := members[userID]; own != nil && own.Membership == event.MembershipJoin {
		return false, nil
	}
	for member, content := range members {
		_, ghost := s.h.br.Matrix.ParseGhostMXID(member)
		there := content.Membership == event.MembershipJoin || content.Membership == event.MembershipInvite
		if there && !ghost && member != userID && member != s.h.br.Bot.GetMXID() {
			return true, nil
		}
	}
	return false, nil
}

// invite invites a user to a room, unless they are in it or invited. It asks the homeserver:
// bridgev2 may not have heard yet that somebody has left.
func (s *portalStore) invite(ctx context.Context, roomID id.RoomID, userID id.UserID, contact provisioning.TelegramID) error {
	if err := s.h.rooms.InviteToDirect(ctx, roomID, userID, contact); err != nil {
		return fmt.Errorf("invite the user to a direct chat: %w", err)
	}
	return nil
}
