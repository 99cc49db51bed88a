package provisioningtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestGhostAvatars runs every check of the interface provisioning.GhostAvatars as a
// subtest, on backends as those of [TestRooms], whose Rooms has to implement it.
func TestGhostAvatars(t *testing.T, backend func(t *testing.T) RoomsBackend) {
	runSuite(t, ghostAvatarsChecks, backend)
}

var ghostAvatarsChecks = []suiteCheck[RoomsBackend]{
	{"unknown ghosts", "Avatars returns the contacts whose ghost does not have their current photo. A contact without a photo is in neither.", checkUnknownGhosts},
	{"avatar", "Avatars returns the avatars of those contacts whose ghosts have one, by the contacts' IDs, as mxc:// URIs.", checkAvatar},
	{"another photo", "Avatars returns the contacts whose ghost does not have their current photo.", checkAnotherPhoto},
	{"contact without a photo", "A contact without a photo is in neither.", checkContactWithoutPhoto},
	{"many contacts", "Avatars returns the avatars of those contacts whose ghosts have one, whatever their number.", checkManyContacts},
	{"no waiting for downloads", "Avatars reads what is known here and waits for no download.", checkAvatarsDuringDownload},
	{"avatars without a homeserver", "Avatars reads what is known here.", checkAvatarsAlone},
	{"name", "UpdateGhost gives a contact's ghost the contact's name.", checkGhostName},
	{"nil photo", "A nil photo leaves the avatar alone.", checkNilPhoto},
	{"known photo", "The photo is asked for only when it is not known here.", checkKnownPhoto},
	{"photo that can't be had", "Avatars returns the contacts whose ghost does not have their current photo.", checkPhotoGone},
	{"nothing has changed", "UpdateGhost gives a contact's ghost the contact's name and photo, each only when it has changed.", checkUnchangedGhost},
	{"racing updates", "Methods are called concurrently.", checkGhostsAtOnce},
	{"homeserver fails", "All methods return an error that wraps ErrHomeserver when the homeserver can't be reached.", checkGhostsFail},
	{"update after a failure", "UpdateGhost gives a contact's ghost the contact's name and photo.", checkGhostsGoOn},
	{"cancelled context", "Methods honour the context.", checkGhostsContext},
	{"context cancelled while waiting", "Methods honour the context.", checkGhostsWaiting},
}

// ghostsWorld is a roomsWorld whose Rooms has the ghosts' avatars.
type ghostsWorld struct {
	*roomsWorld
	ghosts provisioning.GhostAvatars
}

func newGhostsWorld(t T, b RoomsBackend) ghostsWorld {
	t.Helper()
	ghosts, ok := b.Rooms.(provisioning.GhostAvatars)
	if !ok {
		t.Fatalf("the Rooms of the test, a %T, does not implement provisioning.GhostAvatars", b.Rooms)
	}
	return ghostsWorld{&roomsWorld{T: t, RoomsBackend: b}, ghosts}
}

// The contacts of the checks. Trillian has the same photo as Zaphod.
func withPhoto(photoID int64) (contact provisioning.Contact) {
	contact = zaphod()
	contact.PhotoID = photoID
	return contact
}

func trillian() provisioning.Contact {
	return provisioning.Contact{ID: 43, Name: "Trillian", PhotoID: 77}
}

func arthur() provisioning.Contact { return provisioning.Contact{ID: 44, Name: "Arthur"} }

// update calls UpdateGhost, which has to succeed.
func (w ghostsWorld) update(contact provisioning.Contact, photo provisioning.PhotoFunc) {
	w.Helper()
	if err := w.ghosts.UpdateGhost(w.Context(), contact, photo); err != nil {
		w.Fatalf("UpdateGhost(%+v): %v", contact, err)
	}
}

// avatars calls Avatars, and checks who is outdated.
func (w ghostsWorld) avatars(contacts []provisioning.Contact, outdated ...provisioning.Contact) map[provisioning.TelegramID]id.ContentURIString {
	w.Helper()
	given := slices.Clone(contacts)
	known, got, err := w.ghosts.Avatars(w.Context(), contacts)
	if err != nil {
		w.Fatalf("Avatars: %v", err)
	}
	if !slices.Equal(given, contacts) {
		w.Errorf("Avatars has changed the contacts that it was given")
	}
	byID := func(a, b provisioning.Contact) int { return int(a.ID - b.ID) }
	got, outdated = slices.SortedFunc(slices.Values(got), byID), slices.SortedFunc(slices.Values(outdated), byID)
	if !slices.Equal(got, outdated) {
		w.Errorf("Avatars returned %d outdated contacts, %.300s; want %d, %.300s", len(got), fmt.Sprint(got), len(outdated), fmt.Sprint(outdated))
	}
	for telegramID, uri := range known {
		if !strings.HasPrefix(string(uri), "mxc://") {
			w.Errorf("the avatar of %d is %q, want an mxc:// URI", telegramID, uri)
		}
	}
	return known
}

// wantKnown checks whose avatars are known.
func (w ghostsWorld) wantKnown(known map[provisioning.TelegramID]id.ContentURIString, want ...provisioning.TelegramID) {
	w.Helper()
	var got []provisioning.TelegramID
	for telegramID := range known {
		got = append(got, telegramID)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.Errorf("Avatars knows those of %v, want %v", got, want)
	}
}

func checkUnknownGhosts(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	w.wantKnown(w.avatars(nil))
	contacts := []provisioning.Contact{withPhoto(77), arthur(), trillian()}
	w.wantKnown(w.avatars(contacts, withPhoto(77), trillian()))
	w.update(withPhoto(77), nil) // the ghost, and no avatar yet
	w.wantKnown(w.avatars(contacts, withPhoto(77), trillian()))
}

func checkAvatar(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	w.update(withPhoto(77), newPhoto(77).get)
	w.update(arthur(), nil)
	known := w.avatars([]provisioning.Contact{withPhoto(77), arthur(), trillian()}, trillian())
	w.wantKnown(known, 42)
	w.wantProfile(withPhoto(77), known[42])
	w.wantProfile(arthur(), "")
	w.wantKnown(w.avatars([]provisioning.Contact{trillian()}, trillian()))
}

func checkAnotherPhoto(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	w.update(withPhoto(77), newPhoto(77).get)
	old := w.avatars([]provisioning.Contact{withPhoto(77)})
	now := withPhoto(78)
	if known := w.avatars([]provisioning.Contact{now}, now); known[42] != old[42] {
		t.Errorf("the avatar of a ghost with an older photo is %q; it has %q", known[42], old[42])
	}
	w.update(now, newPhoto(78).get)
	known := w.avatars([]provisioning.Contact{now})
	if known[42] == old[42] {
		t.Errorf("the avatar is %q, as before, when the contact has another photo", known[42])
	}
	w.wantProfile(now, known[42])
}

func checkContactWithoutPhoto(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	w.update(withPhoto(77), newPhoto(77).get)
	w.wantKnown(w.avatars([]provisioning.Contact{withPhoto(0)})) // whom this account does not see a photo of
}

func checkManyContacts(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	const many = 66_000 // more than the parameters of a query
	contacts := []provisioning.Contact{withPhoto(77)}
	for i := range provisioning.TelegramID(many) {
		contacts = append(contacts, provisioning.Contact{ID: 1000 + i, Name: "Somebody", PhotoID: 1})
	}
	w.update(contacts[0], newPhoto(77).get)
	w.update(contacts[many], newPhoto(1).get)
	w.wantKnown(w.avatars(contacts, contacts[1:many]...), 42, contacts[many].ID)
}

// downloading has an update wait for its photo until the function that it returns is
// called, which returns the update's error.
func (w ghostsWorld) downloading(contact provisioning.Contact) (release func() error) {
	w.Helper()
	began, released, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- w.ghosts.UpdateGhost(w.Context(), contact, func(ctx context.Context) (provisioning.Photo, error) {
			close(began)
			<-released
			return newPhoto(contact.PhotoID).get(ctx)
		})
	}()
	select {
	case <-began:
	case err := <-done:
		w.Fatalf("UpdateGhost has not asked for a photo that is not known: %v", err)
	}
	return func() error {
		close(released)
		return <-done
	}
}

func checkAvatarsDuringDownload(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	release := w.downloading(withPhoto(77))
	answered := make(chan error, 1)
	contacts := []provisioning.Contact{withPhoto(77), trillian()}
	go func() {
		_, _, err := w.ghosts.Avatars(t.Context(), contacts)
		answered <- err
	}()
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("Avatars during a download: %v", err)
		}
	case <-time.After(patience):
		t.Errorf("Avatars waits for a download")
	}
	if err := release(); err != nil {
		t.Errorf("UpdateGhost: %v", err)
	}
	w.wantKnown(w.avatars(contacts, trillian()), 42)
}

func checkAvatarsAlone(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	w.update(withPhoto(77), newPhoto(77).get)
	contacts := []provisioning.Contact{withPhoto(77), trillian()}
	_, err := disturb(w.Disturb).failing(errAway, func() error {
		known, outdated, err := w.ghosts.Avatars(t.Context(), contacts)
		if err == nil && (len(known) != 1 || len(outdated) != 1) {
			t.Errorf("Avatars returned %v and %v; want one avatar and one outdated contact", known, outdated)
		}
		return err
	})
	if err != nil {
		t.Errorf("Avatars while the homeserver is away: %v", err)
	}
}

func checkGhostName(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	contact := withPhoto(77)
	w.update(contact, nil)
	w.wantProfile(contact, "")
	contact.Name = "The President"
	w.update(contact, newPhoto(77).get)
	w.wantProfile(contact, w.avatars([]provisioning.Contact{contact})[42])
	contact.Name = "Zaphod"
	w.update(contact, nil)
	w.wantProfile(contact, w.avatars([]provisioning.Contact{contact})[42])
}

func checkNilPhoto(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	w.update(withPhoto(77), newPhoto(77).get)
	known := w.avatars([]provisioning.Contact{withPhoto(77)})
	for _, contact := range []provisioning.Contact{withPhoto(77), withPhoto(78), withPhoto(0)} {
		w.update(contact, nil)
		w.wantProfile(contact, known[42])
		w.avatars([]provisioning.Contact{withPhoto(78)}, withPhoto(78))
	}
}

func checkKnownPhoto(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	photo := newPhoto(77)
	for range 2 {
		w.update(withPhoto(77), photo.get)
		w.update(trillian(), photo.get)
	}
	if n := photo.downloads.Load(); n != 1 {
		t.Errorf("a photo of two contacts was asked for %d times, want 1", n)
	}
	w.wantKnown(w.avatars([]provisioning.Contact{withPhoto(77), trillian()}), 42, 43)
}

// Homeservers tell every room that a ghost is in of every change of its profile.
func checkUnchangedGhost(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	photo := newPhoto(77)
	w.update(withPhoto(77), photo.get)
	w.alice = w.user("alice")
	roomID := w.room("11")
	w.join(roomID, w.Ghost(42))
	before := w.state(roomID)
	w.update(withPhoto(77), photo.get)
	w.update(withPhoto(77), nil)
	if change := before.changes(w.state(roomID)); change != "" {
		t.Errorf("UpdateGhost has changed a ghost whose contact has not: %s", change)
	}
}

func checkPhotoGone(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	_ = w.ghosts.UpdateGhost(t.Context(), withPhoto(77), noPhoto)
	w.wantKnown(w.avatars([]provisioning.Contact{withPhoto(77)}, withPhoto(77)))
	w.wantProfile(provisioning.Contact{ID: 42}, "") // whatever its name is by now
	w.update(withPhoto(77), newPhoto(77).get)
	known := w.avatars([]provisioning.Contact{withPhoto(77)})
	w.wantKnown(known, 42)
	w.wantProfile(withPhoto(77), known[42])
}

func checkGhostsAtOnce(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	contacts := []provisioning.Contact{withPhoto(77), trillian()}
	photo := newPhoto(77)
	var calls []func()
	for range 4 {
		for _, contact := range contacts {
			calls = append(calls, func() {
				if err := w.ghosts.UpdateGhost(t.Context(), contact, photo.get); err != nil {
					t.Errorf("UpdateGhost, several at once: %v", err)
				}
				if _, _, err := w.ghosts.Avatars(t.Context(), contacts); err != nil {
					t.Errorf("Avatars, several at once: %v", err)
				}
			})
		}
	}
	atOnce(calls...)
	known := w.avatars(contacts)
	w.wantKnown(known, 42, 43)
	for _, contact := range contacts {
		w.wantProfile(contact, known[contact.ID])
	}
}

// ghostCalls are calls that change something.
func (w ghostsWorld) ghostCalls() []roomsCall {
	return []roomsCall{
		{"UpdateGhost with a photo", func(ctx context.Context) error {
			return w.ghosts.UpdateGhost(ctx, withPhoto(77), newPhoto(77).get)
		}},
		{"UpdateGhost without a photo", func(ctx context.Context) error { return w.ghosts.UpdateGhost(ctx, arthur(), nil) }},
	}
}

func checkGhostsFail(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	wantHomeserverErrors(t, w.Disturb, w.ghostCalls(), provisioning.ErrBridgeBotNotInRoom)
}

func checkGhostsGoOn(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	for step := 1; step < maxSteps; step++ {
		contact := provisioning.Contact{ID: provisioning.TelegramID(100 + step), Name: "Zaphod", PhotoID: int64(100 + step)}
		update := func() error { return w.ghosts.UpdateGhost(t.Context(), contact, newPhoto(contact.PhotoID).get) }
		failed, err := disturb(w.Disturb).failOnce(step, update)
		if err != nil {
			w.update(contact, newPhoto(contact.PhotoID).get)
		}
		w.wantProfile(contact, w.avatars([]provisioning.Contact{contact})[contact.ID])
		if !failed {
			return
		}
	}
	t.Errorf("UpdateGhost makes %d requests or more", maxSteps)
}

func checkGhostsContext(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	wantContextErrors(t, append(w.ghostCalls(), roomsCall{"Avatars", func(ctx context.Context) error {
		_, _, err := w.ghosts.Avatars(ctx, []provisioning.Contact{withPhoto(77)})
		return err
	}}), provisioning.ErrHomeserver)
	w.avatars([]provisioning.Contact{withPhoto(77)}, withPhoto(77))
}

func checkGhostsWaiting(t T, b RoomsBackend) {
	w := newGhostsWorld(t, b)
	calls := w.ghostCalls()
	wantEndOfWaiting(t, w.Disturb, calls)
	wantEnds(t, w.Disturb, calls)
}
