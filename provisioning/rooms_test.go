package provisioning_test

import (
	"context"
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// The rooms of the tests: alice has power in the first two, the bridge bot is not in
// the last.
const (
	room      id.RoomID = "!room:example.com"
	otherRoom id.RoomID = "!other:example.com"
	closed    id.RoomID = "!closed:example.com"
)

// The groups of the tests, with alice and the bot in them.
var (
	news = provisioning.ChatInfo{
		ID: provisioning.ChannelChatID(9), Title: "News <é 中 😀>", About: "All\nof it", Username: "news", Megagroup: true, PhotoID: 77,
	}
	family = provisioning.ChatInfo{ID: provisioning.BasicGroupChatID(1001), Title: "Family"}
)

const (
	asAlice = "?user_id=@alice:example.com"
	asAdmin = "?user_id=@admin:example.com"
)

// inRooms makes the rooms and groups exist.
func inRooms(b *bridge, _ *provisioning.Config) {
	powers := map[id.UserID]int{alice: 50, plain: 50, relayed: 100, stranger: 100, bob: 49, "@away:example.com": 100}
	users := []id.UserID{alice, bob, plain, relayed, stranger, admin}
	for _, roomID := range []id.RoomID{room, otherRoom} {
		b.rooms.Add(roomID, provisioningtest.MemRoom{
			Room:   provisioning.Room{Name: "The room", Topic: "A topic", Users: users, Ghosts: []provisioning.TelegramID{guardedAccount.ID, 4004}},
			Powers: powers,
		})
	}
	b.rooms.Add(closed, provisioningtest.MemRoom{NoBot: true, Room: provisioning.Room{Users: users}, Powers: powers})
	members := []provisioning.TelegramID{aliceAccount.ID, botAccount.ID}
	b.telegram.AddGroup(provisioningtest.TelegramGroup{ChatInfo: news, Members: members})
	b.telegram.AddGroup(provisioningtest.TelegramGroup{ChatInfo: family, Members: members})
	b.telegram.AddGroup(provisioningtest.TelegramGroup{ChatInfo: provisioning.ChatInfo{ID: provisioning.ChannelChatID(10)}, Members: []provisioning.TelegramID{guardedAccount.ID}})
}

// all applies several changes.
func all(changes ...func(*bridge, *provisioning.Config)) func(*bridge, *provisioning.Config) {
	return func(b *bridge, cfg *provisioning.Config) {
		for _, change := range changes {
			change(b, cfg)
		}
	}
}

var withRelay = all(inRooms, withRelayBot(botAccount))

func withoutRooms(_ *bridge, cfg *provisioning.Config) { cfg.Rooms = nil }

// bridged makes a room a portal of a chat.
func bridged(roomID id.RoomID, info provisioning.ChatInfo) func(*testing.T, *bridge) {
	return func(t *testing.T, b *bridge) {
		b.connect(t, provisioning.Portal{
			RoomID: roomID, ChatID: info.ID, Title: info.Title, About: info.About, Username: info.Username, Megagroup: info.Megagroup,
		})
	}
}

// steps does several preparations.
func steps(all ...func(*testing.T, *bridge)) func(*testing.T, *bridge) {
	return func(t *testing.T, b *bridge) {
		for _, prepare := range all {
			prepare(t, b)
		}
	}
}

// brokenRooms makes a method of the rooms fail.
func brokenRooms(method string, err error) func(*testing.T, *bridge) {
	return func(_ *testing.T, b *bridge) { b.rooms.Fail(method, err) }
}

func brokenPortals(method string, err error) func(*testing.T, *bridge) {
	return func(_ *testing.T, b *bridge) { b.portals.Fail(method, err) }
}

func brokenUsers(err error) func(*testing.T, *bridge) {
	return func(_ *testing.T, b *bridge) { b.users.Fail("User", err) }
}

// failingCall makes a method of the Telegram clients fail.
func failingCall(method string, err error) func(*testing.T, *bridge) {
	return func(_ *testing.T, b *bridge) { b.telegram.Fail(method, err) }
}

// endingSession has Telegram end sessions when a method is called.
func endingSession(method string, users ...id.UserID) func(*testing.T, *bridge) {
	return func(_ *testing.T, b *bridge) {
		b.telegram.On(method, func(context.Context) error {
			for _, userID := range users {
				b.telegram.EndSession(userID)
			}
			return nil
		})
	}
}

// raisedPower makes a state event need more power than alice has.
func raisedPower(eventType string) func(*testing.T, *bridge) {
	return func(_ *testing.T, b *bridge) {
		r, _ := b.rooms.Get(room)
		r.EventPowers = map[string]int{eventType: 51}
		b.rooms.Add(room, r)
	}
}

// wantPortal checks that a room is bridged to a chat, each to nothing else.
func wantPortal(roomID id.RoomID, chatID provisioning.ChatID) func(*testing.T, *bridge) {
	return func(t *testing.T, b *bridge) {
		byRoom, err := b.portals.PortalByRoom(t.Context(), roomID)
		if err != nil || byRoom.ChatID != chatID {
			t.Errorf("the room's portal is %v, %v", byRoom, err)
		}
		byChat, err := b.portals.PortalByChat(t.Context(), chatID, 0)
		if err != nil || byChat.RoomID != roomID {
			t.Errorf("the chat's portal is %v, %v", byChat, err)
		}
	}
}

// wantNoPortal checks that a room is not bridged.
func wantNoPortal(t *testing.T, b *bridge) {
	t.Helper()
	if portal, err := b.portals.PortalByRoom(t.Context(), room); !errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("the room has a portal: %v, %v", portal, err)
	}
}

func wantNoPortalAfter(t *testing.T, b *bridge) { wantNoPortal(t, b) }
