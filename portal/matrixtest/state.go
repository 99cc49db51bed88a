package matrixtest

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// mayRead says whether a user sees the whole state of a room: whoever ever had to do with
// it does, and everybody where it is world readable.
func (r *room) mayRead(userID id.UserID) bool { return r.membership(userID) != "" || r.worldReadable() }

func (r *room) worldReadable() bool {
	return r.content("m.room.history_visibility", "")["history_visibility"] == "world_readable"
}

func (r *room) stateEvents() []*roomEvent {
	events := []*roomEvent{}
	for _, e := range r.state {
		events = append(events, e)
	}
	slices.SortFunc(events, func(a, b *roomEvent) int { return a.position - b.position })
	return events
}

func (s *Server) fullState(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := c.room()
	if r == nil || !r.mayRead(c.userID) {
		return nil, notInRoom
	}
	return r.stateEvents(), nil
}

func (s *Server) getState(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := c.room()
	if r == nil {
		return nil, notInRoom
	}
	e := r.state[stateKeyOf{c.PathValue("type"), c.PathValue("key")}]
	switch membership := r.membership(c.userID); {
	case membership == event.MembershipBan, membership == "" && !r.worldReadable():
		return nil, notInRoom
	case membership == "" && e != nil:
		return nil, notInRoom // a peculiarity of Dendrite's
	case e == nil && (membership == event.MembershipJoin || membership == ""):
		return nil, notFound
	case e == nil:
		// Another one: whoever is not there any more, or not yet, gets something else.
		e = r.state[stateKeyOf{"m.room.create", ""}]
	}
	if c.URL.Query().Get("format") == "event" {
		return e, nil
	}
	return e.Content, nil
}

func (s *Server) putState(c *call) (any, *fault) {
	content, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, badJSON
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := c.room()
	if r == nil {
		return nil, notInRoom
	}
	e, f := s.put(r, c.userID, c.PathValue("type"), c.PathValue("key"), content)
	if f != nil {
		return nil, f
	}
	return map[string]any{"event_id": e.EventID}, nil
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
