package telegram

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// reachable says in the log when no connection to Telegram can be made, once a minute while that
// lasts, and when one can be made again. It may be used concurrently.
type reachable struct {
	log zerolog.Logger

	mu    sync.Mutex
	since time.Time // when it failed first, zero while connections can be made
	said  time.Time
}

// note notes what came of a try to connect.
func (r *reachable) note(err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil && !r.since.IsZero():
		r.log.Info().Dur("after", now.Sub(r.since)).Msg("Telegram can be reached again")
		r.since, r.said = time.Time{}, time.Time{}
	case err != nil && now.Sub(r.said) >= time.Minute:
		r.log.Warn().Err(err).Msg("Telegram can't be reached: clients go on trying")
		r.said = now
		if r.since.IsZero() {
			r.since = now
		}
	}
}
