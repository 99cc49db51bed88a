package provisioningtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// bridgeRooms is the bundled provisioning.Rooms with what a bridge does besides: it relays
// the messages of a room from its set-up to its clean-up. Since *portal.Rooms is embedded as
// what it is, and not as an interface, the optional interfaces are there too.
type bridgeRooms struct {
	*portal.Rooms
	relayed *sync.Map // the IDs of rooms
}

// SetUpPortal implements provisioning.Rooms.
func (r bridgeRooms) SetUpPortal(ctx context.Context, setup provisioning.PortalSetup) error {
	if err := r.Rooms.SetUpPortal(ctx, setup); err != nil {
		return err
	}
	r.relayed.Store(setup.Portal.RoomID, true)
	return nil
}

// CleanUp implements provisioning.Rooms.
func (r bridgeRooms) CleanUp(ctx context.Context, p provisioning.Portal, everybody bool) error {
	r.relayed.Delete(p.RoomID)
	return r.Rooms.CleanUp(ctx, p, everybody)
}

// homeserver is the provisioningtest.Homeserver of the suite: one in memory, with the bridge
// on it.
type homeserver struct {
	*matrixtest.Server
	bridge   *appservice.AppService
	users    map[id.UserID]*mautrix.Client
	creators map[id.RoomID]*mautrix.Client
}

// client returns a client of a user, of the bridge bot or of a ghost. It does not go through
// the network that the suite disturbs.
func (h *homeserver) client(ctx context.Context, userID id.UserID) (*mautrix.Client, error) {
	if user, ok := h.users[userID]; ok {
		return user, nil
	}
	client := h.bridge.NewMautrixClient(userID)
	client.Client = http.DefaultClient
	if userID == h.bridge.BotMXID() {
		return client, nil
	}
	_, _, err := client.Register(ctx, &mautrix.ReqRegister[any]{
		Username: userID.Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true,
	})
	if errors.Is(err, mautrix.MUserInUse) {
		err = nil
	}
	return client, err
}

// NewUser implements provisioningtest.Homeserver.
func (h *homeserver) NewUser(_ context.Context, name string) (id.UserID, error) {
	user, err := h.AddUser(fmt.Sprintf("%s%d", name, len(h.users)))
	if err != nil {
		return "", err
	}
	h.users[user.UserID] = user
	return user.UserID, nil
}

// NewRoom implements provisioningtest.Homeserver.
func (h *homeserver) NewRoom(ctx context.Context, creator id.UserID, version string, others ...id.UserID) (id.RoomID, error) {
	var content map[string]any
	if version == "12" && len(others) > 0 {
		content = map[string]any{"additional_creators": others}
	}
	return h.create(ctx, creator, version, content)
}

// NewUpgrade implements provisioningtest.Homeserver.
func (h *homeserver) NewUpgrade(ctx context.Context, creator id.UserID, version string, predecessor id.RoomID) (id.RoomID, error) {
	return h.create(ctx, creator, version, map[string]any{"predecessor": map[string]any{"room_id": predecessor}})
}

// create makes a room with more in its first event.
func (h *homeserver) create(ctx context.Context, creator id.UserID, version string, content map[string]any) (id.RoomID, error) {
	room, err := h.users[creator].CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Preset: "public_chat", RoomVersion: id.RoomVersion(version), CreationContent: content,
	})
	if err != nil {
		return "", err
	}
	h.creators[room.RoomID] = h.users[creator]
	return room.RoomID, nil
}

// SetMember implements provisioningtest.Homeserver.
func (h *homeserver) SetMember(ctx context.Context, roomID id.RoomID, by, userID id.UserID, membership string) error {
	client, err := h.client(ctx, by)
	if err != nil {
		return err
	}
	switch {
	case membership == "join":
		_, err = client.JoinRoomByID(ctx, roomID)
	case membership == "invite":
		if _, err = h.client(ctx, userID); err == nil { // a ghost exists before it is invited
			_, err = client.InviteUser(ctx, roomID, &mautrix.ReqInviteUser{UserID: userID})
		}
	case membership == "ban":
		_, err = client.BanUser(ctx, roomID, &mautrix.ReqBanUser{UserID: userID})
	case by == userID:
		_, err = client.LeaveRoom(ctx, roomID)
	case h.Members(roomID)[userID] == "ban":
		_, err = client.UnbanUser(ctx, roomID, &mautrix.ReqUnbanUser{UserID: userID})
	default:
		_, err = client.KickUser(ctx, roomID, &mautrix.ReqKickUser{UserID: userID})
	}
	return err
}

// SetState implements provisioningtest.Homeserver. It sets what no client may set, too.
func (h *homeserver) SetState(_ context.Context, roomID id.RoomID, _ id.UserID, eventType, stateKey, content string) error {
	return h.Server.SetState(roomID, eventType, stateKey, content)
}

// State implements provisioningtest.Homeserver. The creator of a room stays in it, and the
// bridge bot in those of direct chats, which the bridge creates.
func (h *homeserver) State(ctx context.Context, roomID id.RoomID) (state []provisioningtest.StateEvent, err error) {
	witness, ok := h.creators[roomID]
	if !ok {
		if witness, err = h.client(ctx, h.bridge.BotMXID()); err != nil {
			return nil, err
		}
	}
	_, err = witness.MakeRequest(ctx, http.MethodGet, witness.BuildClientURL("v3", "rooms", roomID, "state"), nil, &state)
	return state, err
}

// Profile implements provisioningtest.Homeserver.
func (h *homeserver) Profile(_ context.Context, userID id.UserID) (string, id.ContentURIString, error) {
	name, avatar, _ := h.Server.Profile(userID)
	return name, avatar, nil
}

// roomsBackend starts a homeserver, and the bridge's Rooms, whose requests the suite
// disturbs.
func roomsBackend(t *testing.T) provisioningtest.RoomsBackend {
	registration := appservice.CreateRegistration()
	registration.ID, registration.SenderLocalpart = "bridge", "telegrambot"
	registration.Namespaces.UserIDs = appservice.NamespaceList{{Regex: `@telegram_[0-9]+:example\.com`, Exclusive: true}}
	server, err := matrixtest.Start(matrixtest.Config{ServerName: "example.com", Registrations: []*appservice.Registration{registration}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	bridge, err := appservice.CreateFull(appservice.CreateOpts{
		Registration: registration, HomeserverDomain: "example.com", HomeserverURL: server.URL(),
	})
	if err != nil {
		t.Fatal(err)
	}
	network := &provisioningtest.Network{}
	bridge.HTTPClient = &http.Client{Transport: network}
	db := openDatabase(t, filepath.Join(t.TempDir(), "bridge.db"), "")
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: bridge, DB: db})
	if err != nil {
		t.Fatal(err)
	}
	return provisioningtest.RoomsBackend{
		Rooms: bridgeRooms{rooms, &sync.Map{}}, Bot: bridge.BotMXID(), Ghost: rooms.GhostID, Disturb: network.Disturb,
		Homeserver: &homeserver{server, bridge, map[id.UserID]*mautrix.Client{}, map[id.RoomID]*mautrix.Client{}},
	}
}

// A bridge with a Rooms of its own writes a test function that runs the suite on it, with a
// homeserver where the suite makes rooms. The suites of the optional interfaces that it
// implements run on the same backend.
func ExampleTestRooms() {
	var t *testing.T // the one of: func TestRooms(t *testing.T)

	provisioningtest.TestRooms(t, roomsBackend)
	provisioningtest.TestDirectRooms(t, roomsBackend)
	provisioningtest.TestGhostAvatars(t, roomsBackend)
}
