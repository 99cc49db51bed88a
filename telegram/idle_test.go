package telegram_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func withMaxClients(n int) option {
	return withConfig(func(c *telegram.Config) { c.MaxClients = n })
}

func TestIdleClientsAreStopped(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.requestCode(them, grace).is(t, 200, "")
	require.Equal(t, telegram.Stats{Connected: 2}, b.factory.Stats())
	b.factory.StopIdle()
	assert.Zero(t, b.factory.Stats())
	assert.Zero(t, b.factory.Slots())
	assert.Equal(t, telegram.DefaultMaxClients, b.factory.Room())

	// Both go on where they were.
	assert.NotNil(t, b.get(you, "").telegramOf(t))
	assert.Equal(t, 1, b.telegram.Calls("auth.signIn"))
	assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
	b.post(them, "/login/send_code", `{"code":"54321"}`).is(t, 202, "")
	b.factory.StopIdle()
	b.post(them, "/login/send_password", `{"password":" open sesame "}`).is(t, 200, "")
	assert.Equal(t, 2, b.telegram.Calls("auth.sendCode")+b.telegram.Calls("auth.resendCode"), "one for each")
}

func TestClientsInUseAreNotStopped(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	held := b.telegram.Hold("messages.getDialogs")
	listed := b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", "")
	<-held.Arrived()
	b.factory.StopIdle()
	assert.Equal(t, 1, b.factory.Stats().Connected)
	held.Release()
	(<-listed).is(t, 200, "")

	// A call of the host's.
	live, err := b.factory.Telegram(t.Context(), you)
	require.NoError(t, err)
	held = b.telegram.Hold("users.getUsers")
	asked := make(chan error, 1)
	go func() {
		_, err := live.Self(t.Context())
		asked <- err
	}()
	<-held.Arrived()
	b.factory.StopIdle()
	held.Release()
	require.NoError(t, <-asked)
	b.factory.StopIdle()
	assert.Zero(t, b.factory.Stats())
}

func TestClientsOfTheHostAreInUse(t *testing.T) {
	for name, config := range map[string]func(*telegram.Config){
		"Running": func(c *telegram.Config) {
			c.Running = func(ctx context.Context, _ id.UserID, _ *gotd.Client) { <-ctx.Done() }
		},
		"Updates": func(c *telegram.Config) {
			c.Updates = func(id.UserID) gotd.UpdateHandler {
				return gotd.UpdateHandlerFunc(func(context.Context, tg.UpdatesClass) error { return nil })
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			entered := make(chan struct{}, 1)
			b := newBridge(t, withConfig(func(c *telegram.Config) {
				config(c)
				if running := c.Running; running != nil {
					c.Running = func(ctx context.Context, userID id.UserID, client *gotd.Client) {
						entered <- struct{}{}
						running(ctx, userID, client)
					}
				} else {
					entered <- struct{}{}
				}
			}))
			b.logIn(you, ada)
			<-entered
			b.factory.StopIdle()
			assert.Equal(t, 1, b.factory.Stats().Connected)
		})
	}
}

func TestClientsAreBounded(t *testing.T) {
	b := newBridge(t, withMaxClients(1))
	b.logIn(you, ada)
	b.requestCode(them, grace).is(t, 200, "") // yours is idle
	assert.Equal(t, telegram.Stats{Connected: 1}, b.factory.Stats())
	assert.NotNil(t, b.get(you, "").telegramOf(t)) // and now theirs
	assert.Equal(t, telegram.Stats{Connected: 1}, b.factory.Stats())
	assert.Zero(t, b.factory.Room())

	held := b.telegram.Hold("messages.getDialogs")
	listed := b.background(t.Context(), http.MethodGet, "/user/"+string(you)+"/chats", "")
	<-held.Arrived()
	_, err := b.client(them).SubmitCode(t.Context(), provisioning.TextLoginCode("54321"))
	require.ErrorIs(t, err, provisioning.ErrOverloaded)
	_, err = b.client(them).LoginQR(t.Context(), func(context.Context, provisioning.QRToken) error { return nil })
	require.ErrorIs(t, err, provisioning.ErrOverloaded)
	held.Release()
	(<-listed).is(t, 200, "")

	b.post(them, "/login/send_code", `{"code":"54321"}`).is(t, 202, "") // nothing is lost
	page := b.openQR("@third:example.com")
	page.code()
	assert.Zero(t, b.factory.Stats(), "logins by QR code take places too")
	_, err = b.client(them).SubmitPassword(t.Context(), grace.Password)
	require.ErrorIs(t, err, provisioning.ErrOverloaded)
	require.NoError(t, page.CloseNow())
}

// More users than clients, all at once: each gets an answer or is told to come again,
// and nobody is logged out.
func TestManyUsersShareFewClients(t *testing.T) {
	const users, places, rounds = 6, 2, 10
	b := newBridge(t, withMaxClients(places))
	name := func(i int) id.UserID { return id.UserID(fmt.Sprintf("@user%d:example.com", i)) }
	for i := range users {
		account := telegramtest.Account{ID: int64(5000 + i), Phone: fmt.Sprintf("999665000%d", i), FirstName: "Somebody", Code: "12345"}
		require.NoError(t, b.telegram.AddAccount(account))
		b.logIn(name(i), account)
	}
	var work sync.WaitGroup
	for i := range users {
		client := b.client(name(i))
		work.Go(func() {
			for range rounds {
				account, err := client.Account(t.Context())
				if errors.Is(err, provisioning.ErrOverloaded) {
					continue
				}
				assert.NoError(t, err)
				assert.EqualValues(t, 5000+i, account.ID)
			}
		})
	}
	work.Wait()
	assert.LessOrEqual(t, b.factory.Stats().Connected, places)
	b.factory.StopIdle()
	assert.Equal(t, places, b.factory.Room())
	assert.Zero(t, b.factory.Slots())
	for i := range users {
		assert.NotNil(t, b.get(name(i), "").telegramOf(t))
		assert.Equal(t, 1, b.telegram.Sessions(int64(5000+i)))
	}
}
