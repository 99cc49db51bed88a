//go:build cgo

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"

	"github.com/tgprovision/tgprovision/provisioning"
)

// What the API's interfaces reach is removed: the session and the portals of direct chats.
func TestForgetUser(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	store := w.bridge.api.Config().Portals
	client := w.client(you)
	account, err := client.Account(w.ctx)
	require.NoError(t, err)
	_, err = client.(provisioning.ContactLister).Contacts(w.ctx, provisioning.ContactQuery{}) // as people do who choose somebody
	require.NoError(t, err)
	direct, _, err := store.(provisioning.DirectPortals).StartDirect(w.ctx, you.UserID, account, provisioning.Contact{ID: charles, Name: "Charles Babbage"})
	require.NoError(t, err)

	done, err := w.bridge.api.API().ForgetUser(w.ctx, you.UserID)
	require.NoError(t, err)
	require.True(t, done.LoggedOut)
	require.Equal(t, []provisioning.TelegramID{ada}, done.Accounts)
	require.Equal(t, []string{"AccountFinder", "PortalUsers"}, done.Missing)
	var rooms []string
	for _, portal := range done.Portals {
		rooms = append(rooms, string(portal.RoomID))
	}
	require.Contains(t, rooms, string(direct.RoomID))
	require.Zero(t, w.telegram.Sessions(ada))
	user, err := w.bridge.api.User(w.ctx, you.UserID)
	require.NoError(t, err)
	require.Zero(t, user.TelegramID)
	_, err = store.PortalByRoom(w.ctx, direct.RoomID)
	require.ErrorIs(t, err, provisioning.ErrPortalNotFound)
	require.Eventually(t, func() bool {
		for _, membership := range w.homeserver.Members(direct.RoomID) {
			if membership == event.MembershipJoin || membership == event.MembershipInvite {
				return false
			}
		}
		return true
	}, time.Minute, 10*time.Millisecond, "somebody is in the room of the direct chat")

	done, err = w.bridge.api.API().ForgetUser(w.ctx, you.UserID)
	require.NoError(t, err)
	require.Equal(t, provisioning.Forgotten{Missing: []string{"AccountFinder", "PortalUsers"}}, done)
}
