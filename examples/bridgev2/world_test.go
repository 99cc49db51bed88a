//go:build cgo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// world is a bridge with everything around it.
type world struct {
	*local
	t      *testing.T
	ctx    context.Context
	bridge *bridge
	change func(*bridge) // is called before a bridge starts
}

// newWorld starts a bridge that is stopped when the test ends.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, localAccounts, func(*bridge) {})
}

// newWorldWith starts a bridge that is changed before it starts, on a Telegram with some
// accounts.
func newWorldWith(t *testing.T, accounts []telegramtest.Account, change func(*bridge)) *world {
	t.Helper()
	const patience = 2 * time.Minute // for a slow machine
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	l, err := startLocal("error", accounts)
	require.NoError(t, err)
	t.Cleanup(l.close)
	w := &world{local: l, t: t, ctx: ctx, change: change}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	b, err := w.newBridge()
	require.NoError(w.t, err)
	w.change(b)
	b.Start()
	w.bridge = b
}

func (w *world) stop() { w.stopBridge(w.bridge) }

// v3 calls bridgev2's own API for a user, and returns the status and the answer.
func (w *world) v3(method, path string, as id.UserID, body any) (int, map[string]any) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(w.t, err)
	address := w.address() + "/_matrix/provision/v3/" + path + "?user_id=" + url.QueryEscape(string(as))
	request, err := http.NewRequestWithContext(w.ctx, method, address, bytes.NewReader(raw))
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer "+w.secret)
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer response.Body.Close()
	raw, err = io.ReadAll(response.Body)
	require.NoError(w.t, err)
	answer := map[string]any{}
	require.NoError(w.t, json.Unmarshal(raw, &answer), "%s", raw)
	return response.StatusCode, answer
}

// submit answers a step of a login, and returns the next.
func (w *world) submit(as id.UserID, step map[string]any, value string) (int, map[string]any) {
	w.t.Helper()
	name := step["step_id"].(string)
	return w.v3("POST", "login/step/"+step["login_id"].(string)+"/"+name+"/user_input", as, map[string]string{name: value})
}

// logIn logs a user in to an account, with what it asks for, and returns the last step.
func (w *world) logIn(as id.UserID, flow string, inputs ...string) map[string]any {
	w.t.Helper()
	status, step := w.v3("POST", "login/start/"+flow, as, nil)
	for _, input := range inputs {
		require.Equal(w.t, http.StatusOK, status, "%v", step)
		status, step = w.submit(as, step, input)
	}
	require.Equal(w.t, http.StatusOK, status, "%v", step)
	require.Equal(w.t, "complete", step["type"], "%v", step)
	return step
}

// person is somebody on the homeserver.
type person struct {
	*mautrix.Client
	w     *world
	since string
	seen  []*event.Event // in rooms where they have joined
}

func (w *world) person(localpart string) *person {
	w.t.Helper()
	client, err := w.homeserver.AddUser(localpart)
	require.NoError(w.t, err)
	return &person{Client: client, w: w}
}

// until syncs, and joins every room that they are invited to, until done says that it has
// seen enough.
func (p *person) until(what string, done func() bool) {
	p.w.t.Helper()
	const longPoll = 30_000
	for !done() {
		answer, err := p.SyncRequest(p.w.ctx, longPoll, p.since, "", false, "")
		require.NoError(p.w.t, err, "waiting until %s; seen: %v", what, p.texts())
		p.since = answer.NextBatch
		for roomID := range answer.Rooms.Invite {
			_, err := p.JoinRoomByID(p.w.ctx, roomID)
			require.NoError(p.w.t, err)
		}
		for roomID, room := range answer.Rooms.Join {
			for _, e := range slices.Concat(room.State.Events, room.Timeline.Events) {
				e.RoomID = roomID
				_ = e.Content.ParseRaw(e.Type)
				p.seen = append(p.seen, e)
			}
		}
	}
}

// roomNamed waits until they are in a room of that name, and returns it.
func (p *person) roomNamed(name string) (roomID id.RoomID) {
	p.w.t.Helper()
	p.until("there is a room "+name, func() bool {
		for _, e := range p.seen {
			if e.Type == event.StateRoomName && e.Content.AsRoomName().Name == name {
				roomID = e.RoomID
			}
		}
		return roomID != ""
	})
	return roomID
}

// message waits for a text message, and returns it.
func (p *person) message(text string) (found *event.Event) {
	p.w.t.Helper()
	p.until("somebody says "+text, func() bool {
		for _, e := range p.seen {
			if e.Type == event.EventMessage && e.Content.AsMessage().Body == text {
				found = e
			}
		}
		return found != nil
	})
	return found
}

// noticeOf waits until the bridge says that a login is in a state.
func (p *person) noticeOf(state string) {
	p.w.t.Helper()
	p.until("the bridge says "+state, func() bool {
		return slices.ContainsFunc(p.texts(), func(text string) bool { return strings.Contains(text, state) })
	})
}

// texts lists what was said.
func (p *person) texts() (texts []string) {
	for _, e := range p.seen {
		if e.Type == event.EventMessage {
			texts = append(texts, e.Content.AsMessage().Body)
		}
	}
	return texts
}
