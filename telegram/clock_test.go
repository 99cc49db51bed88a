package telegram_test

import (
	"context"
	"errors"
	"testing"
	"time"

	gotd "github.com/gotd/td/telegram"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// This machine's clock is ahead of Telegram's, or behind it: logins, and what is stored of them,
// work all the same, and the log says what is wrong.
func TestWrongClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{
		"Telegram is 45 seconds ahead": 45 * time.Second, "Telegram is 45 seconds behind": -45 * time.Second,
		"Telegram is an hour ahead": time.Hour, "Telegram is an hour behind": -time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, withExchanges)
			b.telegram.SetClock(ahead)
			b.logIn(you, ada)
			b.get(you, "/chats").is(t, 200, "")
			assert.Contains(t, b.log.String(), "The clock of this machine is wrong")
			b.restart()
			b.get(you, "/chats").is(t, 200, "")
			b.telegram.SetClock(-ahead) // it was set right, too far
			b.telegram.DropConnections()
			b.get(you, "/chats").is(t, 200, "")
			b.post(you, "/logout", "").is(t, 200, "")
			assert.Zero(t, b.telegram.Sessions(ada.ID))
		})
	}
}

// Then telegramClock can go.
func TestGotdNeedsTheRightTime(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	s.SetClock(-45 * time.Second)
	dead := make(chan error, 100)
	client := gotdClient(s, func(o *gotd.Options) { o.OnDead = func(err error) { dead <- err } })
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- client.Run(ctx, func(context.Context) error { return errors.New("it is connected") })
	}()
	for range 2 {
		require.ErrorContains(t, <-dead, "msg_id too high")
	}
	cancel()
	// It may have been in the middle of another try.
	if err := <-stopped; err != nil && !errors.Is(err, context.Canceled) {
		require.ErrorContains(t, err, "msg_id too high")
	}
}
