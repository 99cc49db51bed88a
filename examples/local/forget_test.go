package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestDescribeForgotten(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `Removed of @you:localhost:
  Telegram session   ended
  half-done login    none
  linked accounts    1
  direct chats       1
    room !room:localhost
  places in groups   2
  people known here  3
  background work    4
Kept for whoever is logged in with the account now: 5 portals
`, describeForgotten("@you:localhost", provisioning.Forgotten{
		LoggedOut: true, Accounts: []provisioning.TelegramID{1}, Portals: []provisioning.Portal{{RoomID: "!room:localhost"}},
		Groups: 2, Ghosts: 3, Tasks: 4, Moved: 5,
	}))
	assert.Equal(t, `Removed of @you:localhost:
  Telegram session   deleted here; Telegram is asked to end it until it has
  half-done login    cancelled
  linked accounts    0
  direct chats       0
  places in groups   0
  people known here  0
  background work    0
`, describeForgotten("@you:localhost", provisioning.Forgotten{Pending: true, LoggedOut: true, LoginCancelled: true}))
}
