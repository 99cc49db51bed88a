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

// content reads what a room is called, and who is in it.
func (p *portals) content(ctx context.Context, roomID id.RoomID) (Room, error) {
	room, err := p.rooms.Room(ctx, roomID, RoomQuery{Content: true})
	if err != nil {
		return Room{}, fmt.Errorf("read the room: %w", err)
	}
	return room, nil
}

// describe fills in what the chat takes from the room, and returns the Telegram
// users in it, the creator aside. Errors: errTitleEmpty.
func (p *portals) describe(ctx context.Context, act actor, room Room, chat *NewChat) (members []TelegramID, err error) {
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
	switch bot, err := p.accounts.relay(acting(ctx)); {
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
func (p *portals) create(ctx context.Context, userID id.UserID, act actor, roomID id.RoomID, room Room, chat NewChat) (ChatInfo, error) {
	creator, can := act.client.(ChatCreator)
	if !can {
		return ChatInfo{}, ErrNotImplemented
	}
	members, err := p.describe(ctx, act, room, &chat)
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
