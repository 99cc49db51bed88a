package provisioningtest

import (
	"context"
	"slices"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestMemPortalLister(t *testing.T) {
	TestPortalLister(t, func(*testing.T) func(*testing.T) PortalListerStore {
		s := NewMemPortalStore()
		return func(*testing.T) PortalListerStore { return s }
	})
}

func TestPortalListerMutants(t *testing.T) { testMutants(t, portalListerChecks, portalListerMutants) }

// alteredList is the broken ListPortals of a PortalLister, nil for a sound one.
type alteredList func(context.Context, provisioning.PortalQuery) ([]provisioning.Portal, error)

func (s *altered) ListPortals(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
	if s.list == nil {
		return s.MemPortalStore.ListPortals(ctx, query)
	}
	return s.list(ctx, query)
}

// alteredOfChats is the broken PortalsOfChats of a PortalLister, nil for a sound one.
type alteredOfChats func(context.Context, provisioning.TelegramID, []provisioning.ChatID) ([]provisioning.Portal, error)

func (s *altered) PortalsOfChats(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
	if s.ofChats == nil {
		return s.MemPortalStore.PortalsOfChats(ctx, account, chats)
	}
	return s.ofChats(ctx, account, chats)
}

// withList alters what ListPortals is asked, and what it answers.
func withList(ask func(*provisioning.PortalQuery), answer func([]provisioning.Portal) []provisioning.Portal) func(*altered) {
	return func(s *altered) {
		s.list = func(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
			if ask != nil {
				ask(&query)
			}
			portals, err := s.MemPortalStore.ListPortals(ctx, query)
			if answer != nil {
				portals = answer(portals)
			}
			return portals, err
		}
	}
}

var portalListerMutants = []storeMutant{
	{"nothing is an error", "no portals", func(s *altered) {
		s.list = func(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
			portals, err := s.MemPortalStore.ListPortals(ctx, query)
			if err == nil && len(portals) == 0 {
				err = provisioning.ErrPortalNotFound
			}
			return portals, err
		}
	}},
	{"groups only", "all portals", withList(nil, func(portals []provisioning.Portal) []provisioning.Portal {
		return slices.DeleteFunc(portals, func(p provisioning.Portal) bool { return p.Receiver != 0 })
	})},
	{"IDs only", "all portals", withList(nil, func(portals []provisioning.Portal) []provisioning.Portal {
		for i, p := range portals {
			portals[i] = provisioning.Portal{RoomID: p.RoomID, ChatID: p.ChatID, Receiver: p.Receiver, Title: p.Title, Megagroup: p.Megagroup}
		}
		return portals
	})},
	{"portals with accounts only", "all portals", func(s *altered) {
		s.list = func(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
			portals, err := s.MemPortalStore.ListPortals(ctx, query)
			return slices.DeleteFunc(portals, func(p provisioning.Portal) bool { return len(s.accounts[p.RoomID]) == 0 }), err
		}
	}},
	{"everybody's portals", "an account's portals", withList(func(q *provisioning.PortalQuery) { q.Account = 0 }, nil)},
	{"whoever has connected it", "an account's portals", func(s *altered) {
		s.list = func(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
			portals, err := s.MemPortalStore.ListPortals(ctx, query)
			return slices.DeleteFunc(portals, func(p provisioning.Portal) bool {
				return query.Account != 0 && s.accounts[p.RoomID][0] != query.Account
			}), err
		}
	}},
	{"no limit", "pages", withList(func(q *provisioning.PortalQuery) { q.Limit = manyPortals }, nil)},
	{"one too few", "pages", withList(func(q *provisioning.PortalQuery) { q.Limit-- }, nil)},
	{"the first page again", "pages", withList(func(q *provisioning.PortalQuery) { q.After = "" }, nil)},
	{"the newest first", "pages", withList(nil, func(portals []provisioning.Portal) []provisioning.Portal {
		slices.Reverse(portals)
		return portals
	})},
	{"the limit before the account", "pages", func(s *altered) {
		s.list = func(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
			account := query.Account
			query.Account = 0
			portals, err := s.MemPortalStore.ListPortals(ctx, query)
			return slices.DeleteFunc(portals, func(p provisioning.Portal) bool {
				return account != 0 && !slices.Contains(s.accounts[p.RoomID], account)
			}), err
		}
	}},
	{"after a position", "after a portal that is gone", func(s *altered) {
		s.list = func(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
			if _, bridged := s.portals[query.After]; query.After != "" && !bridged {
				return nil, ctx.Err()
			}
			return s.MemPortalStore.ListPortals(ctx, query)
		}
	}},
	{"direct chats of anybody", "portals of chats", func(s *altered) {
		s.ofChats = func(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
			portals, err := s.MemPortalStore.PortalsOfChats(ctx, account, chats)
			for _, other := range []provisioning.TelegramID{7, 8} {
				if more, _ := s.MemPortalStore.PortalsOfChats(ctx, other, chats); other != account {
					portals = append(portals, slices.DeleteFunc(more, func(p provisioning.Portal) bool { return p.Receiver == 0 })...)
				}
			}
			return portals, err
		}
	}},
	{"only those that the account takes part in", "portals of chats", func(s *altered) {
		s.ofChats = func(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
			portals, err := s.MemPortalStore.PortalsOfChats(ctx, account, chats)
			return slices.DeleteFunc(portals, func(p provisioning.Portal) bool { return !slices.Contains(s.accounts[p.RoomID], account) }), err
		}
	}},
	{"a chat without a portal is an error", "portals of chats", func(s *altered) {
		s.ofChats = func(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
			portals, err := s.MemPortalStore.PortalsOfChats(ctx, account, chats)
			if err == nil && len(portals) < len(chats) {
				err = provisioning.ErrPortalNotFound
			}
			return portals, err
		}
	}},
	{"all portals of the account", "portals of chats", func(s *altered) {
		s.ofChats = func(ctx context.Context, account provisioning.TelegramID, _ []provisioning.ChatID) ([]provisioning.Portal, error) {
			return s.MemPortalStore.AccountPortals(ctx, account)
		}
	}},
	{"the first thousand chats", "portals of many chats", func(s *altered) {
		s.ofChats = func(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
			return s.MemPortalStore.PortalsOfChats(ctx, account, chats[:min(len(chats), 1000)])
		}
	}},
	{"chats without a context", "context of a list", func(s *altered) {
		s.ofChats = func(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
			return s.MemPortalStore.PortalsOfChats(context.WithoutCancel(ctx), account, chats)
		}
	}},
	{"each process remembers", "list with two handles", func(s *altered) {
		remembered := map[provisioning.PortalQuery][]provisioning.Portal{}
		s.list = func(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
			if portals, ok := remembered[query]; ok {
				return portals, nil
			}
			portals, err := s.MemPortalStore.ListPortals(ctx, query)
			remembered[query] = portals
			return portals, err
		}
	}},
	{"no context", "context of a list", func(s *altered) {
		s.list = func(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
			return s.MemPortalStore.ListPortals(context.WithoutCancel(ctx), query)
		}
	}},
}
