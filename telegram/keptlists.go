package telegram

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/calls"
)

const (
	// maxKept is how many access hashes of a list are stored at most: those at its front.
	maxKept = 2_000
	// maxKeeping is how many lists of a client wait to be stored at most.
	maxKeeping = 4
	// keepTimeout is how long it may take to store a list.
	keepTimeout = time.Minute
)

// keptLists are the lists of a client whose access hashes are stored. They are stored one
// after the other, behind the answers to whoever asked for them.
type keptLists struct {
	mu      sync.Mutex
	waiting int
	last    chan struct{} // closed when all that were given are stored; nil before the first
	asked   map[calls.List]time.Time
}

// wait waits until all that were given are stored. Errors: the context's.
func (k *keptLists) wait(ctx context.Context) error {
	k.mu.Lock()
	last := k.last
	k.mu.Unlock()
	if last == nil {
		return nil
	}
	select {
	case <-last:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for access hashes to be stored: %w", ctx.Err())
	}
}

// enter takes a place behind the lists that were given before; leave must follow. It returns
// false where too many wait.
func (k *keptLists) enter() (before <-chan struct{}, leave func(), ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting >= maxKeeping {
		return nil, nil, false
	}
	before, done := k.last, make(chan struct{})
	k.waiting++
	k.last = done
	return before, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.waiting--
		close(done)
	}, true
}

// add notes that all of a list is stored.
func (k *keptLists) add(list calls.List, asked time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.asked == nil {
		k.asked = map[calls.List]time.Time{}
	}
	k.asked[list] = asked
}

// has says whether all of a list is stored, as it was less than an age ago.
func (k *keptLists) has(list calls.List, age time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	asked, kept := k.asked[list]
	return kept && time.Since(asked) < age
}

// forget has every list searched again.
func (k *keptLists) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.asked)
}

// KeepList implements calls.ListKeeper.
func (a *active) KeepList(list calls.List, peers []calls.Peer, asked time.Time) {
	before, leave, ok := a.kept.enter()
	if !ok {
		return
	}
	go func() {
		defer leave()
		if before != nil {
			<-before
		}
		ctx, cancel := context.WithTimeout(a.f.ctx, keepTimeout)
		defer cancel()
		_, err := detached(ctx, a.f, func(ctx context.Context) (none struct{}, err error) {
			return none, a.f.store.putNewHashes(ctx, a.row, peers[:min(len(peers), maxKept)])
		})
		switch {
		case err != nil:
			a.f.cfg.Log.Debug().Err(err).Str("session", string(a.key)).Msg("The access hashes of a list are not stored")
		case len(peers) <= maxKept:
			a.kept.add(list, asked)
		}
	}()
}

// IsKept implements calls.ListKeeper.
func (a *active) IsKept(list calls.List) bool { return a.kept.has(list, a.f.cfg.ListAge) }

// putNewHashes is putHashes for those that are not stored as they are. Errors: errRowGone.
func (s *sessionStore) putNewHashes(ctx context.Context, session rowID, peers []calls.Peer) error {
	var fresh []calls.Peer
	for _, kind := range []provisioning.PeerType{provisioning.PeerUser, provisioning.PeerChannel} {
		var ids []int64
		for _, p := range peers {
			if p.Kind == kind {
				ids = append(ids, p.ID)
			}
		}
		stored, err := s.hashes(ctx, session, kind, ids)
		if err != nil {
			return err
		}
		for _, p := range peers {
			if hash, ok := stored[p.ID]; p.Kind == kind && (!ok || hash != p.AccessHash) {
				fresh = append(fresh, p)
			}
		}
	}
	return s.putHashes(ctx, session, fresh)
}
