package provisioningtest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemPortalStore is a provisioning.PortalStore and TaskStore in memory. It passes
// [TestPortalStore] and [TestTaskStore].
type MemPortalStore struct {
	// Script makes the methods fail and counts them.
	Script

	mu       sync.Mutex
	portals  map[id.RoomID]provisioning.Portal
	accounts map[id.RoomID][]provisioning.TelegramID
	tasks    map[string]provisioning.Task
}

var (
	_ provisioning.PortalStore = (*MemPortalStore)(nil)
	_ provisioning.TaskStore   = (*MemPortalStore)(nil)
)

// NewMemPortalStore returns an empty store.
func NewMemPortalStore() *MemPortalStore {
	return &MemPortalStore{
		portals:  map[id.RoomID]provisioning.Portal{},
		accounts: map[id.RoomID][]provisioning.TelegramID{},
		tasks:    map[string]provisioning.Task{},
	}
}

// PortalByRoom implements provisioning.PortalStore.
func (s *MemPortalStore) PortalByRoom(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
	if err := s.enter(ctx, "PortalByRoom"); err != nil {
		return provisioning.Portal{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.portals[roomID]
	if !ok {
		return provisioning.Portal{}, provisioning.ErrPortalNotFound
	}
	return p, nil
}

// PortalByChat implements provisioning.PortalStore.
func (s *MemPortalStore) PortalByChat(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
	if err := s.enter(ctx, "PortalByChat"); err != nil {
		return provisioning.Portal{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.byChat(chatID, receiver)
	if !ok {
		return provisioning.Portal{}, provisioning.ErrPortalNotFound
	}
	return p, nil
}

func (s *MemPortalStore) byChat(chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, bool) {
	for _, p := range s.portals {
		if p.ChatID == chatID && p.Receiver == receiver {
			return p, true
		}
	}
	return provisioning.Portal{}, false
}

// AccountPortals implements provisioning.PortalStore.
func (s *MemPortalStore) AccountPortals(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
	if err := s.enter(ctx, "AccountPortals"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var portals []provisioning.Portal
	for roomID, p := range s.portals {
		if slices.Contains(s.accounts[roomID], telegramID) {
			portals = append(portals, p)
		}
	}
	slices.SortFunc(portals, func(a, b provisioning.Portal) int { return cmp.Compare(a.RoomID, b.RoomID) })
	return portals, nil
}

// Connect implements provisioning.PortalStore.
func (s *MemPortalStore) Connect(ctx context.Context, n provisioning.NewPortal) error {
	if err := s.enter(ctx, "Connect"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.portals[n.RoomID]; ok {
		return provisioning.ErrRoomBridged
	}
	old, bridged := s.byChat(n.ChatID, n.Receiver)
	switch {
	case bridged && old.RoomID != n.Replaces:
		return provisioning.ErrChatBridged
	case !bridged && n.Replaces != "":
		return provisioning.ErrPortalNotFound
	}
	if err := s.addTasks(n.Tasks); err != nil {
		return err
	}
	delete(s.portals, n.Replaces)
	delete(s.accounts, n.Replaces)
	s.portals[n.RoomID] = n.Portal
	s.accounts[n.RoomID] = slices.Clone(n.Accounts)
	if n.Receiver != 0 {
		s.accounts[n.RoomID] = append(s.accounts[n.RoomID], n.Receiver)
	}
	return nil
}

// Disconnect implements provisioning.PortalStore.
func (s *MemPortalStore) Disconnect(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
	if err := s.enter(ctx, "Disconnect"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.portals[p.RoomID]
	if !ok || current.ChatID != p.ChatID || current.Receiver != p.Receiver {
		return provisioning.ErrPortalNotFound
	}
	if err := s.addTasks(tasks); err != nil {
		return err
	}
	delete(s.portals, p.RoomID)
	delete(s.accounts, p.RoomID)
	return nil
}

// AddTasks implements provisioning.TaskStore.
func (s *MemPortalStore) AddTasks(ctx context.Context, tasks ...provisioning.Task) error {
	if err := s.enter(ctx, "AddTasks"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addTasks(tasks)
}

func (s *MemPortalStore) addTasks(tasks []provisioning.Task) error {
	for i, t := range tasks {
		_, known := s.tasks[t.ID]
		if known || slices.ContainsFunc(tasks[:i], func(other provisioning.Task) bool { return other.ID == t.ID }) {
			return errors.New("a task of this ID is recorded already")
		}
	}
	for _, t := range tasks {
		t.Due = t.Due.Truncate(time.Millisecond)
		s.tasks[t.ID] = t
	}
	return nil
}

// TakeTasks implements provisioning.TaskStore.
func (s *MemPortalStore) TakeTasks(ctx context.Context, now, until time.Time, limit int) ([]provisioning.Task, error) {
	if err := s.enter(ctx, "TakeTasks"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []provisioning.Task
	for _, t := range s.tasks {
		if !t.Due.After(now) {
			due = append(due, t)
		}
	}
	slices.SortFunc(due, func(a, b provisioning.Task) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	due = due[:min(max(limit, 0), len(due))]
	for i := range due {
		due[i].Due = until.Truncate(time.Millisecond)
		due[i].Attempts++
		s.tasks[due[i].ID] = due[i]
	}
	return due, nil
}

// PostponeTask implements provisioning.TaskStore.
func (s *MemPortalStore) PostponeTask(ctx context.Context, taskID string, due time.Time) error {
	if err := s.enter(ctx, "PostponeTask"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tasks[taskID]; ok {
		t.Due = due.Truncate(time.Millisecond)
		s.tasks[taskID] = t
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

// Tasks returns the tasks that are recorded, those that are due first first.
func (s *MemPortalStore) Tasks() []provisioning.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tasks []provisioning.Task
	for _, t := range s.tasks {
		tasks = append(tasks, t)
	}
	slices.SortFunc(tasks, func(a, b provisioning.Task) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	return tasks
}
