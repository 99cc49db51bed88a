package provisioning_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

const createPath = "/portal/" + string(room) + "/create" + asAlice

// made returns a supergroup for the room as alice's account has just made it.
func made(id int64, others ...provisioning.TelegramID) provisioningtest.TelegramGroup {
	return provisioningtest.TelegramGroup{
		ChatInfo: provisioning.ChatInfo{ID: provisioning.ChannelChatID(id), Title: "The room", Megagroup: true},
		Members:  append([]provisioning.TelegramID{aliceAccount.ID}, others...), Created: time.Now().Truncate(time.Second),
	}
}

// unanswered has the next CreateChat make a group on Telegram, and then call answer.
func (b *bridge) unanswered(group provisioningtest.TelegramGroup, answer func() error) {
	b.telegram.On("CreateChat", func(context.Context) error {
		b.telegram.On("CreateChat", nil)
		b.telegram.AddGroup(group)
		return answer()
	})
}

// create asks for a supergroup.
func (b *bridge) create(t testing.TB) answer {
	t.Helper()
	return b.call(t, http.MethodPost, createPath, `{"type":"supergroup"}`)
}

// wantGroup expects a group to be on Telegram or not.
func (b *bridge) wantGroup(t testing.TB, chatID provisioning.ChatID, want bool) {
	t.Helper()
	if _, is := b.telegram.Group(chatID); is != want {
		t.Errorf("the chat %d is on Telegram: %t, want %t", chatID, is, want)
	}
}

// dieCreating kills a bridge when Telegram has made the group of a request and nobody here
// knows of it, and returns the bridge that comes up afterwards.
func (b *bridge) dieCreating(t *testing.T, group provisioningtest.TelegramGroup) *bridge {
	t.Helper()
	dead := make(chan struct{})
	b.unanswered(group, func() error {
		<-dead
		return provisioning.ErrTelegramUnavailable
	})
	var request sync.WaitGroup
	request.Go(func() { b.create(t) })
	synctest.Wait()
	crashed := &bridge{users: b.users, portals: provisioningtest.NewMemPortalStore(), rooms: b.rooms, telegram: b.telegram}
	for _, task := range b.portals.Tasks() {
		left := provisioning.NewTask{ID: task.ID, Kind: task.Kind, Data: task.Data, Delay: task.DueIn}
		if err := errors.Join(crashed.portals.AddTasks(t.Context(), left), b.portals.FinishTask(t.Context(), task.ID)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		close(dead)
		request.Wait()
	})
	return restarted(t, crashed)
}

func newCreatingBridge(t *testing.T, change ...func(*bridge, *provisioning.Config)) *bridge {
	t.Helper()
	b := newBridge(t, append([]func(*bridge, *provisioning.Config){inRooms}, change...)...)
	b.logIn(t, alice, aliceAccount)
	return b
}

// The process dies when the chat is on Telegram and not in the database: the next one
// deletes it, and the room is free.
func TestCrashWhileCreating(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newCreatingBridge(t)
		lost := made(501)
		b = b.dieCreating(t, lost)
		advance(time.Minute)
		b.wantGroup(t, lost.ID, false)
		b.wantNoTasks(t)
		b.create(t).want(t, 201, "")
		synctest.Wait()
		b.wantNoTasks(t)
	})
}

// The process dies before Telegram has heard of the chat: it is looked for as long as
// Telegram may still do the request.
func TestCrashBeforeCreating(t *testing.T) {
	for name, late := range map[string]bool{"never": false, "late": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newCreatingBridge(t)
				b.unanswered(b.anything(), func() error { return provisioning.ErrTelegramUnavailable })
				b.create(t).want(t, 500, "unknown_error")
				advance(4 * time.Minute)
				lost := made(501)
				if late {
					b.telegram.AddGroup(lost)
				}
				advance(8 * time.Minute)
				b.wantGroup(t, lost.ID, false)
				b.wantNoTasks(t)
			})
		})
	}
}

// anything returns a group that is there anyway.
func (b *bridge) anything() provisioningtest.TelegramGroup {
	g, _ := b.telegram.Group(news.ID)
	return g
}

// The client of the API asks again after the crash: that chat stays, whether it is a portal
// already when the other one is deleted, or about to become one.
func TestCreatingAgainAfterACrash(t *testing.T) {
	for name, after := range map[string]time.Duration{"at once": 0, "when the first chat is deleted": 43 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newCreatingBridge(t)
				lost := made(501)
				b = b.dieCreating(t, lost)
				advance(after)
				b.portals.On("Connect", sleep(4*time.Second))
				b.create(t).want(t, 201, "")
				stays := provisioning.ChannelChatID(1)
				advance(2 * time.Minute)
				b.wantGroup(t, lost.ID, false)
				b.wantGroup(t, stays, true)
				wantPortal(room, stays)(t, b)
				b.wantNoTasks(t)
			})
		})
	}
}

// Telegram's answer does not come, or comes with the news that a chat is left: the chat is
// deleted by the process that goes on.
func TestUnknownOutcomeOfCreating(t *testing.T) {
	for name, err := range map[string]error{
		"unreachable": provisioning.ErrTelegramUnavailable,
		"left":        errors.Join(provisioning.ErrNewChatInvalid, provisioning.ErrChatLeft),
		"no use":      &provisioning.TelegramError{Type: "updatesTooLong"},
		"trouble":     &provisioning.TelegramError{Code: 500, Type: "INTERNAL"},
		"unknown":     errors.New("EOF"),
		"deadline":    context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newCreatingBridge(t)
				lost := made(501)
				b.unanswered(lost, func() error { return err })
				if a := b.create(t); a.status < 400 {
					t.Errorf("got %d %s", a.status, a.body)
				}
				b.wantGroup(t, lost.ID, true)
				advance(time.Minute)
				b.wantGroup(t, lost.ID, false)
				b.wantNoTasks(t)
			})
		})
	}
}

// What became no portal and can't be deleted at once is deleted later.
func TestCreatedChatIsDeletedLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newCreatingBridge(t)
		b.portals.Fail("Connect", provisioning.ErrRoomBridged)
		b.telegram.Fail("DeleteChat", provisioning.ErrTelegramUnavailable)
		b.create(t).want(t, 409, "room_already_bridged")
		b.wantGroup(t, provisioning.ChannelChatID(1), true)
		advance(time.Minute)
		b.wantGroup(t, provisioning.ChannelChatID(1), true)
		b.telegram.Fail("DeleteChat", nil)
		advance(time.Minute)
		b.wantGroup(t, provisioning.ChannelChatID(1), false)
		b.wantNoTasks(t)
	})
}

// Other chats that look alike stay: those that somebody uses, those that were made before
// the request, those of another title, and portals.
func TestOtherChatsStay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newCreatingBridge(t)
		joined, written, before, other, portal := made(502, 1002), made(503), made(504), made(505), made(506)
		written.Written = true
		before.Created = before.Created.Add(-6 * time.Minute)
		other.Title = "Another room"
		b.connect(t, provisioning.Portal{RoomID: otherRoom, ChatID: portal.ID}, aliceAccount.ID)
		stay := []provisioningtest.TelegramGroup{joined, written, before, other, portal}
		for _, group := range stay {
			b.telegram.AddGroup(group)
		}
		lost := made(501)
		b.unanswered(lost, func() error { return provisioning.ErrTelegramUnavailable })
		b.create(t)
		advance(20 * time.Minute)
		for _, group := range stay {
			b.wantGroup(t, group.ID, true)
		}
		b.wantGroup(t, lost.ID, false)
		b.wantNoTasks(t)
		for _, used := range []string{"-1000000000502", "-1000000000503"} {
			if !strings.Contains(b.log.String(), `"level":"error","room_id":"`+string(room)+`","chat_id":`+used) {
				t.Errorf("no error in the log names the chat %s, which is in use", used)
			}
		}
	})
}

// The process was down for an hour: a chat that somebody has made by hand since stays.
func TestChatsOfLaterStay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newCreatingBridge(t)
		b.telegram.Fail("CreatedChats", provisioning.ErrTelegramUnavailable)
		b = b.dieCreating(t, made(501))
		advance(30 * time.Minute)
		later := made(502)
		b.telegram.AddGroup(later)
		advance(30 * time.Minute)
		b.telegram.Fail("CreatedChats", nil)
		advance(time.Hour)
		b.wantGroup(t, provisioning.ChannelChatID(501), false)
		b.wantGroup(t, later.ID, true)
		b.wantNoTasks(t)
	})
}

// Nobody can look for the chat of somebody who is not logged in with the account any more.
func TestCreatedBySomebodyWhoHasGone(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *bridge){
		"logged out":      func(_ *testing.T, b *bridge) { b.telegram.EndSession(alice) },
		"another account": func(t *testing.T, b *bridge) { b.logIn(t, alice, guardedAccount) },
		"another client":  func(_ *testing.T, b *bridge) { b.telegram.Fail("CreatedChats", provisioning.ErrNotImplemented) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newCreatingBridge(t)
				lost := made(501)
				b.unanswered(lost, func() error { return provisioning.ErrTelegramUnavailable })
				b.create(t)
				leave(t, b)
				advance(time.Minute)
				b.wantGroup(t, lost.ID, true)
				b.wantNoTasks(t)
				if !strings.Contains(b.log.String(), "A chat may be left on Telegram") {
					t.Error("the log does not say that a chat may be left")
				}
			})
		})
	}
}

// What can't be recorded is not created.
func TestCreatingNeedsARecord(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newCreatingBridge(t)
		b.portals.Fail("AddTasks", errors.New("disk full"))
		b.create(t).want(t, 500, "unhandled_error")
		if n := b.telegram.Calls("CreateChat"); n != 0 {
			t.Errorf("%d chats were created", n)
		}
	})
}

// A bridge that can't find chats creates them all the same.
func TestCreatingWithoutARecord(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newCreatingBridge(t, func(b *bridge, cfg *provisioning.Config) { cfg.Telegram = creatorsAlone{b.telegram} })
		b.portals.Fail("AddTasks", errors.New("disk full"))
		b.create(t).want(t, 201, "")
		b.portals.Fail("Connect", errors.New("disk full"))
		b.telegram.Fail("DeleteChat", provisioning.ErrTelegramUnavailable)
		b.call(t, http.MethodPost, "/portal/"+string(otherRoom)+"/create"+asAlice, `{"type":"channel"}`).want(t, 500, "unhandled_error")
		if !strings.Contains(b.log.String(), "could not be deleted again") {
			t.Error("the log does not say that a chat is left")
		}
	})
}

// creatorsAlone makes clients that create chats, and have no other ability.
type creatorsAlone struct{ *provisioningtest.Telegram }

type creatorAlone struct {
	provisioning.TelegramClient
	provisioning.ChatCreator
}

func (f creatorsAlone) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	c, err := f.Telegram.Client(ctx, userID)
	if err != nil {
		return nil, err
	}
	return creatorAlone{c, c.(provisioning.ChatCreator)}, nil
}
