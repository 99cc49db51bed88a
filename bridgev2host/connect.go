package bridgev2host

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Connect implements [provisioning.PortalStore]. bridgev2 saves a portal in a transaction of
// its own: the tasks are recorded before that, and removed where it fails.
func (s *portalStore) Connect(ctx context.Context, n provisioning.NewPortal) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	key, err := s.free(ctx, n)
	if err != nil {
		return err
	}
	return s.withTasks(ctx, n.Tasks, func() error { return s.save(s.h.background(ctx), key, n) })
}

// lock waits until no portal is being changed, and keeps it so until unlock.
func (s *portalStore) lock(ctx context.Context) (unlock func(), err error) {
	if unlock, err = s.changing.Lock(ctx, struct{}{}); err != nil {
		return nil, fmt.Errorf("wait for a change of the portals: %w", err)
	}
	return unlock, nil
}

// settle waits until no portal is being changed, where a portal is not read for a GET
// operation: a task that was recorded before a change waits for it.
func (s *portalStore) settle(ctx context.Context) error {
	if provisioning.CachedReads(ctx) {
		return nil
	}
	unlock, err := s.lock(ctx)
	if err == nil {
		unlock()
	}
	return err
}

// free returns the key of a new portal whose room and chat are free, or are to be.
func (s *portalStore) free(ctx context.Context, n provisioning.NewPortal) (key networkid.PortalKey, err error) {
	account := n.Receiver
	if account == 0 && len(n.Accounts) > 0 {
		account = n.Accounts[0]
	}
	portalID, perLogin := s.portalID(n.ChatID)
	if key.ID = portalID; perLogin {
		key.Receiver = s.h.network.LoginID(account)
	}
	if _, err := s.keyOfRoom(ctx, n.RoomID); err == nil {
		return key, provisioning.ErrRoomBridged
	} else if !errors.Is(err, provisioning.ErrPortalNotFound) {
		return key, err
	}
	row, err := s.h.br.DB.Portal.GetByKey(ctx, key)
	if err != nil {
		return key, fault(ctx, "read the portal of a chat", err)
	}
	bridged := row != nil && row.MXID != ""
	switch {
	case n.Created: // the bridge may have made a room for it, which gives way
	case !bridged && n.Replaces != "":
		return key, provisioning.ErrPortalNotFound
	case bridged && row.MXID != n.Replaces:
		return key, provisioning.ErrChatBridged
	}
	return key, nil
}

// save has bridgev2 make a room the portal's. Not with a request's context: bridgev2 goes
// on with it in the background.
func (s *portalStore) save(ctx context.Context, key networkid.PortalKey, n provisioning.NewPortal) error {
	p, err := s.h.br.GetPortalByKey(ctx, key) // makes the row
	if err != nil {
		return fault(ctx, "make a portal", err)
	}
	err = p.UpdateMatrixRoomID(ctx, n.RoomID, bridgev2.UpdateMatrixRoomIDParams{
		FailIfMXIDSet: n.Replaces == "" && !n.Created, TombstoneOldRoom: n.Created, DeleteOldRoom: n.Created,
		SyncDBMetadata: func() {
			p.Name, p.Topic = n.Title, n.About
			s.h.network.Fill(p.Portal, n.Portal)
		},
	})
	switch {
	case errors.Is(err, bridgev2.ErrTargetRoomIsPortal):
		return provisioning.ErrRoomBridged
	case errors.Is(err, bridgev2.ErrRoomAlreadyExists):
		return provisioning.ErrChatBridged
	case err != nil:
		return fault(ctx, "save a portal", err)
	}
	s.mark(ctx, p, n.Accounts)
	if !n.Relay || len(n.Accounts) == 0 {
		return nil
	}
	relay, err := s.h.loginOf(ctx, n.Accounts[0])
	if err == nil {
		err = p.SetRelay(ctx, relay)
	}
	if err != nil {
		zerolog.Ctx(ctx).Err(err).Stringer("room_id", n.RoomID).Msg("Could not make the relay bot the relay of a portal")
	}
	return nil
}

// withTasks makes a change with the tasks that follow it. The caller has the lock.
func (s *portalStore) withTasks(ctx context.Context, tasks []provisioning.NewTask, change func() error) error {
	if err := s.h.tasks.AddTasks(ctx, tasks...); err != nil {
		return fmt.Errorf("record the work that follows: %w", err)
	}
	err := change()
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	for _, task := range tasks {
		if err := s.h.tasks.FinishTask(ctx, task.ID); err != nil { // it will find that there is nothing to do
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Could not remove work that was recorded before a change")
		}
	}
	return err
}

// Disconnect implements [provisioning.PortalStore]. The row stays, as bridgev2's own command
// leaves it.
func (s *portalStore) Disconnect(ctx context.Context, portal provisioning.Portal, tasks ...provisioning.NewTask) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := s.existing(ctx, portal)
	if err != nil {
		return err
	}
	return s.withTasks(ctx, tasks, func() error {
		if err := p.RemoveMXID(s.h.background(ctx)); err != nil {
			return fault(ctx, "remove a portal", err)
		}
		return nil
	})
}

// existing returns the bridge's portal, as it is recorded. The caller has the lock. Errors:
// provisioning.ErrPortalNotFound where the room is not bridged to that chat.
func (s *portalStore) existing(ctx context.Context, portal provisioning.Portal) (*bridgev2.Portal, error) {
	key, err := s.keyOfRoom(ctx, portal.RoomID)
	if err != nil {
		return nil, err
	}
	found, err := s.byKey(ctx, key)
	if err != nil {
		return nil, err
	}
	if found.RoomID != portal.RoomID || found.ChatID != portal.ChatID || found.Receiver != portal.Receiver {
		return nil, provisioning.ErrPortalNotFound
	}
	p, err := s.h.br.GetExistingPortalByKey(ctx, key)
	if err != nil {
		return nil, fault(ctx, "load a portal", err)
	}
	if p == nil {
		return nil, provisioning.ErrPortalNotFound
	}
	return p, nil
}
