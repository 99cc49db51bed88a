package provisioning_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// path is how many calls of the parts an operation waits for, one after the other. What each
// call takes, the parts' own tests say.
type path struct{ telegram, rooms int }

// A call takes so long in these tests. A path has less than a hundred calls of Rooms.
const (
	telegramCall = 100 * time.Millisecond
	roomsCall    = time.Millisecond
)

// withDelays has every call take its time, but for those that may be answered from a record.
func withDelays(b *bridge, _ *provisioning.Config) {
	for _, method := range []string{
		"Account", "Chats", "Contacts", "StickerSets", "RequestCode", "SubmitCode", "SubmitPassword", "LoginBot", "Logout",
		"GetChat", "Migrations", "CreateChat", "CreatedChats", "InviteToChat", "DeleteChat", "ResolveUser", "GetPhoto",
	} {
		b.telegram.On(method, func(ctx context.Context) error {
			if method == "Account" && (provisioning.CachedReads(ctx) || provisioning.RecordedAccount(ctx)) {
				return nil
			}
			return sleep(telegramCall)(ctx)
		})
	}
	for _, method := range []string{"CheckBot", "HasPower", "Room", "SetUpPortal", "CleanUp", "CreateDirect", "InviteToDirect", "UpdateGhost"} {
		b.rooms.On(method, sleep(roomsCall))
	}
}

// No operation waits for more than it did: a path that grows is a fault, one that shrinks is
// to be written down.
func TestPaths(t *testing.T) {
	inRoom := func(t *testing.T, b *bridge) { bridged(room, news)(t, b) }
	elsewhere := func(t *testing.T, b *bridge) { bridged(otherRoom, news)(t, b) }
	loggedIn := func(t *testing.T, b *bridge) { b.logIn(t, alice, aliceAccount) }
	for _, c := range []struct {
		name         string
		method, path string
		body         string
		before       func(*testing.T, *bridge)
		status       int
		want         path
	}{
		{"get_bridge", http.MethodGet, "/bridge", "", nil, 200, path{}},
		{"get_me", http.MethodGet, user(alice, ""), "", loggedIn, 200, path{}},
		{"get_chats", http.MethodGet, user(alice, "/chats"), "", loggedIn, 200, path{telegram: 1}},
		{"get_contacts", http.MethodGet, user(alice, "/contacts"), "", loggedIn, 200, path{telegram: 1}},
		{"get_portal", http.MethodGet, byRoom, "", inRoom, 200, path{}},
		{"get_portal for a user", http.MethodGet, byRoom + asAlice, "", inRoom, 200, path{rooms: 1}},
		{"get_portal_by_tgid", http.MethodGet, "/portal/-1000000000009", "", inRoom, 200, path{}},
		{"a group's portal", http.MethodGet, byFamily, "", func(t *testing.T, b *bridge) { bridged(room, family)(t, b) }, 200, path{telegram: 1}},
		{"list_portals", http.MethodGet, "/portals", "", inRoom, 200, path{}},
		{"list_portals for a user", http.MethodGet, "/portals" + asAlice, "", loggedIn, 200, path{}},
		{"no portal", http.MethodGet, byFamily, "", nil, 404, path{telegram: 1}},
		{"connect by the relay bot", http.MethodPost, connectPath, "", nil, 202, path{telegram: 1, rooms: 1}},
		{"connect", http.MethodPost, connectPath + asAlice, "", loggedIn, 202, path{telegram: 1, rooms: 1}},
		{"connect by an admin", http.MethodPost, connectPath + asAdmin, "", nil, 202, path{telegram: 1, rooms: 1}},
		{"connect without the rights", http.MethodPost, connectPath + "?user_id=@bob:example.com", "", nil, 403, path{rooms: 1}},
		{"connect with force", http.MethodPost, connectPath + asAlice + "&force=unbridge", "", steps(loggedIn, elsewhere), 202, path{telegram: 1, rooms: 1}},
		{"connect an upgraded room", http.MethodPost, "/portal/!other:example.com/connect/-1000000000009", "", func(t *testing.T, b *bridge) {
			inRoom(t, b)
			upgrade(b)
		}, 202, path{telegram: 1, rooms: 2}},
		{"connect to what is bridged", http.MethodPost, connectPath, "", elsewhere, 409, path{rooms: 1}},
		{"preflight", http.MethodGet, connectPath, "", nil, 200, path{telegram: 1, rooms: 1}},
		{"preflight of what is bridged", http.MethodGet, connectPath + asAlice + "&force=unbridge", "", steps(loggedIn, elsewhere), 200, path{telegram: 1, rooms: 1}},
		{"disconnect", http.MethodPost, disconnectPath, "", inRoom, 202, path{}},
		{"disconnect for a user", http.MethodPost, disconnectPath + asAlice, "", inRoom, 202, path{rooms: 1}},
		{"disconnect and wait", http.MethodPost, disconnectPath + "?sync=1", "", inRoom, 202, path{rooms: 1}},
		{"create", http.MethodPost, "/portal/!room:example.com/create" + asAlice, `{"type":"supergroup"}`, loggedIn, 201, path{telegram: 2, rooms: 1}},
		{"start_dm", http.MethodPost, user(alice, "/pm/1002"), "", loggedIn, 201, path{telegram: 1, rooms: 2}},
		{"start_dm again", http.MethodPost, user(alice, "/pm/1002"), "", func(t *testing.T, b *bridge) {
			loggedIn(t, b)
			b.startDM(t, alice, "1002")
		}, 200, path{telegram: 1, rooms: 1}},
		{"resolve_identifier", http.MethodGet, user(alice, "/resolve_identifier/1002"), "", loggedIn, 200, path{telegram: 1}},
		{"logout", http.MethodPost, user(alice, "/logout"), "", loggedIn, 200, path{telegram: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newBridge(t, withRelay)
				if c.before != nil {
					c.before(t, b)
				}
				synctest.Wait()
				withDelays(b, nil)
				start := time.Now()
				b.call(t, c.method, c.path, c.body).want(t, c.status, errcodeOfPath(c.status))
				took := time.Since(start)
				got := path{telegram: int(took / telegramCall), rooms: int(took % telegramCall / roomsCall)}
				if got != c.want {
					t.Errorf("%+v, want %+v", got, c.want)
				}
			})
		})
	}
}

// errcodeOfPath is the errcode of these tests' answers.
func errcodeOfPath(status int) string {
	return map[int]string{403: "not_enough_permissions", 404: "portal_not_found", 409: "chat_already_bridged"}[status]
}
