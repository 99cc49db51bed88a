package matrixtest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
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

// handler routes what clients ask for.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	open := func(method, path, operation string, handle func(*http.Request) (any, *fault)) {
		for _, version := range []string{"v3", "r0"} {
			mux.HandleFunc(method+" "+strings.Replace(path, "{v}", version, 1), func(w http.ResponseWriter, r *http.Request) {
				s.cfg.Log.Debug().Str("operation", operation).Msg("Request")
				if f := s.script.enter(r.Context(), operation); f != nil {
					writeFault(w, f)
					return
				}
				body, f := handle(r)
				if f != nil {
					writeFault(w, f)
					return
				}
				if m, ok := body.(Media); ok {
					w.Header().Set("Content-Type", m.Type)
					_, _ = w.Write(m.Data)
					return
				}
				write(w, http.StatusOK, body)
			})
			if !strings.Contains(path, "{v}") {
				break
			}
		}
	}
	authed := func(method, path, operation string, handle func(*call) (any, *fault)) {
		open(method, path, operation, func(r *http.Request) (any, *fault) {
			c, f := s.authenticate(r)
			if f != nil {
				return nil, f
			}
			return handle(c)
		})
	}
	const client = "/_matrix/client/{v}"
	open("GET", "/_matrix/client/versions", "versions", func(*http.Request) (any, *fault) {
		return map[string]any{"versions": []string{"v1.1", "v1.11", "v1.16"}}, nil
	})
	open("POST", client+"/register", "register", s.register)
	authed("GET", client+"/capabilities", "capabilities", s.capabilities)
	authed("GET", client+"/account/whoami", "whoami", func(c *call) (any, *fault) { return map[string]any{"user_id": c.userID}, nil })
	authed("POST", client+"/createRoom", "createRoom", s.createRoom)
	authed("POST", client+"/join/{room}", "join", s.join)
	authed("POST", client+"/rooms/{room}/join", "join", s.join)
	for action, to := range map[string]event.Membership{
		"invite": event.MembershipInvite, "leave": event.MembershipLeave, "kick": event.MembershipLeave,
		"ban": event.MembershipBan, "unban": event.MembershipLeave,
	} {
		authed("POST", client+"/rooms/{room}/"+action, action, func(c *call) (any, *fault) { return s.changeMember(c, action, to) })
	}
	authed("POST", client+"/rooms/{room}/forget", "forget", func(*call) (any, *fault) { return empty{}, nil })
	authed("GET", client+"/joined_rooms", "joined_rooms", s.joinedRooms)
	authed("GET", client+"/rooms/{room}/joined_members", "joined_members", s.joinedMembers)
	authed("GET", client+"/rooms/{room}/members", "members", s.members)
	authed("GET", client+"/rooms/{room}/state", "state", s.fullState)
	authed("GET", client+"/rooms/{room}/state/{type}", "GET state", s.getState)
	authed("GET", client+"/rooms/{room}/state/{type}/{key...}", "GET state", s.getState)
	authed("PUT", client+"/rooms/{room}/state/{type}", "PUT state", s.putState)
	authed("PUT", client+"/rooms/{room}/state/{type}/{key...}", "PUT state", s.putState)
	authed("PUT", client+"/rooms/{room}/send/{type}/{txn}", "send", s.send)
	authed("GET", client+"/directory/room/{alias}", "GET alias", s.getAlias)
	open("GET", client+"/profile/{user}", "GET profile", s.getProfile)
	open("GET", client+"/profile/{user}/{field}", "GET profile", s.getProfile)
	authed("PUT", client+"/profile/{user}/{field}", "PUT profile", s.putProfile)
	authed("POST", "/_matrix/media/{v}/upload", "upload", s.upload)
	authed("GET", "/_matrix/client/v1/media/download/{server}/{media}", "download", s.download)
	authed("GET", client+"/sync", "sync", s.sync)
	authed("PUT", client+"/user/{user}/account_data/{type}", "account_data", func(*call) (any, *fault) { return empty{}, nil })
	authed("POST", client+"/user/{user}/openid/request_token", "openid", s.requestOpenID)
	open("GET", "/_matrix/federation/v1/openid/userinfo", "userinfo", s.openIDUserInfo)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeFault(w, &fault{404, "M_UNRECOGNIZED", "this homeserver does not know that"})
	})
	return mux
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

func (s *Server) capabilities(*call) (any, *fault) {
	available := map[string]string{}
	for _, version := range roomVersions {
		available[version] = "stable"
	}
	return map[string]any{"capabilities": map[string]any{
		"m.room_versions": map[string]any{"default": s.cfg.RoomVersion, "available": available},
	}}, nil
}

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

// mayRead says whether a user sees the whole state of a room: whoever ever had to do with
// it does, and everybody where it is world readable.
func (r *room) mayRead(userID id.UserID) bool { return r.membership(userID) != "" || r.worldReadable() }

func (r *room) worldReadable() bool {
	return r.content("m.room.history_visibility", "")["history_visibility"] == "world_readable"
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

func (s *Server) send(c *call) (any, *fault) {
	content, err := io.ReadAll(c.Body)
	if err != nil || !json.Valid(content) {
		return nil, badJSON
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := c.room()
	if r == nil || r.membership(c.userID) != event.MembershipJoin {
		return nil, notInRoom
	}
	if r.level(c.userID) < r.requiredFor(c.PathValue("type"), false) {
		return nil, &fault{403, "M_FORBIDDEN", "your power level is too low"}
	}
	return map[string]any{"event_id": s.add(r, c.userID, c.PathValue("type"), nil, content).EventID}, nil
}

func (s *Server) getAlias(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	roomID := s.aliases[id.RoomAlias(c.PathValue("alias"))]
	if roomID == "" {
		return nil, notFound
	}
	return map[string]any{"room_id": roomID, "servers": []string{s.cfg.ServerName}}, nil
}

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

func (s *Server) upload(c *call) (any, *fault) {
	data, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, badJSON
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mediaID := newID()
	s.media[mediaID] = Media{data, c.Header.Get("Content-Type")}
	return map[string]any{"content_uri": "mxc://" + s.cfg.ServerName + "/" + mediaID}, nil
}

func (s *Server) download(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.media[c.PathValue("media")]
	if !ok || c.PathValue("server") != s.cfg.ServerName {
		return nil, notFound
	}
	return m, nil
}
