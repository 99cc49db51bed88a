package provisioningtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestRoomsMutants(t *testing.T) {
	testRoomsSuite(t, roomsChecks, slices.Concat(roomsErrorMutants, roomsReadMutants, roomsSetUpMutants, roomsCleanUpMutants))
}

// withCheckBot alters the error of CheckBot.
func withCheckBot(change func(a *alteredRooms, roomID id.RoomID, err error) error) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.checkBot = func(ctx context.Context, roomID id.RoomID) error {
			return change(a, roomID, a.MemRooms.CheckBot(ctx, roomID))
		}
	}
}

// forgiving makes an error of a method be none.
func forgiving(which error) func(*alteredRooms) {
	forgive := func(err error) error {
		if errors.Is(err, which) {
			return nil
		}
		return err
	}
	return func(a *alteredRooms) {
		a.checkBot = func(ctx context.Context, roomID id.RoomID) error { return forgive(a.MemRooms.CheckBot(ctx, roomID)) }
		a.hasPower = func(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
			has, err := a.MemRooms.HasPower(ctx, roomID, userID, eventType)
			return has, forgive(err)
		}
		a.room = func(ctx context.Context, roomID id.RoomID, query provisioning.RoomQuery) (provisioning.Room, error) {
			room, err := a.MemRooms.Room(ctx, roomID, query)
			return room, forgive(err)
		}
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			return forgive(a.MemRooms.SetUpPortal(ctx, setup))
		}
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			return forgive(a.MemRooms.CleanUp(ctx, portal, everybody))
		}
	}
}

// reporting makes an error be another one, for one method.
func reporting(method string, from, to error) func(*alteredRooms) {
	report := func(err error) error {
		if errors.Is(err, from) {
			return to
		}
		return err
	}
	return func(a *alteredRooms) {
		switch method {
		case "HasPower":
			a.hasPower = func(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
				has, err := a.MemRooms.HasPower(ctx, roomID, userID, eventType)
				return has, report(err)
			}
		case "SetUpPortal":
			a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
				return report(a.MemRooms.SetUpPortal(ctx, setup))
			}
		case "CleanUp":
			a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
				return report(a.MemRooms.CleanUp(ctx, portal, everybody))
			}
		}
	}
}

// deaf makes a method go on after its context has ended.
func deaf(method string) func(*alteredRooms) {
	return func(a *alteredRooms) {
		switch method {
		case "CheckBot":
			a.checkBot = func(ctx context.Context, roomID id.RoomID) error {
				return a.MemRooms.CheckBot(context.WithoutCancel(ctx), roomID)
			}
		case "SetUpPortal":
			a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
				return a.MemRooms.SetUpPortal(context.WithoutCancel(ctx), setup)
			}
		case "CleanUp":
			a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
				return a.MemRooms.CleanUp(context.WithoutCancel(ctx), portal, everybody)
			}
		}
	}
}

var roomsErrorMutants = []roomsMutant{
	{"the bot is somebody else", "bot", func(a *alteredRooms) { a.botID = func() id.UserID { return "@alice:example.com" } }},
	{"the bot is nowhere", "bot in the room", withCheckBot(func(*alteredRooms, id.RoomID, error) error { return provisioning.ErrBridgeBotNotInRoom })},
	{"once kicked, always kicked", "bot in the room", func(a *alteredRooms) {
		a.checkBot = func(ctx context.Context, roomID id.RoomID) error {
			if a.left[roomID] {
				return provisioning.ErrBridgeBotNotInRoom
			}
			return a.MemRooms.CheckBot(ctx, roomID)
		}
	}},
	{"no error without the bot", "CheckBot without the bot", forgiving(provisioning.ErrBridgeBotNotInRoom)},
	{"only unknown rooms are an error", "CheckBot without the bot", withCheckBot(func(a *alteredRooms, roomID id.RoomID, err error) error {
		if _, ok := a.Get(roomID); ok {
			return nil
		}
		return err
	})},
	{"a room that does not exist is a fault", "CheckBot without the bot", withCheckBot(func(a *alteredRooms, roomID id.RoomID, err error) error {
		if _, ok := a.Get(roomID); !ok {
			return provisioning.ErrHomeserver
		}
		return err
	})},
	{"no error without the bot", "HasPower without the bot", forgiving(provisioning.ErrBridgeBotNotInRoom)},
	{"no error without the bot", "Room without the bot", forgiving(provisioning.ErrBridgeBotNotInRoom)},
	{"no error without the bot", "SetUpPortal without the bot", forgiving(provisioning.ErrBridgeBotNotInRoom)},
	{"the homeserver's error", "SetUpPortal without the bot", reporting("SetUpPortal", provisioning.ErrBridgeBotNotInRoom, provisioning.ErrHomeserver)},
	{"no error", "homeserver fails", forgiving(provisioning.ErrHomeserver)},
	{"an error of its own", "homeserver fails", reporting("HasPower", provisioning.ErrHomeserver, errors.New("HTTP 502"))},
	{"no answer is no", "homeserver fails", reporting("HasPower", provisioning.ErrHomeserver, provisioning.ErrBridgeBotNotInRoom)},
	{"no answer is no, as well", "homeserver fails", reporting("SetUpPortal", provisioning.ErrHomeserver, fmt.Errorf("%w: %w", provisioning.ErrHomeserver, provisioning.ErrBridgeBotNotInRoom))},
	{"no answer is no, in the middle", "homeserver fails", func(a *alteredRooms) {
		a.hasPower = func(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
			if err := a.MemRooms.CheckBot(ctx, roomID); err != nil {
				return false, err
			}
			has, err := a.MemRooms.HasPower(ctx, roomID, userID, eventType)
			if err != nil {
				return false, provisioning.ErrBridgeBotNotInRoom
			}
			return has, nil
		}
	}},
	{"clean-up does its best", "homeserver fails", reporting("CleanUp", provisioning.ErrHomeserver, nil)},
	{"CheckBot without the context", "cancelled context", deaf("CheckBot")},
	{"SetUpPortal without the context", "cancelled context", deaf("SetUpPortal")},
	{"CleanUp without the context", "cancelled context", deaf("CleanUp")},
	{"the homeserver's error", "cancelled context", reporting("HasPower", context.Canceled, provisioning.ErrHomeserver)},
	{"waits on", "context cancelled while waiting", deaf("CheckBot")},
	{"cleans up on", "context cancelled while waiting", deaf("CleanUp")},
	{"the homeserver's error", "context cancelled while waiting", reporting("SetUpPortal", context.Canceled, provisioning.ErrHomeserver)},
	{"cancelled in the middle is the end", "context cancelled while waiting", func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			if err := a.MemRooms.CheckBot(ctx, portal.RoomID); ctx.Err() != nil {
				return err
			}
			if err := a.MemRooms.CleanUp(ctx, portal, everybody); ctx.Err() == nil {
				return err
			}
			return nil
		}
	}},
	{"one setup in a field", "concurrent calls", func(a *alteredRooms) {
		var current provisioning.PortalSetup
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			a.mu.Lock()
			current = setup
			a.mu.Unlock()
			letOthersIn()
			a.mu.Lock()
			setup = current
			a.mu.Unlock()
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
	{"one clean-up at a time", "concurrent calls", func(a *alteredRooms) {
		busy := false
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			a.mu.Lock()
			was := busy
			busy = true
			a.mu.Unlock()
			if was {
				return errors.New("busy")
			}
			letOthersIn()
			a.mu.Lock()
			busy = false
			a.mu.Unlock()
			return a.MemRooms.CleanUp(ctx, portal, everybody)
		}
	}},
}

// withPower has HasPower decide by a room's power levels in another way.
func withPower(decide func(room MemRoom, userID id.UserID, eventType string, has bool) bool) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.hasPower = func(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
			has, err := a.MemRooms.HasPower(ctx, roomID, userID, eventType)
			room, _ := a.Get(roomID)
			return err == nil && decide(room, userID, eventType, has), err
		}
	}
}

// rewriting has HasPower see other power levels, of those who have joined.
func rewriting(change func(levels object)) func(*alteredRooms) {
	return withPower(func(room MemRoom, userID id.UserID, eventType string, _ bool) bool {
		levels := object{}
		_ = json.Unmarshal([]byte(room.PowerLevels), &levels)
		change(levels)
		room.PowerLevels = encode(levels)
		return room.joined(userID) && room.may(userID, eventType)
	})
}

// withRoom alters what Room returns.
func withRoom(change func(a *alteredRooms, roomID id.RoomID, room *provisioning.Room)) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.room = func(ctx context.Context, roomID id.RoomID, query provisioning.RoomQuery) (provisioning.Room, error) {
			room, err := a.MemRooms.Room(ctx, roomID, query)
			if err == nil {
				change(a, roomID, &room)
			}
			return room, err
		}
	}
}

// withMember decides who has joined a room.
func withMember(decide func(room MemRoom, userID id.UserID, joined bool) bool) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.room = func(ctx context.Context, roomID id.RoomID, query provisioning.RoomQuery) (provisioning.Room, error) {
			room, err := a.MemRooms.Room(ctx, roomID, query)
			if query.Member != "" && err == nil {
				of, _ := a.Get(roomID)
				room.Joined = decide(of, query.Member, room.Joined)
			}
			return room, err
		}
	}
}

var roomsReadMutants = []roomsMutant{
	{"everybody may", "power levels", withPower(func(MemRoom, id.UserID, string, bool) bool { return true })},
	{"nobody may", "power levels", withPower(func(MemRoom, id.UserID, string, bool) bool { return false })},
	{"no levels of events", "power levels", rewriting(func(levels object) { delete(levels, "events") })},
	{"no state_default", "power levels", rewriting(func(levels object) { delete(levels, "state_default") })},
	{"no users_default", "power levels", rewriting(func(levels object) { delete(levels, "users_default") })},
	{"users_default for all", "power levels", rewriting(func(levels object) {
		if levels["users_default"] != nil {
			delete(levels, "users")
		}
	})},
	{"events_default", "power levels", rewriting(func(levels object) {
		if levels["events_default"] != nil {
			levels["state_default"] = levels["events_default"]
		}
	})},
	{"zero is unset", "power levels", rewriting(func(levels object) {
		if levels["state_default"] == 0.0 {
			delete(levels, "state_default")
		}
	})},
	{"of whoever it is", "power of those in the room", withPower(func(room MemRoom, userID id.UserID, eventType string, _ bool) bool {
		return room.may(userID, eventType)
	})},
	{"of invited users as well", "power of those in the room", withPower(func(room MemRoom, userID id.UserID, eventType string, has bool) bool {
		return has || slices.Contains(room.Invited, userID) && room.may(userID, eventType)
	})},
	{"everybody has joined", "whether somebody is in a room", withMember(func(MemRoom, id.UserID, bool) bool { return true })},
	{"nobody has joined", "whether somebody is in a room", withMember(func(MemRoom, id.UserID, bool) bool { return false })},
	{"invited is joined", "whether somebody is in a room", withMember(func(room MemRoom, userID id.UserID, joined bool) bool {
		return joined || slices.Contains(room.Invited, userID)
	})},
	{"without the bot, everybody has joined", "Room without the bot", func(a *alteredRooms) {
		a.room = func(ctx context.Context, roomID id.RoomID, query provisioning.RoomQuery) (provisioning.Room, error) {
			if query.Member != "" {
				return provisioning.Room{Joined: true}, nil
			}
			return a.MemRooms.Room(ctx, roomID, query)
		}
	}},
	{"no answer is no, of a member", "homeserver fails", func(a *alteredRooms) {
		a.room = func(ctx context.Context, roomID id.RoomID, query provisioning.RoomQuery) (provisioning.Room, error) {
			room, err := a.MemRooms.Room(ctx, roomID, query)
			if query.Member != "" && errors.Is(err, provisioning.ErrHomeserver) {
				err = nil
			}
			return room, err
		}
	}},
	{"creators are like others", "power of creators", withPower(func(room MemRoom, userID id.UserID, eventType string, _ bool) bool {
		room.Creators = nil
		return room.joined(userID) && room.may(userID, eventType)
	})},
	{"there is one creator", "power of creators", withPower(func(room MemRoom, userID id.UserID, eventType string, has bool) bool {
		return has && (len(room.Creators) == 0 || room.Creators[len(room.Creators)-1] == userID)
	})},
	{"creators of version 11", "power of creators", func(a *alteredRooms) {
		a.hasPower = func(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error) {
			has, err := a.MemRooms.HasPower(ctx, roomID, userID, eventType)
			return has || err == nil && a.creators[roomID] == userID, err
		}
	}},
	{"malformed is as if it were not there", "malformed power levels", withPower(func(room MemRoom, userID id.UserID, eventType string, has bool) bool {
		var levels struct {
			Users   map[id.UserID]any `json:"users"`
			Default any               `json:"users_default"`
		}
		_ = json.Unmarshal([]byte(room.PowerLevels), &levels)
		level, _ := levels.Default.(float64)
		if own, ok := levels.Users[userID].(float64); ok {
			level = own
		}
		return has || level >= 50
	})},
	{"malformed stops creators", "malformed power levels", withPower(func(room MemRoom, _ id.UserID, eventType string, has bool) bool {
		room.Creators = nil
		_, _, _, ok := room.powers(memBot, eventType)
		return has && ok
	})},

	{"no topic", "what a room has", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) { room.Topic = "" })},
	{"no predecessor", "an upgraded room", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) { room.Predecessor = "" })},
	{"no tombstone", "an upgraded room", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) { room.Replacement = "" })},
	{"no alias", "what a room has", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) { room.CanonicalAlias = "" })},
	{"never encrypted", "what a room has", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) { room.Encrypted = false })},
	{"ASCII names", "what a room has", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) {
		room.Name = fmt.Sprintf("%+q", room.Name)
	})},
	{"a name in any case", "a bare room", withRoom(func(_ *alteredRooms, roomID id.RoomID, room *provisioning.Room) {
		if room.Name == "" {
			room.Name = string(roomID)
		}
	})},
	{"always encrypted", "a bare room", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) { room.Encrypted = true })},
	{"the bot is a user", "who is in a room", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) {
		room.Users = append(room.Users, memBot)
	})},
	{"ghosts are users", "who is in a room", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) {
		for _, telegramID := range room.Ghosts {
			room.Users = append(room.Users, memGhost(telegramID))
		}
	})},
	{"invited users as well", "who is in a room", withRoom(func(a *alteredRooms, roomID id.RoomID, room *provisioning.Room) {
		all, _ := a.Get(roomID)
		room.Users = append(room.Users, all.Invited...)
	})},
	{"banned users as well", "who is in a room", withRoom(func(a *alteredRooms, roomID id.RoomID, room *provisioning.Room) {
		all, _ := a.Get(roomID)
		room.Users = append(room.Users, all.Banned...)
	})},
	{"ghosts of 32 bits", "who is in a room", withRoom(func(_ *alteredRooms, _ id.RoomID, room *provisioning.Room) {
		for i := range room.Ghosts {
			room.Ghosts[i] = provisioning.TelegramID(int32(room.Ghosts[i]))
		}
	})},
}
