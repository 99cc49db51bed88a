package bridgev2host

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Move implements [provisioning.PortalStore]. bridgev2 gives a portal another key by itself
// where its connector hears of a migration, and another room where it sees a tombstone.
func (s *portalStore) Move(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := s.existing(ctx, from)
	if err != nil {
		return err
	}
	if to.RoomID != from.RoomID {
		if _, err := s.keyOfRoom(ctx, to.RoomID); err == nil {
			return provisioning.ErrRoomBridged
		} else if !errors.Is(err, provisioning.ErrPortalNotFound) {
			return err
		}
	}
	key := s.keyAfter(p.PortalKey, to.ChatID)
	if key != p.PortalKey {
		row, err := s.h.br.DB.Portal.GetByKey(ctx, key)
		if err != nil {
			return fault(ctx, "read the portal of a chat", err)
		}
		if row != nil && row.MXID != "" {
			return provisioning.ErrChatBridged
		}
	}
	return s.withTasks(ctx, to.Tasks, func() error {
		ctx := s.h.background(ctx)
		if key != p.PortalKey {
			if _, p, err = s.h.br.ReIDPortal(ctx, p.PortalKey, key); err != nil {
				return fault(ctx, "give a portal another key", err)
			} else if p == nil {
				return errors.New("give a portal another key: it is gone")
			}
		}
		return s.saveMoved(ctx, p, to)
	})
}

// keyAfter returns the key that a portal has with another chat.
func (s *portalStore) keyAfter(key networkid.PortalKey, chatID provisioning.ChatID) networkid.PortalKey {
	portalID, perLogin := s.portalID(chatID)
	if key.ID = portalID; !perLogin {
		key.Receiver = ""
	}
	return key
}

// saveMoved gives a portal its new room, if that is another, and what its chat shows.
func (s *portalStore) saveMoved(ctx context.Context, p *bridgev2.Portal, to provisioning.NewPortal) error {
	describe := func() {
		p.Name, p.Topic = to.Title, to.About
		s.h.network.Fill(p.Portal, to.Portal)
	}
	var err error
	if p.MXID != to.RoomID {
		err = p.UpdateMatrixRoomID(ctx, to.RoomID, bridgev2.UpdateMatrixRoomIDParams{SyncDBMetadata: describe})
	} else {
		describe()
		err = p.Save(ctx)
	}
	switch {
	case errors.Is(err, bridgev2.ErrTargetRoomIsPortal):
		return provisioning.ErrRoomBridged
	case err != nil:
		return fault(ctx, "save a portal that has moved", err)
	}
	s.mark(ctx, p, to.Accounts)
	return nil
}
