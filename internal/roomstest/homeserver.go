// Package roomstest runs the suites of rooms of package provisioningtest on homeservers
// that are reached over HTTP, in memory or real ones.
package roomstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// Homeserver is a [provisioningtest.Homeserver] on the client-server API.
type Homeserver struct {
	// AppService is that of the implementation, with the bridge bot and the ghosts. Its
	// StateStore learns who of them has joined which room.
	AppService *appservice.AppService
	// AddUser registers an ordinary user.
	AddUser func(localpart string) (*mautrix.Client, error)
	// Force makes a state event be there that the homeserver refuses over HTTP. Nil where
	// nothing can.
	Force func(roomID id.RoomID, eventType, stateKey, content string) error

	mu       sync.Mutex
	number   int // of users
	users    map[id.UserID]*mautrix.Client
	creators map[id.RoomID]id.UserID
}

var _ provisioningtest.Homeserver = (*Homeserver)(nil)

// Rooms is the implementation, such as portal's.
type Rooms interface {
	provisioning.Rooms
	// GhostID returns the Matrix ID of a Telegram user's ghost.
	GhostID(telegramID provisioning.TelegramID) id.UserID
}

// Backend is the backend of the suites. The requests of the implementation have to go
// through the network.
func (h *Homeserver) Backend(rooms Rooms, network *provisioningtest.Network) provisioningtest.RoomsBackend {
	return provisioningtest.RoomsBackend{
		Rooms: rooms, Bot: h.AppService.BotMXID(), Ghost: rooms.GhostID, Homeserver: h, Disturb: network.Disturb,
	}
}

// NewUser implements [provisioningtest.Homeserver].
func (h *Homeserver) NewUser(_ context.Context, name string) (id.UserID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.number++
	user, err := h.AddUser(fmt.Sprintf("%s%d", name, h.number))
	if err != nil {
		return "", err
	}
	if h.users == nil {
		h.users, h.creators = map[id.UserID]*mautrix.Client{}, map[id.RoomID]id.UserID{}
	}
	h.users[user.UserID] = user
	return user.UserID, nil
}

// client returns a client of somebody, who exists when there is no error.
func (h *Homeserver) client(ctx context.Context, userID id.UserID) (*mautrix.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if user, ok := h.users[userID]; ok {
		return user, nil
	}
	client := h.AppService.NewMautrixClient(userID)
	client.Client = http.DefaultClient // and not through the network that the suites disturb
	if userID == h.AppService.BotMXID() {
		return client, nil
	}
	_, _, err := client.Register(ctx, &mautrix.ReqRegister[any]{
		Username: userID.Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true,
	})
	if err != nil && !errors.Is(err, mautrix.MUserInUse) {
		return nil, fmt.Errorf("register %s: %w", userID, err)
	}
	return client, nil
}

// NewRoom implements [provisioningtest.Homeserver].
func (h *Homeserver) NewRoom(ctx context.Context, creator id.UserID, version string, others ...id.UserID) (id.RoomID, error) {
	var content map[string]any
	if version == "12" && len(others) > 0 {
		content = map[string]any{"additional_creators": others}
	}
	return h.create(ctx, creator, version, content)
}

// NewUpgrade implements [provisioningtest.Homeserver].
func (h *Homeserver) NewUpgrade(ctx context.Context, creator id.UserID, version string, predecessor id.RoomID) (id.RoomID, error) {
	return h.create(ctx, creator, version, map[string]any{"predecessor": map[string]any{"room_id": predecessor}})
}

// create makes a room with more in its first event.
func (h *Homeserver) create(ctx context.Context, creator id.UserID, version string, content map[string]any) (id.RoomID, error) {
	client, err := h.client(ctx, creator)
	if err != nil {
		return "", err
	}
	created, err := client.CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Preset: "public_chat", RoomVersion: id.RoomVersion(version), CreationContent: content,
	})
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.creators[created.RoomID] = creator
	return created.RoomID, nil
}

// SetMember implements [provisioningtest.Homeserver].
func (h *Homeserver) SetMember(ctx context.Context, roomID id.RoomID, by, userID id.UserID, membership string) error {
	client, err := h.client(ctx, by)
	if err != nil {
		return err
	}
	if _, err = h.client(ctx, userID); err != nil { // a ghost exists before somebody invites it
		return err
	}
	switch {
	case membership == "join":
		_, err = client.JoinRoomByID(ctx, roomID)
	case membership == "invite":
		_, err = client.InviteUser(ctx, roomID, &mautrix.ReqInviteUser{UserID: userID})
	case membership == "ban":
		_, err = client.BanUser(ctx, roomID, &mautrix.ReqBanUser{UserID: userID})
	case by == userID:
		_, err = client.LeaveRoom(ctx, roomID)
	default:
		var member event.MemberEventContent
		if err = client.StateEvent(ctx, roomID, event.StateMember, string(userID), &member); err != nil {
			return err
		}
		if member.Membership == event.MembershipBan {
			_, err = client.UnbanUser(ctx, roomID, &mautrix.ReqUnbanUser{UserID: userID})
		} else {
			_, err = client.KickUser(ctx, roomID, &mautrix.ReqKickUser{UserID: userID})
		}
	}
	return err
}

// SetState implements [provisioningtest.Homeserver].
func (h *Homeserver) SetState(ctx context.Context, roomID id.RoomID, by id.UserID, eventType, stateKey, content string) error {
	client, err := h.client(ctx, by)
	if err != nil {
		return err
	}
	var alias event.CanonicalAliasEventContent
	if eventType == event.StateCanonicalAlias.Type && json.Unmarshal([]byte(content), &alias) == nil && alias.Alias != "" {
		if _, err = client.CreateAlias(ctx, alias.Alias, roomID); err != nil && !errors.Is(err, mautrix.MUnrecognized) {
			return fmt.Errorf("make the alias %s: %w", alias.Alias, err)
		}
	}
	_, err = client.SendStateEvent(ctx, roomID, event.Type{Type: eventType, Class: event.StateEventType}, stateKey, json.RawMessage(content))
	if !errors.Is(err, mautrix.MForbidden) && !errors.Is(err, mautrix.MBadJSON) {
		return err
	}
	if h.Force == nil {
		return fmt.Errorf("%w: %w", provisioningtest.ErrRefused, err)
	}
	return h.Force(roomID, eventType, stateKey, content)
}

// State implements [provisioningtest.Homeserver]. Whoever has left sees what was then.
func (h *Homeserver) State(ctx context.Context, roomID id.RoomID) ([]provisioningtest.StateEvent, error) {
	h.mu.Lock()
	witnesses := []id.UserID{h.creators[roomID], h.AppService.BotMXID()}
	h.mu.Unlock()
	var err error
	for _, userID := range witnesses {
		if userID == "" {
			continue // somebody of the bridge has made the room
		}
		var client *mautrix.Client
		if client, err = h.client(ctx, userID); err != nil {
			return nil, err
		}
		var state []provisioningtest.StateEvent
		if _, err = client.MakeRequest(ctx, http.MethodGet, client.BuildClientURL("v3", "rooms", roomID, "state"), nil, &state); err != nil {
			continue
		}
		for _, e := range state {
			var member event.MemberEventContent
			if e.Type == event.StateMember.Type && e.StateKey == string(userID) && json.Unmarshal(e.Content, &member) == nil && member.Membership == event.MembershipJoin {
				return state, nil
			}
		}
	}
	return nil, errors.Join(errors.New("neither the room's creator nor the bridge bot has joined it"), err)
}

// Profile implements [provisioningtest.Homeserver].
func (h *Homeserver) Profile(ctx context.Context, userID id.UserID) (string, id.ContentURIString, error) {
	client, err := h.client(ctx, h.AppService.BotMXID())
	if err != nil {
		return "", "", err
	}
	profile, err := client.GetProfile(ctx, userID)
	if err != nil {
		return "", "", err
	}
	return profile.DisplayName, profile.AvatarURL.CUString(), nil
}
