package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
)

// A session that is not wanted any more is ended at Telegram: its row is marked, so that
// nobody uses it, and stays until Telegram has confirmed the end, or does not know the
// session. What a crash or an outage has interrupted goes on, in any process.

const (
	// endWorkers is how many sessions a process ends at a time.
	endWorkers = 4
	// endTimeout is how long a try takes at most. It is shorter than endHold.
	endTimeout = 30 * time.Second
	// The pause after a failure doubles from the first to the last.
	firstEndRetry = 2 * time.Second
	lastEndRetry  = 10 * time.Minute
	// endLifetime is after what time the end of a session is given up.
	endLifetime = 30 * 24 * time.Hour
)

// runEnds ends sessions until the factory is closed.
func (f *Factory) runEnds() {
	poll := time.NewTicker(maxMaintenance)
	defer poll.Stop()
	for {
		more, err := f.endDue(f.ctx)
		if err != nil && f.ctx.Err() == nil {
			f.cfg.Log.Warn().Err(err).Msg("Could not look for sessions to end")
		}
		if more && err == nil {
			continue
		}
		select {
		case <-f.wake:
		case <-poll.C:
		case <-f.ctx.Done():
			return
		}
	}
}

// wakeEnds has runEnds look at once.
func (f *Factory) wakeEnds() {
	select {
	case f.wake <- struct{}{}:
	default: // it has been told already
	}
}

// endDue tries to end some of the sessions that are due, and says whether there may be more.
func (f *Factory) endDue(ctx context.Context) (more bool, err error) {
	f.ends.Lock()
	defer f.ends.Unlock()
	due, err := f.store.takeEnding(ctx, endWorkers)
	if err != nil {
		return false, err
	}
	var work sync.WaitGroup
	for _, e := range due {
		work.Go(func() {
			if err := f.tryEnd(ctx, e); err != nil && ctx.Err() == nil {
				f.cfg.Log.Error().Err(err).Str("session", string(e.key)).Msg("Could not record what came of the end of a session")
			}
		})
	}
	work.Wait()
	n, err := f.store.countEnding(ctx)
	f.ending.Store(int64(n))
	return len(due) == endWorkers, err
}

// tryEnd tries to end a session that was taken, and records what came of it. Errors: those
// of the database.
func (f *Factory) tryEnd(ctx context.Context, e ending) error {
	f.stopRow(ctx, e)
	trying, cancel := context.WithTimeout(ctx, endTimeout)
	said := f.logOut(trying, e)
	cancel()
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return f.recordEnd(ctx, e, said)
}

// recordEnd records what came of a try to end a session.
func (f *Factory) recordEnd(ctx context.Context, e ending, said error) error {
	log := f.cfg.Log.With().Str("session", string(e.key)).Int("attempts", e.attempts).Dur("age", e.age).Logger()
	wait, flooded := errors.AsType[*provisioning.FloodWaitError](said)
	switch {
	case said == nil, isOver(said) && !e.early:
		log.Info().Msg("A session was ended at Telegram")
		f.cfg.Observer.sessionEnd("ended")
		return f.store.delete(ctx, e.row)
	case isOver(said):
		return f.store.postponeEnd(ctx, e.row, endGrace)
	case e.age >= endLifetime:
		log.Error().Err(said).Msg("A session that could not be ended at Telegram is given up: its user can end it in the list of devices of a Telegram app")
		f.cfg.Observer.sessionEnd("given_up")
		return f.store.delete(ctx, e.row)
	}
	pause := min(firstEndRetry<<min(max(e.attempts-1, 0), 16), lastEndRetry)
	if flooded {
		pause = max(pause, wait.Wait)
	}
	if f.ctx.Err() != nil {
		pause = 0 // the next process goes on at once
	} else {
		log.Warn().Err(said).Dur("next_in", pause).Msg("Could not end a session at Telegram, which will be tried again")
		f.cfg.Observer.sessionEnd("failed")
		time.AfterFunc(pause, f.wakeEnds)
	}
	return f.store.postponeEnd(ctx, e.row, pause)
}

// isOver says whether Telegram means with an error that nobody is logged in with an auth
// key: it does not know the key, or has ended the session, or waits for a password.
func isOver(said error) bool {
	return errors.Is(said, provisioning.ErrNotLoggedIn) && !errors.Is(said, errRowGone) || errors.Is(said, provisioning.ErrPasswordNeeded)
}

// logOut ends a session at Telegram with a client of its own.
//
// TL: auth.logOut.
func (f *Factory) logOut(ctx context.Context, e ending) error {
	if e.unread != nil {
		return e.unread
	}
	data := readOnlySession(e.session)
	elsewhere, err := f.otherDatacenters(ctx, data)
	if err != nil {
		return err
	}
	options := f.cfg.options()
	options.DCList.Options = append(options.DCList.Options, elsewhere...)
	c, err := f.startClient(ctx, e.key, "", data, options, false)
	if err != nil {
		return err
	}
	c.storage.fix()
	defer c.stopAndWait(ctx)
	if err := c.wait(ctx); err != nil {
		return err
	}
	return c.logOut(ctx)
}

// logOut ends the session at Telegram.
//
// TL: auth.logOut.
func (c *conn) logOut(ctx context.Context) error {
	_, err := c.client.API().AuthLogOut(ctx)
	if tgerr.Is(err, passwordStillNeeded) {
		return provisioning.ErrPasswordNeeded
	}
	return c.explain(ctx, "auth.logOut", err)
}

// stopRow stops the clients of a row in this process.
func (f *Factory) stopRow(ctx context.Context, e ending) {
	f.mu.Lock()
	var running []*conn
	for c := range f.conns {
		if c.row == e.row {
			running = append(running, c)
		}
	}
	f.mu.Unlock()
	for _, c := range running {
		c.stopAndWait(ctx)
	}
	f.forgetStopped()
}

// stopAndWait stops the client, and waits a moment until nothing is left of it.
func (c *conn) stopAndWait(ctx context.Context) {
	c.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	select {
	case <-c.done:
	case <-ctx.Done():
	}
}

// discard ends a login that nobody wants, also when ctx has ended. A row with whose auth
// key nobody can have logged in is deleted.
func (f *Factory) discard(ctx context.Context, c *conn) {
	if c.storage.isFinished() {
		return // somebody else sees to it
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if !c.tried.Load() {
		c.stop()
		if err := f.store.delete(cleanup, c.row); err != nil { // it is due all the same
			f.cfg.Log.Warn().Err(err).Str("session", string(c.key)).Msg("Could not delete a login")
		}
		return
	}
	c.storage.finish()
	e := ending{row: c.row, key: c.key, attempts: 1, early: true}
	if err := f.store.end(cleanup, c.row, endHold); err != nil { // it is due all the same
		f.cfg.Log.Warn().Err(err).Str("session", string(c.key)).Msg("Could not promise the end of a login")
	}
	_ = f.endWith(context.WithoutCancel(ctx), c, e)
}

// endAccepted ends a session that is logged in at Telegram, and whose row is to be ended, or
// gone.
func (f *Factory) endAccepted(ctx context.Context, c *conn) {
	c.storage.finish()
	e := ending{row: c.row, key: c.key, attempts: 1}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	err := f.store.end(cleanup, c.row, endHold)
	if err == nil {
		err = f.store.endLost(cleanup, c.key, c.row, c.storage.last(), endHold)
	}
	if err != nil {
		f.cfg.Log.Error().Err(err).Str("session", string(c.key)).Msg("Could not promise the end of a session")
	}
	_ = f.endWith(context.WithoutCancel(ctx), c, e)
}

// endWith tries to end a session whose end is promised with its client, which stops then. It
// returns what Telegram has said, see isOver.
func (f *Factory) endWith(ctx context.Context, c *conn, e ending) (said error) {
	trying, cancel := remoteTimeout(ctx, logoutWait)
	if said = c.wait(trying); said == nil {
		said = c.logOut(trying)
	}
	cancel()
	c.stop()
	f.recordFirstEnd(ctx, e, said)
	return said
}

// logOutSoon tries to end a session whose end is promised with a client of its own, within
// the time that a request waits for it. It returns what Telegram has said, see isOver.
func (f *Factory) logOutSoon(ctx context.Context, e ending) (said error) {
	trying, cancel := remoteTimeout(ctx, logoutWait)
	defer cancel()
	said = f.logOut(trying, e)
	f.recordFirstEnd(ctx, e, said)
	return said
}

// recordFirstEnd records what came of the first try to end a session. Where it can't, the
// session is due again.
func (f *Factory) recordFirstEnd(ctx context.Context, e ending, said error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if said != nil {
		f.ending.Add(1)
	}
	if err := f.recordEnd(ctx, e, said); err != nil {
		f.cfg.Log.Warn().Err(err).Str("session", string(e.key)).Msg("Could not record what came of the end of a session")
	}
}

// endRow promises the end of a session, which begins at once.
func (f *Factory) endRow(ctx context.Context, row rowID) error {
	if err := f.store.end(ctx, row, 0); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	f.wakeEnds()
	return nil
}
