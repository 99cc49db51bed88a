package telegram

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Slots counts the sessions that the factory keeps in memory.
func (f *Factory) Slots() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.slots)
}

// EndDue tries once to end the sessions that are due.
func (f *Factory) EndDue(ctx context.Context) error {
	_, err := f.endDue(ctx)
	return err
}

// CheckRows stops the clients whose sessions were ended elsewhere.
func (f *Factory) CheckRows(ctx context.Context) error { return f.checkRows(ctx) }

// StopIdle stops the clients that are idle now.
func (f *Factory) StopIdle() { f.stopIdleClients(0) }

// Room counts the clients that could still be started without another one's stopping.
func (f *Factory) Room() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cfg.MaxClients - f.clients
}

// FillTurns has as many of gotd's key exchanges compute as there may be.
func (f *Factory) FillTurns() {
	for range cap(f.gotdsTurns) {
		f.gotdsTurns <- struct{}{}
	}
}

// NewSharer returns a Factory that can share calls and be closed, and nothing else.
func NewSharer() *Factory {
	f := &Factory{}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Share runs a function for all who call it with the same name at the same time.
func Share(ctx context.Context, f *Factory, name string, run func(context.Context) (int, error)) (int, error) {
	return share(ctx, ctx, f, name, run)
}

// DefaultMaxClients is the default of Config.MaxClients.
const DefaultMaxClients = defaultMaxClients

// Premade has logins begin with sessions that were made before.
func (f *Factory) Premade(session func() []byte) { f.premade = session }

// PutSession stores a session that is logged in to an account.
func (f *Factory) PutSession(ctx context.Context, userID id.UserID, data []byte, account provisioning.Account) error {
	key := sessionKey(userID)
	row, err := f.store.insert(ctx, key)
	if err != nil {
		return err
	}
	if err := f.store.putSession(ctx, key, row, data); err != nil {
		return err
	}
	return f.store.put(ctx, key, record{row: row, step: stepActive, account: account}, 0)
}

// AgeLogin has a half-done login be older.
func (f *Factory) AgeLogin(ctx context.Context, userID id.UserID, by time.Duration) error {
	key := sessionKey(userID)
	r, err := f.store.get(ctx, key)
	if err != nil {
		return err
	}
	r.login.requestedAt = r.login.requestedAt.Add(-by)
	if !r.login.resendAt.IsZero() {
		r.login.resendAt = r.login.resendAt.Add(-by)
	}
	return f.store.put(ctx, key, r, f.cfg.LoginTimeout)
}

// SetUsername changes the username of the account of a user, as it is stored.
func (f *Factory) SetUsername(ctx context.Context, userID id.UserID, username string) error {
	key := sessionKey(userID)
	r, err := f.store.get(ctx, key)
	if err != nil {
		return err
	}
	r.account.Username = username
	return f.store.setAccount(ctx, key, r.row, r.account)
}
