//go:build cgo

package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

// client returns the Telegram client of a user.
func (w *world) client(p *person) provisioning.TelegramClient {
	w.t.Helper()
	client, err := w.bridge.api.Client(w.ctx, p.UserID)
	require.NoError(w.t, err)
	return client
}

func TestOneOfSeveralLogoutsEndsTheSession(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	client := w.client(you)
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = client.Logout(w.ctx) })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
		}
	}
	require.Equal(t, 1, done)
	require.Zero(t, w.telegram.Sessions(ada))
}

func TestLogoutOfASessionThatTelegramHasEnded(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	client := w.client(you)
	require.NoError(t, w.telegram.Revoke(ada, "SESSION_REVOKED"))
	_, err := client.Logout(w.ctx)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	_, err = client.Account(w.ctx)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
}

func TestLogoutWithACancelledContextEndsNothing(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err := w.client(you).Logout(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = w.client(you).Account(w.ctx)
	require.NoError(t, err)
}

func TestLogoutWhileTelegramIsAwayIsPending(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	_, err := w.client(you).Account(w.ctx)
	require.NoError(t, err)
	w.telegram.Blackhole(true)
	pending, err := w.client(you).Logout(w.ctx)
	require.NoError(t, err)
	require.True(t, pending)
	_, err = w.client(you).Account(w.ctx)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	require.Equal(t, 1, w.telegram.Sessions(ada))
	w.telegram.Blackhole(false)
	require.Eventually(t, func() bool { return w.telegram.Sessions(ada) == 0 }, time.Minute, 10*time.Millisecond)
}
