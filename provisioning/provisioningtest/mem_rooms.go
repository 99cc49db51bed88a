package provisioningtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemRooms is a provisioning.Rooms in memory, with all of the optional interfaces.
type MemRooms struct {
	// Script makes the methods fail and counts them.
	Script

	mu     sync.Mutex
	rooms  map[id.RoomID]*MemRoom
	ghosts map[provisioning.TelegramID]MemGhost
	photos map[int64]bool // that were uploaded
}

// MemRoom is a room of a [MemRooms].
type MemRoom struct {
	// Room is what MemRooms.Room returns.
	provisioning.Room
	// NoBot says that the bridge bot is not in the room.
	NoBot bool
	// Powers are the power levels of users, 0 for those that are not there. Sending
	// a state event takes 50, or what EventPowers says of its type.
	Powers      map[id.UserID]int
	EventPowers map[string]int
	// Invited are the users that were invited to a direct room.
	Invited []id.UserID
	// Portal is what the room shows itself to be bridged to, zero for nothing.
	Portal provisioning.Portal
	// Photo is the ID of the photo that it shows.
	Photo int64
}

// MemGhost is the profile of a ghost of a [MemRooms].
type MemGhost struct {
	Name      string
	PhotoID   int64
	AvatarURL id.ContentURIString
}

var (
	_ provisioning.Rooms        = (*MemRooms)(nil)
	_ provisioning.DirectRooms  = (*MemRooms)(nil)
	_ provisioning.GhostAvatars = (*MemRooms)(nil)
)

// NewMemRooms returns a homeserver without rooms.
func NewMemRooms() *MemRooms {
	return &MemRooms{rooms: map[id.RoomID]*MemRoom{}, ghosts: map[provisioning.TelegramID]MemGhost{}, photos: map[int64]bool{}}
}

// Add makes a room exist, or be as it is given.
func (m *MemRooms) Add(roomID id.RoomID, room MemRoom) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := room.clone()
	m.rooms[roomID] = &c
}

// Get returns a room as it is now, and false where there is none.
func (m *MemRooms) Get(roomID id.RoomID) (MemRoom, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	room, ok := m.rooms[roomID]
	if !ok {
		return MemRoom{}, false
	}
	return room.clone(), true
}

// Ghost returns the profile of a Telegram user's ghost.
func (m *MemRooms) Ghost(telegramID provisioning.TelegramID) MemGhost {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ghosts[telegramID]
}

func (r *MemRoom) clone() MemRoom {
	c := *r
	c.Ghosts, c.Users, c.Invited = slices.Clone(r.Ghosts), slices.Clone(r.Users), slices.Clone(r.Invited)
	c.Powers, c.EventPowers = maps.Clone(r.Powers), maps.Clone(r.EventPowers)
	return c
}

// withBot returns the room if the bridge bot is in it. The caller holds the lock.
func (m *MemRooms) withBot(roomID id.RoomID) (*MemRoom, error) {
	room := m.rooms[roomID]
	if room == nil || room.NoBot {
		return nil, provisioning.ErrBridgeBotNotInRoom
	}
	return room, nil
}

// CheckBot implements provisioning.Rooms.
func (m *MemRooms) CheckBot(ctx context.Context, roomID id.RoomID) error {
	if err := m.enter(ctx, "CheckBot"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.withBot(roomID)
	return err
}

// HasPower implements provisioning.Rooms.
func (m *MemRooms) HasPower(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
	if err := m.enter(ctx, "HasPower"); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room, err := m.withBot(roomID)
	if err != nil {
		return false, err
	}
	required, ok := room.EventPowers[eventType]
	if !ok {
		required = 50
	}
	return slices.Contains(room.Users, userID) && room.Powers[userID] >= required, nil
}

// Room implements provisioning.Rooms.
func (m *MemRooms) Room(ctx context.Context, roomID id.RoomID) (provisioning.Room, error) {
	if err := m.enter(ctx, "Room"); err != nil {
		return provisioning.Room{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room, err := m.withBot(roomID)
	if err != nil {
		return provisioning.Room{}, err
	}
	return room.clone().Room, nil
}

// SetUpPortal implements provisioning.Rooms.
func (m *MemRooms) SetUpPortal(ctx context.Context, setup provisioning.PortalSetup) error {
	if err := m.enter(ctx, "SetUpPortal"); err != nil {
		return err
	}
	var photo provisioning.Photo
	if setup.Photo != nil {
		photo, _ = setup.Photo(ctx) // a photo that can't be had is left out
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room, err := m.withBot(setup.Portal.RoomID)
	if err != nil {
		return err
	}
	room.Portal = setup.Portal
	if setup.Portal.Receiver == 0 {
		if room.Name == "" {
			room.Name = setup.Portal.Title
		}
		if room.Topic == "" {
			room.Topic = setup.Portal.About
		}
		if room.Photo == 0 {
			room.Photo = photo.ID
		}
	}
	return nil
}

// CleanUp implements provisioning.Rooms.
func (m *MemRooms) CleanUp(ctx context.Context, portal provisioning.Portal, everybody bool) error {
	if err := m.enter(ctx, "CleanUp"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room, err := m.withBot(portal.RoomID)
	if err != nil {
		return nil //nolint:nilerr // a room that the bot is not in is no error
	}
	if room.Portal.ChatID == portal.ChatID {
		room.Portal = provisioning.Portal{}
	}
	room.Ghosts = nil
	if everybody {
		room.Users, room.Invited, room.NoBot = nil, nil, true
	}
	return nil
}

// CreateDirect implements provisioning.DirectRooms.
func (m *MemRooms) CreateDirect(ctx context.Context, _ id.UserID, contact provisioning.Contact) (id.RoomID, error) {
	if err := m.enter(ctx, "CreateDirect"); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rename(contact)
	roomID := id.RoomID(fmt.Sprintf("!direct%d:example.com", len(m.rooms)+1))
	m.rooms[roomID] = &MemRoom{Room: provisioning.Room{Ghosts: []provisioning.TelegramID{contact.ID}}}
	return roomID, nil
}

// rename gives a ghost its name. The caller holds the lock.
func (m *MemRooms) rename(contact provisioning.Contact) {
	g := m.ghosts[contact.ID]
	g.Name = contact.Name
	m.ghosts[contact.ID] = g
}

// InviteToDirect implements provisioning.DirectRooms.
func (m *MemRooms) InviteToDirect(ctx context.Context, roomID id.RoomID, userID id.UserID, _ provisioning.TelegramID) error {
	if err := m.enter(ctx, "InviteToDirect"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room, ok := m.rooms[roomID]
	if !ok {
		return fmt.Errorf("%w: there is no such room", provisioning.ErrHomeserver)
	}
	if !slices.Contains(room.Users, userID) && !slices.Contains(room.Invited, userID) {
		room.Invited = append(room.Invited, userID)
	}
	return nil
}

// Avatars implements provisioning.GhostAvatars.
func (m *MemRooms) Avatars(ctx context.Context, contacts []provisioning.Contact) (map[provisioning.TelegramID]id.ContentURIString, []provisioning.Contact, error) {
	if err := m.enter(ctx, "Avatars"); err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[provisioning.TelegramID]id.ContentURIString{}
	var outdated []provisioning.Contact
	for _, contact := range contacts {
		if contact.PhotoID == 0 {
			continue
		}
		g := m.ghosts[contact.ID]
		if g.AvatarURL != "" {
			known[contact.ID] = g.AvatarURL
		}
		if g.PhotoID != contact.PhotoID {
			outdated = append(outdated, contact)
		}
	}
	return known, outdated, nil
}

// UpdateGhost implements provisioning.GhostAvatars.
func (m *MemRooms) UpdateGhost(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
	if err := m.enter(ctx, "UpdateGhost"); err != nil {
		return err
	}
	m.mu.Lock()
	m.rename(contact)
	known := m.photos[contact.PhotoID]
	m.mu.Unlock()
	if photo == nil {
		return nil
	}
	if !known {
		if _, err := photo(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.photos[contact.PhotoID] = true
	g := m.ghosts[contact.ID]
	g.PhotoID, g.AvatarURL = contact.PhotoID, id.ContentURIString(fmt.Sprintf("mxc://example.com/%d", contact.PhotoID))
	m.ghosts[contact.ID] = g
	return nil
}
