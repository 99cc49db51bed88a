package provisioningtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestChatGetterMutants(t *testing.T) {
	testTelegramSuite(t, chatGetterChecks, getterMutants, notLoggedInMutants, errorMutants, losingMutants)
}

func TestMigrationListerMutants(t *testing.T) {
	testTelegramSuite(t, migrationListerChecks, migrationMutants, notLoggedInMutants, errorMutants, losingMutants)
}

var migrationMutants = []telegramMutant{
	{name: "no migrations", check: "migrated groups", change: func(c *brokenClient) {
		c.migrations = func(ctx context.Context, groups []provisioning.ChatID) (map[provisioning.ChatID]provisioning.ChatID, error) {
			_, err := c.client.Migrations(ctx, groups)
			return nil, err
		}
	}},
	{name: "the first group alone", check: "migrated groups", change: func(c *brokenClient) {
		c.migrations = func(ctx context.Context, groups []provisioning.ChatID) (map[provisioning.ChatID]provisioning.ChatID, error) {
			return c.client.Migrations(ctx, groups[:min(1, len(groups))])
		}
	}},
	{name: "every group is among them", check: "groups that stay", change: func(c *brokenClient) {
		c.migrations = func(ctx context.Context, groups []provisioning.ChatID) (map[provisioning.ChatID]provisioning.ChatID, error) {
			become, err := c.client.Migrations(ctx, groups)
			for _, group := range groups {
				if err == nil && become[group] == 0 {
					become[group] = group
				}
			}
			return become, err
		}
	}},
	{name: "an unknown group is an error", check: "groups that stay", change: func(c *brokenClient) {
		c.migrations = func(ctx context.Context, groups []provisioning.ChatID) (map[provisioning.ChatID]provisioning.ChatID, error) {
			become, err := c.client.Migrations(ctx, groups)
			if err == nil && slices.Contains(groups, provisioning.BasicGroupChatID(404)) {
				return nil, provisioning.ErrNotInChat
			}
			return become, err
		}
	}},
}

func TestChatCreatorMutants(t *testing.T) {
	testTelegramSuite(t, chatCreatorChecks, creatorMutants, notLoggedInMutants, errorMutants, losingMutants)
}

// withInfo changes what GetChat returns.
func withInfo(change func(info *provisioning.ChatInfo)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.getChat = func(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
			info, err := c.client.GetChat(ctx, chatID)
			change(&info)
			return info, err
		}
	}
}

// showing has GetChat return some chats that the account is not in.
func showing(which func(g TelegramGroup, account provisioning.TelegramID) bool) func(*brokenClient) {
	return func(c *brokenClient) {
		c.getChat = func(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
			info, err := c.client.GetChat(ctx, chatID)
			if g, ok := c.telegram.Group(chatID); ok && errors.Is(err, provisioning.ErrNotInChat) && which(g, c.session().account.ID) {
				return g.ChatInfo, nil
			}
			return info, err
		}
	}
}

// otherwiseFound has GetChat return another error where a chat of an ID is not found.
func otherwiseFound(which func(kind provisioning.PeerType) bool, to error) func(*brokenClient) {
	return func(c *brokenClient) {
		c.getChat = func(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
			info, err := c.client.GetChat(ctx, chatID)
			if kind, _, _ := chatID.Split(); errors.Is(err, provisioning.ErrNotInChat) && which(kind) {
				err = to
			}
			return info, err
		}
	}
}

var errChannelPrivate = &provisioning.TelegramError{Code: 400, Type: "CHANNEL_PRIVATE"}

var getterMutants = []telegramMutant{
	{name: "no description", check: "groups and channels", change: withInfo(func(i *provisioning.ChatInfo) { i.About = "" })},
	{name: "no username", check: "groups and channels", change: withInfo(func(i *provisioning.ChatInfo) { i.Username = "" })},
	{name: "no supergroups", check: "groups and channels", change: withInfo(func(i *provisioning.ChatInfo) { i.Megagroup = false })},
	{name: "no photo", check: "groups and channels", change: withInfo(func(i *provisioning.ChatInfo) { i.PhotoID = 0 })},
	{name: "no title", check: "groups and channels", change: withInfo(func(i *provisioning.ChatInfo) { i.Title = "" })},
	{name: "IDs of 32 bits", check: "groups and channels", change: withInfo(func(i *provisioning.ChatInfo) { i.ID = provisioning.ChatID(int32(i.ID)) })},
	{name: "own chats only", check: "groups and channels", change: func(c *brokenClient) {
		c.getChat = func(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
			info, err := c.client.GetChat(ctx, chatID)
			if g, ok := c.telegram.Group(chatID); ok && err == nil && g.Members[0] != c.session().account.ID {
				return provisioning.ChatInfo{}, provisioning.ErrNotInChat
			}
			return info, err
		}
	}},
	{name: "what is unknown is a refusal", check: "no such chat", change: otherwiseFound(
		func(kind provisioning.PeerType) bool { return kind == provisioning.PeerChannel }, errChannelPrivate)},
	{name: "what is unknown is empty", check: "no such chat", change: otherwiseFound(
		func(kind provisioning.PeerType) bool { return kind == provisioning.PeerChat }, nil)},
	{name: "people are not found", check: "no group", change: otherwiseFound(
		func(kind provisioning.PeerType) bool { return kind == provisioning.PeerUser }, provisioning.ErrTelegramUserNotFound)},
	{name: "nonsense is some error", check: "no group", change: otherwiseFound(
		func(kind provisioning.PeerType) bool { return kind == "" }, errSome)},
	{name: "public chats are everybody's", check: "not in the chat", change: showing(func(g TelegramGroup, _ provisioning.TelegramID) bool {
		return g.Username != ""
	})},
	{name: "all chats are everybody's", check: "not in the chat", change: showing(func(TelegramGroup, provisioning.TelegramID) bool { return true })},
	{name: "private chats are a refusal", check: "not in the chat", change: insteadOf(provisioning.ErrNotInChat, errChannelPrivate)},
	{name: "once a member", check: "banned from the chat", change: showing(func(g TelegramGroup, account provisioning.TelegramID) bool {
		return slices.Contains(g.Banned, account)
	})},
	{name: "migrated groups are gone", check: "migrated group", change: func(c *brokenClient) {
		c.getChat = func(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
			info, err := c.client.GetChat(ctx, chatID)
			if err == nil && info.ID != chatID {
				return provisioning.ChatInfo{}, provisioning.ErrNotInChat
			}
			return info, err
		}
	}},
	{name: "nobody knows what a group was", check: "migrated group", change: withInfo(func(i *provisioning.ChatInfo) { i.MigratedFrom = 0 })},
	{name: "all supergroups are everybody's", check: "migrated group", change: func(c *brokenClient) {
		c.getChat = func(ctx context.Context, chatID provisioning.ChatID) (provisioning.ChatInfo, error) {
			info, err := c.client.GetChat(ctx, chatID)
			become, _ := c.client.Migrations(ctx, []provisioning.ChatID{chatID})
			if g, ok := c.telegram.Group(become[chatID]); ok && errors.Is(err, provisioning.ErrNotInChat) {
				return g.ChatInfo, nil
			}
			return info, err
		}
	}},
}

// withNewChat changes what CreateChat is given.
func withNewChat(change func(chat *provisioning.NewChat)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.createChat = func(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
			change(&chat)
			return c.client.CreateChat(ctx, chat)
		}
	}
}

// afterCreating changes a chat that was made.
func afterCreating(change func(c *brokenClient, g *TelegramGroup, info *provisioning.ChatInfo)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.createChat = func(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
			info, err := c.client.CreateChat(ctx, chat)
			if g, ok := c.telegram.Group(info.ID); ok {
				change(c, &g, &info)
				c.telegram.AddGroup(g)
			}
			return info, err
		}
	}
}

// refusingMembers has CreateChat refuse a chat with some members.
func refusingMembers(which func(c *brokenClient, member provisioning.TelegramID) bool) func(*brokenClient) {
	return func(c *brokenClient) {
		c.createChat = func(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
			if slices.ContainsFunc(chat.Members, func(member provisioning.TelegramID) bool { return which(c, member) }) {
				return provisioning.ChatInfo{}, &provisioning.TelegramError{Code: 400, Type: "USER_PRIVACY_RESTRICTED"}
			}
			return c.client.CreateChat(ctx, chat)
		}
	}
}

// withInvite replaces InviteToChat.
func withInvite(do func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.inviteToChat = func(ctx context.Context, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
			return do(ctx, c, chatID, people)
		}
	}
}

// withDelete replaces DeleteChat.
func withDelete(do func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID) error) func(*brokenClient) {
	return func(c *brokenClient) {
		c.deleteChat = func(ctx context.Context, chatID provisioning.ChatID) error { return do(ctx, c, chatID) }
	}
}

var creatorMutants = []telegramMutant{
	{name: "no description", check: "create", change: withNewChat(func(chat *provisioning.NewChat) { chat.About = "" })},
	{name: "description on Telegram only", check: "create", change: afterCreating(func(_ *brokenClient, _ *TelegramGroup, info *provisioning.ChatInfo) { info.About = "" })},
	{name: "description here only", check: "create", change: afterCreating(func(_ *brokenClient, g *TelegramGroup, _ *provisioning.ChatInfo) { g.About = "" })},
	{name: "channels only", check: "create", change: withNewChat(func(chat *provisioning.NewChat) {
		if chat.Type == provisioning.ChatTypeSupergroup {
			chat.Type = provisioning.ChatTypeChannel
		}
	})},
	{name: "no members", check: "create", change: afterCreating(func(_ *brokenClient, g *TelegramGroup, _ *provisioning.ChatInfo) { g.Members = g.Members[:1] })},
	{name: "no basic groups", check: "create", change: withNewChat(func(chat *provisioning.NewChat) {
		chat.Type = max(chat.Type, provisioning.ChatTypeSupergroup)
	})},
	{name: "titles cut", check: "create", change: withNewChat(func(chat *provisioning.NewChat) { chat.Title, _, _ = strings.Cut(chat.Title, "<") })},
	{name: "somebody else's", check: "owner", change: afterCreating(func(_ *brokenClient, g *TelegramGroup, _ *provisioning.ChatInfo) {
		g.Members = append([]provisioning.TelegramID{bob.ID}, g.Members...)
	})},
	{name: "the shy are an error", check: "members left out", change: refusingMembers(func(_ *brokenClient, member provisioning.TelegramID) bool {
		return member == shy.ID
	})},
	{name: "strangers are an error", check: "members left out", change: refusingMembers(func(_ *brokenClient, member provisioning.TelegramID) bool {
		return member == unknown.ID
	})},
	{name: "nobody is an error", check: "members left out", change: refusingMembers(func(c *brokenClient, member provisioning.TelegramID) bool {
		c.telegram.mu.Lock()
		defer c.telegram.mu.Unlock()
		return c.telegram.account(member) == nil
	})},
	{name: "the account itself is an error", check: "members left out", change: refusingMembers(func(c *brokenClient, member provisioning.TelegramID) bool {
		return member == c.session().account.ID
	})},
	{name: "who comes behind is left out too", check: "members left out", change: withNewChat(func(chat *provisioning.NewChat) {
		if i := slices.Index(chat.Members, nobodysID); i >= 0 {
			chat.Members = chat.Members[:i]
		}
	})},
	{name: "the shy are forced", check: "members left out", change: afterCreating(func(_ *brokenClient, g *TelegramGroup, _ *provisioning.ChatInfo) {
		if !slices.Contains(g.Members, shy.ID) {
			g.Members = append(g.Members, shy.ID)
		}
	})},
	{name: "too few is a refusal", check: "too few members", change: insteadOf(provisioning.ErrTooFewMembers, &provisioning.TelegramError{Code: 400, Type: "USERS_TOO_FEW"})},
	{name: "an invalid description is a refusal", check: "invalid description", change: insteadOf(provisioning.ErrNewChatInvalid, &provisioning.TelegramError{Code: 400, Type: "CHAT_ABOUT_TOO_LONG"})},
	{name: "long descriptions are cut", check: "invalid description", change: withNewChat(func(chat *provisioning.NewChat) {
		if r := []rune(chat.About); len(r) > 255 {
			chat.About = string(r[:255])
		}
	})},
	{name: "nobody is invited", check: "invite", change: withInvite(func(ctx context.Context, _ *brokenClient, _ provisioning.ChatID, _ []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		return nil, ctx.Err()
	})},
	{name: "bots are missing", check: "invite", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		var bots []provisioning.TelegramID
		people = slices.DeleteFunc(slices.Clone(people), func(who provisioning.TelegramID) bool {
			if who == botAccount.ID {
				bots = append(bots, who)
			}
			return who == botAccount.ID
		})
		missing, err := c.client.InviteToChat(ctx, chatID, people)
		return append(missing, bots...), err
	})},
	{name: "an empty invitation is an error", check: "invite", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		if len(people) == 0 {
			return nil, provisioning.ErrTooFewMembers
		}
		return c.client.InviteToChat(ctx, chatID, people)
	})},
	{name: "members are missing", check: "invite members", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		before, _ := c.telegram.Group(chatID)
		missing, err := c.client.InviteToChat(ctx, chatID, people)
		for _, who := range people {
			if slices.Contains(before.Members, who) {
				missing = append(missing, who)
			}
		}
		return missing, err
	})},
	{name: "members are an error", check: "invite members", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		g, _ := c.telegram.Group(chatID)
		for _, who := range people {
			if slices.Contains(g.Members, who) {
				return nil, &provisioning.TelegramError{Code: 400, Type: "USER_ALREADY_PARTICIPANT"}
			}
		}
		return c.client.InviteToChat(ctx, chatID, people)
	})},
	{name: "nobody is missing", check: "missing", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		_, err := c.client.InviteToChat(ctx, chatID, people)
		return nil, err
	})},
	{name: "who is missing is an error", check: "missing", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		missing, err := c.client.InviteToChat(ctx, chatID, people)
		if len(missing) > 0 {
			err = provisioning.ErrTelegramUserNotFound
		}
		return missing, err
	})},
	{name: "all or nobody", check: "missing", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		if slices.Contains(people, nobodysID) {
			return people, ctx.Err()
		}
		return c.client.InviteToChat(ctx, chatID, people)
	})},
	{name: "invited elsewhere without an error", check: "invite elsewhere", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		missing, err := c.client.InviteToChat(ctx, chatID, people)
		if errors.Is(err, provisioning.ErrNotInChat) {
			return people, nil
		}
		return missing, err
	})},
	{name: "invited by force", check: "invite elsewhere", change: withInvite(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, people []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
		missing, err := c.client.InviteToChat(ctx, chatID, people)
		if g, ok := c.telegram.Group(chatID); ok && err != nil {
			g.Members = append(g.Members, people...)
			c.telegram.AddGroup(g)
		}
		return missing, err
	})},
	{name: "elsewhere is a refusal", check: "invite elsewhere", change: insteadOf(provisioning.ErrNotInChat, errChannelPrivate)},
	{name: "delete does nothing", check: "delete", change: withDelete(func(ctx context.Context, _ *brokenClient, _ provisioning.ChatID) error { return ctx.Err() })},
	{name: "delete leaves", check: "delete", change: withDelete(func(_ context.Context, c *brokenClient, chatID provisioning.ChatID) error {
		g, ok := c.telegram.Group(chatID)
		if !ok || len(g.Members) == 0 || g.Members[0] != c.session().account.ID {
			return provisioning.ErrNotInChat
		}
		g.Members = g.Members[1:]
		c.telegram.AddGroup(g)
		return nil
	})},
	{name: "delete deletes all of a kind", check: "delete", change: withDelete(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID) error {
		err := c.client.DeleteChat(ctx, chatID)
		kind, _, _ := chatID.Split()
		c.telegram.mu.Lock()
		defer c.telegram.mu.Unlock()
		for other := range c.telegram.groups {
			if k, _, _ := other.Split(); k == kind {
				delete(c.telegram.groups, other)
			}
		}
		return err
	})},
	{name: "deleted elsewhere without an error", check: "delete elsewhere", change: insteadOf(provisioning.ErrNotInChat, nil)},
	{name: "deleted by anybody", check: "delete elsewhere", change: deletesAnything},
	{name: "deleted by members", check: "delete another's", change: deletesAnything},
}

// deletesAnything deletes whatever there is.
func deletesAnything(c *brokenClient) {
	c.deleteChat = func(ctx context.Context, chatID provisioning.ChatID) error {
		err := c.client.DeleteChat(ctx, chatID)
		c.telegram.mu.Lock()
		defer c.telegram.mu.Unlock()
		delete(c.telegram.groups, chatID)
		return err
	}
}
