package provisioningtest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestChatListerMutants(t *testing.T) {
	testTelegramSuite(t, chatListerChecks, chatMutants, notLoggedInMutants, errorMutants, losingMutants)
}

func TestContactListerMutants(t *testing.T) {
	testTelegramSuite(t, contactListerChecks, contactMutants, notLoggedInMutants, errorMutants, losingMutants)
}

func TestStickerSetListerMutants(t *testing.T) {
	testTelegramSuite(t, stickerSetListerChecks, stickerMutants, notLoggedInMutants, errorMutants, losingMutants)
}

// withChatList changes what Chats returns to an account.
func withChatList(change func(list []provisioning.Chat, a *TelegramAccount) []provisioning.Chat) func(*brokenClient) {
	return func(c *brokenClient) {
		c.chats = func(ctx context.Context, query provisioning.ChatQuery) ([]provisioning.Chat, error) {
			list, err := c.client.Chats(ctx, query)
			if err == nil {
				list = change(list, c.session().account)
			}
			return list, err
		}
	}
}

// withoutChats is a list of chats without some.
func withoutChats(which func(provisioning.Chat) bool) func(*brokenClient) {
	return withChatList(func(list []provisioning.Chat, _ *TelegramAccount) []provisioning.Chat {
		return slices.DeleteFunc(list, which)
	})
}

// withEachChat changes every chat of the list.
func withEachChat(change func(c *provisioning.Chat)) func(*brokenClient) {
	return withChatList(func(list []provisioning.Chat, _ *TelegramAccount) []provisioning.Chat {
		for i := range list {
			change(&list[i])
		}
		return list
	})
}

func peerOf(c provisioning.Chat) provisioning.PeerType {
	kind, _, _ := c.ID.Split()
	return kind
}

var chatMutants = []telegramMutant{
	{name: "no chats are an error", check: "no chats", change: inMethod("Chats", func(ctx context.Context, c *brokenClient, call func(context.Context) error) error {
		if err := call(ctx); err != nil || len(c.session().account.Chats) > 0 {
			return err
		}
		return provisioning.ErrNotInChat
	})},
	{name: "groups only", check: "chats", change: withoutChats(func(c provisioning.Chat) bool { return peerOf(c) == provisioning.PeerUser })},
	{name: "no basic groups", check: "chats", change: withoutChats(func(c provisioning.Chat) bool { return peerOf(c) == provisioning.PeerChat })},
	{name: "no titles", check: "chats", change: withEachChat(func(c *provisioning.Chat) { c.Title = "" })},
	{name: "no usernames", check: "chats", change: withEachChat(func(c *provisioning.Chat) { c.Username = "" })},
	{name: "usernames of people only", check: "chats", change: withEachChat(func(c *provisioning.Chat) {
		if peerOf(*c) != provisioning.PeerUser {
			c.Username = ""
		}
	})},
	{name: "no supergroups", check: "chats", change: withEachChat(func(c *provisioning.Chat) { c.Megagroup = false })},
	{name: "every channel is a supergroup", check: "chats", change: withEachChat(func(c *provisioning.Chat) { c.Megagroup = peerOf(*c) == provisioning.PeerChannel })},
	{name: "ASCII titles", check: "chats", change: withEachChat(func(c *provisioning.Chat) {
		c.Title = strings.Map(func(r rune) rune { return min(r, 127) }, c.Title)
	})},
	{name: "IDs of MTProto", check: "chats", change: withEachChat(func(c *provisioning.Chat) {
		_, n, _ := c.ID.Split()
		c.ID = provisioning.ChatID(n)
	})},
	{name: "chats of 32 bits", check: "chats", change: withEachChat(func(c *provisioning.Chat) { c.ID = provisioning.ChatID(int32(c.ID)) })},
	{name: "sorted by title", check: "chats", change: withChatList(func(list []provisioning.Chat, _ *TelegramAccount) []provisioning.Chat {
		slices.SortFunc(list, func(a, b provisioning.Chat) int { return strings.Compare(a.Title, b.Title) })
		return list
	})},
	{name: "the last first", check: "chats", change: withChatList(func(list []provisioning.Chat, _ *TelegramAccount) []provisioning.Chat {
		slices.Reverse(list)
		return list
	})},
	{name: "the first page", check: "many chats", change: withChatList(func(list []provisioning.Chat, _ *TelegramAccount) []provisioning.Chat {
		return list[:min(100, len(list))]
	})},
	{name: "pages overlap", check: "many chats", change: withChatList(func(list []provisioning.Chat, _ *TelegramAccount) []provisioning.Chat {
		at := min(100, len(list))
		return slices.Concat(list[:at], list[max(0, at-1):])
	})},
	{name: "archived chats too", check: "archived chats", change: withChatList(func(list []provisioning.Chat, a *TelegramAccount) []provisioning.Chat {
		return slices.Concat(list, a.Archived)
	})},
	{name: "migrated groups too", check: "migrated groups", change: withChatList(func(list []provisioning.Chat, a *TelegramAccount) []provisioning.Chat {
		return slices.Concat(a.Migrated, list)
	})},
}

// withContactList changes what Contacts returns.
func withContactList(change func(list []provisioning.Contact) []provisioning.Contact) func(*brokenClient) {
	return func(c *brokenClient) {
		c.contacts = func(ctx context.Context, query provisioning.ContactQuery) ([]provisioning.Contact, error) {
			list, err := c.client.Contacts(ctx, query)
			return change(list), err
		}
	}
}

// withEachContact changes everybody who is found.
func withEachContact(change func(c *provisioning.Contact)) func(*brokenClient) {
	return func(c *brokenClient) {
		withContactList(func(list []provisioning.Contact) []provisioning.Contact {
			for i := range list {
				change(&list[i])
			}
			return list
		})(c)
		c.resolveUser = func(ctx context.Context, identifier provisioning.Identifier) (provisioning.Contact, error) {
			found, err := c.client.ResolveUser(ctx, identifier)
			if err == nil {
				change(&found)
			}
			return found, err
		}
	}
}

// What can be wrong with a person, for Contacts and ResolveUser.
var (
	firstNameOnly = withEachContact(func(c *provisioning.Contact) { c.Name, _, _ = strings.Cut(c.Name, " ") })
	noUsername    = withEachContact(func(c *provisioning.Contact) { c.Username = "" })
	noPhone       = withEachContact(func(c *provisioning.Contact) { c.Phone = "" })
	noBots        = withEachContact(func(c *provisioning.Contact) { c.IsBot = false })
	narrowContact = withEachContact(func(c *provisioning.Contact) { c.ID = provisioning.TelegramID(int32(c.ID)) })
	noName        = withEachContact(func(c *provisioning.Contact) { c.Name = "" })
)

var contactMutants = []telegramMutant{
	{name: "no contacts are an error", check: "no contacts", change: inMethod("Contacts", func(ctx context.Context, c *brokenClient, call func(context.Context) error) error {
		if err := call(ctx); err != nil || len(c.session().account.Contacts) > 0 {
			return err
		}
		return provisioning.ErrTelegramUserNotFound
	})},
	{name: "first names", check: "contacts", change: firstNameOnly},
	{name: "no usernames", check: "contacts", change: noUsername},
	{name: "no phone numbers", check: "contacts", change: noPhone},
	{name: "no bots", check: "contacts", change: noBots},
	{name: "contacts of 32 bits", check: "contacts", change: narrowContact},
	{name: "no photos", check: "contacts", change: withEachContact(func(c *provisioning.Contact) { c.PhotoID = 0 })},
	{name: "a list is fetched once", check: "contacts", change: func(c *brokenClient) {
		sound := c.contacts
		c.contacts = func(ctx context.Context, query provisioning.ContactQuery) ([]provisioning.Contact, error) {
			if c.shared[c.userID] != nil {
				return nil, ctx.Err()
			}
			c.shared[c.userID] = true
			return sound(ctx, query)
		}
	}},
	{name: "the first contacts", check: "many contacts", change: withContactList(func(list []provisioning.Contact) []provisioning.Contact {
		return list[:min(100, len(list))]
	})},
	{name: "a contact twice", check: "many contacts", change: withContactList(func(list []provisioning.Contact) []provisioning.Contact {
		return append(list, list[:min(1, len(list))]...)
	})},
	{name: "no name", check: "nameless contact", change: noName},
}

// withStickers changes what StickerSets returns.
func withStickers(change func(names []string) []string) func(*brokenClient) {
	return func(c *brokenClient) {
		c.stickerSets = func(ctx context.Context) ([]string, error) {
			names, err := c.client.StickerSets(ctx)
			return change(names), err
		}
	}
}

var stickerMutants = []telegramMutant{
	{name: "no sticker sets are an error", check: "no sticker sets", change: inMethod("StickerSets", func(ctx context.Context, c *brokenClient, call func(context.Context) error) error {
		if err := call(ctx); err != nil || len(c.session().account.StickerSets) > 0 {
			return err
		}
		return errSome
	})},
	{name: "sorted", check: "sticker sets", change: withStickers(func(names []string) []string { return slices.Sorted(slices.Values(names)) })},
	{name: "the last first", check: "sticker sets", change: withStickers(func(names []string) []string {
		slices.Reverse(names)
		return names
	})},
	{name: "case folded", check: "sticker sets", change: withStickers(func(names []string) []string {
		return strings.Fields(strings.ToLower(strings.Join(names, " ")))
	})},
	{name: "some default", check: "no sticker sets", change: withStickers(func(names []string) []string { return append(names, "Default") })},
	{name: "of whom was asked for first", check: "sticker sets", whole: func(b *brokenTelegram) {
		b.change = func(c *brokenClient) {
			c.stickerSets = func(ctx context.Context) ([]string, error) {
				if b.shared[id.UserID("all")] != nil {
					return nil, ctx.Err()
				}
				b.shared[id.UserID("all")] = true
				return c.client.StickerSets(ctx)
			}
		}
	}},
}
