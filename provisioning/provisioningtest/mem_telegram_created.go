package provisioningtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// CreatedChats implements provisioning.CreatedChatLister. Telegram's clock is that of this
// machine.
func (c *client) CreatedChats(ctx context.Context, chat provisioning.NewChat, since time.Time) (made []provisioning.CreatedChat, err error) {
	account, err := c.use(ctx, "CreatedChats")
	if err != nil {
		return nil, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.groups {
		if g.Members[0] != account.ID || g.kind() != chat.Type || g.Title != chat.Title || g.Created.Before(since.Truncate(time.Second)) {
			continue
		}
		joined := slices.ContainsFunc(g.Members[1:], func(who provisioning.TelegramID) bool { return !slices.Contains(chat.Members, who) })
		made = append(made, provisioning.CreatedChat{
			ID: g.ID, Created: g.Created, Age: time.Since(g.Created).Truncate(time.Second), InUse: g.Written || joined,
		})
	}
	slices.SortFunc(made, func(a, b provisioning.CreatedChat) int { return cmp.Compare(b.ID, a.ID) })
	return made, nil
}

// kind returns what the group or channel could have been created as.
func (g *TelegramGroup) kind() provisioning.ChatType {
	switch peer, _, _ := g.ID.Split(); {
	case peer == provisioning.PeerChat:
		return provisioning.ChatTypeBasicGroup
	case g.Megagroup:
		return provisioning.ChatTypeSupergroup
	default:
		return provisioning.ChatTypeChannel
	}
}
