package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// bridge is an appservice of the test process which a homeserver sends transactions to: what
// they hold comes out of Events. Its bot is a plain client, since an IntentAPI joins a
// room before it reads anything there.
type bridge struct {
	*appservice.AppService
	bot *mautrix.Client
}

// startBridge starts Dendrite, knowing one appservice, and the appservice.
func startBridge(t *testing.T) (*dendrite, *bridge) {
	t.Helper()
	hs, b := bridgeOn(t, homeservers["dendrite"])
	return hs.(*dendrite), b
}

// eachHomeserver runs a test on every homeserver: what the in-memory one answers has to
// be what Dendrite does.
func eachHomeserver(t *testing.T, test func(*testing.T, homeserver, *bridge)) {
	t.Helper()
	for name, newHomeserver := range homeservers {
		t.Run(name, func(t *testing.T) {
			hs, b := bridgeOn(t, newHomeserver)
			test(t, hs, b)
		})
	}
}

// bridgeOn starts a homeserver that knows one appservice, and the appservice.
func bridgeOn(t *testing.T, newHomeserver func(*testing.T, *appservice.Registration) homeserver) (homeserver, *bridge) {
	t.Helper()
	as := appservice.Create()
	as.Events = make(chan *event.Event, 1<<16) // a test that doesn't read them blocks nothing
	listener := httptest.NewServer(as.Router)
	t.Cleanup(listener.Close)
	as.Registration = appservice.CreateRegistration()
	as.Registration.ID, as.Registration.URL, as.Registration.SenderLocalpart = "telegram", listener.URL, "telegrambot"
	as.Registration.Namespaces.UserIDs = appservice.NamespaceList{{Regex: `@telegram_[0-9]+:dendrite\.test`, Exclusive: true}}
	as.HomeserverDomain = dendriteDomain
	hs := newHomeserver(t, as.Registration)
	require.NoError(t, as.SetHomeserverURL(hs.address()))
	return hs, &bridge{AppService: as, bot: as.BotClient()}
}

func (b *bridge) ghostID(number int) id.UserID {
	return id.NewUserID(fmt.Sprintf("telegram_%d", number), b.HomeserverDomain)
}

// ghost registers a ghost and returns its client.
func (b *bridge) ghost(t *testing.T, number int) *mautrix.Client {
	t.Helper()
	intent := b.Intent(b.ghostID(number))
	require.NoError(t, intent.Register(t.Context()))
	return intent.Client
}

// await returns the first event of the transactions for which is says yes.
func (b *bridge) await(t *testing.T, is func(*event.Event) bool) *event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case evt := <-b.Events:
			if is(evt) {
				return evt
			}
		case <-ctx.Done():
			require.FailNow(t, "the event didn't come")
		}
	}
}

// room creates a room and fails the test if that is refused.
func room(t *testing.T, creator *mautrix.Client, request mautrix.ReqCreateRoom) id.RoomID {
	t.Helper()
	answer, err := creator.CreateRoom(t.Context(), &request)
	require.NoError(t, err)
	return answer.RoomID
}

func join(t *testing.T, roomID id.RoomID, clients ...*mautrix.Client) {
	t.Helper()
	for _, client := range clients {
		_, err := client.JoinRoomByID(t.Context(), roomID)
		require.NoError(t, err)
	}
}

// outcome is how the homeserver answered: "200", or the status and the errcode.
func outcome(t *testing.T, err error) string {
	t.Helper()
	var answer mautrix.HTTPError
	switch {
	case err == nil:
		return "200"
	case !errors.As(err, &answer) || answer.Response == nil:
		require.NoError(t, err)
		return ""
	case answer.RespError == nil || answer.RespError.ErrCode == "":
		return fmt.Sprint(answer.Response.StatusCode)
	default:
		return fmt.Sprintf("%d %s", answer.Response.StatusCode, answer.RespError.ErrCode)
	}
}

// ask sends a request about a room and returns the outcome, and the body of a 200.
func ask(t *testing.T, client *mautrix.Client, method string, body any, roomID id.RoomID, path ...any) (string, map[string]any) {
	t.Helper()
	url := client.BuildClientURL(append([]any{"v3", "rooms", roomID}, path...)...)
	raw, err := client.MakeRequest(t.Context(), method, url, body, nil)
	var content map[string]any
	if err == nil && len(raw) > 0 && raw[0] == '{' {
		require.NoError(t, json.Unmarshal(raw, &content))
	}
	return outcome(t, err), content
}

func get(t *testing.T, client *mautrix.Client, roomID id.RoomID, path ...any) (string, map[string]any) {
	t.Helper()
	return ask(t, client, http.MethodGet, nil, roomID, path...)
}

func putState(t *testing.T, client *mautrix.Client, roomID id.RoomID, eventType, key string, content any) string {
	t.Helper()
	said, _ := ask(t, client, http.MethodPut, content, roomID, "state", eventType, key)
	return said
}

// raise writes the room's power levels back with one user at another level.
func raise(t *testing.T, client *mautrix.Client, roomID id.RoomID, user id.UserID, level int) string {
	t.Helper()
	said, levels := get(t, client, roomID, "state", "m.room.power_levels", "")
	require.Equal(t, "200", said)
	users, _ := levels["users"].(map[string]any)
	if users == nil {
		users = map[string]any{}
	}
	users[string(user)] = level
	levels["users"] = users
	return putState(t, client, roomID, "m.room.power_levels", "", levels)
}

func kick(t *testing.T, client *mautrix.Client, roomID id.RoomID, user id.UserID) string {
	t.Helper()
	_, err := client.KickUser(t.Context(), roomID, &mautrix.ReqKickUser{UserID: user})
	return outcome(t, err)
}

func leave(t *testing.T, client *mautrix.Client, roomID id.RoomID) string {
	t.Helper()
	_, err := client.LeaveRoom(t.Context(), roomID)
	return outcome(t, err)
}

// awaitInvite syncs until the user sees an invite to the room, and returns the stripped
// state that comes with it.
func awaitInvite(t *testing.T, client *mautrix.Client, roomID id.RoomID) map[string]*event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	since := ""
	for {
		sync, err := client.SyncRequest(ctx, 10_000, since, "", false, event.PresenceOffline)
		require.NoError(t, err)
		since = sync.NextBatch
		invite, ok := sync.Rooms.Invite[roomID]
		if !ok {
			continue
		}
		state := map[string]*event.Event{}
		for _, evt := range invite.State.Events {
			state[evt.Type.Type+" "+evt.GetStateKey()] = evt
		}
		return state
	}
}
