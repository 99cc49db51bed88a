package matrixtest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

var roomVersions = []string{"9", "10", "11", "12"}

const memberType = "m.room.member"

func newID() string { return rand.Text() }

type stateKeyOf struct{ typ, key string }

// roomEvent is an event as clients see it.
type roomEvent struct {
	Type     string          `json:"type"`
	StateKey *string         `json:"state_key,omitempty"`
	Sender   id.UserID       `json:"sender"`
	Content  json.RawMessage `json:"content"`
	EventID  id.EventID      `json:"event_id"`
	RoomID   id.RoomID       `json:"room_id,omitempty"`
	Time     int64           `json:"origin_server_ts"`

	position int
	put      bool // an invitation that came as a state event
}

type room struct {
	id       id.RoomID
	version  string
	creators []id.UserID // the sender of the create event first
	state    map[stateKeyOf]*roomEvent
	events   []*roomEvent
	members  map[id.UserID]event.Membership // as the state says
	joined   map[*service]int               // how many of an appservice's users have joined
}

// add appends an event to a room, and tells everybody. The caller holds the lock.
func (s *Server) add(r *room, sender id.UserID, eventType string, stateKey *string, content json.RawMessage) *roomEvent {
	s.position++
	e := &roomEvent{
		Type: eventType, StateKey: stateKey, Sender: sender, Content: content, EventID: id.EventID("$" + newID()),
		RoomID: r.id, Time: time.Now().UnixMilli(), position: s.position,
	}
	if stateKey != nil {
		s.setState(r, stateKeyOf{eventType, *stateKey}, e)
	}
	r.events = append(r.events, e)
	for _, sv := range s.services {
		if sv.interested(r, e) {
			sv.push(e)
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return e
}

// content decodes a state event's content, leniently: nil where there is none.
func (r *room) content(eventType, stateKey string) map[string]any {
	e := r.state[stateKeyOf{eventType, stateKey}]
	if e == nil {
		return nil
	}
	var content map[string]any
	_ = json.Unmarshal(e.Content, &content)
	return content
}

func (r *room) membership(userID id.UserID) event.Membership { return r.members[userID] }

// setState makes an event the current one, or removes that where the event is nil.
// Memberships are decoded once, here: rooms have thousands of members. The caller holds
// the lock.
func (s *Server) setState(r *room, key stateKeyOf, e *roomEvent) {
	r.state[key] = e
	if e == nil {
		delete(r.state, key)
	}
	if key.typ != memberType {
		return
	}
	userID := id.UserID(key.key)
	before := r.members[userID]
	text, _ := r.content(memberType, key.key)["membership"].(string)
	now := event.Membership(text)
	r.members[userID] = now
	if e == nil {
		delete(r.members, userID)
	}
	if (before == event.MembershipJoin) == (now == event.MembershipJoin) {
		return
	}
	for _, sv := range s.services {
		switch {
		case !sv.owns(userID):
		case now == event.MembershipJoin:
			r.joined[sv]++
		default:
			r.joined[sv]--
		}
	}
}

// setMember changes somebody's membership, with further fields of the event. The
// caller holds the lock.
func (s *Server) setMember(r *room, sender, userID id.UserID, membership event.Membership, more map[string]any) *roomEvent {
	content := map[string]any{}
	if u := s.users[userID]; u != nil && (membership == event.MembershipJoin || membership == event.MembershipInvite) {
		if u.name != "" {
			content["displayname"] = u.name
		}
		if u.avatar != "" {
			content["avatar_url"] = u.avatar
		}
	}
	for key, value := range more {
		content[key] = value
	}
	content["membership"] = membership
	raw, _ := json.Marshal(content) // strings and booleans
	key := string(userID)
	return s.add(r, sender, memberType, &key, raw)
}

// Levels.

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

// change checks and does a change of somebody's membership by somebody.
func (s *Server) change(r *room, sender, target id.UserID, to event.Membership, more map[string]any) (*roomEvent, *fault) {
	from, own := r.membership(target), r.membership(sender)
	power := r.level(sender)
	refuse := func(format string, args ...any) (*roomEvent, *fault) {
		return nil, &fault{403, "M_FORBIDDEN", fmt.Sprintf(format, args...)}
	}
	switch {
	case to == event.MembershipJoin:
		rule, _ := r.content("m.room.join_rules", "")["join_rule"].(string)
		switch {
		case sender != target:
			return refuse("nobody can join for somebody else")
		case from == event.MembershipBan:
			return refuse("you are banned")
		case from != event.MembershipJoin && from != event.MembershipInvite && rule != "public" && !slices.Contains(r.creators, target):
			return refuse("you are not invited")
		}
	case own != event.MembershipJoin && (sender != target || own != event.MembershipInvite):
		if sender == target && to == event.MembershipLeave {
			return nil, &fault{400, "M_UNKNOWN", "user is not in the room"}
		}
		return refuse("you are not in the room")
	case to == event.MembershipInvite:
		switch {
		case from == event.MembershipJoin:
			return refuse("the user is in the room")
		case from == event.MembershipBan:
			return refuse("the user is banned")
		case power < r.required("invite", 0):
			return refuse("you may not invite")
		}
	case to == event.MembershipLeave && sender == target:
	case to == event.MembershipLeave && from == event.MembershipBan:
		if power < r.required("ban", 50) {
			return refuse("you may not unban")
		}
	case to == event.MembershipLeave:
		if from != event.MembershipJoin && from != event.MembershipInvite {
			return nil, &fault{403, "M_UNKNOWN", "cannot kick users who are not in the room"}
		}
		if power < r.required("kick", 50) || r.level(target) >= power {
			return refuse("you may not kick")
		}
	case to == event.MembershipBan:
		if power < r.required("ban", 50) || r.level(target) >= power {
			return refuse("you may not ban")
		}
	default:
		return nil, &fault{400, "M_BAD_JSON", "unknown membership"}
	}
	return s.setMember(r, sender, target, to, more), nil
}

// put checks and sends a state event.
func (s *Server) put(r *room, sender id.UserID, eventType, stateKey string, content json.RawMessage) (*roomEvent, *fault) {
	var fields map[string]any
	if json.Unmarshal(content, &fields) != nil || fields == nil {
		return nil, &fault{400, "M_BAD_JSON", "the content is not an object"}
	}
	if eventType == memberType {
		to, _ := fields["membership"].(string)
		delete(fields, "membership")
		e, f := s.change(r, sender, id.UserID(stateKey), event.Membership(to), fields)
		if f == nil {
			e.put = true
		}
		return e, f
	}
	if r.membership(sender) != event.MembershipJoin {
		return nil, &fault{403, "M_FORBIDDEN", "you are not in the room"}
	}
	power := r.level(sender)
	if power < r.requiredFor(eventType, true) {
		return nil, &fault{403, "M_FORBIDDEN", "your power level is too low"}
	}
	if strings.HasPrefix(stateKey, "@") && stateKey != string(sender) {
		return nil, &fault{403, "M_FORBIDDEN", "the state key is another user's"}
	}
	if eventType == "m.room.create" {
		return nil, &fault{403, "M_FORBIDDEN", "a room is created once"}
	}
	if eventType == "m.room.power_levels" {
		if f := r.checkLevels(sender, fields); f != nil {
			return nil, f
		}
	}
	return s.add(r, sender, eventType, &stateKey, content), nil
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
