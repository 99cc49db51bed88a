package provisioningtest

import (
	"context"
	"encoding/json"
	"errors"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// RoomsBackend is what [TestRooms], [TestDirectRooms] and [TestGhostAvatars] need of
// whoever runs them: the implementation, and the homeserver that it works on.
type RoomsBackend struct {
	// Rooms is the implementation. One that looks portals up in the bridge's own records
	// needs a wrapper that records those of SetUpPortal first: the suites have no store.
	Rooms provisioning.Rooms
	// Bot is the Matrix ID of its bridge bot, who exists. Ghost returns that of a Telegram
	// user's ghost, who does not until they are needed.
	Bot   id.UserID
	Ghost func(provisioning.TelegramID) id.UserID
	// Homeserver is where the checks make rooms, and look at them afterwards.
	Homeserver Homeserver
	// Disturb runs a hook before every later request of the implementation to the
	// homeserver, until it is called with nil. Where the hook returns an error, the request
	// is not done. See [Network], which has this method. It does not concern what
	// Homeserver does.
	Disturb func(before func(context.Context) error)
}

// Homeserver is a Matrix homeserver with a bridge on it, as the checks of rooms use it
// besides the implementation. Package portal runs the suites on an in-memory homeserver,
// and the integration tests on Dendrite, both with one Homeserver on mautrix-go's clients
// (internal/roomstest).
type Homeserver interface {
	// NewUser makes another Matrix user each time, who is nobody of the bridge's. The
	// localpart of the ID begins with name.
	NewUser(ctx context.Context, name string) (id.UserID, error)

	// NewRoom has a user make a room of version "11" or "12" that everybody may join. The
	// others are creators as well (additional_creators), in version 12 only.
	NewRoom(ctx context.Context, creator id.UserID, version string, others ...id.UserID) (id.RoomID, error)

	// NewUpgrade has a user make a room of a version that names another one of theirs as its
	// predecessor. The other one is as it was.
	NewUpgrade(ctx context.Context, creator id.UserID, version string, predecessor id.RoomID) (id.RoomID, error)

	// SetMember has somebody change what a user is in a room. They "join" and "leave" by
	// themselves; somebody else does "invite", "ban" and "leave", which is a kick, or the
	// end of a ban. What the implementation learns of a ghost's joining, where the bridge
	// itself has it join, it learns here too.
	SetMember(ctx context.Context, roomID id.RoomID, by, userID id.UserID, membership string) error

	// SetState has somebody set a state event of a room; content is JSON. The alias of an
	// m.room.canonical_alias may have to be made first. Where the homeserver takes no event
	// with such a content at all, the error wraps [ErrRefused].
	SetState(ctx context.Context, roomID id.RoomID, by id.UserID, eventType, stateKey, content string) error

	// State returns the state of a room as it is now, as somebody sees it who has joined.
	// There is somebody, though not necessarily the bridge bot.
	State(ctx context.Context, roomID id.RoomID) ([]StateEvent, error)

	// Profile returns somebody's global display name and avatar, empty where there is none.
	Profile(ctx context.Context, userID id.UserID) (name string, avatar id.ContentURIString, err error)
}

// ErrRefused is for [Homeserver]: the homeserver does not let an event be as the check
// wants it. Then there is nothing to check.
var ErrRefused = errors.New("the homeserver takes no such event")

// StateEvent is a state event of a room. It decodes from the client-server API's JSON.
type StateEvent struct {
	// Type and StateKey say which it is.
	Type     string `json:"type"`
	StateKey string `json:"state_key"`
	// Sender is who has set it.
	Sender id.UserID `json:"sender"`
	// ID is another one each time it is set.
	ID id.EventID `json:"event_id"`
	// Content is a JSON object.
	Content json.RawMessage `json:"content"`
}
