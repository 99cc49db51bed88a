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

// batch is how many rows or IDs stand in one statement at most. The driver of SQLite looks for
// each parameter among all that come before it.
const batch = 100

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
func (s *sessionStore) hashes(ctx context.Context, session rowID, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	const query = `SELECT peer_id, access_hash FROM tgprovision_peer WHERE session_id=$1 AND kind=$2 AND peer_id IN (`
	rows, err := s.db.Query(ctx, query+s.db.Numbers("$3")+`)`, session, string(kind), schema.NumbersOf(ids))
	pairs, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (pair [2]int64, err error) {
		err = row.Scan(&pair[0], &pair[1])
		return pair, err
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("read access hashes: %w", err)
	}
	known := make(map[int64]int64, len(pairs))
	for _, pair := range pairs {
		known[pair[0]] = pair[1]
	}
	return known, nil
}

// putHashes stores access hashes, each peer's once. Errors: errRowGone.
func (s *sessionStore) putHashes(ctx context.Context, session rowID, peers []calls.Peer) error {
	// In an order, so that two that store the same ones at once can't wait for each
	// other.
	slices.SortFunc(peers, func(a, b calls.Peer) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	peers = slices.CompactFunc(peers, func(a, b calls.Peer) bool { return a.Kind == b.Kind && a.ID == b.ID })
	if len(peers) == 0 {
		return nil
	}
	err := s.txn(ctx, func(ctx context.Context) error {
		if err := s.lockActive(ctx, session); err != nil {
			return err
		}
		for chunk := range slices.Chunk(peers, batch) {
			values, args := []string{}, []any{session}
			for _, p := range chunk {
				values = append(values, "($1, "+placeholders(len(args)+1, 3)+")")
				args = append(args, string(p.Kind), p.ID, p.AccessHash)
			}
			_, err := s.exec(ctx, `INSERT INTO tgprovision_peer (session_id, kind, peer_id, access_hash) VALUES `+
				strings.Join(values, ", ")+` ON CONFLICT (session_id, kind, peer_id) DO UPDATE SET access_hash=excluded.access_hash`, args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store access hashes: %w", err)
	}
	return nil
}

// lockActive is a part of a transaction, to whose end a session stays logged in. Errors:
// errRowGone.
func (s *sessionStore) lockActive(ctx context.Context, session rowID) error {
	lock := `UPDATE tgprovision_session SET id=id WHERE id=$1 AND step='active'`
	if s.db.Dialect == dbutil.Postgres { // where an update would write the whole row
		lock = `SELECT 1 FROM tgprovision_session WHERE id=$1 AND step='active' FOR SHARE`
	}
	found, err := s.exec(ctx, lock, session)
	if err == nil && !found {
		err = errRowGone
	}
	return err
}

// deleteHashes deletes access hashes.
func (s *sessionStore) deleteHashes(ctx context.Context, session rowID, kind provisioning.PeerType, ids []int64) error {
	const query = `DELETE FROM tgprovision_peer WHERE session_id=$1 AND kind=$2 AND peer_id IN (`
	_, err := s.db.Exec(ctx, query+s.db.Numbers("$3")+`)`, session, string(kind), schema.NumbersOf(ids))
	if err != nil {
		return fmt.Errorf("delete access hashes: %w", err)
	}
	return nil
}

// chunks runs a function with the placeholders and the arguments of a batch of rows.
func (s *sessionStore) chunks(rows []rowID, run func(list string, args []any) error) error {
	for chunk := range slices.Chunk(rows, batch) {
		args := make([]any, len(chunk))
		for i, row := range chunk {
			args[i] = row
		}
		if err := run(placeholders(1, len(chunk)), args); err != nil {
			return err
		}
	}
	return nil
}
