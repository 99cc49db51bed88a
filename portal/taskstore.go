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
// Its clock is that of the PostgreSQL server, or of the machine that has the SQLite file.
//
// When the context of a call carries a transaction of the host's database (dbutil's
// DoTxn), the call is part of that.
type TaskStore struct {
	db  schema.DB
	now func() time.Time // the clock on SQLite
}

func newTaskStore(db schema.DB) *TaskStore { return &TaskStore{db, time.Now} }

var (
	_ provisioning.TaskStore = (*TaskStore)(nil)
	_ provisioning.Checker   = (*TaskStore)(nil)
)

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
	return newTaskStore(tables), nil
}

// withClock returns a query that begins with the time by the store's clock, in
// milliseconds since 1970, as the table clock with the column now. rest is what follows.
// A query that writes asks for it inside its transaction: SQLite may have waited to begin
// that.
func (s *TaskStore) withClock(rest string, args ...any) (query string, allArgs []any) {
	now := `(extract(epoch FROM clock_timestamp())*1000)::BIGINT`
	if s.db.Dialect != dbutil.Postgres {
		args = append(args, s.now().UnixMilli())
		now = fmt.Sprint("$", len(args))
	}
	return `WITH clock AS (SELECT ` + now + ` AS now)` + rest, args
}

const (
	// clockNow is the store's time in a query of withClock.
	clockNow = `(SELECT now FROM clock)`
	// addedAt is since when a task is recorded: since now where the clock was ahead, or a
	// process of an older version recorded it.
	addedAt = `CASE WHEN added BETWEEN 1 AND ` + clockNow + ` THEN added ELSE ` + clockNow + ` END`
)

// AddTasks implements [provisioning.TaskStore].
func (s *TaskStore) AddTasks(ctx context.Context, tasks ...provisioning.NewTask) error {
	err := s.txn(ctx, func(ctx context.Context) error { return s.insertTasks(ctx, tasks) })
	if err != nil {
		return fmt.Errorf("record tasks: %w", err)
	}
	return nil
}

// insertTasks is part of a transaction.
func (s *TaskStore) insertTasks(ctx context.Context, tasks []provisioning.NewTask) error {
	const insert = ` INSERT INTO tgprovision_portal_task (id, kind, data, attempts, added, due)
		VALUES ($1, $2, $3, 0, ` + clockNow + `, ` + clockNow + `+$4)`
	for _, t := range tasks {
		query, args := s.withClock(insert, t.ID, t.Kind, t.Data, t.Delay.Milliseconds())
		if _, err := s.db.Exec(ctx, query, args...); err != nil {
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
// just being taken, or changed, by somebody else are left out. What counts as due because
// the clock was wrong comes last.
func (s *TaskStore) TakeTasks(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	const (
		ofKind    = `SELECT chosen_id FROM (SELECT id AS chosen_id FROM tgprovision_portal_task WHERE kind=$1 AND `
		first     = ` ORDER BY due, id LIMIT $3`
		take      = ` UPDATE tgprovision_portal_task SET was_due=due, due=` + clockNow + `+$2, attempts=attempts+1, added=` + addedAt
		returning = ` RETURNING id, kind, data, attempts, added, due, due-$2, was_due`
	)
	locked := ``
	if s.db.Dialect == dbutil.Postgres {
		locked = ` FOR UPDATE SKIP LOCKED`
	}
	// With one condition for both, all tasks of the kind would be read where none is due.
	chosen := ofKind + `due<=` + clockNow + first + locked + `) AS ready UNION ALL ` +
		ofKind + `due>` + clockNow + `+$4` + first + locked + `) AS lost LIMIT $3`
	rest := take + ` WHERE id IN (` + chosen + `)` + returning
	if s.db.Dialect == dbutil.Postgres {
		// As a subquery, it could be run more than once, and take more than the limit.
		rest = `, chosen AS MATERIALIZED (` + chosen + `)` + take + ` FROM chosen WHERE id=chosen_id` + returning
	}
	var taken []takenTask
	err := s.txn(ctx, func(ctx context.Context) error {
		query, args := s.withClock(rest, kind, hold.Milliseconds(), limit, provisioning.MaxTaskDelay.Milliseconds())
		rows, err := s.db.Query(ctx, query, args...)
		taken, err = dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (t takenTask, err error) {
			t.Task, err = scanTask(row, &t.wasDue)
			return t, err
		}, err).AsList()
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

// scanTask reads a task, the time, and what comes after them.
func scanTask(row dbutil.Scannable, more ...any) (t provisioning.Task, err error) {
	var added, due, now int64
	err = row.Scan(append([]any{&t.ID, &t.Kind, &t.Data, &t.Attempts, &added, &due, &now}, more...)...)
	t.Age = between(added, now)
	if t.DueIn = between(now, due); t.DueIn > provisioning.MaxTaskDelay {
		t.DueIn = 0 // the clock was wrong
	}
	return t, err
}

// between returns how long it is from one time in milliseconds to another; a time that
// doesn't fit is the longest.
func between(from, to int64) time.Duration { return time.UnixMilli(to).Sub(time.UnixMilli(from)) }

// ListTasks implements [provisioning.TaskStore]. It is one read.
func (s *TaskStore) ListTasks(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
	const list = ` SELECT id, kind, data, attempts, ` + addedAt + `, due, ` + clockNow + ` FROM tgprovision_portal_task
		WHERE id>$1 ORDER BY id LIMIT $2`
	query, args := s.withClock(list, after, max(limit, 0))
	rows, err := s.db.Query(ctx, query, args...)
	tasks, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (provisioning.Task, error) { return scanTask(row) }, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return tasks, nil
}

// PostponeTask implements [provisioning.TaskStore].
func (s *TaskStore) PostponeTask(ctx context.Context, taskID string, delay time.Duration) error {
	const postpone = ` UPDATE tgprovision_portal_task SET due=` + clockNow + `+$2 WHERE id=$1`
	return s.change(ctx, "postpone a task", postpone, taskID, delay.Milliseconds())
}

// FinishTask implements [provisioning.TaskStore].
func (s *TaskStore) FinishTask(ctx context.Context, taskID string) error {
	return s.change(ctx, "finish a task", ` DELETE FROM tgprovision_portal_task WHERE id=$1`, taskID)
}

// change runs one statement of withClock, which is called what for errors.
func (s *TaskStore) change(ctx context.Context, what, rest string, args ...any) error {
	err := s.txn(ctx, func(ctx context.Context) error {
		query, args := s.withClock(rest, args...)
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
	return s.db.DoTxn(ctx, fn)
}

// Check implements [provisioning.Checker], by a transaction that changes nothing: a SQLite file
// that somebody has locked for as long as the context lasts can't be used.
func (s *TaskStore) Check(ctx context.Context) error {
	return s.txn(ctx, func(context.Context) error { return nil })
}

// CountTasks counts the tasks that are recorded, those that are being done included, for
// metrics.
func (s *TaskStore) CountTasks(ctx context.Context) (n int, err error) {
	if err = s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tgprovision_portal_task`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the tasks: %w", err)
	}
	return n, nil
}
