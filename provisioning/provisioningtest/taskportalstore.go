package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TaskPortalStore is a provisioning.PortalStore together with the provisioning.TaskStore
// that its tasks go into.
type TaskPortalStore interface {
	// PortalStore records tasks together with changes of portals,
	provisioning.PortalStore
	// and TaskStore has them done.
	provisioning.TaskStore
}

// TestTaskPortalStore checks that Connect, Move and Disconnect of a portal store record tasks
// together with the portal, each check as a subtest on an empty backend of its own, in the
// manner of [TestPortalStore]. That and [TestTaskStore] check the rest of the same store.
//
// A store that records the tasks first, as the comment of provisioning.PortalStore says,
// passes too: no check looks into the middle of a call.
func TestTaskPortalStore(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) TaskPortalStore)) {
	for _, check := range taskPortalStoreChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() TaskPortalStore { return open(t) })
		})
	}
}

var taskPortalStoreChecks = []storeCheck[TaskPortalStore]{
	{"tasks of Connect", "Connect records the tasks that follow; what it records is found by TakeTasks.", checkTasksOfConnect},
	{"tasks of Disconnect", "Disconnect records the tasks that follow; what it records is found by TakeTasks.", checkTasksOfDisconnect},
	{"tasks of Move", "Move records the tasks with the portal, as Connect does.", checkTasksOfMove},
	{"delays", "The tasks of Connect and Disconnect have the Delay that they were given.", checkTaskDelays},
	{"no tasks of a refused Connect", "An error of Connect means that nothing has changed.", checkNoTasksOfConnect},
	{"no tasks of a refused Disconnect", "When the room is not bridged to that chat any more, Disconnect changes nothing.", checkNoTasksOfDisconnect},
	{"no tasks of a refused Move", "An error of Move means that nothing has changed.", checkNoTasksOfMove},
	{"Move with a known task", "Move records the tasks with the portal, as Connect does: an error means that nothing has changed.", checkMoveAtomic},
	{"Connect with a known task", "Connect records the portal, the accounts and the tasks in one transaction: an error means that nothing has changed.", checkConnectAtomic},
	{"Disconnect with a known task", "Disconnect removes the portal and records the tasks in one transaction.", checkDisconnectAtomic},
	{"context with tasks", "Methods honour the context, and an error means that nothing has changed.", checkTaskPortalContext},
	{"two handles with tasks", "Methods are called concurrently by several processes, which see each other's writes.", checkTaskPortalHandles},
	{"race of Connects with tasks", "Of racing Connects exactly one succeeds, and the others' tasks are not recorded.", checkRaceConnectTasks},
	{"race of Disconnects with tasks", "Of racing Disconnects exactly one succeeds, and the others' tasks are not recorded.", checkRaceDisconnectTasks},
}

// withTasks returns the portal with tasks.
func withTasks(n provisioning.NewPortal, tasks ...provisioning.NewTask) provisioning.NewPortal {
	n.Tasks = tasks
	return n
}

func checkTasksOfConnect(t T, open func() TaskPortalStore) {
	s := open()
	tasks := []provisioning.NewTask{task("a", hours(-2)), task("b", hours(-1))}
	connect(t, s, withTasks(group(roomA, 1, 7), tasks[1], tasks[0]))
	for i, got := range take(t, s, later, 10, "a", "b") {
		expectTask(t, got, tasks[i], 1)
	}
	connect(t, s, withTasks(replacing(roomA, group(roomB, 1)), task("c", 0)))
	take(t, s, later, 10, "c")
	expectTasks(t, s, "a", "b", "c")
}

func checkTasksOfDisconnect(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	tasks := []provisioning.NewTask{task("a", hours(-2)), task("b", hours(-1))}
	if err := s.Disconnect(t.Context(), a.Portal, tasks[1], tasks[0]); err != nil {
		t.Fatalf("Disconnect: %v", err)
	}
	for i, got := range take(t, s, later, 10, "a", "b") {
		expectTask(t, got, tasks[i], 1)
	}
	expectTasks(t, s, "a", "b")
	expectPortals(t, s, nil, a)
}

func checkTaskDelays(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connected := during(func() { connect(t, s, withTasks(a, task("a", 0), task("b", later))) })
	tasks := []provisioning.NewTask{task("c", hours(-1)), task("d", later)}
	var err error
	disconnected := during(func() { err = s.Disconnect(t.Context(), a.Portal, tasks...) })
	if err != nil {
		t.Fatalf("Disconnect: %v", err)
	}
	var got []provisioning.Task
	listed := during(func() { got = list(t, s) })
	if len(got) != 4 {
		t.Fatalf("ListTasks returned %d tasks, want 4", len(got))
	}
	expectDueIn(t, got[0], connected, 0, listed)
	expectDueIn(t, got[1], connected, later, listed)
	expectDueIn(t, got[2], disconnected, hours(-1), listed)
	expectDueIn(t, got[3], disconnected, later, listed)
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
		refuse(t, s, withTasks(*n, task("a", 0)), want)
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

func checkTasksOfMove(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, withTasks(a, task("a", hours(-2))))
	move(t, s, a, withTasks(in(roomB, a), task("b", hours(-1))))
	take(t, s, later, 10, "a", "b")
	expectTasks(t, s, "a", "b")
}

func checkNoTasksOfMove(t T, open func() TaskPortalStore) {
	s := open()
	a, b := basic(roomA, 1, 7), group(roomB, 2, 8)
	connect(t, s, a, b)
	refuseMove(t, s, group(roomC, 1), withTasks(in(roomA, a), task("a", 0)), provisioning.ErrPortalNotFound)
	refuseMove(t, s, a, withTasks(in(roomB, a), task("a", 0)), provisioning.ErrRoomBridged)
	refuseMove(t, s, a, withTasks(in(roomA, become(a, 2)), task("a", 0)), provisioning.ErrChatBridged)
	expectTasks(t, s)
}

func checkMoveAtomic(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	moved := in(roomB, a)
	if err := s.Move(t.Context(), a.Portal, withTasks(moved, withKnown(t, s)...)); err == nil {
		t.Errorf("Move with a task that is recorded already: no error")
	}
	expectPortals(t, s, []provisioning.NewPortal{a}, formerly(moved)...)
	expectTasks(t, s, "known")
}

func checkConnectAtomic(t T, open func() TaskPortalStore) {
	s := open()
	old := group(roomA, 1, 7)
	connect(t, s, old)
	moved := replacing(roomA, group(roomB, 1, 8))
	if err := s.Connect(t.Context(), withTasks(moved, withKnown(t, s)...)); err == nil {
		t.Errorf("Connect with a task that is recorded already: no error")
	}
	expectPortals(t, s, []provisioning.NewPortal{old}, moved)
	expectTasks(t, s, "known")
}

func checkDisconnectAtomic(t T, open func() TaskPortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	if err := s.Disconnect(t.Context(), a.Portal, withKnown(t, s)...); err == nil {
		t.Errorf("Disconnect with a task that is recorded already: no error")
	}
	expectPortals(t, s, []provisioning.NewPortal{a})
	expectTasks(t, s, "known")
}

func checkTaskPortalContext(t T, open func() TaskPortalStore) {
	s := open()
	a, b := group(roomA, 1, 7), group(roomB, 2)
	connect(t, s, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Connect(ctx, withTasks(b, task("b", 0))); err == nil {
		t.Errorf("Connect with a cancelled context: no error")
	}
	if err := s.Disconnect(ctx, a.Portal, task("a", 0)); err == nil {
		t.Errorf("Disconnect with a cancelled context: no error")
	}
	expectPortals(t, s, []provisioning.NewPortal{a}, b)
	expectTasks(t, s)
}

func checkTaskPortalHandles(t T, open func() TaskPortalStore) {
	one, two := open(), open()
	a := group(roomA, 1, 7)
	connect(t, one, withTasks(a, task("a", 0)))
	take(t, two, later, 10, "a")
	if err := two.Disconnect(t.Context(), a.Portal, task("b", 0)); err != nil {
		t.Fatalf("Disconnect: %v", err)
	}
	take(t, one, later, 10, "b")
	finish(t, one, "a")
	expectTasks(t, open(), "b") // opened later
}

func checkRaceConnectTasks(t T, open func() TaskPortalStore) {
	handles := [2]TaskPortalStore{open(), open()}
	var calls []func() error
	for i := range checkRacers {
		n := withTasks(group(checkRoom(i), 1, 7), task(fmt.Sprint("x", i), 0), task(fmt.Sprint("y", i), 0))
		calls = append(calls, connecting(t, handles[i%2], n))
	}
	won := raceOne(t, calls, provisioning.ErrChatBridged)
	expectTasks(t, handles[0], fmt.Sprint("x", won), fmt.Sprint("y", won))
}

func checkRaceDisconnectTasks(t T, open func() TaskPortalStore) {
	handles := [2]TaskPortalStore{open(), open()}
	a := group(roomA, 1, 7)
	connect(t, handles[0], a)
	var calls []func() error
	for i := range checkRacers {
		calls = append(calls, func() error {
			return handles[i%2].Disconnect(t.Context(), a.Portal, task(fmt.Sprint("x", i), 0))
		})
	}
	won := raceOne(t, calls, provisioning.ErrPortalNotFound)
	expectTasks(t, handles[0], fmt.Sprint("x", won))
}
