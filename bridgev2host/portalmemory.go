package bridgev2host

import (
	"context"
	"sync"
	"time"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

const (
	// portalAge is how old the title, description and username of a portal may be that GET
	// operations show. Whether a room is a portal, and of which chat, is never old.
	portalAge = 2 * time.Second
	// maxPortals is how many portals are remembered.
	maxPortals = 10_000
)

// portalMemory remembers portals that were read from the database, for GET operations. It
// remembers no misses.
type portalMemory struct {
	mu    sync.Mutex
	rooms map[id.RoomID]*rememberedPortal
	keys  map[networkid.PortalKey]*rememberedPortal
}

type rememberedPortal struct {
	provisioning.Portal
	bridged *bridgev2.Portal // whose room it is, as long as bridgev2 says so
	at      time.Time
}

// put remembers a portal, if it is read for a GET operation.
func (m *portalMemory) put(ctx context.Context, br *bridgev2.Bridge, key networkid.PortalKey, portal provisioning.Portal) {
	if !provisioning.CachedReads(ctx) {
		return
	}
	bridged, err := br.GetPortalByMXID(ctx, portal.RoomID)
	if err != nil || bridged == nil || bridged.PortalKey != key {
		return
	}
	remembered := &rememberedPortal{portal, bridged, time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rooms == nil || len(m.rooms) >= maxPortals {
		m.rooms, m.keys = map[id.RoomID]*rememberedPortal{}, map[networkid.PortalKey]*rememberedPortal{}
	}
	m.rooms[portal.RoomID], m.keys[key] = remembered, remembered
}

// byRoom returns the portal of a room, if it is remembered and the room is still its room.
func (m *portalMemory) byRoom(ctx context.Context, br *bridgev2.Bridge, roomID id.RoomID) (provisioning.Portal, bool) {
	m.mu.Lock()
	remembered := m.rooms[roomID]
	m.mu.Unlock()
	return remembered.current(ctx, br)
}

// byKey returns the portal of a key, if it is remembered and its room is still its room.
func (m *portalMemory) byKey(ctx context.Context, br *bridgev2.Bridge, key networkid.PortalKey) (provisioning.Portal, bool) {
	m.mu.Lock()
	remembered := m.keys[key]
	m.mu.Unlock()
	return remembered.current(ctx, br)
}

// current returns the portal, if there is one that holds still. bridgev2 answers from
// memory for a room that is a portal's.
func (r *rememberedPortal) current(ctx context.Context, br *bridgev2.Bridge) (provisioning.Portal, bool) {
	if r == nil || !provisioning.CachedReads(ctx) || time.Since(r.at) >= portalAge {
		return provisioning.Portal{}, false
	}
	bridged, err := br.GetPortalByMXID(ctx, r.RoomID)
	return r.Portal, err == nil && bridged == r.bridged
}
