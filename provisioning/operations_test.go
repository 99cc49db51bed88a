package provisioning_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// operationsOf returns what get_bridge says that a bridge can do.
func operationsOf(t *testing.T, change ...func(*bridge, *provisioning.Config)) []string {
	t.Helper()
	b := newBridge(t, change...)
	var body struct{ Operations []string }
	a := b.call(t, http.MethodGet, "/bridge", "")
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return body.Operations
}

// A client is told which operations it need not try.
func TestOperationsOfABridge(t *testing.T) {
	always := []string{"get_bridge", "get_me", "list_portals", "get_portal_by_tgid", "get_portal", "logout"}
	if got := operationsOf(t, withoutRooms, minimalClients, withoutLoginPage); !slices.Equal(got, always) {
		t.Errorf("minimal clients without rooms and login links: %q, want %q", got, always)
	}
	want := []string{"get_bridge", "get_me", "list_portals", "get_portal_by_tgid", "get_portal", "disconnect_portal", "logout"}
	if got := operationsOf(t, inRooms, minimalClients); !slices.Equal(got, want) {
		t.Errorf("minimal clients: %q, want %q", got, want)
	}
	got := operationsOf(t, withoutRooms)
	for _, missing := range []string{"preflight_connect", "connect_portal", "create_portal", "disconnect_portal", "start_dm"} {
		if slices.Contains(got, missing) {
			t.Errorf("without rooms, %s is among %q", missing, got)
		}
	}
	if !slices.Contains(got, "post_login_code") || !slices.Contains(got, "resolve_identifier") {
		t.Errorf("without rooms: %q", got)
	}
}
