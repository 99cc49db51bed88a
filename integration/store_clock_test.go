package integration

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// takeEvents returns the IDs of the tasks of the kind "event" that are due. They are due
// again after half an hour.
func takeEvents(t *testing.T, s *portal.TaskStore) []string {
	t.Helper()
	tasks, err := s.TakeTasks(t.Context(), "event", 30*time.Minute, 100)
	require.NoError(t, err)
	taskIDs := []string{}
	for _, task := range tasks {
		taskIDs = append(taskIDs, task.ID)
	}
	return taskIDs
}

// checkAges checks that no task is older than the test, or due at a time that another
// clock has made.
func checkAges(t *testing.T, s *portal.TaskStore, want int) {
	t.Helper()
	tasks, err := s.ListTasks(t.Context(), "", 100)
	require.NoError(t, err)
	assert.Len(t, tasks, want)
	for _, task := range tasks {
		assert.True(t, 0 <= task.Age && task.Age < time.Hour && -time.Hour < task.DueIn && task.DueIn <= 30*time.Minute, "%+v", task)
	}
}

// Two processes whose clocks differ by decades share a database, and no task is taken twice
// or left. A bubble of testing/synctest has a clock of its own, which begins in the year
// 2000.
func TestTasksOfProcessesWhoseClocksDiffer(t *testing.T) {
	url := postgres.newDatabase(t)
	here := openTasks(t, url)
	event := func(taskID string, delay time.Duration) provisioning.NewTask {
		return provisioning.NewTask{ID: taskID, Kind: "event", Delay: delay}
	}
	require.NoError(t, here.AddTasks(t.Context(), event("a", 0)))
	require.Equal(t, []string{"a"}, takeEvents(t, here))
	require.NoError(t, here.AddTasks(t.Context(), event("b", 0), event("c", 30*time.Minute)))

	now := time.Now()
	synctest.Test(t, func(t *testing.T) {
		require.Greater(t, time.Until(now), 20*365*24*time.Hour)
		there := openTasks(t, url)
		checkAges(t, there, 3)
		assert.Equal(t, []string{"b"}, takeEvents(t, there))
		require.NoError(t, there.AddTasks(t.Context(), event("d", 0)))
		assert.Equal(t, []string{"d"}, takeEvents(t, there))
		require.NoError(t, there.AddTasks(t.Context(), event("e", 0), event("f", 30*time.Minute)))
		require.NoError(t, there.PostponeTask(t.Context(), "a", 0))
		require.NoError(t, there.PostponeTask(t.Context(), "b", 30*time.Minute))
	})

	checkAges(t, here, 6)
	assert.ElementsMatch(t, []string{"a", "e"}, takeEvents(t, here))
	assert.Empty(t, takeEvents(t, here))
}

// A login link of one process is opened by another one, whose clock says another year.
func TestLoginLinksOfProcessesWhoseClocksDiffer(t *testing.T) {
	url := postgres.newDatabase(t)
	open := func(t *testing.T) *auth.Store {
		store, err := auth.NewStore(t.Context(), auth.StoreConfig{DB: openPostgres(t, url)})
		require.NoError(t, err)
		return store
	}
	here := open(t)
	require.NoError(t, here.PutLoginLink(t.Context(), "@alice:example.com", "link", time.Hour))
	require.NoError(t, here.PutLoginLink(t.Context(), "@bob:example.com", "other", time.Hour))
	now := time.Now()
	synctest.Test(t, func(t *testing.T) {
		require.Greater(t, time.Until(now), 20*365*24*time.Hour)
		there := open(t)
		_, err := there.OpenLoginLink(t.Context(), "link", "session", time.Hour)
		require.NoError(t, err)
		require.NoError(t, there.PutLoginLink(t.Context(), "@carol:example.com", "hers", time.Hour))
	})
	for _, hash := range []string{"session", "hers", "other"} {
		_, err := here.LoginLinkUser(t.Context(), hash)
		assert.NoError(t, err, hash)
	}
}

// Tasks that were recorded before the upgrade count as recorded when it ran.
func TestTasksBeforeTheUpgradeOnPostgres(t *testing.T) {
	url := postgres.newDatabase(t, inEnglish...)
	db := openPostgres(t, url)
	for _, name := range []string{"01-portals", "02-tasks"} {
		made, err := os.ReadFile("../portal/upgrades/" + name + ".sql")
		require.NoError(t, err)
		_, err = db.Exec(t.Context(), string(made))
		require.NoError(t, err)
	}
	for _, query := range []string{
		`CREATE TABLE tgprovision_portal_version (version INTEGER, compat INTEGER)`,
		`INSERT INTO tgprovision_portal_version VALUES (2, 2)`,
		`INSERT INTO tgprovision_portal_task VALUES ('a', 'event', 'data', 3, 1000, 0), ('B', 'other', '', 0, 2000, 0)`,
	} {
		_, err := db.Exec(t.Context(), query)
		require.NoError(t, err)
	}
	start := time.Now()
	store := openTasks(t, url)
	tasks, err := store.ListTasks(t.Context(), "", 100)
	require.NoError(t, err)
	require.Len(t, tasks, 2)
	var added [2]int64
	require.NoError(t, db.QueryRow(t.Context(), `SELECT MIN(added), MAX(added) FROM tgprovision_portal_task`).Scan(&added[0], &added[1]))
	for i, task := range tasks {
		assert.WithinRange(t, time.UnixMilli(added[i]), start.Truncate(time.Millisecond), time.Now())
		assert.Less(t, task.DueIn, -10_000*time.Hour)
	}
	tasks, err = store.TakeTasks(t.Context(), "event", 0, 100)
	require.NoError(t, err)
	require.Len(t, tasks, 1)
	assert.Less(t, tasks[0].Age, time.Since(start)+time.Millisecond)
	tasks[0].Age = 0
	assert.Equal(t, provisioning.Task{ID: "a", Kind: "event", Data: "data", Attempts: 4}, tasks[0])
}
