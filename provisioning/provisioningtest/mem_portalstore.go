package provisioningtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemPortalStore is a provisioning.PortalStore and TaskStore in memory. It passes
// [TestPortalStore], [TestPortalLister], [TestPortalUsers], [TestTaskStore] and [TestTaskPortalStore]. Its clock is that of the
// process, or of the bubble of testing/synctest it is called in.
type MemPortalStore struct {
	// Script makes the methods fail and counts them.
	Script

	mu       sync.Mutex
	portals  map[id.RoomID]provisioning.Portal
	accounts map[id.RoomID][]provisioning.TelegramID
	users    map[id.RoomID]map[provisioning.TelegramID]id.UserID // who has asked, with which account
	tasks    map[string]memTask
}

var (
	_ provisioning.PortalStore  = (*MemPortalStore)(nil)
	_ provisioning.PortalLister = (*MemPortalStore)(nil)
	_ provisioning.TaskStore    = (*MemPortalStore)(nil)
)

// NewMemPortalStore returns an empty store.
func NewMemPortalStore() *MemPortalStore {
	return &MemPortalStore{
		portals:  map[id.RoomID]provisioning.Portal{},
		accounts: map[id.RoomID][]provisioning.TelegramID{},
		users:    map[id.RoomID]map[provisioning.TelegramID]id.UserID{},
		tasks:    map[string]memTask{},
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
func (s *MemPortalStore) PortalByChat(ctx context.Context, chatID provisioning.ChatID, account provisioning.TelegramID) (provisioning.Portal, error) {
	if err := s.enter(ctx, "PortalByChat"); err != nil {
		return provisioning.Portal{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.byChat(chatID, account)
	if !ok {
		return provisioning.Portal{}, provisioning.ErrPortalNotFound
	}
	return p, nil
}

// byChat returns the portal of a chat, for an account where the chat is a direct one.
func (s *MemPortalStore) byChat(chatID provisioning.ChatID, account provisioning.TelegramID) (provisioning.Portal, bool) {
	var receiver provisioning.TelegramID
	if kind, _, _ := chatID.Split(); kind == provisioning.PeerUser {
		receiver = account
	}
	for _, p := range s.portals {
		if (p.ChatID == chatID || chatID != 0 && p.MigratedFrom == chatID) && p.Receiver == receiver {
			return p, true
		}
	}
	return provisioning.Portal{}, false
}

// elsewhere says whether a chat, or the basic group that it was, has a portal in another room.
func (s *MemPortalStore) elsewhere(p provisioning.Portal, roomID id.RoomID) bool {
	for _, chatID := range []provisioning.ChatID{p.ChatID, p.MigratedFrom} {
		if other, ok := s.byChat(chatID, p.Receiver); ok && other.RoomID != roomID {
			return true
		}
	}
	return false
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

// ListPortals implements provisioning.PortalLister.
func (s *MemPortalStore) ListPortals(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
	if err := s.enter(ctx, "ListPortals"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var portals []provisioning.Portal
	for _, roomID := range slices.Sorted(maps.Keys(s.portals)) {
		takesPart := query.Account == 0 || slices.Contains(s.accounts[roomID], query.Account)
		if takesPart && roomID > query.After && len(portals) < query.Limit {
			portals = append(portals, s.portals[roomID])
		}
	}
	return portals, nil
}

// PortalsOfChats implements provisioning.PortalLister.
func (s *MemPortalStore) PortalsOfChats(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
	if err := s.enter(ctx, "PortalsOfChats"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var portals []provisioning.Portal
	for _, chatID := range chats {
		if p, ok := s.byChat(chatID, account); ok {
			portals = append(portals, p)
		}
	}
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
	_, bridged := s.byChat(n.ChatID, n.Receiver)
	switch {
	case s.elsewhere(n.Portal, n.Replaces):
		return provisioning.ErrChatBridged
	case !bridged && n.Replaces != "":
		return provisioning.ErrPortalNotFound
	}
	if err := s.addTasks(n.Tasks); err != nil {
		return err
	}
	s.remove(n.Replaces)
	s.portals[n.RoomID] = n.Portal
	accounts := slices.Clone(n.Accounts)
	if n.Receiver != 0 {
		accounts = append([]provisioning.TelegramID{n.Receiver}, accounts...)
	}
	s.accounts[n.RoomID] = accounts
	if n.UserID != "" && !n.Relay && len(accounts) > 0 {
		s.users[n.RoomID] = map[provisioning.TelegramID]id.UserID{accounts[0]: n.UserID}
	}
	return nil
}

// Move implements provisioning.PortalStore.
func (s *MemPortalStore) Move(ctx context.Context, from provisioning.Portal, n provisioning.NewPortal) error {
	if err := s.enter(ctx, "Move"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.portals[from.RoomID]
	_, taken := s.portals[n.RoomID]
	switch {
	case !ok || current.ChatID != from.ChatID || current.Receiver != from.Receiver:
		return provisioning.ErrPortalNotFound
	case taken && n.RoomID != from.RoomID:
		return provisioning.ErrRoomBridged
	case s.elsewhere(n.Portal, from.RoomID):
		return provisioning.ErrChatBridged
	}
	if err := s.addTasks(n.Tasks); err != nil {
		return err
	}
	accounts, users := s.accounts[from.RoomID], s.users[from.RoomID]
	s.remove(from.RoomID)
	s.portals[n.RoomID] = n.Portal
	if len(n.Accounts) > 0 && !slices.Contains(accounts, n.Accounts[0]) && n.UserID != "" && !n.Relay {
		users = maps.Clone(users)
		if users == nil {
			users = map[provisioning.TelegramID]id.UserID{}
		}
		users[n.Accounts[0]] = n.UserID
	}
	for _, account := range n.Accounts {
		if !slices.Contains(accounts, account) {
			accounts = append(slices.Clip(accounts), account)
		}
	}
	s.accounts[n.RoomID], s.users[n.RoomID] = accounts, users
	return nil
}

// Disconnect implements provisioning.PortalStore.
func (s *MemPortalStore) Disconnect(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
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
	s.remove(p.RoomID)
	return nil
}

// remove removes the portal of a room. The caller holds the lock.
func (s *MemPortalStore) remove(roomID id.RoomID) {
	delete(s.portals, roomID)
	delete(s.accounts, roomID)
	delete(s.users, roomID)
}
