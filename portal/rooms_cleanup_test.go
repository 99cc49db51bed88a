package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

func TestCleanUp(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"10", "12"} {
		for _, everybody := range []bool{false, true} {
			t.Run(fmt.Sprintf("version %s, everybody %t", version, everybody), func(t *testing.T) {
				w := newWorld(t, version)
				ctx := t.Context()
				bob, mod := w.newUser("bob"), w.newUser("mod")
				roomID := w.withBot(mautrix.ReqCreateRoom{Name: "Room", Invite: []id.UserID{"@carol:example.com"}})
				w.empower(roomID, botID, 99)
				w.empower(roomID, mod.UserID, 99) // as powerful as the bot
				w.addGhosts(roomID, 100, 20)
				w.joinAs(roomID, bob)
				w.joinAs(roomID, mod)
				p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
				require.NoError(t, w.rooms.SetUpPortal(ctx, provisioning.PortalSetup{Portal: p}))
				// Other bridge info is none of ours.
				const other = `{"channel":{"id":"x"}}`
				require.NoError(t, w.hs.SetState(roomID, "m.bridge", "other", other))
				for range 2 { // the second time there is nothing left to do
					require.NoError(t, w.rooms.CleanUp(ctx, p, everybody))
				}
				assert.JSONEq(t, `{}`, w.state(roomID, "m.bridge", "fi.mau.telegram://telegram/-1"))
				assert.JSONEq(t, `{}`, w.state(roomID, "uk.half-shot.bridge", "fi.mau.telegram://telegram/-1"))
				assert.JSONEq(t, other, w.state(roomID, "m.bridge", "other"))
				assert.JSONEq(t, `{"name":"Room"}`, w.state(roomID, "m.room.name", ""))
				if everybody {
					assert.Equal(t, []id.UserID{w.alice.UserID, mod.UserID}, w.who(roomID, event.MembershipJoin), "who can't be kicked stays")
					assert.Empty(t, w.who(roomID, event.MembershipInvite))
				} else {
					assert.Equal(t, []id.UserID{w.alice.UserID, bob.UserID, mod.UserID, botID}, w.who(roomID, event.MembershipJoin))
					assert.Equal(t, []id.UserID{"@carol:example.com"}, w.who(roomID, event.MembershipInvite))
				}
			})
		}
	}
}

// The bot leaves a room before the clean-up of an earlier portal of it comes to its end.
func TestCleanUpEarlierPortals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.mighty(mautrix.ReqCreateRoom{})
	earlier, latest := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}, provisioning.Portal{RoomID: roomID, ChatID: -2, Title: "T"}
	for _, p := range []provisioning.Portal{earlier, latest} {
		require.NoError(t, w.rooms.SetUpPortal(t.Context(), provisioning.PortalSetup{Portal: p}))
	}
	// Another bridge of this kind is in the room as well.
	const other = `{"bridgebot":"@other:example.com"}`
	require.NoError(t, w.hs.SetState(roomID, "m.bridge", "fi.mau.telegram://telegram/-3", other))
	for _, p := range []provisioning.Portal{latest, earlier} {
		require.NoError(t, w.rooms.CleanUp(t.Context(), p, p == latest))
	}
	for _, eventType := range []string{"m.bridge", "uk.half-shot.bridge"} {
		assert.JSONEq(t, `{}`, w.state(roomID, eventType, "fi.mau.telegram://telegram/-1"))
		assert.JSONEq(t, `{}`, w.state(roomID, eventType, "fi.mau.telegram://telegram/-2"))
	}
	assert.JSONEq(t, other, w.state(roomID, "m.bridge", "fi.mau.telegram://telegram/-3"))
}

// What was recorded by SetUpPortal again after a clean-up is there again.
func TestSetUpAfterCleanUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.mighty(mautrix.ReqCreateRoom{})
	for range 2 {
		require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, nil)))
		assert.JSONEq(t, newsInfo(""), w.state(roomID, "m.bridge", newsKey))
		require.NoError(t, w.rooms.CleanUp(t.Context(), news(roomID, nil).Portal, false))
		assert.JSONEq(t, `{}`, w.state(roomID, "m.bridge", newsKey))
	}
}

func TestCleanUpLargeRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(roomID, botID, 100)
	require.NoError(t, w.hs.AddMembers(roomID, 4500))
	w.addGhosts(roomID, 1000, 499)
	p := provisioning.Portal{RoomID: roomID, ChatID: -1}
	before := w.hs.Calls("leave") + w.hs.Calls("kick")
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, false))
	assert.Equal(t, 500, w.hs.Calls("leave")+w.hs.Calls("kick")-before, "the ghosts leave")
	assert.Len(t, w.who(roomID, event.MembershipJoin), 4502)
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
	assert.Equal(t, []id.UserID{w.alice.UserID}, w.who(roomID, event.MembershipJoin))
}

// Ghosts by the thousand leave as well.
func TestCleanUpManyGhosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.addGhosts(roomID, 1000, 1000)
	require.NoError(t, w.rooms.CleanUp(t.Context(), provisioning.Portal{RoomID: roomID, ChatID: -1}, true))
	assert.Equal(t, []id.UserID{w.alice.UserID}, w.who(roomID, event.MembershipJoin))
}

// Without the power to kick, nobody is kicked and nothing is tried; the bridge leaves.
func TestCleanUpWithoutPower(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	bob := w.newUser("bob")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.joinAs(roomID, bob)
	require.NoError(t, w.rooms.CleanUp(t.Context(), provisioning.Portal{RoomID: roomID, ChatID: -1}, true))
	assert.Zero(t, w.hs.Calls("kick"))
	assert.Equal(t, []id.UserID{w.alice.UserID, bob.UserID}, w.who(roomID, event.MembershipJoin))

	// Where the power levels make no sense, the homeserver decides.
	roomID = w.withBot(mautrix.ReqCreateRoom{})
	w.joinAs(roomID, bob)
	require.NoError(t, w.hs.SetState(roomID, "m.room.power_levels", "", `{"users":[],"kick":{}}`))
	require.NoError(t, w.rooms.CleanUp(t.Context(), provisioning.Portal{RoomID: roomID, ChatID: -1}, true))
	assert.Equal(t, 2, w.hs.Calls("kick"))
	assert.Equal(t, []id.UserID{w.alice.UserID, bob.UserID}, w.who(roomID, event.MembershipJoin))
}

// Ghosts that the homeserver refuses stop nothing; those invited go as well.
func TestCleanUpOfGhostsThatCannotLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(roomID, botID, 100)
	w.addGhosts(roomID, 100, 3)
	_, err := w.alice.BanUser(t.Context(), roomID, &mautrix.ReqBanUser{UserID: w.rooms.GhostID(100)})
	require.NoError(t, err)
	_, err = w.alice.KickUser(t.Context(), roomID, &mautrix.ReqKickUser{UserID: w.rooms.GhostID(101)})
	require.NoError(t, err)
	_, err = w.alice.InviteUser(t.Context(), roomID, &mautrix.ReqInviteUser{UserID: w.rooms.GhostID(101)})
	require.NoError(t, err)
	_, err = w.alice.InviteUser(t.Context(), roomID, &mautrix.ReqInviteUser{UserID: w.rooms.GhostID(555)}) // does not exist
	require.NoError(t, err)
	p := provisioning.Portal{RoomID: roomID, ChatID: -1}
	w.hs.Fail("leave", 1, 403, "M_FORBIDDEN")
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, false))
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
	assert.Equal(t, []id.UserID{w.alice.UserID}, w.who(roomID, event.MembershipJoin))
	assert.Equal(t, []id.UserID{w.rooms.GhostID(555)}, w.who(roomID, event.MembershipInvite), "nobody can act as it")
	assert.Equal(t, []id.UserID{w.rooms.GhostID(100)}, w.who(roomID, event.MembershipBan))
}

// A homeserver with troubles is an error. The others are kicked all the same, the bot
// stays, and the next time does the rest.
func TestCleanUpFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(roomID, botID, 100)
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, nil)))
	require.NoError(t, w.hs.AddMembers(roomID, 30))
	w.addGhosts(roomID, 100, 5)
	p := news(roomID, nil).Portal
	for _, operation := range []string{"PUT state", "kick", "leave", "state"} {
		w.hs.Fail(operation, 1, 503, "M_UNKNOWN")
		w.checkFault(w.rooms.CleanUp(t.Context(), p, true), operation)
		assert.Contains(t, w.who(roomID, event.MembershipJoin), botID, "the bot stays until the end")
	}
	assert.Len(t, w.who(roomID, event.MembershipJoin), 2, "one fault stops nothing")
	require.NoError(t, w.hs.AddMembers(roomID, 30))
	w.hs.Fail("kick", 3, 429, "M_LIMIT_EXCEEDED")
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
	assert.Equal(t, []id.UserID{w.alice.UserID}, w.who(roomID, event.MembershipJoin))
	assert.JSONEq(t, `{}`, w.state(roomID, "m.bridge", newsKey))
}

// Whatever call of the bridge's fails, repeating it until it succeeds empties the room.
func TestCleanUpIsRepeatedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	for _, everybody := range []bool{false, true} {
		w := newWorld(t, "")
		roomID := w.withBot(mautrix.ReqCreateRoom{Invite: []id.UserID{"@carol:example.com"}})
		w.empower(roomID, botID, 99)
		w.joinAs(roomID, w.newUser("bob"))
		require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, nil)))
		for step := 1; ; step++ {
			n := 0
			w.intercept(func(*http.Request) {
				if n++; n == step {
					w.hs.Fail("", 1, 503, "M_UNKNOWN")
				}
			})
			err := w.rooms.CleanUp(t.Context(), news(roomID, nil).Portal, everybody)
			w.intercept(nil)
			if n < step {
				require.NoError(t, err)
				break
			}
			w.checkFault(err, fmt.Sprint(step))
		}
		assert.JSONEq(t, `{}`, w.state(roomID, "m.bridge", newsKey))
		if everybody {
			assert.Equal(t, []id.UserID{w.alice.UserID}, w.who(roomID, event.MembershipJoin))
		} else {
			assert.Equal(t, []id.UserID{w.alice.UserID, "@bob:example.com", botID}, w.who(roomID, event.MembershipJoin))
		}
	}
}

// A homeserver that fails for everybody is not asked 5,000 times, and a cancelled
// context ends it at once.
func TestCleanUpStopsWhereEverybodyFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.empower(roomID, botID, 100)
	require.NoError(t, w.hs.AddMembers(roomID, 5000))
	p := provisioning.Portal{RoomID: roomID, ChatID: -1}
	w.hs.Fail("kick", 10_000, 503, "M_UNKNOWN")
	w.checkFault(w.rooms.CleanUp(t.Context(), p, true), "kick")
	assert.Less(t, w.hs.Calls("kick"), 100)
	assert.NotContains(t, w.who(roomID, event.MembershipJoin), ghostID, "ghosts leave all the same")
	w.hs.Fail("kick", 0, 0, "")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.once("POST", "/kick", cancel)
	before := w.hs.Calls("kick")
	require.ErrorIs(t, w.rooms.CleanUp(ctx, p, true), context.Canceled)
	assert.Less(t, w.hs.Calls("kick")-before, 100)
	w.intercept(nil)
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
	assert.Equal(t, []id.UserID{w.alice.UserID}, w.who(roomID, event.MembershipJoin))
}

// Where the bot is not in the room, the ghosts that the StateStore has seen there leave,
// and with them all the others.
func TestCleanUpWithoutBot(t *testing.T) {
	t.Parallel()
	for _, banned := range []bool{false, true} {
		w := newWorld(t, "")
		bob := w.newUser("bob")
		roomID := w.withBot(mautrix.ReqCreateRoom{})
		w.joinAs(roomID, bob)
		w.addGhosts(roomID, 100, 5)
		_, err := w.alice.KickUser(t.Context(), roomID, &mautrix.ReqKickUser{UserID: botID})
		require.NoError(t, err)
		if banned {
			_, err = w.alice.BanUser(t.Context(), roomID, &mautrix.ReqBanUser{UserID: botID})
			require.NoError(t, err)
		}
		p := provisioning.Portal{RoomID: roomID, ChatID: -1}
		// The host's StateStore has seen some of the ghosts, one of which has left.
		require.NoError(t, w.as.StateStore.ClearCachedMembers(t.Context(), roomID, event.MembershipJoin))
		require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
		assert.Len(t, w.who(roomID, event.MembershipJoin), 8, "nobody is known to be there")
		for _, telegramID := range []provisioning.TelegramID{100, 103} {
			require.NoError(t, w.as.StateStore.SetMembership(t.Context(), roomID, w.rooms.GhostID(telegramID), event.MembershipJoin))
		}
		_, err = w.client(w.rooms.GhostID(100)).LeaveRoom(t.Context(), roomID)
		require.NoError(t, err)
		require.NoError(t, w.as.StateStore.SetMembership(t.Context(), roomID, w.rooms.GhostID(100), event.MembershipJoin))
		for range 2 {
			require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
		}
		assert.Equal(t, []id.UserID{w.alice.UserID, bob.UserID}, w.who(roomID, event.MembershipJoin))
	}
}

// Events come to the StateStore while a clean-up looks at it. The race detector sees it
// where the two are not apart.
func TestCleanUpWhileEventsCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	_, err := w.alice.KickUser(t.Context(), roomID, &mautrix.ReqKickUser{UserID: botID})
	require.NoError(t, err)
	var events sync.WaitGroup
	cleaned := make(chan struct{})
	events.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-cleaned:
				return
			default:
			}
			stranger := id.UserID(fmt.Sprintf("@stranger%d:example.com", i%1000))
			assert.NoError(t, w.as.StateStore.SetMembership(t.Context(), roomID, stranger, event.MembershipJoin))
		}
	})
	for range 20 {
		require.NoError(t, w.rooms.CleanUp(t.Context(), provisioning.Portal{RoomID: roomID, ChatID: -1}, false))
	}
	close(cleaned)
	events.Wait()
}

// A bot that was only invited refuses the invitation to a room that is deleted.
func TestCleanUpInvitedBot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.room(mautrix.ReqCreateRoom{Preset: "private_chat", Invite: []id.UserID{botID}})
	p := provisioning.Portal{RoomID: roomID, ChatID: -1}
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, false))
	assert.Equal(t, []id.UserID{botID}, w.who(roomID, event.MembershipInvite))
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
	assert.Empty(t, w.who(roomID, event.MembershipInvite))
}

// The ghost that has created a room can kick whoever the bot can't, and both when the
// bot is gone.
func TestCleanUpDirectRoom(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"10", "12"} {
		for _, bot := range []string{"mighty", "weak", "gone"} {
			t.Run(version+" "+bot, func(t *testing.T) {
				w := newWorld(t, version)
				ctx := t.Context()
				roomID, err := w.rooms.CreateDirect(ctx, w.alice.UserID, zaphod)
				require.NoError(t, err)
				require.NoError(t, w.rooms.InviteToDirect(ctx, roomID, w.alice.UserID, 42))
				w.joinAs(roomID, w.alice)
				switch bot {
				case "weak":
					require.NoError(t, w.hs.SetState(roomID, "m.room.power_levels", "",
						`{"users":{"@telegram_42:example.com":100,"@alice:example.com":60,"@telegrambot:example.com":60}}`))
				case "gone":
					_, err = w.client(botID).LeaveRoom(ctx, roomID)
					require.NoError(t, err)
				}
				for range 2 {
					require.NoError(t, w.rooms.CleanUp(ctx, provisioning.Portal{RoomID: roomID, ChatID: 42, Receiver: 7}, true))
				}
				assert.Empty(t, slices.Concat(w.who(roomID, event.MembershipJoin), w.who(roomID, event.MembershipInvite)))
			})
		}
	}
}

// Connections to the homeserver that were used at once are kept for the next requests, also
// where the host says nothing of them.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "11")
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	w.as.HTTPClient.Transport = nil
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: w.as, DB: w.db})
	require.NoError(t, err)
	var opened atomic.Int64
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(conn httptrace.GotConnInfo) {
		if !conn.Reused {
			opened.Add(1)
		}
	}})
	const atOnce = 10
	for range 3 {
		gate := w.hs.Hold("GET state")
		var requests sync.WaitGroup
		for range atOnce {
			requests.Go(func() { assert.NoError(t, rooms.CheckBot(ctx, roomID)) })
		}
		for range atOnce {
			<-gate.Arrived()
		}
		gate.Release()
		requests.Wait()
	}
	assert.EqualValues(t, atOnce, opened.Load())
}
