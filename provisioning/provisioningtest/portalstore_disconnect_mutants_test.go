package provisioningtest

import (
	"context"
	"errors"
	"maps"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

var disconnectMutants = []storeMutant{
	{"Disconnect does nothing", "disconnect", func(s *altered) {
		s.disconnect = func(context.Context, provisioning.Portal, ...provisioning.NewTask) error { return nil }
	}},
	{"Disconnect takes the chat from everybody", "disconnect", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			err := s.MemPortalStore.Disconnect(ctx, p, tasks...)
			for roomID, other := range maps.Clone(s.portals) {
				if err == nil && other.ChatID == p.ChatID {
					s.drop(roomID)
				}
			}
			return err
		}
	}},
	{"Disconnect of nothing is no error", "disconnect what is not bridged", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			_ = s.MemPortalStore.Disconnect(ctx, p, tasks...)
			return ctx.Err()
		}
	}},
	{"Disconnect by room", "disconnect what is not bridged", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			current, err := s.PortalByRoom(ctx, p.RoomID)
			return errors.Join(err, s.MemPortalStore.Disconnect(ctx, current, tasks...))
		}
	}},
	{"Disconnect by chat", "disconnect what is not bridged", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			current, err := s.PortalByChat(ctx, p.ChatID, p.Receiver)
			return errors.Join(err, s.MemPortalStore.Disconnect(ctx, current, tasks...))
		}
	}},
	{"Disconnect without the receiver", "disconnect what is not bridged", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			p.Receiver = s.portals[p.RoomID].Receiver
			return s.MemPortalStore.Disconnect(ctx, p, tasks...)
		}
	}},
	{"Disconnect compares everything", "disconnect looks at IDs", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			if s.portals[p.RoomID] != p {
				return provisioning.ErrPortalNotFound
			}
			return s.MemPortalStore.Disconnect(ctx, p, tasks...)
		}
	}},
	{"rooms are used once", "connect again", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if _, known := s.accounts[n.RoomID]; known {
				return provisioning.ErrRoomBridged
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			err := s.MemPortalStore.Disconnect(ctx, p, tasks...)
			s.accounts[p.RoomID] = nil
			return err
		}
	}},
	{"PortalByRoom without the context", "context", func(s *altered) {
		s.portalByRoom = func(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
			return s.MemPortalStore.PortalByRoom(context.WithoutCancel(ctx), roomID)
		}
	}},
	{"PortalByChat without the context", "context", func(s *altered) {
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
			return s.MemPortalStore.PortalByChat(context.WithoutCancel(ctx), chatID, receiver)
		}
	}},
	{"AccountPortals without the context", "context", func(s *altered) {
		s.accountPortals = func(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
			return s.MemPortalStore.AccountPortals(context.WithoutCancel(ctx), telegramID)
		}
	}},
	{"Connect without the context", "context", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			return s.MemPortalStore.Connect(context.WithoutCancel(ctx), n)
		}
	}},
	{"Connect notices the context too late", "context", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(context.WithoutCancel(ctx), n)
			return errors.Join(err, ctx.Err())
		}
	}},
	{"Disconnect without the context", "context", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			return s.MemPortalStore.Disconnect(context.WithoutCancel(ctx), p, tasks...)
		}
	}},
}
