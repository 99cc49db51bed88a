package portal_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

func TestHasPower(t *testing.T) {
	t.Parallel()
	const eventType = "fi.mau.telegram.bridge"
	cases := []struct {
		name, levels string
		alice, bob   bool // alice has created the room
	}{
		{"empty", "{}", false, false},
		{"numbers", `{"users":{"@alice:example.com":50,"@bob:example.com":49}}`, true, false},
		{"default", `{"users_default":50}`, true, true},
		{"state default", `{"users_default":50,"state_default":51}`, false, false},
		{"own type", `{"users":{"@bob:example.com":7},"events":{"fi.mau.telegram.bridge":7},"state_default":99}`, false, true},
		{"other type", `{"users":{"@bob:example.com":50},"events":{"fi.mau.telegram.unbridge":99}}`, false, true},
		{"strings", `{"users":{"@bob:example.com":" 50 "},"state_default":"50"}`, false, true},
		{"whole floats", `{"users":{"@bob:example.com":50.0,"@alice:example.com":5e1}}`, true, true},
		{"negative", `{"users":{"@bob:example.com":-1},"events":{"fi.mau.telegram.bridge":-1},"users_default":-2}`, false, true},
		{"null", `{"users":null,"users_default":null,"events":null,"state_default":0}`, true, true},
		{"largest", `{"users":{"@bob:example.com":9223372036854775807},"state_default":9007199254740991}`, false, true},
		{"no power levels", "", true, false},
		{"fractions", `{"users":{"@alice:example.com":50.5},"users_default":99.9}`, false, false},
		{"words", `{"users":{"@alice:example.com":"admin"},"users_default":true}`, false, false},
		{"odd numbers in strings", `{"users":{"@alice:example.com":"0x64","@bob:example.com":"5e1"}}`, false, false},
		{"null level", `{"users":{"@alice:example.com":null},"users_default":"inf"}`, false, false},
		{"users a list", `{"users":["@alice:example.com"],"users_default":100}`, false, false},
		{"events a number", `{"users_default":100,"events":5}`, false, false},
		{"level an object", `{"users_default":100,"events":{"fi.mau.telegram.bridge":{}}}`, false, false},
		{"largest and an object", `{"users_default":9223372036854775807,"events":{"fi.mau.telegram.bridge":{}}}`, false, false},
		{"too large", `{"users":{"@alice:example.com":1e300,"@bob:example.com":99999999999999999999}}`, false, false},
		{"a list", `[]`, false, false},
		{"a word", `"all"`, false, false},
		{"a number", `100`, false, false},
	}
	for _, version := range []string{"10", "11", "12"} {
		t.Run("version "+version, func(t *testing.T) {
			w := newWorld(t, version)
			bob, gone := w.newUser("bob"), w.newUser("gone")
			for _, c := range cases {
				roomID := w.withBot(mautrix.ReqCreateRoom{})
				w.joinAs(roomID, bob)
				require.NoError(t, w.hs.SetState(roomID, "m.room.power_levels", "", c.levels))
				for userID, want := range map[id.UserID]bool{
					w.alice.UserID: c.alice || version == "12", bob.UserID: c.bob,
					gone.UserID: false, "@nobody:example.com": false, // who are not in the room
				} {
					got, err := w.rooms.HasPower(t.Context(), roomID, userID, eventType)
					require.NoError(t, err, c.name)
					assert.Equal(t, want, got, "%s, of %s", c.name, userID)
				}
			}
		})
	}
}

// Whoever is not in the room any more, or not yet, has no power there, whatever they had.
func TestHasPowerOnlyInTheRoom(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"11", "12"} {
		for name, leave := range map[string]func(w *world, roomID id.RoomID, bob *mautrix.Client) error{
			"left": func(w *world, roomID id.RoomID, bob *mautrix.Client) error {
				_, err := bob.LeaveRoom(w.t.Context(), roomID)
				return err
			},
			"invited again": func(w *world, roomID id.RoomID, bob *mautrix.Client) error {
				if _, err := bob.LeaveRoom(w.t.Context(), roomID); err != nil {
					return err
				}
				_, err := w.alice.InviteUser(w.t.Context(), roomID, &mautrix.ReqInviteUser{UserID: bob.UserID})
				return err
			},
			"banned": func(w *world, roomID id.RoomID, bob *mautrix.Client) error {
				return w.hs.SetState(roomID, "m.room.member", string(bob.UserID), `{"membership":"ban"}`)
			},
		} {
			w := newWorld(t, version)
			bob := w.newUser("bob")
			roomID := w.withBot(mautrix.ReqCreateRoom{CreationContent: map[string]any{"additional_creators": []id.UserID{bob.UserID}}})
			w.joinAs(roomID, bob)
			if version != "12" {
				w.empower(roomID, bob.UserID, 100)
			}
			got, err := w.rooms.HasPower(t.Context(), roomID, bob.UserID, "x")
			require.NoError(t, err)
			assert.True(t, got, name)
			require.NoError(t, leave(w, roomID, bob))
			got, err = w.rooms.HasPower(t.Context(), roomID, bob.UserID, "x")
			require.NoError(t, err)
			assert.False(t, got, name)
		}
	}
}

// A creator besides the first one is one too, in version 12 alone.
func TestAdditionalCreators(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"11", "12"} {
		w := newWorld(t, version)
		bob := w.newUser("bob")
		roomID := w.withBot(mautrix.ReqCreateRoom{CreationContent: map[string]any{"additional_creators": []id.UserID{bob.UserID}}})
		w.joinAs(roomID, bob)
		got, err := w.rooms.HasPower(t.Context(), roomID, bob.UserID, "x")
		require.NoError(t, err)
		assert.Equal(t, version == "12", got)
	}
}

// A homeserver that does not tell who has sent an event is asked for all state.
func TestCreatorWithoutSender(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"11", "12"} {
		w := newWorld(t, version)
		roomID := w.withBot(mautrix.ReqCreateRoom{})
		require.NoError(t, w.hs.SetState(roomID, "m.room.power_levels", "", ""))
		w.intercept(func(r *http.Request) {
			query := r.URL.Query()
			query.Del("format")
			r.URL.RawQuery = query.Encode()
		})
		got, err := w.rooms.HasPower(t.Context(), roomID, w.alice.UserID, "x")
		require.NoError(t, err)
		assert.True(t, got)
		got, err = w.rooms.HasPower(t.Context(), roomID, ghostID, "x")
		require.NoError(t, err)
		assert.False(t, got)
	}
}
