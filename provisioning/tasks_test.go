package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

const (
	connectPath    = "/portal/!room:example.com/connect/-1000000000009"
	disconnectPath = "/portal/!room:example.com/disconnect"
)

// post sends a POST that has to be answered with the status.
func (b *bridge) post(t testing.TB, path string, status int) {
	t.Helper()
	if a := b.call(t, http.MethodPost, path, ""); a.status != status {
		t.Errorf("POST %s: %d %s, want %d", path, a.status, a.body, status)
	}
}

// room returns a room as it is.
func (b *bridge) room(roomID id.RoomID) provisioningtest.MemRoom {
	r, _ := b.rooms.Get(roomID)
	return r
}

// wantNoTasks checks that no promised work is left.
func (b *bridge) wantNoTasks(t testing.TB) {
	t.Helper()
	if tasks := b.portals.Tasks(); len(tasks) != 0 {
		t.Errorf("%d tasks are left: %v", len(tasks), tasks)
	}
}

func TestConnectSetsTheRoomUp(t *testing.T) {
	b := newBridge(t, withRelay)
	b.logIn(t, alice, aliceAccount)
	b.rooms.Add("!bare", provisioningtest.MemRoom{})
	b.post(t, "/portal/!bare/connect/-1001", 202)
	b.post(t, connectPath+asAlice, 202)
	b.close(t)
	b.wantNoTasks(t)
	if r := b.room(room); r.Portal.ChatID != news.ID || r.Name != "The room" || r.Topic != "A topic" || r.Photo != news.PhotoID {
		t.Errorf("the room is %+v", r)
	}
	if r := b.room("!bare"); r.Portal.ChatID != family.ID || r.Name != "Family" || r.Photo != 0 {
		t.Errorf("the bare room is %+v", r)
	}
}

// A photo that can't be had is no reason to leave the rest.
func TestConnectWithoutPhoto(t *testing.T) {
	b := newBridge(t, withRelay)
	b.telegram.Fail("GetPhoto", provisioning.ErrPhotoGone)
	b.post(t, connectPath, 202)
	b.close(t)
	b.wantNoTasks(t)
	if r := b.room(room); r.Portal.ChatID != news.ID || r.Photo != 0 {
		t.Errorf("the room is %+v", r)
	}
}

func TestDisconnectCleansTheRoomUp(t *testing.T) {
	for _, sync := range []string{"", "sync=true&"} {
		for _, everybody := range []bool{false, true} {
			b := newBridge(t, inRooms)
			bridged(room, news)(t, b)
			query := "?" + sync
			if everybody {
				query += "delete=1"
			}
			b.post(t, disconnectPath+query, 202)
			if sync == "" {
				b.close(t)
			}
			r := b.room(room)
			if len(r.Ghosts) != 0 || (len(r.Users) == 0) != everybody || r.NoBot != everybody {
				t.Errorf("%s: the room is %+v", query, r)
			}
			b.wantNoTasks(t)
		}
	}
}

func TestForceCleansTheOldRoomUp(t *testing.T) {
	for force, everybody := range map[string]bool{"unbridge": false, "delete": true} {
		b := newBridge(t, withRelay)
		bridged(otherRoom, news)(t, b)
		b.post(t, connectPath+"?force="+force, 202)
		b.close(t)
		old, now := b.room(otherRoom), b.room(room)
		if len(old.Ghosts) != 0 || (len(old.Users) == 0) != everybody || old.NoBot != everybody {
			t.Errorf("%s: the old room is %+v", force, old)
		}
		if now.Portal.ChatID != news.ID || len(now.Users) == 0 || len(now.Ghosts) == 0 {
			t.Errorf("%s: the new room is %+v", force, now)
		}
		b.wantNoTasks(t)
	}
}

// What was answered is true at once, however slow the homeserver is.
func TestReadYourWrites(t *testing.T) {
	b := newBridge(t, withRelay)
	settingUp, cleaningUp := b.rooms.Hold("SetUpPortal"), b.rooms.Hold("CleanUp")
	defer settingUp.Release()
	defer cleaningUp.Release()
	for range 20 {
		b.post(t, connectPath, 202)
		b.call(t, http.MethodGet, "/portal/-1000000000009", "").want(t, 200, "")
		b.post(t, disconnectPath, 202)
		b.call(t, http.MethodGet, "/portal/!room:example.com", "").want(t, 404, "portal_not_found")
		b.call(t, http.MethodGet, "/portal/-1000000000009", "").want(t, 404, "portal_not_found")
	}
}

// inBubble runs a test in a bubble with a clock of its own.
func inBubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// advance moves the clock of a bubble: it jumps as soon as all goroutines there wait.
func advance(d time.Duration) { <-time.After(d) }

// sleep is a hook that takes its time, unless the context ends.
func sleep(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Emptying a large room takes longer than a request has.
func TestSyncWaitsForTheCleanUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.rooms.On("CleanUp", sleep(10*time.Minute))
		bridged(room, news)(t, b)
		start := time.Now()
		b.post(t, disconnectPath+"?sync=1", 202)
		if took := time.Since(start); took != 10*time.Minute || b.rooms.Calls("CleanUp") != 1 || len(b.room(room).Ghosts) != 0 {
			t.Errorf("the answer came after %s and %d clean-ups", took, b.rooms.Calls("CleanUp"))
		}
		bridged(otherRoom, news)(t, b)
		start = time.Now()
		b.post(t, "/portal/!other:example.com/disconnect", 202)
		if took := time.Since(start); took != 0 {
			t.Errorf("the answer came after %s, want at once", took)
		}
		advance(11 * time.Minute)
		if b.rooms.Calls("CleanUp") != 2 || len(b.room(otherRoom).Ghosts) != 0 {
			t.Errorf("%d clean-ups, want 2", b.rooms.Calls("CleanUp"))
		}
		b.wantNoTasks(t)
	})
}

// A client that hangs up does not stop the clean-up.
func TestSyncClientHangsUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.rooms.On("CleanUp", sleep(time.Minute))
		bridged(room, news)(t, b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		b.send(t, newRequest(http.MethodPost, disconnectPath+"?sync=1", "").WithContext(ctx))
		if took := time.Since(start); took != time.Second {
			t.Errorf("the request ended after %s", took)
		}
		advance(time.Minute)
		if len(b.room(room).Ghosts) != 0 || b.rooms.Calls("CleanUp") != 1 {
			t.Error("the room was not cleaned up, or twice")
		}
		b.wantNoTasks(t)
	})
}

func TestFailingWorkIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		start := time.Now()
		var at []time.Duration
		b.rooms.On("SetUpPortal", func(context.Context) error {
			if at = append(at, time.Since(start)); len(at) == 5 {
				return nil
			}
			if len(at) == 2 {
				panic("out of luck")
			}
			return provisioning.ErrHomeserver
		})
		b.post(t, connectPath, 202)
		advance(time.Hour)
		if want := []time.Duration{0, 2 * time.Second, 6 * time.Second, 14 * time.Second, 30 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("tried after %v, want %v", at, want)
		}
		b.wantNoTasks(t)
		if b.room(room).Portal.ChatID != news.ID {
			t.Error("the room was never set up")
		}
		failures := b.failures(t)
		if len(failures) != 4 {
			t.Fatalf("%d failures are in the log, want 4:\n%s", len(failures), b.log)
		}
		for i, line := range failures {
			pause := at[i+1] - at[i]
			homeserver := strings.Contains(fmt.Sprint(line["error"]), provisioning.ErrHomeserver.Error())
			if line["attempts"] != float64(i+1) || line["next_in"] != float64(pause.Milliseconds()) || homeserver != (i != 1) {
				t.Errorf("failure %d is %v", i, line)
			}
		}
	})
}

// failures returns the lines of the log about work that will be tried again.
func (b *bridge) failures(t *testing.T) []map[string]any {
	t.Helper()
	return slices.DeleteFunc(b.log.lines(t), func(line map[string]any) bool {
		return line["message"] != "Background work failed, and will be tried again"
	})
}

// Retries go on, ten minutes apart at most.
func TestRetriesNeverEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.rooms.Fail("CleanUp", provisioning.ErrHomeserver)
		bridged(room, news)(t, b)
		b.post(t, disconnectPath, 202)
		advance(24 * time.Hour)
		before := b.rooms.Calls("CleanUp")
		advance(time.Hour)
		if got := b.rooms.Calls("CleanUp") - before; got != 6 {
			t.Errorf("tried %d times in an hour of the second day, want 6", got)
		}
		b.rooms.Fail("CleanUp", nil)
		advance(11 * time.Minute)
		b.wantNoTasks(t)
	})
}

// Where nobody may invite the user to their direct chat, the rest is done, and the user is
// invited when they ask again.
func TestRefusedInvitationIsNotTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const path = "/user/@alice:example.com/pm/1002"
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		b.rooms.Fail("InviteToDirect", provisioning.ErrMatrixInviteRefused)
		b.post(t, path, 201)
		synctest.Wait()
		b.wantNoTasks(t)
		if n := b.rooms.Calls("UpdateGhost"); n != 1 {
			t.Errorf("the ghost was updated %d times", n)
		}
		b.call(t, http.MethodPost, path, "").want(t, 500, "unknown_error")
		b.rooms.Fail("InviteToDirect", nil)
		a := b.call(t, http.MethodPost, path, "")
		a.want(t, 200, "")
		if r := b.room(id.RoomID(a.field("room_id"))); !slices.Equal(r.Invited, []id.UserID{alice}) {
			t.Errorf("the room is %+v", r)
		}
	})
}

// Only so many tasks are done at a time, and all of them in the end.
func TestTasksAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		var mu sync.Mutex
		now, most := 0, 0
		b.rooms.On("CleanUp", func(ctx context.Context) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			defer func() {
				mu.Lock()
				now--
				mu.Unlock()
			}()
			return sleep(time.Second)(ctx)
		})
		for i := range 40 {
			roomID := id.RoomID(fmt.Sprintf("!r%d", i))
			b.connect(t, provisioning.Portal{RoomID: roomID, ChatID: provisioning.BasicGroupChatID(int64(i) + 1)})
			b.post(t, "/portal/"+string(roomID)+"/disconnect", 202)
		}
		b.provisioner.Close(t.Context()) // drains
		b.wantNoTasks(t)
		if most != 4 {
			t.Errorf("%d tasks at a time, want 4", most)
		}
	})
}

// What nobody understands stays: a kind that a newer version knows, for that, and data that
// nobody can read, which is reported.
func TestUnknownWork(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		for _, task := range []provisioning.NewTask{{ID: "a", Kind: "from the future", Data: "{}"}, {ID: "b", Kind: "set_up", Data: "{"}} {
			if err := b.portals.AddTasks(t.Context(), task); err != nil {
				t.Fatal(err)
			}
			advance(6 * time.Second)
		}
		failed := map[any]bool{}
		for _, line := range b.failures(t) {
			failed[line["task_id"]] = true
		}
		if failed["a"] || !failed["b"] || len(b.portals.Tasks()) != 2 {
			t.Errorf("the failures are %v, the tasks %v", failed, b.portals.Tasks())
		}
	})
}

// The store's own troubles stop nothing for good.
func TestTaskStoreFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		for _, method := range []string{"TakeTasks", "FinishTask", "PostponeTask"} {
			b.portals.Fail(method, errors.New("disk full"))
			bridged(room, news)(t, b)
			b.post(t, disconnectPath, 202)
			advance(time.Minute)
			b.portals.Fail(method, nil)
			advance(time.Minute)
			if len(b.room(room).Ghosts) != 0 {
				t.Errorf("%s: the room was not cleaned up", method)
			}
			b.wantNoTasks(t)
			inRooms(b, nil)
		}
	})
}
