package portal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/schema"
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
	return r.db.DoTxn(ctx, schema.ReadCommitted(r.db), func(ctx context.Context) error {
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
		unneeded = `
			SELECT %s FROM tgprovision_ghost
			WHERE telegram_id NOT IN (SELECT telegram_id FROM tgprovision_ghost_user)
			AND telegram_id NOT IN (SELECT chat_id FROM tgprovision_portal)`
		forget = `DELETE FROM tgprovision_ghost_user WHERE user_id=$1`
	)
	err = r.db.DoTxn(ctx, schema.ReadCommitted(r.db), func(ctx context.Context) error {
		if _, err := r.db.Exec(ctx, forget, userID); err != nil {
			return err
		}
		// Of the photos those that no other ghost shows.
		if _, err := r.db.Exec(ctx, `
			DELETE FROM tgprovision_photo
			WHERE photo_id IN (`+fmt.Sprintf(unneeded, "photo_id")+`) AND photo_id NOT IN (
				SELECT photo_id FROM tgprovision_ghost WHERE telegram_id NOT IN (`+fmt.Sprintf(unneeded, "telegram_id")+`))`); err != nil {
			return err
		}
		result, err := r.db.Exec(ctx, `DELETE FROM tgprovision_ghost WHERE telegram_id IN (`+fmt.Sprintf(unneeded, "telegram_id")+`)`)
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
