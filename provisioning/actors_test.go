package provisioning_test

import (
	"net/http"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Telegram has ended the session of a user who connects a room: they are logged out, and
// the portal is the relay bot's.
func TestSessionEndsDuringConnect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		b := newBridge(t, withRelay, withEvents(l))
		b.telegram.SetPhoto(news.ID, provisioning.Photo{ID: news.PhotoID, Data: []byte("photo")})
		b.logIn(t, alice, aliceAccount)
		endingSession("GetChat", alice)(t, b)
		b.post(t, connectPath+asAlice, 202)
		if got, err := b.users.User(t.Context(), alice); err != nil || got.TelegramID != 0 {
			t.Errorf("alice is %+v, %v: the account is still linked", got, err)
		}
		l.want(t, "logout @alice:example.com 1001  0", "portal_connected @alice:example.com 2001 !room:example.com -1000000000009")
		if got := b.room(room).Photo; got != news.PhotoID {
			t.Errorf("the photo of the room is %d, want the relay bot to have given it %d", got, news.PhotoID)
		}
		b.call(t, http.MethodGet, user(alice, "/chats"), "").want(t, 403, "not_logged_in")
	})
}

// The session of a user ends before their portal has its photo, which the relay bot gets.
func TestSessionEndsBeforePhoto(t *testing.T) {
	b := newBridge(t, withRelay)
	b.telegram.SetPhoto(news.ID, provisioning.Photo{ID: news.PhotoID, Data: []byte("photo")})
	b.logIn(t, alice, aliceAccount)
	endingSession("GetPhoto", alice)(t, b)
	b.post(t, connectPath+asAlice, 202)
	b.close(t)
	b.wantNoTasks(t)
	if got := b.room(room).Photo; got != news.PhotoID {
		t.Errorf("the photo of the room is %d, want %d", got, news.PhotoID)
	}
}
