package provisioning

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// timeout is what context.WithTimeout returns, made only when somebody waits for it: most
// requests are answered from memory, and the timer costs them more than the rest of the
// pipeline's parts.
type timeout struct {
	context.Context // the request's
	deadline        time.Time
	// recalls says that stores may answer from memory.
	recalls bool
	// log is what the request's logger is made of, when somebody asks for it. Nil is none.
	log   *zerolog.Logger
	reqID string

	mu     sync.Mutex
	logged context.Context // the request's with the logger, nil until somebody asks
	timed  context.Context // nil until somebody waits
	cancel context.CancelFunc
	ended  bool
}

func newTimeout(parent context.Context, deadline time.Time, recalls bool) *timeout {
	return &timeout{Context: parent, deadline: deadline, recalls: recalls}
}

// loggerKey is the key of a context's logger, which zerolog keeps to itself.
var loggerKey = func() any {
	var asked keySpy
	zerolog.Ctx(&asked)
	return asked.key
}()

// keySpy is a context that remembers which key was asked for.
type keySpy struct {
	context.Context
	key any
}

// Value implements context.Context.
func (s *keySpy) Value(key any) any {
	s.key = key
	return nil
}

// Deadline implements context.Context.
func (t *timeout) Deadline() (time.Time, bool) {
	if earlier, ok := t.Context.Deadline(); ok && earlier.Before(t.deadline) {
		return earlier, true
	}
	return t.deadline, true
}

// Done implements context.Context.
func (t *timeout) Done() <-chan struct{} { return t.wait().Done() }

// Err implements context.Context.
func (t *timeout) Err() error {
	if t.quiet() && t.Context.Err() == nil && time.Now().Before(t.deadline) {
		return nil
	}
	return t.wait().Err()
}

// quiet says that nobody waits yet, and that the end has not come.
func (t *timeout) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.timed == nil && !t.ended
}

// Value implements context.Context. Contexts made of this one find the timed one by it,
// and so need no goroutine.
func (t *timeout) Value(key any) any {
	if key == (cachedReadsKey{}) {
		return t.recalls
	}
	if t.log != nil && key == loggerKey {
		return t.withLogger().Value(key)
	}
	t.mu.Lock()
	timed := t.timed
	t.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return t.Context.Value(key)
}

// withLogger returns the request's context with its logger.
func (t *timeout) withLogger() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.logged == nil {
		t.logged = t.log.With().Str("request_id", t.reqID).Logger().WithContext(t.Context)
	}
	return t.logged
}

// wait returns the timed context.
func (t *timeout) wait() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timed == nil {
		t.timed, t.cancel = context.WithDeadline(t.Context, t.deadline)
		if t.ended {
			t.cancel()
		}
	}
	return t.timed
}

// end cancels the context.
func (t *timeout) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.cancel != nil {
		t.cancel()
	}
}
