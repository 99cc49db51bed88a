package provisioningtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestDirectRooms runs every check of the interface provisioning.DirectRooms as a
// subtest, on backends as those of [TestRooms], whose Rooms has to implement it.
func TestDirectRooms(t *testing.T, backend func(t *testing.T) RoomsBackend) {
	runSuite(t, directRoomsChecks, backend)
}

var directRoomsChecks = []suiteCheck[RoomsBackend]{
	{"create", "CreateDirect makes a room with the person's ghost and the bridge bot in it. The Matrix user is not in it yet.", checkCreateDirect},
	{"power in a direct room", "The ghost and the bridge bot both have the power to do everything.", checkDirectPower},
	{"name of the ghost", "The ghost has the contact's name.", checkDirectGhostName},
	{"every room is a new one", "CreateDirect makes a room for the direct chat of a Matrix user with somebody on Telegram.", checkDirectTwice},
	{"create several at once", "Methods are called concurrently.", checkDirectAtOnce},
	{"invite", "InviteToDirect has the ghost of a Telegram user invite a Matrix user to their direct room. The invitation is marked as one to a direct chat.", checkInvite},
	{"invite again", "InviteToDirect invites unless the user is in the room or is invited already.", checkInviteAgain},
	{"invite who has left", "InviteToDirect invites unless the user is in the room or is invited already.", checkInviteWhoHasLeft},
	{"invite who is banned", "ErrMatrixInviteRefused: nobody of the bridge may invite the Matrix user, so that trying again is no use: the user is banned there.", checkInviteBanned},
	{"invite without the bridge", "ErrMatrixInviteRefused: nobody of the bridge may invite the Matrix user, so that trying again is no use: the bridge has left the room.", checkInviteWithoutBridge},
	{"homeserver fails", "After errors other than ErrMatrixInviteRefused it is tried again; ErrHomeserver says that the homeserver can't be reached.", checkDirectFails},
	{"cancelled context", "Methods honour the context.", checkDirectContext},
	{"context cancelled while waiting", "Methods honour the context.", checkDirectWaiting},
}

// directWorld is a roomsWorld whose Rooms has direct rooms.
type directWorld struct {
	*roomsWorld
	direct provisioning.DirectRooms
}

func newDirectWorld(t T, b RoomsBackend) directWorld {
	t.Helper()
	direct, ok := b.Rooms.(provisioning.DirectRooms)
	if !ok {
		t.Fatalf("the Rooms of the test, a %T, does not implement provisioning.DirectRooms", b.Rooms)
	}
	return directWorld{newRoomsWorld(t, b), direct}
}

// zaphod is somebody on Telegram.
func zaphod() provisioning.Contact { return provisioning.Contact{ID: 42, Name: "Zaphod <é 中 😀>"} }

// create makes a room for alice's chat with zaphod.
func (w directWorld) create() id.RoomID {
	w.Helper()
	roomID, err := w.direct.CreateDirect(w.Context(), w.alice, zaphod())
	if err != nil {
		w.Fatalf("CreateDirect: %v", err)
	}
	return roomID
}

// invite invites alice, which has to succeed.
func (w directWorld) invite(roomID id.RoomID) {
	w.Helper()
	if err := w.direct.InviteToDirect(w.Context(), roomID, w.alice, zaphod().ID); err != nil {
		w.Fatalf("InviteToDirect: %v", err)
	}
}

// wantInvitation checks that alice is invited, to a direct chat.
func (w directWorld) wantInvitation(roomID id.RoomID) {
	w.Helper()
	content := w.state(roomID).content("m.room.member", string(w.alice))
	if content["membership"] != "invite" || content["is_direct"] != true {
		w.Errorf("the user's membership is %v; want an invitation with is_direct", content)
	}
}

func checkCreateDirect(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	roomID := w.create()
	s := w.state(roomID)
	w.wantMembers(s, map[id.UserID]string{w.Bot: "join", w.Ghost(42): "join"})
	w.wantRoom(roomID, provisioning.Room{
		Name: s.text("m.room.name", "name"), Topic: s.text("m.room.topic", "topic"),
		Encrypted: s.text("m.room.encryption", "algorithm") != "", Ghosts: []provisioning.TelegramID{42},
	})
}

func checkDirectPower(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	roomID := w.create()
	for _, userID := range []id.UserID{w.Bot, w.Ghost(42)} {
		for _, eventType := range []string{"m.room.power_levels", "m.room.tombstone", "m.bridge", "m.room.name", checkEvent} {
			if has, err := w.Rooms.HasPower(t.Context(), roomID, userID, eventType); err != nil || !has {
				t.Errorf("HasPower(%s, %s) in a new direct room: %t, %v; want true", userID, eventType, has, err)
			}
		}
	}
}

func checkDirectGhostName(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	w.create()
	w.wantProfile(zaphod(), "")
}

// wantProfile checks what a contact's ghost shows. The name may have something added.
func (w *roomsWorld) wantProfile(contact provisioning.Contact, avatar id.ContentURIString) {
	w.Helper()
	name, got, err := w.Homeserver.Profile(w.Context(), w.Ghost(contact.ID))
	if err != nil {
		w.Fatalf("the Homeserver of the test: Profile: %v", err)
	}
	if !strings.Contains(name, contact.Name) {
		w.Errorf("the ghost's name is %q, want %q", name, contact.Name)
	}
	if got != avatar {
		w.Errorf("the ghost's avatar is %q, want %q", got, avatar)
	}
}

func checkDirectTwice(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	first, bob := w.create(), w.user("bob")
	w.invite(first)
	for _, other := range []struct {
		userID  id.UserID
		contact provisioning.Contact
	}{{bob, zaphod()}, {w.alice, provisioning.Contact{ID: 43, Name: "Trillian"}}, {w.alice, zaphod()}} {
		roomID, err := w.direct.CreateDirect(t.Context(), other.userID, other.contact)
		if err != nil || roomID == first {
			t.Fatalf("CreateDirect for another chat: %s, %v; want another room than %s", roomID, err, first)
		}
		w.wantMembers(w.state(roomID), map[id.UserID]string{w.Bot: "join", w.Ghost(other.contact.ID): "join"})
	}
	w.wantMembers(w.state(first), map[id.UserID]string{w.Bot: "join", w.Ghost(42): "join", w.alice: "invite"})
}

func checkDirectAtOnce(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	const chats = 4
	var users, ghosts [chats]id.UserID
	var rooms [chats]id.RoomID
	var calls []func()
	for i := range chats {
		users[i] = w.user("bob")
		contact := zaphod()
		contact.ID += provisioning.TelegramID(i / 2) // two have a ghost in common
		ghosts[i] = w.Ghost(contact.ID)
		calls = append(calls, func() {
			roomID, err := w.direct.CreateDirect(t.Context(), users[i], contact)
			if err == nil {
				err = w.direct.InviteToDirect(t.Context(), roomID, users[i], contact.ID)
			}
			if err != nil {
				t.Errorf("CreateDirect and InviteToDirect, several at once: %v", err)
			}
			rooms[i] = roomID
		})
	}
	atOnce(calls...)
	for i, roomID := range rooms {
		if roomID != "" {
			w.wantMembers(w.state(roomID), map[id.UserID]string{w.Bot: "join", ghosts[i]: "join", users[i]: "invite"})
		}
	}
}

func checkInvite(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	roomID := w.create()
	w.invite(roomID)
	w.wantInvitation(roomID)
	if e := w.state(roomID)[[2]string{"m.room.member", string(w.alice)}]; e.Sender != w.Ghost(42) {
		t.Errorf("%s has invited the user, want the ghost %s", e.Sender, w.Ghost(42))
	}
	w.join(roomID, w.alice)
}

func checkInviteAgain(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	roomID := w.create()
	w.invite(roomID)
	for _, when := range []string{"is invited", "has joined"} {
		before := w.state(roomID)
		w.invite(roomID)
		if change := before.changes(w.state(roomID)); change != "" {
			t.Errorf("InviteToDirect of a user who %s has changed something: %s", when, change)
		}
		w.join(roomID, w.alice)
	}
}

func checkInviteWhoHasLeft(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	roomID := w.create()
	w.invite(roomID)
	w.member(roomID, w.alice, w.alice, "leave") // which refuses the invitation
	w.invite(roomID)
	w.wantInvitation(roomID)
	w.join(roomID, w.alice)
	w.member(roomID, w.alice, w.alice, "leave")
	w.invite(roomID)
	w.wantInvitation(roomID)
}

// wantRefusal calls InviteToDirect.
func (w directWorld) wantRefusal(roomID id.RoomID, why string) {
	w.Helper()
	if err := w.direct.InviteToDirect(w.Context(), roomID, w.alice, zaphod().ID); !errors.Is(err, provisioning.ErrMatrixInviteRefused) {
		w.Errorf("InviteToDirect where %s: %v; want ErrMatrixInviteRefused", why, err)
	}
}

func checkInviteBanned(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	roomID := w.create()
	w.member(roomID, w.Bot, w.alice, "ban")
	w.wantRefusal(roomID, "the user is banned")
	w.member(roomID, w.Bot, w.alice, "leave")
	w.invite(roomID)
	w.wantInvitation(roomID)
}

func checkInviteWithoutBridge(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	roomID := w.create()
	for _, userID := range []id.UserID{w.Bot, w.Ghost(42)} {
		w.member(roomID, userID, userID, "leave")
	}
	w.wantRefusal(roomID, "the bridge has left the room")
}

// directCalls are calls of both methods.
func (w directWorld) directCalls() []roomsCall {
	w.Helper()
	roomID := w.create()
	return []roomsCall{
		{"InviteToDirect", func(ctx context.Context) error {
			return w.direct.InviteToDirect(ctx, roomID, w.alice, zaphod().ID)
		}},
		{"CreateDirect", func(ctx context.Context) error {
			_, err := w.direct.CreateDirect(ctx, w.alice, provisioning.Contact{ID: 43, Name: "Trillian"})
			return err
		}},
	}
}

func checkDirectFails(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	wantHomeserverErrors(t, w.Disturb, w.directCalls(), provisioning.ErrMatrixInviteRefused)
}

func checkDirectContext(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	wantContextErrors(t, w.directCalls(), provisioning.ErrMatrixInviteRefused)
}

func checkDirectWaiting(t T, b RoomsBackend) {
	w := newDirectWorld(t, b)
	calls := w.directCalls()
	wantEndOfWaiting(t, w.Disturb, calls)
	wantEnds(t, w.Disturb, calls)
}
