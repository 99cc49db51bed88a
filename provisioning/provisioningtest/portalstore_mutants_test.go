package provisioningtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestPortalStoreMutants(t *testing.T) {
	testMutants(t, portalStoreChecks, slices.Concat(connectMutants, moveMutants, disconnectMutants, portalEdgeMutants, portalRaceMutants))
}

// withConnect alters what Connect is given.
func withConnect(change func(n *provisioning.NewPortal)) func(*altered) {
	return func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			change(&n)
			return s.MemPortalStore.Connect(ctx, n)
		}
	}
}

var connectMutants = []storeMutant{
	{"no portal and no error", "nothing is bridged", func(s *altered) {
		s.portalByRoom = func(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
			p, err := s.MemPortalStore.PortalByRoom(ctx, roomID)
			if errors.Is(err, provisioning.ErrPortalNotFound) {
				err = nil
			}
			return p, err
		}
	}},
	{"no chat and no error", "nothing is bridged", func(s *altered) {
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
			p, _ := s.MemPortalStore.PortalByChat(ctx, chatID, receiver)
			return p, ctx.Err()
		}
	}},
	{"no portals are an error", "nothing is bridged", func(s *altered) {
		s.accountPortals = func(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
			portals, err := s.MemPortalStore.AccountPortals(ctx, telegramID)
			if err == nil && len(portals) == 0 {
				err = provisioning.ErrPortalNotFound
			}
			return portals, err
		}
	}},
	{"Connect does nothing", "connect", func(s *altered) {
		s.connect = func(context.Context, provisioning.NewPortal) error { return nil }
	}},
	{"no description", "connect", withConnect(func(n *provisioning.NewPortal) { n.About = "" })},
	{"no username", "connect", withConnect(func(n *provisioning.NewPortal) { n.Username = "" })},
	{"no supergroups", "connect", withConnect(func(n *provisioning.NewPortal) { n.Megagroup = false })},
	{"one account only", "accounts", withConnect(func(n *provisioning.NewPortal) { n.Accounts = n.Accounts[:min(1, len(n.Accounts))] })},
	{"a row for each mention", "accounts", func(s *altered) {
		s.accountPortals = func(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
			found, err := s.MemPortalStore.AccountPortals(ctx, telegramID)
			var portals []provisioning.Portal
			for _, p := range found {
				for _, account := range s.accounts[p.RoomID] {
					if account == telegramID {
						portals = append(portals, p)
					}
				}
			}
			return portals, err
		}
	}},
	{"everybody takes part", "accounts", func(s *altered) {
		s.accountPortals = func(context.Context, provisioning.TelegramID) ([]provisioning.Portal, error) {
			return slices.Collect(maps.Values(s.portals)), nil
		}
	}},
	{"the receiver has to be listed", "direct chats", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(ctx, n)
			if err == nil {
				s.accounts[n.RoomID] = n.Accounts
			}
			return err
		}
	}},
	{"chats without receivers", "direct chats", func(s *altered) {
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, _ provisioning.TelegramID) (provisioning.Portal, error) {
			for _, p := range s.portals {
				if p.ChatID == chatID {
					return p, nil
				}
			}
			return provisioning.Portal{}, provisioning.ErrPortalNotFound
		}
	}},
	{"a user has one direct chat", "direct chats", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			for _, p := range s.portals {
				if p.ChatID == n.ChatID && p.RoomID != n.RoomID {
					return provisioning.ErrChatBridged
				}
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"connecting again is no error", "room is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if p, err := s.PortalByRoom(ctx, n.RoomID); err == nil && p.ChatID == n.ChatID && p.Receiver == n.Receiver {
				return nil
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"the chat is looked at first", "room is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if p, err := s.PortalByChat(ctx, n.ChatID, n.Receiver); err == nil && p.RoomID != n.RoomID && p.RoomID != n.Replaces {
				return provisioning.ErrChatBridged
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"the room's portal is overwritten", "room is bridged", func(s *altered) {
		s.connect = func(_ context.Context, n provisioning.NewPortal) error {
			s.put(n)
			return nil
		}
	}},
	{"a refused Connect adds its accounts", "room is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(ctx, n)
			if err != nil && n.Replaces == "" {
				s.accounts[n.RoomID] = append(s.accounts[n.RoomID], n.Accounts...)
			}
			return err
		}
	}},
	{"a chat in two rooms", "chat is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if _, err := s.PortalByRoom(ctx, n.RoomID); err == nil {
				return provisioning.ErrRoomBridged
			}
			s.put(n)
			return nil
		}
	}},
	{"Replaces is whatever room", "chat is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if p, err := s.PortalByChat(ctx, n.ChatID, n.Receiver); err == nil && n.Replaces != "" {
				n.Replaces = p.RoomID
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"a refused Connect removes the old portal", "chat is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(ctx, n)
			s.drop(n.Replaces)
			return err
		}
	}},
	{"the old room stays", "replace", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			old, wasBridged := s.portals[n.Replaces]
			err := s.MemPortalStore.Connect(ctx, n)
			if err == nil && wasBridged {
				s.put(provisioning.NewPortal{Portal: old})
			}
			return err
		}
	}},
	{"the old accounts wait in the room", "replace", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			n.Accounts = slices.Concat(n.Accounts, s.accounts[n.RoomID])
			old := s.accounts[n.Replaces]
			err := s.MemPortalStore.Connect(ctx, n)
			if err == nil && n.Replaces != "" {
				s.accounts[n.Replaces] = old
			}
			return err
		}
	}},
	{"Replaces may be nothing", "replace nothing", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if _, err := s.PortalByChat(ctx, n.ChatID, n.Receiver); err != nil {
				n.Replaces = ""
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"Replaces is a room of any chat", "replace nothing", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if _, ok := s.portals[n.Replaces]; ok {
				s.drop(n.Replaces)
				n.Replaces = ""
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"Replaces is a room of any receiver", "replace a direct chat", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if p, ok := s.portals[n.Replaces]; ok && p.ChatID == n.ChatID {
				s.drop(n.Replaces)
				n.Replaces = ""
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
}
