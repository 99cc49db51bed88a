package provisioning_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

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
