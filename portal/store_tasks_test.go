package portal_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

func TestCountTasks(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDatabase(t))
	counted := func(want int) {
		t.Helper()
		n, err := s.CountTasks(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, n)
	}
	counted(0)
	require.NoError(t, s.AddTasks(t.Context(), provisioning.NewTask{ID: "1", Kind: "event"}, provisioning.NewTask{ID: "2", Kind: "event", Delay: time.Hour}))
	counted(2)
	assert.Len(t, takeTasks(t, s.TaskStore, time.Minute), 1)
	counted(2)
	require.NoError(t, s.FinishTask(t.Context(), "1"))
	counted(1)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.CountTasks(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// takeTasks takes all tasks of the kind "event" that are due.
func takeTasks(t *testing.T, s *portal.TaskStore, hold time.Duration) []provisioning.Task {
	t.Helper()
	tasks, err := s.TakeTasks(t.Context(), "event", hold, 100)
	require.NoError(t, err)
	return tasks
}

func listTasks(t *testing.T, s *portal.TaskStore) []provisioning.Task {
	t.Helper()
	tasks, err := s.ListTasks(t.Context(), "", 100)
	require.NoError(t, err)
	return tasks
}

// atTime returns a store whose clock is set.
func atTime(t *testing.T, db *dbutil.Database) (s *portal.TaskStore, set func(time.Time)) {
	t.Helper()
	s = newTaskStore(t, db)
	set = func(now time.Time) { s.SetClock(func() time.Time { return now }) }
	return s, set
}

func TestTimesOfTasks(t *testing.T) {
	t.Parallel()
	s, set := atTime(t, newDatabase(t))
	now := time.Date(2026, time.November, 23, 12, 0, 0, int(345*time.Millisecond), time.UTC)
	set(now)
	task := provisioning.Task{ID: "a", Kind: "event", Data: "data"}
	require.NoError(t, s.AddTasks(t.Context(), provisioning.NewTask{ID: task.ID, Kind: task.Kind, Data: task.Data, Delay: 10 * time.Second}))
	expect := func(age, dueIn time.Duration, tasks []provisioning.Task) {
		t.Helper()
		task.Age, task.DueIn = age, dueIn
		assert.Equal(t, []provisioning.Task{task}, tasks)
	}
	expect(0, 10*time.Second, listTasks(t, s))

	set(now.Add(9999 * time.Millisecond))
	assert.Empty(t, takeTasks(t, s, time.Minute))
	expect(9999*time.Millisecond, time.Millisecond, listTasks(t, s))

	set(now.Add(10 * time.Second))
	task.Attempts = 1
	expect(10*time.Second, time.Minute, takeTasks(t, s, time.Minute))
	set(now.Add(30 * time.Second))
	require.NoError(t, s.PostponeTask(t.Context(), "a", time.Second))
	expect(30*time.Second, time.Second, listTasks(t, s))

	set(now.Add(24 * time.Hour))
	expect(24*time.Hour, 31*time.Second-24*time.Hour, listTasks(t, s))
	task.Attempts = 2
	expect(24*time.Hour, 0, takeTasks(t, s, 0))
}

// What was added, postponed or taken while the clock was years ahead is done as soon as it
// is right, and is as old as if it had been added then.
func TestClockWasYearsAhead(t *testing.T) {
	t.Parallel()
	s, set := atTime(t, newDatabase(t))
	now := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	set(now.AddDate(5, 0, 0))
	require.NoError(t, s.AddTasks(
		t.Context(), provisioning.NewTask{ID: "added", Kind: "event", Delay: time.Minute},
		provisioning.NewTask{ID: "postponed", Kind: "event"}, provisioning.NewTask{ID: "taken", Kind: "event"},
	))
	require.NoError(t, s.PostponeTask(t.Context(), "postponed", time.Minute))
	require.Len(t, takeTasks(t, s, time.Minute), 1)

	set(now)
	task := func(taskID string, attempts int, age, dueIn time.Duration) provisioning.Task {
		return provisioning.Task{ID: taskID, Kind: "event", Attempts: attempts, Age: age, DueIn: dueIn}
	}
	assert.Equal(t, []provisioning.Task{task("added", 0, 0, 0), task("postponed", 0, 0, 0), task("taken", 1, 0, 0)}, listTasks(t, s))
	taken := takeTasks(t, s, time.Minute)
	assert.ElementsMatch(t, []provisioning.Task{task("added", 1, 0, time.Minute), task("postponed", 1, 0, time.Minute), task("taken", 2, 0, time.Minute)}, taken)
	assert.Empty(t, takeTasks(t, s, time.Minute))

	set(now.Add(time.Hour))
	taken = takeTasks(t, s, time.Minute)
	require.Len(t, taken, 3)
	for _, task := range taken {
		assert.Equal(t, time.Hour, task.Age, task.ID)
	}
}

// A process of an older version writes no time of adding.
func TestTasksOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s, set := atTime(t, db)
	now := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	set(now)
	exec(t, db, `INSERT INTO tgprovision_portal_task (id, kind, data, attempts, due) VALUES ('a', 'event', '', 0, $1)`, now.UnixMilli())
	assert.Zero(t, listTasks(t, s)[0].Age)
	assert.Zero(t, takeTasks(t, s, 0)[0].Age)
	set(now.Add(time.Hour))
	assert.Equal(t, time.Hour, takeTasks(t, s, 0)[0].Age)
}
