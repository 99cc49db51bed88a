package provisioningtest

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// withPostponed alters tasks that are postponed; before is what they were.
func withPostponed(change func(before memTask, m *memTask)) func(*altered) {
	return func(s *altered) {
		s.tasks.postpone = func(ctx context.Context, taskID string, delay time.Duration) error {
			before := s.MemPortalStore.tasks[taskID]
			err := s.MemPortalStore.PostponeTask(ctx, taskID, delay)
			s.change(taskID, func(m *memTask) { change(before, m) })
			return err
		}
	}
}

var taskChangeMutants = []storeMutant{
	{"PostponeTask does nothing", "postpone", withPostponed(func(before memTask, m *memTask) { *m = before })},
	{"PostponeTask moves to later only", "postpone", withPostponed(func(before memTask, m *memTask) { m.due = max(m.due, before.due) })},
	{"PostponeTask moves on from when the task was due", "postpone", withPostponed(func(before memTask, m *memTask) {
		m.due += before.due - time.Now().UnixMilli()
	})},
	{"PostponeTask needs an attempt", "postpone", withPostponed(func(before memTask, m *memTask) {
		if before.attempts == 0 {
			*m = before
		}
	})},
	{"PostponeTask forgets the attempts", "postpone", withPostponed(func(_ memTask, m *memTask) { m.attempts = 0 })},
	{"PostponeTask is an attempt", "postpone", withPostponed(func(_ memTask, m *memTask) { m.attempts++ })},
	{"PostponeTask needs the task", "postpone an unknown task", func(s *altered) {
		s.tasks.postpone = func(ctx context.Context, taskID string, delay time.Duration) error {
			if _, ok := s.MemPortalStore.tasks[taskID]; !ok {
				return sql.ErrNoRows
			}
			return s.MemPortalStore.PostponeTask(ctx, taskID, delay)
		}
	}},
	{"PostponeTask makes the task", "postpone an unknown task", func(s *altered) {
		s.tasks.postpone = func(ctx context.Context, taskID string, delay time.Duration) error {
			if _, ok := s.MemPortalStore.tasks[taskID]; !ok {
				return s.MemPortalStore.AddTasks(ctx, task(taskID, delay))
			}
			return s.MemPortalStore.PostponeTask(ctx, taskID, delay)
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
			if s.MemPortalStore.tasks[taskID].attempts == 0 {
				return nil
			}
			return s.MemPortalStore.FinishTask(ctx, taskID)
		}
	}},
	{"FinishTask remembers the task", "finish", func(s *altered) {
		finished := map[string]bool{}
		s.tasks.finish = func(ctx context.Context, taskID string) error {
			finished[taskID] = true
			return s.MemPortalStore.FinishTask(ctx, taskID)
		}
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
			for _, n := range tasks {
				if finished[n.ID] {
					return errors.New("a task of this ID is recorded already")
				}
			}
			return s.MemPortalStore.AddTasks(ctx, tasks...)
		}
	}},
}

var taskEdgeMutants = []storeMutant{
	{"data trimmed", "task data", withAdded(func(n *provisioning.NewTask) { n.Data = strings.TrimSpace(n.Data) })},
	{"data cut at 64 KiB", "task data", withAdded(func(n *provisioning.NewTask) { n.Data = n.Data[:min(len(n.Data), 1<<16)] })},
	{"IDs in lower case", "task data", func(s *altered) {
		withAdded(func(n *provisioning.NewTask) { n.ID = strings.ToLower(n.ID) })(s)
		s.tasks.finish = func(ctx context.Context, taskID string) error {
			return s.MemPortalStore.FinishTask(ctx, strings.ToLower(taskID))
		}
	}},
	{"a known task is overwritten", "known ID", func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
			for _, n := range tasks {
				delete(s.MemPortalStore.tasks, n.ID)
			}
			return s.MemPortalStore.AddTasks(ctx, tasks...)
		}
	}},
	{"a known task is left out", "known ID", func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
			_ = s.MemPortalStore.AddTasks(ctx, tasks...)
			return ctx.Err()
		}
	}},
	{"a known task is postponed", "known ID", func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
			for _, n := range tasks {
				if err := s.MemPortalStore.PostponeTask(ctx, n.ID, n.Delay); err != nil {
					return err
				}
			}
			return s.MemPortalStore.AddTasks(ctx, tasks...)
		}
	}},
	{"only the first is recorded", "add all or nothing", func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
			return s.MemPortalStore.AddTasks(ctx, tasks[:min(1, len(tasks))]...)
		}
	}},
	{"one transaction for each task", "add all or nothing", addsOneByOne},
	{"AddTasks without the context", "task context", func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
			return s.MemPortalStore.AddTasks(context.WithoutCancel(ctx), tasks...)
		}
	}},
	{"TakeTasks without the context", "task context", func(s *altered) {
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.TakeTasks(context.WithoutCancel(ctx), kind, hold, limit)
		}
	}},
	{"TakeTasks notices the context too late", "task context", func(s *altered) {
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.TakeTasks(context.WithoutCancel(ctx), kind, hold, limit)
			return tasks, errors.Join(err, ctx.Err())
		}
	}},
	{"PostponeTask without the context", "task context", func(s *altered) {
		s.tasks.postpone = func(ctx context.Context, taskID string, delay time.Duration) error {
			return s.MemPortalStore.PostponeTask(context.WithoutCancel(ctx), taskID, delay)
		}
	}},
	{"FinishTask without the context", "task context", func(s *altered) {
		s.tasks.finish = func(ctx context.Context, taskID string) error {
			return s.MemPortalStore.FinishTask(context.WithoutCancel(ctx), taskID)
		}
	}},
	{"ListTasks without the context", "task context", func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.ListTasks(context.WithoutCancel(ctx), after, limit)
		}
	}},
	{"each process is alone", "two task handles", func(s *altered) { s.MemPortalStore = NewMemPortalStore() }},
}

func addsOneByOne(s *altered) {
	s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
		for _, n := range tasks {
			if err := s.MemPortalStore.AddTasks(ctx, n); err != nil {
				return err
			}
		}
		return nil
	}
}

// addsInTwoSteps looks, lets others in, and writes.
func addsInTwoSteps(s *altered) {
	s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
		for _, known := range s.Tasks() {
			for _, n := range tasks {
				if n.ID == known.ID {
					return errors.New("a task of this ID is recorded already")
				}
			}
		}
		letOthersIn()
		for _, n := range tasks {
			_ = s.MemPortalStore.AddTasks(ctx, n)
		}
		return ctx.Err()
	}
}

// takesInTwoSteps looks, lets others in, and writes.
func takesInTwoSteps(s *altered) {
	s.tasks.take = func(_ context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
		var due []provisioning.Task
		for _, t := range s.Tasks() {
			if t.Kind == kind && t.DueIn <= 0 && len(due) < limit {
				due = append(due, t)
			}
		}
		if len(due) > 0 {
			letOthersIn()
		}
		for i := range due {
			due[i].DueIn = hold
			due[i].Attempts++
			s.change(due[i].ID, func(m *memTask) { m.due = time.Now().Add(hold).UnixMilli() })
		}
		return due, nil
	}
}

// busyTasks is a store that can't do two things at a time, and says so.
func busyTasks(s *altered) {
	var inside atomic.Bool
	s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
		if !inside.CompareAndSwap(false, true) {
			return errors.New("database is locked")
		}
		defer inside.Store(false)
		letOthersIn()
		return s.MemPortalStore.AddTasks(ctx, tasks...)
	}
}

var taskRaceMutants = []storeMutant{
	{"TakeTasks looks, then writes", "race for one task", takesInTwoSteps},
	{"TakeTasks looks, then writes", "race for many tasks", takesInTwoSteps},
	{"AddTasks looks, then writes", "race for one ID", addsInTwoSteps},
	{"one transaction for each task", "race for one ID", addsOneByOne},
	{"one thing at a time", "race of all methods", busyTasks},
}
