package provisioningtest

import (
	"context"
	"errors"

	"github.com/tgprovision/tgprovision/provisioning"
)

// withMove alters what Move is given.
func withMove(change func(from *provisioning.Portal, to *provisioning.NewPortal)) func(*altered) {
	return func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			change(&from, &to)
			return s.MemPortalStore.Move(ctx, from, to)
		}
	}
}

var moveMutants = []storeMutant{
	{"Move does nothing", "move to another room", func(s *altered) {
		s.move = func(context.Context, provisioning.Portal, provisioning.NewPortal) error { return nil }
	}},
	{"Move leaves the texts", "move to another room", withMove(func(from *provisioning.Portal, to *provisioning.NewPortal) { to.Title = from.Title })},
	{"Move is a Connect", "move to another room", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			to.Replaces = from.RoomID
			return s.MemPortalStore.Connect(ctx, to)
		}
	}},
	{"Move forgets the accounts", "move to another room", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			err := s.MemPortalStore.Move(ctx, from, to)
			if err == nil {
				s.put(to)
			}
			return err
		}
	}},
	{"Move leaves the old portal", "move to another room", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			err := s.MemPortalStore.Move(ctx, from, to)
			if err == nil && from.RoomID != to.RoomID {
				s.put(provisioning.NewPortal{Portal: from})
			}
			return err
		}
	}},
	{"Move leaves the chat", "move to a supergroup", withMove(func(from *provisioning.Portal, to *provisioning.NewPortal) { to.ChatID = from.ChatID })},
	{"the basic group is found for ever", "move to a supergroup", func(s *altered) {
		var was provisioning.Portal
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			was = from
			return s.MemPortalStore.Move(ctx, from, to)
		}
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, account provisioning.TelegramID) (provisioning.Portal, error) {
			p, err := s.MemPortalStore.PortalByChat(ctx, chatID, account)
			if err != nil && was.ChatID != 0 && chatID == was.ChatID {
				return was, nil
			}
			return p, err
		}
	}},
	{"Move looks at the title", "move to and fro", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			if current, err := s.PortalByRoom(ctx, from.RoomID); err == nil && current.Title != from.Title {
				return provisioning.ErrPortalNotFound
			}
			return s.MemPortalStore.Move(ctx, from, to)
		}
	}},
	{"Move takes no accounts", "accounts of Move", withMove(func(_ *provisioning.Portal, to *provisioning.NewPortal) { to.Accounts = nil })},
	{"Move by room", "move what is not bridged", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			current, err := s.PortalByRoom(ctx, from.RoomID)
			return errors.Join(err, s.MemPortalStore.Move(ctx, current, to))
		}
	}},
	{"a bridged room first", "move what is not bridged", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			if _, err := s.PortalByRoom(ctx, to.RoomID); err == nil && to.RoomID != from.RoomID {
				return provisioning.ErrRoomBridged
			}
			return s.MemPortalStore.Move(ctx, from, to)
		}
	}},
	{"Move into a bridged room", "move to a bridged room", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			if current, err := s.PortalByRoom(ctx, from.RoomID); err == nil && current == from && from.RoomID != to.RoomID {
				s.drop(to.RoomID)
			}
			return s.MemPortalStore.Move(ctx, from, to)
		}
	}},
	{"Move to a bridged chat", "move to a bridged chat", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			if p, err := s.PortalByChat(ctx, to.ChatID, 0); err == nil && from.ChatID != to.ChatID && from.RoomID != p.RoomID {
				s.drop(p.RoomID)
			}
			return s.MemPortalStore.Move(ctx, from, to)
		}
	}},
	{"Move ignores the context", "context", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			return s.MemPortalStore.Move(context.WithoutCancel(ctx), from, to)
		}
	}},
	{"every Move succeeds", "race of moves", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			err := s.MemPortalStore.Move(ctx, from, to)
			if errors.Is(err, provisioning.ErrPortalNotFound) && from.ChatID == to.ChatID {
				return nil
			}
			return err
		}
	}},
}
