package telegram

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/calls"
)

// active is a session that is logged in, with its client, during one call. It is what
// package calls makes its calls with.
type active struct {
	*conn
	f      *Factory
	record record
}

var (
	_ calls.Session        = (*active)(nil)
	_ calls.LocalUsernames = (*active)(nil)
	_ calls.ListKeeper     = (*active)(nil)
)

// calls makes calls with the session.
func (a *active) calls() *calls.Client { return calls.New(a) }

// account asks Telegram who is logged in, and stores that.
//
// TL: users.getUsers.
func (a *active) account(ctx context.Context) (provisioning.Account, error) {
	asked := time.Now()
	account, err := a.calls().Account(ctx)
	if err != nil {
		return account, err
	}
	if account != a.record.account {
		if err := a.f.store.setAccount(ctx, a.key, a.row, account); err != nil {
			return provisioning.Account{}, err
		}
		a.record.account = account
	}
	a.rememberAccount(account, asked)
	return account, nil
}

// API implements calls.Session.
func (a *active) API(context.Context) (*tg.Client, error) { return a.client.API(), nil }

// Self implements calls.Session.
func (a *active) Self(ctx context.Context) (calls.Self, error) {
	if a.record.account.ID == 0 { // a session of an older version
		if _, err := a.account(ctx); err != nil {
			return calls.Self{}, err
		}
	}
	return calls.Self{ID: a.record.account.ID, Bot: a.record.account.IsBot}, nil
}

// Hashes implements calls.Session.
func (a *active) Hashes(ctx context.Context, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	if err := a.kept.wait(ctx); err != nil {
		return nil, err
	}
	return a.f.store.hashes(ctx, a.row, kind, ids)
}

// PutHashes implements calls.Session.
func (a *active) PutHashes(ctx context.Context, peers []calls.Peer) error {
	return a.f.store.putHashes(ctx, a.row, peers)
}

// DeleteHashes implements calls.Session.
func (a *active) DeleteHashes(ctx context.Context, kind provisioning.PeerType, ids []int64) error {
	a.kept.forget()
	return a.f.store.deleteHashes(ctx, a.row, kind, ids)
}

// LocalUsername implements calls.LocalUsernames.
func (a *active) LocalUsername(ctx context.Context, id provisioning.TelegramID) (string, error) {
	return a.f.store.username(ctx, id)
}

// activeSession returns a session that is logged in, and whose client is connected;
// conn.unuse must follow. With an error of the connection it returns both. Errors:
// provisioning.ErrNotLoggedIn, provisioning.ErrOverloaded; those of the database and the
// context.
func (f *Factory) activeSession(ctx context.Context, key sessionKey) (*active, error) {
	r, err := f.store.get(ctx, key)
	if err != nil {
		return nil, err
	}
	if r.step != stepActive {
		if c := f.liveConn(key); c != nil {
			c.forgetAccount() // somebody else has logged out
		}
		return nil, provisioning.ErrNotLoggedIn
	}
	c := f.useLiveConn(key, r.row)
	if c == nil {
		if c, err = f.startActive(ctx, key); err != nil {
			return nil, err
		}
	}
	return &active{conn: c, f: f, record: r}, c.wait(ctx)
}

// startActive starts the client of a session that is logged in, unless another
// request has just done so; conn.unuse must follow. It does not wait for the connection.
func (f *Factory) startActive(ctx context.Context, key sessionKey) (*conn, error) {
	s, err := f.lockSlot(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.unlockSlot(key, s)
	// Somebody may have logged out while this waited for the slot.
	r, err := f.store.get(ctx, key)
	if err != nil {
		return nil, err
	}
	if r.step != stepActive {
		return nil, provisioning.ErrNotLoggedIn
	}
	c, err := f.clientOf(ctx, key, s, r.row)
	if err != nil {
		return nil, err
	}
	c.authorize()
	c.use() // it can't be stopped as idle as long as the slot is locked
	return c, nil
}

// call runs a function that may be run again with a session that is logged in, and
// runs it again when the connection broke meanwhile, or another datacenter did not take the
// login: confirmEnd has started a client that gives it to that one anew.
func (f *Factory) call(ctx context.Context, key sessionKey, run func(*active) error) error {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		err := f.callOnce(ctx, key, run)
		if attempt == attempts || !errors.Is(err, calls.ErrInterrupted) && !isFromElsewhere(err) {
			return err
		}
	}
}

// callOnce runs a function with a session that is logged in. When it turns out that
// Telegram has ended the session, the session is deleted.
func (f *Factory) callOnce(ctx context.Context, key sessionKey, run func(*active) error) error {
	a, err := f.activeSession(ctx, key)
	if a != nil {
		defer a.unuse()
	}
	if err == nil && provisioning.CachedReads(ctx) {
		err = a.waitUp(ctx)
	}
	if err == nil {
		err = a.reason(ctx, "", run(a))
	}
	if mayEndSession(err) {
		err = f.confirmEnd(ctx, key, a.conn, err)
	}
	if a != nil && errors.Is(err, provisioning.ErrNotLoggedIn) {
		if deleteErr := f.deleteEndedSession(ctx, key, a.conn); deleteErr != nil {
			return deleteErr
		}
	}
	return err
}

// confirmEnd asks over a fresh connection whether a session has ended, after a 401 error
// whose name, or whose datacenter, is not known. It returns that error, or provisioning.ErrNotLoggedIn where
// Telegram says such a thing again.
func (f *Factory) confirmEnd(ctx context.Context, key sessionKey, c *conn, unknown error) error {
	s, err := f.lockSlot(ctx, key)
	if err != nil {
		return unknown
	}
	if s.conn == c {
		f.setConn(s, nil)
		c.stopAndWait(ctx)
	}
	f.unlockSlot(key, s)
	a, err := f.activeSession(ctx, key)
	if a != nil {
		defer a.unuse()
	}
	if err == nil {
		_, err = a.account(ctx)
	}
	if mayEndSession(err) || a != nil && errors.Is(err, provisioning.ErrNotLoggedIn) {
		err := fmt.Errorf("%w: %s", provisioning.ErrNotLoggedIn, unknown.Error())
		return errors.Join(err, f.deleteEndedSession(ctx, key, a.conn))
	}
	return unknown
}

// deleteEndedSession deletes a session that Telegram has ended and stops its client. A
// session that has taken its place stays.
func (f *Factory) deleteEndedSession(ctx context.Context, key sessionKey, ended *conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	s, err := f.lockSlot(ctx, key)
	if err != nil {
		return err
	}
	defer f.unlockSlot(key, s)
	if s.conn == ended {
		f.setConn(s, nil)
	}
	if ended.storage.isClosed() { // by somebody who sees to the row
		return nil
	}
	ended.stop()
	f.cfg.Log.Info().Str("session", string(key)).Msg("Telegram has ended a session")
	return f.store.delete(ctx, ended.row)
}

// cleanupTimeout is how long it may take to delete a session, beyond the deadline of the
// request that found that it has ended, or ended it.
const cleanupTimeout = 5 * time.Second

// recording returns a context for recording what Telegram has done: that of a request, or one
// for as long as cleanupTimeout where less is left of it.
func recording(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := cleanupTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(deadline))
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
