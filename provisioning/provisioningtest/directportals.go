package provisioningtest

import (
	"context"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// DirectPortalsBackend is what [TestDirectPortals] runs on.
type DirectPortalsBackend struct {
	// Store has no portals at first.
	Store interface {
		provisioning.PortalStore
		provisioning.DirectPortals
	}
	// Users are two Matrix users with the accounts that they are logged in with.
	Users [2]DirectPortalsUser
	// Contact is somebody whom both accounts can write to.
	Contact provisioning.Contact
	// IsInRoom says whether a Matrix user is in a room, or invited to it.
	IsInRoom func(ctx context.Context, roomID id.RoomID, userID id.UserID) (bool, error)
	// Leave has a Matrix user leave a room, or refuse an invitation to it.
	Leave func(ctx context.Context, roomID id.RoomID, userID id.UserID) error
}

// DirectPortalsUser is a Matrix user with their Telegram account.
type DirectPortalsUser struct {
	// UserID is the Matrix user's.
	UserID id.UserID
	// Account is the Telegram account.
	Account provisioning.Account
}

// TestDirectPortals runs every check of the interface provisioning.DirectPortals as a
// subtest. backend returns one for each check.
func TestDirectPortals(t *testing.T, backend func(t *testing.T) DirectPortalsBackend) {
	runSuite(t, directPortalsChecks, backend)
}

var directPortalsChecks = []suiteCheck[DirectPortalsBackend]{
	{"start", "StartDirect returns the portal of an account's chat with a contact, and whether it was made for this call.", checkStartDirect},
	{"start again", "StartDirect returns the portal of an account's chat, and whether it was made for this call.", checkStartDirectAgain},
	{"invited", "The Matrix user is in the portal's room, or is invited to it.", checkStartDirectInvites},
	{"who has left", "The Matrix user is in the portal's room, or is invited to it.", checkStartDirectAfterLeaving},
	{"each account's own", "StartDirect returns the portal of an account's chat: another account's is another one.", checkStartDirectOfTwo},
	{"several at once", "Of racing calls for one chat, one makes the portal, and all return it.", checkStartDirectAtOnce},
	{"cancelled context", "Methods honour the context.", checkStartDirectContext},
}

// startDirect starts the chat of a user with the contact, which has to succeed.
func startDirect(t T, b DirectPortalsBackend, user DirectPortalsUser) (provisioning.Portal, bool) {
	t.Helper()
	portal, created, err := b.Store.StartDirect(t.Context(), user.UserID, user.Account, b.Contact)
	if err != nil {
		t.Fatalf("StartDirect: %v", err)
	}
	return portal, created
}

// wantInRoom checks that a user is in the room of a portal.
func wantInRoom(t T, b DirectPortalsBackend, roomID id.RoomID, userID id.UserID) {
	t.Helper()
	is, err := b.IsInRoom(t.Context(), roomID, userID)
	if err != nil {
		t.Fatalf("the IsInRoom of the test: %v", err)
	}
	if !is {
		t.Errorf("%s is neither in the room %s nor invited to it", userID, roomID)
	}
}

func checkStartDirect(t T, b DirectPortalsBackend) {
	user := b.Users[0]
	portal, created := startDirect(t, b, user)
	if !created || portal.RoomID == "" || portal.ChatID != provisioning.UserChatID(b.Contact.ID) || portal.Receiver != user.Account.ID {
		t.Errorf("StartDirect of a new chat: %+v, created %t; want a room, the chat %d of %d, and true", portal, created, b.Contact.ID, user.Account.ID)
	}
	if got, err := b.Store.PortalByChat(t.Context(), portal.ChatID, user.Account.ID); err != nil || got.RoomID != portal.RoomID {
		t.Errorf("PortalByChat after it: %+v, %v; want the room %s", got, err, portal.RoomID)
	}
	if got, err := b.Store.PortalByRoom(t.Context(), portal.RoomID); err != nil || got.ChatID != portal.ChatID {
		t.Errorf("PortalByRoom after it: %+v, %v; want the chat %d", got, err, portal.ChatID)
	}
}

func checkStartDirectAgain(t T, b DirectPortalsBackend) {
	first, _ := startDirect(t, b, b.Users[0])
	again, created := startDirect(t, b, b.Users[0])
	if created || again.RoomID != first.RoomID {
		t.Errorf("StartDirect of a chat that has a portal: the room %s, created %t; want %s and false", again.RoomID, created, first.RoomID)
	}
}

func checkStartDirectInvites(t T, b DirectPortalsBackend) {
	portal, _ := startDirect(t, b, b.Users[0])
	wantInRoom(t, b, portal.RoomID, b.Users[0].UserID)
}

func checkStartDirectAfterLeaving(t T, b DirectPortalsBackend) {
	portal, _ := startDirect(t, b, b.Users[0])
	if err := b.Leave(t.Context(), portal.RoomID, b.Users[0].UserID); err != nil {
		t.Fatalf("the Leave of the test: %v", err)
	}
	again, _ := startDirect(t, b, b.Users[0])
	wantInRoom(t, b, again.RoomID, b.Users[0].UserID)
}

func checkStartDirectOfTwo(t T, b DirectPortalsBackend) {
	first, _ := startDirect(t, b, b.Users[0])
	second, created := startDirect(t, b, b.Users[1])
	if !created || second.RoomID == first.RoomID || second.Receiver != b.Users[1].Account.ID {
		t.Errorf("StartDirect by a second account: %+v, created %t; want a room of its own", second, created)
	}
}

func checkStartDirectAtOnce(t T, b DirectPortalsBackend) {
	const racers = 20
	var mu sync.Mutex
	rooms, made := map[id.RoomID]int{}, 0
	call := func() {
		portal, created, err := b.Store.StartDirect(t.Context(), b.Users[0].UserID, b.Users[0].Account, b.Contact)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("StartDirect beside others: %v", err)
			return
		}
		rooms[portal.RoomID]++
		if created {
			made++
		}
	}
	calls := make([]func(), racers)
	for i := range calls {
		calls[i] = call
	}
	atOnce(calls...)
	if len(rooms) != 1 || made != 1 {
		t.Errorf("%d calls at once returned the rooms %v, and %d times that it was created; want one room, once", racers, rooms, made)
	}
}

func checkStartDirectContext(t T, b DirectPortalsBackend) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.Store.StartDirect(ctx, b.Users[0].UserID, b.Users[0].Account, b.Contact); err == nil {
		t.Errorf("StartDirect with a cancelled context has no error")
	}
}
