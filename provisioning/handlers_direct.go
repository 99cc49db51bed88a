package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"
)

type startedBody struct {
	RoomID      id.RoomID   `json:"room_id"`
	JustCreated bool        `json:"just_created"`
	ID          TelegramID  `json:"id"`
	ContactInfo contactBody `json:"contact_info"`
}

// parseIdentifier reads what names somebody on Telegram: a username, with or
// without @, a t.me link, a phone number with +, or a user ID. Text that is none of
// them is ErrTelegramUserNotFound.
func parseIdentifier(segment string) (Identifier, error) {
	text, err := url.PathUnescape(segment)
	if err != nil {
		return Identifier{}, ErrTelegramUserNotFound
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "+") {
		return Identifier{Phone: text}, nil
	}
	if isDigits(text) {
		n, err := strconv.ParseInt(text, 10, 64)
		if kind, _, ok := ChatID(n).Split(); err != nil || kind != PeerUser || !ok {
			return Identifier{}, ErrTelegramUserNotFound
		}
		return Identifier{ID: TelegramID(n)}, nil
	}
	username := usernameOf(text)
	if username == "" || strings.Trim(username, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return Identifier{}, ErrTelegramUserNotFound
	}
	return Identifier{Username: username}, nil
}

// usernameOf returns the username of @name, name, or a link to it.
func usernameOf(text string) string {
	if name, ok := strings.CutPrefix(text, "@"); ok {
		return name
	}
	rest := text
	if _, after, found := strings.Cut(text, "://"); found {
		rest = after
	}
	host, path, found := strings.Cut(rest, "/")
	if !found {
		return text
	}
	switch strings.TrimPrefix(strings.ToLower(host), "www.") {
	case "t.me", "telegram.me", "telegram.dog":
	default:
		return ""
	}
	name, _, _ := strings.Cut(path, "?")
	return strings.TrimSuffix(name, "/")
}

// startDM is start_dm.
func startDM(ctx context.Context, s *services, op *operation) (reply, error) {
	if !s.portals.startsDirect() {
		return reply{}, ErrNotImplemented
	}
	account, contact, err := resolve(ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	portal, isNew, err := s.portals.startDirect(ctx, op.userID, account, contact)
	if err != nil {
		return reply{}, err
	}
	body := newStartedBody(ctx, s, op, portal, contact)
	rep := ok(body)
	if isNew {
		body.JustCreated = true
		rep = created(body)
	}
	return rep.about(portal.RoomID, portal.ChatID), nil
}

// resolveIdentifier is resolve_identifier: start_dm without the start.
func resolveIdentifier(ctx context.Context, s *services, op *operation) (reply, error) {
	account, contact, err := resolve(ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	portal, err := s.portals.byChat(ctx, UserChatID(contact.ID), account.ID)
	if err != nil && !errors.Is(err, ErrPortalNotFound) {
		return reply{}, err
	}
	return ok(newStartedBody(ctx, s, op, portal, contact)), nil
}

func newStartedBody(ctx context.Context, s *services, op *operation, portal Portal, contact Contact) startedBody {
	avatars := s.avatars.of(ctx, &op.person, []Contact{contact})
	return startedBody{RoomID: portal.RoomID, ID: contact.ID, ContactInfo: newContactBody(contact, avatars[contact.ID])}
}

// resolve finds whom the identifier in the path names, and the account that knows
// them.
func resolve(ctx context.Context, s *services, op *operation) (Account, Contact, error) {
	resolver, can := op.client.(UserResolver)
	if !can {
		return Account{}, Contact{}, ErrNotImplemented
	}
	act, err := s.accounts.own(ctx, &op.person)
	if err != nil {
		return Account{}, Contact{}, err
	}
	identifier, err := parseIdentifier(op.identifier)
	if err != nil {
		return Account{}, Contact{}, err
	}
	contact, err := resolver.ResolveUser(ctx, identifier)
	if err != nil {
		return Account{}, Contact{}, fmt.Errorf("find somebody on Telegram: %w", err)
	}
	return act.account, contact, nil
}
