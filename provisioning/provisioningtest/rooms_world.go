package provisioningtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// checkEvent is the type of state event that the checks ask about.
const checkEvent = "fi.mau.telegram.bridge"

// roomVersions are those of the checks: before 12 creators are users like others.
var roomVersions = []string{"11", "12"}

// roomsWorld is a backend as the checks use it: what can't be done ends the check.
type roomsWorld struct {
	T
	RoomsBackend
	// alice has made all rooms.
	alice id.UserID
}

func newRoomsWorld(t T, b RoomsBackend) *roomsWorld {
	t.Helper()
	w := &roomsWorld{T: t, RoomsBackend: b}
	w.alice = w.user("alice")
	return w
}

func (w *roomsWorld) user(name string) id.UserID {
	w.Helper()
	userID, err := w.Homeserver.NewUser(w.Context(), name)
	if err != nil {
		w.Fatalf("the Homeserver of the test: NewUser(%s): %v", name, err)
	}
	return userID
}

// room makes a room of alice's, where nobody else is.
func (w *roomsWorld) room(version string, others ...id.UserID) id.RoomID {
	w.Helper()
	roomID, err := w.Homeserver.NewRoom(w.Context(), w.alice, version, others...)
	if err != nil {
		w.Fatalf("the Homeserver of the test: NewRoom of version %s: %v", version, err)
	}
	return roomID
}

func (w *roomsWorld) member(roomID id.RoomID, by, userID id.UserID, membership string) {
	w.Helper()
	if err := w.Homeserver.SetMember(w.Context(), roomID, by, userID, membership); err != nil {
		w.Fatalf("the Homeserver of the test: SetMember(%s, %s) by %s: %v", userID, membership, by, err)
	}
}

func (w *roomsWorld) join(roomID id.RoomID, users ...id.UserID) {
	w.Helper()
	for _, userID := range users {
		w.member(roomID, userID, userID, "join")
	}
}

// set has alice set a state event.
func (w *roomsWorld) set(roomID id.RoomID, eventType, stateKey, content string) {
	w.Helper()
	if err := w.Homeserver.SetState(w.Context(), roomID, w.alice, eventType, stateKey, content); err != nil {
		w.Fatalf("the Homeserver of the test: SetState(%s, %q, %s): %v", eventType, stateKey, content, err)
	}
}

// object is a JSON object.
type object = map[string]any

func encode(content any) string {
	raw, err := json.Marshal(content)
	if err != nil {
		panic(err) // the checks have no such content
	}
	return string(raw)
}

// levels sets the power levels of a room: those of users, besides alice's, and more.
func (w *roomsWorld) levels(roomID id.RoomID, version string, users map[id.UserID]int, more object) {
	w.Helper()
	levels := object{}
	for userID, level := range users {
		levels[string(userID)] = level
	}
	if version != "12" { // where creators must not be among them
		levels[string(w.alice)] = 100
	}
	content := object{"users": levels}
	for key, value := range more {
		content[key] = value
	}
	w.set(roomID, "m.room.power_levels", "", encode(content))
}

// withBot makes a room with the bridge bot in it, with a power level, and ghosts.
func (w *roomsWorld) withBot(version string, level int, ghosts ...provisioning.TelegramID) id.RoomID {
	w.Helper()
	roomID := w.room(version)
	w.join(roomID, w.Bot)
	for _, telegramID := range ghosts {
		w.join(roomID, w.Ghost(telegramID))
	}
	w.levels(roomID, version, map[id.UserID]int{w.Bot: level}, nil)
	return roomID
}

// setup is a channel, as a portal in a room.
func (w *roomsWorld) setup(roomID id.RoomID) provisioning.PortalSetup {
	return provisioning.PortalSetup{
		UserID: w.alice,
		Portal: provisioning.Portal{
			RoomID: roomID, ChatID: provisioning.ChannelChatID(9), Title: "News <é 中 😀>", About: "All of it", Username: "news",
		},
		Photo: newPhoto(77).get,
	}
}

func (w *roomsWorld) setUp(setup provisioning.PortalSetup) {
	w.Helper()
	if err := w.Rooms.SetUpPortal(w.Context(), setup); err != nil {
		w.Fatalf("SetUpPortal: %v", err)
	}
}

// cleanUp calls CleanUp, which must not fail.
func (w *roomsWorld) cleanUp(portal provisioning.Portal, everybody bool) {
	w.Helper()
	if err := w.Rooms.CleanUp(w.Context(), portal, everybody); err != nil {
		w.Fatalf("CleanUp, everybody %t: %v", everybody, err)
	}
}

// photo is a photo that counts its downloads.
type photo struct {
	provisioning.Photo
	downloads atomic.Int64
}

func newPhoto(photoID int64) *photo {
	return &photo{Photo: provisioning.Photo{ID: photoID, Data: fmt.Appendf(nil, "photo %d", photoID), Type: "image/jpeg"}}
}

func (p *photo) get(context.Context) (provisioning.Photo, error) {
	p.downloads.Add(1)
	return p.Photo, nil
}

// noPhoto can't be had.
func noPhoto(context.Context) (provisioning.Photo, error) {
	return provisioning.Photo{}, provisioning.ErrPhotoGone
}

// roomState is the state of a room, by type and state key.
type roomState map[[2]string]StateEvent

func (w *roomsWorld) state(roomID id.RoomID) roomState {
	w.Helper()
	events, err := w.Homeserver.State(w.Context(), roomID)
	if err != nil {
		w.Fatalf("the Homeserver of the test: State: %v", err)
	}
	s := roomState{}
	for _, e := range events {
		s[[2]string{e.Type, e.StateKey}] = e
	}
	return s
}

// content returns the content of an event, empty where there is none.
func (s roomState) content(eventType, stateKey string) object {
	var content object
	_ = json.Unmarshal(s[[2]string{eventType, stateKey}].Content, &content)
	return content
}

// text returns a text of an event with an empty state key.
func (s roomState) text(eventType, field string) string {
	text, _ := s.content(eventType, "")[field].(string)
	return text
}

// membership returns what somebody is in the room, "leave" for whoever never was there.
func (s roomState) membership(userID id.UserID) string {
	if is, _ := s.content("m.room.member", string(userID))["membership"].(string); is != "" {
		return is
	}
	return "leave"
}

// members returns who has joined or is invited.
func (s roomState) members() map[id.UserID]string {
	members := map[id.UserID]string{}
	for key := range s {
		if is := s.membership(id.UserID(key[1])); key[0] == "m.room.member" && (is == "join" || is == "invite") {
			members[id.UserID(key[1])] = is
		}
	}
	return members
}

// bridgeInfo lists the channels that a bot says the room is bridged to (MSC2346).
func (s roomState) bridgeInfo(bot id.UserID) (channels []string) {
	for key := range s {
		if key[0] != "m.bridge" && key[0] != "uk.half-shot.bridge" {
			continue
		}
		content := s.content(key[0], key[1])
		protocol, _ := content["protocol"].(object)
		channel, _ := content["channel"].(object)
		if content["bridgebot"] == string(bot) && protocol["id"] != nil && channel["id"] != nil {
			channels = append(channels, fmt.Sprint(channel["id"]))
		}
	}
	slices.Sort(channels)
	return slices.Compact(channels)
}

// changes says what another state has that this one has not, or the other way round.
func (s roomState) changes(other roomState) string {
	var changes []string
	for key, e := range other {
		if was := s[key]; was.ID != e.ID || string(was.Content) != string(e.Content) {
			changes = append(changes, fmt.Sprintf("%s %q is %s; it was %s", e.Type, e.StateKey, e.Content, was.Content))
		}
	}
	for key := range s {
		if _, ok := other[key]; !ok {
			changes = append(changes, fmt.Sprintf("%s %q has gone", key[0], key[1]))
		}
	}
	return strings.Join(changes, "; ")
}

// wantMembers checks who has joined or is invited.
func (w *roomsWorld) wantMembers(s roomState, want map[id.UserID]string) {
	w.Helper()
	if got := s.members(); fmt.Sprint(got) != fmt.Sprint(want) { // in the order of their keys
		w.Errorf("in the room are %v, want %v", got, want)
	}
}

// wantText checks a text of an event.
func (w *roomsWorld) wantText(s roomState, eventType, field, want string) {
	w.Helper()
	if got := s.text(eventType, field); got != want {
		w.Errorf("the room's %s is %q, want %q", eventType, got, want)
	}
}
