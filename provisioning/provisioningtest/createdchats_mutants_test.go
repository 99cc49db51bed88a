package provisioningtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestCreatedChatListerMutants(t *testing.T) {
	testTelegramSuite(t, createdChatChecks, createdMutants, notLoggedInMutants, errorMutants, losingMutants)
}

// asked is what CreatedChats is asked.
type asked struct {
	chat  provisioning.NewChat
	since time.Time
}

// withAsked changes what CreatedChats is asked.
func withAsked(change func(c *brokenClient, a *asked)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.createdChats = func(ctx context.Context, chat provisioning.NewChat, since time.Time) ([]provisioning.CreatedChat, error) {
			a := asked{chat, since}
			change(c, &a)
			return c.client.CreatedChats(ctx, a.chat, a.since)
		}
	}
}

// withEach changes each chat that CreatedChats returns.
func withEach(change func(made *provisioning.CreatedChat)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.createdChats = func(ctx context.Context, chat provisioning.NewChat, since time.Time) ([]provisioning.CreatedChat, error) {
			made, err := c.client.CreatedChats(ctx, chat, since)
			for i := range made {
				change(&made[i])
			}
			return made, err
		}
	}
}

// withAlso adds the groups that a function chooses to what CreatedChats returns.
func withAlso(which func(g *TelegramGroup, chat provisioning.NewChat) bool) func(*brokenClient) {
	return func(c *brokenClient) {
		c.createdChats = func(ctx context.Context, chat provisioning.NewChat, since time.Time) ([]provisioning.CreatedChat, error) {
			made, err := c.client.CreatedChats(ctx, chat, since)
			if err != nil {
				return nil, err
			}
			c.telegram.mu.Lock()
			defer c.telegram.mu.Unlock()
			for _, g := range c.telegram.groups {
				if which(g, chat) && !slices.ContainsFunc(made, func(m provisioning.CreatedChat) bool { return m.ID == g.ID }) {
					made = append(made, provisioning.CreatedChat{ID: g.ID, Created: g.Created})
				}
			}
			return made, nil
		}
	}
}

var createdMutants = []telegramMutant{
	{name: "none", check: "created", change: func(c *brokenClient) {
		c.createdChats = func(ctx context.Context, chat provisioning.NewChat, since time.Time) ([]provisioning.CreatedChat, error) {
			_, err := c.client.CreatedChats(ctx, chat, since)
			return nil, err
		}
	}},
	{name: "the latest alone", check: "created", change: func(c *brokenClient) {
		c.createdChats = func(ctx context.Context, chat provisioning.NewChat, since time.Time) ([]provisioning.CreatedChat, error) {
			made, err := c.client.CreatedChats(ctx, chat, since)
			return made[:min(1, len(made))], err
		}
	}},
	{name: "no age", check: "date and age", change: withEach(func(m *provisioning.CreatedChat) { m.Age = 0 })},
	{name: "no date", check: "date and age", change: withEach(func(m *provisioning.CreatedChat) { m.Created = time.Time{} })},
	{name: "made just now", check: "date and age", change: withEach(func(m *provisioning.CreatedChat) { m.Created = time.Now() })},
	{name: "since for ever", check: "since", change: withAsked(func(_ *brokenClient, a *asked) { a.since = time.Unix(1, 0) })},
	{name: "not since the second", check: "since", change: withAsked(func(_ *brokenClient, a *asked) { a.since = a.since.Add(time.Second) })},
	{name: "of any type", check: "type and title", change: withAlso(func(g *TelegramGroup, chat provisioning.NewChat) bool { return g.Title == chat.Title })},
	{name: "of any title", check: "type and title", change: withAlso(func(g *TelegramGroup, chat provisioning.NewChat) bool { return g.kind() == chat.Type })},
	{name: "titles are cut where they are asked for", check: "long titles", change: withAsked(func(_ *brokenClient, a *asked) {
		a.chat.Title = string([]rune(a.chat.Title)[:min(len([]rune(a.chat.Title)), 90)])
	})},
	{name: "of any owner", check: "another's", change: withAlso(func(g *TelegramGroup, chat provisioning.NewChat) bool {
		return g.kind() == chat.Type && g.Title == chat.Title
	})},
	{name: "what was deleted stays", check: "deleted", change: func(c *brokenClient) {
		c.deleteChat = func(ctx context.Context, chatID provisioning.ChatID) error {
			g, _ := c.telegram.Group(chatID)
			err := c.client.DeleteChat(ctx, chatID)
			if err == nil {
				c.telegram.AddGroup(g)
			}
			return err
		}
	}},
	{name: "never in use", check: "in use", change: withEach(func(m *provisioning.CreatedChat) { m.InUse = false })},
	{name: "always in use", check: "in use", change: withEach(func(m *provisioning.CreatedChat) { m.InUse = true })},
	{name: "nobody was named", check: "in use", change: withAsked(func(_ *brokenClient, a *asked) { a.chat.Members = nil })},
	{name: "messages do not count", check: "in use", change: withAsked(func(c *brokenClient, _ *asked) {
		c.telegram.mu.Lock()
		defer c.telegram.mu.Unlock()
		for _, g := range c.telegram.groups {
			g.Written = false
		}
	})},
}
