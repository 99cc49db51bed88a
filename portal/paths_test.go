package portal_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// oneByOne is how many requests to the homeserver a call waits for, one after the other. In the
// bubble of testing/synctest each takes a second, which passes when nothing else goes on.
func (w *world) oneByOne(call func(context.Context) error) (requests int) {
	w.t.Helper()
	transport := w.as.HTTPClient.Transport
	defer func() { w.as.HTTPClient.Transport = transport }()
	synctest.Test(w.t, func(t *testing.T) {
		// A connection that is kept would outlive the bubble.
		w.as.HTTPClient.Transport = delaying{&http.Transport{DisableKeepAlives: true}}
		start := time.Now()
		require.NoError(t, call(t.Context()))
		requests = int(time.Since(start) / time.Second)
	})
	return requests
}

// delaying is a transport whose requests take a second.
type delaying struct{ *http.Transport }

func (d delaying) RoundTrip(r *http.Request) (*http.Response, error) {
	<-time.After(time.Second)
	return d.Transport.RoundTrip(r)
}

// No call waits for more than it did: a path that grows is a fault, one that shrinks is to be
// written down.
func TestPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "11")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(roomID, botID, 100)
	p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "Title", About: "About"}
	var direct id.RoomID
	for _, c := range []struct {
		name string
		want int
		call func(context.Context) error
	}{
		{"CheckBot", 1, func(ctx context.Context) error { return w.rooms.CheckBot(ctx, roomID) }},
		{"HasPower", 1, func(ctx context.Context) error {
			_, err := w.rooms.HasPower(ctx, roomID, w.alice.UserID, "m.room.name")
			return err
		}},
		{"Room", 1, func(ctx context.Context) error {
			_, err := w.rooms.Room(ctx, roomID, provisioning.RoomQuery{Content: true})
			return err
		}},
		{"SetUpPortal", 2, func(ctx context.Context) error {
			return w.rooms.SetUpPortal(ctx, provisioning.PortalSetup{Portal: p})
		}},
		{"SetUpPortal again", 1, func(ctx context.Context) error {
			return w.rooms.SetUpPortal(ctx, provisioning.PortalSetup{Portal: p})
		}},
		{"CreateDirect", 2, func(ctx context.Context) (err error) {
			direct, err = w.rooms.CreateDirect(ctx, w.alice.UserID, zaphod)
			return err
		}},
		{"InviteToDirect", 1, func(ctx context.Context) error { return w.rooms.InviteToDirect(ctx, direct, w.alice.UserID, zaphod.ID) }},
		{"InviteToDirect again", 1, func(ctx context.Context) error {
			return w.rooms.InviteToDirect(ctx, direct, w.alice.UserID, zaphod.ID)
		}},
		{"CleanUp", 4, func(ctx context.Context) error { return w.rooms.CleanUp(ctx, p, false) }},
		{"CleanUp of nothing", 2, func(ctx context.Context) error { return w.rooms.CleanUp(ctx, p, false) }},
		{"CleanUp of everybody", 4, func(ctx context.Context) error { return w.rooms.CleanUp(ctx, p, true) }},
	} {
		assert.Equal(t, c.want, w.oneByOne(c.call), c.name)
	}
	assert.Equal(t, event.MembershipInvite, w.hs.Members(direct)[w.alice.UserID])
}
