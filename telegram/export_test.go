package telegram

import (
	"context"
	"time"
)

// Slots counts the sessions that the factory keeps in memory.
func (f *Factory) Slots() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.slots)
}

// SetSleep replaces the pauses for flood waits.
func (f *Factory) SetSleep(sleep func(context.Context, time.Duration) error) { f.sleep = sleep }

// ExpireLogins runs one round of the janitor.
func (f *Factory) ExpireLogins(ctx context.Context) error { return f.expireLoginsOnce(ctx) }
