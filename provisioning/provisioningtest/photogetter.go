package provisioningtest

import (
	"bytes"
	"context"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// PhotoBackend is what [TestPhotoGetter] needs.
type PhotoBackend interface {
	// GroupBackend has groups and channels.
	GroupBackend
	// SetPhoto replaces the photo of a user, group or channel. The zero value is none.
	SetPhoto(chatID provisioning.ChatID, photo provisioning.Photo)
}

// TestPhotoGetter runs every check of the interface provisioning.PhotoGetter, which the
// factory's clients have to implement, as a subtest, each on a backend of its own.
func TestPhotoGetter[B PhotoBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, photoGetterChecks, func(t *testing.T) PhotoBackend { return backend(t) })
}

var photoGetterChecks = append([]suiteCheck[PhotoBackend]{
	{"photos of chats", "GetPhoto returns the photo of a chat that the account is in.", checkChatPhotos},
	{"photos of people", "GetPhoto returns the photo of a user that the account knows.", checkUserPhotos},
	{"large photo", "GetPhoto returns the photo: Data is the file.", checkLargePhoto},
	{"another photo", "GetPhoto returns the photo that has the given ID, and ErrPhotoGone when the chat has another photo by now.", checkPhotoReplaced},
	{"no photo", "GetPhoto returns ErrPhotoGone when the chat has no photo.", checkNoPhoto},
}, usageChecks(clientCalls[PhotoBackend]{
	func(b PhotoBackend) {
		b.Add(bob)
		account := plainAccount
		account.Contacts = []provisioning.Contact{contactFor(bob)}
		b.Add(account)
		for _, group := range groupsOf(plainAccount.ID, bob.ID)[:2] {
			b.AddGroup(group)
		}
		for i, chatID := range photographed() {
			b.SetPhoto(chatID, jpegPhoto(i, 100))
		}
	},
	[]clientCall[PhotoBackend]{photoCall("a user", 0), photoCall("a basic group", 1), photoCall("a supergroup", 2)},
})...)

// photographed are a user, a basic group and a supergroup.
func photographed() []provisioning.ChatID {
	return []provisioning.ChatID{provisioning.UserChatID(bob.ID), groupsOf()[0].ID, groupsOf()[1].ID}
}

func photoCall(of string, i int) clientCall[PhotoBackend] {
	return clientCall[PhotoBackend]{"GetPhoto of " + of, logInFirst[PhotoBackend], func(ctx context.Context, _ PhotoBackend, c provisioning.TelegramClient) error {
		_, err := c.(provisioning.PhotoGetter).GetPhoto(ctx, photographed()[i], jpegPhoto(i, 100).ID)
		return err
	}, nil}
}

// jpegPhoto returns one of several photos, which looks like a JPEG file of some size.
func jpegPhoto(i, size int) provisioning.Photo {
	data := []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00")
	for len(data) < size {
		data = append(data, byte(len(data)*7+len(data)>>8+i))
	}
	return provisioning.Photo{ID: 1<<62 + int64(i), Data: data, Type: "image/jpeg"}
}

// photoGetter is a client with PhotoGetter.
type photoGetter interface {
	provisioning.TelegramClient
	provisioning.PhotoGetter
}

// logInPhotographer returns the client of an account whose contacts are bob and far.
func logInPhotographer(t T, b PhotoBackend) photoGetter {
	t.Helper()
	account := plainAccount
	for _, person := range []TelegramAccount{bob, far} {
		b.Add(person)
		account.Contacts = append(account.Contacts, contactFor(person))
	}
	return logInPlain[photoGetter](t, b, account)
}

func wantPhoto(t T, c provisioning.PhotoGetter, chatID provisioning.ChatID, want provisioning.Photo) {
	t.Helper()
	got, err := c.GetPhoto(t.Context(), chatID, want.ID)
	if err != nil {
		t.Fatalf("GetPhoto(%d): %v", chatID, err)
	}
	if got.ID != want.ID || got.Type != want.Type || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("GetPhoto(%d) returned the photo %d of %d bytes, %s; want %d, all its %d bytes, %s",
			chatID, got.ID, len(got.Data), got.Type, want.ID, len(want.Data), want.Type)
	}
}

func wantPhotoGone(t T, c provisioning.PhotoGetter, chatID provisioning.ChatID, photoID int64, what string) {
	t.Helper()
	_, err := c.GetPhoto(t.Context(), chatID, photoID)
	wantError(t, "GetPhoto of "+what, err, provisioning.ErrPhotoGone)
}

func checkChatPhotos(t T, b PhotoBackend) {
	c := logInPhotographer(t, b)
	groups := groupsOf(plainAccount.ID, bob.ID)
	for i, group := range groups {
		b.AddGroup(group)
		b.SetPhoto(group.ID, jpegPhoto(i, 100))
	}
	for i, group := range groups {
		wantPhoto(t, c, group.ID, jpegPhoto(i, 100))
	}
}

func checkUserPhotos(t T, b PhotoBackend) {
	c := logInPhotographer(t, b)
	for i, person := range []TelegramAccount{bob, far, plainAccount} {
		b.SetPhoto(provisioning.UserChatID(person.ID), jpegPhoto(i, 100))
		wantPhoto(t, c, provisioning.UserChatID(person.ID), jpegPhoto(i, 100))
	}
}

func checkLargePhoto(t T, b PhotoBackend) {
	const size = 1_500_000
	c := logInPhotographer(t, b)
	b.SetPhoto(provisioning.UserChatID(bob.ID), jpegPhoto(1, size))
	wantPhoto(t, c, provisioning.UserChatID(bob.ID), jpegPhoto(1, size))
	for _, exactly := range []int{1 << 19, 1 << 20} {
		b.SetPhoto(provisioning.UserChatID(bob.ID), jpegPhoto(1, exactly))
		wantPhoto(t, c, provisioning.UserChatID(bob.ID), jpegPhoto(1, exactly))
	}
}

// photographable adds groups, and returns their chat IDs and that of a user.
func photographable(b PhotoBackend) (chatIDs []provisioning.ChatID) {
	for _, group := range groupsOf(plainAccount.ID, bob.ID) {
		group.PhotoID = 0
		b.AddGroup(group)
		chatIDs = append(chatIDs, group.ID)
	}
	return append(chatIDs, provisioning.UserChatID(bob.ID))
}

func checkPhotoReplaced(t T, b PhotoBackend) {
	c := logInPhotographer(t, b)
	for _, chatID := range photographable(b) {
		b.SetPhoto(chatID, jpegPhoto(1, 100))
		wantPhoto(t, c, chatID, jpegPhoto(1, 100))
		wantPhotoGone(t, c, chatID, jpegPhoto(2, 0).ID, "a photo that is another chat's")
		b.SetPhoto(chatID, jpegPhoto(2, 100))
		wantPhotoGone(t, c, chatID, jpegPhoto(1, 0).ID, "a photo that was replaced")
		wantPhoto(t, c, chatID, jpegPhoto(2, 100))
	}
}

func checkNoPhoto(t T, b PhotoBackend) {
	c := logInPhotographer(t, b)
	for _, chatID := range photographable(b) {
		wantPhotoGone(t, c, chatID, jpegPhoto(1, 0).ID, "a chat that never had a photo")
		b.SetPhoto(chatID, jpegPhoto(1, 100))
		b.SetPhoto(chatID, provisioning.Photo{})
		wantPhotoGone(t, c, chatID, jpegPhoto(1, 0).ID, "a chat whose photo was removed")
	}
}
