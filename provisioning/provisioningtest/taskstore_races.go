package provisioningtest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/tgprovision/tgprovision/provisioning"
)

// tally counts how often tasks were taken.
type tally struct {
	mu    sync.Mutex
	taken map[string]int
}

func (c *tally) add(tasks []provisioning.Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken == nil {
		c.taken = map[string]int{}
	}
	for _, t := range tasks {
		c.taken[t.ID]++
	}
}

// expect has every one of these tasks taken once, and no other.
func (c *tally) expect(t T, tasks []provisioning.NewTask) {
	t.Helper()
	for _, task := range tasks {
		if n := c.taken[task.ID]; n != 1 {
			t.Errorf("the task %q was taken %d times, want once", task.ID, n)
		}
	}
	if len(c.taken) != len(tasks) {
		t.Errorf("%d tasks were taken, want %d", len(c.taken), len(tasks))
	}
}

// taking takes tasks until there is none left to take.
func (c *tally) taking(t T, s provisioning.TaskStore, limit int) func() error {
	return func() error {
		for {
			tasks, err := s.TakeTasks(t.Context(), checkKind, later, limit)
			if err != nil || len(tasks) == 0 {
				return err
			}
			if len(tasks) > limit {
				return fmt.Errorf("TakeTasks returned %d tasks, and the limit is %d", len(tasks), limit)
			}
			c.add(tasks)
		}
	}
}

func checkRaceOneTask(t T, open func() provisioning.TaskStore) {
	handles := [2]provisioning.TaskStore{open(), open()}
	for round := range 5 {
		one := task(fmt.Sprint("task ", round), 0)
		addTasks(t, handles[0], one)
		var taken tally
		var calls []func() error
		for i := range checkRacers {
			calls = append(calls, taken.taking(t, handles[i%2], 1))
		}
		race(t, calls)
		race(t, []func() error{taken.taking(t, handles[0], 1)}) // each may have left it to another
		taken.expect(t, []provisioning.NewTask{one})
		finish(t, handles[1], one.ID)
	}
}

func checkRaceManyTasks(t T, open func() provisioning.TaskStore) {
	handles := [2]provisioning.TaskStore{open(), open()}
	var tasks []provisioning.NewTask
	for i := range 200 {
		tasks = append(tasks, task(fmt.Sprint("task ", i), hours(-i%5)))
	}
	addTasks(t, handles[0], tasks...)
	var taken tally
	var calls []func() error
	for i := range 20 {
		calls = append(calls, taken.taking(t, handles[i%2], 7))
	}
	race(t, calls)
	race(t, []func() error{taken.taking(t, handles[0], 7)})
	taken.expect(t, tasks)
}

func checkRaceOneID(t T, open func() provisioning.TaskStore) {
	handles := [2]provisioning.TaskStore{open(), open()}
	var calls []func() error
	for i := range checkRacers {
		one, own := task("one", 0), task(fmt.Sprint("own ", i), 0)
		calls = append(calls, func() error { return handles[i%2].AddTasks(t.Context(), own, one) })
	}
	var added []string
	for i, err := range raceAll(calls) {
		if err == nil {
			added = append(added, fmt.Sprint("own ", i))
		}
	}
	if len(added) != 1 {
		t.Errorf("%d of %d racing AddTasks have succeeded, want one", len(added), len(calls))
	}
	expectTasks(t, handles[0], append(added, "one")...)
}

func checkRaceAllTaskMethods(t T, open func() provisioning.TaskStore) {
	handles := [2]provisioning.TaskStore{open(), open()}
	const adders, each = 5, 10
	var tasks []provisioning.NewTask
	var calls []func() error
	for i := range adders {
		var own []provisioning.NewTask
		for j := range each {
			own = append(own, task(fmt.Sprintf("task %d of %d", j, i), 0))
		}
		tasks = append(tasks, own...)
		calls = append(calls, func() error {
			for pair := range slices.Chunk(own, 2) {
				if err := handles[i%2].AddTasks(t.Context(), pair...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var taken tally
	work := func(s provisioning.TaskStore) func() error {
		return func() error {
			for range adders * each { // 3 at a time, by six workers: more than there are
				due, err := s.TakeTasks(t.Context(), checkKind, later, 3)
				if err != nil {
					return err
				}
				for _, task := range due {
					err = s.PostponeTask(t.Context(), task.ID, later)
					if err == nil {
						_, err = s.ListTasks(t.Context(), task.ID, 3)
					}
					if err == nil {
						err = s.FinishTask(t.Context(), task.ID)
					}
					if err != nil {
						return err
					}
				}
				taken.add(due)
			}
			return nil
		}
	}
	for i := range 6 {
		calls = append(calls, work(handles[i%2]))
	}
	race(t, calls)
	race(t, []func() error{work(handles[0])})
	taken.expect(t, tasks)
	expectTasks(t, handles[1])
}
