//go:build cgo

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// directPortals is the bridge's store of portals.
type directPortals interface {
	provisioning.PortalStore
	provisioning.DirectPortals
}

func TestDirectPortals(t *testing.T) {
	provisioningtest.TestDirectPortals(t, func(t *testing.T) provisioningtest.DirectPortalsBackend {
		w := newWorld(t)
		people := map[id.UserID]*person{}
		backend := provisioningtest.DirectPortalsBackend{
			Store:   w.bridge.api.Config().Portals.(directPortals),
			Contact: provisioning.Contact{ID: charles, Name: "Charles Babbage"},
			IsInRoom: func(_ context.Context, roomID id.RoomID, userID id.UserID) (bool, error) {
				is := w.homeserver.Members(roomID)[userID]
				return is == event.MembershipJoin || is == event.MembershipInvite, nil
			},
			Leave: func(ctx context.Context, roomID id.RoomID, userID id.UserID) error {
				_, err := people[userID].LeaveRoom(ctx, roomID)
				return err
			},
		}
		// They have no chats, of which the bridge would make portals by itself.
		for i, account := range []telegramtest.Account{
			{ID: 9101, Phone: "9996610101", Code: "11111", FirstName: "Mary", Contacts: []int64{charles}},
			{ID: 9102, Phone: "9996610102", Code: "22222", FirstName: "Annabella", Contacts: []int64{charles}},
		} {
			require.NoError(t, w.telegram.AddAccount(account))
			user := w.person(strings.ToLower(account.FirstName))
			people[user.UserID] = user
			w.logIn(user.UserID, "phone", "+"+account.Phone, account.Code)
			backend.Users[i] = provisioningtest.DirectPortalsUser{
				UserID:  user.UserID,
				Account: provisioning.Account{ID: provisioning.TelegramID(account.ID), Phone: account.Phone, FirstName: account.FirstName},
			}
			client, err := w.bridge.api.Client(w.ctx, user.UserID)
			require.NoError(t, err)
			_, err = client.(provisioning.ContactLister).Contacts(w.ctx, provisioning.ContactQuery{}) // as people do who choose somebody
			require.NoError(t, err)
		}
		return backend
	})
}

// Somebody logs out of an account, and another user logs in with it, who gets a room of their
// own: the one before does not read on. Whoever logs in again keeps theirs.
func TestDirectChatOfWhoHadTheAccountBefore(t *testing.T) {
	w := newWorld(t)
	mary := telegramtest.Account{ID: 9101, Phone: "9996610101", Code: "11111", FirstName: "Mary", Contacts: []int64{charles}}
	require.NoError(t, w.telegram.AddAccount(mary))
	alice, bob := w.person("alice"), w.person("bob")
	start := func(user *person) (roomID id.RoomID, created bool) {
		w.logIn(user.UserID, "phone", "+"+mary.Phone, mary.Code)
		client := w.client(user)
		_, err := client.(provisioning.ContactLister).Contacts(w.ctx, provisioning.ContactQuery{}) // as people do who choose somebody
		require.NoError(t, err)
		store := w.bridge.api.Config().Portals.(directPortals)
		p, created, err := store.StartDirect(w.ctx, user.UserID, provisioning.Account{ID: 9101}, provisioning.Contact{ID: charles, Name: "Charles Babbage"})
		require.NoError(t, err)
		_, err = user.JoinRoomByID(w.ctx, p.RoomID)
		require.NoError(t, err)
		_, err = client.Logout(w.ctx)
		require.NoError(t, err)
		return p.RoomID, created
	}
	var last id.RoomID
	for _, user := range []*person{alice, bob, alice} {
		roomID, created := start(user)
		require.True(t, created, "another user's room")
		if last != "" {
			for userID, membership := range w.homeserver.Members(last) {
				require.NotContains(t, []event.Membership{event.MembershipJoin, event.MembershipInvite}, membership, userID)
			}
		}
		last, created = start(user)
		require.False(t, created)
		require.Equal(t, roomID, last)
	}
}
