package provisioningtest

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TelegramGroup is a group or channel that exists on a [Telegram].
type TelegramGroup struct {
	// ChatInfo is what its members see.
	provisioning.ChatInfo
	// Type is what was asked for, 0 for a group that was there before.
	Type provisioning.ChatType
	// Created is when it was made, with the precision of seconds, and Written says that
	// somebody has written there since. Without Created that is not known.
	Created time.Time
	Written bool
	// Members are the Telegram user IDs of those who are in it, its owner first.
	Members []provisioning.TelegramID
	// Banned are those who were in it and were thrown out.
	Banned []provisioning.TelegramID
}

// AddGroup makes a group or channel exist.
func (t *Telegram) AddGroup(group TelegramGroup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	group.Members, group.Banned = slices.Clone(group.Members), slices.Clone(group.Banned)
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
	c.Members, c.Banned = slices.Clone(g.Members), slices.Clone(g.Banned)
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
	if become := t.migrations(chatID); len(become) > 0 {
		chatID = become[chatID]
	}
	g, err := t.groupOf(chatID, account.ID)
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	return g.ChatInfo, nil
}

// Migrations implements provisioning.MigrationLister. Any account is told.
func (c *client) Migrations(ctx context.Context, groups []provisioning.ChatID) (map[provisioning.ChatID]provisioning.ChatID, error) {
	if _, err := c.use(ctx, "Migrations"); err != nil {
		return nil, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.migrations(groups...), nil
}

// migrations returns which of some basic groups have become supergroups. The caller holds
// the lock.
func (t *Telegram) migrations(groups ...provisioning.ChatID) map[provisioning.ChatID]provisioning.ChatID {
	become := map[provisioning.ChatID]provisioning.ChatID{}
	for _, g := range t.groups {
		if g.MigratedFrom != 0 && slices.Contains(groups, g.MigratedFrom) {
			become[g.MigratedFrom] = g.ID
		}
	}
	return become
}

// CreateChat implements provisioning.ChatCreator. The new chat comes first in the lists of
// its members.
func (c *client) CreateChat(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
	account, err := c.use(ctx, "CreateChat")
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	const maxAbout = 255
	if strings.TrimSpace(chat.Title) == "" || len(utf16.Encode([]rune(chat.About))) > maxAbout {
		return provisioning.ChatInfo{}, provisioning.ErrNewChatInvalid
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	g := &TelegramGroup{Type: chat.Type, Members: []provisioning.TelegramID{account.ID}}
	g.Title, g.About, g.Created = chat.Title, chat.About, time.Now().Truncate(time.Second)
	t.created++
	switch chat.Type {
	case provisioning.ChatTypeBasicGroup:
		for _, telegramID := range chat.Members {
			if t.canInvite(&account, telegramID) && !slices.Contains(g.Members, telegramID) {
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
	for _, telegramID := range g.Members {
		t.enlist(g, telegramID)
	}
	return g.ChatInfo, nil
}

// enlist puts a group to the top of a member's list of chats. The caller holds the lock.
func (t *Telegram) enlist(g *TelegramGroup, telegramID provisioning.TelegramID) {
	a := t.account(telegramID)
	a.Chats = append([]provisioning.Chat{{ID: g.ID, Title: g.Title, Username: g.Username, Megagroup: g.Megagroup}}, a.Chats...)
}

// canInvite says whether an account can add somebody to a group: it has to know them, or
// they have a username and are logged in here; and they have to let it. The caller holds
// the lock.
func (t *Telegram) canInvite(account *TelegramAccount, telegramID provisioning.TelegramID) bool {
	a := t.account(telegramID)
	if a == nil || a.NoInvites {
		return false
	}
	for _, s := range t.sessions {
		if s.account == a && s.loggedIn && a.Username != "" {
			return true
		}
	}
	return t.knows(account, telegramID)
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
		case slices.Contains(g.Members, telegramID):
		case t.canInvite(&account, telegramID):
			g.Members = append(g.Members, telegramID)
			t.enlist(g, telegramID)
		default:
			missing = append(missing, telegramID)
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
	g, err := t.groupOf(chatID, account.ID)
	if err != nil {
		return err
	}
	if g.Members[0] != account.ID {
		return &provisioning.TelegramError{Code: 403, Type: "CHAT_ADMIN_REQUIRED"}
	}
	delete(t.groups, chatID)
	for _, telegramID := range g.Members {
		if a := t.account(telegramID); a != nil {
			a.Chats = slices.DeleteFunc(slices.Clone(a.Chats), func(c provisioning.Chat) bool { return c.ID == chatID })
		}
	}
	return nil
}
