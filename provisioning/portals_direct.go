package provisioning

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// directChat is the chat of an account with somebody.
type directChat struct{ accountID, contactID TelegramID }

// startDirect returns the portal of an account's chat with a contact, and whether it was
// made for that. Errors: ErrNotImplemented.
func (p *portals) startDirect(ctx context.Context, userID id.UserID, account Account, contact Contact) (Portal, bool, error) {
	if starter, ok := p.store.(DirectPortals); ok {
		portal, created, err := starter.StartDirect(ctx, userID, account, contact)
		if err != nil {
			return Portal{}, false, fmt.Errorf("start a direct chat: %w", err)
		}
		return portal, created, nil
	}
	rooms, ok := p.rooms.(DirectRooms)
	if !ok {
		return Portal{}, false, ErrNotImplemented
	}
	unlock, err := p.starting.Lock(ctx, directChat{account.ID, contact.ID})
	if err != nil {
		return Portal{}, false, err
	}
	defer unlock()
	if err := needGhosts(ctx, p.needs, userID, contact); err != nil {
		return Portal{}, false, err
	}
	portal, err := p.byChat(ctx, UserChatID(contact.ID), account.ID)
	if err == nil {
		err = p.takeOver(ctx, portal, userID)
	}
	switch {
	case err == nil:
		return portal, false, reinvite(ctx, rooms, portal, userID)
	case !errors.Is(err, ErrPortalNotFound):
		return Portal{}, false, err
	}
	roomID, err := rooms.CreateDirect(ctx, userID, contact)
	if err != nil {
		return Portal{}, false, fmt.Errorf("create a direct room: %w", err)
	}
	return p.connectDirect(ctx, rooms, userID, account, contact, roomID)
}

// startsDirect says whether direct chats can be started.
func (p *portals) startsDirect() bool {
	_, portals := p.store.(DirectPortals)
	_, rooms := p.rooms.(DirectRooms)
	return portals || rooms
}

// connectDirect records the portal of a room that was made for it.
func (p *portals) connectDirect(ctx context.Context, rooms DirectRooms, userID id.UserID, account Account, contact Contact, roomID id.RoomID) (Portal, bool, error) {
	portal := Portal{
		RoomID: roomID, ChatID: UserChatID(contact.ID), Receiver: account.ID,
		Title: contact.Name, Username: contact.Username,
	}
	setUp := held(newTask(taskSetUp, &setUpRecord{Portal: portalRecord(portal), UserID: userID, Contact: newContactRecord(contact)}))
	event := p.events.task(Event{Type: EventPortalCreated, UserID: userID, TelegramID: account.ID, Portal: portal})
	record, cancel := detachedFor(ctx, recordTimeout)
	defer cancel()
	err := p.store.Connect(record, NewPortal{
		Portal: portal, Accounts: []TelegramID{account.ID}, UserID: userID, Tasks: append(event, setUp),
	})
	if err != nil {
		// Nobody but the bridge's own users is in the room.
		if cleanErr := p.rooms.CleanUp(record, portal, true); cleanErr != nil {
			zerolog.Ctx(ctx).Warn().Err(cleanErr).Stringer("room_id", roomID).Msg("A room that became no portal could not be left")
		}
		if errors.Is(err, ErrChatBridged) { // another process was faster
			if first, err := p.byChat(ctx, portal.ChatID, portal.Receiver); err == nil {
				return first, false, reinvite(ctx, rooms, first, userID)
			}
		}
		return Portal{}, false, fmt.Errorf("record the portal: %w", err)
	}
	p.outbox.notify()
	// The user is invited by the time of the answer, where that can be; else with what the
	// answer does not wait for.
	if err := p.inTurn(ctx, roomID, func() error { return reinvite(ctx, rooms, portal, userID) }); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", roomID).Msg("A user is not invited to their direct chat yet")
	}
	p.outbox.doNow(setUp)
	return portal, true, nil
}

// takeOver records that a user has asked for a direct chat, unless it was another one's, who
// had the account before: then its portal is ended. Errors: ErrPortalNotFound for one that has
// ended.
func (p *portals) takeOver(ctx context.Context, portal Portal, userID id.UserID) error {
	users, can := p.store.(PortalUsers)
	if !can {
		return nil
	}
	ended, err := p.endOfAnother(ctx, users, portal, userID)
	switch {
	case err != nil:
		return err
	case ended:
		return ErrPortalNotFound
	}
	return setUser(ctx, users, UserPortal{portal, portal.Receiver}, userID)
}

// setUser records who has asked for a portal.
func setUser(ctx context.Context, users PortalUsers, portal UserPortal, userID id.UserID) error {
	if err := users.SetPortalUser(ctx, portal, userID); err != nil {
		return fmt.Errorf("record whose a portal is: %w", err)
	}
	return nil
}

// reinvite invites a user who is not in their direct room.
func reinvite(ctx context.Context, rooms DirectRooms, portal Portal, userID id.UserID) error {
	if err := rooms.InviteToDirect(ctx, portal.RoomID, userID, TelegramID(portal.ChatID)); err != nil {
		return fmt.Errorf("invite the user to a direct chat: %w", err)
	}
	return nil
}

// endDirect ends the portals of a user's direct chats with an account that has moved to
// another user: the next room of such a chat is that one's, and nobody reads on in this one.
// Without [PortalUsers] nobody could tell whose they are.
func (p *portals) endDirect(ctx context.Context, userID id.UserID, account TelegramID) error {
	users, can := p.store.(PortalUsers)
	if !can || p.rooms == nil {
		return nil
	}
	found, err := users.UserPortals(ctx, userID)
	if err != nil {
		return fmt.Errorf("list the portals of a user: %w", err)
	}
	for _, portal := range found {
		if portal.Receiver != account {
			continue
		}
		if err := p.empty(ctx, portal.Portal, userID); err != nil {
			return err
		}
	}
	return nil
}

// endDirectOfOthers ends the portals of an account's direct chats that another user has asked
// for, who had the account before. Those that nobody is recorded for stay.
func (p *portals) endDirectOfOthers(ctx context.Context, userID id.UserID, account TelegramID) error {
	users, can := p.store.(PortalUsers)
	if !can || p.rooms == nil {
		return nil
	}
	found, err := p.store.AccountPortals(ctx, account)
	if err != nil {
		return fmt.Errorf("list the portals of an account: %w", err)
	}
	for _, portal := range found {
		if portal.Receiver != account {
			continue
		}
		if _, err := p.endOfAnother(ctx, users, portal, userID); err != nil {
			return err
		}
	}
	return nil
}

// endOfAnother ends the portal of a direct chat that another user has asked for, and says
// whether it was one.
func (p *portals) endOfAnother(ctx context.Context, users PortalUsers, portal Portal, userID id.UserID) (bool, error) {
	owner, err := users.PortalUser(ctx, UserPortal{portal, portal.Receiver})
	switch {
	case err != nil:
		return false, fmt.Errorf("look for the user of a portal: %w", err)
	case owner == "" || owner == userID:
		return false, nil
	}
	return true, p.empty(ctx, portal, owner)
}

// empty ends a portal and has everybody leave its room, in turn with other work there. It is
// no error where somebody was faster.
func (p *portals) empty(ctx context.Context, portal Portal, userID id.UserID) error {
	err := p.inTurn(ctx, portal.RoomID, func() error {
		_, err := p.end(ctx, portal, userID, true, false)
		return err
	})
	if errors.Is(err, ErrPortalNotFound) {
		return nil
	}
	return err
}
