package portal

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

const (
	// standardLevel is what state events and kicks need where power levels don't say.
	standardLevel = 50
	// creatorLevel is the level of a room's creator where it has no power levels.
	creatorLevel = 100
	// creatorsVersion is the room version from which on creators have infinite power.
	//
	// https://spec.matrix.org/v1.16/rooms/v12/
	creatorsVersion = 12
)

// HasPower implements [provisioning.Rooms]. In a room without power levels, its creator
// has 100, everybody else has 0, and state events need 50, as on Synapse.
func (r *Rooms) HasPower(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
	var membership event.Membership
	var levels levels
	err := r.readRoom(ctx, roomID, func() (err error) {
		membership, err = membershipOf(ctx, r.bot, roomID, userID)
		return err
	}, func() (err error) {
		levels, err = levelsOf(ctx, r.bot, roomID)
		return err
	})
	return err == nil && membership == event.MembershipJoin && levels.allow(userID, eventType), err
}

// levels are the power levels of a room.
type levels struct {
	creators []id.UserID
	infinite bool            // the creators' power
	present  bool            // the event
	Users    json.RawMessage `json:"users"`
	Default  json.RawMessage `json:"users_default"`
	Events   json.RawMessage `json:"events"`
	State    json.RawMessage `json:"state_default"`
	Kick     json.RawMessage `json:"kick"`
}

// levelsOf reads the power levels of a room that the one who asks is in.
func levelsOf(ctx context.Context, as *mautrix.Client, roomID id.RoomID) (levels, error) {
	var content json.RawMessage
	var create stateEvent
	err := atOnce(func() (err error) {
		content, err = stateOf(ctx, as, roomID, event.StatePowerLevels, "")
		return err
	}, func() (err error) {
		create, err = createEvent(ctx, as, roomID)
		return err
	})
	if err != nil {
		return levels{}, err
	}
	return newLevels(content, create), nil
}

// createEvent reads the first event of a room. Who has sent it is known from a parameter
// that the specification lacks; a homeserver without it is asked for all state.
//
// https://github.com/matrix-org/matrix-spec/issues/1047
func createEvent(ctx context.Context, as *mautrix.Client, roomID id.RoomID) (create stateEvent, err error) {
	path := mautrix.ClientURLPath{"v3", "rooms", roomID, "state", event.StateCreate.Type, ""}
	err = try(ctx, "read m.room.create", func(ctx context.Context) error {
		create = stateEvent{}
		_, err := as.MakeRequest(ctx, http.MethodGet, as.BuildURLWithQuery(path, map[string]string{"format": "event"}), nil, &create)
		return err
	})
	if err != nil || create.Type == event.StateCreate.Type && create.Sender != "" {
		return create, err
	}
	create = stateEvent{}
	err = readState(ctx, as, roomID, func(e stateEvent) {
		if e.Type == event.StateCreate.Type {
			create = e
		}
	})
	return create, err
}

// newLevels reads power levels; without content, a room has none.
func newLevels(content json.RawMessage, create stateEvent) levels {
	l := levels{present: content != nil, creators: []id.UserID{create.Sender}}
	version, err := strconv.Atoi(textOf(create.Content, "room_version"))
	l.infinite = err == nil && version >= creatorsVersion
	if l.infinite {
		var more struct {
			Creators []id.UserID `json:"additional_creators"`
		}
		if json.Unmarshal(create.Content, &more) == nil {
			l.creators = append(l.creators, more.Creators...)
		}
	} else if creator := textOf(create.Content, "creator"); creator != "" && version <= 10 {
		l.creators = []id.UserID{id.UserID(creator)}
	}
	if content != nil && json.Unmarshal(content, &l) != nil {
		l.Users, l.Default = json.RawMessage(`false`), json.RawMessage(`false`) // nobody has anything
	}
	return l
}

// of returns the level of a user, and false where it makes no sense.
func (l levels) of(userID id.UserID) (int64, bool) {
	switch {
	case l.present:
		return entry(l.Users, string(userID), l.Default, 0)
	case slices.Contains(l.creators, userID):
		return creatorLevel, true
	}
	return 0, true
}

// allow says whether a user has the level to send a kind of state event.
func (l levels) allow(userID id.UserID, eventType string) bool {
	if l.infinite && slices.Contains(l.creators, userID) {
		return true
	}
	has, known := l.of(userID)
	needs, sane := entry(l.Events, eventType, l.State, standardLevel)
	return known && sane && has >= needs
}

// forbidKicks says whether a user surely has not the level to kick anybody.
func (l levels) forbidKicks(userID id.UserID) bool {
	if l.infinite && slices.Contains(l.creators, userID) {
		return false
	}
	has, known := l.of(userID)
	needs, sane := level(l.Kick, standardLevel)
	return known && sane && has < needs
}

// entry returns the level of a key in an object, or else the default of the event, or
// else that of the specification, and false where the one that counts makes no sense.
func entry(object json.RawMessage, key string, fallback json.RawMessage, standard int64) (int64, bool) {
	if !absent(object) {
		var entries map[string]json.RawMessage
		if json.Unmarshal(object, &entries) != nil {
			return 0, false
		}
		if value, ok := entries[key]; ok {
			return number(value)
		}
	}
	return level(fallback, standard)
}

// level returns a level, or the standard one where it is absent.
func level(raw json.RawMessage, standard int64) (int64, bool) {
	if absent(raw) {
		return standard, true
	}
	return number(raw)
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// number reads a level: an integer, also one in a string, as old rooms have, or a float
// without a fraction.
func number(raw json.RawMessage) (int64, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		return n, err == nil
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	const exact = 1 << 53
	var f float64
	if json.Unmarshal(raw, &f) != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}
