package telegram

import (
	"context"
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
	key    sessionKey
	record record
}

// identity is whose session one is.
type identity struct {
	id       int64 // 0 when not known yet
	username string
	bot      bool
}

func identityOf(account provisioning.Account) identity {
	return identity{id: int64(account.ID), username: account.Username, bot: account.IsBot}
}

var (
	_ calls.Session        = (*active)(nil)
	_ calls.LocalUsernames = (*active)(nil)
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
	if now := identityOf(account); now != a.record.identity {
		if err := a.write(ctx, func(ctx context.Context) error { return a.f.store.setAccount(ctx, a.key, now) }); err != nil {
			return provisioning.Account{}, err
		}
		a.record.identity = now
	}
	a.rememberAccount(account, asked)
	return account, nil
}

// API implements calls.Session.
func (a *active) API(context.Context) (*tg.Client, error) { return a.client.API(), nil }

// Self implements calls.Session.
func (a *active) Self(ctx context.Context) (calls.Self, error) {
	if a.record.identity.id == 0 { // a session of an older version
		if _, err := a.account(ctx); err != nil {
			return calls.Self{}, err
		}
	}
	return calls.Self{ID: provisioning.TelegramID(a.record.identity.id), Bot: a.record.identity.bot}, nil
}

// Hashes implements calls.Session.
func (a *active) Hashes(ctx context.Context, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	return a.f.store.hashes(ctx, a.key, kind, ids)
}

// PutHashes implements calls.Session.
func (a *active) PutHashes(ctx context.Context, peers []calls.Peer) error {
	return a.write(ctx, func(ctx context.Context) error { return a.f.store.putHashes(ctx, a.key, peers) })
}

// DeleteHashes implements calls.Session.
func (a *active) DeleteHashes(ctx context.Context, kind provisioning.PeerType, ids []int64) error {
	return a.write(ctx, func(ctx context.Context) error { return a.f.store.deleteHashes(ctx, a.key, kind, ids) })
}

// LocalUsername implements calls.LocalUsernames.
func (a *active) LocalUsername(ctx context.Context, id provisioning.TelegramID) (string, error) {
	return a.f.store.username(ctx, int64(id))
}

// write runs a write to what is stored of the session, unless the client has been stopped:
// the session may be deleted by then. Stopping the client ends the write.
func (a *active) write(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()
	a.storage.mu.Lock()
	defer a.storage.mu.Unlock()
	if a.storage.closed {
		return provisioning.ErrNotLoggedIn
	}
	return run(ctx)
}
