package matrixtest

import (
	"net/http"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

func (s *Server) getProfile(r *http.Request) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[id.UserID(r.PathValue("user"))]
	if u == nil {
		return nil, unknownUser
	}
	profile := map[string]any{}
	for field, value := range map[string]string{"displayname": u.name, "avatar_url": string(u.avatar)} {
		if only := r.PathValue("field"); value != "" && (only == "" || only == field) {
			profile[field] = value
		}
	}
	return profile, nil
}

func (s *Server) putProfile(c *call) (any, *fault) {
	var body map[string]string
	if f := c.read(&body); f != nil {
		return nil, f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	userID, field := id.UserID(c.PathValue("user")), c.PathValue("field")
	u := s.users[userID]
	switch {
	case userID != c.userID || u == nil:
		return nil, &fault{403, "M_FORBIDDEN", "the profile is another user's"}
	case field == "displayname":
		u.name = body[field]
	case field == "avatar_url":
		u.avatar = id.ContentURIString(body[field])
	default:
		return nil, &fault{400, "M_UNRECOGNIZED", "unknown field"}
	}
	for _, r := range s.rooms {
		if r.membership(userID) == event.MembershipJoin {
			s.setMember(r, userID, userID, event.MembershipJoin, nil)
		}
	}
	return empty{}, nil
}
