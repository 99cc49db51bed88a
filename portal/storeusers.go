package portal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

var _ provisioning.PortalUsers = (*Store)(nil)

// UserPortals implements [provisioning.PortalUsers]. It is one read, in the order of the
// room IDs.
func (s *Store) UserPortals(ctx context.Context, userID id.UserID) ([]provisioning.UserPortal, error) {
	const query = `
		SELECT ` + portalColumns + `, a.telegram_id
		FROM tgprovision_portal p JOIN tgprovision_portal_account a ON a.room_id=p.room_id
		WHERE a.user_id=$1 ORDER BY p.room_id, a.telegram_id`
	rows, err := s.db.Query(ctx, query, userID)
	portals, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (p provisioning.UserPortal, err error) {
		p.Portal, err = scanPortal(row, &p.Account)
		return p, err
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("list a user's portals: %w", err)
	}
	return portals, nil
}

// isParticipant is the condition that an account takes part in a portal, which is the
// same as before.
const isParticipant = ` room_id=$1 AND telegram_id=$2
	AND EXISTS(SELECT 1 FROM tgprovision_portal WHERE room_id=$1 AND chat_id=$3 AND receiver=$4)`

// PortalUser implements [provisioning.PortalUsers]. It is one read.
func (s *Store) PortalUser(ctx context.Context, p provisioning.UserPortal) (userID id.UserID, err error) {
	const query = `SELECT user_id FROM tgprovision_portal_account WHERE` + isParticipant
	err = s.db.QueryRow(ctx, query, p.RoomID, p.Account, int64(p.ChatID), p.Receiver).Scan(&userID)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look for the user of a portal: %w", err)
	}
	return userID, nil
}

// SetPortalUser implements [provisioning.PortalUsers]. It is one read and, where that finds
// another user, one transaction, in turn with those of Connect.
func (s *Store) SetPortalUser(ctx context.Context, p provisioning.UserPortal, userID id.UserID) error {
	const (
		get = `SELECT EXISTS(SELECT 1 FROM tgprovision_portal_account WHERE user_id=$5 AND` + isParticipant + `)`
		set = `UPDATE tgprovision_portal_account SET user_id=$5 WHERE` + isParticipant
	)
	var is bool
	err := s.db.QueryRow(ctx, get, p.RoomID, p.Account, int64(p.ChatID), p.Receiver, userID).Scan(&is)
	if err == nil && !is {
		err = s.changeParticipant(ctx, set, p, userID)
	}
	if err != nil {
		return fmt.Errorf("record the user of a portal: %w", err)
	}
	return nil
}

// RemoveAccount implements [provisioning.PortalUsers]. It is one transaction, in turn with
// those of Connect.
func (s *Store) RemoveAccount(ctx context.Context, p provisioning.UserPortal) error {
	err := s.changeParticipant(ctx, `DELETE FROM tgprovision_portal_account WHERE`+isParticipant, p)
	if err != nil {
		return fmt.Errorf("remove an account from a portal: %w", err)
	}
	return nil
}

// changeParticipant runs a statement with the condition isParticipant.
func (s *Store) changeParticipant(ctx context.Context, query string, p provisioning.UserPortal, more ...any) error {
	return s.inTurn(ctx, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, query, append([]any{p.RoomID, p.Account, int64(p.ChatID), p.Receiver}, more...)...)
		return err
	})
}
