package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestRooms runs every check of the interface provisioning.Rooms as a subtest, each on a
// backend of its own, where nobody has done anything yet. [TestDirectRooms] and
// [TestGhostAvatars] check the optional interfaces, on the same kind of backend.
//
// An implementation that talks to the homeserver over HTTP does so through a [Network]:
//
//	func roomsBackend(t *testing.T) provisioningtest.RoomsBackend {
//		homeserver := startHomeserver(t) // which is a provisioningtest.Homeserver
//		network := &provisioningtest.Network{}
//		rooms := newRooms(t, homeserver, &http.Client{Transport: network})
//		return provisioningtest.RoomsBackend{
//			Rooms: rooms, Bot: rooms.BotID(), Ghost: rooms.GhostID,
//			Homeserver: homeserver, Disturb: network.Disturb,
//		}
//	}
//
//	func TestRooms(t *testing.T) { provisioningtest.TestRooms(t, roomsBackend) }
//
// Whether a method asks the homeserver at all is the implementation's business: one that
// knows an answer by itself does not fail when the homeserver does.
func TestRooms(t *testing.T, backend func(t *testing.T) RoomsBackend) {
	runSuite(t, roomsChecks, backend)
}

var roomsChecks = []suiteCheck[RoomsBackend]{
	{"bot", "BotID returns the bridge bot's Matrix ID.", checkBotID},
	{"bot in the room", "CheckBot returns nil when the bridge bot has joined the room.", checkBotInRoom},
	{"CheckBot without the bot", "CheckBot returns ErrBridgeBotNotInRoom for every other room: one that does not exist, and one that the bot was only invited to, has left, or was banned from.", checkCheckBotWithout},
	{"HasPower without the bot", "HasPower returns ErrBridgeBotNotInRoom for a room that the bridge bot has not joined.", checkHasPowerWithout},
	{"Room without the bot", "Room returns ErrBridgeBotNotInRoom for a room that the bridge bot has not joined.", checkRoomWithout},
	{"SetUpPortal without the bot", "SetUpPortal returns ErrBridgeBotNotInRoom: the bot has left since the portal was recorded.", checkSetUpWithout},
	{"homeserver fails", "All methods return an error that wraps ErrHomeserver when the homeserver can't be reached, or refuses for a reason that is not listed: that says nothing of the room.", checkRoomsFail},
	{"cancelled context", "Methods honour the context.", checkRoomsContext},
	{"context cancelled while waiting", "Methods honour the context.", checkRoomsWaiting},
	{"concurrent calls", "Methods are called concurrently.", checkRoomsAtOnce},

	{"power levels", "HasPower says whether a Matrix user has the power level to send state events of the given type.", checkPowerLevels},
	{"power of those in the room", "HasPower says whether a Matrix user has joined the room and has the power level.", checkPowerOfMembers},
	{"power of creators", "The creators of a room of version 12 always have power.", checkPowerOfCreators},
	{"malformed power levels", "Malformed power levels give power to nobody else than the creators of a room of version 12.", checkMalformedLevels},

	{"what a room has", "Room reads a room: its name, topic, alias, and whether it is encrypted.", checkRoomFields},
	{"a bare room", "Name, Topic and CanonicalAlias are empty where the room has none.", checkBareRoom},
	{"an upgraded room", "Predecessor is the room that this one says to be the upgrade of, Replacement the one that it says to have been upgraded to, each \"\" where it says nothing.", checkUpgradedRoom},
	{"whether somebody is in a room", "Joined says that the Member of the RoomQuery has joined the room.", checkRoomMember},
	{"who is in a room", "Ghosts are those that have joined the room, and Users the other Matrix users that have, without the bridge bot.", checkRoomMembers},

	{"set up", "SetUpPortal makes a room show that it is bridged: bridge info, and the chat's title, description and photo as name, topic and avatar.", checkSetUp},
	{"set up a direct chat", "The room of a direct chat shows bridge info alone.", checkSetUpDirect},
	{"set up what has a name", "SetUpPortal sets name, topic and avatar each only where the room has none.", checkSetUpKeeps},
	{"set up without power", "What the bot may not set is no error.", checkSetUpWithoutPower},
	{"set up with some power", "SetUpPortal sets each only where the bot may set it.", checkSetUpWithSomePower},
	{"set up without a photo", "A photo that can't be had is no error.", checkSetUpWithoutPhoto},
	{"set up a supergroup", "The bridge info of the basic group that the portal's chat was goes.", checkSetUpMigrated},
	{"set up again", "Doing SetUpPortal again changes nothing.", checkSetUpAgain},
	{"set up after a failure", "Doing SetUpPortal again does what is missing.", checkSetUpGoesOn},
	{"racing set-ups", "SetUpPortal is called concurrently.", checkSetUpAtOnce},

	{"clean up", "CleanUp makes a room forget that it was bridged: the bridge info goes and the ghosts leave; the room stays otherwise as it is.", checkCleanUp},
	{"clean up other bridge info", "CleanUp has the bridge info of the portal go; the room stays otherwise as it is.", checkCleanUpOthers},
	{"clean up everybody", "With everybody set, all the others are kicked, and the bridge bot leaves.", checkCleanUpEverybody},
	{"clean up earlier portals", "With everybody set, the bridge info of every portal that the room has been goes as well.", checkCleanUpEarlier},
	{"bot leaves last", "The bridge bot leaves last.", checkBotLeavesLast},
	{"clean up again", "Doing CleanUp again finishes what is left.", checkCleanUpGoesOn},
	{"member that can't be kicked", "A member that can't be kicked stops nothing.", checkCleanUpUnkickable},
	{"clean up without the bot", "A room that the bot is not in is no error: the ghosts known to be there leave all the same.", checkCleanUpWithout},
	{"clean up no room", "A room that the bot is not in is no error.", checkCleanUpNoRoom},
	{"set up after a clean-up", "SetUpPortal makes a room show that it is bridged, also after CleanUp.", checkSetUpAfterCleanUp},
}

// botless returns rooms that the bridge bot is not in.
func (w *roomsWorld) botless() map[string]id.RoomID {
	w.Helper()
	server := w.Bot.Homeserver()
	rooms := map[string]id.RoomID{
		"does not exist":                id.RoomID("!check:" + server),
		"of version 12, does not exist": "!check00000000000000000000000000000000000000",
		"never in it":                   w.room("11"),
		"of version 12, never in it":    w.room("12"),
		"world-readable":                w.room("11"),
		"only invited":                  w.room("11"),
	}
	w.set(rooms["world-readable"], "m.room.history_visibility", "", `{"history_visibility":"world_readable"}`)
	w.member(rooms["only invited"], w.alice, w.Bot, "invite")
	for name, leave := range map[string]func(id.RoomID){
		"left":   func(roomID id.RoomID) { w.member(roomID, w.Bot, w.Bot, "leave") },
		"kicked": func(roomID id.RoomID) { w.member(roomID, w.alice, w.Bot, "leave") },
		"banned": func(roomID id.RoomID) { w.member(roomID, w.alice, w.Bot, "ban") },
		"kicked, and invited again": func(roomID id.RoomID) {
			w.member(roomID, w.alice, w.Bot, "leave")
			w.member(roomID, w.alice, w.Bot, "invite")
		},
	} {
		rooms[name] = w.room("11")
		w.join(rooms[name], w.Bot)
		leave(rooms[name])
	}
	return rooms
}

func checkBotID(t T, b RoomsBackend) {
	if got := b.Rooms.BotID(); got != b.Bot {
		t.Errorf("BotID is %q, want %q, whom CheckBot looks for", got, b.Bot)
	}
}

func checkBotInRoom(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		roomID := w.room(version)
		w.join(roomID, w.Bot)
		if err := w.Rooms.CheckBot(t.Context(), roomID); err != nil {
			t.Errorf("CheckBot in a room of version %s that the bot has joined: %v", version, err)
		}
	}
	roomID := w.room("11")
	w.join(roomID, w.Bot)
	w.member(roomID, w.alice, w.Bot, "leave")
	w.join(roomID, w.Bot)
	if err := w.Rooms.CheckBot(t.Context(), roomID); err != nil {
		t.Errorf("CheckBot in a room that the bot was kicked from and has joined again: %v", err)
	}
}

// wantNotInRoom calls a method for all rooms that the bot is not in.
func wantNotInRoom(t T, b RoomsBackend, method string, call func(w *roomsWorld, roomID id.RoomID) error) {
	t.Helper()
	w := newRoomsWorld(t, b)
	for name, roomID := range w.botless() {
		if err := call(w, roomID); !errors.Is(err, provisioning.ErrBridgeBotNotInRoom) {
			t.Errorf("%s for a room where the bot is not (%s): %v; want ErrBridgeBotNotInRoom", method, name, err)
		}
	}
}

func checkCheckBotWithout(t T, b RoomsBackend) {
	wantNotInRoom(t, b, "CheckBot", func(w *roomsWorld, roomID id.RoomID) error {
		return w.Rooms.CheckBot(t.Context(), roomID)
	})
}

func checkHasPowerWithout(t T, b RoomsBackend) {
	wantNotInRoom(t, b, "HasPower", func(w *roomsWorld, roomID id.RoomID) error {
		_, err := w.Rooms.HasPower(t.Context(), roomID, w.alice, checkEvent)
		return err
	})
}

func checkRoomWithout(t T, b RoomsBackend) {
	wantNotInRoom(t, b, "Room", func(w *roomsWorld, roomID id.RoomID) error {
		_, err := w.Rooms.Room(t.Context(), roomID, provisioning.RoomQuery{Content: true})
		if errors.Is(err, provisioning.ErrBridgeBotNotInRoom) {
			_, err = w.Rooms.Room(t.Context(), roomID, provisioning.RoomQuery{Member: w.alice})
		}
		return err
	})
}

func checkSetUpWithout(t T, b RoomsBackend) {
	wantNotInRoom(t, b, "SetUpPortal", func(w *roomsWorld, roomID id.RoomID) error {
		return w.Rooms.SetUpPortal(t.Context(), w.setup(roomID))
	})
}

// roomsCall is a call of a method, with everything in order.
type roomsCall struct {
	name string
	call func(context.Context) error
}

// calls are calls of all methods, for a room that the bot is in.
func (w *roomsWorld) calls(roomID id.RoomID) []roomsCall {
	return []roomsCall{
		{"CheckBot", func(ctx context.Context) error { return w.Rooms.CheckBot(ctx, roomID) }},
		{"HasPower", func(ctx context.Context) error {
			_, err := w.Rooms.HasPower(ctx, roomID, w.alice, checkEvent)
			return err
		}},
		{"Room", func(ctx context.Context) error {
			_, err := w.Rooms.Room(ctx, roomID, provisioning.RoomQuery{Content: true})
			return err
		}},
		{"Room of a Member", func(ctx context.Context) error {
			_, err := w.Rooms.Room(ctx, roomID, provisioning.RoomQuery{Member: w.alice})
			return err
		}},
		{"SetUpPortal", func(ctx context.Context) error { return w.Rooms.SetUpPortal(ctx, w.setup(roomID)) }},
		{"CleanUp", func(ctx context.Context) error { return w.Rooms.CleanUp(ctx, w.setup(roomID).Portal, true) }},
	}
}

// wantHomeserverErrors makes calls while the homeserver fails, and afterwards.
func wantHomeserverErrors(t T, d disturb, calls []roomsCall, never error) {
	t.Helper()
	for _, c := range calls {
		for _, fault := range []error{errAway, errTrouble} {
			asked, err := d.failing(fault, func() error { return c.call(t.Context()) })
			switch {
			case !asked && err != nil:
				t.Errorf("%s, without asking the homeserver: %v", c.name, err)
			case asked && (!errors.Is(err, provisioning.ErrHomeserver) || errors.Is(err, never)):
				t.Errorf("%s while the homeserver fails (%v): %v; want ErrHomeserver, and not %q", c.name, fault, err, never)
			}
		}
		for step := 1; step < maxSteps; step++ {
			failed, err := d.failOnce(step, func() error { return c.call(t.Context()) })
			switch {
			case failed && err != nil && (!errors.Is(err, provisioning.ErrHomeserver) || errors.Is(err, never)):
				t.Errorf("%s whose request %d fails: %v; want ErrHomeserver, and not %q", c.name, step, err, never)
			case !failed && err != nil:
				t.Errorf("%s after the homeserver was away: %v", c.name, err)
			}
			if !failed {
				break
			}
		}
	}
}

func checkRoomsFail(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	wantHomeserverErrors(t, w.Disturb, w.calls(w.withBot("11", 50, 7)), provisioning.ErrBridgeBotNotInRoom)
}

// wantContextErrors makes calls with a context that was cancelled.
func wantContextErrors(t T, calls []roomsCall, never error) {
	t.Helper()
	for _, c := range calls {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.call(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, never) {
			t.Errorf("%s with a cancelled context: %v; want context.Canceled, and not %q", c.name, err, never)
		}
	}
}

func checkRoomsContext(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	roomID := w.withBot("11", 50, 7)
	before := w.state(roomID)
	wantContextErrors(t, w.calls(roomID), provisioning.ErrBridgeBotNotInRoom)
	if change := before.changes(w.state(roomID)); change != "" {
		t.Errorf("calls with a cancelled context have changed the room: %s", change)
	}
}

// wantEndOfWaiting makes calls that wait for the homeserver, and cancels their contexts.
func wantEndOfWaiting(t T, d disturb, calls []roomsCall) {
	t.Helper()
	for _, c := range calls {
		asked := false
		err := d.cancelled(t, c.name, func(ctx context.Context) error {
			err := c.call(ctx)
			asked = ctx.Err() != nil
			return err
		})
		if asked && !errors.Is(err, context.Canceled) {
			t.Errorf("%s whose context is cancelled while it waits for the homeserver: %v; want context.Canceled", c.name, err)
		}
	}
}

// wantEnds makes calls whose contexts are cancelled at each of their requests.
func wantEnds(t T, d disturb, calls []roomsCall) {
	t.Helper()
	for _, c := range calls {
		for step := 1; step < maxSteps; step++ {
			ctx, cancel := context.WithCancel(t.Context())
			happened, err := d.at(step, func() error {
				cancel()
				return context.Canceled
			}, func() error { return c.call(ctx) })
			cancel()
			if happened && !errors.Is(err, context.Canceled) {
				t.Errorf("%s whose context is cancelled at its request %d: %v; want context.Canceled", c.name, step, err)
			}
			if !happened {
				break
			}
		}
	}
}

func checkRoomsWaiting(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	calls := w.calls(w.withBot("11", 50, 7))
	wantEndOfWaiting(t, w.Disturb, calls)
	wantEnds(t, w.Disturb, calls)
}

func checkRoomsAtOnce(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	const rooms = 4
	var calls []func()
	for i := range rooms {
		roomID := w.withBot("11", 50, provisioning.TelegramID(10+i))
		setup := w.setup(roomID)
		setup.Portal.Title = fmt.Sprintf("Chat %d", i)
		setup.Portal.ChatID = provisioning.BasicGroupChatID(int64(100 + i))
		calls = append(calls, func() {
			if err := w.Rooms.SetUpPortal(t.Context(), setup); err != nil {
				t.Errorf("SetUpPortal, several at once: %v", err)
			}
			if has, err := w.Rooms.HasPower(t.Context(), roomID, w.alice, checkEvent); err != nil || !has {
				t.Errorf("HasPower, several at once: %t, %v; want true", has, err)
			}
			got, err := w.Rooms.Room(t.Context(), roomID, provisioning.RoomQuery{Content: true})
			if want := []provisioning.TelegramID{provisioning.TelegramID(10 + i)}; err != nil || got.Name != setup.Portal.Title || fmt.Sprint(got.Ghosts) != fmt.Sprint(want) {
				t.Errorf("Room, several at once: %+v, %v; want the name %q and the ghosts %v", got, err, setup.Portal.Title, want)
			}
			if i%2 == 0 {
				if err := w.Rooms.CleanUp(t.Context(), setup.Portal, i == 0); err != nil {
					t.Errorf("CleanUp, several at once: %v", err)
				}
			}
		})
		defer func() {
			s := w.state(roomID)
			if left := s.membership(w.Ghost(provisioning.TelegramID(10+i))) != "join"; left != (i%2 == 0) {
				t.Errorf("after several calls at once, the ghost has left: %t; want %t", left, !left)
			}
			if left := s.membership(w.Bot) != "join"; left != (i == 0) {
				t.Errorf("after several calls at once, the bot has left: %t; want %t", left, !left)
			}
		}()
	}
	atOnce(calls...)
}
