package matrixtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

func (s *Server) join(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	roomID := id.RoomID(c.PathValue("room"))
	if alias := s.aliases[id.RoomAlias(roomID)]; alias != "" {
		roomID = alias
	}
	r := s.rooms[roomID]
	if r == nil {
		return nil, &fault{500, "", "there is no such room, and no server that could be asked"}
	}
	if r.membership(c.userID) != event.MembershipJoin {
		if _, f := s.change(r, c.userID, c.userID, event.MembershipJoin, nil); f != nil {
			return nil, f
		}
	}
	return map[string]any{"room_id": roomID}, nil
}

func (s *Server) changeMember(c *call, action string, to event.Membership) (any, *fault) {
	var body struct {
		UserID id.UserID `json:"user_id"`
		Reason string    `json:"reason"`
	}
	if f := c.read(&body); f != nil {
		return nil, f
	}
	if action == "leave" {
		body.UserID = c.userID
	}
	more := map[string]any{}
	if body.Reason != "" {
		more["reason"] = body.Reason
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := c.room()
	switch {
	case r == nil && action == "leave":
		return nil, &fault{400, "M_UNKNOWN", "you are not in the room"}
	case r == nil:
		return nil, notInRoom
	case action == "kick" && r.membership(body.UserID) == event.MembershipBan:
		return nil, &fault{403, "M_UNKNOWN", "cannot kick banned users"}
	case action == "unban" && r.membership(body.UserID) != event.MembershipBan:
		return nil, &fault{400, "M_UNKNOWN", "the user is not banned"}
	}
	if _, f := s.change(r, c.userID, body.UserID, to, more); f != nil {
		return nil, f
	}
	return empty{}, nil
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

func (s *Server) joinedRooms(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := []id.RoomID{}
	for roomID, r := range s.rooms {
		if r.membership(c.userID) == event.MembershipJoin {
			rooms = append(rooms, roomID)
		}
	}
	slices.Sort(rooms)
	return map[string]any{"joined_rooms": rooms}, nil
}

func (s *Server) joinedMembers(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := c.room()
	if !strings.HasPrefix(c.PathValue("room"), "!") {
		return nil, &fault{400, "M_INVALID_PARAM", "that is not a room ID"}
	}
	if r == nil || r.membership(c.userID) != event.MembershipJoin {
		return nil, notInRoom
	}
	type member struct {
		Name   string              `json:"display_name,omitempty"`
		Avatar id.ContentURIString `json:"avatar_url,omitempty"`
	}
	joined := map[string]member{}
	for userID, membership := range r.members {
		if membership == event.MembershipJoin {
			u := s.users[userID]
			joined[string(userID)] = member{u.name, u.avatar}
		}
	}
	return map[string]any{"joined": joined}, nil
}

func (s *Server) members(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := c.room()
	if r == nil || !r.mayRead(c.userID) {
		return nil, notInRoom
	}
	want, without := c.URL.Query().Get("membership"), c.URL.Query().Get("not_membership")
	chunk := []*roomEvent{}
	for userID, membership := range r.members {
		if m := string(membership); (want == "" || m == want) && (without == "" || m != without) {
			chunk = append(chunk, r.state[stateKeyOf{memberType, string(userID)}])
		}
	}
	return map[string]any{"chunk": chunk}, nil
}
