package portal

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// fewPortals is how many portals are read, and remembered, all at once, to find those of some
// chats among them. That takes about as long as to look for 5,000 chats.
const fewPortals = 2000

// AccountPortals implements [provisioning.PortalStore]. It is one read, in the
// order of the room IDs.
func (s *Store) AccountPortals(ctx context.Context, account provisioning.TelegramID) ([]provisioning.Portal, error) {
	const query = `
		SELECT ` + portalColumns + `
		FROM tgprovision_portal p JOIN tgprovision_portal_account a ON a.room_id=p.room_id
		WHERE a.telegram_id=$1 ORDER BY p.room_id`
	portals, err := s.list(ctx, query, account)
	if err != nil {
		return nil, fmt.Errorf("list an account's portals: %w", err)
	}
	return portals, nil
}

// ListPortals implements [provisioning.PortalLister]. It is one read, in the order of the room
// IDs as the database compares texts.
func (s *Store) ListPortals(ctx context.Context, q provisioning.PortalQuery) ([]provisioning.Portal, error) {
	const (
		all = `SELECT ` + portalColumns + ` FROM tgprovision_portal p
			WHERE p.room_id>$1 ORDER BY p.room_id LIMIT $2`
		ofAccount = `SELECT ` + portalColumns + ` FROM tgprovision_portal p JOIN tgprovision_portal_account a ON a.room_id=p.room_id
			WHERE p.room_id>$1 AND a.telegram_id=$3 ORDER BY p.room_id LIMIT $2`
	)
	query, args := all, []any{q.After, q.Limit}
	if q.Account != 0 {
		query, args = ofAccount, append(args, q.Account)
	}
	portals, err := s.list(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list portals: %w", err)
	}
	return portals, nil
}

// PortalsOfChats implements [provisioning.PortalLister]. It is at most three reads, however many
// chats there are, and none where few portals are remembered.
func (s *Store) PortalsOfChats(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
	few, err := s.few.Get(ctx, struct{}{}, s.readFew)
	if err == nil && few == nil {
		return s.lookForChats(ctx, account, chats)
	}
	if err != nil {
		return nil, fmt.Errorf("look for the portals of chats: %w", err)
	}
	found := map[id.RoomID]provisioning.Portal{} // a supergroup and its basic group have one
	for _, chatID := range chats {
		if p, ok := few[placeOf(chatID, account)]; ok {
			found[p.RoomID] = p
		}
	}
	return slices.Collect(maps.Values(found)), nil
}

// readFew returns all portals by their chats, or nil where there are too many.
func (s *Store) readFew(ctx context.Context) (map[place]provisioning.Portal, error) {
	const count = `SELECT COUNT(*) FROM (SELECT 1 FROM tgprovision_portal LIMIT $1) p`
	var n int
	if err := s.db.QueryRow(ctx, count, s.fewLimit+1).Scan(&n); err != nil {
		return nil, fmt.Errorf("count portals: %w", err)
	}
	if n > s.fewLimit {
		return nil, nil
	}
	portals, err := s.list(ctx, `SELECT `+portalColumns+` FROM tgprovision_portal p`)
	if err != nil {
		return nil, fmt.Errorf("read all portals: %w", err)
	}
	few := make(map[place]provisioning.Portal, len(portals))
	for _, p := range portals {
		if p.MigratedFrom != 0 {
			few[place{chat: p.MigratedFrom, receiver: p.Receiver}] = p
		}
	}
	for _, p := range portals { // and these count before those
		few[place{chat: p.ChatID, receiver: p.Receiver}] = p
	}
	return few, nil
}

// lookForChats is PortalsOfChats where there are many portals.
func (s *Store) lookForChats(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
	// CROSS JOIN tells SQLite to begin with the chats.
	portals, err := s.list(ctx, `
		WITH asked (chat_id) AS (`+s.db.Numbers("$2")+`)
		SELECT `+portalColumns+` FROM asked CROSS JOIN tgprovision_portal p
			WHERE p.chat_id=asked.chat_id AND p.receiver IN (0, $1)
		UNION
		SELECT `+portalColumns+` FROM asked CROSS JOIN tgprovision_portal p
			WHERE p.migrated_from=asked.chat_id AND p.migrated_from<>0 AND p.receiver IN (0, $1)`, account, schema.Array(chats))
	if err != nil {
		return nil, fmt.Errorf("look for the portals of chats: %w", err)
	}
	return portals, nil
}

// list reads the portals of a query.
func (s *Store) list(ctx context.Context, query string, args ...any) ([]provisioning.Portal, error) {
	rows, err := s.db.Query(ctx, query, args...)
	return dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (provisioning.Portal, error) { return scanPortal(row) }, err).AsList()
}
