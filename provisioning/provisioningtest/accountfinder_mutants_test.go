package provisioningtest

import (
	"context"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestMemAccountFinder(t *testing.T) {
	TestAccountFinder(t, func(*testing.T) func(*testing.T) AccountFinderStore {
		s := NewMemUserStore(nil)
		return func(*testing.T) AccountFinderStore { return s }
	})
}

// alteredFinder is a MemUserStore whose AccountUser is broken in some way.
type alteredFinder struct {
	*MemUserStore
	find func(context.Context, provisioning.TelegramID) (id.UserID, error)
}

func (a *alteredFinder) AccountUser(ctx context.Context, telegramID provisioning.TelegramID) (id.UserID, error) {
	return a.find(ctx, telegramID)
}

var accountFinderMutants = map[string]struct {
	check string
	alter func(a *alteredFinder)
}{
	"finds nobody": {"user of an account", func(a *alteredFinder) {
		a.find = func(ctx context.Context, _ provisioning.TelegramID) (id.UserID, error) { return "", ctx.Err() }
	}},
	"nobody is an error": {"unlinked users", func(a *alteredFinder) {
		a.find = func(ctx context.Context, telegramID provisioning.TelegramID) (id.UserID, error) {
			userID, err := a.MemUserStore.AccountUser(ctx, telegramID)
			if userID == "" && err == nil {
				err = provisioning.ErrNotLoggedIn
			}
			return userID, err
		}
	}},
	"finds displaced users": {"displaced users", func(a *alteredFinder) {
		a.find = func(ctx context.Context, telegramID provisioning.TelegramID) (id.UserID, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			for userID, l := range a.links {
				if l.telegramID == telegramID && l.displaced {
					return userID, nil
				}
			}
			return "", ctx.Err()
		}
	}},
	"each process remembers": {"two handles", func(a *alteredFinder) {
		remembered := map[provisioning.TelegramID]id.UserID{}
		a.find = func(ctx context.Context, telegramID provisioning.TelegramID) (id.UserID, error) {
			if userID, ok := remembered[telegramID]; ok {
				return userID, nil
			}
			userID, err := a.MemUserStore.AccountUser(ctx, telegramID)
			remembered[telegramID] = userID
			return userID, err
		}
	}},
	"no context": {"context", func(a *alteredFinder) {
		a.find = func(ctx context.Context, telegramID provisioning.TelegramID) (id.UserID, error) {
			return a.MemUserStore.AccountUser(context.WithoutCancel(ctx), telegramID)
		}
	}},
}

func TestAccountFinderMutants(t *testing.T) {
	for name, m := range accountFinderMutants {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(accountFinderChecks, func(c storeCheck[AccountFinderStore]) bool { return c.name == m.check })
			shared := NewMemUserStore(nil)
			failures := record(t, func(t T) {
				accountFinderChecks[i].run(t, func() AccountFinderStore {
					a := &alteredFinder{MemUserStore: shared}
					m.alter(a)
					return a
				})
			})
			if len(failures) == 0 {
				t.Errorf("the check %q passes on a store that is broken in this way", m.check)
			}
		})
	}
}
