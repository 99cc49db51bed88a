package provisioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

type createdBody struct {
	ChatID ChatID `json:"chat_id"`
}

// chatTypes are the values of create_portal's type.
var chatTypes = map[string]ChatType{"chat": ChatTypeBasicGroup, "group": ChatTypeBasicGroup, "supergroup": ChatTypeSupergroup, "channel": ChatTypeChannel}

// readNewChat reads what chat to create. Its title is empty where none is given.
func readNewChat(c *call) (chat NewChat, err error) {
	body, err := readObject(c.w, c.r)
	if err != nil {
		return chat, err
	}
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

func (p *Provisioner) createPortal(ctx context.Context, c *call) (reply, error) {
	if p.rooms == nil {
		return reply{}, ErrNotImplemented
	}
	roomID, err := parseRoomID(c.vars.get("room_id"))
	if err != nil {
		return reply{}, err
	}
	chat, err := readNewChat(c)
	if err != nil {
		return reply{}, err
	}
	if err = p.readUserID(ctx, c); err != nil {
		return reply{}, err
	}
	if c.userID == "" {
		return reply{}, errUserIDEmpty
	}
	if err = p.checkLevel(ctx, c); err != nil {
		return reply{}, err
	}
	// The database decides of two racing requests. That only one at a time gets as far
	// in this process spares Telegram a chat that is deleted again.
	unlock, err := p.creating.Lock(ctx, roomID)
	if err != nil {
		return reply{}, err
	}
	defer unlock()
	if err = p.freeRoom(ctx, roomID, 0); err != nil {
		return reply{}, err
	}
	act, err := p.realAccount(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if err = p.checkRoom(ctx, c, roomID); err != nil {
		return reply{}, err
	}
	members, err := p.describe(ctx, act, roomID, &chat)
	if err != nil {
		return reply{}, err
	}
	return p.create(ctx, c, act, roomID, chat, members)
}

// realAccount returns the account of the call's user, who can create chats with it.
// Errors: errNoRealAccount.
func (p *Provisioner) realAccount(ctx context.Context, c *call) (actor, error) {
	if err := p.getClient(ctx, c); err != nil {
		return actor{}, err
	}
	account, err := p.account(ctx, c)
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		return actor{}, fmt.Errorf("%w: %w", errNoRealAccount, err)
	case err != nil:
		return actor{}, err
	case account.IsBot:
		return actor{}, errNoRealAccount
	}
	return actor{client: c.client, account: account}, nil
}

// maxAbout is how long a description taken from a room's topic may be: a topic can
// be longer than Telegram allows, in UTF-16 code units.
const maxAbout = 255

// describe fills in what the chat takes from the room, and returns the Telegram
// users in it, the creator aside. Errors: errTitleEmpty.
func (p *Provisioner) describe(ctx context.Context, act actor, roomID id.RoomID, chat *NewChat) (members []TelegramID, err error) {
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
		user, err := p.users.User(ctx, userID)
		switch {
		case errors.Is(err, ErrMatrixUserRefused):
		case err != nil:
			return nil, fmt.Errorf("look up a user in the room: %w", err)
		case user.TelegramID != 0 && !user.Displaced:
			members = append(members, user.TelegramID)
		}
	}
	if p.relayBot != nil {
		bot, err := p.relayBot.Account(ctx)
		if err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("The relay bot can't be invited to a chat that is created")
		} else {
			members = append(members, bot.ID)
		}
	}
	slices.Sort(members)
	members = slices.Compact(members)
	members = slices.DeleteFunc(members, func(telegramID TelegramID) bool { return telegramID == act.account.ID })
	return members, nil
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

// create creates the chat and records the portal, or leaves nothing behind.
func (p *Provisioner) create(ctx context.Context, c *call, act actor, roomID id.RoomID, chat NewChat, members []TelegramID) (reply, error) {
	creator, ok := act.client.(ChatCreator)
	if !ok {
		return reply{}, ErrNotImplemented
	}
	if chat.Type == ChatTypeBasicGroup {
		chat.Members, members = members, nil
	}
	info, err := creator.CreateChat(ctx, chat)
	if err != nil {
		return reply{}, fmt.Errorf("create a chat: %w", err)
	}
	// Telegram has no way to do both at once: where the process dies now, this line
	// names a chat that nothing else knows of.
	zerolog.Ctx(ctx).Info().Stringer("room_id", roomID).Int64("chat_id", int64(info.ID)).Msg("Created a chat on Telegram")
	record, cancel := recording(ctx)
	defer cancel()
	portal := Portal{
		RoomID: roomID, ChatID: info.ID, Title: info.Title,
		About: info.About, Username: info.Username, Megagroup: info.Megagroup,
	}
	n := NewPortal{Portal: portal, Accounts: []TelegramID{act.account.ID}}
	n.Tasks = append(n.Tasks, newTask(taskSetUp, setUpData{Portal: portal, UserID: c.userID}))
	n.Tasks = append(n.Tasks, p.eventTask(Event{Type: EventPortalCreated, UserID: c.userID, TelegramID: act.account.ID, Portal: portal})...)
	invite := held(newTask(taskInvite, inviteData{UserID: c.userID, ChatID: info.ID, Members: members}))
	if len(members) > 0 {
		n.Tasks = append(n.Tasks, invite)
	}
	if err := p.portals.Connect(record, n); err != nil {
		if deleteErr := creator.DeleteChat(record, info.ID); deleteErr != nil {
			zerolog.Ctx(ctx).Error().Err(deleteErr).Int64("chat_id", int64(info.ID)).
				Msg("A chat was created that became no portal, and could not be deleted again")
		}
		return reply{}, fmt.Errorf("record the portal: %w", err)
	}
	p.tasks.notify()
	if len(members) > 0 {
		// The answer waits for the invitations as long as it can; they go on without it.
		select {
		case <-p.tasks.start(invite):
		case <-ctx.Done():
		}
	}
	return reply{http.StatusCreated, createdBody{info.ID}}, nil
}
