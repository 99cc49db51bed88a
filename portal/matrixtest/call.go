package matrixtest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"maunium.net/go/mautrix/id"
)

// fault is an error answer.
type fault struct {
	status  int
	errcode string
	text    string
}

var (
	notFound    = &fault{404, "M_NOT_FOUND", "there is no such thing"}
	notInRoom   = &fault{403, "M_FORBIDDEN", "you are not in the room"}
	badJSON     = &fault{400, "M_BAD_JSON", "the body is not what it should be"}
	unknownUser = &fault{404, "M_NOT_FOUND", "there is no such user"}
)

// call is a request that came with a token.
type call struct {
	*http.Request
	server  *Server
	userID  id.UserID
	service *service // nil for ordinary users
}

// read decodes the body, of which nothing is an empty object.
func (c *call) read(into any) *fault {
	raw, err := io.ReadAll(c.Body)
	if err != nil || (len(raw) > 0 && json.Unmarshal(raw, into) != nil) {
		return badJSON
	}
	return nil
}

// room finds the room of the path. The caller holds the lock.
func (c *call) room() *room { return c.server.rooms[id.RoomID(c.PathValue("room"))] }

// empty is the answer of most changes.
type empty struct{}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func writeFault(w http.ResponseWriter, f *fault) {
	write(w, f.status, map[string]any{"errcode": f.errcode, "error": f.text, "retry_after_ms": 1})
}

// authenticate finds out who asks.
func (s *Server) authenticate(r *http.Request) (*call, *fault) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, &fault{401, "M_MISSING_TOKEN", "there is no access token"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{Request: r, server: s, userID: s.tokens[token]}
	if c.userID == "" {
		return nil, &fault{401, "M_UNKNOWN_TOKEN", "the access token is unknown"}
	}
	for _, sv := range s.services {
		if sv.registration.AppToken == token {
			c.service = sv
		}
	}
	if as := id.UserID(r.URL.Query().Get("user_id")); as != "" && c.service != nil {
		if !c.service.owns(as) || s.users[as] == nil {
			return nil, &fault{403, "M_FORBIDDEN", "the appservice may not act as this user"}
		}
		c.userID = as
	}
	return c, nil
}
