package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TaskPortalStore is a provisioning.PortalStore with the optional interface
// provisioning.TaskStore.
type TaskPortalStore interface {
	// PortalStore records tasks together with changes of portals,
	provisioning.PortalStore
	// and TaskStore has them done.
	provisioning.TaskStore
}

// TestTaskStore runs every check of the interface provisioning.TaskStore as a
// subtest, each on an empty backend of its own, in the manner of
// [TestPortalStore], which checks the rest of the same store.
//
// The times that it passes lie around November 2026: a store must not compare them
// with a clock of its own.
func TestTaskStore(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) TaskPortalStore)) {
	for _, check := range taskStoreChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() TaskPortalStore { return open(t) })
		})
	}
}

var taskStoreChecks = []storeCheck[TaskPortalStore]{
	{"no tasks", "TakeTasks returns the tasks that are due: none is an empty list and no error.", checkNoTasks},
	{"take", "TakeTasks returns tasks as they were added, but for their Due, which is moved to until, and their Attempts, to which one is added.", checkTake},
	{"due", "TakeTasks takes tasks that are due at the given time, and no others.", checkDue},
	{"order", "TakeTasks takes those that have been due for longest first.", checkOrder},
	{"limit", "TakeTasks takes at most limit tasks.", checkLimit},
	{"due again", "A task that is taken and neither finished nor postponed falls due again.", checkDueAgain},
	{"postpone", "PostponeTask moves a task's Due, and nothing else.", checkPostpone},
	{"postpone an unknown task", "An unknown task is no error for PostponeTask: somebody else has finished it.", checkPostponeUnknown},
	{"finish", "FinishTask forgets a task; an unknown one is no error.", checkFinish},
	{"milliseconds", "Due has a precision of milliseconds.", checkMilliseconds},
	{"time zones", "Due is an instant, whatever its time zone.", checkTimeZones},
	{"task data", "For a store a task is opaque: its texts are returned as they were added, and its ID is unique byte for byte.", checkTaskData},
	{"add all or nothing", "AddTasks records tasks in one transaction.", checkAddAtomic},
	{"tasks of Connect", "Connect records the tasks that follow; what it records is found by TakeTasks.", checkTasksOfConnect},
	{"tasks of Disconnect", "Disconnect records the tasks that follow; what it records is found by TakeTasks.", checkTasksOfDisconnect},
	{"no tasks of a refused Connect", "An error of Connect means that nothing has changed.", checkNoTasksOfConnect},
	{"no tasks of a refused Disconnect", "When the room is not bridged to that chat any more, Disconnect changes nothing.", checkNoTasksOfDisconnect},
	{"Connect with a bad task", "Connect records the portal, the accounts and the tasks in one transaction: an error means that nothing has changed.", checkConnectAtomic},
	{"Disconnect with a bad task", "Disconnect removes the portal and records the tasks in one transaction.", checkDisconnectAtomic},
	{"task context", "Methods honour the context, and an error means that nothing has changed.", checkTaskContext},
	{"two task handles", "Methods are called concurrently by several processes, which see each other's writes.", checkTaskHandles},
	{"race for one task", "Of racing TakeTasks, no task goes to two.", checkRaceOneTask},
	{"race for many tasks", "Of racing TakeTasks, no task goes to two, and none is forgotten.", checkRaceManyTasks},
	{"race of all methods", "Methods are called concurrently: none fails because of the others, and every task is taken until it is finished.", checkRaceAllTaskMethods},
	{"race of Connects with tasks", "Of racing Connects exactly one succeeds, and the others' tasks are not recorded.", checkRaceConnectTasks},
	{"race of Disconnects with tasks", "Of racing Disconnects exactly one succeeds, and the others' tasks are not recorded.", checkRaceDisconnectTasks},
}

// noon is when the checks begin.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// seconds returns a time after noon, or before it.
func seconds(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

// task returns a task that is due so many seconds after noon.
func task(taskID string, due int) provisioning.Task {
	return provisioning.Task{ID: taskID, Kind: "check", Data: `{"of":"` + taskID + `"}`, Due: seconds(due)}
}

func addTasks(t T, s provisioning.TaskStore, tasks ...provisioning.Task) {
	t.Helper()
	if err := s.AddTasks(t.Context(), tasks...); err != nil {
		t.Fatalf("AddTasks of %d tasks: %v", len(tasks), err)
	}
}

// take calls TakeTasks, which has to return the tasks of these IDs, in this order,
// all with that Due.
func take(t T, s provisioning.TaskStore, now, until time.Time, limit int, want ...string) []provisioning.Task {
	t.Helper()
	tasks, err := s.TakeTasks(t.Context(), now, until, limit)
	if err != nil {
		t.Fatalf("TakeTasks: %v", err)
	}
	got := []string{}
	for _, task := range tasks {
		got = append(got, task.ID)
		if !task.Due.Equal(until) {
			t.Errorf("TakeTasks returned the task %q with Due %s, want %s", task.ID, task.Due, until)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("TakeTasks at %s returned the tasks %q, want %q", now, got, want)
	}
	return tasks
}

// expectTasks takes all tasks, which have to be these, in any order. They are
// due much later afterwards.
func expectTasks(t T, s provisioning.TaskStore, want ...string) {
	t.Helper()
	tasks, err := s.TakeTasks(t.Context(), seconds(1e6), seconds(2e6), 1000)
	if err != nil {
		t.Fatalf("TakeTasks: %v", err)
	}
	got := []string{}
	for _, task := range tasks {
		got = append(got, task.ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the tasks are %q, want %q", got, want)
	}
}

func postpone(t T, s provisioning.TaskStore, taskID string, due time.Time) {
	t.Helper()
	if err := s.PostponeTask(t.Context(), taskID, due); err != nil {
		t.Fatalf("PostponeTask(%q): %v", taskID, err)
	}
}

func finish(t T, s provisioning.TaskStore, taskID string) {
	t.Helper()
	if err := s.FinishTask(t.Context(), taskID); err != nil {
		t.Fatalf("FinishTask(%q): %v", taskID, err)
	}
}

func checkNoTasks(t T, open func() TaskPortalStore) {
	s := open()
	take(t, s, noon, seconds(10), 10)
	addTasks(t, s)
	take(t, s, noon, seconds(10), 10)
	addTasks(t, s, task("later", 1))
	take(t, s, noon, seconds(10), 10)
}

func checkTake(t T, open func() TaskPortalStore) {
	s := open()
	added := []provisioning.Task{
		{ID: "a", Kind: "clean up", Data: `{"room":"!a"}`, Due: seconds(-3)},
		{ID: "b", Kind: "set up", Data: "", Due: seconds(-2)},
		{ID: "c", Kind: "clean up", Data: `{"room":"!c"}`, Due: seconds(-1), Attempts: 41},
	}
	addTasks(t, s, added...)
	for i, got := range take(t, s, noon, seconds(10), 10, "a", "b", "c") {
		want := added[i]
		if want.Attempts++; got.Kind != want.Kind || got.Data != want.Data || got.Attempts != want.Attempts {
			t.Errorf("TakeTasks returned %+v, want %+v", got, want)
		}
	}
}

func checkDue(t T, open func() TaskPortalStore) {
	s := open()
	addTasks(t, s, task("later", 1), task("now", 0), task("before", -1), task("much later", 1e6), task("long ago", -1e9))
	take(t, s, noon, seconds(100), 10, "long ago", "before", "now")
	take(t, s, noon, seconds(100), 10)
	take(t, s, seconds(1), seconds(100), 10, "later")
}

func checkOrder(t T, open func() TaskPortalStore) {
	s := open()
	addTasks(t, s, task("c", -3), task("e", -1), task("a", -5))
	addTasks(t, s, task("d", -2))
	addTasks(t, s, task("b", -4))
	postpone(t, s, "d", seconds(-6))
	take(t, s, noon, seconds(10), 2, "d", "a")
	take(t, s, noon, seconds(9), 2, "b", "c")
	take(t, s, noon, seconds(8), 2, "e")
	take(t, s, seconds(10), seconds(20), 1, "e") // it was due before the others again
	take(t, s, seconds(10), seconds(20), 2, "b", "c")
}

func checkLimit(t T, open func() TaskPortalStore) {
	s := open()
	for i := range 7 {
		addTasks(t, s, task(fmt.Sprint(i), i-10))
	}
	take(t, s, noon, seconds(10), 1, "0")
	take(t, s, noon, seconds(10), 4, "1", "2", "3", "4")
	take(t, s, noon, seconds(10), 4, "5", "6")
	take(t, s, noon, seconds(10), 4)
}

func checkDueAgain(t T, open func() TaskPortalStore) {
	s := open()
	addTasks(t, s, task("a", 0))
	for i := range 3 {
		now := seconds(10 * i)
		take(t, s, now.Add(-time.Millisecond), now, 10)
		got := take(t, s, now, seconds(10*i+10), 10, "a")
		if len(got) == 1 && got[0].Attempts != i+1 {
			t.Errorf("the task was taken %d times, and its Attempts are %d", i+1, got[0].Attempts)
		}
	}
}

func checkPostpone(t T, open func() TaskPortalStore) {
	s := open()
	addTasks(t, s, task("a", 0), task("b", 0))
	postpone(t, s, "a", seconds(5))
	take(t, s, seconds(4), seconds(10), 10, "b")
	take(t, s, seconds(5), seconds(10), 10, "a")
	postpone(t, s, "a", seconds(6)) // earlier than until
	for _, got := range take(t, s, seconds(6), seconds(20), 10, "a") {
		if want := task("a", 20); got.Attempts != 2 || got.Kind != want.Kind || got.Data != want.Data {
			t.Errorf("TakeTasks after PostponeTask returned %+v, want a second attempt of %+v", got, want)
		}
	}
}

func checkPostponeUnknown(t T, open func() TaskPortalStore) {
	s := open()
	addTasks(t, s, task("a", 0), task("b", 0))
	finish(t, s, "a")
	postpone(t, s, "a", seconds(-1))
	postpone(t, s, "unknown", seconds(-1))
	expectTasks(t, s, "b")
}

func checkFinish(t T, open func() TaskPortalStore) {
	s := open()
	addTasks(t, s, task("a", 0), task("b", 1), task("c", 2))
	take(t, s, noon, seconds(10), 10, "a")
	finish(t, s, "a")
	finish(t, s, "c") // it was not taken
	finish(t, s, "a")
	finish(t, s, "unknown")
	expectTasks(t, s, "b")
}

func checkMilliseconds(t T, open func() TaskPortalStore) {
	s := open()
	ms := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	for i, taskID := range []string{"d", "b", "c", "a"} {
		addTasks(t, s, provisioning.Task{ID: taskID, Kind: "check", Due: ms([]int{3, 1, 2, 0}[i])})
	}
	take(t, s, ms(2), ms(5), 10, "a", "b", "c")
	postpone(t, s, "a", ms(4))
	take(t, s, ms(3), ms(1001), 10, "d")
	take(t, s, ms(4), ms(1001), 10, "a")
	take(t, s, ms(4), ms(1001), 10)
	take(t, s, ms(5), ms(1001), 10, "b", "c")

	fine := ms(2000).Add(123_456 * time.Nanosecond)
	addTasks(t, s, provisioning.Task{ID: "fine", Kind: "check", Due: fine})
	got, err := s.TakeTasks(t.Context(), fine.Add(time.Millisecond), fine.Add(time.Hour), 10)
	if err != nil || len(got) != 5 {
		t.Fatalf("TakeTasks returned %d tasks, %v; want 5", len(got), err)
	}
	for _, task := range got {
		if off := task.Due.Sub(fine.Add(time.Hour)).Abs(); off >= time.Millisecond {
			t.Errorf("Due is off by %s after TakeTasks", off)
		}
	}
}

func checkTimeZones(t T, open func() TaskPortalStore) {
	s := open()
	east, west := time.FixedZone("east", 14*60*60), time.FixedZone("west", -12*60*60)
	a, b := task("a", 0), task("b", 1)
	a.Due, b.Due = a.Due.In(east), b.Due.In(west)
	addTasks(t, s, b, a)
	take(t, s, seconds(-1).In(east), seconds(10).In(west), 10)
	take(t, s, noon.In(west), seconds(10).In(east), 10, "a")
	take(t, s, seconds(1).In(east), seconds(10).In(west), 10, "b")
	postpone(t, s, "a", seconds(5).In(west))
	take(t, s, seconds(4), seconds(20), 10)
	take(t, s, seconds(5), seconds(20), 10, "a")
}

func checkTaskData(t T, open func() TaskPortalStore) {
	s := open()
	added := map[string]provisioning.Task{}
	for i, text := range []string{
		"x", "X", "x ", " x", "'; DROP TABLE tasks; --", `"\'%_?$1`, `{"a":"\u0000","b":[1,2.50,null]}`, "\u00e9", "e\u0301",
		"\u4e2d\u6587\U0001F600", "NULL", "line\nline\r\n", strings.Repeat("0123456789abcdef", 1<<13),
	} {
		taskID := text
		if len(taskID) > 100 {
			taskID = "long"
		}
		added[taskID] = provisioning.Task{ID: taskID, Kind: text[:min(len(text), 20)], Data: text, Due: seconds(i)}
		addTasks(t, s, added[taskID])
	}
	tasks, err := s.TakeTasks(t.Context(), seconds(100), seconds(200), 100)
	if err != nil {
		t.Fatalf("TakeTasks: %v", err)
	}
	if len(tasks) != len(added) {
		t.Errorf("TakeTasks returned %d tasks, want %d", len(tasks), len(added))
	}
	left := len(added)
	for _, got := range tasks {
		if want := added[got.ID]; got.Kind != want.Kind || got.Data != want.Data {
			t.Errorf("the task %q was returned with Kind %.50q and Data %.50q, want %.50q and %.50q", got.ID, got.Kind, got.Data, want.Kind, want.Data)
		}
		finish(t, s, got.ID)
		left--
		if rest, err := s.TakeTasks(t.Context(), seconds(1000*(left+1)), seconds(1), 100); err != nil || len(rest) != left {
			t.Errorf("after FinishTask(%q) there are %d tasks, %v; want %d", got.ID, len(rest), err, left)
		}
	}
}

// badTasks are tasks of which the last can't be recorded, where a store sees to it
// that IDs are unique, because that one is recorded already.
func badTasks(t T, s provisioning.TaskStore) []provisioning.Task {
	t.Helper()
	addTasks(t, s, task("known", 0))
	return []provisioning.Task{task("new", 0), task("known", 0)}
}

func checkAddAtomic(t T, open func() TaskPortalStore) {
	s := open()
	addTasks(t, s, task("a", 0), task("b", 0), task("c", 0))
	expectTasks(t, s, "a", "b", "c")
	if err := s.AddTasks(t.Context(), badTasks(t, s)...); err != nil {
		expectTasks(t, s, "known")
	} else {
		expectTasks(t, s, "known", "new")
	}
}

func checkTasksOfConnect(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	a.Tasks = []provisioning.Task{task("b", -1), task("a", -2)}
	connect(t, s, a)
	for _, got := range take(t, s, noon, seconds(10), 10, "a", "b") {
		if want := task(got.ID, 10); got.Kind != want.Kind || got.Data != want.Data || got.Attempts != 1 {
			t.Errorf("TakeTasks returned %+v, want a first attempt of %+v", got, want)
		}
	}
	moved := replacing(roomA, group(roomB, 1))
	moved.Tasks = []provisioning.Task{task("c", 0)}
	connect(t, s, moved)
	expectTasks(t, s, "a", "b", "c")
}

func checkTasksOfDisconnect(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	if err := s.Disconnect(t.Context(), a.Portal, task("b", -1), task("a", -2)); err != nil {
		t.Fatalf("Disconnect: %v", err)
	}
	for _, got := range take(t, s, noon, seconds(10), 10, "a", "b") {
		if want := task(got.ID, 10); got.Kind != want.Kind || got.Data != want.Data || got.Attempts != 1 {
			t.Errorf("TakeTasks returned %+v, want a first attempt of %+v", got, want)
		}
	}
	expectPortals(t, s, nil, a)
}

func checkNoTasksOfConnect(t T, open func() TaskPortalStore) {
	s := open()
	connect(t, s, group(roomA, 1, 7))
	for n, want := range map[*provisioning.NewPortal]error{
		new(group(roomA, 2, 8)):                   provisioning.ErrRoomBridged,
		new(group(roomB, 1, 8)):                   provisioning.ErrChatBridged,
		new(replacing(roomC, group(roomB, 1, 8))): provisioning.ErrChatBridged,
		new(replacing(roomA, group(roomB, 2, 8))): provisioning.ErrPortalNotFound,
	} {
		n.Tasks = []provisioning.Task{task("a", 0)}
		refuse(t, s, *n, want)
		expectTasks(t, s)
	}
}

func checkNoTasksOfDisconnect(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	for _, n := range []provisioning.NewPortal{group(roomB, 1), group(roomA, 2), direct(roomA, 1, 7)} {
		if err := s.Disconnect(t.Context(), n.Portal, task("a", 0)); !errors.Is(err, provisioning.ErrPortalNotFound) {
			t.Errorf("Disconnect(%+v): %v; want ErrPortalNotFound", n.Portal, err)
		}
		expectTasks(t, s)
	}
}

func checkConnectAtomic(t T, open func() TaskPortalStore) {
	s := open()
	old := group(roomA, 1, 7)
	connect(t, s, old)
	moved := replacing(roomA, group(roomB, 1, 8))
	moved.Tasks = badTasks(t, s)
	if err := s.Connect(t.Context(), moved); err != nil {
		expectPortals(t, s, []provisioning.NewPortal{old}, moved)
		expectTasks(t, s, "known")
	} else {
		expectPortals(t, s, []provisioning.NewPortal{moved}, old)
		expectTasks(t, s, "known", "new")
	}
}

func checkDisconnectAtomic(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	if err := s.Disconnect(t.Context(), a.Portal, badTasks(t, s)...); err != nil {
		expectPortals(t, s, []provisioning.NewPortal{a})
		expectTasks(t, s, "known")
	} else {
		expectPortals(t, s, nil, a)
		expectTasks(t, s, "known", "new")
	}
}

func checkTaskContext(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	addTasks(t, s, task("a", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AddTasks(ctx, task("b", 0)); err == nil {
		t.Errorf("AddTasks with a cancelled context: no error")
	}
	if tasks, err := s.TakeTasks(ctx, noon, seconds(10), 10); err == nil {
		t.Errorf("TakeTasks with a cancelled context: %d tasks, no error", len(tasks))
	}
	if err := s.PostponeTask(ctx, "a", seconds(10)); err == nil {
		t.Errorf("PostponeTask with a cancelled context: no error")
	}
	if err := s.FinishTask(ctx, "a"); err == nil {
		t.Errorf("FinishTask with a cancelled context: no error")
	}
	n := group(roomB, 2)
	n.Tasks = []provisioning.Task{task("c", 0)}
	if err := s.Connect(ctx, n); err == nil {
		t.Errorf("Connect with a cancelled context: no error")
	}
	if err := s.Disconnect(ctx, a.Portal, task("d", 0)); err == nil {
		t.Errorf("Disconnect with a cancelled context: no error")
	}
	for _, got := range take(t, s, noon, seconds(10), 10, "a") {
		if got.Attempts != 1 {
			t.Errorf("Attempts are %d after one TakeTasks, and one with a cancelled context", got.Attempts)
		}
	}
	expectTasks(t, s, "a")
}
