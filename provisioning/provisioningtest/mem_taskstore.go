package provisioningtest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// memTask is a task of a [MemPortalStore]. Times are in milliseconds since 1970.
type memTask struct {
	id, kind, data string
	attempts       int
	added, due     int64
}

// isDue says whether the task is due at a time.
func (m memTask) isDue(now int64) bool {
	return m.due <= now || m.due > now+provisioning.MaxTaskDelay.Milliseconds()
}

// task returns the task as it is at a time.
func (m memTask) task(now int64) provisioning.Task {
	t := provisioning.Task{ID: m.id, Kind: m.kind, Data: m.data, Attempts: m.attempts, Age: milliseconds(now - m.added)}
	if t.DueIn = milliseconds(m.due - now); m.isDue(now) {
		t.DueIn = min(t.DueIn, 0)
	}
	return t
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// byDue puts the tasks that have been due for longest first.
func byDue(a, b memTask) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.id, b.id)) }

// AddTasks implements provisioning.TaskStore.
func (s *MemPortalStore) AddTasks(ctx context.Context, tasks ...provisioning.NewTask) error {
	if err := s.enter(ctx, "AddTasks"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addTasks(tasks)
}

func (s *MemPortalStore) addTasks(tasks []provisioning.NewTask) error {
	added := map[string]memTask{}
	now := time.Now().UnixMilli()
	for _, t := range tasks {
		_, known := s.tasks[t.ID]
		_, twice := added[t.ID]
		if known || twice {
			return errors.New("a task of this ID is recorded already")
		}
		added[t.ID] = memTask{id: t.ID, kind: t.Kind, data: t.Data, added: now, due: now + t.Delay.Milliseconds()}
	}
	maps.Copy(s.tasks, added)
	return nil
}

// TakeTasks implements provisioning.TaskStore.
func (s *MemPortalStore) TakeTasks(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
	if err := s.enter(ctx, "TakeTasks"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UnixMilli()
	var due []memTask
	for _, m := range s.tasks {
		if m.kind == kind && m.isDue(now) {
			due = append(due, m)
		}
	}
	slices.SortFunc(due, byDue)
	var tasks []provisioning.Task
	for _, m := range due[:min(max(limit, 0), len(due))] {
		m.attempts++
		m.due = now + hold.Milliseconds()
		s.tasks[m.id] = m
		tasks = append(tasks, m.task(now))
	}
	return tasks, nil
}

// PostponeTask implements provisioning.TaskStore.
func (s *MemPortalStore) PostponeTask(ctx context.Context, taskID string, delay time.Duration) error {
	if err := s.enter(ctx, "PostponeTask"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.tasks[taskID]; ok {
		m.due = time.Now().UnixMilli() + delay.Milliseconds()
		s.tasks[taskID] = m
	}
	return nil
}

// FinishTask implements provisioning.TaskStore.
func (s *MemPortalStore) FinishTask(ctx context.Context, taskID string) error {
	if err := s.enter(ctx, "FinishTask"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tasks, taskID)
	return nil
}

// ListTasks implements provisioning.TaskStore.
func (s *MemPortalStore) ListTasks(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
	if err := s.enter(ctx, "ListTasks"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UnixMilli()
	var tasks []provisioning.Task
	for _, taskID := range slices.Sorted(maps.Keys(s.tasks)) {
		if taskID > after && len(tasks) < limit {
			tasks = append(tasks, s.tasks[taskID].task(now))
		}
	}
	return tasks, nil
}

// Tasks returns the tasks that are recorded, those that are due first first. It counts as
// no call of a method.
func (s *MemPortalStore) Tasks() []provisioning.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UnixMilli()
	var tasks []provisioning.Task
	for _, m := range slices.SortedFunc(maps.Values(s.tasks), byDue) {
		tasks = append(tasks, m.task(now))
	}
	return tasks
}
