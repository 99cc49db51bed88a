//go:build cgo

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/bridgev2/bridgeconfig"

	"github.com/tgprovision/tgprovision/provisioning"
)

// mayNotLogIn starts the bridge anew, with a configuration in which somebody may not log in.
func (w *world) mayNotLogIn(p *person) {
	w.stop()
	w.change = func(b *bridge) {
		b.Bridge.Config.Permissions[string(p.UserID)] = &bridgeconfig.PermissionLevelCommands
	}
	w.start()
}

func TestLoginThatEndsAfterTheLevelWasTakenAwayIsNotTakenOver(t *testing.T) {
	w := newWorld(t)
	you, other := w.person("you"), w.person("other")
	w.logIn(other.UserID, "phone", phone, code)
	_, err := w.client(you).(provisioning.PhoneLogin).RequestCode(w.ctx, phone)
	require.NoError(t, err)
	w.mayNotLogIn(you)
	_, err = w.client(you).(provisioning.PhoneLogin).SubmitCode(w.ctx, provisioning.TextLoginCode(code))
	require.ErrorIs(t, err, provisioning.ErrMatrixUserRefused)
	_, err = w.client(you).Account(w.ctx)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	_, err = w.client(other).Account(w.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, w.telegram.Sessions(ada))
}

func TestLeftLoginOfSomebodyWhoMayNotLogInIsEnded(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	login := w.bridge.connector.Network().LoginClient(you.UserID)
	_, err := login.RequestCode(w.ctx, phone)
	require.NoError(t, err)
	_, err = login.SubmitCode(w.ctx, provisioning.TextLoginCode(code))
	require.NoError(t, err)
	require.Equal(t, 1, w.telegram.Sessions(ada))
	w.mayNotLogIn(you)
	require.Zero(t, w.telegram.Sessions(ada))
	left, err := w.bridge.connector.Network().Unadopted(w.ctx)
	require.NoError(t, err)
	require.Empty(t, left)
}
