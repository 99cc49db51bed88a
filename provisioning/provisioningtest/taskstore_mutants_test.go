package provisioningtest

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestTaskStoreMutants(t *testing.T) {
	testMutants(t, taskStoreChecks, slices.Concat(takeMutants, taskChangeMutants, listMutants, taskEdgeMutants, taskRaceMutants))
}

// withAdded alters tasks that are added.
func withAdded(change func(n *provisioning.NewTask)) func(*altered) {
	return func(s *altered) {
		s.tasks.add = func(ctx context.Context, tasks ...provisioning.NewTask) error {
			tasks = slices.Clone(tasks)
			for i := range tasks {
				change(&tasks[i])
			}
			return s.MemPortalStore.AddTasks(ctx, tasks...)
		}
	}
}

// withDelays rewrites delays.
func withDelays(rewrite func(time.Duration) time.Duration) func(*altered) {
	return func(s *altered) {
		withAdded(func(n *provisioning.NewTask) { n.Delay = rewrite(n.Delay) })(s)
		s.tasks.postpone = func(ctx context.Context, taskID string, delay time.Duration) error {
			return s.MemPortalStore.PostponeTask(ctx, taskID, rewrite(delay))
		}
	}
}

// withTakeOf alters what TakeTasks is called with.
func withTakeOf(change func(kind *string, hold *time.Duration, limit *int)) func(*altered) {
	return func(s *altered) {
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			change(&kind, &hold, &limit)
			return s.MemPortalStore.TakeTasks(ctx, kind, hold, limit)
		}
	}
}

// withTaken alters tasks that are taken.
func withTaken(change func(s *altered, t *provisioning.Task)) func(*altered) {
	return func(s *altered) {
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.TakeTasks(ctx, kind, hold, limit)
			for i := range tasks {
				change(s, &tasks[i])
			}
			return tasks, err
		}
	}
}

// takesBy takes what is due in another order, or other tasks than those of the kind.
func takesBy(order func(a, b memTask) int, is func(m memTask, kind string) bool) func(*altered) {
	return func(s *altered) {
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			now := time.Now().UnixMilli()
			var due []memTask
			for _, m := range s.MemPortalStore.tasks {
				if is(m, kind) && m.isDue(now) {
					due = append(due, m)
				}
			}
			slices.SortFunc(due, order)
			var tasks []provisioning.Task
			for _, m := range due[:min(limit, len(due))] {
				m.attempts++
				m.due = now + hold.Milliseconds()
				s.MemPortalStore.tasks[m.id] = m
				tasks = append(tasks, m.task(now))
			}
			return tasks, ctx.Err()
		}
	}
}

func ofKind(m memTask, kind string) bool { return m.kind == kind }

var takeMutants = []storeMutant{
	{"no tasks are an error", "no tasks", func(s *altered) {
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.TakeTasks(ctx, kind, hold, limit)
			if err == nil && len(tasks) == 0 {
				err = sql.ErrNoRows
			}
			return tasks, err
		}
	}},
	{"attempts are not counted", "take", withTaken(func(s *altered, t *provisioning.Task) {
		s.change(t.ID, func(m *memTask) { m.attempts-- })
	})},
	{"attempts as they were before", "take", withTaken(func(_ *altered, t *provisioning.Task) { t.Attempts-- })},
	{"DueIn as it was before", "take", withTaken(func(_ *altered, t *provisioning.Task) { t.DueIn = 0 })},
	{"hold begins when the task was due", "take", func(s *altered) {
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			before := s.Tasks()
			tasks, err := s.MemPortalStore.TakeTasks(ctx, kind, hold, limit)
			for i := range tasks {
				was := slices.IndexFunc(before, func(t provisioning.Task) bool { return t.ID == tasks[i].ID })
				tasks[i].DueIn += before[was].DueIn
				s.change(tasks[i].ID, func(m *memTask) { m.due += before[was].DueIn.Milliseconds() })
			}
			return tasks, err
		}
	}},
	{"no kinds", "take", withAdded(func(n *provisioning.NewTask) { n.Kind = "" })},
	{"no data", "take", withTaken(func(_ *altered, t *provisioning.Task) { t.Data = "" })},
	{"tasks of any kind", "kinds", takesBy(byDue, func(memTask, string) bool { return true })},
	{"kinds as SQL compares texts", "kinds", takesBy(byDue, func(m memTask, kind string) bool { return strings.EqualFold(m.kind, kind) })},
	{"kinds by their beginning", "kinds", takesBy(byDue, func(m memTask, kind string) bool { return strings.HasPrefix(m.kind, kind) })},
	{"kinds trimmed", "kinds", func(s *altered) {
		withAdded(func(n *provisioning.NewTask) { n.Kind = strings.TrimSpace(n.Kind) })(s)
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.TakeTasks(ctx, strings.TrimSpace(kind), hold, limit)
		}
	}},
	{"all tasks are due", "due", withDelays(func(delay time.Duration) time.Duration { return min(delay, 0) })},
	{"none was due before now", "due", withDelays(func(delay time.Duration) time.Duration { return max(delay, 0) })},
	{"due a moment later", "due", withDelays(func(delay time.Duration) time.Duration { return delay + time.Millisecond })},
	{"the longest delay counts as wrong", "due", withDelays(func(delay time.Duration) time.Duration {
		if delay == provisioning.MaxTaskDelay {
			return tooLate
		}
		return delay
	})},
	{"by something else", "order", takesBy(func(a, b memTask) int { return strings.Compare(b.data, a.data) }, ofKind)},
	{"by when they were added", "order", takesBy(func(a, b memTask) int { return strings.Compare(a.id, b.id) }, ofKind)},
	{"the list in another order", "order", func(s *altered) {
		s.tasks.take = func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.TakeTasks(ctx, kind, hold, limit)
			slices.Reverse(tasks)
			return tasks, err
		}
	}},
	{"no limit", "limit", withTakeOf(func(_ *string, _ *time.Duration, limit *int) { *limit = 1000 })},
	{"one at a time", "limit", withTakeOf(func(_ *string, _ *time.Duration, limit *int) { *limit = min(*limit, 1) })},
	{"a limit of 0 is none", "limit", withTakeOf(func(_ *string, _ *time.Duration, limit *int) {
		if *limit == 0 {
			*limit = 1000
		}
	})},
	{"tasks are taken once", "due again", withTaken(func(s *altered, t *provisioning.Task) { delete(s.MemPortalStore.tasks, t.ID) })},
	{"due at once", "due again", withTaken(func(s *altered, t *provisioning.Task) { s.change(t.ID, func(m *memTask) { m.due = m.added }) })},
	{"not due at once", "due again", withTaken(func(s *altered, t *provisioning.Task) {
		s.change(t.ID, func(m *memTask) { m.due = max(m.due, time.Now().UnixMilli()+1) })
	})},
	{"attempts are counted up to 2", "due again", withTaken(func(s *altered, t *provisioning.Task) {
		t.Attempts = min(t.Attempts, 2)
		s.change(t.ID, func(m *memTask) { m.attempts = min(m.attempts, 2) })
	})},
	{"delays are cut", "wrong clock", withDelays(func(delay time.Duration) time.Duration { return min(delay, provisioning.MaxTaskDelay) })},
	{"added delays are cut", "wrong clock", withAdded(func(n *provisioning.NewTask) { n.Delay = min(n.Delay, provisioning.MaxTaskDelay) })},
	{"delays are cut after a century", "wrong clock", withDelays(func(delay time.Duration) time.Duration {
		if delay > hours(876_000) {
			return provisioning.MaxTaskDelay
		}
		return delay
	})},
	{"a wrong DueIn", "wrong clock", withListed(func(s *altered, t *provisioning.Task) {
		t.DueIn = milliseconds(s.MemPortalStore.tasks[t.ID].due - time.Now().UnixMilli())
	})},
	{"whatever is late is wrong", "wrong clock", withDelays(func(delay time.Duration) time.Duration {
		if delay >= later {
			return tooLate
		}
		return delay
	})},
}
