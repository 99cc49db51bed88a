package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/rs/zerolog"
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

func (p *Provisioner) getMe(ctx context.Context, c *call) (reply, error) {
	body := userBody{MXID: c.userID, Permissions: c.user.Permission.String()}
	account, err := p.account(ctx, c)
	switch {
	case err == nil:
		body.Telegram = &accountBody{
			ID: account.ID, Username: account.Username, FirstName: account.FirstName,
			LastName: account.LastName, Phone: account.Phone, IsBot: account.IsBot,
		}
	case !errors.Is(err, ErrNotLoggedIn):
		return reply{}, err
	}
	return reply{http.StatusOK, body}, nil
}

func (p *Provisioner) getChats(ctx context.Context, c *call) (reply, error) {
	account, err := p.account(ctx, c)
	if err != nil {
		return reply{}, err
	}
	chats, err := p.chatsOf(ctx, c, account)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, p.encoded.encode(listKey{c.rt.op, c.userID}, encodedList{chats: chats}, func(b []byte) []byte {
		return appendChats(b, chats)
	})}, nil
}

// chatsOf returns the chats of an account; those of a bot are its portals.
func (p *Provisioner) chatsOf(ctx context.Context, c *call, account Account) (chats []Chat, err error) {
	if account.IsBot {
		portals, err := p.portals.AccountPortals(ctx, account.ID)
		if err != nil {
			return nil, fmt.Errorf("list the bot's portals: %w", err)
		}
		for _, portal := range portals {
			chats = append(chats, Chat{portal.ChatID, portal.Title})
		}
		return chats, nil
	}
	lister, ok := c.client.(ChatLister)
	if !ok {
		return nil, ErrNotImplemented
	}
	if chats, err = lister.Chats(ctx, ChatQuery{}); err != nil {
		return nil, fmt.Errorf("list chats: %w", err)
	}
	return chats, nil
}

type contactBody struct {
	ID        TelegramID          `json:"id"`
	Name      string              `json:"name"`
	Username  string              `json:"username"`
	Phone     string              `json:"phone"`
	IsBot     bool                `json:"is_bot"`
	AvatarURL id.ContentURIString `json:"avatar_url"`
}

func (p *Provisioner) getContacts(ctx context.Context, c *call) (reply, error) {
	account, err := p.account(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if account.IsBot {
		return reply{http.StatusOK, map[string]contactBody{}}, nil
	}
	lister, ok := c.client.(ContactLister)
	if !ok {
		return reply{}, ErrNotImplemented
	}
	contacts, err := lister.Contacts(ctx, ContactQuery{})
	if err != nil {
		return reply{}, fmt.Errorf("list contacts: %w", err)
	}
	avatars := p.avatarsOf(ctx, c, contacts)
	return reply{http.StatusOK, p.encoded.encode(listKey{c.rt.op, c.userID}, encodedList{contacts: contacts, avatars: avatars}, func(b []byte) []byte {
		return appendContacts(b, contacts, avatars)
	})}, nil
}

func (p *Provisioner) getStickersets(ctx context.Context, c *call) (reply, error) {
	account, err := p.account(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if account.IsBot {
		return reply{http.StatusOK, []string{}}, nil
	}
	lister, ok := c.client.(StickerSetLister)
	if !ok {
		return reply{}, ErrNotImplemented
	}
	sets, err := lister.StickerSets(ctx)
	if err != nil {
		return reply{}, fmt.Errorf("list sticker sets: %w", err)
	}
	return reply{http.StatusOK, append([]string{}, sets...)}, nil
}

// avatarsOf returns the avatars of some contacts of the call's user that were fetched
// before, by ID, and has the others fetched.
func (p *Provisioner) avatarsOf(ctx context.Context, c *call, contacts []Contact) map[TelegramID]id.ContentURIString {
	ghosts, ok := p.rooms.(GhostAvatars)
	if !ok {
		return nil
	}
	avatars, outdated, err := ghosts.Avatars(ctx, contacts)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Contacts are listed without avatars")
	}
	if photos, ok := c.client.(PhotoGetter); ok {
		p.avatars.fetch(c.userID, ghosts, photos, outdated)
	}
	return avatars
}

// contactBody returns what the API says of a contact of the call's user.
func (p *Provisioner) contactBody(ctx context.Context, c *call, contact Contact) contactBody {
	return contactBodyOf(contact, p.avatarsOf(ctx, c, []Contact{contact}))
}

func contactBodyOf(contact Contact, avatars map[TelegramID]id.ContentURIString) contactBody {
	body := contactBody{
		ID: contact.ID, Name: contact.Name, Username: contact.Username, IsBot: contact.IsBot,
		AvatarURL: avatars[contact.ID],
	}
	if contact.Phone != "" {
		body.Phone = "+" + contact.Phone
	}
	return body
}
