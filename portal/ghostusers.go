package portal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// NeedGhosts implements [provisioning.GhostUsers]. It writes nothing where that is recorded
// already.
func (r *Rooms) NeedGhosts(ctx context.Context, userID id.UserID, telegramIDs ...provisioning.TelegramID) error {
	// In one order, so that two calls at once don't wait for each other.
	sorted := slices.Compact(slices.Sorted(slices.Values(telegramIDs)))
	for chunk := range slices.Chunk(sorted, maxArguments) {
		if err := r.needGhosts(ctx, userID, chunk); err != nil {
			return fmt.Errorf("record who needs ghosts: %w", err)
		}
	}
	return nil
}

// needGhosts is NeedGhosts for as many as fit in a query.
func (r *Rooms) needGhosts(ctx context.Context, userID id.UserID, telegramIDs []provisioning.TelegramID) error {
	args := []any{userID}
	var marks, pairs []string
	for _, telegramID := range telegramIDs {
		args = append(args, telegramID)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
		pairs = append(pairs, fmt.Sprintf("($1, $%d)", len(args)))
	}
	var known int
	err := r.db.QueryRow(ctx, `
		SELECT COUNT(*) FROM tgprovision_ghost_user
		WHERE user_id=$1 AND telegram_id IN (`+strings.Join(marks, ", ")+`)`, args...).Scan(&known)
	if err != nil || known == len(telegramIDs) {
		return err
	}
	return r.db.DoTxn(ctx, func(ctx context.Context) error {
		_, err := r.db.Exec(ctx, `
			INSERT INTO tgprovision_ghost_user (user_id, telegram_id) VALUES `+strings.Join(pairs, ", ")+`
			ON CONFLICT DO NOTHING`, args...)
		return err
	})
}

// ForgetGhosts implements [provisioning.GhostUsers], in one transaction. Ghosts of portals of
// direct chats in the same database stay as well, those of before it was recorded who needs
// them. The ghosts' profiles on the homeserver are left as they are.
func (r *Rooms) ForgetGhosts(ctx context.Context, userID id.UserID) (ghosts int, err error) {
	const (
		// unneeded is the condition for a ghost g.
		unneeded = ` NOT EXISTS(SELECT 1 FROM tgprovision_ghost_user u WHERE u.telegram_id=g.telegram_id)
			AND NOT EXISTS(SELECT 1 FROM tgprovision_portal p WHERE p.chat_id=g.telegram_id)`
		forgetUser = `DELETE FROM tgprovision_ghost_user WHERE user_id=$1`
		// Of the photos those stay that another ghost shows.
		forgetPhotos = `DELETE FROM tgprovision_photo AS photo
			WHERE EXISTS(SELECT 1 FROM tgprovision_ghost g WHERE g.photo_id=photo.photo_id AND` + unneeded + `)
			AND NOT EXISTS(SELECT 1 FROM tgprovision_ghost g WHERE g.photo_id=photo.photo_id AND NOT (` + unneeded + `))`
		forgetGhosts = `DELETE FROM tgprovision_ghost AS g WHERE` + unneeded
	)
	err = r.db.DoTxn(ctx, func(ctx context.Context) error {
		if _, err := r.db.Exec(ctx, forgetUser, userID); err != nil {
			return err
		}
		if _, err := r.db.Exec(ctx, forgetPhotos); err != nil {
			return err
		}
		result, err := r.db.Exec(ctx, forgetGhosts)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		ghosts = int(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget ghosts: %w", err)
	}
	return ghosts, nil
}
