package provisioning_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

var codeAlice = [2]string{"send_code", `{"code":"01234"}`}

// wantEmptied checks that a room is no portal any more, and that everybody has left it.
func (b *bridge) wantEmptied(t *testing.T, roomID id.RoomID) {
	t.Helper()
	synctest.Wait()
	if p, err := b.portals.PortalByRoom(t.Context(), roomID); !errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("the direct portal is still there: %+v, %v", p, err)
	}
	if r := b.room(roomID); !r.NoBot || len(r.Users)+len(r.Invited)+len(r.Ghosts) != 0 {
		t.Errorf("somebody is left in the direct room: %+v", r)
	}
}

// Somebody logs out of an account, and another user logs in with it: the direct chats of the
// one before end, and the next one gets fresh rooms.
func TestDirectChatsOfWhoHadTheAccountBefore(t *testing.T) {
	for _, c := range []struct {
		name   string
		logIn  func(*testing.T, *bridge)
		atOnce bool // all end by the login, not when the next one asks for them
	}{
		{"login", func(t *testing.T, b *bridge) { b.login(t, bob, requestAlice, codeAlice) }, true},
		// The process died after Telegram had accepted the login.
		{"login found later", func(t *testing.T, b *bridge) {
			b.telegram.LogIn(bob, aliceAccount.ID)
			b.call(t, http.MethodGet, user(bob, ""), "").want(t, 200, "")
		}, true},
		{"login while the store fails", func(t *testing.T, b *bridge) {
			b.portals.Fail("PortalUser", errors.New("disk full"))
			b.login(t, bob, requestAlice, codeAlice)
			b.portals.Fail("PortalUser", nil)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := &eventLog{}
				b := newBridge(t, withRelay, withEvents(l))
				b.login(t, alice, requestAlice, codeAlice)
				direct := b.startDM(t, alice, "1002")
				b.post(t, connectPath+asAlice, 202)
				b.post(t, user(alice, "/logout"), 200)
				synctest.Wait()
				l.take()
				c.logIn(t, b)
				if c.atOnce {
					b.wantEmptied(t, direct)
				}
				fresh := b.startDM(t, bob, "1002")
				if fresh == direct {
					t.Error("the next user has got the room of the one before")
				}
				b.wantEmptied(t, direct)
				l.want(t, "login @bob:example.com 1001  0", "portal_created @bob:example.com 1001 "+string(fresh)+" 1002",
					"portal_disconnected @alice:example.com 0 "+string(direct)+" 1002")
				if p, err := b.portals.PortalByRoom(t.Context(), room); err != nil || p.ChatID != news.ID {
					t.Errorf("the group's portal: %+v, %v", p, err)
				}
				if again := b.startDM(t, bob, "1002"); again != fresh {
					t.Error("the next user's own room is not kept")
				}
				b.wantNoTasks(t)
			})
		})
	}
}

// Whoever logs out and in again keeps their rooms, and so does who asks for one that is
// recorded for nobody, or whose store does not know.
func TestDirectChatsThatAreKept(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *bridge) id.RoomID{
		"own": func(t *testing.T, b *bridge) id.RoomID {
			b.login(t, alice, requestAlice, codeAlice)
			roomID := b.startDM(t, alice, "1002")
			b.post(t, user(alice, "/logout"), 200)
			return roomID
		},
		"nobody's": func(t *testing.T, b *bridge) id.RoomID {
			b.connect(t, provisioning.Portal{RoomID: otherRoom, ChatID: 1002, Receiver: 1001}, 1001)
			return otherRoom
		},
	} {
		inBubble(t, func(t *testing.T) {
			b := newBridge(t, withRelay)
			roomID := before(t, b)
			b.login(t, alice, requestAlice, codeAlice)
			if got := b.startDM(t, alice, "1002"); got != roomID {
				t.Errorf("%s: the room is %s, want %s", name, got, roomID)
			}
		})
	}
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay, func(b *bridge, cfg *provisioning.Config) {
			cfg.Portals = struct{ provisioning.PortalStore }{b.portals}
		})
		b.login(t, alice, requestAlice, codeAlice)
		roomID := b.startDM(t, alice, "1002")
		b.post(t, user(alice, "/logout"), 200)
		b.login(t, bob, requestAlice, codeAlice)
		if got := b.startDM(t, bob, "1002"); got != roomID {
			t.Errorf("the room is %s, want %s", got, roomID)
		}
	})
}

// A store that can't tell whose a portal is hands it to nobody.
func TestDirectChatOfUnknownUser(t *testing.T) {
	b := newBridge(t, withRelay)
	b.logIn(t, alice, aliceAccount)
	b.startDM(t, alice, "1002")
	b.portals.Fail("PortalUser", errors.New("disk full"))
	b.post(t, user(alice, "/pm/1002"), 500)
	b.close(t)
}

// What somebody has left behind is not another's who has the account now, whose login did not
// find it.
func TestForgetWhoHadTheAccountBefore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		b.logIn(t, alice, aliceAccount)
		direct := b.startDM(t, alice, "1002")
		b.post(t, user(alice, "/logout"), 200)
		b.logIn(t, bob, aliceAccount)
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{Ghosts: 1}, direct)
		b.wantEmptied(t, direct)
	})
}

// A user is invited to a direct chat by the time of the answer, which waits neither for what
// the room shows nor for the ghost's avatar.
func TestDirectChatIsAnsweredWhenTheUserIsInvited(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		for _, method := range []string{"UpdateGhost", "SetUpPortal"} {
			b.rooms.On(method, sleep(time.Minute))
		}
		start := time.Now()
		direct := b.startDM(t, alice, "1002")
		if took := time.Since(start); took != 0 {
			t.Errorf("the answer took %s", took)
		}
		if r := b.room(direct); !slices.Equal(r.Invited, []id.UserID{alice}) {
			t.Errorf("the room is %+v", r)
		}
		advance(3 * time.Minute)
		if r := b.room(direct); r.Portal.ChatID != 1002 || !slices.Equal(r.Invited, []id.UserID{alice}) {
			t.Errorf("the room is %+v", r)
		}
		b.wantNoTasks(t)
	})
}

// Where the invitation fails, it follows behind the answer, and so does the rest.
func TestDirectChatWhoseInvitationFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		b.rooms.Fail("InviteToDirect", provisioning.ErrHomeserver)
		direct := b.startDM(t, alice, "1002")
		synctest.Wait()
		b.rooms.Fail("InviteToDirect", nil)
		if r := b.room(direct); len(r.Invited) != 0 || b.rooms.Calls("SetUpPortal") != 0 {
			t.Errorf("the room is %+v", r)
		}
		advance(time.Minute)
		if r := b.room(direct); r.Portal.ChatID != 1002 || !slices.Equal(r.Invited, []id.UserID{alice}) {
			t.Errorf("the room is %+v", r)
		}
		b.wantNoTasks(t)
	})
}
