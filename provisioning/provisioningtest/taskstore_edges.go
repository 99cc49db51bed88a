package provisioningtest

import (
	"context"
	"strings"

	"github.com/tgprovision/tgprovision/provisioning"
)

func checkTaskData(t T, open func() provisioning.TaskStore) {
	s := open()
	added := map[string]provisioning.NewTask{}
	for _, text := range []string{
		"x", "X", "x ", " x", "'; DROP TABLE tasks; --", `"\'%_?$1`, `{"a":"\u0000","b":[1,2.50,null]}`, "\u00e9", "e\u0301",
		"\u4e2d\u6587\U0001F600", "NULL", "line\nline\r\n", strings.Repeat("0123456789abcdef", 1<<13),
	} {
		n := provisioning.NewTask{ID: text, Kind: text[:min(len(text), 20)], Data: text}
		if len(text) > 100 {
			n.ID = "long"
		}
		added[n.ID] = n
		addTasks(t, s, n)
	}
	tasks := list(t, s)
	if len(tasks) != len(added) {
		t.Errorf("ListTasks returned %d tasks, want %d", len(tasks), len(added))
	}
	for i, listed := range tasks {
		n := added[listed.ID]
		taken := takeKind(t, s, n.Kind, later, 10)
		if len(taken) != 1 {
			t.Fatalf("TakeTasks of the kind %q returned %d tasks, want 1", n.Kind, len(taken))
		}
		for _, got := range []provisioning.Task{listed, taken[0]} {
			if got.Kind != n.Kind || got.Data != n.Data {
				t.Errorf("the task %q was returned with Kind %.50q and Data %.50q, want %.50q and %.50q", n.ID, got.Kind, got.Data, n.Kind, n.Data)
			}
		}
		finish(t, s, n.ID)
		if left := list(t, s); len(left) != len(tasks)-i-1 {
			t.Errorf("after FinishTask(%q) there are %d tasks, want %d", n.ID, len(left), len(tasks)-i-1)
		}
	}
}

func checkKnownID(t T, open func() provisioning.TaskStore) {
	s := open()
	known, again := task("known", hours(-1)), task("known", later)
	addTasks(t, s, known)
	again.Data = "again"
	refuseTasks(t, s, again)
	for _, got := range take(t, s, later, 10, "known") {
		expectTask(t, got, known, 1)
	}
	refuseTasks(t, s, again)
	for _, got := range list(t, s) {
		expectTask(t, got, known, 1)
	}
}

// withKnown returns tasks of which one can't be recorded, because its ID is known.
func withKnown(t T, s provisioning.TaskStore) []provisioning.NewTask {
	t.Helper()
	addTasks(t, s, task("known", 0))
	return []provisioning.NewTask{task("new", 0), task("known", 0), task("other", 0)}
}

func checkAddAtomic(t T, open func() provisioning.TaskStore) {
	s := open()
	addTasks(t, s, task("a", 0), task("b", 0), task("c", 0))
	expectTasks(t, s, "a", "b", "c")
	refuseTasks(t, s, withKnown(t, s)...)
	expectTasks(t, s, "a", "b", "c", "known")
	refuseTasks(t, s, task("twice", 0), task("twice", 0))
	expectTasks(t, s, "a", "b", "c", "known")
}

func checkTaskContext(t T, open func() provisioning.TaskStore) {
	s := open()
	a := task("a", 0)
	addTasks(t, s, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AddTasks(ctx, task("b", 0)); err == nil {
		t.Errorf("AddTasks with a cancelled context: no error")
	}
	if tasks, err := s.TakeTasks(ctx, checkKind, later, 10); err == nil {
		t.Errorf("TakeTasks with a cancelled context: %d tasks, no error", len(tasks))
	}
	if err := s.PostponeTask(ctx, "a", later); err == nil {
		t.Errorf("PostponeTask with a cancelled context: no error")
	}
	if err := s.FinishTask(ctx, "a"); err == nil {
		t.Errorf("FinishTask with a cancelled context: no error")
	}
	if tasks, err := s.ListTasks(ctx, "", 10); err == nil {
		t.Errorf("ListTasks with a cancelled context: %d tasks, no error", len(tasks))
	}
	for _, got := range take(t, s, later, 10, "a") {
		expectTask(t, got, a, 1)
	}
	expectTasks(t, s, "a")
}

func checkTaskHandles(t T, open func() provisioning.TaskStore) {
	one, two := open(), open()
	take(t, two, later, 10)
	addTasks(t, one, task("a", hours(-2)), task("b", hours(-1)))
	take(t, two, later, 1, "a")
	take(t, one, later, 10, "b")
	postpone(t, one, "a", 0)
	take(t, two, later, 10, "a")
	refuseTasks(t, two, task("b", 0))
	finish(t, two, "a")
	expectTasks(t, one, "b")
	expectTasks(t, open(), "b") // opened later
}
