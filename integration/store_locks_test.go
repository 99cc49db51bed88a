package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// sharedStores are the stores of one process on a database that several share.
type sharedStores struct {
	*dbutil.Database
	users   *auth.Store
	portals *portal.Store
}

func openStores(t *testing.T, url string) sharedStores {
	t.Helper()
	s := sharedStores{Database: openPostgres(t, url)}
	var err error
	s.users, err = auth.NewStore(t.Context(), auth.StoreConfig{DB: s.Database})
	require.NoError(t, err)
	s.portals, err = portal.NewStore(t.Context(), portal.StoreConfig{DB: s.Database})
	require.NoError(t, err)
	return s
}

// step is one of the changes in a transaction of a host.
type step func(ctx context.Context, s sharedStores) error

func link(userID id.UserID, telegramID provisioning.TelegramID) step {
	return func(ctx context.Context, s sharedStores) error {
		_, err := s.users.LinkAccount(ctx, userID, telegramID)
		return err
	}
}

func claim(userID id.UserID, telegramID provisioning.TelegramID) step {
	return func(ctx context.Context, s sharedStores) error { return s.users.ClaimAccount(ctx, userID, telegramID) }
}

func unlink(userID id.UserID, telegramID provisioning.TelegramID) step {
	return func(ctx context.Context, s sharedStores) error { return s.users.UnlinkAccount(ctx, userID, telegramID) }
}

func connect(roomID id.RoomID, chatID provisioning.ChatID) step {
	return func(ctx context.Context, s sharedStores) error {
		return s.portals.Connect(ctx, provisioning.NewPortal{Portal: provisioning.Portal{RoomID: roomID, ChatID: chatID}})
	}
}

func disconnect(roomID id.RoomID, chatID provisioning.ChatID) step {
	return func(ctx context.Context, s sharedStores) error {
		return s.portals.Disconnect(ctx, provisioning.Portal{RoomID: roomID, ChatID: chatID})
	}
}

func statement(query string) step {
	return func(ctx context.Context, s sharedStores) error {
		_, err := s.Exec(ctx, query)
		return err
	}
}

// Two transactions that change the stores' tables in opposite order never wait for each
// other, whether they change the same rows or not, and by which means.
func TestHostTransactionsInOppositeOrderOnPostgres(t *testing.T) {
	const alice, bob, carol id.UserID = "@alice:example.com", "@bob:example.com", "@carol:example.com"
	for name, test := range map[string]struct{ first, second [2]step }{
		"linking and connecting":       {[2]step{link(carol, 3), connect("!c", -3)}, [2]step{connect("!d", -4), link("@dora:example.com", 4)}},
		"claiming and connecting":      {[2]step{claim(carol, 3), connect("!c", -3)}, [2]step{connect("!d", -4), claim("@dora:example.com", 4)}},
		"unlinking and disconnecting":  {[2]step{unlink(alice, 1), disconnect("!a", -1)}, [2]step{disconnect("!b", -2), unlink(bob, 2)}},
		"unlinking and connecting":     {[2]step{unlink(alice, 1), connect("!c", -3)}, [2]step{connect("!d", -4), unlink(bob, 2)}},
		"connecting and unlinking":     {[2]step{connect("!c", -3), unlink(alice, 1)}, [2]step{unlink(bob, 2), connect("!d", -4)}},
		"the same user and other room": {[2]step{unlink(alice, 1), connect("!c", -3)}, [2]step{connect("!d", -4), link(alice, 3)}},
		"two users":                    {[2]step{link(alice, 3), link(bob, 4)}, [2]step{link(bob, 5), link(alice, 6)}},
		"two users who unlink":         {[2]step{unlink(alice, 1), unlink(bob, 2)}, [2]step{unlink(bob, 2), unlink(alice, 1)}},
		"rows changed by hand": {
			[2]step{
				statement(`UPDATE tgprovision_user SET telegram_id=3 WHERE user_id='@alice:example.com'`),
				statement(`UPDATE tgprovision_portal SET title='A' WHERE room_id='!a'`),
			},
			[2]step{
				statement(`UPDATE tgprovision_portal SET title='B' WHERE room_id='!b'`),
				statement(`UPDATE tgprovision_user SET telegram_id=4 WHERE user_id='@bob:example.com'`),
			},
		},
		"rows changed by hand and with a store": {
			[2]step{statement(`DELETE FROM tgprovision_user WHERE user_id='@alice:example.com'`), connect("!c", -3)},
			[2]step{connect("!d", -4), statement(`DELETE FROM tgprovision_user WHERE user_id='@bob:example.com'`)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := postgres.newDatabase(t)
			stores := [2]sharedStores{openStores(t, url), openStores(t, url)}
			for _, row := range []step{link(alice, 1), link(bob, 2), connect("!a", -1), connect("!b", -2)} {
				require.NoError(t, row(t.Context(), stores[0]))
			}
			var stepped, done chan error = make(chan error, 1), make(chan error, 1)
			second := func() {
				done <- stores[1].DoTxn(t.Context(), nil, func(ctx context.Context) error {
					err := test.second[0](ctx, stores[1])
					stepped <- err
					return errors.Join(err, test.second[1](ctx, stores[1]))
				})
			}
			assert.NoError(t, stores[0].DoTxn(t.Context(), nil, func(ctx context.Context) error {
				if err := test.first[0](ctx, stores[0]); err != nil {
					return err
				}
				go second()
				awaitStep(t, url, stepped)
				return test.first[1](ctx, stores[0])
			}))
			assert.NoError(t, <-done)
		})
	}
}

// awaitStep returns when a step of a transaction has ended, or waits for a lock.
func awaitStep(t *testing.T, url string, stepped <-chan error) {
	t.Helper()
	db := openPostgres(t, url)
	const query = `SELECT EXISTS(SELECT 1 FROM pg_stat_activity WHERE datname=current_database() AND wait_event_type='Lock')`
	for waiting := false; !waiting; {
		select {
		case <-stepped:
			return
		default:
		}
		require.NoError(t, db.QueryRow(t.Context(), query).Scan(&waiting))
	}
}

// The same with many transactions at once, each of which changes a link and a portal.
func TestManyHostTransactionsInOppositeOrderOnPostgres(t *testing.T) {
	url := postgres.newDatabase(t)
	stores := [2]sharedStores{openStores(t, url), openStores(t, url)}
	const n = 40
	start, errs := make(chan struct{}), make(chan error, n)
	for i := range n {
		s := stores[i%2]
		steps := []step{link(id.UserID(fmt.Sprintf("@user%d:example.com", i)), provisioning.TelegramID(i%5+1)), connect(id.RoomID(fmt.Sprint("!", i)), provisioning.ChatID(-i-1))}
		go func() {
			<-start
			errs <- s.DoTxn(t.Context(), nil, func(ctx context.Context) error {
				return errors.Join(steps[i/2%2](ctx, s), steps[1-i/2%2](ctx, s))
			})
		}()
	}
	close(start)
	for range n {
		assert.NoError(t, <-errs)
	}
	for table, want := range map[string]int{"tgprovision_user": n, "tgprovision_user WHERE NOT displaced": 5, "tgprovision_portal": n} {
		var got int
		require.NoError(t, stores[0].QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&got))
		assert.Equal(t, want, got, table)
	}
}
