package provisioning

import (
	"context"
	"time"
)

// NewTask is work that the core promises, such as emptying a room. For a store it is
// opaque.
type NewTask struct {
	// ID is unique, and made by the core.
	ID string
	// Kind says what there is to do; see [TaskKinds].
	Kind string
	// Data says with what. It is text, in a form of the core's own, and holds no secrets.
	Data string
	// Delay is the time until the task may be taken; zero is at once, and a negative one is
	// a task that has been due for so long. It is at most [MaxTaskDelay].
	Delay time.Duration
}

// Task is work that is recorded.
type Task struct {
	// ID, Kind and Data are those of the NewTask.
	ID   string
	Kind string
	Data string
	// Attempts counts how often the task was taken.
	Attempts int
	// Age is the time since the task was recorded.
	Age time.Duration
	// DueIn is the time until the task is due, negative for one that is due already.
	DueIn time.Duration
}

// MaxTaskDelay is the longest delay of a task.
const MaxTaskDelay = time.Hour

// TaskStore keeps the tasks of the core until they are done, so that they survive
// a crash. What Connect and Disconnect of the [PortalStore] record is found here.
// Package portal has one on SQL.
//
// A task is done at least once: one that is taken and neither finished nor
// postponed, because its process died, falls due again.
//
// All times are measured by one clock, that of the store: where several processes share
// one, their own clocks may differ. They have a precision of milliseconds. A task that is
// due later than MaxTaskDelay from now was recorded while the clock was wrong: it counts as
// due.
//
// Methods are called concurrently, by several goroutines and, where processes share a
// database, by several processes. They honour the context, and may all return
// [ErrDatabase]: also where the context ended while the database was waited for.
type TaskStore interface {
	// AddTasks records tasks, in one transaction. A task whose ID is recorded already is an
	// error.
	AddTasks(ctx context.Context, tasks ...NewTask) error

	// TakeTasks takes at most limit of the tasks of a kind that are due, those that have
	// been due for longest first: they are due again after hold, and their Attempts are one
	// more. It returns them as they are after that. Of two racing calls, no task goes to
	// both.
	TakeTasks(ctx context.Context, kind string, hold time.Duration, limit int) ([]Task, error)

	// PostponeTask has a task fall due after a delay from now. An unknown task is no error:
	// somebody else has finished it.
	PostponeTask(ctx context.Context, taskID string, delay time.Duration) error

	// FinishTask deletes a task. An unknown one is no error.
	FinishTask(ctx context.Context, taskID string) error

	// ListTasks returns at most limit tasks whose IDs come after the given one, of every
	// kind, in the order of their IDs (by bytes). With "" it begins at the first.
	ListTasks(ctx context.Context, after string, limit int) ([]Task, error)
}
