package provisioningtest

import (
	"context"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestGhostUsers runs every check of the interface provisioning.GhostUsers as a subtest, on
// backends as those of [TestRooms], whose Rooms has to implement it and
// provisioning.GhostAvatars.
func TestGhostUsers(t *testing.T, backend func(t *testing.T) RoomsBackend) {
	runSuite(t, ghostUsersChecks, backend)
}

var ghostUsersChecks = []suiteCheck[RoomsBackend]{
	{"forget", "ForgetGhosts removes what is kept here of the ghosts that no other user is recorded to need, and says of how many that was.", checkForgetGhosts},
	{"needed by another user", "ForgetGhosts removes what is kept of the ghosts that no other user is recorded to need.", checkGhostsOfTwo},
	{"nothing to forget", "ForgetGhosts says of how many ghosts something was kept.", checkForgetNoGhosts},
	{"needed again", "It is kept again when it is next needed.", checkGhostsAgain},
	{"many ghosts", "NeedGhosts records that a Matrix user needs ghosts, whatever their number.", checkNeedManyGhosts},
	{"cancelled context", "Methods honour the context.", checkGhostUsersContext},
}

// needsWorld is a ghostsWorld that records who needs ghosts.
type needsWorld struct {
	ghostsWorld
	needs provisioning.GhostUsers
}

func newNeedsWorld(t T, b RoomsBackend) needsWorld {
	t.Helper()
	needs, ok := b.Rooms.(provisioning.GhostUsers)
	if !ok {
		t.Fatalf("the Rooms of the test, a %T, does not implement provisioning.GhostUsers", b.Rooms)
	}
	return needsWorld{newGhostsWorld(t, b), needs}
}

// show gives the ghost of a contact, whom users need, its name and photo.
func (w needsWorld) show(contact provisioning.Contact, users ...id.UserID) {
	w.Helper()
	for _, userID := range users {
		w.need(userID, contact.ID)
	}
	w.update(contact, newPhoto(contact.PhotoID).get)
}

func (w needsWorld) need(userID id.UserID, telegramIDs ...provisioning.TelegramID) {
	w.Helper()
	if err := w.needs.NeedGhosts(w.Context(), userID, telegramIDs...); err != nil {
		w.Fatalf("NeedGhosts(%s): %v", userID, err)
	}
}

// forget calls ForgetGhosts, which has to forget that many.
func (w needsWorld) forget(userID id.UserID, want int) {
	w.Helper()
	if got, err := w.needs.ForgetGhosts(w.Context(), userID); err != nil || got != want {
		w.Errorf("ForgetGhosts(%s) returned %d, %v; want %d", userID, got, err, want)
	}
}

func checkForgetGhosts(t T, b RoomsBackend) {
	w := newNeedsWorld(t, b)
	contacts := []provisioning.Contact{withPhoto(77), trillian()}
	w.show(contacts[0], userA)
	w.show(contacts[1], userA)
	w.need(userA, contacts[0].ID, contacts[1].ID, contacts[0].ID)
	w.forget(userB, 0)
	w.wantKnown(w.avatars(contacts), 42, 43)
	w.forget(userA, 2)
	w.wantKnown(w.avatars(contacts, contacts...))
	w.forget(userA, 0)
}

func checkGhostsOfTwo(t T, b RoomsBackend) {
	w := newNeedsWorld(t, b)
	both, one := withPhoto(77), provisioning.Contact{ID: 43, Name: "Trillian", PhotoID: 78}
	w.show(both, userA, userB)
	w.show(one, userA)
	w.forget(userA, 1)
	w.wantKnown(w.avatars([]provisioning.Contact{both, one}, one), 42)
	w.forget(userB, 1)
	w.wantKnown(w.avatars([]provisioning.Contact{both, one}, both, one))
}

func checkForgetNoGhosts(t T, b RoomsBackend) {
	w := newNeedsWorld(t, b)
	w.forget(userA, 0)
	w.need(userA)
	w.need(userA, 42) // nothing is kept yet
	w.forget(userA, 0)
}

func checkGhostsAgain(t T, b RoomsBackend) {
	w := newNeedsWorld(t, b)
	w.show(withPhoto(77), userA)
	w.forget(userA, 1)
	w.show(withPhoto(77), userB)
	known := w.avatars([]provisioning.Contact{withPhoto(77)})
	w.wantKnown(known, 42)
	w.wantProfile(withPhoto(77), known[42])
	w.forget(userA, 0)
	w.forget(userB, 1)
}

func checkNeedManyGhosts(t T, b RoomsBackend) {
	w := newNeedsWorld(t, b)
	const many = 66_000 // more than the parameters of a query
	telegramIDs := make([]provisioning.TelegramID, many)
	for i := range telegramIDs {
		telegramIDs[i] = provisioning.TelegramID(1000 + many - i)
	}
	last := provisioning.Contact{ID: telegramIDs[many-1], Name: "Somebody", PhotoID: 77}
	w.need(userA, telegramIDs...)
	w.show(last, userB)
	w.forget(userB, 0)
	w.wantKnown(w.avatars([]provisioning.Contact{last}), last.ID)
	w.forget(userA, 1)
}

func checkGhostUsersContext(t T, b RoomsBackend) {
	w := newNeedsWorld(t, b)
	w.show(withPhoto(77), userA)
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	if err := w.needs.NeedGhosts(ctx, userB, 42); err == nil {
		w.Errorf("NeedGhosts with a cancelled context: no error")
	}
	if _, err := w.needs.ForgetGhosts(ctx, userA); err == nil {
		w.Errorf("ForgetGhosts with a cancelled context: no error")
	}
	w.wantKnown(w.avatars([]provisioning.Contact{withPhoto(77)}), 42)
}
