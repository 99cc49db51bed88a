package provisioningtest

import (
	"context"
	"maps"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestMemGhostUsers(t *testing.T) { TestGhostUsers(t, memRoomsBackend) }

func TestGhostUsersMutants(t *testing.T) { testRoomsSuite(t, ghostUsersChecks, ghostUsersMutants) }

func (a *alteredRooms) NeedGhosts(ctx context.Context, userID id.UserID, telegramIDs ...provisioning.TelegramID) error {
	if a.needGhosts == nil {
		return a.MemRooms.NeedGhosts(ctx, userID, telegramIDs...)
	}
	return a.needGhosts(ctx, userID, telegramIDs...)
}

func (a *alteredRooms) ForgetGhosts(ctx context.Context, userID id.UserID) (int, error) {
	if a.forgetGhosts == nil {
		return a.MemRooms.ForgetGhosts(ctx, userID)
	}
	return a.forgetGhosts(ctx, userID)
}

var ghostUsersMutants = []roomsMutant{
	{"the record alone goes", "forget", func(a *alteredRooms) {
		a.forgetGhosts = func(ctx context.Context, _ id.UserID) (int, error) { return 0, ctx.Err() }
	}},
	{"ghosts of others go", "forget", func(a *alteredRooms) {
		a.forgetGhosts = func(ctx context.Context, _ id.UserID) (int, error) {
			return a.MemRooms.ForgetGhosts(ctx, userA)
		}
	}},
	{"needed by one user", "needed by another user", func(a *alteredRooms) {
		a.needGhosts = func(ctx context.Context, userID id.UserID, telegramIDs ...provisioning.TelegramID) error {
			a.mu.Lock()
			for _, needs := range a.needs {
				maps.DeleteFunc(needs, func(telegramID provisioning.TelegramID, _ bool) bool { return slices.Contains(telegramIDs, telegramID) })
			}
			a.mu.Unlock()
			return a.MemRooms.NeedGhosts(ctx, userA, telegramIDs...)
		}
	}},
	{"counts the record", "nothing to forget", func(a *alteredRooms) {
		a.forgetGhosts = func(ctx context.Context, userID id.UserID) (int, error) {
			a.mu.Lock()
			n := len(a.needs[userID])
			a.mu.Unlock()
			_, err := a.MemRooms.ForgetGhosts(ctx, userID)
			return n, err
		}
	}},
	{"never kept again", "needed again", func(a *alteredRooms) {
		forgotten := false
		a.forgetGhosts = func(ctx context.Context, userID id.UserID) (int, error) {
			forgotten = true
			return a.MemRooms.ForgetGhosts(ctx, userID)
		}
		a.updateGhost = func(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
			if forgotten {
				return ctx.Err()
			}
			return a.MemRooms.UpdateGhost(ctx, contact, photo)
		}
	}},
	{"a query's worth", "many ghosts", func(a *alteredRooms) {
		a.needGhosts = func(ctx context.Context, userID id.UserID, telegramIDs ...provisioning.TelegramID) error {
			return a.MemRooms.NeedGhosts(ctx, userID, telegramIDs[:min(len(telegramIDs), 32766)]...)
		}
	}},
	{"no context", "cancelled context", func(a *alteredRooms) {
		a.forgetGhosts = func(ctx context.Context, userID id.UserID) (int, error) {
			return a.MemRooms.ForgetGhosts(context.WithoutCancel(ctx), userID)
		}
	}},
}
