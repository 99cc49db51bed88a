package provisioningtest_test

import (
	"testing"

	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// The examples call the suites without a *testing.T: here they run.

func TestExampleUserStore(t *testing.T) { provisioningtest.TestUserStore(t, userStoreBackend) }

func TestExampleTaskStore(t *testing.T) { provisioningtest.TestTaskStore(t, taskStoreBackend) }

func TestExamplePortalStore(t *testing.T) {
	provisioningtest.TestPortalStore(t, portalStoreBackend)
	provisioningtest.TestTaskPortalStore(t, taskPortalStoreBackend)
}

func TestExampleTokenChecker(t *testing.T) { provisioningtest.TestTokenChecker(t, tokensBackend) }

func TestExampleRooms(t *testing.T) {
	provisioningtest.TestRooms(t, roomsBackend)
	provisioningtest.TestDirectRooms(t, roomsBackend)
	provisioningtest.TestGhostAvatars(t, roomsBackend)
}
