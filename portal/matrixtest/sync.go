package matrixtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

type eventList struct {
	Events []*roomEvent `json:"events"`
}

type joinedRoom struct {
	State    eventList `json:"state"`
	Timeline eventList `json:"timeline"`
}

type invitedRoom struct {
	State eventList `json:"invite_state"`
}

type leftRoom struct {
	Timeline eventList `json:"timeline"`
}

type syncRooms struct {
	Join   map[id.RoomID]joinedRoom  `json:"join"`
	Invite map[id.RoomID]invitedRoom `json:"invite"`
	Leave  map[id.RoomID]leftRoom    `json:"leave"`
}

// sync answers at once where there is something new, and else waits for that.
func (s *Server) sync(c *call) (any, *fault) {
	query := c.URL.Query()
	since, _ := strconv.Atoi(query.Get("since"))
	milliseconds, _ := strconv.Atoi(query.Get("timeout"))
	timeout := time.NewTimer(time.Duration(milliseconds) * time.Millisecond)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		rooms, position, changed := s.since(c.userID, since), s.position, s.changed
		s.mu.Unlock()
		answer := map[string]any{"next_batch": fmt.Sprint(position), "rooms": rooms}
		if query.Get("since") == "" || len(rooms.Join)+len(rooms.Invite)+len(rooms.Leave) > 0 {
			return answer, nil
		}
		select {
		case <-changed:
		case <-timeout.C:
			return answer, nil
		case <-c.Context().Done():
			return answer, nil
		}
	}
}

// inviteState is what somebody who is invited is told of a room: of an invitation that
// came as a state event, Dendrite tells nothing else.
func (r *room) inviteState(invitation *roomEvent) []*roomEvent {
	events := []*roomEvent{invitation}
	if invitation.put {
		return events
	}
	for _, key := range []stateKeyOf{
		{"m.room.create", ""}, {"m.room.join_rules", ""}, {"m.room.name", ""}, {memberType, string(invitation.Sender)},
	} {
		if e := r.state[key]; e != nil {
			events = append(events, e)
		}
	}
	return events
}

// since collects what is new for a user. The caller holds the lock.
func (s *Server) since(userID id.UserID, position int) syncRooms {
	news := syncRooms{map[id.RoomID]joinedRoom{}, map[id.RoomID]invitedRoom{}, map[id.RoomID]leftRoom{}}
	for roomID, r := range s.rooms {
		own := r.state[stateKeyOf{memberType, string(userID)}]
		if own == nil {
			continue
		}
		var fresh []*roomEvent
		for _, e := range r.events {
			if e.position > position {
				fresh = append(fresh, e)
			}
		}
		switch r.membership(userID) {
		case event.MembershipJoin:
			joined := joinedRoom{State: eventList{[]*roomEvent{}}, Timeline: eventList{fresh}}
			if own.position > position && !r.hadJoined(userID, position) {
				joined.State.Events, joined.Timeline.Events = r.stateEvents(), r.latest()
			}
			if len(fresh) > 0 {
				news.Join[roomID] = joined
			}
		case event.MembershipInvite:
			if own.position > position {
				news.Invite[roomID] = invitedRoom{eventList{r.inviteState(own)}}
			}
		default:
			if own.position > position && position > 0 {
				news.Leave[roomID] = leftRoom{eventList{[]*roomEvent{own}}}
			}
		}
	}
	return news
}

// hadJoined says whether a user was in the room at a position.
func (r *room) hadJoined(userID id.UserID, position int) bool {
	for _, e := range slices.Backward(r.events) {
		if e.position > position || e.Type != memberType || e.StateKey == nil || *e.StateKey != string(userID) {
			continue
		}
		var content event.MemberEventContent
		_ = json.Unmarshal(e.Content, &content)
		return content.Membership == event.MembershipJoin
	}
	return false
}

// latest are the events that somebody gets who has just joined: also some from before.
func (r *room) latest() []*roomEvent {
	const most = 20
	return r.events[max(0, len(r.events)-most):]
}
