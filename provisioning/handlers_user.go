package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

type userBody struct {
	MXID        id.UserID    `json:"mxid"`
	Permissions string       `json:"permissions"`
	Telegram    *accountBody `json:"telegram"`
}

type accountBody struct {
	ID        int64  `json:"id"`
	Username  string `json:"username"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Phone     string `json:"phone"`
	IsBot     bool   `json:"is_bot"`
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

type chatBody struct {
	ID    ChatID `json:"id"`
	Title string `json:"title"`
}

func (p *Provisioner) getChats(ctx context.Context, c *call) (reply, error) {
	account, err := p.account(ctx, c)
	if err != nil {
		return reply{}, err
	}
	chats := []chatBody{}
	if account.IsBot {
		portals, err := p.portals.AccountPortals(ctx, account.ID)
		if err != nil {
			return reply{}, fmt.Errorf("list the bot's portals: %w", err)
		}
		for _, portal := range portals {
			chats = append(chats, chatBody{portal.ChatID, portal.Title})
		}
		return reply{http.StatusOK, chats}, nil
	}
	lister, ok := c.client.(ChatLister)
	if !ok {
		return reply{}, ErrNotImplemented
	}
	listed, err := lister.Chats(ctx)
	if err != nil {
		return reply{}, fmt.Errorf("list chats: %w", err)
	}
	for _, chat := range listed {
		chats = append(chats, chatBody(chat))
	}
	return reply{http.StatusOK, chats}, nil
}

type contactBody struct {
	ID        int64               `json:"id"`
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
	contacts := map[string]contactBody{}
	if account.IsBot {
		return reply{http.StatusOK, contacts}, nil
	}
	lister, ok := c.client.(ContactLister)
	if !ok {
		return reply{}, ErrNotImplemented
	}
	listed, err := lister.Contacts(ctx)
	if err != nil {
		return reply{}, fmt.Errorf("list contacts: %w", err)
	}
	for _, body := range p.contactBodies(ctx, c, listed) {
		contacts[strconv.FormatInt(body.ID, 10)] = body
	}
	return reply{http.StatusOK, contacts}, nil
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

// contactBodies returns what the API says of some contacts of the call's user. It
// knows the avatars that were fetched before, and has the others fetched.
func (p *Provisioner) contactBodies(ctx context.Context, c *call, contacts []Contact) []contactBody {
	var avatars map[int64]id.ContentURIString
	if ghosts, ok := p.rooms.(GhostAvatars); ok {
		var outdated []Contact
		var err error
		if avatars, outdated, err = ghosts.Avatars(ctx, contacts); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Contacts are listed without avatars")
		}
		if photos, ok := c.client.(PhotoGetter); ok {
			p.avatars.fetch(c.userID, ghosts, photos, outdated)
		}
	}
	bodies := make([]contactBody, len(contacts))
	for i, contact := range contacts {
		bodies[i] = contactBody{
			ID: contact.ID, Name: contact.Name, Username: contact.Username, IsBot: contact.IsBot,
			AvatarURL: avatars[contact.ID],
		}
		if contact.Phone != "" {
			bodies[i].Phone = "+" + contact.Phone
		}
	}
	return bodies
}
