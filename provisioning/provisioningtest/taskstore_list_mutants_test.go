package provisioningtest

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/tgprovision/tgprovision/provisioning"
)

// withListed alters tasks that are listed.
func withListed(change func(s *altered, t *provisioning.Task)) func(*altered) {
	return func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.ListTasks(ctx, after, limit)
			for i := range tasks {
				change(s, &tasks[i])
			}
			return tasks, err
		}
	}
}

// withoutListed leaves tasks out.
func withoutListed(out func(t provisioning.Task) bool) func(*altered) {
	return func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.ListTasks(ctx, after, limit)
			return slices.DeleteFunc(tasks, out), err
		}
	}
}

// listsBy lists in another order.
func listsBy(order func(a, b string) int) func(*altered) {
	return func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			tasks := s.Tasks()
			slices.SortFunc(tasks, func(a, b provisioning.Task) int { return order(a.ID, b.ID) })
			tasks = slices.DeleteFunc(tasks, func(t provisioning.Task) bool { return order(t.ID, after) <= 0 })
			return tasks[:min(limit, len(tasks))], ctx.Err()
		}
	}
}

func caseFolded(a, b string) int {
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
}

func byUTF16(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

// bothTimes rewrites the times of a task, as it is returned by whichever method.
func bothTimes(rewrite func(m memTask, t *provisioning.Task)) func(*altered) {
	return func(s *altered) {
		change := func(s *altered, t *provisioning.Task) { rewrite(s.MemPortalStore.tasks[t.ID], t) }
		withTaken(change)(s)
		withListed(change)(s)
	}
}

var listMutants = []storeMutant{
	{"no tasks to list are an error", "no tasks", func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.ListTasks(ctx, after, limit)
			if err == nil && len(tasks) == 0 {
				err = sql.ErrNoRows
			}
			return tasks, err
		}
	}},
	{"only what is due", "list", withoutListed(func(t provisioning.Task) bool { return t.DueIn > 0 })},
	{"only what is not due", "list", withoutListed(func(t provisioning.Task) bool { return t.DueIn <= 0 })},
	{"only one kind", "list", withoutListed(func(t provisioning.Task) bool { return t.Kind != checkKind })},
	{"only what was not taken", "list", withoutListed(func(t provisioning.Task) bool { return t.Attempts > 0 })},
	{"no attempts", "list", withListed(func(_ *altered, t *provisioning.Task) { t.Attempts = 0 })},
	{"no data", "list", withListed(func(_ *altered, t *provisioning.Task) { t.Data = "" })},
	{"to list is an attempt", "list", withListed(func(s *altered, t *provisioning.Task) {
		t.Attempts++
		s.change(t.ID, func(m *memTask) { m.attempts++ })
	})},
	{"to list is to take", "list", withListed(func(s *altered, t *provisioning.Task) {
		s.change(t.ID, func(m *memTask) { m.due = time.Now().Add(later).UnixMilli() })
	})},
	{"from the given ID on", "list after", func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.ListTasks(ctx, "", 1000)
			tasks = slices.DeleteFunc(tasks, func(t provisioning.Task) bool { return t.ID < after })
			return tasks[:min(limit, len(tasks))], err
		}
	}},
	{"the given ID has to be known", "list after", func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			if _, ok := s.MemPortalStore.tasks[after]; after != "" && !ok {
				return nil, ctx.Err()
			}
			return s.MemPortalStore.ListTasks(ctx, after, limit)
		}
	}},
	{"every list begins at the first", "list after", func(s *altered) {
		s.tasks.list = func(ctx context.Context, _ string, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.ListTasks(ctx, "", limit)
		}
	}},
	{"no limit", "list after", func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, _ int) ([]provisioning.Task, error) {
			return s.MemPortalStore.ListTasks(ctx, after, 1000)
		}
	}},
	{"a limit of 0 is none", "list after", func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			return s.MemPortalStore.ListTasks(ctx, after, cmp.Or(limit, 1000))
		}
	}},
	{"case folded", "list order", listsBy(caseFolded)},
	{"UTF-16", "list order", listsBy(byUTF16)},
	{"backwards", "list order", func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			tasks, err := s.MemPortalStore.ListTasks(ctx, after, limit)
			slices.Reverse(tasks)
			return tasks, err
		}
	}},
	{"by when they are due", "list after", func(s *altered) {
		s.tasks.list = func(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
			tasks := slices.DeleteFunc(s.Tasks(), func(t provisioning.Task) bool { return t.ID <= after })
			return tasks[:min(limit, len(tasks))], ctx.Err()
		}
	}},
	{"no ages", "times", bothTimes(func(_ memTask, t *provisioning.Task) { t.Age = 0 })},
	{"age since it was due", "times", bothTimes(func(_ memTask, t *provisioning.Task) { t.Age = -t.DueIn })},
	{"DueIn in seconds", "times", bothTimes(func(_ memTask, t *provisioning.Task) { t.DueIn = t.DueIn.Truncate(time.Second) })},
	{"age in hundredths", "times", bothTimes(func(_ memTask, t *provisioning.Task) { t.Age = t.Age.Truncate(10 * time.Millisecond) })},
	{"never negative", "times", bothTimes(func(_ memTask, t *provisioning.Task) { t.DueIn = max(t.DueIn, 0) })},
	{"DueIn for ever", "times", bothTimes(func(m memTask, t *provisioning.Task) { t.DueIn = milliseconds(m.due - m.added) })},
	{"age since the last attempt", "age", withTaken(func(s *altered, t *provisioning.Task) {
		t.Age = 0
		s.change(t.ID, func(m *memTask) { m.added = time.Now().UnixMilli() })
	})},
	{"age as of the last attempt", "age", withTaken(func(_ *altered, t *provisioning.Task) { t.Age = 0 })},
	{"age since it was postponed", "age", withPostponed(func(_ memTask, m *memTask) { m.added = time.Now().UnixMilli() })},
}
