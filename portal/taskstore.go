package portal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// TaskStore is a [provisioning.TaskStore] on SQL, SQLite or PostgreSQL, for a host that
// keeps its portals elsewhere; those of a [Store] are in it. It is safe for concurrent use
// by several goroutines; several stores, in one process or in many, can share a database.
// There is nothing to close but the database.
//
// When the context of a call carries a transaction of the host's database (dbutil's
// DoTxn), the call is part of that.
type TaskStore struct {
	db *dbutil.Database
}

var _ provisioning.TaskStore = (*TaskStore)(nil)

// TaskStoreConfig is what a [TaskStore] is made of.
type TaskStoreConfig struct {
	// DB keeps the tasks, in tables that begin with tgprovision_. It may be shared with
	// anything, and stays the host's to close. Required.
	DB *dbutil.Database
}

// NewTaskStore opens the store, and makes or upgrades the tables that [NewStore] makes, in
// one transaction. Errors: those of NewStore, foreign keys aside.
func NewTaskStore(ctx context.Context, cfg TaskStoreConfig) (*TaskStore, error) {
	if cfg.DB == nil {
		return nil, errors.New("TaskStoreConfig.DB is nil: set the bridge's database")
	}
	if err := schema.Connect(ctx, cfg.DB); err != nil {
		return nil, fmt.Errorf("connect to the database of the task store: %w", err)
	}
	tables, err := openTables(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	return &TaskStore{tables}, nil
}

// AddTasks implements [provisioning.TaskStore]. A task whose ID is recorded already
// is an error.
func (s *TaskStore) AddTasks(ctx context.Context, tasks ...provisioning.Task) error {
	err := s.txn(ctx, func(ctx context.Context) error { return s.insertTasks(ctx, tasks) })
	if err != nil {
		return fmt.Errorf("record tasks: %w", err)
	}
	return nil
}

// insertTasks is part of a transaction.
func (s *TaskStore) insertTasks(ctx context.Context, tasks []provisioning.Task) error {
	const query = `INSERT INTO tgprovision_portal_task (id, kind, data, attempts, due) VALUES ($1, $2, $3, $4, $5)`
	for _, t := range tasks {
		if _, err := s.db.Exec(ctx, query, t.ID, t.Kind, t.Data, t.Attempts, t.Due.UnixMilli()); err != nil {
			return fmt.Errorf("insert a task: %w", err)
		}
	}
	return nil
}

// takenTask is a task that was due since another time, in milliseconds.
type takenTask struct {
	provisioning.Task
	wasDue int64
}

// TakeTasks implements [provisioning.TaskStore]. It is one statement; tasks that are
// just being taken, or changed, by somebody else are left out.
func (s *TaskStore) TakeTasks(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	const (
		chosen    = `SELECT id AS chosen_id FROM tgprovision_portal_task WHERE due<=$1 ORDER BY due, id LIMIT $3`
		take      = `UPDATE tgprovision_portal_task SET was_due=due, due=$2, attempts=attempts+1`
		returning = ` RETURNING id, kind, data, attempts, due, was_due`
	)
	query := take + ` WHERE id IN (` + chosen + `)` + returning
	if s.db.Dialect == dbutil.Postgres {
		// As a subquery, it could be run more than once, and take more than the limit.
		query = `WITH chosen AS MATERIALIZED (` + chosen + ` FOR UPDATE SKIP LOCKED) ` +
			take + ` FROM chosen WHERE id=chosen_id` + returning
	}
	var taken []takenTask
	err := s.txn(ctx, func(ctx context.Context) error {
		rows, err := s.db.Query(ctx, query, now.UnixMilli(), until.UnixMilli(), limit)
		taken, err = dbutil.NewRowIterWithError(rows, scanTask, err).AsList()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take tasks: %w", err)
	}
	slices.SortFunc(taken, func(a, b takenTask) int {
		return cmp.Or(cmp.Compare(a.wasDue, b.wasDue), cmp.Compare(a.ID, b.ID))
	})
	tasks := make([]provisioning.Task, len(taken))
	for i, t := range taken {
		tasks[i] = t.Task
	}
	return tasks, nil
}

func scanTask(row dbutil.Scannable) (t takenTask, err error) {
	var due int64
	err = row.Scan(&t.ID, &t.Kind, &t.Data, &t.Attempts, &due, &t.wasDue)
	t.Due = time.UnixMilli(due)
	return t, err
}

// PostponeTask implements [provisioning.TaskStore].
func (s *TaskStore) PostponeTask(ctx context.Context, taskID string, due time.Time) error {
	return s.change(ctx, "postpone a task", `UPDATE tgprovision_portal_task SET due=$2 WHERE id=$1`, taskID, due.UnixMilli())
}

// FinishTask implements [provisioning.TaskStore].
func (s *TaskStore) FinishTask(ctx context.Context, taskID string) error {
	return s.change(ctx, "finish a task", `DELETE FROM tgprovision_portal_task WHERE id=$1`, taskID)
}

// change runs one statement, which is called what for errors.
func (s *TaskStore) change(ctx context.Context, what, query string, args ...any) error {
	err := s.txn(ctx, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// txn runs a transaction that begins with a write.
func (s *TaskStore) txn(ctx context.Context, fn func(context.Context) error) error {
	return s.db.DoTxn(ctx, schema.ReadCommitted(s.db), fn)
}

// PendingTasks counts the tasks that are recorded, those that are being done included,
// for metrics.
func (s *TaskStore) PendingTasks(ctx context.Context) (n int, err error) {
	if err = s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tgprovision_portal_task`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the tasks: %w", err)
	}
	return n, nil
}
