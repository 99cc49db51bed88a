package provisioningtest

import (
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// wantPower calls HasPower.
func (w *roomsWorld) wantPower(roomID id.RoomID, userID id.UserID, want bool, when string) {
	w.Helper()
	got, err := w.Rooms.HasPower(w.Context(), roomID, userID, checkEvent)
	if err != nil || got != want {
		w.Errorf("HasPower(%s), %s: %t, %v; want %t", userID, when, got, err, want)
	}
}

func checkPowerLevels(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	bob := w.user("bob")
	level := func(level int) map[id.UserID]int { return map[id.UserID]int{bob: level} }
	for _, version := range roomVersions {
		roomID := w.room(version)
		w.join(roomID, w.Bot, bob)
		for _, c := range []struct {
			name  string
			users map[id.UserID]int
			more  object
			want  bool
		}{
			{"enough", level(50), nil, true},
			{"not enough", level(49), nil, false},
			{"none", nil, nil, false},
			{"the default of users", nil, object{"users_default": 50}, true},
			{"less than the default of users", level(49), object{"users_default": 50}, false},
			{"less than state_default", nil, object{"users_default": 50, "state_default": 51}, false},
			{"enough for state_default", nil, object{"state_default": 0}, true},
			{"enough for the event type", level(7), object{"events": object{checkEvent: 7}, "state_default": 99}, true},
			{"not enough for the event type", level(50), object{"events": object{checkEvent: 51}}, false},
			{"not enough for another event type", level(50), object{"events": object{"fi.mau.telegram.unbridge": 99}}, true},
			{"enough for messages only", level(10), object{"events_default": 10}, false},
			{"negative", level(-1), object{"events": object{checkEvent: -1}, "users_default": -2}, true},
		} {
			w.levels(roomID, version, c.users, c.more)
			when := fmt.Sprintf("a room of version %s, level %s", version, c.name)
			w.wantPower(roomID, bob, c.want, when)
			w.wantPower(roomID, w.alice, true, when)
		}
	}
}

func checkPowerOfMembers(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		bob := w.user("bob")
		roomID := w.room(version, bob) // a creator, in version 12
		w.join(roomID, w.Bot)
		if version != "12" {
			w.levels(roomID, version, map[id.UserID]int{bob: 60}, nil)
		}
		w.wantPower(roomID, bob, false, "who has not joined yet")
		w.member(roomID, w.alice, bob, "invite")
		w.wantPower(roomID, bob, false, "who is invited")
		w.join(roomID, bob)
		w.wantPower(roomID, bob, true, "who has joined")
		w.member(roomID, bob, bob, "leave")
		w.wantPower(roomID, bob, false, "who has left")
		w.wantPower(roomID, id.NewUserID("check-nobody", w.Bot.Homeserver()), false, "who does not exist")
		if version != "12" { // creators can't be banned
			w.member(roomID, w.alice, bob, "ban")
			w.wantPower(roomID, bob, false, "who is banned")
		}
	}
}

// wantJoined asks Room for a Member.
func (w *roomsWorld) wantJoined(roomID id.RoomID, userID id.UserID, want bool, when string) {
	w.Helper()
	got, err := w.Rooms.Room(w.Context(), roomID, provisioning.RoomQuery{Member: userID})
	if err != nil || got.Joined != want {
		w.Errorf("Room(Member: %s), %s: %t, %v; want %t", userID, when, got.Joined, err, want)
	}
}

func checkRoomMember(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		bob, carol := w.user("bob"), w.user("carol")
		roomID := w.room(version, bob) // a creator, in version 12
		w.join(roomID, w.Bot)
		w.wantJoined(roomID, w.alice, true, "who has made the room")
		w.wantJoined(roomID, w.Bot, true, "the bridge bot")
		w.wantJoined(roomID, bob, false, "who has not joined yet")
		w.member(roomID, w.alice, bob, "invite")
		w.wantJoined(roomID, bob, false, "who is invited")
		w.join(roomID, bob, carol)
		w.wantJoined(roomID, bob, true, "who has joined")
		w.member(roomID, bob, bob, "leave")
		w.wantJoined(roomID, bob, false, "who has left")
		w.wantJoined(roomID, carol, true, "who stays")
		w.member(roomID, w.alice, carol, "ban")
		w.wantJoined(roomID, carol, false, "who is banned")
		w.wantJoined(roomID, id.NewUserID("check-nobody", w.Bot.Homeserver()), false, "who does not exist")
	}
}

func checkPowerOfCreators(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	bob, carol := w.user("bob"), w.user("carol")
	for _, version := range roomVersions {
		for _, content := range []string{`{}`, encode(object{"events": object{checkEvent: 100}})} {
			roomID := w.room(version, bob)
			w.join(roomID, w.Bot, bob, carol)
			w.set(roomID, "m.room.power_levels", "", content)
			when := fmt.Sprintf("a room of version %s where nobody else has power", version)
			w.wantPower(roomID, w.alice, version == "12", when+", its creator")
			w.wantPower(roomID, bob, version == "12", when+", named as a creator")
			w.wantPower(roomID, carol, false, when)
		}
	}
}

func checkMalformedLevels(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	bob := w.user("bob")
	user := func(level any) object { return object{"users": object{string(bob): level}} }
	contents := []object{
		user("all"),
		user(true),
		user(50.5),
		user(1e300),
		user([]int{50}),
		{"users": object{string(bob): nil}, "users_default": 100},
		{"users": []string{string(bob)}, "users_default": 100},
		{"users_default": "inf"},
		{"users_default": 100, "events": 5},
		{"users_default": 100, "events": object{checkEvent: object{}}},
		{"users_default": 100, "state_default": object{}},
	}
	for _, version := range roomVersions {
		var roomID id.RoomID
		for _, content := range contents {
			if roomID == "" {
				roomID = w.room(version)
				w.join(roomID, w.Bot, bob)
			}
			err := w.Homeserver.SetState(t.Context(), roomID, w.alice, "m.room.power_levels", "", encode(content))
			if errors.Is(err, ErrRefused) {
				continue
			}
			if err != nil {
				t.Fatalf("the Homeserver of the test: SetState(m.room.power_levels, %s): %v", encode(content), err)
			}
			when := fmt.Sprintf("a room of version %s with the power levels %s", version, encode(content))
			w.wantPower(roomID, bob, false, when)
			if version == "12" {
				w.wantPower(roomID, w.alice, true, when+", its creator")
			}
			roomID = "" // alice has no power there any more
		}
	}
}

// wantRoom calls Room; the order of ghosts and users does not matter.
func (w *roomsWorld) wantRoom(roomID id.RoomID, want provisioning.Room) {
	w.Helper()
	got, err := w.Rooms.Room(w.Context(), roomID, provisioning.RoomQuery{Content: true})
	if err != nil {
		w.Fatalf("Room: %v", err)
	}
	got.Ghosts, got.Users = slices.Sorted(slices.Values(got.Ghosts)), slices.Sorted(slices.Values(got.Users))
	want.Ghosts, want.Users = slices.Sorted(slices.Values(want.Ghosts)), slices.Sorted(slices.Values(want.Users))
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		w.Errorf("Room returned %+v, want %+v", got, want)
	}
}

func checkRoomFields(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		want := provisioning.Room{
			Name: "Name <é 中 😀>", Topic: "Topic\nof two lines", Encrypted: true, Users: []id.UserID{w.alice},
			CanonicalAlias: id.NewRoomAlias(w.alice.Localpart()+version, w.Bot.Homeserver()),
		}
		roomID := w.room(version)
		w.join(roomID, w.Bot)
		w.set(roomID, "m.room.name", "", encode(object{"name": want.Name}))
		w.set(roomID, "m.room.topic", "", encode(object{"topic": want.Topic}))
		w.set(roomID, "m.room.canonical_alias", "", encode(object{"alias": want.CanonicalAlias}))
		w.set(roomID, "m.room.encryption", "", `{"algorithm":"m.megolm.v1.aes-sha2"}`)
		w.wantRoom(roomID, want)
	}
}

func checkUpgradedRoom(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	for _, version := range roomVersions {
		old := w.room(version)
		upgrade, err := w.Homeserver.NewUpgrade(w.Context(), w.alice, version, old)
		if err != nil {
			w.Fatalf("the Homeserver of the test: NewUpgrade of version %s: %v", version, err)
		}
		for _, roomID := range []id.RoomID{old, upgrade} {
			w.join(roomID, w.Bot)
		}
		users := []id.UserID{w.alice}
		w.wantRoom(old, provisioning.Room{Users: users})
		w.set(old, "m.room.tombstone", "", encode(object{"body": "Upgraded", "replacement_room": upgrade}))
		w.wantRoom(old, provisioning.Room{Users: users, Replacement: upgrade})
		w.wantRoom(upgrade, provisioning.Room{Users: users, Predecessor: old})
	}
}

func checkBareRoom(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	roomID := w.room("11")
	w.join(roomID, w.Bot)
	bare := provisioning.Room{Users: []id.UserID{w.alice}}
	w.wantRoom(roomID, bare)
	w.set(roomID, "m.room.name", "", `{"name":"Name"}`)
	w.set(roomID, "m.room.topic", "", `{"topic":"Topic"}`)
	w.set(roomID, "m.room.name", "", `{}`)
	w.set(roomID, "m.room.topic", "", `{"topic":""}`)
	w.set(roomID, "m.room.canonical_alias", "", `{}`)
	w.wantRoom(roomID, bare)
}

func checkRoomMembers(t T, b RoomsBackend) {
	w := newRoomsWorld(t, b)
	const largest = 1<<40 - 1 // of Telegram's user IDs
	bob, carol, dave, eve := w.user("bob"), w.user("carol"), w.user("dave"), w.user("eve")
	roomID := w.withBot("11", 50, 7, 8, largest)
	w.join(roomID, bob, dave, eve)
	w.member(roomID, w.alice, carol, "invite")
	w.member(roomID, dave, dave, "leave")
	w.member(roomID, w.alice, eve, "ban")
	ghost := w.Ghost(8)
	w.member(roomID, ghost, ghost, "leave")
	w.wantRoom(roomID, provisioning.Room{Ghosts: []provisioning.TelegramID{7, largest}, Users: []id.UserID{w.alice, bob}})
	w.join(roomID, carol)
	w.wantRoom(roomID, provisioning.Room{Ghosts: []provisioning.TelegramID{7, largest}, Users: []id.UserID{w.alice, bob, carol}})
}
