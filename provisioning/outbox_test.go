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
)

// Work that fails is given up in the end: the log, the metrics and the host say so.
func TestWorkIsGivenUp(t *testing.T) {
	for given, lifetime := range map[time.Duration]time.Duration{0: provisioning.DefaultTaskLifetime, 3 * time.Hour: 3 * time.Hour} {
		inBubble(t, func(t *testing.T) {
			l, o := &eventLog{}, &observed{}
			b := newBridge(t, inRooms, withEvents(l), o.observe(t), func(_ *bridge, cfg *provisioning.Config) { cfg.TaskLifetime = given })
			b.rooms.Fail("CleanUp", provisioning.ErrHomeserver)
			bridged(room, news)(t, b)
			b.post(t, disconnectPath, 202)
			advance(lifetime - time.Minute)
			l.want(t, "portal_disconnected  0 !room:example.com -1000000000009")
			if len(b.portals.Tasks()) != 1 {
				t.Fatalf("the tasks are %v", b.portals.Tasks())
			}
			advance(11 * time.Minute)
			l.want(t, "task_given_up  0 !room:example.com -1000000000009")
			b.wantNoTasks(t)
			lines := slices.DeleteFunc(b.log.lines(t), func(line map[string]any) bool {
				return !strings.HasPrefix(fmt.Sprint(line["message"]), "Background work is given up")
			})
			if len(lines) != 1 || lines[0]["level"] != "error" || lines[0]["task"] != "clean_up" || lines[0]["error"] == nil {
				t.Errorf("the log has %v", lines)
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			last := slices.DeleteFunc(slices.Clone(o.tasks), func(task provisioning.ObservedTask) bool { return !task.GivenUp })
			if len(last) != 1 || last[0].Kind != "clean_up" || !last[0].Failed {
				t.Errorf("observed %+v", last)
			}
		})
	}
}

// A task that seems to be years old, because the clock was wrong when it was recorded, is
// tried some times all the same.
func TestOldWorkIsTriedBeforeItIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms, unstarted)
		b.rooms.Fail("CleanUp", provisioning.ErrHomeserver)
		bridged(room, news)(t, b)
		portal, err := b.portals.PortalByRoom(t.Context(), room)
		if err != nil {
			t.Fatal(err)
		}
		task := provisioning.NewTask{ID: "old", Kind: "clean_up", Data: fmt.Sprintf(`{"portal":{"room_id":%q,"chat_id":%d}}`, portal.RoomID, portal.ChatID)}
		if err := b.portals.Disconnect(t.Context(), portal, task); err != nil {
			t.Fatal(err)
		}
		advance(365 * 24 * time.Hour)
		if err := b.provisioner.Start(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		advance(time.Minute)
		if n := b.rooms.Calls("CleanUp"); n < 4 || len(b.portals.Tasks()) != 1 {
			t.Errorf("tried %d times, the tasks are %v", n, b.portals.Tasks())
		}
		advance(time.Hour)
		b.wantNoTasks(t)
		if n := b.rooms.Calls("CleanUp"); n != 10 {
			t.Errorf("tried %d times before it was given up, want 10", n)
		}
	})
}

// An event that the host never takes is given up without another one.
func TestEventIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{err: errors.New("not now")}
		b := newBridge(t, withRelay, withEvents(l))
		b.post(t, connectPath, 202)
		advance(provisioning.DefaultTaskLifetime + time.Hour)
		b.wantNoTasks(t)
		l.fail(nil)
		l.take()
		advance(time.Hour)
		l.want(t)
	})
}

// A kind of work that hangs does not hold up the others: events of logins come while four
// rooms are being emptied.
func TestKindsDontStarveEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		b := newBridge(t, inRooms, withEvents(l))
		gate := b.rooms.Hold("CleanUp")
		defer gate.Release()
		for i := range 8 {
			roomID := id.RoomID(fmt.Sprintf("!room%d:example.com", i))
			b.connect(t, provisioning.Portal{RoomID: roomID, ChatID: provisioning.BasicGroupChatID(int64(i + 1))})
			b.post(t, "/portal/"+string(roomID)+"/disconnect?delete=true", 202)
		}
		synctest.Wait()
		l.take()
		b.login(t, alice, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
		l.want(t, "login @alice:example.com 2001  0")
	})
}

// A try that hangs is ended, and tried again.
func TestWorkThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		hangs := true
		b.rooms.On("CleanUp", func(ctx context.Context) error {
			if !hangs {
				return nil
			}
			hangs = false
			<-ctx.Done()
			return ctx.Err()
		})
		bridged(room, news)(t, b)
		b.post(t, disconnectPath, 202)
		advance(2 * time.Hour)
		b.wantNoTasks(t)
		if b.rooms.Calls("CleanUp") != 2 {
			t.Errorf("%d clean-ups, want 2", b.rooms.Calls("CleanUp"))
		}
	})
}

// A host lists the tasks, page by page, and drops one.
func TestListAndDropTasks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		b.rooms.Fail("CleanUp", provisioning.ErrHomeserver)
		b.rooms.Fail("SetUpPortal", provisioning.ErrHomeserver)
		b.post(t, connectPath+asAlice, 202)
		bridged(otherRoom, family)(t, b)
		b.post(t, "/portal/!other:example.com/disconnect", 202)
		advance(time.Minute)
		var all []provisioning.PendingTask
		for after := ""; ; {
			page, err := b.provisioner.Tasks(t.Context(), after, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
			after = page[0].ID
		}
		slices.SortFunc(all, func(a, b provisioning.PendingTask) int { return strings.Compare(a.Kind, b.Kind) })
		if len(all) != 2 || all[0].Kind != "clean_up" || all[0].RoomID != otherRoom || all[0].ChatID != family.ID || all[0].UserID != "" ||
			all[1].Kind != "set_up" || all[1].RoomID != room || all[1].UserID != alice {
			t.Fatalf("the tasks are %+v", all)
		}
		for _, task := range all {
			if task.Attempts < 2 || task.Age != time.Minute || task.DueIn <= 0 {
				t.Errorf("the task is %+v", task)
			}
			if err := b.provisioner.DropTask(t.Context(), task.ID); err != nil {
				t.Error(err)
			}
		}
		if err := b.provisioner.DropTask(t.Context(), "unknown"); err != nil {
			t.Error(err)
		}
		before := b.rooms.Calls("CleanUp") + b.rooms.Calls("SetUpPortal")
		advance(time.Hour)
		if got := b.rooms.Calls("CleanUp") + b.rooms.Calls("SetUpPortal"); got != before {
			t.Error("a dropped task was done")
		}
		broken := errors.New("disk full")
		b.portals.Fail("ListTasks", broken)
		b.portals.Fail("FinishTask", broken)
		if _, err := b.provisioner.Tasks(t.Context(), "", 1); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if err := b.provisioner.DropTask(t.Context(), "x"); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

// A bridge without a task store has no tasks.
func TestNoTasks(t *testing.T) {
	b := newBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.Rooms, cfg.Tasks = nil, nil })
	if tasks, err := b.provisioner.Tasks(t.Context(), "", 10); len(tasks) != 0 || err != nil {
		t.Errorf("got %v, %v", tasks, err)
	}
	if err := b.provisioner.DropTask(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

// A function of the host's that panics ends nothing but itself.
func TestPanicsOfTheHost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		panics := func() { panic("CANARY") }
		var mu sync.Mutex
		told := 0
		b := newBridge(t, withRelay, func(_ *bridge, cfg *provisioning.Config) {
			cfg.Observer = provisioning.Observer{
				Request: func(provisioning.ObservedRequest) { panics() },
				Login:   func(provisioning.ObservedLogin) { panics() },
				Task:    func(provisioning.ObservedTask) { panics() },
			}
			cfg.Events = func(context.Context, provisioning.Event) error {
				mu.Lock()
				defer mu.Unlock()
				if told++; told == 1 {
					panics()
				}
				return nil
			}
		})
		b.post(t, connectPath, 202)
		b.login(t, alice, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
		advance(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if told != 3 {
			t.Errorf("the host was told %d times of two events, want once more", told)
		}
		b.wantNoTasks(t)
		if got := strings.Count(b.log.String(), "A function of the Observer panicked"); got < 5 {
			t.Errorf("%d panics are in the log, want those of 2 requests, a login and 4 tasks:\n%s", got, b.log)
		}
	})
}

// A panic of the stores or the clients, in the background, ends nothing either.
func TestPanicsInTheBackground(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		panics := func(context.Context) error { panic("CANARY") }
		for _, method := range []string{"TakeTasks", "PostponeTask", "FinishTask"} {
			b.portals.On(method, panics)
		}
		b.rooms.On("CleanUp", sleep(time.Minute)) // while it is taken again and again
		bridged(room, news)(t, b)
		b.post(t, disconnectPath+"?sync=1", 202)
		advance(time.Minute)
		account := aliceAccount
		account.ID, account.Phone = 5005, ""
		account.Contacts = []provisioning.Contact{{ID: 100, Name: "C", PhotoID: 1}}
		b.telegram.Add(account)
		b.logIn(t, alice, account)
		b.telegram.On("GetPhoto", panics)
		b.call(t, http.MethodGet, user(alice, "/contacts"), "").want(t, 200, "")
		synctest.Wait()
		for _, method := range []string{"TakeTasks", "PostponeTask", "FinishTask"} {
			b.portals.On(method, nil)
		}
		advance(3 * time.Minute)
		b.wantNoTasks(t)
		if !strings.Contains(b.log.String(), "CANARY") {
			t.Errorf("no panic is in the log:\n%s", b.log)
		}
	})
}

// Work that Telegram asks a pause for is tried again after it, however often: people are
// invited to a chat at last.
func TestFloodWaitsOfTasks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		r := b.room(room)
		r.Ghosts = []provisioning.TelegramID{1002}
		b.rooms.Add(room, r)
		const wait = 20 * time.Minute
		began := time.Now()
		var asked []time.Duration
		b.telegram.On("InviteToChat", func(context.Context) error {
			if asked = append(asked, time.Since(began).Round(time.Minute)); len(asked) <= 4 {
				return &provisioning.FloodWaitError{Wait: wait}
			}
			return nil
		})
		b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, `{"type":"supergroup"}`).want(t, 201, "")
		advance(2 * time.Hour)
		if want := []time.Duration{0, wait, 2 * wait, 3 * wait, 4 * wait}; !slices.Equal(asked, want) {
			t.Errorf("Telegram was asked after %v, want %v", asked, want)
		}
		b.wantNoTasks(t)
	})
}
