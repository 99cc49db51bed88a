package portal_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// calls are all methods that ask the homeserver something.
func (w *world) calls(roomID id.RoomID) map[string]func(context.Context) error {
	p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
	return map[string]func(context.Context) error{
		"CheckBot": func(ctx context.Context) error { return w.rooms.CheckBot(ctx, roomID) },
		"HasPower": func(ctx context.Context) error {
			_, err := w.rooms.HasPower(ctx, roomID, w.alice.UserID, "x")
			return err
		},
		"Room": func(ctx context.Context) error {
			_, err := w.rooms.Room(ctx, roomID, provisioning.RoomQuery{Content: true})
			return err
		},
		"SetUpPortal": func(ctx context.Context) error {
			return w.rooms.SetUpPortal(ctx, provisioning.PortalSetup{Portal: p})
		},
		"CleanUp": func(ctx context.Context) error { return w.rooms.CleanUp(ctx, p, true) },
		"CreateDirect": func(ctx context.Context) error {
			_, err := w.rooms.CreateDirect(ctx, w.alice.UserID, provisioning.Contact{ID: 7, Name: "New"})
			return err
		},
		"InviteToDirect": func(ctx context.Context) error {
			return w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42)
		},
		"UpdateGhost": func(ctx context.Context) error {
			return w.rooms.UpdateGhost(ctx, provisioning.Contact{ID: 8, Name: "New"}, nil)
		},
	}
}

// checkFault says whether an error is the homeserver's, with nothing of the request.
func (w *world) checkFault(err error, name string) {
	w.t.Helper()
	require.ErrorIs(w.t, err, provisioning.ErrHomeserver, name)
	require.NotErrorIs(w.t, err, provisioning.ErrBridgeBotNotInRoom, name)
	assert.NotContains(w.t, err.Error(), w.as.Registration.AppToken, name)
	if _, ok := errors.AsType[mautrix.HTTPError](err); ok {
		assert.Fail(w.t, "the error holds the request, and the token", name)
	}
}

// A homeserver that can't be reached, or has troubles, is not a room without the bot.
func TestHomeserverIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{Name: "Room"})
	for name, call := range w.calls(roomID) {
		w.hs.Fail("", 1000, 502, "M_UNKNOWN")
		w.checkFault(call(t.Context()), name)
		w.hs.Fail("", 1000, 401, "M_UNKNOWN_TOKEN")
		w.checkFault(call(t.Context()), name)
		w.hs.Fail("", 1000, 429, "M_LIMIT_EXCEEDED") // each to be tried again after 1 ms
		w.checkFault(call(t.Context()), name)
		w.hs.Fail("", 0, 0, "")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := call(ctx)
		require.ErrorIs(t, err, context.Canceled, name)
		require.NotErrorIs(t, err, provisioning.ErrHomeserver, name)
		assert.NotContains(t, err.Error(), w.as.Registration.AppToken)
	}
	require.Equal(t, event.MembershipJoin, w.hs.Members(roomID)[botID], "nothing has happened")
	// A rate limit is waited for.
	w.hs.Fail("GET state", 3, 429, "M_LIMIT_EXCEEDED")
	require.NoError(t, w.rooms.CheckBot(t.Context(), roomID))
	require.NoError(t, w.hs.Close())
	for name, call := range w.calls(roomID) {
		w.checkFault(call(t.Context()), name)
	}
}

// answering returns Rooms whose homeserver has one answer to everything, and the number
// of requests that it got.
func answering(t *testing.T, answer func(http.ResponseWriter)) (rooms *portal.Rooms, requests func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		n++
		mu.Unlock()
		answer(rw)
	}))
	t.Cleanup(server.Close)
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: newAppService(t, registration(), server.URL), DB: newDatabase(t)})
	require.NoError(t, err)
	return rooms, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// What is not an answer of a homeserver's about the room says nothing of the room.
func TestAnswersThatSayNothingOfTheRoom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		status     int
		notIn      bool // else it is the homeserver's fault
		requests   int
	}{
		{"a proxy's 404", "<html>Not Found</html>", 404, false, 1},
		{"a proxy's 403", "Forbidden", 403, false, 1},
		{"no Matrix there", `{"errcode":"M_UNRECOGNIZED","error":"?"}`, 404, false, 1},
		{"token unknown", `{"errcode":"M_UNKNOWN_TOKEN","error":"?"}`, 403, false, 1},
		{"a proxy's 502", "<html>Bad Gateway</html>", 502, false, 1},
		{"error without a code", `{}`, 500, false, 1},
		{"no JSON", "<html>Welcome</html>", 200, false, 1},
		{"half of JSON", `{"membership":"jo`, 200, false, 1},
		{"rate limit", `{"errcode":"M_LIMIT_EXCEEDED","error":"?","retry_after_ms":0}`, 429, false, 10},
		{"nothing", `null`, 200, true, 1},
		{"no membership", `{}`, 200, true, 1},
		{"membership of no kind", `{"membership":1}`, 200, true, 1},
		{"not found", `{"errcode":"M_NOT_FOUND","error":"?"}`, 404, true, 1},
		{"forbidden", `{"errcode":"M_FORBIDDEN","error":"?"}`, 403, true, 1},
		{"invalid", `{"errcode":"M_INVALID_PARAM","error":"?"}`, 400, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			rooms, requests := answering(t, func(rw http.ResponseWriter) {
				rw.WriteHeader(c.status)
				_, _ = rw.Write([]byte(c.body))
			})
			err := rooms.CheckBot(t.Context(), "!room:example.com")
			if c.notIn {
				require.ErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom)
				require.NotErrorIs(t, err, provisioning.ErrHomeserver)
			} else {
				require.ErrorIs(t, err, provisioning.ErrHomeserver)
				require.NotErrorIs(t, err, provisioning.ErrBridgeBotNotInRoom)
			}
			assert.Equal(t, c.requests, requests())
		})
	}
}

// A cancelled context ends the wait for a rate limit.
func TestRateLimitHonoursContext(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(http.ResponseWriter){
		"header": func(rw http.ResponseWriter) {
			rw.Header().Set("Retry-After", "3600")
			rw.WriteHeader(http.StatusTooManyRequests)
		},
		"body": func(rw http.ResponseWriter) {
			rw.WriteHeader(http.StatusTooManyRequests)
			_, _ = rw.Write([]byte(`{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":3600000}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			rooms, requests := answering(t, func(rw http.ResponseWriter) {
				limit(rw)
				cancel()
			})
			err := rooms.CheckBot(ctx, "!room:example.com")
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, provisioning.ErrHomeserver)
			assert.Equal(t, 1, requests())
		})
	}
}
