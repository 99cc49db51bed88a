package provisioningtest

import (
	"maps"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// bridged is a room as CleanUp finds it: with the bot, the ghosts of 7 and 8, alice, bob,
// who has joined, and carol, who is invited, and set up as a portal.
type bridged struct {
	provisioning.Portal
	bob, carol id.UserID
	before     roomState
}

// bridge makes such a room. The bot has that power level.
func (w *roomsWorld) bridge(version string, level int) bridged {
	w.Helper()
	r := bridged{bob: w.user("bob"), carol: w.user("carol")}
	setup := w.setup(w.withBot(version, level, 7, 8))
	r.Portal = setup.Portal
	w.join(r.RoomID, r.bob)
	w.member(r.RoomID, w.alice, r.carol, "invite")
	w.setUp(setup)
	r.before = w.state(r.RoomID)
	return r
}

// wantEmptied checks that nobody is in the room but alice, who can't be kicked.
func (w *roomsWorld) wantEmptied(roomID id.RoomID) {
	w.Helper()
	s := w.state(roomID)
	w.wantMembers(s, map[id.UserID]string{w.alice: "join"})
	w.wantBridgeInfo(s, false)
}

// wantUnbridged checks that the ghosts and the bridge info have gone, and nothing else.
func (w *roomsWorld) wantUnbridged(r bridged) {
	w.Helper()
	s := w.state(r.RoomID)
	w.wantMembers(s, map[id.UserID]string{w.alice: "join", r.bob: "join", r.carol: "invite", w.Bot: "join"})
	w.wantBridgeInfo(s, false)
	for _, state := range []roomState{r.before, s} {
		maps.DeleteFunc(state, func(key [2]string, _ StateEvent) bool {
			switch key[0] {
			case "m.room.member", "m.bridge", "uk.half-shot.bridge":
				return true
			}
			return false
		})
	}
	if change := r.before.changes(s); change != "" {
		w.Errorf("CleanUp has changed something else: %s", change)
	}
}

func checkCleanUp(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		r := w.bridge(version, 50)
		w.cleanUp(r.Portal, false)
		w.wantUnbridged(r)
	}
}

func checkCleanUpOthers(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	const other = `{"bridgebot":"@other:example.com","protocol":{"id":"irc"},"channel":{"id":"#other"}}`
	r := w.bridge("11", 50)
	w.set(r.RoomID, "m.bridge", "other", other)
	again := w.setup(r.RoomID)
	again.Portal.ChatID, again.Portal.Title = provisioning.ChannelChatID(10), "Latest news"
	w.setUp(again)
	w.cleanUp(r.Portal, false)
	s := w.state(r.RoomID)
	w.wantBridgeInfo(s, true) // that of the later portal
	w.cleanUp(again.Portal, false)
	s = w.state(r.RoomID)
	w.wantBridgeInfo(s, false)
	if len(s.bridgeInfo("@other:example.com")) == 0 {
		t.Errorf("CleanUp has removed the bridge info of another bridge")
	}
}

func checkCleanUpEverybody(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		r := w.bridge(version, 99)
		w.member(r.RoomID, w.alice, w.Ghost(9), "invite")
		w.cleanUp(r.Portal, true)
		w.wantEmptied(r.RoomID)
	}
}

func checkCleanUpEarlier(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	r := w.bridge("11", 99)
	latest := w.setup(r.RoomID)
	latest.Portal.ChatID, latest.Portal.Title = provisioning.ChannelChatID(10), "Latest news"
	w.setUp(latest)
	w.cleanUp(latest.Portal, true)
	w.wantEmptied(r.RoomID)
	w.cleanUp(r.Portal, false) // which was still to come
	w.wantEmptied(r.RoomID)
}

// interrupted has the requests of CleanUp fail, one after the other, until none does.
// It calls failed after each that makes CleanUp fail.
func (w *roomsWorld) interrupted(r bridged, everybody bool, failed func(step int)) {
	w.Helper()
	for step := 1; step < maxSteps; step++ {
		fault, err := disturb(w.Disturb).failOnce(step, func() error { return w.Rooms.CleanUp(w.Context(), r.Portal, everybody) })
		switch {
		case err != nil && !fault:
			w.Fatalf("CleanUp without a fault: %v", err)
		case err != nil:
			failed(step)
		case !fault:
			return
		}
	}
	w.Errorf("CleanUp makes %d requests or more", maxSteps)
}

func checkBotLeavesLast(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	r := w.bridge("11", 99)
	w.interrupted(r, true, func(step int) {
		if s := w.state(r.RoomID); s.membership(w.Bot) != "join" {
			t.Fatalf("CleanUp has not finished (request %d has failed), and the bot has left; there are still %v", step, s.members())
		}
	})
}

func checkCleanUpGoesOn(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	r := w.bridge("11", 99)
	w.interrupted(r, true, func(int) {})
	w.wantEmptied(r.RoomID)
	w.cleanUp(r.Portal, true)
	w.cleanUp(r.Portal, false)
	w.wantEmptied(r.RoomID)

	r = w.bridge("11", 50)
	w.interrupted(r, false, func(int) {})
	w.cleanUp(r.Portal, false)
	w.wantUnbridged(r)
	w.cleanUp(r.Portal, true) // kicking takes 50
	w.wantEmptied(r.RoomID)
}

func checkCleanUpUnkickable(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	mod := w.user("mod")
	r := w.bridge("11", 99)
	w.join(r.RoomID, mod)
	w.levels(r.RoomID, "11", map[id.UserID]int{w.Bot: 99, mod: 99}, nil)
	w.cleanUp(r.Portal, true)
	s := w.state(r.RoomID)
	w.wantMembers(s, map[id.UserID]string{w.alice: "join", mod: "join"})
	w.wantBridgeInfo(s, false)

	// None can be.
	r = w.bridge("11", 49)
	w.cleanUp(r.Portal, true)
	w.wantMembers(w.state(r.RoomID), map[id.UserID]string{w.alice: "join", r.bob: "join", r.carol: "invite"})
}

func checkCleanUpWithout(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, membership := range []string{"leave", "ban", "invite"} {
		for _, everybody := range []bool{false, true} {
			r := w.bridge("11", 50)
			w.member(r.RoomID, w.alice, w.Bot, "leave")
			if membership != "leave" {
				w.member(r.RoomID, w.alice, w.Bot, membership)
			}
			for range 2 {
				w.cleanUp(r.Portal, everybody)
			}
			s := w.state(r.RoomID)
			for _, telegramID := range []provisioning.TelegramID{7, 8} {
				if is := s.membership(w.Ghost(telegramID)); is != "leave" {
					t.Errorf("after CleanUp in a room where the bot is not (%s), everybody %t, a ghost's membership is %q", membership, everybody, is)
				}
			}
			if is := s.membership(w.alice); is != "join" {
				t.Errorf("after CleanUp in a room where the bot is not (%s), the creator's membership is %q", membership, is)
			}
		}
	}
}

func checkCleanUpNoRoom(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for name, roomID := range w.botless() {
		for _, everybody := range []bool{false, true} {
			portal := w.setup(roomID).Portal
			if err := w.Rooms.CleanUp(t.Context(), portal, everybody); err != nil {
				t.Errorf("CleanUp of a room where the bot is not (%s), everybody %t: %v", name, everybody, err)
			}
			portal.ChatID, portal.Receiver = provisioning.UserChatID(7), 8
			if err := w.Rooms.CleanUp(t.Context(), portal, everybody); err != nil {
				t.Errorf("CleanUp of a direct chat's room where the bot is not (%s), everybody %t: %v", name, everybody, err)
			}
		}
	}
}

func checkSetUpAfterCleanUp(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	r := w.bridge("11", 50)
	for range 2 {
		w.cleanUp(r.Portal, false)
		w.wantBridgeInfo(w.state(r.RoomID), false)
		w.setUp(w.setup(r.RoomID))
		w.wantSetUp(w.setup(r.RoomID))
	}
}
