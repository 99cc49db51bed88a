package matrixtest

import (
	"net/http"

	"maunium.net/go/mautrix/id"
)

// register makes an appservice's user.
func (s *Server) register(r *http.Request) (any, *fault) {
	var body struct {
		Type     string `json:"type"`
		Username string `json:"username"`
	}
	r.URL.RawQuery = ""
	c, f := s.authenticate(r)
	if f != nil {
		return nil, f
	}
	if f := c.read(&body); f != nil {
		return nil, f
	}
	if c.service == nil || body.Type != "m.login.application_service" {
		return nil, &fault{403, "M_FORBIDDEN", "only appservices register users"}
	}
	userID := id.NewUserID(body.Username, s.cfg.ServerName)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !c.service.owns(userID):
		return nil, &fault{400, "M_EXCLUSIVE", "the user is outside the appservice's namespace"}
	case s.users[userID] != nil:
		return nil, &fault{400, "M_USER_IN_USE", "the user exists"}
	}
	s.users[userID] = &user{name: body.Username}
	return map[string]any{"user_id": userID}, nil
}
