package provisioningtest

import (
	"slices"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

func checkList(t T, open func() provisioning.TaskStore) {
	s := open()
	added := []provisioning.NewTask{
		task("due", hours(-1)), task("later", later), task("lost", tooLate),
		{ID: "other kind", Kind: "other", Data: "other", Delay: later},
		{ID: "taken", Kind: "taken", Data: "taken"},
	}
	addTasks(t, s, added...)
	if tasks := takeKind(t, s, "taken", later, 10); len(tasks) != 1 {
		t.Errorf("TakeTasks returned %d tasks, want one", len(tasks))
	}
	tasks := list(t, s)
	if len(tasks) != len(added) {
		t.Fatalf("ListTasks returned %d tasks, want %d", len(tasks), len(added))
	}
	for i, want := range added {
		attempts := 0
		if want.ID == "taken" {
			attempts = 1
		}
		expectTask(t, tasks[i], want, attempts)
	}
	finish(t, s, "later")
	expectTasks(t, s, "due", "lost", "other kind", "taken")
	take(t, s, later, 1, "due") // it was not taken by being listed
}

func checkListAfter(t T, open func() provisioning.TaskStore) {
	s := open()
	addTasks(t, s, task("c", 0), task("e", hours(-1)), task("a", later), task("d", 0), task("b", hours(-2)))
	for _, page := range []struct {
		after string
		limit int
		want  []string
	}{
		{"", 5, []string{"a", "b", "c", "d", "e"}},
		{"", 2, []string{"a", "b"}},
		{"b", 2, []string{"c", "d"}},
		{"d", 2, []string{"e"}},
		{"e", 2, []string{}},
		{"bb", 1, []string{"c"}}, // there is none of this ID, any more perhaps
		{"A", 1, []string{"a"}},
		{"z", 9, []string{}},
		{"", 0, []string{}},
	} {
		if got := taskIDs(listAfter(t, s, page.after, page.limit)); !slices.Equal(got, page.want) {
			t.Errorf("ListTasks(%q, %d) returned the tasks %q, want %q", page.after, page.limit, got, page.want)
		}
	}
}

func checkListOrder(t T, open func() provisioning.TaskStore) {
	s := open()
	// As no alphabet has them, and neither UTF-16.
	ordered := []string{" ", "-", "1", "10", "2", "A", "B", "Z", "_", "a", "a b", "a-", "aB", "aa", "b", "z", "\u00e9", "\u4e2d", "\uff5e", "\U0001F600"}
	for i := range ordered {
		addTasks(t, s, task(ordered[i*7%len(ordered)], 0))
	}
	if got := taskIDs(list(t, s)); !slices.Equal(got, ordered) {
		t.Errorf("ListTasks returned the tasks in the order %q, want %q", got, ordered)
	}
	for i, after := range ordered {
		if got := taskIDs(listAfter(t, s, after, 1)); !slices.Equal(got, ordered[i+1:min(i+2, len(ordered))]) {
			t.Errorf("after the task %q comes %q, want the next of %q", after, got, ordered)
		}
	}
}

// moment is when a call happened: at some time between its begin and its end, by the
// clock of the check.
type moment struct{ begin, end time.Time }

func during(call func()) moment {
	begin := time.Now()
	call()
	return moment{begin, time.Now()}
}

// since returns between what the time lies that went by from an earlier moment.
func (m moment) since(earlier moment) (least, most time.Duration) {
	return max(m.begin.Sub(earlier.end), 0) - precision, m.end.Sub(earlier.begin) + precision
}

// expectDueIn checks DueIn of a task that was returned at a moment: it falls due after a
// delay from another.
func expectDueIn(t T, got provisioning.Task, from moment, delay time.Duration, returned moment) {
	t.Helper()
	least, most := returned.since(from)
	switch {
	case delay > provisioning.MaxTaskDelay && got.DueIn > 0:
		t.Errorf("the task %q has DueIn %s, and the clock must have been wrong: it is due", got.ID, got.DueIn)
	case delay > provisioning.MaxTaskDelay:
	case got.DueIn < delay-most || got.DueIn > delay-least:
		t.Errorf("the task %q has DueIn %s, want %s at least and %s at most", got.ID, got.DueIn, delay-most, delay-least)
	}
}

// expectAge checks Age of a task that was returned at a moment, and added at another.
func expectAge(t T, got provisioning.Task, added, returned moment) {
	t.Helper()
	if least, most := returned.since(added); got.Age < max(least, 0) || got.Age > most {
		t.Errorf("the task %q has Age %s, want %s at least and %s at most", got.ID, got.Age, max(least, 0), most)
	}
}

// letTimePass lists tasks until some milliseconds have gone by. Where no time goes by, as
// in a bubble of testing/synctest, it stops after many times.
func letTimePass(t T, s provisioning.TaskStore) {
	t.Helper()
	begin := time.Now()
	for range 10_000 {
		list(t, s)
		if time.Since(begin) > 3*precision {
			return
		}
	}
}

func checkTimes(t T, open func() provisioning.TaskStore) {
	s := open()
	tasks := []provisioning.NewTask{
		task("a", hours(-100)-123*time.Millisecond), task("b", -987*time.Millisecond), task("c", 0),
		task("d", later), task("e", later+456*time.Millisecond), task("f", provisioning.MaxTaskDelay),
	}
	var added []moment
	for _, n := range tasks {
		added = append(added, during(func() { addTasks(t, s, n) }))
	}
	for range 2 {
		var got []provisioning.Task
		listed := during(func() { got = list(t, s) })
		if len(got) != len(tasks) {
			t.Fatalf("ListTasks returned %d tasks, want %d", len(got), len(tasks))
		}
		for i, n := range tasks {
			expectAge(t, got[i], added[i], listed)
			expectDueIn(t, got[i], added[i], n.Delay, listed)
		}
		letTimePass(t, s)
	}
}

func checkAge(t T, open func() provisioning.TaskStore) {
	s := open()
	added := during(func() { addTasks(t, s, task("a", hours(-1))) })
	letTimePass(t, s)
	var tasks []provisioning.Task
	taken := during(func() { tasks = take(t, s, 250*time.Millisecond, 1, "a") })
	for _, got := range tasks {
		expectAge(t, got, added, taken)
	}
	letTimePass(t, s)
	listed := during(func() { tasks = list(t, s) })
	for _, got := range tasks {
		expectAge(t, got, added, listed)
		expectDueIn(t, got, taken, 250*time.Millisecond, listed)
	}
	postponed := during(func() { postpone(t, s, "a", later+250*time.Millisecond) })
	letTimePass(t, s)
	listed = during(func() { tasks = list(t, s) })
	for _, got := range tasks {
		expectAge(t, got, added, listed)
		expectDueIn(t, got, postponed, later+250*time.Millisecond, listed)
	}
}
