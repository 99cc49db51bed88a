package provisioningtest

import (
	"context"
	"slices"
	"sync"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemPortalStore is a provisioning.PortalStore in memory.
type MemPortalStore struct {
	// Script makes the methods fail and counts them.
	Script

	mu      sync.Mutex
	portals map[int64][]provisioning.Portal
}

var _ provisioning.PortalStore = (*MemPortalStore)(nil)

// NewMemPortalStore returns an empty store.
func NewMemPortalStore() *MemPortalStore {
	return &MemPortalStore{portals: map[int64][]provisioning.Portal{}}
}

// Add records that the Telegram account takes part in the portal.
func (s *MemPortalStore) Add(telegramID int64, portal provisioning.Portal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.portals[telegramID] = append(s.portals[telegramID], portal)
}

// AccountPortals implements provisioning.PortalStore.
func (s *MemPortalStore) AccountPortals(ctx context.Context, telegramID int64) ([]provisioning.Portal, error) {
	if err := s.enter(ctx, "AccountPortals"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.portals[telegramID]), nil
}
