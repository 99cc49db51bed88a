package telegram_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gotd/td/session"
	gotd "github.com/gotd/td/telegram"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

var errAdopt = errors.New("the host's database is away")

// handOver hands your session over and returns what was handed.
func (b *bridge) handOver(adopted error) (handed telegram.HandedSession, err error) {
	err = b.client(you).HandOver(b.t.Context(), func(_ context.Context, s telegram.HandedSession) error {
		handed = s
		return adopted
	})
	return handed, err
}

// notLoggedIn asserts that the client has no session to call Telegram with.
func (b *bridge) notLoggedIn() {
	b.t.Helper()
	_, err := b.client(you).Account(b.t.Context())
	require.ErrorIs(b.t, err, provisioning.ErrNotLoggedIn)
	_, err = b.factory.Telegram(b.t.Context(), you)
	require.ErrorIs(b.t, err, provisioning.ErrNotLoggedIn)
	assert.Zero(b.t, b.factory.Stats(), "no client was started")
}

// loggedIn lists who has a session.
func (b *bridge) loggedIn() []id.UserID {
	b.t.Helper()
	users, err := b.factory.LoggedIn(b.t.Context())
	require.NoError(b.t, err)
	return users
}

// startHanded runs another client with a session that was handed over.
func (b *bridge) startHanded(handed telegram.HandedSession) (context.Context, *gotd.Client) {
	b.t.Helper()
	storage := &session.StorageMemory{}
	loader := session.Loader{Storage: storage}
	require.NoError(b.t, loader.Save(b.t.Context(), &session.Data{
		DC: handed.DC, Addr: handed.Addr, AuthKey: handed.AuthKey, AuthKeyID: handed.AuthKeyID, Salt: handed.Salt,
	}))
	return startGotd(b.t, b.telegram, func(o *gotd.Options) { o.SessionStorage = storage })
}

func (b *bridge) eventuallyConnections(n int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.telegram.Connections() == n }, 10*time.Second, time.Millisecond)
}

func TestHandOver(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.eventuallyConnections(1)
	err := b.client(you).HandOver(t.Context(), func(_ context.Context, s telegram.HandedSession) error {
		assert.Zero(t, b.factory.Stats())
		b.eventuallyConnections(0)
		assert.Equal(t, provisioning.Account{ID: 1001, Username: "ada", FirstName: "Ada", LastName: "Lovelace", Phone: ada.Phone}, s.Account)
		assert.Equal(t, []any{b.telegram.DC(), b.telegram.Addr()}, []any{s.DC, s.Addr})
		ctx, client := b.startHanded(s)
		self, err := client.Self(ctx)
		require.NoError(t, err)
		assert.Equal(t, ada.ID, self.ID)
		return nil
	})
	require.NoError(t, err)
	b.notLoggedIn()
	assert.Empty(t, b.loggedIn())
	assert.Equal(t, []int{1, 0}, []int{b.telegram.Sessions(ada.ID), b.telegram.Calls("auth.logOut")}, "it stays on Telegram")
	b.eventuallyConnections(1)
	_, err = b.handOver(nil)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn, "once")

	b.logIn(you, ada)
	assert.Equal(t, []id.UserID{you}, b.loggedIn())
	assert.Equal(t, 2, b.telegram.Sessions(ada.ID))
}

// A session whose adoption was not confirmed is kept for the next try, and used by no
// client of ours meanwhile: the host may run its own already.
func TestHandOverAgain(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	first, err := b.handOver(errAdopt)
	require.ErrorIs(t, err, errAdopt)
	for range 2 {
		b.notLoggedIn()
		assert.Equal(t, []id.UserID{you}, b.loggedIn())
		_, err = b.client(you).RequestCode(t.Context(), ada.Phone)
		require.ErrorIs(t, err, provisioning.ErrAlreadyLoggedIn)
		require.ErrorIs(t, b.client(you).CancelLogin(t.Context()), provisioning.ErrAlreadyLoggedIn)
		require.NoError(t, b.factory.EndDue(t.Context()))
		b.restart()
	}
	second, err := b.handOver(nil)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	assert.Empty(t, b.loggedIn())
	ctx, client := b.startHanded(second)
	_, err = client.Self(ctx)
	require.NoError(t, err)
}

func TestLogoutEndsHandOver(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	_, err := b.handOver(errAdopt)
	require.ErrorIs(t, err, errAdopt)
	_, err = b.client(you).Logout(t.Context())
	require.NoError(t, err)
	assert.Empty(t, b.loggedIn())
	assert.Zero(t, b.telegram.Sessions(ada.ID))
}

func TestHandOverNeedsLogin(t *testing.T) {
	b := newBridge(t)
	_, err := b.handOver(nil)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	b.requestCode(you, ada).is(t, 200, "")
	_, err = b.handOver(nil)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 200, "").state(t, "logged-in")
}

// A call under way does not take the session that its client lost for one that has ended.
func TestHandOverDuringCall(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	held := b.telegram.Hold("messages.getDialogs")
	listed := b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", "")
	<-held.Arrived()
	_, err := b.handOver(errAdopt)
	require.ErrorIs(t, err, errAdopt)
	(<-listed).is(t, 403, "not_logged_in")
	held.Release()
	_, err = b.handOver(nil)
	require.NoError(t, err)
}

// Nothing is adopted before the client has stopped, however long the host's part of it takes.
func TestHandOverWaitsForClient(t *testing.T) {
	running, release := make(chan struct{}, 1), make(chan struct{})
	b := newBridge(t, withConfig(func(c *telegram.Config) {
		c.Running = func(context.Context, id.UserID, *gotd.Client) {
			running <- struct{}{}
			<-release
		}
	}))
	b.logIn(you, ada)
	<-running
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan error, 1)
	go func() {
		cancelled <- b.client(you).HandOver(ctx, func(context.Context, telegram.HandedSession) error {
			assert.Fail(t, "adopted beside a client")
			return nil
		})
	}()
	require.Eventually(t, func() bool { return b.factory.Stats().Connected == 0 }, 10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-cancelled, context.Canceled)
	close(release)
	_, err := b.handOver(nil)
	require.NoError(t, err)
}

func TestHandedSessionHidesItsKey(t *testing.T) {
	s := telegram.HandedSession{Account: provisioning.Account{ID: 7}, DC: 2, AuthKey: []byte("KEY"), AuthKeyID: []byte("KEY"), Salt: 424242}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{s, &s, []telegram.HandedSession{s}} {
			assert.NotRegexp(t, "KEY|4b4559|75 69 89|0x4b|424242", fmt.Sprintf(verb, value), verb)
		}
	}
	assert.Equal(t, "session of account 7 at datacenter 2", fmt.Sprint(s))
	_, err := json.Marshal(s)
	require.Error(t, err)
}

// A host ends a session that it has got, also while Telegram is away, and in a later process.
func TestEndHandedSession(t *testing.T) {
	for _, away := range []bool{false, true} {
		t.Run(fmt.Sprint("away ", away), func(t *testing.T) {
			b := newBridge(t)
			b.logIn(you, ada)
			handed, err := b.handOver(nil)
			require.NoError(t, err)
			b.telegram.Refuse(away)
			for range 2 {
				ctx, cancel := soon(t)
				pending, err := b.factory.EndSession(ctx, you, handed)
				cancel()
				require.NoError(t, err)
				assert.Equal(t, away, pending)
			}
			b.restart()
			b.telegram.Refuse(false)
			b.endDue()
			assert.Zero(t, b.telegram.Sessions(ada.ID))
			assert.Zero(t, b.ending())
			b.logIn(you, ada)
		})
	}
}
