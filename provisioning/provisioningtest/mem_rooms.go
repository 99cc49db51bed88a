package provisioningtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemRooms is a provisioning.Rooms in memory, with all of the optional interfaces. It
// passes [TestRooms], [TestDirectRooms], [TestGhostAvatars] and [TestGhostUsers].
type MemRooms struct {
	// Script makes the methods fail and counts them.
	Script

	mu     sync.Mutex
	rooms  map[id.RoomID]*MemRoom
	ghosts map[provisioning.TelegramID]MemGhost
	photos map[int64]bool // that were uploaded
	needs  map[id.UserID]map[provisioning.TelegramID]bool
}

// MemRoom is a room of a [MemRooms].
type MemRoom struct {
	// Room is what MemRooms.Room returns.
	provisioning.Room
	// NoBot says that the bridge bot is not in the room.
	NoBot bool
	// Powers are the power levels of users, 0 for those that are not there. Sending
	// a state event takes 50, or what EventPowers says of its type. The bridge bot may do
	// everything.
	Powers      map[id.UserID]int
	EventPowers map[string]int
	// PowerLevels is the content of an m.room.power_levels. Where it is set, it counts in
	// place of Powers and EventPowers, for the bridge bot too.
	PowerLevels string
	// Creators are those of a room of version 12, who may do everything.
	Creators []id.UserID
	// Invited are the users that are invited.
	Invited []id.UserID
	// Banned are the users that can't be invited.
	Banned []id.UserID
	// Portal is what the room shows itself to be bridged to, zero for nothing.
	Portal provisioning.Portal
	// Earlier are the portals that it has been before, and shows itself to be still.
	Earlier []provisioning.Portal
	// Photo is the ID of the photo that it shows.
	Photo int64

	changes int // by the bridge
}

var (
	_ provisioning.Rooms        = (*MemRooms)(nil)
	_ provisioning.DirectRooms  = (*MemRooms)(nil)
	_ provisioning.GhostAvatars = (*MemRooms)(nil)
	_ provisioning.GhostUsers   = (*MemRooms)(nil)
)

// NewMemRooms returns a homeserver without rooms.
func NewMemRooms() *MemRooms {
	return &MemRooms{rooms: map[id.RoomID]*MemRoom{}, ghosts: map[provisioning.TelegramID]MemGhost{}, photos: map[int64]bool{}, needs: map[id.UserID]map[provisioning.TelegramID]bool{}}
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

func (r *MemRoom) clone() MemRoom {
	c := *r
	c.Ghosts, c.Users, c.Invited = slices.Clone(r.Ghosts), slices.Clone(r.Users), slices.Clone(r.Invited)
	c.Powers, c.EventPowers = maps.Clone(r.Powers), maps.Clone(r.EventPowers)
	c.Creators, c.Banned, c.Earlier = slices.Clone(r.Creators), slices.Clone(r.Banned), slices.Clone(r.Earlier)
	return c
}

// BotID returns the Matrix ID of the bridge bot.
func (m *MemRooms) BotID() id.UserID { return memBot }

// GhostID returns the Matrix ID of a Telegram user's ghost.
func (m *MemRooms) GhostID(telegramID provisioning.TelegramID) id.UserID { return memGhost(telegramID) }

const memBot id.UserID = "@telegrambot:example.com"

func memGhost(telegramID provisioning.TelegramID) id.UserID {
	return id.UserID(fmt.Sprintf("@telegram_%d:example.com", telegramID))
}

// joined says whether a Matrix user, of the bridge's or not, is in the room.
func (r *MemRoom) joined(userID id.UserID) bool {
	return userID == memBot && !r.NoBot || slices.Contains(r.Users, userID) ||
		slices.ContainsFunc(r.Ghosts, func(telegramID provisioning.TelegramID) bool { return userID == memGhost(telegramID) })
}

// powers returns the power level of a user, and the levels that it takes to send a state
// event of a type, and to kick; false where the power levels are malformed.
func (r *MemRoom) powers(userID id.UserID, eventType string) (own, send, kick int, ok bool) {
	const all, standard = math.MaxInt, 50
	switch {
	case slices.Contains(r.Creators, userID):
		return all, standard, standard, true
	case r.PowerLevels == "" && userID == memBot:
		return all, standard, standard, true
	case r.PowerLevels == "":
		if level, ok := r.EventPowers[eventType]; ok {
			return r.Powers[userID], level, standard, true
		}
		return r.Powers[userID], standard, standard, true
	}
	levels := struct {
		Users   map[id.UserID]int `json:"users"`
		Default int               `json:"users_default"`
		Events  map[string]int    `json:"events"`
		State   int               `json:"state_default"`
		Kick    int               `json:"kick"`
	}{State: standard, Kick: standard}
	ok = json.Unmarshal([]byte(r.PowerLevels), &levels) == nil
	own, known := levels.Users[userID]
	if !known {
		own = levels.Default
	}
	if send, known = levels.Events[eventType]; !known {
		send = levels.State
	}
	return own, send, levels.Kick, ok
}

// may says whether somebody has the power to send a state event of a type.
func (r *MemRoom) may(userID id.UserID, eventType string) bool {
	own, send, _, ok := r.powers(userID, eventType)
	return ok && own >= send
}

// stays says whether the bridge bot may not kick a user.
func (r *MemRoom) stays(userID id.UserID) bool {
	own, _, kick, ok := r.powers(memBot, "")
	level, _, _, _ := r.powers(userID, "")
	return !ok || own < kick || level >= own
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
	return room.joined(userID) && room.may(userID, eventType), nil
}

// Room implements provisioning.Rooms.
func (m *MemRooms) Room(ctx context.Context, roomID id.RoomID, query provisioning.RoomQuery) (provisioning.Room, error) {
	if err := m.enter(ctx, "Room"); err != nil {
		return provisioning.Room{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room, err := m.withBot(roomID)
	if err != nil {
		return provisioning.Room{}, err
	}
	if query.Member != "" {
		return provisioning.Room{Joined: room.joined(query.Member)}, nil
	}
	got := room.clone().Room
	if !query.Content {
		got = provisioning.Room{Encrypted: got.Encrypted, Predecessor: got.Predecessor, Replacement: got.Replacement}
	}
	return got, nil
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
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room, err := m.withBot(setup.Portal.RoomID)
	if err != nil {
		return err
	}
	if room.may(memBot, bridgeInfo) {
		room.show(setup.Portal)
	}
	if setup.Portal.Receiver == 0 {
		setWhereNone(room, "m.room.name", &room.Name, setup.Portal.Title)
		setWhereNone(room, "m.room.topic", &room.Topic, setup.Portal.About)
		setWhereNone(room, "m.room.avatar", &room.Photo, photo.ID)
	}
	return nil
}

// bridgeInfo is the type of event that shows what a room is bridged to.
const bridgeInfo = "m.bridge"

// show makes a room show itself to be bridged to a portal.
func (r *MemRoom) show(portal provisioning.Portal) {
	if r.Portal == portal {
		return
	}
	if !isPortal(portal)(r.Portal) && r.Portal.ChatID != 0 {
		r.Earlier = append(r.Earlier, r.Portal)
	}
	r.Earlier = slices.DeleteFunc(r.Earlier, isPortal(portal))
	r.Portal = portal
	r.changes++
}

// isPortal says whether portals are of the same chat as another, or of the basic group that
// it was.
func isPortal(portal provisioning.Portal) func(provisioning.Portal) bool {
	return func(other provisioning.Portal) bool {
		was := portal.MigratedFrom != 0 && other.ChatID == portal.MigratedFrom
		return (other.ChatID == portal.ChatID || was) && other.Receiver == portal.Receiver
	}
}

// setWhereNone sets what a room shows where it shows nothing, and the bot may.
func setWhereNone[V comparable](room *MemRoom, eventType string, shown *V, value V) {
	var none V
	if *shown == none && value != none && room.may(memBot, eventType) {
		*shown = value
		room.changes++
	}
}

// CleanUp implements provisioning.Rooms.
func (m *MemRooms) CleanUp(ctx context.Context, portal provisioning.Portal, everybody bool) error {
	if err := m.enter(ctx, "CleanUp"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room := m.rooms[portal.RoomID]
	if room == nil {
		return nil
	}
	room.Ghosts = nil
	if room.NoBot {
		return nil
	}
	if room.may(memBot, bridgeInfo) {
		room.Earlier = slices.DeleteFunc(room.Earlier, func(other provisioning.Portal) bool { return everybody || isPortal(portal)(other) })
		if everybody || isPortal(portal)(room.Portal) {
			room.Portal = provisioning.Portal{}
		}
	}
	if everybody {
		kicked := func(userID id.UserID) bool { return !room.stays(userID) }
		room.Users, room.Invited = slices.DeleteFunc(room.Users, kicked), slices.DeleteFunc(room.Invited, kicked)
		room.NoBot = true
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
	m.rooms[roomID] = &MemRoom{
		Room:   provisioning.Room{Ghosts: []provisioning.TelegramID{contact.ID}},
		Powers: map[id.UserID]int{memGhost(contact.ID): 100},
	}
	return roomID, nil
}

// InviteToDirect implements provisioning.DirectRooms.
func (m *MemRooms) InviteToDirect(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
	if err := m.enter(ctx, "InviteToDirect"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room, ok := m.rooms[roomID]
	switch {
	case !ok:
		return fmt.Errorf("%w: there is no such room", provisioning.ErrHomeserver)
	case slices.Contains(room.Users, userID) || slices.Contains(room.Invited, userID):
		return nil
	case slices.Contains(room.Banned, userID) || room.NoBot && !slices.Contains(room.Ghosts, telegramID):
		return provisioning.ErrMatrixInviteRefused
	}
	room.Invited = append(room.Invited, userID)
	return nil
}
