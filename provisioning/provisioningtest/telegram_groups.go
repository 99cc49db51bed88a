package provisioningtest

import (
	"context"
	"slices"
	"strings"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TelegramGroup is a group or channel that exists on a [Telegram].
type TelegramGroup struct {
	// ChatInfo is what its members see.
	provisioning.ChatInfo
	// Type is what was asked for, 0 for a group that was there before.
	Type provisioning.ChatType
	// Members are the Telegram user IDs of those who are in it, its owner first.
	Members []provisioning.TelegramID
}

// AddGroup makes a group or channel exist.
func (t *Telegram) AddGroup(group TelegramGroup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	group.Members = slices.Clone(group.Members)
	t.groups[group.ID] = &group
}

// Group returns a group or channel as it is now, and false where there is none.
func (t *Telegram) Group(chatID provisioning.ChatID) (TelegramGroup, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, ok := t.groups[chatID]
	if !ok {
		return TelegramGroup{}, false
	}
	c := *g
	c.Members = slices.Clone(g.Members)
	return c, true
}

// Groups returns how many groups and channels there are.
func (t *Telegram) Groups() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.groups)
}

// groupOf returns a group that the account is in. The caller holds the lock.
func (t *Telegram) groupOf(chatID provisioning.ChatID, telegramID provisioning.TelegramID) (*TelegramGroup, error) {
	g := t.groups[chatID]
	if g == nil || !slices.Contains(g.Members, telegramID) {
		return nil, provisioning.ErrNotInChat
	}
	return g, nil
}

// GetChat implements provisioning.ChatGetter.
func (c *client) GetChat(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
	account, err := c.use(ctx, "GetChat")
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	g, err := t.groupOf(chatID, account.ID)
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	return g.ChatInfo, nil
}

// CreateChat implements provisioning.ChatCreator.
func (c *client) CreateChat(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
	account, err := c.use(ctx, "CreateChat")
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	g := &TelegramGroup{Type: chat.Type, Members: []provisioning.TelegramID{account.ID}}
	g.Title, g.About = chat.Title, chat.About
	t.created++
	switch chat.Type {
	case provisioning.ChatTypeBasicGroup:
		for _, telegramID := range chat.Members {
			if t.exists(telegramID) {
				g.Members = append(g.Members, telegramID)
			}
		}
		if len(g.Members) == 1 {
			return provisioning.ChatInfo{}, provisioning.ErrTooFewMembers
		}
		g.ID = provisioning.BasicGroupChatID(t.created)
	default:
		g.ID = provisioning.ChannelChatID(t.created)
		g.Megagroup = chat.Type == provisioning.ChatTypeSupergroup
	}
	t.groups[g.ID] = g
	return g.ChatInfo, nil
}

// exists says whether there is an account of that ID. The caller holds the lock.
func (t *Telegram) exists(telegramID provisioning.TelegramID) bool {
	return slices.ContainsFunc(t.accounts, func(a TelegramAccount) bool { return a.ID == telegramID })
}

// InviteToChat implements provisioning.ChatCreator.
func (c *client) InviteToChat(ctx context.Context, chatID provisioning.ChatID, telegramIDs []provisioning.TelegramID) (missing []provisioning.TelegramID, err error) {
	account, err := c.use(ctx, "InviteToChat")
	if err != nil {
		return nil, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	g, err := t.groupOf(chatID, account.ID)
	if err != nil {
		return nil, err
	}
	for _, telegramID := range telegramIDs {
		switch {
		case !t.exists(telegramID):
			missing = append(missing, telegramID)
		case !slices.Contains(g.Members, telegramID):
			g.Members = append(g.Members, telegramID)
		}
	}
	return missing, nil
}

// DeleteChat implements provisioning.ChatCreator.
func (c *client) DeleteChat(ctx context.Context, chatID provisioning.ChatID) error {
	account, err := c.use(ctx, "DeleteChat")
	if err != nil {
		return err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.groupOf(chatID, account.ID); err != nil {
		return err
	}
	delete(t.groups, chatID)
	return nil
}

// ResolveUser implements provisioning.UserResolver. The account knows the IDs of its
// contacts and its own.
func (c *client) ResolveUser(ctx context.Context, identifier provisioning.Identifier) (provisioning.Contact, error) {
	account, err := c.use(ctx, "ResolveUser")
	if err != nil {
		return provisioning.Contact{}, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.groups {
		if identifier.Username != "" && strings.EqualFold(g.Username, identifier.Username) {
			return provisioning.Contact{}, provisioning.ErrNotTelegramUser
		}
	}
	if i := slices.IndexFunc(account.Contacts, func(contact provisioning.Contact) bool { return contact.ID == identifier.ID }); i >= 0 {
		return account.Contacts[i], nil
	}
	for _, a := range t.accounts {
		byName := identifier.Username != "" && strings.EqualFold(a.Username, identifier.Username)
		byPhone := identifier.Phone != "" && a.Phone == digits(identifier.Phone)
		if byName || byPhone || a.ID == identifier.ID && a.ID == account.ID {
			name := strings.TrimSpace(a.FirstName + " " + a.LastName)
			return provisioning.Contact{ID: a.ID, Name: name, Username: a.Username, Phone: a.Phone, IsBot: a.IsBot}, nil
		}
	}
	return provisioning.Contact{}, provisioning.ErrTelegramUserNotFound
}

// GetPhoto implements provisioning.PhotoGetter. Every photo is the same small image.
func (c *client) GetPhoto(ctx context.Context, _ provisioning.ChatID, photoID int64) (provisioning.Photo, error) {
	if _, err := c.use(ctx, "GetPhoto"); err != nil {
		return provisioning.Photo{}, err
	}
	return provisioning.Photo{ID: photoID, Data: []byte("\xff\xd8\xff\xe0 a photo"), Type: "image/jpeg"}, nil
}
