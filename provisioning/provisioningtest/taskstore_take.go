package provisioningtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

func checkNoTasks(t T, open func() provisioning.TaskStore) {
	s := open()
	expectNone := func() {
		t.Helper()
		take(t, s, later, 10)
		expectTasks(t, s)
	}
	expectNone()
	addTasks(t, s)
	expectNone()
	addTasks(t, s, task("later", later))
	take(t, s, later, 10)
	finish(t, s, "later")
	expectNone()
}

func checkTake(t T, open func() provisioning.TaskStore) {
	s := open()
	added := []provisioning.NewTask{
		{ID: "a", Kind: checkKind, Data: `{"room":"!a"}`, Delay: hours(-3)},
		{ID: "b", Kind: checkKind, Data: "", Delay: hours(-2)},
		{ID: "c", Kind: checkKind, Data: `{"room":"!c"}`, Delay: hours(-1)},
	}
	addTasks(t, s, added...)
	for i, got := range take(t, s, later, 10, "a", "b", "c") {
		expectTask(t, got, added[i], 1)
	}
	for i, got := range list(t, s) {
		expectTask(t, got, added[i], 1)
	}
}

func checkKinds(t T, open func() provisioning.TaskStore) {
	s := open()
	kinds := []string{"check", "Check", "check ", "chec", "check_", "checks", ""}
	for i, kind := range kinds {
		addTasks(t, s, provisioning.NewTask{ID: fmt.Sprint(i), Kind: kind, Delay: hours(i - 10)})
	}
	for _, kind := range []string{"unknown", "%", "CHECK"} {
		if tasks := takeKind(t, s, kind, later, 10); len(tasks) != 0 {
			t.Errorf("TakeTasks of the kind %q returned %+v, want nothing", kind, tasks)
		}
	}
	for i, kind := range kinds {
		tasks := takeKind(t, s, kind, later, 10)
		if !slices.Equal(taskIDs(tasks), []string{fmt.Sprint(i)}) || tasks[0].Kind != kind {
			t.Errorf("TakeTasks of the kind %q returned %+v, want the task %d", kind, tasks, i)
		}
	}
}

func checkDue(t T, open func() provisioning.TaskStore) {
	s := open()
	addTasks(
		t, s, task("later", later), task("now", 0), task("before", hours(-1)),
		task("latest", provisioning.MaxTaskDelay), task("a moment later", later+time.Millisecond), task("years ago", hours(-100_000)),
	)
	take(t, s, later, 10, "years ago", "before", "now")
	take(t, s, later, 10)
	expectTasks(t, s, "later", "now", "before", "latest", "a moment later", "years ago")
	postpone(t, s, "now", 0)
	postpone(t, s, "before", provisioning.MaxTaskDelay)
	take(t, s, provisioning.MaxTaskDelay, 10, "now")
	take(t, s, later, 10)
}

func checkOrder(t T, open func() provisioning.TaskStore) {
	s := open()
	addTasks(t, s, task("c", hours(-3)), task("e", hours(-1)), task("a", hours(-5)))
	addTasks(t, s, task("d", hours(-2)))
	addTasks(t, s, task("b", hours(-4)))
	postpone(t, s, "d", hours(-6))
	take(t, s, later, 2, "d", "a")
	take(t, s, later, 2, "b", "c")
	take(t, s, later, 2, "e")
	postpone(t, s, "e", hours(-2))
	postpone(t, s, "b", hours(-1))
	take(t, s, 0, 1, "e") // it is due again, but not for long
	take(t, s, later, 1, "b")
	take(t, s, later, 2, "e")
}

func checkLimit(t T, open func() provisioning.TaskStore) {
	s := open()
	for i := range 7 {
		addTasks(t, s, task(fmt.Sprint(i), hours(i-10)))
	}
	take(t, s, later, 0)
	take(t, s, later, 1, "0")
	take(t, s, later, 4, "1", "2", "3", "4")
	take(t, s, later, 4, "5", "6")
	take(t, s, later, 4)
}

func checkDueAgain(t T, open func() provisioning.TaskStore) {
	s := open()
	a := task("a", 0)
	addTasks(t, s, a)
	for i, hold := range []time.Duration{0, 0, tooLate, hours(-1), later} {
		for _, got := range take(t, s, hold, 10, "a") {
			expectTask(t, got, a, i+1)
		}
	}
	take(t, s, 0, 10)
	for _, got := range list(t, s) {
		expectTask(t, got, a, 5)
	}
}

func checkWrongClock(t T, open func() provisioning.TaskStore) {
	s := open()
	addTasks(
		t, s, task("hours", tooLate), task("years", hours(1_000_000)), task("postponed", 0), task("postponed by years", 0),
		task("a moment", provisioning.MaxTaskDelay+time.Minute), task("later", later),
	)
	postpone(t, s, "postponed", tooLate)
	postpone(t, s, "postponed by years", hours(1_000_000))
	for _, task := range list(t, s) {
		if (task.DueIn <= 0) == (task.ID == "later") {
			t.Errorf("the task %q has DueIn %s", task.ID, task.DueIn)
		}
	}
	got := map[string]int{}
	for range 5 { // in any order
		for _, task := range takeKind(t, s, checkKind, later, 1) {
			got[task.ID]++
		}
	}
	if len(got) != 5 || got["later"] != 0 {
		t.Errorf("TakeTasks, five times, returned %v, want all tasks but one", got)
	}
	take(t, s, later, 10)
}

func checkPostpone(t T, open func() provisioning.TaskStore) {
	s := open()
	a, b := task("a", 0), task("b", 0)
	addTasks(t, s, a, b)
	postpone(t, s, "a", later)
	take(t, s, later, 10, "b")
	postpone(t, s, "a", 0) // not taken so far
	for _, got := range take(t, s, later, 10, "a") {
		expectTask(t, got, a, 1)
	}
	postpone(t, s, "a", hours(-1)) // earlier than after hold
	for _, got := range take(t, s, later, 10, "a") {
		expectTask(t, got, a, 2)
	}
	for i, got := range list(t, s) {
		expectTask(t, got, []provisioning.NewTask{a, b}[i], 2-i)
	}
}

func checkPostponeUnknown(t T, open func() provisioning.TaskStore) {
	s := open()
	addTasks(t, s, task("a", 0), task("b", later))
	finish(t, s, "a")
	postpone(t, s, "a", hours(-1))
	postpone(t, s, "unknown", hours(-1))
	expectTasks(t, s, "b")
	take(t, s, later, 10)
}

func checkFinish(t T, open func() provisioning.TaskStore) {
	s := open()
	addTasks(t, s, task("a", hours(-2)), task("b", hours(-1)), task("c", later))
	take(t, s, 0, 1, "a")
	finish(t, s, "a")
	finish(t, s, "c") // it was not taken
	finish(t, s, "a")
	finish(t, s, "unknown")
	expectTasks(t, s, "b")
	take(t, s, later, 10, "b")
	again := task("a", 0)
	again.Data = "again"
	addTasks(t, s, again) // nothing is left of the first
	for _, got := range take(t, s, later, 10, "a") {
		expectTask(t, got, again, 1)
	}
}
