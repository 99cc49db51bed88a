package provisioningtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// altered is a store some of whose methods are broken. Those that are nil are not.
type altered struct {
	*MemPortalStore
	portalByRoom   func(context.Context, id.RoomID) (provisioning.Portal, error)
	portalByChat   func(context.Context, provisioning.ChatID, provisioning.TelegramID) (provisioning.Portal, error)
	accountPortals func(context.Context, provisioning.TelegramID) ([]provisioning.Portal, error)
	connect        func(context.Context, provisioning.NewPortal) error
	move           func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error
	disconnect     func(context.Context, provisioning.Portal, ...provisioning.NewTask) error
	tasks          alteredTasks
	asked          alteredUsers
	list           alteredList
	ofChats        alteredOfChats
}

func (s *altered) PortalByRoom(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
	if s.portalByRoom == nil {
		return s.MemPortalStore.PortalByRoom(ctx, roomID)
	}
	return s.portalByRoom(ctx, roomID)
}

func (s *altered) PortalByChat(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
	if s.portalByChat == nil {
		return s.MemPortalStore.PortalByChat(ctx, chatID, receiver)
	}
	return s.portalByChat(ctx, chatID, provisioning.TelegramID(receiver))
}

func (s *altered) AccountPortals(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
	if s.accountPortals == nil {
		return s.MemPortalStore.AccountPortals(ctx, telegramID)
	}
	return s.accountPortals(ctx, provisioning.TelegramID(telegramID))
}

func (s *altered) Connect(ctx context.Context, n provisioning.NewPortal) error {
	if s.connect == nil {
		return s.MemPortalStore.Connect(ctx, n)
	}
	return s.connect(ctx, n)
}

func (s *altered) Move(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
	if s.move == nil {
		return s.MemPortalStore.Move(ctx, from, to)
	}
	return s.move(ctx, from, to)
}

func (s *altered) Disconnect(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
	if s.disconnect == nil {
		return s.MemPortalStore.Disconnect(ctx, p, tasks...)
	}
	return s.disconnect(ctx, p, tasks...)
}

// alteredTasks are the broken methods of a TaskStore. Those that are nil are not.
type alteredTasks struct {
	add      func(context.Context, ...provisioning.NewTask) error
	take     func(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error)
	postpone func(context.Context, string, time.Duration) error
	finish   func(context.Context, string) error
	list     func(ctx context.Context, after string, limit int) ([]provisioning.Task, error)
}

func (s *altered) AddTasks(ctx context.Context, tasks ...provisioning.NewTask) error {
	if s.tasks.add == nil {
		return s.MemPortalStore.AddTasks(ctx, tasks...)
	}
	return s.tasks.add(ctx, tasks...)
}

func (s *altered) TakeTasks(ctx context.Context, kind string, hold time.Duration, limit int) ([]provisioning.Task, error) {
	if s.tasks.take == nil {
		return s.MemPortalStore.TakeTasks(ctx, kind, hold, limit)
	}
	return s.tasks.take(ctx, kind, hold, limit)
}

func (s *altered) PostponeTask(ctx context.Context, taskID string, delay time.Duration) error {
	if s.tasks.postpone == nil {
		return s.MemPortalStore.PostponeTask(ctx, taskID, delay)
	}
	return s.tasks.postpone(ctx, taskID, delay)
}

func (s *altered) FinishTask(ctx context.Context, taskID string) error {
	if s.tasks.finish == nil {
		return s.MemPortalStore.FinishTask(ctx, taskID)
	}
	return s.tasks.finish(ctx, taskID)
}

// ListTasks takes a while, as on a database: nothing else makes time go by in the bubble
// of a check, and [letTimePass] needs some.
func (s *altered) ListTasks(ctx context.Context, after string, limit int) ([]provisioning.Task, error) {
	<-time.After(time.Millisecond)
	if s.tasks.list == nil {
		return s.MemPortalStore.ListTasks(ctx, after, limit)
	}
	return s.tasks.list(ctx, after, limit)
}

// change alters a task that is recorded.
func (s *altered) change(taskID string, change func(m *memTask)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.MemPortalStore.tasks[taskID]; ok {
		change(&m)
		s.MemPortalStore.tasks[taskID] = m
	}
}

// storeMutant is a store that is broken in one way, and the check that has to
// notice. alter gets a handle, on a backend that others share.
type storeMutant struct {
	name  string
	check string
	alter func(s *altered)
}

// testMutants runs the mutants of a suite, and has every check of it fail on some.
func testMutants[S any](t *testing.T, checks []storeCheck[S], mutants []storeMutant) {
	left := map[string]bool{}
	for _, check := range checks {
		if left[check.name] || check.explanation == "" {
			t.Errorf("check %q: its name is used twice, or it has no explanation", check.name)
		}
		left[check.name] = true
		for _, failure := range runStoreCheck(t, check, func(*altered) {}) {
			t.Errorf("the check %q fails on a sound store: %s", check.name, failure)
		}
	}
	for _, m := range mutants {
		delete(left, m.check)
		t.Run(m.name+"/"+m.check, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c storeCheck[S]) bool { return c.name == m.check })
			if i < 0 {
				t.Fatalf("there is no check %q", m.check)
			}
			failures := runStoreCheck(t, checks[i], m.alter)
			if len(failures) == 0 {
				t.Fatalf("the check %q passes on a store that is broken in this way", m.check)
			}
			if !strings.Contains(failures[0], "The interface promises: ") {
				t.Errorf("the failure does not say what the interface promises: %s", failures[0])
			}
		})
	}
	if len(left) > 0 {
		t.Errorf("no mutant fails the checks %q", slices.Sorted(maps.Keys(left)))
	}
}

func runStoreCheck[S any](t *testing.T, check storeCheck[S], alter func(*altered)) []string {
	t.Helper()
	shared := NewMemPortalStore()
	return record(t, func(t T) {
		check.run(explained{t, check.explanation}, func() S {
			s := &altered{MemPortalStore: shared}
			alter(s)
			return any(s).(S)
		})
	})
}

// letOthersIn is where a broken store lets others in, in the middle of a call: it
// returns when all others have come as far, or can't go on, or are done. In the
// bubble of a check's own, little else makes time go by.
func letOthersIn() { <-time.After(time.Nanosecond) }

// put records a portal whatever there is.
func (s *altered) put(n provisioning.NewPortal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.portals[n.RoomID] = n.Portal
	s.accounts[n.RoomID] = participants(n)
}

// drop removes a room's portal whatever it is.
func (s *altered) drop(roomID id.RoomID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.portals, roomID)
	delete(s.accounts, roomID)
}
