package provisioningtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestMemRooms(t *testing.T)        { TestRooms(t, memRoomsBackend) }
func TestMemDirectRooms(t *testing.T)  { TestDirectRooms(t, memRoomsBackend) }
func TestMemGhostAvatars(t *testing.T) { TestGhostAvatars(t, memRoomsBackend) }

func memRoomsBackend(*testing.T) RoomsBackend {
	h := newMemHomeserver()
	return h.backend(h.MemRooms)
}

// memHomeserver is the Homeserver of a MemRooms.
type memHomeserver struct {
	*MemRooms
	made     int // users and rooms
	creators map[id.RoomID]id.UserID
	// other is the state of rooms that a MemRooms knows nothing of, as JSON.
	other map[id.RoomID]map[[2]string]string
	// plain are the invitations that were not the bridge's.
	plain map[id.UserID]bool
	// left are the rooms that the bot has been in and left.
	left map[id.RoomID]bool
	// inviting is who invites to direct rooms, the ghost if it is empty, and notDirect says
	// that such invitations are like any other.
	inviting  id.UserID
	notDirect bool
}

func newMemHomeserver() *memHomeserver {
	return &memHomeserver{
		MemRooms: NewMemRooms(), creators: map[id.RoomID]id.UserID{}, other: map[id.RoomID]map[[2]string]string{}, plain: map[id.UserID]bool{}, left: map[id.RoomID]bool{},
	}
}

func (h *memHomeserver) backend(rooms provisioning.Rooms) RoomsBackend {
	return RoomsBackend{Rooms: rooms, Bot: h.BotID(), Ghost: h.GhostID, Homeserver: h, Disturb: h.disturb}
}

// disturb is Disturb: every method but Avatars is a request to the homeserver.
func (h *memHomeserver) disturb(before func(context.Context) error) {
	for _, method := range []string{"CheckBot", "HasPower", "Room", "SetUpPortal", "CleanUp", "CreateDirect", "InviteToDirect", "UpdateGhost", ""} {
		if before == nil {
			h.On(method, nil)
			continue
		}
		h.On(method, func(ctx context.Context) error {
			err := before(ctx)
			if err == nil || ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: %s", provisioning.ErrHomeserver, err.Error())
		})
	}
	h.On("Avatars", func(context.Context) error { return nil })
}

func (h *memHomeserver) NewUser(_ context.Context, name string) (id.UserID, error) {
	h.made++
	return id.UserID(fmt.Sprintf("@%s%d:example.com", name, h.made)), nil
}

func (h *memHomeserver) NewRoom(_ context.Context, creator id.UserID, version string, others ...id.UserID) (id.RoomID, error) {
	h.made++
	roomID := id.RoomID(fmt.Sprintf("!room%d:example.com", h.made))
	room := MemRoom{Room: provisioning.Room{Users: []id.UserID{creator}}, NoBot: true, PowerLevels: "{}"}
	if version == "12" {
		room.Creators = append(others, creator)
	} else {
		room.PowerLevels = encode(object{"users": object{string(creator): 100}})
	}
	h.Add(roomID, room)
	h.creators[roomID], h.other[roomID] = creator, map[[2]string]string{}
	return roomID, nil
}

func (h *memHomeserver) NewUpgrade(ctx context.Context, creator id.UserID, version string, predecessor id.RoomID) (id.RoomID, error) {
	roomID, err := h.NewRoom(ctx, creator, version)
	if err != nil {
		return "", err
	}
	return roomID, h.edit(roomID, func(room *MemRoom) { room.Predecessor = predecessor })
}

// edit changes a room.
func (h *memHomeserver) edit(roomID id.RoomID, change func(room *MemRoom)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	room, ok := h.rooms[roomID]
	if !ok {
		return fmt.Errorf("there is no room %s", roomID)
	}
	change(room)
	return nil
}

func (h *memHomeserver) SetMember(_ context.Context, roomID id.RoomID, _, userID id.UserID, membership string) error {
	return h.edit(roomID, func(room *MemRoom) {
		var telegramID provisioning.TelegramID
		if _, err := fmt.Sscanf(string(userID), "@telegram_%d:", &telegramID); err == nil {
			room.Ghosts = slices.DeleteFunc(room.Ghosts, func(other provisioning.TelegramID) bool { return other == telegramID })
			if membership == "join" {
				room.Ghosts = append(room.Ghosts, telegramID)
			}
			return
		}
		if userID == memBot {
			h.left[roomID] = h.left[roomID] || !room.NoBot
			room.NoBot = membership != "join"
			return
		}
		for is, users := range map[string]*[]id.UserID{"join": &room.Users, "invite": &room.Invited, "ban": &room.Banned} {
			*users = slices.DeleteFunc(*users, func(other id.UserID) bool { return other == userID })
			if is == membership {
				*users = append(*users, userID)
			}
		}
		h.plain[userID] = membership == "invite"
	})
}

// memAvatar is the avatar that the checks set themselves, and memPhoto what it is in a
// MemRoom.
const (
	memAvatar = "mxc://example.com/mine"
	memPhoto  = -1
)

func (h *memHomeserver) SetState(_ context.Context, roomID id.RoomID, _ id.UserID, eventType, stateKey, content string) error {
	var fields object
	if err := json.Unmarshal([]byte(content), &fields); err != nil {
		return err
	}
	text := func(field string) string {
		text, _ := fields[field].(string)
		return text
	}
	return h.edit(roomID, func(room *MemRoom) {
		switch eventType {
		case "m.room.name":
			room.Name = text("name")
		case "m.room.topic":
			room.Topic = text("topic")
		case "m.room.canonical_alias":
			room.CanonicalAlias = id.RoomAlias(text("alias"))
		case "m.room.encryption":
			room.Encrypted = true
		case "m.room.tombstone":
			room.Replacement = id.RoomID(text("replacement_room"))
		case "m.room.power_levels":
			room.PowerLevels = content
		case "m.room.avatar":
			if room.Photo = 0; text("url") == memAvatar {
				room.Photo = memPhoto
			}
		default:
			h.other[roomID][[2]string{eventType, stateKey}] = content
		}
	})
}

func (h *memHomeserver) State(_ context.Context, roomID id.RoomID) (state []StateEvent, err error) {
	err = h.edit(roomID, func(room *MemRoom) {
		add := func(eventType, stateKey string, sender id.UserID, changes int, content object) {
			state = append(state, StateEvent{eventType, stateKey, sender, id.EventID(fmt.Sprint(changes)), json.RawMessage(encode(content))})
		}
		set := func(eventType, stateKey string, is bool, content object) {
			if is {
				add(eventType, stateKey, memBot, room.changes, content)
			}
		}
		state = append(state, StateEvent{"m.room.power_levels", "", h.creators[roomID], "", json.RawMessage(room.PowerLevels)})
		set("m.room.name", "", room.Name != "", object{"name": room.Name})
		set("m.room.topic", "", room.Topic != "", object{"topic": room.Topic})
		set("m.room.canonical_alias", "", room.CanonicalAlias != "", object{"alias": room.CanonicalAlias})
		set("m.room.encryption", "", room.Encrypted, object{"algorithm": "m.megolm.v1.aes-sha2"})
		set("m.room.avatar", "", room.Photo == memPhoto, object{"url": memAvatar})
		set("m.room.avatar", "", room.Photo > 0, object{"url": fmt.Sprintf("mxc://example.com/%d", room.Photo)})
		for _, portal := range append(slices.Clone(room.Earlier), room.Portal) {
			set("m.bridge", fmt.Sprintf("%d/%d", portal.Receiver, portal.ChatID), portal.ChatID != 0, object{
				"bridgebot": memBot, "protocol": object{"id": "telegram"}, "channel": object{"id": fmt.Sprint(portal.ChatID)},
			})
		}
		member := func(userID id.UserID, membership string) {
			add("m.room.member", string(userID), userID, 0, object{"membership": membership})
		}
		for _, telegramID := range room.Ghosts {
			add("m.room.member", string(memGhost(telegramID)), memGhost(telegramID), h.ghosts[telegramID].changes, object{"membership": "join"})
		}
		if !room.NoBot {
			member(memBot, "join")
		}
		for _, userID := range room.Users {
			member(userID, "join")
		}
		for _, userID := range room.Banned {
			member(userID, "ban")
		}
		for _, userID := range room.Invited {
			if h.plain[userID] {
				member(userID, "invite")
				continue
			}
			inviting := h.inviting
			if inviting == "" {
				inviting = memGhost(room.Ghosts[0])
			}
			add("m.room.member", string(userID), inviting, room.changes, object{"membership": "invite", "is_direct": !h.notDirect})
		}
		for key, content := range h.other[roomID] {
			state = append(state, StateEvent{key[0], key[1], h.creators[roomID], "", json.RawMessage(content)})
		}
	})
	return state, err
}

func (h *memHomeserver) Profile(_ context.Context, userID id.UserID) (string, id.ContentURIString, error) {
	var telegramID provisioning.TelegramID
	if _, err := fmt.Sscanf(string(userID), "@telegram_%d:", &telegramID); err != nil {
		return "", "", err
	}
	g := h.Ghost(telegramID)
	return g.Name, g.AvatarURL, nil
}

func TestMemTokens(t *testing.T) { TestTokenChecker(t, memTokensBackend) }

func memTokensBackend(*testing.T) TokensBackend {
	m := NewMemTokens()
	return tokensBackend(m, m)
}

// tokensBackend is that of a checker of m's tokens. Those of @foreign are not taken.
func tokensBackend(m *MemTokens, checker provisioning.TokenChecker) TokensBackend {
	issue := func(of func(id.UserID) string) func(context.Context, string) (string, id.UserID, error) {
		return func(_ context.Context, localpart string) (string, id.UserID, error) {
			userID := id.NewUserID(localpart, "example.com")
			return of(userID), userID, nil
		}
	}
	return TokensBackend{
		Checker: checker, AccessToken: issue(m.AccessToken), OpenID: issue(m.OpenID),
		Revoke: func(_ context.Context, token string) error {
			m.Revoke(token)
			return nil
		},
		Disturb: func(before func(context.Context) error) {
			if before == nil {
				m.On("CheckToken", nil)
				return
			}
			m.On("CheckToken", func(ctx context.Context) error {
				err := before(ctx)
				if err == nil || ctx.Err() != nil {
					return ctx.Err()
				}
				return fmt.Errorf("%w: %s", provisioning.ErrHomeserver, strings.TrimSpace(err.Error()))
			})
		},
	}
}
