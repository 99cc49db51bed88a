package matrixtest

import (
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"
)

const infinite = 1 << 60

// number reads a level, which old rooms may have as a string.
func number(v any, otherwise int) int {
	switch v := v.(type) {
	case float64:
		return int(v)
	case string:
		if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
			return n
		}
	}
	return otherwise
}

func (r *room) level(userID id.UserID) int {
	if r.version == "12" && slices.Contains(r.creators, userID) {
		return infinite
	}
	levels := r.content("m.room.power_levels", "")
	if levels == nil {
		if r.creators[0] == userID {
			return 100
		}
		return 0
	}
	users, _ := levels["users"].(map[string]any)
	return number(users[string(userID)], number(levels["users_default"], 0))
}

// required is the level that it takes to do something: invite, kick, ban.
func (r *room) required(what string, otherwise int) int {
	return number(r.content("m.room.power_levels", "")[what], otherwise)
}

func (r *room) requiredFor(eventType string, state bool) int {
	events, _ := r.content("m.room.power_levels", "")["events"].(map[string]any)
	if level, ok := events[eventType]; ok {
		return number(level, infinite)
	}
	if state {
		return r.required("state_default", 50)
	}
	return r.required("events_default", 0)
}

// checkLevels says why somebody may not set these power levels.
func (r *room) checkLevels(sender id.UserID, levels map[string]any) *fault {
	forbidden := func(text string) *fault { return &fault{403, "M_FORBIDDEN", text} }
	users, ok := levels["users"].(map[string]any)
	if levels["users"] != nil && !ok {
		return forbidden("users is not an object")
	}
	for userID, level := range users {
		n, isNumber := level.(float64)
		if _, isText := level.(string); isText && r.version == "9" {
			n, isNumber = float64(number(level, 0)), true
		}
		if !isNumber {
			return forbidden("a level is not a number")
		}
		if r.version == "12" && slices.Contains(r.creators, id.UserID(userID)) {
			return &fault{400, "M_FORBIDDEN", "new power levels event must not contain creator"}
		}
		before := r.level(id.UserID(userID))
		if int(n) == before {
			continue
		}
		if int(n) > r.level(sender) || (id.UserID(userID) != sender && before >= r.level(sender)) {
			return forbidden("you may not set this level")
		}
	}
	return nil
}
