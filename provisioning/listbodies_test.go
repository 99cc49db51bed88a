package provisioning_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// listing is a factory whose clients have long lists, which are the same slices each time.
type listing struct {
	provisioning.TelegramClientFactory
	chats    []provisioning.Chat
	contacts []provisioning.Contact
}

const longList = 1000

func newListing(of provisioning.TelegramClientFactory) *listing {
	l := &listing{TelegramClientFactory: of}
	for i := range longList {
		l.chats = append(l.chats, provisioning.Chat{ID: provisioning.ChannelChatID(int64(i) + 1), Title: fmt.Sprint("Chat ", i)})
		l.contacts = append(l.contacts, provisioning.Contact{ID: provisioning.TelegramID(5000 + i), Name: fmt.Sprint("Contact ", i)})
	}
	return l
}

// Client implements provisioning.TelegramClientFactory.
func (l *listing) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	client, err := l.TelegramClientFactory.Client(ctx, userID)
	return listingClient{client, l}, err
}

type listingClient struct {
	provisioning.TelegramClient
	of *listing
}

// Chats implements provisioning.ChatLister.
func (c listingClient) Chats(context.Context, provisioning.ChatQuery) ([]provisioning.Chat, error) {
	return c.of.chats, nil
}

// Contacts implements provisioning.ContactLister.
func (c listingClient) Contacts(context.Context, provisioning.ContactQuery) ([]provisioning.Contact, error) {
	return c.of.contacts, nil
}

// newListingBridge returns a bridge where alice has long lists, and all of the chats are bridged.
func newListingBridge(t *testing.T) (*bridge, *listing) {
	t.Helper()
	var lists *listing
	b := newBridge(t, func(b *bridge, cfg *provisioning.Config) {
		lists = newListing(b.telegram)
		cfg.Telegram = lists
	})
	b.logIn(t, alice, aliceAccount)
	for i, chat := range lists.chats {
		b.connect(t, provisioning.Portal{RoomID: id.RoomID(fmt.Sprintf("!%d:example.com", i)), ChatID: chat.ID})
	}
	return b, lists
}

const (
	chatsPath    = "/user/" + string(alice) + "/chats"
	contactsPath = "/user/" + string(alice) + "/contacts"
)

// A long list that has not changed is not encoded again: that takes a few allocations for each
// entry.
func TestLongListsAreEncodedOnce(t *testing.T) {
	b, lists := newListingBridge(t)
	for path, change := range map[string]func(){
		chatsPath: func() {
			lists.chats[0].Title += "!"
		},
		contactsPath: func() {
			lists.contacts[0].Name += "!"
		},
	} {
		ask := func() {
			rec := httptest.NewRecorder()
			b.handler.ServeHTTP(rec, newRequest(http.MethodGet, path, ""))
			if rec.Code != http.StatusOK {
				t.Errorf("%s: status %d", path, rec.Code)
			}
		}
		if n := testing.AllocsPerRun(1, func() { change(); ask() }); n < longList {
			t.Errorf("%s: %v allocations for a list that has changed, want at least one for each of %d entries", path, n, longList)
		}
		if n := testing.AllocsPerRun(10, ask); n > longList/2 {
			t.Errorf("%s: %v allocations for a list that has not changed, want less than half of its %d entries", path, n, longList)
		}
	}
}

// What is kept of a long list is never shown after a change, of the list that was returned too.
func TestLongListsAreFresh(t *testing.T) {
	b, lists := newListingBridge(t)
	want := func(path, text string, shown bool) {
		t.Helper()
		for range 2 {
			a := b.call(t, http.MethodGet, path, "")
			a.want(t, http.StatusOK, "")
			if strings.Contains(a.body, text) != shown {
				t.Errorf("%s: has %s: %t, want %t", path, text, !shown, shown)
			}
		}
	}
	want(chatsPath, `"!7:example.com"`, true)
	if err := b.portals.Disconnect(t.Context(), provisioning.Portal{RoomID: "!7:example.com", ChatID: lists.chats[7].ID}); err != nil {
		t.Fatal(err)
	}
	want(chatsPath, `"!7:example.com"`, false)
	b.connect(t, provisioning.Portal{RoomID: "!new:example.com", ChatID: lists.chats[7].ID})
	want(chatsPath, `"!new:example.com"`, true)
	lists.chats = append(lists.chats[:0:0], lists.chats[1:]...)
	want(chatsPath, `"Chat 0"`, false)
	want(chatsPath+"?after="+fmt.Sprint(int64(lists.chats[0].ID)), `"Chat 1"`, false)
	want(chatsPath, `"Chat 1"`, true)

	lists.contacts[3].PhotoID = 7
	want(contactsPath, `"mxc:`, false)
	photo := func(context.Context) (provisioning.Photo, error) { return provisioning.Photo{ID: 7}, nil }
	if err := b.rooms.UpdateGhost(t.Context(), lists.contacts[3], photo); err != nil {
		t.Fatal(err)
	}
	want(contactsPath, `"mxc:`, true)
	lists.contacts[3].Name = "Somebody else"
	want(contactsPath, "Somebody else", true)
}

// Bodies are kept for a minute, those of long lists alone, and no more than a number of bytes.
func TestLongListsAreKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, lists := newListingBridge(t)
		kept := func(want int) {
			t.Helper()
			if n, bytes := b.provisioner.KeptBodies(); n != want || (n == 0) != (bytes == 0) || bytes > provisioning.MaxBodies {
				t.Errorf("%d bodies of %d bytes are kept, want %d", n, bytes, want)
			}
		}
		ask := func(path string) { b.call(t, http.MethodGet, path, "").want(t, http.StatusOK, "") }
		ask(chatsPath + "?limit=10")
		kept(0)
		ask(chatsPath)
		kept(1)
		advance(40 * time.Second)
		ask(contactsPath)
		kept(2)
		lists.chats = lists.chats[1:]
		ask(chatsPath) // in place of the other
		kept(2)
		advance(30 * time.Second)
		kept(2)
		advance(31 * time.Second)
		kept(0)

		long := strings.Repeat("x", provisioning.MaxBodies/longList)
		for i := range lists.contacts {
			lists.contacts[i].Name = long
		}
		ask(contactsPath)
		kept(0)
	})
}
