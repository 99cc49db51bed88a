package matrixtest

import (
	"encoding/json"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// creation is the body of createRoom.
type creation struct {
	Preset          string                     `json:"preset"`
	Visibility      string                     `json:"visibility"`
	Name            string                     `json:"name"`
	Topic           string                     `json:"topic"`
	AliasName       string                     `json:"room_alias_name"`
	Invite          []id.UserID                `json:"invite"`
	IsDirect        bool                       `json:"is_direct"`
	RoomVersion     string                     `json:"room_version"`
	CreationContent map[string]json.RawMessage `json:"creation_content"`
	PowerLevels     map[string]json.RawMessage `json:"power_level_content_override"`
	InitialState    []struct {
		Type     string          `json:"type"`
		StateKey string          `json:"state_key"`
		Content  json.RawMessage `json:"content"`
	} `json:"initial_state"`
}

func (s *Server) createRoom(c *call) (any, *fault) {
	var body creation
	if f := c.read(&body); f != nil {
		return nil, f
	}
	if body.RoomVersion == "" {
		body.RoomVersion = s.cfg.RoomVersion
	}
	if !slices.Contains(roomVersions, body.RoomVersion) {
		return nil, &fault{400, "M_UNSUPPORTED_ROOM_VERSION", "unknown room version"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	alias := id.NewRoomAlias(body.AliasName, s.cfg.ServerName)
	if body.AliasName != "" && s.aliases[alias] != "" {
		return nil, &fault{400, "M_ROOM_IN_USE", "the alias is taken"}
	}
	hash := newID() + newID()[:17] // 43 characters, as a hash has
	roomID := id.RoomID("!" + hash)
	if body.RoomVersion != "12" {
		roomID = id.RoomID("!" + newID() + ":" + s.cfg.ServerName)
	}
	r := &room{
		id: roomID, version: body.RoomVersion, creators: []id.UserID{c.userID}, state: map[stateKeyOf]*roomEvent{},
		members: map[id.UserID]event.Membership{}, joined: map[*service]int{},
	}
	s.rooms[roomID] = r
	if f := s.fill(c, r, body, alias, id.EventID("$"+hash)); f != nil {
		delete(s.rooms, roomID)
		return nil, f
	}
	return map[string]any{"room_id": roomID}, nil
}

// fill sends the first events of a room.
func (s *Server) fill(c *call, r *room, body creation, alias id.RoomAlias, first id.EventID) *fault {
	none := ""
	set := func(eventType string, content any) *roomEvent {
		raw, _ := json.Marshal(content)
		return s.add(r, c.userID, eventType, &none, raw)
	}
	// Of this event, room IDs are made in version 12.
	set("m.room.create", body.create(r)).EventID = first
	s.setMember(r, c.userID, c.userID, event.MembershipJoin, nil)
	levels, f := body.levels(r)
	if f != nil {
		return f
	}
	set("m.room.power_levels", levels)
	rule := "invite"
	if body.Preset == "public_chat" || (body.Preset == "" && body.Visibility == "public") {
		rule = "public"
	}
	set("m.room.join_rules", map[string]string{"join_rule": rule})
	set("m.room.history_visibility", map[string]string{"history_visibility": "shared"})
	for _, e := range body.InitialState {
		if _, f := s.put(r, c.userID, e.Type, e.StateKey, e.Content); f != nil {
			return f
		}
	}
	if body.Name != "" {
		set("m.room.name", map[string]string{"name": body.Name})
	}
	if body.Topic != "" {
		set("m.room.topic", map[string]string{"topic": body.Topic})
	}
	if body.AliasName != "" {
		s.aliases[alias] = r.id
		set("m.room.canonical_alias", map[string]any{"alias": alias})
	}
	more := map[string]any{}
	if body.IsDirect {
		more["is_direct"] = true
	}
	for _, userID := range body.Invite {
		if _, f := s.change(r, c.userID, userID, event.MembershipInvite, more); f != nil {
			return f
		}
	}
	return nil
}

// trusted says whether those who are invited get the creator's power.
func (b creation) trusted() bool { return b.Preset == "trusted_private_chat" }

// create makes the content of the first event, and completes the room's creators.
func (b creation) create(r *room) map[string]any {
	content := map[string]any{"room_version": r.version}
	for key, value := range b.CreationContent {
		content[key] = value
	}
	if r.version == "12" {
		var more []id.UserID
		_ = json.Unmarshal(b.CreationContent["additional_creators"], &more)
		if b.trusted() {
			more = append(more, b.Invite...)
		}
		if len(more) > 0 {
			content["additional_creators"] = more
		}
		r.creators = append(r.creators, more...)
	}
	if r.version == "9" || r.version == "10" {
		content["creator"] = r.creators[0]
	}
	return content
}

// levels makes the content of the power levels.
func (b creation) levels(r *room) (map[string]any, *fault) {
	creator := string(r.creators[0])
	users := map[string]any{}
	if r.version != "12" {
		users[creator] = 100.0
		if b.trusted() {
			for _, userID := range b.Invite {
				users[string(userID)] = 100.0
			}
		}
	}
	levels := map[string]any{"users": users}
	for key, value := range b.PowerLevels {
		if key == "users" {
			var given map[string]any
			if json.Unmarshal(value, &given) != nil {
				return nil, badJSON
			}
			for userID, level := range given {
				if r.version == "12" && slices.Contains(r.creators, id.UserID(userID)) {
					return nil, &fault{400, "M_FORBIDDEN", "new power levels event must not contain creator"}
				}
				users[userID] = level
			}
			continue
		}
		levels[key] = value
	}
	if r.version != "12" && number(users[creator], 0) < 100 {
		return nil, &fault{403, "M_FORBIDDEN", "the creator could not finish the room"}
	}
	return levels, nil
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
