package telegram

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/calls"
)

// hashes returns those of the access hashes that are known, by ID.
func (s *sessionStore) hashes(ctx context.Context, session rowID, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	const query = `SELECT peer_id, access_hash FROM tgprovision_peer WHERE session_id=$1 AND kind=$2 AND peer_id IN (`
	rows, err := s.db.Query(ctx, query+s.db.Numbers("$3")+`)`, session, string(kind), schema.Array(ids))
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
		for _, kind := range []provisioning.PeerType{provisioning.PeerChannel, provisioning.PeerUser} {
			var pairs [][2]int64
			for _, p := range peers {
				if p.Kind == kind {
					pairs = append(pairs, [2]int64{p.ID, p.AccessHash})
				}
			}
			if len(pairs) == 0 {
				continue
			}
			// SQLite takes ON for that of a join where there is no WHERE.
			_, err := s.exec(ctx, `
				INSERT INTO tgprovision_peer (session_id, kind, peer_id, access_hash)
				SELECT $1, $2, pair.first, pair.second FROM (`+s.db.Pairs("$3")+`) pair WHERE true
				ON CONFLICT (session_id, kind, peer_id) DO UPDATE SET access_hash=excluded.access_hash`,
				session, string(kind), schema.Array(pairs))
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
	_, err := s.db.Exec(ctx, query+s.db.Numbers("$3")+`)`, session, string(kind), schema.Array(ids))
	if err != nil {
		return fmt.Errorf("delete access hashes: %w", err)
	}
	return nil
}
