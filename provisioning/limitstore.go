package provisioning

import (
	"context"
	"slices"
	"sync"
	"time"
)

// LimitStore counts what may happen only so often. Package auth has one on SQL.
type LimitStore interface {
	// CountEvent counts an event of a key and returns zero, unless one of the limits is reached:
	// then it counts nothing, and returns after how long none of them is. One event of a key
	// always has the same limits. An event is forgotten when it counts for no limit any more.
	// It is atomic. It is called concurrently, also by several processes, which share what they
	// count. Errors: [ErrDatabase] and the context's; nothing is counted then.
	CountEvent(ctx context.Context, key string, limits []Limit) (wait time.Duration, err error)
}

// Limit is a number of events, at least one, in a period that ends now.
type Limit struct {
	// Most is how many there may be.
	Most int
	// Period is a positive number of milliseconds.
	Period time.Duration
}

// LimitMemory is the [LimitStore] of a [Config] without one: it counts in the memory of this
// process. Its zero value is ready to use. It is safe for concurrent use.
type LimitMemory struct {
	mu     sync.Mutex
	events map[string][]event // the oldest of each key first
	tidyAt int                // how many keys there are when old events are looked for
}

// event is something that was counted.
type event struct{ at, until time.Time }

var _ LimitStore = (*LimitMemory)(nil)

// CountEvent implements [LimitStore].
func (m *LimitMemory) CountEvent(ctx context.Context, key string, limits []Limit) (wait time.Duration, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.tidy(now)
	events := m.events[key]
	counted := event{now, now}
	for _, limit := range limits {
		if len(events) >= limit.Most {
			// It is this one that has to become older than the period.
			wait = max(wait, events[len(events)-limit.Most].at.Add(limit.Period).Sub(now))
		}
		if until := now.Add(limit.Period); until.After(counted.until) {
			counted.until = until
		}
	}
	if wait > 0 {
		return wait, nil
	}
	events = slices.DeleteFunc(events, func(e event) bool { return !e.until.After(now) })
	m.events[key] = append(events, counted)
	return 0, nil
}

// tidy forgets keys whose events count no more.
func (m *LimitMemory) tidy(now time.Time) {
	if len(m.events) < m.tidyAt {
		return
	}
	tidied := map[string][]event{}
	for key, events := range m.events {
		if events[len(events)-1].until.After(now) {
			tidied[key] = events
		}
	}
	m.events, m.tidyAt = tidied, 2*len(tidied)+100
}
