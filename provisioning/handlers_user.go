package provisioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"
)

type userBody struct {
	MXID        id.UserID    `json:"mxid"`
	Permissions string       `json:"permissions"`
	Telegram    *accountBody `json:"telegram"`
}

type accountBody struct {
	ID        TelegramID `json:"id"`
	Username  string     `json:"username"`
	FirstName string     `json:"first_name"`
	LastName  string     `json:"last_name"`
	Phone     string     `json:"phone"`
	IsBot     bool       `json:"is_bot"`
}

// getMe is get_me.
func getMe(ctx context.Context, s *services, op *operation) (reply, error) {
	body := userBody{MXID: op.userID, Permissions: op.user.Permission.String()}
	account, err := s.accounts.loggedIn(ctx, &op.person)
	switch {
	case err == nil:
		body.Telegram = &accountBody{
			ID: account.ID, Username: account.Username, FirstName: account.FirstName,
			LastName: account.LastName, Phone: account.Phone, IsBot: account.IsBot,
		}
	case !errors.Is(err, ErrNotLoggedIn):
		return reply{}, err
	}
	return ok(body), nil
}

type chatBody struct {
	ID       ChatID `json:"id"`
	Title    string `json:"title"`
	Type     string `json:"type"`
	Username string `json:"username"`
	// RoomID is null where the chat is not bridged, or the caller may not see that.
	RoomID *id.RoomID `json:"room_id"`
}

// getChats is get_chats.
func getChats(ctx context.Context, s *services, op *operation) (reply, error) {
	act, err := s.accounts.own(ctx, &op.person)
	if err != nil {
		return reply{}, err
	}
	chats, err := chatsOf(ctx, s, act)
	if err != nil {
		return reply{}, err
	}
	if chats, err = chatPage(chats, op); err != nil {
		return reply{}, err
	}
	rooms, err := s.rights.roomsOf(ctx, op, s.portals.store, act.account.ID, chats)
	if err != nil {
		return reply{}, err
	}
	return ok(bodyOf(s.lists, op, madeOf[Chat, ChatID, id.RoomID]{chats, rooms}, func() any {
		body := make([]chatBody, len(chats))
		for i, chat := range chats {
			body[i] = chatBody{ID: chat.ID, Title: chat.Title, Type: chatKind(chat.ID, chat.Megagroup), Username: chat.Username}
			if roomID, bridged := rooms[chat.ID]; bridged {
				body[i].RoomID = &roomID
			}
		}
		return body
	})), nil
}

// chatsOf lists the chats of an account. Those of a bot are its portals.
func chatsOf(ctx context.Context, s *services, act actor) ([]Chat, error) {
	if act.account.IsBot {
		portals, err := s.portals.store.AccountPortals(ctx, act.account.ID)
		if err != nil {
			return nil, fmt.Errorf("list the bot's portals: %w", err)
		}
		chats := make([]Chat, len(portals))
		for i, portal := range portals {
			chats[i] = Chat{portal.ChatID, portal.Title, portal.Username, portal.Megagroup}
		}
		return chats, nil
	}
	lister, can := act.client.(ChatLister)
	if !can {
		return nil, ErrNotImplemented
	}
	chats, err := lister.Chats(ctx, ChatQuery{})
	if err != nil {
		return nil, fmt.Errorf("list chats: %w", err)
	}
	return chats, nil
}

// chatPage returns those of some chats that an operation asks for. Errors: errValueUnknown
// where the one that they come after is not among the chats.
func chatPage(chats []Chat, op *operation) ([]Chat, error) {
	if op.after != "" {
		at := slices.IndexFunc(chats, func(chat Chat) bool { return strconv.FormatInt(int64(chat.ID), 10) == op.after })
		if at < 0 {
			return nil, errValueUnknown
		}
		chats = chats[at+1:]
	}
	if op.search == "" && op.limit == 0 {
		return chats, nil
	}
	search := strings.ToLower(op.search)
	var found []Chat
	for _, chat := range chats {
		if op.limit > 0 && len(found) == op.limit {
			break
		}
		if strings.Contains(strings.ToLower(chat.Title), search) || chat.Username != "" && strings.Contains("@"+strings.ToLower(chat.Username), search) {
			found = append(found, chat)
		}
	}
	return found, nil
}

type contactBody struct {
	ID        TelegramID          `json:"id"`
	Name      string              `json:"name"`
	Username  string              `json:"username"`
	Phone     string              `json:"phone"`
	IsBot     bool                `json:"is_bot"`
	AvatarURL id.ContentURIString `json:"avatar_url"`
}

func newContactBody(contact Contact, avatar id.ContentURIString) contactBody {
	body := contactBody{
		ID: contact.ID, Name: contact.Name, Username: contact.Username, IsBot: contact.IsBot, AvatarURL: avatar,
	}
	if contact.Phone != "" {
		body.Phone = "+" + contact.Phone
	}
	return body
}

// getContacts is get_contacts.
func getContacts(ctx context.Context, s *services, op *operation) (reply, error) {
	act, err := s.accounts.own(ctx, &op.person)
	if err != nil {
		return reply{}, err
	}
	if act.account.IsBot {
		return ok(map[string]contactBody{}), nil
	}
	lister, can := op.client.(ContactLister)
	if !can {
		return reply{}, ErrNotImplemented
	}
	contacts, err := lister.Contacts(ctx, ContactQuery{})
	if err != nil {
		return reply{}, fmt.Errorf("list contacts: %w", err)
	}
	avatars := s.avatars.of(ctx, &op.person, contacts)
	return ok(bodyOf(s.lists, op, madeOf[Contact, TelegramID, id.ContentURIString]{contacts, avatars}, func() any {
		body := make(map[string]contactBody, len(contacts))
		for _, contact := range contacts {
			body[strconv.FormatInt(int64(contact.ID), 10)] = newContactBody(contact, avatars[contact.ID])
		}
		return body
	})), nil
}

// getStickersets is get_stickersets.
func getStickersets(ctx context.Context, s *services, op *operation) (reply, error) {
	act, err := s.accounts.own(ctx, &op.person)
	if err != nil {
		return reply{}, err
	}
	if act.account.IsBot {
		return ok([]string{}), nil
	}
	lister, can := op.client.(StickerSetLister)
	if !can {
		return reply{}, ErrNotImplemented
	}
	sets, err := lister.StickerSets(ctx)
	if err != nil {
		return reply{}, fmt.Errorf("list sticker sets: %w", err)
	}
	return ok(append([]string{}, sets...)), nil
}
