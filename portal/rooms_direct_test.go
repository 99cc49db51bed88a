package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestDirectRoom(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"10", "11", "12"} {
		t.Run(version, func(t *testing.T) {
			w := newWorld(t, version)
			ctx := t.Context()
			roomID, err := w.rooms.CreateDirect(ctx, w.alice.UserID, zaphod)
			require.NoError(t, err)
			assert.Equal(t, map[id.UserID]event.Membership{ghostID: event.MembershipJoin, botID: event.MembershipJoin}, w.hs.Members(roomID))
			assert.Empty(t, w.state(roomID, "m.room.name", ""))
			name, _, _ := w.hs.Profile(ghostID)
			assert.Equal(t, "Zaphod", name)
			for _, userID := range []id.UserID{botID, ghostID} {
				for _, eventType := range []string{"m.room.power_levels", "m.bridge", "m.room.tombstone"} {
					has, err := w.rooms.HasPower(ctx, roomID, userID, eventType)
					require.NoError(t, err)
					assert.True(t, has, "%s, %s", userID, eventType)
				}
			}
			for range 2 { // the second time, the user is invited
				require.NoError(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42))
				assert.Contains(t, w.state(roomID, "m.room.member", string(w.alice.UserID)), `"is_direct":true`)
			}
			has, err := w.rooms.HasPower(ctx, roomID, w.alice.UserID, "m.bridge")
			require.NoError(t, err)
			assert.False(t, has)
			w.joinAs(roomID, w.alice)
			before := w.hs.Calls("PUT state")
			require.NoError(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42))
			assert.Equal(t, before, w.hs.Calls("PUT state"))
			assert.Contains(t, w.who(roomID, event.MembershipJoin), w.alice.UserID)

			// Whoever has left is invited again, by the bot where the ghost is gone.
			_, err = w.alice.LeaveRoom(ctx, roomID)
			require.NoError(t, err)
			_, err = w.client(ghostID).LeaveRoom(ctx, roomID)
			require.NoError(t, err)
			require.NoError(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42))
			assert.Equal(t, []id.UserID{w.alice.UserID}, w.who(roomID, event.MembershipInvite))
			assert.Contains(t, w.state(roomID, "m.room.member", string(w.alice.UserID)), `"is_direct":true`)

			// Whoever is banned is not.
			_, err = w.client(botID).BanUser(ctx, roomID, &mautrix.ReqBanUser{UserID: w.alice.UserID})
			require.NoError(t, err)
			require.ErrorIs(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42), provisioning.ErrMatrixInviteRefused)
			_, err = w.client(botID).LeaveRoom(ctx, roomID)
			require.NoError(t, err)
			require.ErrorIs(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42), provisioning.ErrMatrixInviteRefused)
		})
	}
}

// The bot gets its power also from a homeserver that gives none to whom a trusted chat
// is created with.
func TestCreateDirectEmpowersBot(t *testing.T) {
	t.Parallel()
	for _, levels := range []string{
		`{"users":{"@telegram_42:example.com":100},"kick":7,"notifications":{"room":33}}`,
		`{"users_default":100}`, `{"users_default":100,"users":{"@telegrambot:example.com":0}}`,
	} {
		w := newWorld(t, "11")
		happened := w.once("GET", "/m.room.power_levels/", func() {
			assert.NoError(t, w.hs.SetState(w.hs.Rooms()[0], "m.room.power_levels", "", levels))
		})
		roomID, err := w.rooms.CreateDirect(t.Context(), w.alice.UserID, zaphod)
		require.NoError(t, err)
		require.True(t, happened())
		has, err := w.rooms.HasPower(t.Context(), roomID, botID, "m.room.power_levels")
		require.NoError(t, err)
		assert.True(t, has, levels)
		if levels[2:8] == `users"` {
			assert.JSONEq(t, `{"users":{"@telegram_42:example.com":100,"@telegrambot:example.com":100},"kick":7,"notifications":{"room":33}}`,
				w.state(roomID, "m.room.power_levels", ""))
		}
	}
	for _, levels := range []string{`[]`, ``, `{"users":{"@telegram_42:example.com":50},"state_default":100}`} {
		w := newWorld(t, "11")
		w.once("GET", "/m.room.power_levels/", func() {
			assert.NoError(t, w.hs.SetState(w.hs.Rooms()[0], "m.room.power_levels", "", levels))
		})
		_, err := w.rooms.CreateDirect(t.Context(), w.alice.UserID, zaphod)
		w.checkFault(err, levels)
		assert.Empty(t, w.inRooms(), levels)
	}
}

// inRooms lists who is in any room, or invited.
func (w *world) inRooms() (users []id.UserID) {
	for _, roomID := range w.hs.Rooms() {
		users = slices.Concat(users, w.who(roomID, event.MembershipJoin), w.who(roomID, event.MembershipInvite))
	}
	return users
}

// A direct room that could not be finished is left again.
func TestCreateDirectFails(t *testing.T) {
	t.Parallel()
	for step := 1; ; step++ {
		w := newWorld(t, "")
		n := 0
		w.intercept(func(*http.Request) {
			if n++; n == step {
				w.hs.Fail("", 1, 503, "M_UNKNOWN")
			}
		})
		_, err := w.rooms.CreateDirect(t.Context(), w.alice.UserID, zaphod)
		w.intercept(nil)
		if n < step {
			require.NoError(t, err)
			break
		}
		w.checkFault(err, fmt.Sprint(step))
		assert.Empty(t, w.inRooms(), "step %d", step)
	}
	w := newWorld(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	// Whether that request is answered still or not, the next one is not made.
	w.once("GET", "/m.room.power_levels/", cancel)
	_, err := w.rooms.CreateDirect(ctx, w.alice.UserID, zaphod)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, provisioning.ErrHomeserver)
	assert.Len(t, w.hs.Rooms(), 1)
	assert.Empty(t, w.inRooms(), "left although the context has ended")
	w.hs.Fail("register", 1, 400, "M_EXCLUSIVE")
	_, err = w.rooms.CreateDirect(t.Context(), w.alice.UserID, provisioning.Contact{ID: 43, Name: "Trillian"})
	w.checkFault(err, "register")
}
