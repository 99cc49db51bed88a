package matrixtest

import (
	"crypto/rand"
	"encoding/json"
	"io"
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
