package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
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

func (p *Provisioner) startDM(ctx context.Context, c *call) (reply, error) {
	rooms, ok := p.rooms.(DirectRooms)
	if !ok {
		return reply{}, ErrNotImplemented
	}
	account, contact, err := p.resolve(ctx, c)
	if err != nil {
		return reply{}, err
	}
	portal, created, err := p.directPortal(ctx, c, rooms, account, contact)
	if err != nil {
		return reply{}, err
	}
	body := startedBody{
		RoomID: portal.RoomID, JustCreated: created, ID: contact.ID,
		ContactInfo: p.contactBody(ctx, c, contact),
	}
	if created {
		return reply{http.StatusCreated, body}, nil
	}
	return reply{http.StatusOK, body}, nil
}

// resolveIdentifier is startDM without the start.
func (p *Provisioner) resolveIdentifier(ctx context.Context, c *call) (reply, error) {
	account, contact, err := p.resolve(ctx, c)
	if err != nil {
		return reply{}, err
	}
	portal, err := p.portals.PortalByChat(ctx, UserChatID(contact.ID), account.ID)
	if err != nil && !errors.Is(err, ErrPortalNotFound) {
		return reply{}, fmt.Errorf("look up the portal: %w", err)
	}
	return reply{http.StatusOK, startedBody{
		RoomID: portal.RoomID, ID: contact.ID, ContactInfo: p.contactBody(ctx, c, contact),
	}}, nil
}

// resolve finds whom the identifier in the path names, and the account that knows
// them.
func (p *Provisioner) resolve(ctx context.Context, c *call) (Account, Contact, error) {
	resolver, ok := c.client.(UserResolver)
	if !ok {
		return Account{}, Contact{}, ErrNotImplemented
	}
	account, err := p.account(ctx, c)
	if err != nil {
		return Account{}, Contact{}, err
	}
	identifier, err := parseIdentifier(c.vars.get("identifier"))
	if err != nil {
		return Account{}, Contact{}, err
	}
	contact, err := resolver.ResolveUser(ctx, identifier)
	if err != nil {
		return Account{}, Contact{}, fmt.Errorf("find somebody on Telegram: %w", err)
	}
	return account, contact, nil
}

// directChat is the chat of an account with somebody.
type directChat struct{ accountID, contactID TelegramID }

// directPortal returns the portal of the account's chat with somebody, and whether
// it was made for that.
func (p *Provisioner) directPortal(ctx context.Context, c *call, rooms DirectRooms, account Account, contact Contact) (Portal, bool, error) {
	unlock, err := p.starting.Lock(ctx, directChat{account.ID, contact.ID})
	if err != nil {
		return Portal{}, false, err
	}
	defer unlock()
	portal, err := p.portals.PortalByChat(ctx, UserChatID(contact.ID), account.ID)
	switch {
	case err == nil:
		return portal, false, p.reinvite(ctx, c, rooms, portal, contact)
	case !errors.Is(err, ErrPortalNotFound):
		return Portal{}, false, fmt.Errorf("look up the portal: %w", err)
	}
	roomID, err := rooms.CreateDirect(ctx, c.userID, contact)
	if err != nil {
		return Portal{}, false, fmt.Errorf("create a direct room: %w", err)
	}
	return p.connectDirect(ctx, c, rooms, account, contact, roomID)
}

// connectDirect records the portal of a room that was made for it.
func (p *Provisioner) connectDirect(ctx context.Context, c *call, rooms DirectRooms, account Account, contact Contact, roomID id.RoomID) (Portal, bool, error) {
	portal := Portal{
		RoomID: roomID, ChatID: UserChatID(contact.ID), Receiver: account.ID,
		Title: contact.Name, Username: contact.Username,
	}
	record, cancel := recording(ctx)
	defer cancel()
	setUp := held(newTask(taskSetUp, setUpData{Portal: portal, UserID: c.userID, Contact: &contact}))
	event := p.eventTask(Event{Type: EventPortalCreated, UserID: c.userID, TelegramID: account.ID, Portal: portal})
	err := p.portals.Connect(record, NewPortal{Portal: portal, Accounts: []TelegramID{account.ID}, Tasks: append(event, setUp)})
	if err != nil {
		// Nobody but the bridge's own users is in the room.
		if cleanErr := p.rooms.CleanUp(record, portal, true); cleanErr != nil {
			zerolog.Ctx(ctx).Warn().Err(cleanErr).Stringer("room_id", roomID).Msg("A room that became no portal could not be left")
		}
		if errors.Is(err, ErrChatBridged) { // another process was faster
			if first, err := p.portals.PortalByChat(ctx, portal.ChatID, portal.Receiver); err == nil {
				return first, false, p.reinvite(ctx, c, rooms, first, contact)
			}
		}
		return Portal{}, false, fmt.Errorf("record the portal: %w", err)
	}
	p.tasks.notify()
	// The user is invited by the time of the answer, where that can be; else later.
	select {
	case <-p.tasks.start(setUp):
	case <-ctx.Done():
	}
	return portal, true, nil
}

// reinvite invites a user who has left their direct room.
func (p *Provisioner) reinvite(ctx context.Context, c *call, rooms DirectRooms, portal Portal, contact Contact) error {
	if err := rooms.InviteToDirect(ctx, portal.RoomID, c.userID, contact.ID); err != nil {
		return fmt.Errorf("invite the user to a direct chat: %w", err)
	}
	return nil
}
