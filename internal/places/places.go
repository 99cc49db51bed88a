// Package places shares places, of which there are so many, between those who want them.
package places

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// patience is for how long somebody waits for a place.
const patience = 2 * time.Second

// Why somebody gets no place.
var (
	// ErrFull: there is no place for them, and there was none for two seconds, or too many wait.
	ErrFull = errors.New("no place is free")
	// ErrMost: the party has as many as it may have.
	ErrMost = errors.New("the party has as many places as it may have")
)

// Party is one of those between whom the places are shared. The zero value is nobody.
type Party[K comparable] struct {
	// Key names the party.
	Key K
	// Most is how many places it may have, those that it waits for included. Zero is no bound.
	Most int
}

// Claim is on one place.
type Claim[K comparable] struct {
	// Parties are those for whom the place counts.
	Parties [2]Party[K]
	// Ordinary claims together leave the places free that are reserved for others.
	Ordinary bool
}

// Places are shared by one rule: a party gets a place when it has fewer than are free. So one
// alone has half of them at most, two have a third each, and so on, and there is always one
// for whoever has none. Who gets none waits for a moment, in a queue that is shared by the same
// rule. It is safe for concurrent use.
type Places[K comparable] struct {
	mu     sync.Mutex
	places shares[K]
	queue  shares[K]
	// waiting are those in the queue, in the order in which they came. There is a place for none
	// of them.
	waiting []*waiter[K]
}

// waiter is somebody who waits for a place.
type waiter[K comparable] struct {
	Claim[K]
	entered chan struct{} // closed when they have it
}

// New returns so many places, of which some are reserved, and so many in the queue for them.
func New[K comparable](places, reserved, queue int) *Places[K] {
	return &Places[K]{places: shares[K]{most: places, mostOrdinary: places - reserved}, queue: shares[K]{most: queue, mostOrdinary: queue}}
}

// Enter takes a place; Leave must follow. Errors: ErrFull, ErrMost, and the context's.
func (p *Places[K]) Enter(ctx context.Context, claim Claim[K]) error {
	p.mu.Lock()
	for _, party := range claim.Parties {
		if p.hasMost(party) {
			p.mu.Unlock()
			return ErrMost
		}
	}
	if p.places.fits(claim) {
		p.places.take(claim)
		p.mu.Unlock()
		return nil
	}
	if !p.queue.fits(claim) {
		p.mu.Unlock()
		return ErrFull
	}
	w := &waiter[K]{claim, make(chan struct{})}
	p.queue.take(claim)
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	return p.wait(ctx, w)
}

// wait waits for a place.
func (p *Places[K]) wait(ctx context.Context, w *waiter[K]) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	err := ErrFull
	select {
	case <-w.entered:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiting, w)
	if i < 0 { // at the same moment
		return nil
	}
	p.waiting = slices.Delete(p.waiting, i, i+1)
	p.queue.give(w.Claim)
	return err
}

// Count counts a place that somebody has for one more party. Errors: ErrMost, also where the
// party has more than are free.
func (p *Places[K]) Count(party Party[K]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hasMost(party) || p.places.by[party.Key] > p.places.most-p.places.taken {
		return ErrMost
	}
	p.places.count(party, 1)
	return nil
}

func (p *Places[K]) hasMost(party Party[K]) bool {
	return party.Most > 0 && p.places.by[party.Key]+p.queue.by[party.Key] >= party.Most
}

// Leave gives a place back, with the parties that it counts for by now.
func (p *Places[K]) Leave(claim Claim[K]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places.give(claim)
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter[K]) bool {
		if !p.places.fits(w.Claim) {
			return false
		}
		p.queue.give(w.Claim)
		p.places.take(w.Claim)
		close(w.entered)
		return true
	})
}

// Counts returns how many places are taken, how many wait for one, and how many parties have
// one.
func (p *Places[K]) Counts() (taken, waiting, parties int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places.taken, p.queue.taken, len(p.places.by)
}

// shares are places, and who has them.
type shares[K comparable] struct {
	most, taken int
	// Of these the ordinary ones.
	mostOrdinary, takenOrdinary int
	by                          map[K]int
}

// fits says whether there is a place for a claim.
func (s *shares[K]) fits(claim Claim[K]) bool {
	free := s.most - s.taken
	if claim.Ordinary {
		free = min(free, s.mostOrdinary-s.takenOrdinary)
	}
	return free > 0 && s.by[claim.Parties[0].Key] < free && s.by[claim.Parties[1].Key] < free
}

func (s *shares[K]) take(claim Claim[K]) { s.add(claim, 1) }
func (s *shares[K]) give(claim Claim[K]) { s.add(claim, -1) }

func (s *shares[K]) add(claim Claim[K], n int) {
	s.taken += n
	if claim.Ordinary {
		s.takenOrdinary += n
	}
	for _, party := range claim.Parties {
		s.count(party, n)
	}
}

// count counts a place for a party, or one less.
func (s *shares[K]) count(party Party[K], n int) {
	var nobody K
	if party.Key == nobody {
		return
	}
	if s.by == nil {
		s.by = map[K]int{}
	}
	if s.by[party.Key] += n; s.by[party.Key] == 0 {
		delete(s.by, party.Key)
	}
}
