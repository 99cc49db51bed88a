package telegram

import (
	"context"
	"time"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// active is a session that is logged in, with its client, during one call.
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

func identityOf(user *tg.User) identity {
	return identity{id: user.ID, username: usernameOf(user), bot: user.Bot}
}

func (a *active) api() *tg.Client { return a.client.API() }

// finalError is an error that is one of the core's already, or the database's: explain
// leaves it alone.
type finalError struct{ error }

// final marks an error as one that explain leaves alone.
func final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

// Unwrap returns the error itself.
func (e *finalError) Unwrap() error { return e.error }

// self asks Telegram who is logged in.
//
// TL: users.getUsers.
func (a *active) self(ctx context.Context) (*tg.User, error) {
	asked := time.Now()
	self, err := a.client.Self(ctx)
	if err != nil {
		return nil, err
	}
	if now := identityOf(self); now != a.record.identity {
		if err := a.write(ctx, func(ctx context.Context) error { return a.f.store.setAccount(ctx, a.key, now) }); err != nil {
			return nil, err
		}
		a.record.identity = now
	}
	a.rememberAccount(accountOf(self), asked)
	return self, nil
}

// identity returns whose session it is.
func (a *active) identity(ctx context.Context) (identity, error) {
	if a.record.identity.id == 0 { // a session of an older version
		if _, err := a.self(ctx); err != nil {
			return identity{}, err
		}
	}
	return a.record.identity, nil
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
		return final(provisioning.ErrNotLoggedIn)
	}
	return final(run(ctx))
}
