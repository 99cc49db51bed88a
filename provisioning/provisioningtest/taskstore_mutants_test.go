package provisioningtest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// alteredTasks are the broken methods of a TaskStore. Those that are nil are not.
type alteredTasks struct {
	add      func(context.Context, ...provisioning.Task) error
	take     func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error)
	postpone func(context.Context, string, time.Time) error
	finish   func(context.Context, string) error
}

func (s *altered) AddTasks(ctx context.Context, tasks ...provisioning.Task) error {
	if s.tasks.add == nil {
		return s.MemPortalStore.AddTasks(ctx, tasks...)
	}
	return s.tasks.add(ctx, tasks...)
}

func (s *altered) TakeTasks(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
	if s.tasks.take == nil {
		return s.MemPortalStore.TakeTasks(ctx, now, until, limit)
	}
	return s.tasks.take(ctx, now, until, limit)
}

func (s *altered) PostponeTask(ctx context.Context, taskID string, due time.Time) error {
	if s.tasks.postpone == nil {
		return s.MemPortalStore.PostponeTask(ctx, taskID, due)
	}
	return s.tasks.postpone(ctx, taskID, due)
}

func (s *altered) FinishTask(ctx context.Context, taskID string) error {
	if s.tasks.finish == nil {
		return s.MemPortalStore.FinishTask(ctx, taskID)
	}
	return s.tasks.finish(ctx, taskID)
}

func TestTaskStoreMutants(t *testing.T) { testMutants(t, taskStoreChecks, taskMutants) }

// withAdded alters tasks that are added.
func withAdded(change func(t *provisioning.Task)) func(*altered) {
	return func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.Task) error {
			tasks = slices.Clone(tasks)
			for i := range tasks {
				change(&tasks[i])
			}
			return s.MemPortalStore.AddTasks(ctx, tasks...)
		}
	}
}

// withTaken alters tasks that are taken.
func withTaken(change func(s *altered, t *provisioning.Task)) func(*altered) {
	return func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.TakeTasks(ctx, now, until, limit)
			for i := range tasks {
				change(s, &tasks[i])
			}
			return tasks, err
		}
	}
}

// withTimes rewrites all times.
func withTimes(rewrite func(time.Time) time.Time) func(*altered) {
	return func(s *altered) {
		withAdded(func(t *provisioning.Task) { t.Due = rewrite(t.Due) })(s)
		s.tasks.take = func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.TakeTasks(ctx, rewrite(now), rewrite(until), limit)
		}
		s.tasks.postpone = func(ctx context.Context, taskID string, due time.Time) error {
			return s.MemPortalStore.PostponeTask(ctx, taskID, rewrite(due))
		}
	}
}

// takesInTwoSteps looks, lets others in, and writes.
func takesInTwoSteps(s *altered) {
	s.tasks.take = func(_ context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
		var due []provisioning.Task
		for _, t := range s.Tasks() {
			if !t.Due.After(now) && len(due) < limit {
				due = append(due, t)
			}
		}
		if len(due) > 0 {
			letOthersIn()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range due {
			due[i].Due = until
			due[i].Attempts++
			s.MemPortalStore.tasks[due[i].ID] = due[i]
		}
		return due, nil
	}
}

// tasksFirst records tasks in a transaction of their own, before the change that
// they follow.
func tasksFirst(s *altered) {
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		if err := s.AddTasks(ctx, n.Tasks...); err != nil {
			return err
		}
		n.Tasks = nil
		return s.MemPortalStore.Connect(ctx, n)
	}
	s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
		if err := s.AddTasks(ctx, tasks...); err != nil {
			return err
		}
		return s.MemPortalStore.Disconnect(ctx, p)
	}
}

// tasksLast records tasks in a transaction of their own, after the change that they
// follow.
func tasksLast(s *altered) {
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		tasks := n.Tasks
		n.Tasks = nil
		if err := s.MemPortalStore.Connect(ctx, n); err != nil {
			return err
		}
		return s.AddTasks(ctx, tasks...)
	}
	s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
		if err := s.MemPortalStore.Disconnect(ctx, p); err != nil {
			return err
		}
		return s.AddTasks(ctx, tasks...)
	}
}

// busyTasks is a store that can't do two things at a time, and says so.
func busyTasks(s *altered) {
	var inside atomic.Bool
	s.tasks.add = func(ctx context.Context, tasks ...provisioning.Task) error {
		if !inside.CompareAndSwap(false, true) {
			return errors.New("database is locked")
		}
		defer inside.Store(false)
		letOthersIn()
		return s.MemPortalStore.AddTasks(ctx, tasks...)
	}
}

var taskMutants = []storeMutant{
	{"no tasks are an error", "no tasks", func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.TakeTasks(ctx, now, until, limit)
			if err == nil && len(tasks) == 0 {
				err = sql.ErrNoRows
			}
			return tasks, err
		}
	}},
	{"attempts are not counted", "take", withTaken(func(s *altered, t *provisioning.Task) {
		t.Attempts--
		s.MemPortalStore.tasks[t.ID] = *t
	})},
	{"attempts as they were before", "take", withTaken(func(_ *altered, t *provisioning.Task) { t.Attempts-- })},
	{"attempts begin anew", "take", withAdded(func(t *provisioning.Task) { t.Attempts = 0 })},
	{"Due as it was before", "take", withTaken(func(_ *altered, t *provisioning.Task) { t.Due = t.Due.Add(-time.Hour) })},
	{"no kinds", "take", withAdded(func(t *provisioning.Task) { t.Kind = "" })},
	{"all tasks are due", "due", func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.TakeTasks(ctx, now.Add(1e6*time.Hour), until, limit)
		}
	}},
	{"due a moment later", "due", func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.TakeTasks(ctx, now.Add(-time.Millisecond), until, limit)
		}
	}},
	{"by something else", "order", func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
			var due []provisioning.Task
			for _, t := range s.Tasks() {
				if !t.Due.After(now) {
					due = append(due, t)
				}
			}
			slices.SortFunc(due, func(a, b provisioning.Task) int { return strings.Compare(b.Data, a.Data) })
			due = due[:min(limit, len(due))]
			for i := range due {
				due[i].Due = until
				due[i].Attempts++
				s.MemPortalStore.tasks[due[i].ID] = due[i]
			}
			return due, ctx.Err()
		}
	}},
	{"the list in another order", "order", func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.TakeTasks(ctx, now, until, limit)
			slices.Reverse(tasks)
			return tasks, err
		}
	}},
	{"no limit", "limit", func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, _ int) ([]provisioning.Task, error) {
			return s.MemPortalStore.TakeTasks(ctx, now, until, 1000)
		}
	}},
	{"one at a time", "limit", func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, _ int) ([]provisioning.Task, error) {
			return s.MemPortalStore.TakeTasks(ctx, now, until, 1)
		}
	}},
	{"tasks are taken once", "due again", withTaken(func(s *altered, t *provisioning.Task) { delete(s.MemPortalStore.tasks, t.ID) })},
	{"due at once", "due again", withTaken(func(s *altered, t *provisioning.Task) {
		changed := *t
		changed.Due = noon
		s.MemPortalStore.tasks[t.ID] = changed
	})},
	{"PostponeTask does nothing", "postpone", func(s *altered) {
		s.tasks.postpone = func(context.Context, string, time.Time) error { return nil }
	}},
	{"PostponeTask moves to later only", "postpone", func(s *altered) {
		s.tasks.postpone = func(ctx context.Context, taskID string, due time.Time) error {
			if due.Before(s.MemPortalStore.tasks[taskID].Due) {
				return nil
			}
			return s.MemPortalStore.PostponeTask(ctx, taskID, due)
		}
	}},
	{"PostponeTask forgets the attempts", "postpone", func(s *altered) {
		s.tasks.postpone = func(ctx context.Context, taskID string, due time.Time) error {
			err := s.MemPortalStore.PostponeTask(ctx, taskID, due)
			t := s.MemPortalStore.tasks[taskID]
			t.Attempts = 0
			s.MemPortalStore.tasks[taskID] = t
			return err
		}
	}},
	{"PostponeTask needs the task", "postpone an unknown task", func(s *altered) {
		s.tasks.postpone = func(ctx context.Context, taskID string, due time.Time) error {
			if _, ok := s.MemPortalStore.tasks[taskID]; !ok {
				return sql.ErrNoRows
			}
			return s.MemPortalStore.PostponeTask(ctx, taskID, due)
		}
	}},
	{"PostponeTask makes the task", "postpone an unknown task", func(s *altered) {
		s.tasks.postpone = func(_ context.Context, taskID string, due time.Time) error {
			t := s.MemPortalStore.tasks[taskID]
			t.ID, t.Due = taskID, due
			s.MemPortalStore.tasks[taskID] = t
			return nil
		}
	}},
	{"FinishTask does nothing", "finish", func(s *altered) {
		s.tasks.finish = func(context.Context, string) error { return nil }
	}},
	{"FinishTask needs the task", "finish", func(s *altered) {
		s.tasks.finish = func(ctx context.Context, taskID string) error {
			if _, ok := s.MemPortalStore.tasks[taskID]; !ok {
				return sql.ErrNoRows
			}
			return s.MemPortalStore.FinishTask(ctx, taskID)
		}
	}},
	{"FinishTask needs an attempt", "finish", func(s *altered) {
		s.tasks.finish = func(ctx context.Context, taskID string) error {
			if s.MemPortalStore.tasks[taskID].Attempts == 0 {
				return nil
			}
			return s.MemPortalStore.FinishTask(ctx, taskID)
		}
	}},
	{"seconds", "milliseconds", withTimes(func(v time.Time) time.Time { return v.Truncate(time.Second) })},
	{"wall clocks", "time zones", withTimes(func(v time.Time) time.Time {
		wall, _ := time.Parse(time.DateTime, v.Format(time.DateTime))
		return wall
	})},
	{"data trimmed", "task data", withAdded(func(t *provisioning.Task) { t.Data = strings.TrimSpace(t.Data) })},
	{"data cut at 64 KiB", "task data", withAdded(func(t *provisioning.Task) { t.Data = t.Data[:min(len(t.Data), 1<<16)] })},
	{"IDs in lower case", "task data", func(s *altered) {
		withAdded(func(t *provisioning.Task) { t.ID = strings.ToLower(t.ID) })(s)
		s.tasks.finish = func(ctx context.Context, taskID string) error {
			return s.MemPortalStore.FinishTask(ctx, strings.ToLower(taskID))
		}
	}},
	{"only the first is recorded", "add all or nothing", func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.Task) error {
			return s.MemPortalStore.AddTasks(ctx, tasks[:min(1, len(tasks))]...)
		}
	}},
	{"one transaction for each task", "add all or nothing", func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.Task) error {
			for _, t := range tasks {
				if err := s.MemPortalStore.AddTasks(ctx, t); err != nil {
					return err
				}
			}
			return nil
		}
	}},
	{"Connect without tasks", "tasks of Connect", withConnect(func(n *provisioning.NewPortal) { n.Tasks = nil })},
	{"a replacement without tasks", "tasks of Connect", withConnect(func(n *provisioning.NewPortal) {
		if n.Replaces != "" {
			n.Tasks = nil
		}
	})},
	{"Disconnect without tasks", "tasks of Disconnect", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, _ ...provisioning.Task) error {
			return s.MemPortalStore.Disconnect(ctx, p)
		}
	}},
	{"tasks first", "no tasks of a refused Connect", tasksFirst},
	{"tasks first", "no tasks of a refused Disconnect", tasksFirst},
	{"tasks first", "race of Connects with tasks", tasksFirst},
	{"tasks first", "race of Disconnects with tasks", tasksFirst},
	{"tasks last", "Connect with a bad task", tasksLast},
	{"tasks last", "Disconnect with a bad task", tasksLast},
	{"AddTasks without the context", "task context", func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.Task) error {
			return s.MemPortalStore.AddTasks(context.WithoutCancel(ctx), tasks...)
		}
	}},
	{"TakeTasks without the context", "task context", func(s *altered) {
		s.tasks.take = func(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.TakeTasks(context.WithoutCancel(ctx), now, until, limit)
		}
	}},
	{"PostponeTask without the context", "task context", func(s *altered) {
		s.tasks.postpone = func(ctx context.Context, taskID string, due time.Time) error {
			return s.MemPortalStore.PostponeTask(context.WithoutCancel(ctx), taskID, due)
		}
	}},
	{"FinishTask without the context", "task context", func(s *altered) {
		s.tasks.finish = func(ctx context.Context, taskID string) error {
			return s.MemPortalStore.FinishTask(context.WithoutCancel(ctx), taskID)
		}
	}},
	{"each process is alone", "two task handles", func(s *altered) { s.MemPortalStore = NewMemPortalStore() }},
	{"TakeTasks looks, then writes", "race for one task", takesInTwoSteps},
	{"TakeTasks looks, then writes", "race for many tasks", takesInTwoSteps},
	{"one thing at a time", "race of all methods", busyTasks},
}
