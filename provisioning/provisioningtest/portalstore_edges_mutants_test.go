package provisioningtest

import (
	"context"
	"errors"
	"html"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// withRooms rewrites room IDs.
func withRooms(rewrite func(string) string) func(*altered) {
	return func(s *altered) {
		s.portalByRoom = func(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
			return s.MemPortalStore.PortalByRoom(ctx, id.RoomID(rewrite(string(roomID))))
		}
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			n.RoomID, n.Replaces = id.RoomID(rewrite(string(n.RoomID))), id.RoomID(rewrite(string(n.Replaces)))
			return s.MemPortalStore.Connect(ctx, n)
		}
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			p.RoomID = id.RoomID(rewrite(string(p.RoomID)))
			return s.MemPortalStore.Disconnect(ctx, p, tasks...)
		}
	}
}

// withText rewrites the texts of portals.
func withText(rewrite func(string) string) func(*altered) {
	return withConnect(func(n *provisioning.NewPortal) {
		n.Title, n.About = rewrite(n.Title), rewrite(n.About)
	})
}

// withChats rewrites chat IDs.
func withChats(rewrite func(provisioning.ChatID) provisioning.ChatID) func(*altered) {
	return func(s *altered) {
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
			return s.MemPortalStore.PortalByChat(ctx, rewrite(chatID), receiver)
		}
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			n.ChatID = rewrite(n.ChatID)
			return s.MemPortalStore.Connect(ctx, n)
		}
	}
}

// withAccounts rewrites account IDs.
func withAccounts(rewrite func(provisioning.TelegramID) provisioning.TelegramID) func(*altered) {
	return withConnect(func(n *provisioning.NewPortal) {
		n.Accounts = slices.Clone(n.Accounts)
		for i := range n.Accounts {
			n.Accounts[i] = provisioning.TelegramID(rewrite(provisioning.TelegramID(n.Accounts[i])))
		}
	})
}

var portalEdgeMutants = []storeMutant{
	{"chats of 32 bits", "chat IDs", withChats(func(chatID provisioning.ChatID) provisioning.ChatID {
		return provisioning.ChatID(int32(chatID))
	})},
	{"channels without their offset", "chat IDs", withChats(func(chatID provisioning.ChatID) provisioning.ChatID {
		if kind, id, _ := chatID.Split(); kind == provisioning.PeerChannel {
			return provisioning.BasicGroupChatID(id)
		}
		return chatID
	})},
	{"accounts of 32 bits", "account IDs", withAccounts(func(telegramID provisioning.TelegramID) provisioning.TelegramID {
		return provisioning.TelegramID(int32(telegramID))
	})},
	{"accounts as floats", "account IDs", withAccounts(func(telegramID provisioning.TelegramID) provisioning.TelegramID {
		return provisioning.TelegramID(float64(telegramID))
	})},
	{"case folded", "room IDs", withRooms(strings.ToLower)},
	{"blanks trimmed", "room IDs", withRooms(strings.TrimSpace)},
	{"no port", "room IDs", withRooms(func(v string) string { return strings.TrimSuffix(v, ":8448") })},
	{"cut at a slash", "room IDs", withRooms(func(v string) string { return strings.SplitN(v, "/", 2)[0] })},
	{"cut at 128 bytes", "room IDs", withRooms(func(v string) string { return v[:min(len(v), 128)] })},
	{"a room needs a server", "room IDs", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if !strings.Contains(string(n.RoomID), ":") {
				return errors.New("invalid room ID")
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"texts trimmed", "texts", withText(strings.TrimSpace)},
	{"texts escaped", "texts", withText(html.EscapeString)},
	{"texts of 255 bytes", "texts", withText(func(v string) string { return v[:min(len(v), 255)] })},
	{"each process caches", "two handles", func(s *altered) {
		cache := map[id.RoomID]provisioning.Portal{}
		s.portalByRoom = func(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
			if p, ok := cache[roomID]; ok {
				return p, nil
			}
			p, err := s.MemPortalStore.PortalByRoom(ctx, roomID)
			if err == nil {
				cache[roomID] = p
			}
			return p, err
		}
	}},
	{"each process is alone", "two handles", func(s *altered) { s.MemPortalStore = NewMemPortalStore() }},
}
