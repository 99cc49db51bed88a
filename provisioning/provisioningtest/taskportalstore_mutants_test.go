package provisioningtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestTaskPortalStoreMutants(t *testing.T) {
	testMutants(t, taskPortalStoreChecks, taskPortalMutants)
}

// A store that records the tasks first does all that is asked of one that has them in the
// transaction of the portal.
func TestTasksFirst(t *testing.T) {
	sound := tasksFirst(finishesTasks, ownDelay)
	for _, check := range taskPortalStoreChecks {
		for _, failure := range runStoreCheck(t, check, sound) {
			t.Errorf("%s: %s", check.name, failure)
		}
	}
	for _, check := range portalStoreChecks {
		for _, failure := range runStoreCheck(t, check, sound) {
			t.Errorf("%s: %s", check.name, failure)
		}
	}
}

// afterwards is what a store that records the tasks first does with each of them, after
// the change or after an error.
type afterwards func(ctx context.Context, s *altered, n provisioning.NewTask) error

func finishesTasks(ctx context.Context, s *altered, n provisioning.NewTask) error {
	return s.FinishTask(ctx, n.ID)
}

func ownDelay(ctx context.Context, s *altered, n provisioning.NewTask) error {
	return s.PostponeTask(ctx, n.ID, n.Delay)
}

func withoutDelay(ctx context.Context, s *altered, n provisioning.NewTask) error {
	return s.PostponeTask(ctx, n.ID, 0)
}

func nothing(context.Context, *altered, provisioning.NewTask) error { return nil }

// tasksFirst records tasks in a transaction of their own, before the change, as the
// comment of provisioning.PortalStore says.
func tasksFirst(failed, changed afterwards) func(*altered) {
	return func(s *altered) {
		with := func(ctx context.Context, tasks []provisioning.NewTask, change func() error) error {
			held := slices.Clone(tasks)
			for i := range held {
				held[i].Delay = time.Minute
			}
			if err := s.AddTasks(ctx, held...); err != nil {
				return err
			}
			ctx = context.WithoutCancel(ctx)
			err := change()
			for _, n := range tasks {
				if err != nil {
					err = errors.Join(err, failed(ctx, s, n))
				} else {
					_ = changed(ctx, s, n) // or it is due a minute later
				}
			}
			return err
		}
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			return with(ctx, n.Tasks, func() error { return s.MemPortalStore.Connect(ctx, withTasks(n)) })
		}
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			return with(ctx, to.Tasks, func() error { return s.MemPortalStore.Move(ctx, from, withTasks(to)) })
		}
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			return with(ctx, tasks, func() error { return s.MemPortalStore.Disconnect(ctx, p) })
		}
	}
}

// tasksLast records tasks in a transaction of their own, after the change.
func tasksLast(s *altered) {
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		if err := s.MemPortalStore.Connect(ctx, withTasks(n)); err != nil {
			return err
		}
		return s.AddTasks(ctx, n.Tasks...)
	}
	s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
		if err := s.MemPortalStore.Disconnect(ctx, p); err != nil {
			return err
		}
		return s.AddTasks(ctx, tasks...)
	}
}

var taskPortalMutants = []storeMutant{
	{"Move loses the tasks", "tasks of Move", withMove(func(_ *provisioning.Portal, to *provisioning.NewPortal) { to.Tasks = nil })},
	{"tasks of a refused Move", "no tasks of a refused Move", tasksBeforeMove},
	{"Move before its tasks", "Move with a known task", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			if err := s.MemPortalStore.Move(ctx, from, withTasks(to)); err != nil {
				return err
			}
			return s.AddTasks(ctx, to.Tasks...)
		}
	}},
	{"Connect without tasks", "tasks of Connect", withConnect(func(n *provisioning.NewPortal) { n.Tasks = nil })},
	{"a replacement without tasks", "tasks of Connect", withConnect(func(n *provisioning.NewPortal) {
		if n.Replaces != "" {
			n.Tasks = nil
		}
	})},
	{"Disconnect without tasks", "tasks of Disconnect", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, _ ...provisioning.NewTask) error {
			return s.MemPortalStore.Disconnect(ctx, p)
		}
	}},
	{"tasks first, not due after it", "tasks of Connect", tasksFirst(finishesTasks, nothing)},
	{"tasks first, not due after it", "tasks of Disconnect", tasksFirst(finishesTasks, nothing)},
	{"tasks first, all due after it", "delays", tasksFirst(finishesTasks, withoutDelay)},
	{"tasks first, there after an error", "no tasks of a refused Connect", tasksFirst(nothing, ownDelay)},
	{"tasks first, there after an error", "no tasks of a refused Disconnect", tasksFirst(nothing, ownDelay)},
	{"tasks first, there after an error", "race of Connects with tasks", tasksFirst(nothing, ownDelay)},
	{"tasks first, there after an error", "race of Disconnects with tasks", tasksFirst(nothing, ownDelay)},
	{"tasks last", "Connect with a known task", tasksLast},
	{"tasks last", "Disconnect with a known task", tasksLast},
	{"Connect without the context", "context with tasks", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			return s.MemPortalStore.Connect(context.WithoutCancel(ctx), n)
		}
	}},
	{"Disconnect without the context", "context with tasks", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			return s.MemPortalStore.Disconnect(context.WithoutCancel(ctx), p, tasks...)
		}
	}},
	{"Connect notices the context too late", "context with tasks", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.AddTasks(context.WithoutCancel(ctx), n.Tasks...)
			return errors.Join(err, s.MemPortalStore.Connect(ctx, withTasks(n)))
		}
	}},
	{"each process is alone", "two handles with tasks", func(s *altered) { s.MemPortalStore = NewMemPortalStore() }},
}

// tasksBeforeMove records the tasks of a Move whatever becomes of it.
func tasksBeforeMove(s *altered) {
	s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
		if err := s.AddTasks(ctx, to.Tasks...); err != nil {
			return err
		}
		return s.MemPortalStore.Move(ctx, from, withTasks(to))
	}
}
