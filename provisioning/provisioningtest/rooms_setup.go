package provisioningtest

import (
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// wantSetUp checks that a room shows all of a portal.
func (w *roomsWorld) wantSetUp(setup provisioning.PortalSetup) {
	w.Helper()
	s := w.state(setup.Portal.RoomID)
	w.wantText(s, "m.room.name", "name", setup.Portal.Title)
	w.wantText(s, "m.room.topic", "topic", setup.Portal.About)
	w.wantAvatar(s)
	w.wantBridgeInfo(s, true)
}

func (w *roomsWorld) wantAvatar(s roomState) {
	w.Helper()
	if url := s.text("m.room.avatar", "url"); !strings.HasPrefix(url, "mxc://") {
		w.Errorf("the room's avatar is %q, want an mxc:// URI", url)
	}
}

// wantBridgeInfo checks whether the room has bridge info of the bot's.
func (w *roomsWorld) wantBridgeInfo(s roomState, want bool) {
	w.Helper()
	if info := s.bridgeInfo(w.Bot); (len(info) > 0) != want {
		w.Errorf("the bridge info of the bot is of the channels %q; want some: %t", info, want)
	}
}

func checkSetUp(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		setup := w.setup(w.withBot(version, 50))
		w.setUp(setup)
		w.wantSetUp(setup)
	}
	// Nobody asked for it, and it has nothing but a title.
	roomID := w.withBot("11", 50)
	w.setUp(provisioning.PortalSetup{Portal: provisioning.Portal{RoomID: roomID, ChatID: provisioning.BasicGroupChatID(8), Title: "Group"}})
	s := w.state(roomID)
	w.wantText(s, "m.room.name", "name", "Group")
	w.wantText(s, "m.room.topic", "topic", "")
	w.wantText(s, "m.room.avatar", "url", "")
	w.wantBridgeInfo(s, true)
}

func checkSetUpDirect(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	setup := w.setup(w.withBot("11", 50, 7))
	setup.Portal.ChatID, setup.Portal.Receiver = provisioning.UserChatID(7), 8
	w.setUp(setup)
	s := w.state(setup.Portal.RoomID)
	w.wantBridgeInfo(s, true)
	w.wantText(s, "m.room.name", "name", "")
	w.wantText(s, "m.room.topic", "topic", "")
	w.wantText(s, "m.room.avatar", "url", "")
}

func checkSetUpKeeps(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	own := []struct{ eventType, field, text string }{
		{"m.room.name", "name", "Mine"}, {"m.room.topic", "topic", "Ours"}, {"m.room.avatar", "url", "mxc://example.com/mine"},
	}
	for _, only := range own {
		setup := w.setup(w.withBot("11", 50))
		w.set(setup.Portal.RoomID, only.eventType, "", encode(object{only.field: only.text}))
		w.setUp(setup)
		s := w.state(setup.Portal.RoomID)
		w.wantText(s, only.eventType, only.field, only.text)
		w.wantBridgeInfo(s, true)
		for _, other := range own {
			if other != only && s.text(other.eventType, other.field) == "" {
				t.Errorf("a room that has an %s of its own gets no %s", only.eventType, other.eventType)
			}
		}
	}
	// What was removed is not there.
	setup := w.setup(w.withBot("11", 50))
	for _, was := range own {
		w.set(setup.Portal.RoomID, was.eventType, "", encode(object{was.field: was.text}))
		w.set(setup.Portal.RoomID, was.eventType, "", `{}`)
	}
	w.setUp(setup)
	w.wantSetUp(setup)
}

func checkSetUpWithoutPower(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		roomID := w.withBot(version, 49)
		before := w.state(roomID)
		if err := w.Rooms.SetUpPortal(t.Context(), w.setup(roomID)); err != nil {
			t.Errorf("SetUpPortal by a bot without power: %v", err)
		}
		if change := before.changes(w.state(roomID)); change != "" {
			t.Errorf("a bot without power has changed something: %s", change)
		}
	}
}

func checkSetUpWithSomePower(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	parts := []struct{ eventType, field string }{
		{"m.room.name", "name"}, {"m.room.topic", "topic"}, {"m.room.avatar", "url"},
	}
	for _, may := range parts {
		roomID := w.withBot("11", 10)
		w.levels(roomID, "11", map[id.UserID]int{w.Bot: 10}, object{"events": object{may.eventType: 10}})
		if err := w.Rooms.SetUpPortal(t.Context(), w.setup(roomID)); err != nil {
			t.Errorf("SetUpPortal by a bot that may only set %s: %v", may.eventType, err)
		}
		s := w.state(roomID)
		for _, part := range parts {
			if set := s.text(part.eventType, part.field) != ""; set != (part == may) {
				t.Errorf("a bot that may only set %s has set %s: %t", may.eventType, part.eventType, set)
			}
		}
	}
	roomID := w.withBot("11", 10)
	w.levels(roomID, "11", map[id.UserID]int{w.Bot: 10}, object{"events": object{"m.bridge": 10, "uk.half-shot.bridge": 10}})
	w.setUp(w.setup(roomID))
	w.wantBridgeInfo(w.state(roomID), true)
}

func checkSetUpWithoutPhoto(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	setup := w.setup(w.withBot("11", 50))
	setup.Photo = noPhoto
	if err := w.Rooms.SetUpPortal(t.Context(), setup); err != nil {
		t.Errorf("SetUpPortal with a photo that can't be had: %v", err)
	}
	s := w.state(setup.Portal.RoomID)
	w.wantText(s, "m.room.name", "name", setup.Portal.Title)
	w.wantText(s, "m.room.avatar", "url", "")
	w.wantBridgeInfo(s, true)
}

func checkSetUpMigrated(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	setup := w.setup(w.withBot("11", 50))
	supergroup := setup.Portal.ChatID
	setup.Portal.ChatID = provisioning.BasicGroupChatID(8)
	w.setUp(setup)
	setup.Portal.ChatID, setup.Portal.MigratedFrom = supergroup, setup.Portal.ChatID
	for range 2 {
		w.setUp(setup)
		w.wantSetUp(setup)
		if info := w.state(setup.Portal.RoomID).bridgeInfo(w.Bot); len(info) != 1 {
			t.Errorf("the bridge info of a supergroup that was a basic group is of the channels %s", fmt.Sprint(info))
		}
	}
}

func checkSetUpAgain(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		setup := w.setup(w.withBot(version, 50))
		w.setUp(setup)
		before := w.state(setup.Portal.RoomID)
		w.setUp(setup)
		setup.Photo = nil
		w.setUp(setup)
		if change := before.changes(w.state(setup.Portal.RoomID)); change != "" {
			t.Errorf("SetUpPortal, called again, has changed something: %s", change)
		}
	}
}

func checkSetUpGoesOn(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	setup := w.setup(w.withBot("11", 50))
	for step := 1; step < maxSteps; step++ {
		failed, err := disturb(w.Disturb).failOnce(step, func() error { return w.Rooms.SetUpPortal(t.Context(), setup) })
		if err != nil && !failed {
			t.Fatalf("SetUpPortal without a fault: %v", err)
		}
		if err == nil {
			w.wantSetUp(setup)
		}
		if !failed {
			return
		}
	}
	t.Errorf("SetUpPortal makes %d requests or more", maxSteps)
}

func checkSetUpAtOnce(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	setup := w.setup(w.withBot("11", 50))
	var calls []func()
	for i := range 4 {
		calls = append(calls, func() {
			if err := w.Rooms.SetUpPortal(t.Context(), setup); err != nil {
				t.Errorf("SetUpPortal, call %d of several at once: %v", i, err)
			}
		})
	}
	atOnce(calls...)
	w.wantSetUp(setup)
	if info := w.state(setup.Portal.RoomID).bridgeInfo(w.Bot); len(info) != 1 {
		t.Errorf("the bridge info of one portal is of the channels %s", fmt.Sprint(info))
	}
}
