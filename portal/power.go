package portal

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// The defaults of power levels.
const (
	defaultStateLevel = 50
	creatorLevel      = 100 // in a room without power levels
)

// HasPower implements [provisioning.Rooms]. In a room without power levels, its creator
// has 100, everybody else has 0, and state events need 50, as on Synapse.
func (r *Rooms) HasPower(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
	if err := r.CheckBot(ctx, roomID); err != nil {
		return false, err
	}
	membership, err := r.membership(ctx, r.bot, roomID, userID)
	if err != nil || membership != event.MembershipJoin {
		return false, err
	}
	return r.power(ctx, roomID, userID, eventType)
}

// power is HasPower for somebody in a room that the bridge bot is in.
func (r *Rooms) power(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
	var raw json.RawMessage
	found, err := r.state(ctx, r.bot, roomID, event.StatePowerLevels, "", &raw)
	if err != nil {
		return false, err
	}
	if found && hasLevel(raw, userID, eventType) {
		return true, nil
	}
	creators, infinite, err := r.creators(ctx, roomID, found)
	if err != nil {
		return false, err
	}
	// Without power levels, 100 is more than the default of 50.
	return (infinite || !found) && slices.Contains(creators, userID), nil
}

// creators returns who has created a room, and whether that gives infinite power, as
// from room version 12 on. It asks for no more than is needed: where there are power
// levels, creators of older versions do not matter.
func (r *Rooms) creators(ctx context.Context, roomID id.RoomID, leveled bool) (creators []id.UserID, infinite bool, err error) {
	var create struct {
		RoomVersion string      `json:"room_version"`
		Creator     id.UserID   `json:"creator"`
		Additional  []id.UserID `json:"additional_creators"`
	}
	if _, err := r.state(ctx, r.bot, roomID, event.StateCreate, "", &create); err != nil && !malformed(err) {
		return nil, false, err
	}
	if version, err := strconv.Atoi(create.RoomVersion); err == nil && version >= 12 {
		infinite = true
	}
	if !infinite && leveled {
		return nil, false, nil
	}
	if !infinite && create.Creator != "" {
		return []id.UserID{create.Creator}, false, nil
	}
	sender, err := r.createSender(ctx, roomID)
	if err != nil {
		return nil, false, err
	}
	creators = []id.UserID{sender}
	if infinite {
		creators = append(creators, create.Additional...)
	}
	return creators, infinite, nil
}

// createSender returns who has sent the room's first event. Homeservers tell with
// a parameter that the specification lacks; one that does not is asked for all state.
//
// https://github.com/matrix-org/matrix-spec/issues/1047
func (r *Rooms) createSender(ctx context.Context, roomID id.RoomID) (sender id.UserID, err error) {
	err = try(ctx, func(ctx context.Context) error {
		e, err := r.bot.FullStateEvent(ctx, roomID, event.StateCreate, "")
		if err == nil {
			sender = e.Sender
		}
		return err
	})
	if err != nil || sender != "" {
		return sender, fault(ctx, "read m.room.create", err)
	}
	err = try(ctx, func(ctx context.Context) error {
		state, err := r.bot.State(ctx, roomID)
		if e := state[event.StateCreate][""]; e != nil {
			sender = e.Sender
		}
		return err
	})
	return sender, fault(ctx, "read the state of a room", err)
}

// hasLevel says whether power levels give a user what a state event needs. It is
// lenient with numbers, and gives nothing where there are none.
func hasLevel(raw json.RawMessage, userID id.UserID, eventType string) bool {
	var levels struct {
		Users        json.RawMessage `json:"users"`
		UsersDefault json.RawMessage `json:"users_default"`
		Events       json.RawMessage `json:"events"`
		StateDefault json.RawMessage `json:"state_default"`
	}
	if json.Unmarshal(raw, &levels) != nil {
		return false
	}
	has, ok := entry(levels.Users, string(userID), levels.UsersDefault, 0)
	needs, needsOK := entry(levels.Events, eventType, levels.StateDefault, defaultStateLevel)
	return ok && needsOK && has >= needs
}

// entry returns the level of a key of an object, or the default of the event, or that of
// the specification, and false where the one that counts makes no sense.
func entry(object json.RawMessage, key string, fallback json.RawMessage, standard int64) (int64, bool) {
	if len(object) > 0 && string(object) != "null" {
		var entries map[string]json.RawMessage
		if json.Unmarshal(object, &entries) != nil {
			return 0, false
		}
		if value, ok := entries[key]; ok {
			return number(value)
		}
	}
	if len(fallback) > 0 && string(fallback) != "null" {
		return number(fallback)
	}
	return standard, true
}

// number reads a level: an integer, also one in a string, as in old rooms, or a float
// without a fraction.
func number(raw json.RawMessage) (int64, bool) {
	text := string(raw)
	var s string
	if json.Unmarshal(raw, &s) == nil {
		text = strings.TrimSpace(s)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}
