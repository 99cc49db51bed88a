package telegram

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/calls"
)

// batch is how many rows or IDs stand in one statement at most.
const batch = 500

// placeholders returns $first, $first+1 and so on, n of them.
func placeholders(first, n int) string {
	var list strings.Builder
	for i := range n {
		if i > 0 {
			list.WriteString(", ")
		}
		fmt.Fprintf(&list, "$%d", first+i)
	}
	return list.String()
}

// hashes returns those of the access hashes that are known, by ID.
func (s *sessionStore) hashes(ctx context.Context, key sessionKey, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	known := make(map[int64]int64, len(ids))
	scan := dbutil.ConvertRowFn[[2]int64](func(row dbutil.Scannable) (pair [2]int64, err error) {
		return pair, row.Scan(&pair[0], &pair[1])
	})
	for chunk := range slices.Chunk(ids, batch) {
		rows, err := s.db.Query(ctx, `SELECT peer_id, access_hash FROM tgprovision_peer WHERE user_id=$1 AND kind=$2 AND peer_id IN (`+
			placeholders(3, len(chunk))+`)`, peerArgs(key, kind, chunk)...)
		pairs, err := scan.NewRowIter(rows, err).AsList()
		if err != nil {
			return nil, fmt.Errorf("read access hashes: %w", err)
		}
		for _, pair := range pairs {
			known[pair[0]] = pair[1]
		}
	}
	return known, nil
}

func peerArgs(key sessionKey, kind provisioning.PeerType, ids []int64) []any {
	args := []any{key, string(kind)}
	for _, id := range ids {
		args = append(args, id)
	}
	return args
}

// putHashes stores access hashes, each peer's once.
func (s *sessionStore) putHashes(ctx context.Context, key sessionKey, peers []calls.Peer) error {
	// In an order, so that two that store the same ones at once can't wait for each
	// other.
	slices.SortFunc(peers, func(a, b calls.Peer) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	peers = slices.CompactFunc(peers, func(a, b calls.Peer) bool { return a.Kind == b.Kind && a.ID == b.ID })
	for chunk := range slices.Chunk(peers, batch) {
		values, args := []string{}, []any{key}
		for _, p := range chunk {
			values = append(values, "($1, "+placeholders(len(args)+1, 3)+")")
			args = append(args, string(p.Kind), p.ID, p.AccessHash)
		}
		_, err := s.db.Exec(ctx, `INSERT INTO tgprovision_peer (user_id, kind, peer_id, access_hash) VALUES `+
			strings.Join(values, ", ")+` ON CONFLICT (user_id, kind, peer_id) DO UPDATE SET access_hash=excluded.access_hash`, args...)
		if err != nil {
			return fmt.Errorf("store access hashes: %w", err)
		}
	}
	return nil
}

// deleteHashes deletes access hashes.
func (s *sessionStore) deleteHashes(ctx context.Context, key sessionKey, kind provisioning.PeerType, ids []int64) error {
	for chunk := range slices.Chunk(ids, batch) {
		_, err := s.db.Exec(ctx, `DELETE FROM tgprovision_peer WHERE user_id=$1 AND kind=$2 AND peer_id IN (`+
			placeholders(3, len(chunk))+`)`, peerArgs(key, kind, chunk)...)
		if err != nil {
			return fmt.Errorf("delete access hashes: %w", err)
		}
	}
	return nil
}

// setAccount stores whose session it is, if it is still active.
func (s *sessionStore) setAccount(ctx context.Context, key sessionKey, who identity) error {
	const query = `UPDATE tgprovision_session SET account_id=$1, username=$2, bot=$3 WHERE user_id=$4 AND step='active'`
	if _, err := s.db.Exec(ctx, query, who.id, who.username, who.bot, key); err != nil {
		return fmt.Errorf("store an account: %w", err)
	}
	return nil
}

// username returns the username of an account that is logged in here, "" when it has
// none or is not.
func (s *sessionStore) username(ctx context.Context, accountID int64) (string, error) {
	const query = `SELECT username FROM tgprovision_session WHERE account_id=$1 AND step='active' AND username<>''`
	rows, err := s.db.Query(ctx, query, accountID)
	names, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	if err != nil {
		return "", fmt.Errorf("read a username: %w", err)
	}
	if len(names) == 0 {
		return "", nil
	}
	return names[0], nil
}

// delete deletes the session of a user, and the access hashes of the account.
func (s *sessionStore) delete(ctx context.Context, key sessionKey) error {
	err := s.db.DoTxn(ctx, schema.ReadCommitted(s.db), func(ctx context.Context) error {
		if _, err := s.db.Exec(ctx, `DELETE FROM tgprovision_session WHERE user_id=$1`, key); err != nil {
			return err
		}
		_, err := s.db.Exec(ctx, `DELETE FROM tgprovision_peer WHERE user_id=$1`, key)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete a session: %w", err)
	}
	return nil
}
