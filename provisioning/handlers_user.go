package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strconv"

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
	ID    ChatID `json:"id"`
	Title string `json:"title"`
}

// getChats is get_chats. The chats of a bot are its portals.
func getChats(ctx context.Context, s *services, op *operation) (reply, error) {
	act, err := s.accounts.own(ctx, &op.person)
	if err != nil {
		return reply{}, err
	}
	if act.account.IsBot {
		return botChats(ctx, s, act.account)
	}
	lister, can := op.client.(ChatLister)
	if !can {
		return reply{}, ErrNotImplemented
	}
	chats, err := lister.Chats(ctx, ChatQuery{})
	if err != nil {
		return reply{}, fmt.Errorf("list chats: %w", err)
	}
	body := make([]chatBody, len(chats))
	for i, chat := range chats {
		body[i] = chatBody(chat)
	}
	return ok(body), nil
}

func botChats(ctx context.Context, s *services, bot Account) (reply, error) {
	portals, err := s.portals.store.AccountPortals(ctx, bot.ID)
	if err != nil {
		return reply{}, fmt.Errorf("list the bot's portals: %w", err)
	}
	body := make([]chatBody, len(portals))
	for i, portal := range portals {
		body[i] = chatBody{portal.ChatID, portal.Title}
	}
	return ok(body), nil
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
	body := make(map[string]contactBody, len(contacts))
	for _, contact := range contacts {
		body[strconv.FormatInt(int64(contact.ID), 10)] = newContactBody(contact, avatars[contact.ID])
	}
	return ok(body), nil
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
