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
	record record
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
	return a.f.store.hashes(ctx, a.row, kind, ids)
}

// PutHashes implements calls.Session.
func (a *active) PutHashes(ctx context.Context, peers []calls.Peer) error {
	return a.f.store.putHashes(ctx, a.row, peers)
}

// DeleteHashes implements calls.Session.
func (a *active) DeleteHashes(ctx context.Context, kind provisioning.PeerType, ids []int64) error {
	return a.f.store.deleteHashes(ctx, a.row, kind, ids)
}

// LocalUsername implements calls.LocalUsernames.
func (a *active) LocalUsername(ctx context.Context, id provisioning.TelegramID) (string, error) {
	return a.f.store.username(ctx, id)
}
