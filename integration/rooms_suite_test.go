package integration

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/roomstest"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// portal.Rooms on Dendrite.
func TestRoomsSuites(t *testing.T) {
	d, b := startBridge(t)
	checks := 0
	homeserver := &roomstest.Homeserver{AppService: b.AppService, AddUser: func(localpart string) (*mautrix.Client, error) {
		return d.newUser(t, localpart), nil
	}}
	backend := func(t *testing.T) provisioningtest.RoomsBackend {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		network := &provisioningtest.Network{Next: transport}
		b.HTTPClient = &http.Client{Transport: network}
		db := openDatabase(t, databases["sqlite"](t))
		t.Cleanup(func() { assert.NoError(t, db.Close()) })
		// On the one homeserver, every check has ghosts of its own.
		checks++
		first := provisioning.TelegramID(checks) << 41
		rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{
			AppService: b.AppService, DB: db,
			GhostID: func(telegramID provisioning.TelegramID) id.UserID { return b.ghostID(int(first + telegramID)) },
			ParseGhost: func(userID id.UserID) (telegramID provisioning.TelegramID, ok bool) {
				_, err := fmt.Sscanf(string(userID), "@telegram_%d:", &telegramID)
				return telegramID - first, err == nil
			},
		})
		require.NoError(t, err)
		return homeserver.Backend(rooms, network)
	}
	t.Run("Rooms", func(t *testing.T) { provisioningtest.TestRooms(t, backend) })
	t.Run("DirectRooms", func(t *testing.T) { provisioningtest.TestDirectRooms(t, backend) })
	t.Run("GhostAvatars", func(t *testing.T) { provisioningtest.TestGhostAvatars(t, backend) })
	t.Run("GhostUsers", func(t *testing.T) { provisioningtest.TestGhostUsers(t, backend) })
}
