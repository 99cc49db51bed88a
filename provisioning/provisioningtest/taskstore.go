package provisioningtest

import (
	"slices"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestTaskStore runs every check of the interface provisioning.TaskStore as a subtest,
// each on an empty backend of its own, in the manner of [TestPortalStore]. A store that is
// a provisioning.PortalStore too runs [TestTaskPortalStore] besides.
//
// The checks don't wait: they pass negative delays, and delays and holds over
// provisioning.MaxTaskDelay, which a store has to take. The store's clock must not be set
// during a check.
func TestTaskStore(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) provisioning.TaskStore)) {
	for _, check := range taskStoreChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() provisioning.TaskStore { return open(t) })
		})
	}
}

var taskStoreChecks = []storeCheck[provisioning.TaskStore]{
	{"no tasks", "TakeTasks returns the tasks of a kind that are due, and ListTasks those that are recorded: none is an empty list and no error.", checkNoTasks},
	{"take", "TakeTasks returns tasks as they were added, but for their Attempts, to which one is added, and that they are due again after hold.", checkTake},
	{"kinds", "TakeTasks takes tasks of a kind, and of no other.", checkKinds},
	{"due", "TakeTasks takes tasks that are due: a Delay of zero is at once, a negative one is a task that has been due for so long, and the longest is MaxTaskDelay.", checkDue},
	{"order", "TakeTasks takes those that have been due for longest first.", checkOrder},
	{"limit", "TakeTasks takes at most limit tasks.", checkLimit},
	{"due again", "A task that is taken and neither finished nor postponed falls due again after hold; its Attempts are one more each time.", checkDueAgain},
	{"wrong clock", "A task that is due later than MaxTaskDelay from now was recorded while the clock was wrong: it counts as due.", checkWrongClock},
	{"postpone", "PostponeTask has a task fall due after a delay from now, and changes nothing else.", checkPostpone},
	{"postpone an unknown task", "An unknown task is no error for PostponeTask: somebody else has finished it.", checkPostponeUnknown},
	{"finish", "FinishTask forgets a task; an unknown one is no error.", checkFinish},
	{"list", "ListTasks returns tasks of every kind, whether they are due or not, as they are.", checkList},
	{"list after", "ListTasks returns at most limit tasks whose IDs come after the given one; with \"\" it begins at the first.", checkListAfter},
	{"list order", "ListTasks returns the tasks in the order of their IDs, by bytes.", checkListOrder},
	{"times", "Age is the time since the task was recorded, and DueIn the time until it is due, with a precision of milliseconds.", checkTimes},
	{"age", "Age is the time since the task was recorded, however often it is taken or postponed.", checkAge},
	{"task data", "For a store a task is opaque: its texts are returned as they were added, and its ID is unique byte for byte.", checkTaskData},
	{"known ID", "A task whose ID is recorded already is an error for AddTasks.", checkKnownID},
	{"add all or nothing", "AddTasks records tasks in one transaction.", checkAddAtomic},
	{"task context", "Methods honour the context, and an error means that nothing has changed.", checkTaskContext},
	{"two task handles", "Methods are called concurrently by several processes, which see each other's writes.", checkTaskHandles},
	{"race for one task", "Of racing TakeTasks, no task goes to two.", checkRaceOneTask},
	{"race for many tasks", "Of racing TakeTasks, no task goes to two, and none is forgotten.", checkRaceManyTasks},
	{"race for one ID", "Of racing AddTasks with one ID, all but one find it recorded already.", checkRaceOneID},
	{"race of all methods", "Methods are called concurrently: none fails because of the others, and every task is taken until it is finished.", checkRaceAllTaskMethods},
}

const (
	// checkKind is the kind of most tasks of the checks.
	checkKind = "check"
	// later is a delay that does not end during a check.
	later = provisioning.MaxTaskDelay / 2
	// tooLate is a delay that no sound clock makes.
	tooLate = 2 * provisioning.MaxTaskDelay
	// precision is by how much a time may be off.
	precision = 2 * time.Millisecond
)

// hours is a delay that lies so far back that a check takes no such time: tasks of
// different hours are in their order, whenever they were added.
func hours(n int) time.Duration { return time.Duration(n) * time.Hour }

// task returns a task of the usual kind.
func task(taskID string, delay time.Duration) provisioning.NewTask {
	return provisioning.NewTask{ID: taskID, Kind: checkKind, Data: `{"of":"` + taskID + `"}`, Delay: delay}
}

func addTasks(t T, s provisioning.TaskStore, tasks ...provisioning.NewTask) {
	t.Helper()
	if err := s.AddTasks(t.Context(), tasks...); err != nil {
		t.Fatalf("AddTasks of %d tasks: %v", len(tasks), err)
	}
}

// refuseTasks calls AddTasks, which has to return an error.
func refuseTasks(t T, s provisioning.TaskStore, tasks ...provisioning.NewTask) {
	t.Helper()
	if err := s.AddTasks(t.Context(), tasks...); err == nil {
		t.Errorf("AddTasks of %d tasks, one of a known ID: no error", len(tasks))
	}
}

// taskIDs returns the IDs of tasks.
func taskIDs(tasks []provisioning.Task) []string {
	taskIDs := []string{}
	for _, task := range tasks {
		taskIDs = append(taskIDs, task.ID)
	}
	return taskIDs
}

// take calls TakeTasks for the usual kind, which has to return the tasks of these IDs, in
// this order.
func take(t T, s provisioning.TaskStore, hold time.Duration, limit int, want ...string) []provisioning.Task {
	t.Helper()
	tasks := takeKind(t, s, checkKind, hold, limit)
	if got := taskIDs(tasks); !slices.Equal(got, want) {
		t.Errorf("TakeTasks returned the tasks %q, want %q", got, want)
	}
	return tasks
}

// takeKind calls TakeTasks, which has to return tasks that are due after hold.
func takeKind(t T, s provisioning.TaskStore, kind string, hold time.Duration, limit int) []provisioning.Task {
	t.Helper()
	var tasks []provisioning.Task
	var err error
	taken := during(func() { tasks, err = s.TakeTasks(t.Context(), kind, hold, limit) })
	if err != nil {
		t.Fatalf("TakeTasks: %v", err)
	}
	for _, task := range tasks {
		expectDueIn(t, task, taken, hold, taken)
	}
	return tasks
}

// list returns all tasks.
func list(t T, s provisioning.TaskStore) []provisioning.Task {
	t.Helper()
	return listAfter(t, s, "", 1000)
}

func listAfter(t T, s provisioning.TaskStore, after string, limit int) []provisioning.Task {
	t.Helper()
	tasks, err := s.ListTasks(t.Context(), after, limit)
	if err != nil {
		t.Fatalf("ListTasks: %v", err)
	}
	return tasks
}

// expectTasks lists all tasks, which have to be these, in any order.
func expectTasks(t T, s provisioning.TaskStore, want ...string) {
	t.Helper()
	got := taskIDs(list(t, s))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the tasks are %q, want %q", got, want)
	}
}

// expectTask compares a task with what was added.
func expectTask(t T, got provisioning.Task, want provisioning.NewTask, attempts int) {
	t.Helper()
	if got.ID != want.ID || got.Kind != want.Kind || got.Data != want.Data || got.Attempts != attempts {
		t.Errorf("the task is %+v, want %+v with %d attempts", got, want, attempts)
	}
}

func postpone(t T, s provisioning.TaskStore, taskID string, delay time.Duration) {
	t.Helper()
	if err := s.PostponeTask(t.Context(), taskID, delay); err != nil {
		t.Fatalf("PostponeTask(%q): %v", taskID, err)
	}
}

func finish(t T, s provisioning.TaskStore, taskID string) {
	t.Helper()
	if err := s.FinishTask(t.Context(), taskID); err != nil {
		t.Fatalf("FinishTask(%q): %v", taskID, err)
	}
}
