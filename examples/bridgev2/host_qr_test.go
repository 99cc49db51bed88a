//go:build cgo

package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

// What the host adds to logins by QR code: the bridge takes the login over.

// scanned returns what scans each QR code that is shown.
func (w *world) scanned(account int64) func(context.Context, provisioning.QRToken) error {
	return func(_ context.Context, token provisioning.QRToken) error {
		return w.telegram.AcceptLoginToken(token.URL, account)
	}
}

func TestQRLoginIsTakenOver(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	account, err := w.client(you).(provisioning.QRLogin).LoginQR(w.ctx, w.scanned(ada))
	require.NoError(t, err)
	require.EqualValues(t, ada, account.ID)
	require.Equal(t, 1, w.telegram.Sessions(ada))
	w.stop()
	w.start()
	again, err := w.client(you).Account(w.ctx)
	require.NoError(t, err)
	require.Equal(t, account, again)
	_, err = w.client(you).(provisioning.QRLogin).LoginQR(w.ctx, w.scanned(ada))
	require.ErrorIs(t, err, provisioning.ErrAlreadyLoggedIn)
}

func TestQRLoginWithPasswordIsTakenOver(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	_, err := w.client(you).(provisioning.QRLogin).LoginQR(w.ctx, w.scanned(grace))
	require.ErrorIs(t, err, provisioning.ErrPasswordNeeded)
	w.stop()
	w.start()
	account, err := w.client(you).(provisioning.PhoneLogin).SubmitPassword(w.ctx, "correct horse")
	require.NoError(t, err)
	require.EqualValues(t, grace, account.ID)
	require.Equal(t, 1, w.telegram.Sessions(grace))
}

func TestQRLoginThatIsLeftLeavesNothing(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	ctx, cancel := context.WithCancel(w.ctx)
	_, err := w.client(you).(provisioning.QRLogin).LoginQR(ctx, func(context.Context, provisioning.QRToken) error {
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	hungUp := errors.New("the API client has hung up")
	_, err = w.client(you).(provisioning.QRLogin).LoginQR(w.ctx, func(context.Context, provisioning.QRToken) error { return hungUp })
	require.ErrorIs(t, err, hungUp)
	_, err = w.client(you).Account(w.ctx)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	require.Zero(t, w.telegram.Sessions(ada))
}

// The API client hangs up when somebody has just scanned the code.
func TestQRLoginThatIsScannedAndLeftIsWholeOrNot(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	ctx, cancel := context.WithCancel(w.ctx)
	_, err := w.client(you).(provisioning.QRLogin).LoginQR(ctx, func(_ context.Context, token provisioning.QRToken) error {
		defer cancel()
		return w.telegram.AcceptLoginToken(token.URL, ada)
	})
	if err == nil {
		account, err := w.client(you).Account(w.ctx)
		require.NoError(t, err)
		require.EqualValues(t, ada, account.ID)
		require.Equal(t, 1, w.telegram.Sessions(ada))
		return
	}
	_, err = w.client(you).Account(w.ctx)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	require.Zero(t, w.telegram.Sessions(ada))
}
