package provisioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// maxAbout is how long a description taken from a room's topic may be: a topic can
// be longer than Telegram allows, in UTF-16 code units.
const maxAbout = 255

// describe fills in what the chat takes from the room, and returns the Telegram
// users in it, the creator aside. Errors: errTitleEmpty.
func (p *portals) describe(ctx context.Context, act actor, roomID id.RoomID, chat *NewChat) (members []TelegramID, err error) {
	room, err := p.rooms.Room(ctx, roomID)
	if err != nil {
		return nil, fmt.Errorf("read the room: %w", err)
	}
	chat.Title = cmp.Or(chat.Title, strings.TrimSpace(room.Name), string(room.CanonicalAlias))
	if chat.Title == "" {
		return nil, errTitleEmpty
	}
	if chat.About == "" {
		chat.About = shortened(strings.TrimSpace(room.Topic), maxAbout)
	}
	members = room.Ghosts
	for _, userID := range room.Users {
		user, err := p.accounts.users.User(ctx, userID)
		switch {
		case errors.Is(err, ErrMatrixUserRefused):
		case err != nil:
			return nil, fmt.Errorf("look up a user in the room: %w", err)
		case user.TelegramID != 0 && !user.Displaced:
			members = append(members, user.TelegramID)
		}
	}
	switch bot, err := p.accounts.relay(ctx); {
	case err == nil:
		members = append(members, bot.ID)
	case !errors.Is(err, ErrNotLoggedIn):
		zerolog.Ctx(ctx).Warn().Err(err).Msg("The relay bot can't be invited to a chat that is created")
	}
	slices.Sort(members)
	members = slices.Compact(members)
	return slices.DeleteFunc(members, func(telegramID TelegramID) bool { return telegramID == act.account.ID }), nil
}

// shortened cuts a text to at most limit UTF-16 code units.
func shortened(text string, limit int) string {
	units := 0
	for i, r := range text {
		if units++; r > 0xffff {
			units++
		}
		if units > limit {
			return text[:i]
		}
	}
	return text
}

// create creates a chat for a room and records the portal, or leaves nothing behind.
// Errors: errTitleEmpty.
func (p *portals) create(ctx context.Context, userID id.UserID, act actor, roomID id.RoomID, chat NewChat) (ChatInfo, error) {
	creator, can := act.client.(ChatCreator)
	if !can {
		return ChatInfo{}, ErrNotImplemented
	}
	members, err := p.describe(ctx, act, roomID, &chat)
	if err != nil {
		return ChatInfo{}, err
	}
	if chat.Type == ChatTypeBasicGroup {
		chat.Members, members = members, nil
	}
	undo, err := p.promiseUndo(ctx, userID, act, roomID, chat)
	if err != nil {
		return ChatInfo{}, err
	}
	info, err := creator.CreateChat(ctx, chat)
	if err != nil {
		if isRefused(err) {
			p.outbox.drop(ctx, undo)
		}
		return ChatInfo{}, fmt.Errorf("create a chat: %w", err)
	}
	zerolog.Ctx(ctx).Info().Stringer("room_id", roomID).Int64("chat_id", int64(info.ID)).Msg("Created a chat on Telegram")
	invite, err := p.recordCreated(ctx, userID, act, portalOf(roomID, info), members)
	if err != nil {
		p.deleteCreated(ctx, creator, info.ID, undo)
		return ChatInfo{}, err
	}
	p.outbox.dropLater(ctx, undo)
	p.outbox.notify()
	if invite != nil {
		// The answer waits for the invitations as long as it can; they go on without it.
		select {
		case <-p.outbox.doNow(*invite):
		case <-ctx.Done():
		}
	}
	return info, nil
}

// recordCreated records the portal of a chat that was created, with the task that invites
// its members, nil for none.
func (p *portals) recordCreated(ctx context.Context, userID id.UserID, act actor, portal Portal, members []TelegramID) (invite *NewTask, err error) {
	ctx, cancel := detachedFor(ctx, recordTimeout)
	defer cancel()
	n := NewPortal{Portal: portal, Accounts: []TelegramID{act.account.ID}, UserID: userID, Created: true}
	n.Tasks = append(n.Tasks, newTask(taskSetUp, &setUpRecord{Portal: portalRecord(portal), UserID: userID}))
	n.Tasks = append(n.Tasks, p.events.task(Event{Type: EventPortalCreated, UserID: userID, TelegramID: act.account.ID, Portal: portal})...)
	if len(members) > 0 {
		t := held(newTask(taskInvite, &inviteRecord{UserID: userID, ChatID: portal.ChatID, Members: members}))
		n.Tasks, invite = append(n.Tasks, t), &t
	}
	if err := p.store.Connect(ctx, n); err != nil {
		return nil, fmt.Errorf("record the portal: %w", err)
	}
	return invite, nil
}

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
	switch {
	case err == nil:
		if err := p.setUser(ctx, UserPortal{portal, account.ID}, userID); err != nil {
			return Portal{}, false, err
		}
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
	// The user is invited by the time of the answer, where that can be; else later.
	select {
	case <-p.outbox.doNow(setUp):
	case <-ctx.Done():
	}
	return portal, true, nil
}

// setUser records who has asked for a portal, where that is recorded.
func (p *portals) setUser(ctx context.Context, portal UserPortal, userID id.UserID) error {
	users, ok := p.store.(PortalUsers)
	if !ok {
		return nil
	}
	if err := users.SetPortalUser(ctx, portal, userID); err != nil {
		return fmt.Errorf("record whose a portal is: %w", err)
	}
	return nil
}

// reinvite invites a user who has left their direct room.
func reinvite(ctx context.Context, rooms DirectRooms, portal Portal, userID id.UserID) error {
	if err := rooms.InviteToDirect(ctx, portal.RoomID, userID, TelegramID(portal.ChatID)); err != nil {
		return fmt.Errorf("invite the user to a direct chat: %w", err)
	}
	return nil
}
