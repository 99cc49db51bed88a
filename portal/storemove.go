package portal

import (
	"context"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Move implements [provisioning.PortalStore]. It is one transaction, in turn with those of
// Connect.
func (s *Store) Move(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
	err := validate(to)
	if err == nil {
		err = s.inTurn(ctx, func(ctx context.Context) error { return s.move(ctx, from, to) })
	}
	if err != nil {
		return fmt.Errorf("move a portal: %w", err)
	}
	s.portals.Changed(ctx)
	return nil
}

// move is Move inside its transaction.
func (s *Store) move(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
	const is = `SELECT EXISTS(SELECT 1 FROM tgprovision_portal WHERE room_id=$1 AND chat_id=$2 AND receiver=$3)`
	var there bool
	if err := s.db.QueryRow(ctx, is, from.RoomID, int64(from.ChatID), from.Receiver).Scan(&there); err != nil {
		return err
	}
	if !there {
		return provisioning.ErrPortalNotFound
	}
	if _, err := s.conflict(ctx, to, from.RoomID); err != nil {
		return err
	}
	accounts, err := s.participants(ctx, from.RoomID)
	if err != nil {
		return err
	}
	if err := s.remove(ctx, from.RoomID); err != nil {
		return err
	}
	return s.insert(ctx, to, append(accounts, participantsOf(to)...))
}

// participants returns the accounts that take part in the portal of a room.
func (s *Store) participants(ctx context.Context, roomID id.RoomID) ([]participant, error) {
	rows, err := s.db.Query(ctx, `SELECT telegram_id, user_id FROM tgprovision_portal_account WHERE room_id=$1`, roomID)
	return dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (p participant, err error) {
		err = row.Scan(&p.account, &p.userID)
		return p, err
	}, err).AsList()
}
