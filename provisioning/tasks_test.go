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
	const path = "/user/@alice:example.com/pm/1002"
	b := newBridge(t, inRooms)
	b.logIn(t, alice, aliceAccount)
	b.rooms.Fail("InviteToDirect", provisioning.ErrMatrixInviteRefused)
	b.post(t, path, 201)
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
}

// restarted returns a bridge on the stores of another one, as after a crash.
func restarted(t *testing.T, crashed *bridge, change ...func(*bridge, *provisioning.Config)) *bridge {
	t.Helper()
	return newBridge(t, append([]func(*bridge, *provisioning.Config){func(b *bridge, cfg *provisioning.Config) {
		b.users, b.portals, b.rooms, b.telegram = crashed.users, crashed.portals, crashed.rooms, crashed.telegram
		cfg.Users, cfg.Portals, cfg.Tasks, cfg.Rooms, cfg.Telegram = b.users, b.portals, b.portals, b.rooms, b.telegram
	}}, change...)...)
}

// A process that comes up does what another one has promised and not done.
func TestWorkSurvives(t *testing.T) {
	for name, patience := range map[string]time.Duration{"closed at once": 0, "closed in the middle": time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newBridge(t, inRooms)
				b.rooms.On("CleanUp", sleep(time.Minute))
				bridged(room, news)(t, b)
				b.post(t, disconnectPath+"?delete=1", 202)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := b.provisioner.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Close: %v, want that the time was up", err)
				}
				synctest.Wait()
				b.rooms.On("CleanUp", nil)
				if len(b.portals.Tasks()) != 1 || b.room(room).NoBot {
					t.Fatalf("the tasks are %v", b.portals.Tasks())
				}
				restarted(t, b)
				synctest.Wait() // no pause: the work was given back
				if !b.room(room).NoBot {
					t.Error("the work was not finished after the restart")
				}
				b.wantNoTasks(t)
			})
		})
	}
}

// A task that a process took before it died falls due again.
func TestWorkOfADeadProcess(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		gate := b.rooms.Hold("CleanUp") // the process is never heard of again
		bridged(room, news)(t, b)
		b.post(t, disconnectPath, 202)
		<-gate.Entered()
		dead := b.portals
		var left []provisioning.NewTask
		for _, task := range dead.Tasks() {
			left = append(left, provisioning.NewTask{ID: task.ID, Kind: task.Kind, Data: task.Data, Delay: task.DueIn})
		}
		// Its last sign of life is the state of the store now.
		b.rooms.On("CleanUp", nil)
		crashed := &bridge{users: b.users, portals: provisioningtest.NewMemPortalStore(), rooms: b.rooms, telegram: b.telegram}
		if err := crashed.portals.AddTasks(t.Context(), left...); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		restarted(t, crashed)
		for range 100 {
			synctest.Wait()
			if len(crashed.portals.Tasks()) == 0 {
				break
			}
			advance(time.Second)
		}
		if took := time.Since(start); len(crashed.portals.Tasks()) != 0 || took > 15*time.Second {
			t.Errorf("after %s the tasks are %v", took, crashed.portals.Tasks())
		}
		gate.Release()
	})
}

// Of two processes on one database, only one does a task, however long it takes.
func TestTwoProcessesDoATaskOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		restarted(t, b)
		b.rooms.On("CleanUp", sleep(10*time.Minute))
		bridged(room, news)(t, b)
		b.post(t, disconnectPath, 202)
		advance(11 * time.Minute)
		if got := b.rooms.Calls("CleanUp"); got != 1 {
			t.Errorf("%d clean-ups, want 1", got)
		}
		b.wantNoTasks(t)
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

// A room that was disconnected while it was being set up shows no bridge.
func TestDisconnectedWhileBeingSetUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		gate := b.rooms.Hold("SetUpPortal")
		b.post(t, connectPath, 202)
		<-gate.Entered()
		b.post(t, disconnectPath, 202)
		gate.Release()
		synctest.Wait()
		if r := b.room(room); r.Portal.ChatID != 0 {
			t.Errorf("the room shows a bridge to %d", r.Portal.ChatID)
		}
		b.wantNoTasks(t)
	})
}

// The process died when it had set a room up and not looked again: the room was
// disconnected and cleaned up before.
func TestCrashWhileBeingSetUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		b.rooms.Fail("SetUpPortal", provisioning.ErrHomeserver)
		b.post(t, connectPath, 202)
		synctest.Wait()
		lost := b.portals.Tasks()[0]
		b.post(t, disconnectPath+"?sync=1", 202)
		// A task that a request waited for when the process died has no attempts on record.
		first := provisioning.NewTask{ID: "first", Kind: lost.Kind, Data: lost.Data}
		for _, again := range [][]provisioning.NewTask{nil, {first}} {
			r := b.room(room)
			r.Portal.ChatID = news.ID // by the try that failed, after the clean-up
			b.rooms.Add(room, r)
			if err := b.portals.AddTasks(t.Context(), again...); err != nil {
				t.Fatal(err)
			}
			advance(time.Minute)
			if r := b.room(room); r.Portal.ChatID != 0 {
				t.Error("the room shows a bridge that is no more")
			}
			b.wantNoTasks(t)
		}
	})
}

// Work on one room is done in turn: a clean-up does not overtake what it cleans up.
func TestWorkOnARoomIsInTurn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		gate := b.rooms.Hold("SetUpPortal")
		b.post(t, connectPath, 202)
		<-gate.Entered()
		b.post(t, disconnectPath+"?delete=1", 202)
		synctest.Wait()
		if b.rooms.Calls("CleanUp") != 0 {
			t.Error("the room was cleaned up while it was being set up")
		}
		gate.Release()
		synctest.Wait()
		if r := b.room(room); r.Portal.ChatID != 0 || !r.NoBot {
			t.Errorf("the room is %+v", r)
		}
		b.wantNoTasks(t)
	})
}

// Nobody is kicked from a room that was bridged again before it was emptied.
func TestBridgedAgainBeforeTheCleanUp(t *testing.T) {
	for _, again := range []provisioning.ChatInfo{news, family} {
		inBubble(t, func(t *testing.T) {
			b := newBridge(t, withRelay)
			b.rooms.Fail("CleanUp", provisioning.ErrHomeserver)
			bridged(room, news)(t, b)
			b.post(t, disconnectPath+"?delete=1", 202)
			synctest.Wait()
			bridged(room, again)(t, b)
			b.rooms.Fail("CleanUp", nil)
			advance(time.Minute)
			r := b.room(room)
			if r.NoBot || len(r.Users) == 0 || (len(r.Ghosts) == 0) != (again.ID != news.ID) {
				t.Errorf("bridged to %d again, the room is %+v", again.ID, r)
			}
			b.wantNoTasks(t)
		})
	}
}

// A room that is bridged while it is being emptied is not bridged in the end: the bot is
// there no more.
func TestBridgedWhileBeingEmptied(t *testing.T) {
	for _, held := range []string{"CleanUp", "GetChat"} {
		inBubble(t, func(t *testing.T) {
			var mu sync.Mutex
			events := map[string]int{}
			b := newBridge(t, withRelay, func(_ *bridge, cfg *provisioning.Config) {
				cfg.Events = func(_ context.Context, e provisioning.Event) error {
					mu.Lock()
					defer mu.Unlock()
					events[fmt.Sprint(e.Type, e.Portal.ChatID)]++
					return nil
				}
			})
			connect := func() { b.post(t, connectPath, 202) }
			if held == "CleanUp" { // the bot leaves after the portal was recorded
				gate := b.rooms.Hold(held)
				bridged(room, family)(t, b)
				b.post(t, disconnectPath+"?delete=1", 202)
				<-gate.Entered()
				connect()
				gate.Release()
			} else { // between the look for the bot and that
				gate := b.telegram.Hold(held)
				var connecting sync.WaitGroup
				connecting.Go(connect)
				<-gate.Entered()
				bridged(room, family)(t, b)
				b.post(t, disconnectPath+"?delete=1", 202)
				synctest.Wait()
				gate.Release()
				connecting.Wait()
			}
			synctest.Wait()
			if r := b.room(room); !r.NoBot || r.Portal.ChatID != 0 {
				t.Errorf("%s: the room is %+v", held, r)
			}
			b.call(t, http.MethodGet, "/portal/!room:example.com", "").want(t, 404, "portal_not_found")
			b.wantNoTasks(t)
			mu.Lock()
			defer mu.Unlock()
			// The host may hear of the connection, which is undone at once.
			if n := events[fmt.Sprint("portal_connected", news.ID)]; n > 1 {
				t.Errorf("%s: %d events portal_connected", held, n)
			}
			if n := events[fmt.Sprint("portal_disconnected", news.ID)]; n != 1 {
				t.Errorf("%s: %d events portal_disconnected", held, n)
			}
		})
	}
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
