package provisioningtest_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// taskStore is a provisioning.TaskStore on a table of the bridge's. Its clock is that of the
// machine that has the SQLite file; on PostgreSQL it would be clock_timestamp().
type taskStore struct{ db *dbutil.Database }

// The times are in milliseconds since 1970.
const taskTable = `CREATE TABLE IF NOT EXISTS bridge_task (
	id TEXT PRIMARY KEY, kind TEXT NOT NULL, data TEXT NOT NULL, attempts INTEGER NOT NULL, added BIGINT NOT NULL, due BIGINT NOT NULL
)`

// AddTasks implements provisioning.TaskStore. The primary key refuses an ID that is there.
func (s taskStore) AddTasks(ctx context.Context, tasks ...provisioning.NewTask) error {
	return s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		now := time.Now().UnixMilli()
		for _, t := range tasks {
			_, err := s.db.Exec(ctx, `INSERT INTO bridge_task VALUES ($1, $2, $3, 0, $4, $5)`, t.ID, t.Kind, t.Data, now, now+t.Delay.Milliseconds())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// TakeTasks implements provisioning.TaskStore.
func (s taskStore) TakeTasks(ctx context.Context, kind string, hold time.Duration, limit int) (tasks []provisioning.Task, err error) {
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		now := time.Now().UnixMilli()
		tasks, err = s.query(ctx, now, `WHERE kind=$1 AND (due<=$2 OR due>$3) ORDER BY due, id LIMIT $4`,
			kind, now, now+provisioning.MaxTaskDelay.Milliseconds(), limit)
		for i := range tasks {
			if err != nil {
				return err
			}
			tasks[i].Attempts++
			tasks[i].DueIn = dueIn(hold)
			_, err = s.db.Exec(ctx, `UPDATE bridge_task SET attempts=$2, due=$3 WHERE id=$1`, tasks[i].ID, tasks[i].Attempts, now+hold.Milliseconds())
		}
		return err
	})
	return tasks, err
}

// PostponeTask implements provisioning.TaskStore.
func (s taskStore) PostponeTask(ctx context.Context, taskID string, delay time.Duration) error {
	_, err := s.db.Exec(ctx, `UPDATE bridge_task SET due=$2 WHERE id=$1`, taskID, time.Now().Add(delay).UnixMilli())
	return err
}

// FinishTask implements provisioning.TaskStore.
func (s taskStore) FinishTask(ctx context.Context, taskID string) error {
	_, err := s.db.Exec(ctx, `DELETE FROM bridge_task WHERE id=$1`, taskID)
	return err
}

// ListTasks implements provisioning.TaskStore.
func (s taskStore) ListTasks(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
	return s.query(ctx, time.Now().UnixMilli(), `WHERE id>$1 ORDER BY id LIMIT $2`, after, limit)
}

// query returns tasks as they are at a time.
func (s taskStore) query(ctx context.Context, now int64, which string, args ...any) ([]provisioning.Task, error) {
	rows, err := s.db.Query(ctx, `SELECT id, kind, data, attempts, added, due FROM bridge_task `+which, args...)
	return dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (t provisioning.Task, err error) {
		var added, due int64
		err = row.Scan(&t.ID, &t.Kind, &t.Data, &t.Attempts, &added, &due)
		t.Age = time.Duration(now-added) * time.Millisecond
		t.DueIn = dueIn(time.Duration(due-now) * time.Millisecond)
		return t, err
	}, err).AsList()
}

// dueIn is DueIn of a task that is due after a time: what is due too late was recorded while
// the clock was wrong, and counts as due.
func dueIn(after time.Duration) time.Duration {
	if after > provisioning.MaxTaskDelay {
		return 0
	}
	return after
}

// taskStoreBackend makes an empty database, and what opens it.
func taskStoreBackend(t *testing.T) func(*testing.T) provisioning.TaskStore {
	path := filepath.Join(t.TempDir(), "bridge.db")
	return func(t *testing.T) provisioning.TaskStore {
		return taskStore{openDatabase(t, path, taskTable)}
	}
}

// A bridge that keeps the tasks in a table of its own writes a TaskStore over it, and a test
// function that runs the suite on it. One whose portals alone are in a table of its own
// needs none: it uses portal.NewTaskStore.
func ExampleTestTaskStore() {
	var t *testing.T // the one of: func TestTaskStore(t *testing.T)

	provisioningtest.TestTaskStore(t, taskStoreBackend)
}
