package portal_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/appservice"

	"github.com/tgprovision/tgprovision/internal/roomstest"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

func TestRoomsSuite(t *testing.T) {
	t.Parallel()
	provisioningtest.TestRooms(t, roomsBackend)
}

func TestDirectRoomsSuite(t *testing.T) {
	t.Parallel()
	provisioningtest.TestDirectRooms(t, roomsBackend)
}

func TestGhostAvatarsSuite(t *testing.T) {
	t.Parallel()
	provisioningtest.TestGhostAvatars(t, roomsBackend)
}

func TestGhostUsersSuite(t *testing.T) {
	t.Parallel()
	provisioningtest.TestGhostUsers(t, roomsBackend)
}

// roomsBackend is a homeserver in memory with a bridge on it, whose requests go through a
// network that the suites disturb.
func roomsBackend(t *testing.T) provisioningtest.RoomsBackend {
	t.Helper()
	r := registration()
	hs, err := matrixtest.Start(matrixtest.Config{ServerName: "example.com", Registrations: []*appservice.Registration{r}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, hs.Close()) })
	as := newAppService(t, r, hs.URL())
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	network := &provisioningtest.Network{Next: transport}
	as.HTTPClient = &http.Client{Transport: network}
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: as, DB: newDatabase(t)})
	require.NoError(t, err)
	homeserver := &roomstest.Homeserver{AppService: as, AddUser: hs.AddUser, Force: hs.SetState}
	return homeserver.Backend(rooms, network)
}
