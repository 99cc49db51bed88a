package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

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

func portalOperations() []operation {
	return []operation{
		{
			op: "get_portal", method: http.MethodGet, path: "/portal/{room_id}",
			documented: []string{"200 ", "400 mxid_empty", "400 mxid_invalid", "404 portal_not_found", "500 unhandled_error"},
			cases:      append(lookupCases("PortalByRoom"), getPortalCases()...),
		},
		{
			op: "get_portal_by_tgid", method: http.MethodGet, path: "/portal/{chat_id}",
			documented: []string{"200 ", "400 tgid_invalid", "400 mxid_invalid", "404 portal_not_found", "500 unhandled_error"},
			cases:      append(lookupCases("PortalByChat"), getPortalByTgidCases()...),
		},
		{
			op: "connect_portal", method: http.MethodPost, path: "/portal/{room_id}/connect/{chat_id}",
			documented: []string{
				"200 bridge_exists", "202 ", "400 mxid_empty", "400 mxid_invalid", "400 tgid_invalid", "400 body_value_invalid",
				"403 not_enough_permissions", "403 bot_not_in_room", "403 bot_not_in_chat", "403 user_not_in_chat", "403 not_logged_in",
				"409 room_already_bridged", "409 chat_already_bridged", "500 unhandled_error", "501 not_implemented",
			},
			cases: connectCases(),
		},
		{
			op: "create_portal", method: http.MethodPost, path: "/portal/{room_id}/create",
			documented: []string{
				"201 ", "400 mxid_empty", "400 mxid_invalid", "400 json_invalid", "400 body_value_missing", "400 body_value_invalid",
				"403 not_logged_in_real_account", "403 not_enough_permissions", "403 bot_not_in_room", "409 room_already_bridged",
				"413 body_too_large", "500 unhandled_error", "501 not_implemented",
			},
			cases: createCases(),
		},
		{
			op: "disconnect_portal", method: http.MethodPost, path: "/portal/{room_id}/disconnect",
			documented: []string{
				"202 ", "400 mxid_empty", "400 mxid_invalid", "400 body_value_invalid", "403 not_enough_permissions",
				"404 portal_not_found", "500 unhandled_error", "501 not_implemented",
			},
			cases: disconnectCases(),
		},
		{
			op: "start_dm", method: http.MethodPost, path: "/user/{user_id}/pm/{identifier}",
			documented: []string{
				"200 ", "201 ", "400 FI.MAU.TELEGRAM_ID_NOT_USER", "403 not_logged_in", "403 mxid_not_whitelisted", "404 M_NOT_FOUND",
				"500 unhandled_error", "501 not_implemented",
			},
			cases: startCases(),
		},
		{
			op: "resolve_identifier", method: http.MethodGet, path: "/user/{user_id}/resolve_identifier/{identifier}",
			documented: []string{
				"200 ", "400 FI.MAU.TELEGRAM_ID_NOT_USER", "403 not_logged_in", "403 mxid_not_whitelisted", "404 M_NOT_FOUND",
				"500 unhandled_error", "501 not_implemented",
			},
			cases: resolveCases(),
		},
	}
}

// inOrder ranges over a map in the order of its keys.
func inOrder(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// badRoomIDs are the cases of a room ID that is none, in a path made with format.
func badRoomIDs(format, body string) []wireCase {
	var cases []wireCase
	bad := func(name, roomID, errcode string) {
		cases = append(cases, wireCase{
			name: name, change: inRooms, path: strings.Replace(format, "{}", roomID, 1), body: body, status: 400, errcode: errcode,
		})
	}
	bad("no room", "", "mxid_empty")
	bad("room without sigil", "room:example.com", "mxid_invalid")
	bad("room alias", "%23room:example.com", "mxid_invalid")
	bad("user ID as room", "@alice:example.com", "mxid_invalid")
	bad("sigil alone", "!", "mxid_invalid")
	bad("room of 256 bytes", "!"+strings.Repeat("r", 255), "mxid_invalid")
	bad("room with NUL", "!ro%00om:example.com", "mxid_invalid")
	bad("room not UTF-8", "!ro%ffom:example.com", "mxid_invalid")
	bad("room encoded twice", "%2521room%253Aexample.com", "mxid_invalid")
	return cases
}

// askerCases are those of the operations that somebody in the query asks for.
func askerCases(prepare func(*testing.T, *bridge), body string) []wireCase {
	with := func(c wireCase) wireCase {
		c.change, c.body = withRelay, body
		if c.prepare == nil {
			c.prepare = prepare
		} else {
			c.prepare = steps(prepare, c.prepare)
		}
		return c
	}
	return []wireCase{
		with(wireCase{name: "user invalid", path: "?user_id=alice", status: 400, errcode: "mxid_invalid"}),
		with(wireCase{name: "user not UTF-8", path: "?user_id=@al%ffice:example.com", status: 400, errcode: "mxid_invalid"}),
		with(wireCase{name: "user refused", path: asAlice, prepare: brokenUsers(provisioning.ErrMatrixUserRefused), status: 403, errcode: "not_enough_permissions"}),
		with(wireCase{name: "user store broken", path: asAlice, prepare: brokenUsers(errors.New("disk full")), status: 500, errcode: "unhandled_error"}),
		with(wireCase{name: "level none", path: "?user_id=@none:example.com", status: 403, errcode: "not_enough_permissions"}),
		with(wireCase{name: "level relaybot", path: "?user_id=@relaybot:example.com", status: 403, errcode: "not_enough_permissions"}),
	}
}

// lookupCases are what the two ways to look a portal up have in common.
func lookupCases(method string) []wireCase {
	const body = `{"mxid":"!room:example.com","chat_id":-1000000000009,"peer_type":"channel","title":"News \u003cé 中 😀\u003e",` +
		`"about":"All\nof it","username":"news","megagroup":true,"can_unbridge":%t}`
	found := func(name, query string, canUnbridge bool) wireCase {
		return wireCase{name: name, change: inRooms, prepare: bridged(room, news), path: query, status: 200, success: fmt.Sprintf(body, canUnbridge)}
	}
	kicked := func(_ *testing.T, b *bridge) { b.rooms.Add(room, provisioningtest.MemRoom{NoBot: true}) }
	withoutBot := found("bot not in the room any more", asAlice, false)
	withoutBot.prepare = steps(withoutBot.prepare, kicked)
	adminWithoutBot := found("bot not in the room any more, admin", asAdmin, true)
	adminWithoutBot.prepare = steps(adminWithoutBot.prepare, kicked)
	refused := found("user refused", asAlice, false)
	refused.prepare = steps(refused.prepare, brokenUsers(provisioning.ErrMatrixUserRefused))
	noRooms := found("portals can't be changed", asAdmin, false)
	noRooms.change = withoutRooms
	return []wireCase{
		found("found", "", false),
		found("trailing slash", "", false),
		found("empty user", "?user_id=", false),
		found("alice has the power", asAlice, true),
		found("alice has the power, encoded", "?user_id=%40alice%3Aexample.com&room_id=nonsense", true),
		found("bob lacks one level of power", "?user_id=@bob:example.com", false),
		found("power without being in the room", "?user_id=@away:example.com", false),
		found("somebody unknown", "?user_id=@nobody:example.com", false),
		found("level user", "?user_id=@user:example.com", true),
		found("level relaybot", "?user_id=@relaybot:example.com", false),
		found("level none", "?user_id=@none:example.com", false),
		found("level admin", asAdmin, true),
		withoutBot, adminWithoutBot, refused, noRooms,
		{name: "user invalid", change: inRooms, prepare: bridged(room, news), path: "?user_id=alice", status: 400, errcode: "mxid_invalid"},
		{name: "not bridged", change: inRooms, status: 404, errcode: "portal_not_found"},
		{name: "not bridged, with a user", change: inRooms, path: asAlice, status: 404, errcode: "portal_not_found"},
		{name: "store broken", prepare: brokenPortals(method, errors.New("no such table")), status: 500, errcode: "unhandled_error"},
		{name: "user store broken", prepare: steps(bridged(room, news), brokenUsers(errors.New("disk full"))), path: asAlice, status: 500, errcode: "unhandled_error"},
		{
			name: "homeserver away", change: inRooms, path: asAlice, status: 500, errcode: "unknown_error",
			prepare: steps(bridged(room, news), brokenRooms("HasPower", fmt.Errorf("%w: connection refused", provisioning.ErrHomeserver))),
		},
	}
}

func getPortalCases() []wireCase {
	cases := badRoomIDs("/portal/{}", "")
	for i := range cases {
		if cases[i].name == "no room" {
			cases[i].path = "/portal/"
		}
	}
	encoded := func(name, path string, roomID id.RoomID) wireCase {
		return wireCase{
			name: name, path: path, prepare: bridged(roomID, family), status: 200,
			success: `{"mxid":"` + string(roomID) + `","chat_id":-1001,"peer_type":"chat","title":"Family","about":"","username":"","megagroup":false,"can_unbridge":false}`,
		}
	}
	return append(cases,
		encoded("percent-encoded", "/portal/%21room%3Aexample.com", room),
		encoded("encoded in lower case", "/portal/%21room%3aexample.com/", room),
		encoded("no server part", "/portal/!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM", "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"),
		encoded("slash", "/portal/!a%2Fb:example.com", "!a/b:example.com"),
		wireCase{
			name: "direct chat", status: 200,
			prepare: func(t *testing.T, b *bridge) {
				b.connect(t, provisioning.Portal{RoomID: room, ChatID: 1002, Receiver: 1001, Title: "Bob", Username: "bob_tg"})
			},
			success: `{"mxid":"!room:example.com","chat_id":1002,"peer_type":"user","title":"Bob","about":"","username":"bob_tg","megagroup":false,"can_unbridge":false}`,
		},
	)
}

// badChatIDs are no IDs of groups or channels.
var badChatIDs = map[string]string{
	"zero": "0", "minus zero": "-0", "minus": "-", "positive": "1001", "over int64": "-9223372036854775809", "text": "-12x",
	"two signs": "--12", "blank": "-%2012", "float": "-1.5", "exponent": "-1e3", "hexadecimal": "-0x10", "other digits": "-%D9%A1",
	"channel zero": "-1000000000000", "behind the last channel": "-1997852516353", "behind everything": "-4000000000001", "NUL": "-1%00",
	"int64 minimum": "-9223372036854775808", "underscore": "-1_000",
}

func getPortalByTgidCases() []wireCase {
	var cases []wireCase
	for name, chatID := range inOrder(badChatIDs) {
		cases = append(cases, wireCase{name: name, path: "/portal/" + chatID, status: 400, errcode: "tgid_invalid"})
	}
	for name, chatID := range inOrder(map[string]string{"basic group": "-1001", "leading zeros": "-0001001", "encoded minus": "%2D1001"}) {
		cases = append(cases, wireCase{
			name: name, path: "/portal/" + chatID, prepare: bridged(room, family), status: 200,
			success: `{"mxid":"!room:example.com","chat_id":-1001,"peer_type":"chat","title":"Family","about":"","username":"","megagroup":false,"can_unbridge":false}`,
		})
	}
	for name, chatID := range inOrder(map[string]string{
		"last basic group": "-999999999999", "first channel": "-1000000000001", "last channel": "-1997852516352",
		"first monoforum": "-2002147483649", "last monoforum": "-4000000000000",
	}) {
		cases = append(cases, wireCase{name: name, path: "/portal/" + chatID, status: 404, errcode: "portal_not_found"})
	}
	return append(cases, wireCase{name: "encoded digit", path: "/portal/%31", status: 400, errcode: "tgid_invalid"})
}

// connectCases are those of connect_portal, with the relay bot where nothing else
// is said.
func connectCases() []wireCase {
	var cases []wireCase
	add := func(c wireCase) {
		if c.change == nil {
			c.change = withRelay
		}
		cases = append(cases, c)
	}
	connected := func(name, query string, prepare ...func(*testing.T, *bridge)) {
		add(wireCase{name: name, path: query, prepare: steps(prepare...), status: 202, success: `{}`, after: wantPortal(room, news.ID)})
	}
	refused := func(name, query string, status int, errcode string, prepare ...func(*testing.T, *bridge)) {
		add(wireCase{name: name, path: query, prepare: steps(prepare...), status: status, errcode: errcode})
	}

	connected("relay bot", "")
	connected("empty user", "?user_id=&force=")
	connected("alice, not logged in", asAlice)
	connected("alice, logged in", asAlice, as(aliceAccount))
	connected("level user", "?user_id=@user:example.com")
	connected("admin without power", asAdmin)
	connected("force without need", "?force=delete")
	add(wireCase{
		name: "basic group", path: "/portal/!room:example.com/connect/-1001", status: 202, success: `{}`, after: wantPortal(room, family.ID),
	})
	add(wireCase{
		name: "percent-encoded", path: "/portal/%21room%3Aexample.com/connect/%2D1000000000009/", status: 202, success: `{}`, after: wantPortal(room, news.ID),
	})
	for _, force := range []string{"", "unbridge", "delete", "bogus"} {
		status, errcode := 200, "bridge_exists"
		if force == "bogus" {
			status, errcode = 400, "body_value_invalid"
		}
		refused("bridged to this chat, force '"+force+"'", "?force="+force, status, errcode, bridged(room, news))
		if force != "bogus" {
			status, errcode = 409, "room_already_bridged"
		}
		refused("room bridged to another chat, force '"+force+"'", "?force="+force, status, errcode, bridged(room, family))
	}
	refused("both bridged elsewhere", "", 409, "room_already_bridged", bridged(room, family), bridged(otherRoom, news))
	refused("chat bridged elsewhere", "", 409, "chat_already_bridged", bridged(otherRoom, news))
	refused("chat bridged elsewhere, alice", asAlice, 409, "chat_already_bridged", bridged(otherRoom, news), as(aliceAccount))
	refused("chat bridged elsewhere, force bogus", "?force=Delete", 400, "body_value_invalid", bridged(otherRoom, news))
	for _, force := range []string{"unbridge", "delete"} {
		connected("chat bridged elsewhere, force "+force, "?force="+force, bridged(otherRoom, news))
		connected("chat bridged elsewhere, alice forces "+force, asAlice+"&force="+force, bridged(otherRoom, news))
		connected("chat bridged in a room without the bot, force "+force, "?force="+force, bridged(closed, news))
		connected("chat bridged in a room without the bot, admin forces "+force, asAdmin+"&force="+force, bridged(closed, news))
		refused("chat bridged in a room without the bot, alice forces "+force, asAlice+"&force="+force, 403, "not_enough_permissions", bridged(closed, news))
		refused("no power where the chat is, alice forces "+force, asAlice+"&force="+force, 403, "not_enough_permissions", bridged(otherRoom, news),
			func(_ *testing.T, b *bridge) {
				b.rooms.Add(otherRoom, provisioningtest.MemRoom{Room: provisioning.Room{Users: []id.UserID{alice}}, Powers: map[id.UserID]int{alice: 49}})
			})
	}
	refused("no power", "?user_id=@bob:example.com", 403, "not_enough_permissions")
	refused("power without being in the room", "?user_id=@away:example.com", 403, "not_enough_permissions")
	refused("raised power", asAlice, 403, "not_enough_permissions", raisedPower("fi.mau.telegram.bridge"))
	connected("power raised for unbridging", asAlice, raisedPower("fi.mau.telegram.unbridge"))
	for _, query := range []string{"", asAlice, asAdmin} {
		add(wireCase{name: "bot not in the room, query '" + query + "'", path: "/portal/!closed:example.com/connect/-1000000000009" + query, status: 403, errcode: "bot_not_in_room"})
		add(wireCase{name: "unknown room, query '" + query + "'", path: "/portal/!nowhere/connect/-1000000000009" + query, status: 403, errcode: "bot_not_in_room"})
		add(wireCase{name: "no relay bot, query '" + query + "'", change: inRooms, path: query, status: 403, errcode: "not_logged_in"})
	}
	add(wireCase{name: "relay bot not in the chat", path: "/portal/!room:example.com/connect/-1000000000010", status: 403, errcode: "bot_not_in_chat"})
	add(wireCase{name: "relay bot not in the chat, alice", path: "/portal/!room:example.com/connect/-1000000000010" + asAlice, status: 403, errcode: "bot_not_in_chat"})
	add(wireCase{name: "alice not in the chat", path: "/portal/!room:example.com/connect/-1000000000010" + asAlice, prepare: as(aliceAccount), status: 403, errcode: "user_not_in_chat"})
	add(wireCase{name: "unknown chat", path: "/portal/!room:example.com/connect/-4242" + asAlice, prepare: as(aliceAccount), status: 403, errcode: "user_not_in_chat"})
	add(wireCase{name: "without rooms", change: withoutRooms, status: 501, errcode: "not_implemented"})
	add(wireCase{name: "minimal client", change: all(inRooms, minimalClients), prepare: as(aliceAccount), path: asAlice, status: 501, errcode: "not_implemented"})
	for name, chatID := range inOrder(badChatIDs) {
		add(wireCase{name: "chat ID " + name, path: "/portal/!room:example.com/connect/" + chatID, status: 400, errcode: "tgid_invalid"})
	}
	add(wireCase{name: "chat ID missing", path: "/portal/!room:example.com/connect/", status: 400, errcode: "tgid_invalid"})

	refused("homeserver away", "", 500, "unknown_error", brokenRooms("CheckBot", provisioning.ErrHomeserver))
	refused("rooms broken", "", 500, "unhandled_error", brokenRooms("CheckBot", errors.New("nil pointer")))
	refused("powers broken", asAlice, 500, "unknown_error", brokenRooms("HasPower", provisioning.ErrHomeserver))
	refused("look-up by room broken", "", 500, "unhandled_error", brokenPortals("PortalByRoom", errors.New("no such table")))
	refused("look-up by chat broken", "", 500, "unhandled_error", brokenPortals("PortalByChat", errors.New("no such table")))
	refused("store broken", "", 500, "unhandled_error", brokenPortals("Connect", errors.New("disk full")))
	refused("relay bot logged out", "", 403, "not_logged_in", func(_ *testing.T, b *bridge) { b.telegram.EndSession(relayBot) })
	refused("relay bot unavailable", "", 500, "unknown_error", failingCall("GetChat", provisioning.ErrTelegramUnavailable))
	refused("Telegram unavailable", asAlice, 500, "unknown_error", as(aliceAccount), failingCall("GetChat", provisioning.ErrTelegramUnavailable))
	refused("Telegram refuses", asAlice, 500, "unknown_error", as(aliceAccount), failingCall("GetChat", &provisioning.TelegramError{Code: 400, Type: "X"}))
	refused("session ends meanwhile", asAlice, 403, "not_logged_in", as(aliceAccount), failingCall("GetChat", provisioning.ErrNotLoggedIn))
	refused("factory broken", asAlice, 500, "unhandled_error", failingCall("Client", errors.New("no memory")))
	add(wireCase{
		name: "flood wait", path: asAlice, prepare: steps(as(aliceAccount), failingCall("GetChat", &provisioning.FloodWaitError{Wait: 9 * time.Second})),
		status: 429, errcode: "flood_wait", fields: map[string]any{"retry_after": 9.0},
	})
	cases = append(cases, badRoomIDs("/portal/{}/connect/-1000000000009", "")...)
	return append(cases, askerCases(func(*testing.T, *bridge) {}, "")...)
}

// failingCall makes a method of the Telegram clients fail.
func failingCall(method string, err error) func(*testing.T, *bridge) {
	return func(_ *testing.T, b *bridge) { b.telegram.Fail(method, err) }
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

// createCases are those of create_portal, by alice who is logged in where nothing else
// is said.
func createCases() []wireCase {
	var cases []wireCase
	const valid = `{"type":"supergroup","title":"New","about":"About it"}`
	add := func(c wireCase) {
		if c.change == nil {
			c.change = inRooms
		}
		if c.prepare == nil {
			c.prepare = as(aliceAccount)
		}
		if c.path == "" {
			c.path = asAlice
		}
		if c.body == "" {
			c.body = valid
		}
		if c.status != 201 && c.after == nil {
			// Nothing stays behind, here or on Telegram.
			c.after = func(t *testing.T, b *bridge) {
				wantNoPortal(t, b)
				if got := b.telegram.Groups(); got != 3 {
					t.Errorf("%d groups on Telegram, want the 3 that were there", got)
				}
			}
		}
		cases = append(cases, c)
	}
	created := func(name, body string, want provisioningtest.TelegramGroup) wireCase {
		return wireCase{
			name: name, body: body, status: 201, success: fmt.Sprintf(`{"chat_id":%d}`, want.ID),
			after: func(t *testing.T, b *bridge) {
				got, _ := b.telegram.Group(want.ID)
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("on Telegram there is %v, want %v", got, want)
				}
				wantPortal(room, want.ID)(t, b)
			},
		}
	}
	group := func(kind provisioning.ChatType, title, about string, members ...provisioning.TelegramID) (g provisioningtest.TelegramGroup) {
		g.Type, g.Title, g.About, g.Members = kind, title, about, append([]provisioning.TelegramID{aliceAccount.ID}, members...)
		g.ID = provisioning.ChannelChatID(1)
		if kind == provisioning.ChatTypeBasicGroup {
			g.ID = provisioning.BasicGroupChatID(1)
		}
		g.Megagroup = kind == provisioning.ChatTypeSupergroup
		return g
	}
	bobs := guardedAccount.ID
	add(created("supergroup", valid, group(provisioning.ChatTypeSupergroup, "New", "About it", bobs)))
	add(created("channel", `{"type":"channel","title":"New","about":""}`, group(provisioning.ChatTypeChannel, "New", "A topic", bobs)))
	add(created("basic group", `{"type":"chat"}`, group(provisioning.ChatTypeBasicGroup, "The room", "A topic", bobs)))
	add(created("basic group by its alias", `{"type":"group","title":" \t","about":null}`, group(provisioning.ChatTypeBasicGroup, "The room", "A topic", bobs)))
	add(created("title trimmed", `{"type":"supergroup","title":" Ä  b ","about":"\nx "}`, group(provisioning.ChatTypeSupergroup, "Ä  b", "x", bobs)))
	relay := created("with a relay bot", valid, group(provisioning.ChatTypeSupergroup, "New", "About it", bobs, botAccount.ID))
	relay.change = withRelay
	add(relay)
	silent := created("relay bot out of order", valid, group(provisioning.ChatTypeSupergroup, "New", "About it", bobs))
	silent.change, silent.prepare = withRelay, steps(as(aliceAccount), func(_ *testing.T, b *bridge) { b.telegram.EndSession(relayBot) })
	add(silent)
	users := created("Matrix users who are logged in", valid, group(provisioning.ChatTypeSupergroup, "New", "About it", bobs, botAccount.ID))
	users.prepare = steps(as(aliceAccount), func(t *testing.T, b *bridge) { b.logIn(t, plain, botAccount) })
	add(users)
	unnamed := func(room provisioning.Room) func(*testing.T, *bridge) {
		return func(_ *testing.T, b *bridge) {
			room.Users = []id.UserID{alice}
			b.rooms.Add("!room:example.com", provisioningtest.MemRoom{Room: room, Powers: map[id.UserID]int{alice: 50}})
		}
	}
	alias := created("title from the alias", `{"type":"supergroup"}`, group(provisioning.ChatTypeSupergroup, "#lobby:example.com", strings.Repeat("ä", 253)+"😀"))
	alias.prepare = steps(as(aliceAccount), unnamed(provisioning.Room{CanonicalAlias: "#lobby:example.com", Topic: strings.Repeat("ä", 253) + "😀😀"}))
	add(alias)
	add(wireCase{name: "no title anywhere", body: `{"type":"supergroup"}`, prepare: steps(as(aliceAccount), unnamed(provisioning.Room{Name: " "})), status: 400, errcode: "body_value_invalid"})
	add(wireCase{name: "too few members", body: `{"type":"chat"}`, prepare: steps(as(aliceAccount), unnamed(provisioning.Room{Name: "X"})), status: 500, errcode: "unknown_error"})

	for name, body := range inOrder(map[string]string{"empty": `{}`, "null": `{"type":null,"title":"x"}`, "misspelt": `{"Type":"chat"}`}) {
		add(wireCase{name: "no type, " + name, body: body, status: 400, errcode: "body_value_missing"})
	}
	for name, body := range inOrder(map[string]string{
		"type unknown": `{"type":"banana"}`, "type empty": `{"type":""}`, "type an array": `{"type":[]}`, "type in capitals": `{"type":"CHAT"}`,
		"title a number": `{"type":"chat","title":5}`, "about an object": `{"type":"chat","about":{}}`,
	}) {
		add(wireCase{name: name, body: body, status: 400, errcode: "body_value_invalid"})
	}
	for name, body := range inOrder(brokenBodies) {
		if body == "" {
			continue // see TestCreateWithoutBody
		}
		add(wireCase{name: "body: " + name, body: body, status: 400, errcode: "json_invalid"})
	}
	add(wireCase{name: "body too large", body: bodyOf(64<<10 + 1), status: 413, errcode: "body_too_large"})
	add(wireCase{name: "title refused", prepare: steps(as(aliceAccount), failingCall("CreateChat", provisioning.ErrNewChatInvalid)), status: 400, errcode: "body_value_invalid"})

	add(wireCase{name: "no user", path: "?user_id=", status: 400, errcode: "mxid_empty"})
	add(wireCase{name: "not logged in", prepare: func(*testing.T, *bridge) {}, status: 403, errcode: "not_logged_in_real_account"})
	add(wireCase{name: "not logged in, with a relay bot", change: withRelay, prepare: func(*testing.T, *bridge) {}, status: 403, errcode: "not_logged_in_real_account"})
	add(wireCase{name: "logged in as a bot", prepare: as(botAccount), status: 403, errcode: "not_logged_in_real_account"})
	add(wireCase{name: "no power", path: "?user_id=@bob:example.com", prepare: func(t *testing.T, b *bridge) { b.logIn(t, bob, aliceAccount) }, status: 403, errcode: "not_enough_permissions"})
	admins := created("admin without power", valid, group(provisioning.ChatTypeSupergroup, "New", "About it", bobs))
	admins.path, admins.prepare = asAdmin, func(t *testing.T, b *bridge) { b.logIn(t, admin, aliceAccount) }
	add(admins)
	add(wireCase{name: "bot not in the room", path: "/portal/!closed:example.com/create" + asAlice, status: 403, errcode: "bot_not_in_room"})
	add(wireCase{name: "unknown room", path: "/portal/!nowhere/create" + asAlice, status: 403, errcode: "bot_not_in_room"})
	add(wireCase{
		name: "room bridged", prepare: steps(as(aliceAccount), bridged(room, news)), status: 409, errcode: "room_already_bridged", after: wantPortal(room, news.ID),
	})
	add(wireCase{name: "bridged meanwhile", prepare: steps(as(aliceAccount), brokenPortals("Connect", provisioning.ErrRoomBridged)), status: 409, errcode: "room_already_bridged"})
	add(wireCase{name: "store broken", prepare: steps(as(aliceAccount), brokenPortals("Connect", errors.New("disk full"))), status: 500, errcode: "unhandled_error"})
	add(wireCase{name: "without rooms", change: withoutRooms, status: 501, errcode: "not_implemented", after: wantNoPortalAfter})
	add(wireCase{name: "minimal client", change: all(inRooms, minimalClients), status: 501, errcode: "not_implemented"})
	add(wireCase{name: "homeserver away", prepare: steps(as(aliceAccount), brokenRooms("Room", provisioning.ErrHomeserver)), status: 500, errcode: "unknown_error"})
	add(wireCase{name: "Telegram refuses", prepare: steps(as(aliceAccount), failingCall("CreateChat", &provisioning.TelegramError{Code: 400, Type: "CHANNELS_TOO_MUCH"})), status: 500, errcode: "unknown_error"})
	add(wireCase{
		name: "flood wait", prepare: steps(as(aliceAccount), failingCall("CreateChat", &provisioning.FloodWaitError{Wait: time.Minute})),
		status: 429, errcode: "flood_wait", fields: map[string]any{"retry_after": 60.0},
	})
	cases = append(cases, badRoomIDs("/portal/{}/create"+asAlice, valid)...)
	return append(cases, askerCases(as(aliceAccount), valid)...)
}

func wantNoPortalAfter(t *testing.T, b *bridge) { wantNoPortal(t, b) }

func disconnectCases() []wireCase {
	var cases []wireCase
	add := func(c wireCase) {
		c.change = inRooms
		c.prepare = steps(bridged(room, news), steps(c.prepare))
		cases = append(cases, c)
	}
	nothing := func(*testing.T, *bridge) {}
	disconnected := func(name, query string) {
		add(wireCase{name: name, path: query, prepare: nothing, status: 202, success: `{}`, after: wantNoPortalAfter})
	}
	refused := func(name, query string, status int, errcode string, prepare func(*testing.T, *bridge)) {
		add(wireCase{name: name, path: query, prepare: prepare, status: status, errcode: errcode, after: wantPortal(room, news.ID)})
	}
	disconnected("nobody asks", "")
	disconnected("empty queries", "?user_id=&delete=&sync=")
	disconnected("alice", asAlice)
	disconnected("level user", "?user_id=@user:example.com")
	disconnected("admin", asAdmin)
	disconnected("percent-encoded", "/portal/%21room%3Aexample.com/disconnect/?user_id=%40alice%3Aexample.com")
	for _, yes := range []string{"true", "T", "1", "Yes", "y"} {
		disconnected("sync "+yes, "?sync="+yes)
		disconnected("delete "+yes, "?delete="+yes+"&sync="+yes)
	}
	for _, no := range []string{"false", "F", "0", "No", "n"} {
		disconnected("delete, sync "+no, "?delete="+no+"&sync="+no)
	}
	for _, bad := range []string{"2", "on", "truee", "%20", "%00"} {
		refused("delete "+bad, "?delete="+bad, 400, "body_value_invalid", nothing)
		refused("sync "+bad, "?sync="+bad, 400, "body_value_invalid", nothing)
	}
	refused("no power", "?user_id=@bob:example.com", 403, "not_enough_permissions", nothing)
	refused("raised power", asAlice, 403, "not_enough_permissions", raisedPower("fi.mau.telegram.unbridge"))
	kicked := func(_ *testing.T, b *bridge) { b.rooms.Add(room, provisioningtest.MemRoom{NoBot: true}) }
	refused("bot not in the room", asAlice, 403, "not_enough_permissions", kicked)
	for _, query := range []string{"", asAdmin, "?sync=1", "?sync=1&delete=1"} {
		add(wireCase{name: "bot not in the room, query '" + query + "'", path: query, prepare: kicked, status: 202, success: `{}`, after: wantNoPortalAfter})
	}
	for _, query := range []string{"", asAlice, "?delete=true"} {
		cases = append(cases, wireCase{name: "not bridged, query '" + query + "'", change: inRooms, path: query, status: 404, errcode: "portal_not_found"})
	}
	add(wireCase{name: "disconnected meanwhile", prepare: brokenPortals("Disconnect", provisioning.ErrPortalNotFound), status: 404, errcode: "portal_not_found"})
	refused("store broken", "", 500, "unhandled_error", brokenPortals("Disconnect", errors.New("disk full")))
	refused("powers unknown", asAlice, 500, "unknown_error", brokenRooms("HasPower", provisioning.ErrHomeserver))
	cases = append(cases,
		wireCase{name: "look-up broken", change: inRooms, prepare: brokenPortals("PortalByRoom", errors.New("no such table")), status: 500, errcode: "unhandled_error"},
		wireCase{name: "without rooms", change: withoutRooms, prepare: bridged(room, news), status: 501, errcode: "not_implemented"},
		// The portal is gone, and the room will be cleaned up later.
		wireCase{
			name: "homeserver away, sync", change: inRooms, path: "?sync=1", prepare: steps(bridged(room, news), brokenRooms("CleanUp", provisioning.ErrHomeserver)),
			status: 500, errcode: "unknown_error", after: wantNoPortalAfter,
		},
		wireCase{
			name: "homeserver away", change: inRooms, prepare: steps(bridged(room, news), brokenRooms("CleanUp", provisioning.ErrHomeserver)),
			status: 202, success: `{}`, after: wantNoPortalAfter,
		},
	)
	cases = append(cases, badRoomIDs("/portal/{}/disconnect", "")...)
	return append(cases, askerCases(bridged(room, news), "")...)
}

func startCases() []wireCase {
	var cases []wireCase
	const bobs = `{"room_id":"!direct4:example.com","just_created":%t,"id":1002,"contact_info":` +
		`{"id":1002,"name":"%s","username":"%s","phone":"+15550101","is_bot":false,"avatar_url":""}}`
	add := func(c wireCase) {
		if c.change == nil {
			c.change = inRooms
		}
		if c.prepare == nil {
			c.prepare = as(aliceAccount)
		}
		cases = append(cases, c)
	}
	path := func(identifier string) string { return "/user/@alice:example.com/pm/" + identifier }
	started := func(name, identifier string) {
		add(wireCase{name: name, path: path(identifier), status: 201, success: fmt.Sprintf(bobs, true, "Bob", ""), after: wantDirect})
	}
	started("phone", "+15550101")
	started("phone, spelt out", "%2B1%20(555)%200101")
	started("phone with blanks around", "%20+1-555-0101%20")
	helper := `{"room_id":"!direct4:example.com","just_created":true,"id":2001,"contact_info":{"id":2001,"name":"Helper","username":"helper_bot","phone":"","is_bot":true,"avatar_url":""}}`
	for name, identifier := range inOrder(map[string]string{
		"username": "helper_bot", "username with @": "@helper_bot", "username in capitals": "%40HELPER_bot", "link": "https:%2F%2Ft.me%2Fhelper_bot",
		"link, http": "http%3A%2F%2Ft.me%2Fhelper_bot%2F", "link without scheme": "t.me%2Fhelper_bot?user_id=x", "link, other name": "https%3A%2F%2Fwww.Telegram.me%2Fhelper_bot%3Fstart=1",
	}) {
		add(wireCase{name: name, path: path(identifier), status: 201, success: helper})
	}
	known := fmt.Sprintf(bobs, true, "Bob Builder", "bob_tg")
	add(wireCase{name: "ID of a contact", path: path("1002"), status: 201, success: known, after: wantDirect})
	again := wireCase{name: "again", path: path("1002"), status: 200, success: fmt.Sprintf(bobs, false, "Bob Builder", "bob_tg"), after: wantDirect}
	again.prepare = func(t *testing.T, b *bridge) {
		as(aliceAccount)(t, b)
		b.call(t, http.MethodPost, path("1002"), "").want(t, 201, "")
	}
	add(again)
	raced := again
	raced.name = "started by another process meanwhile"
	raced.success = fmt.Sprintf(`{"room_id":"!other:example.com","just_created":false,"id":1002,"contact_info":` +
		`{"id":1002,"name":"Bob Builder","username":"bob_tg","phone":"+15550101","is_bot":false,"avatar_url":""}}`)
	raced.prepare = steps(as(aliceAccount), func(t *testing.T, b *bridge) {
		b.rooms.On("CreateDirect", func(context.Context) error {
			b.connect(t, provisioning.Portal{RoomID: otherRoom, ChatID: 1002, Receiver: 1001})
			return nil
		})
	})
	raced.after = func(t *testing.T, b *bridge) {
		if r, _ := b.rooms.Get("!direct4:example.com"); len(r.Ghosts) != 0 || !r.NoBot {
			t.Errorf("the room that became no portal was not left: %v", r)
		}
	}
	add(raced)
	add(wireCase{
		name: "oneself", path: path("1001"), status: 201,
		success: `{"room_id":"!direct4:example.com","just_created":true,"id":1001,"contact_info":{"id":1001,"name":"Alice Liddell","username":"alice_tg","phone":"+15550100","is_bot":false,"avatar_url":""}}`,
	})
	for name, identifier := range inOrder(nobodys) {
		add(wireCase{name: name, path: path(identifier), status: 404, errcode: "M_NOT_FOUND"})
	}
	add(wireCase{name: "a channel", path: path("@news"), status: 400, errcode: "FI.MAU.TELEGRAM_ID_NOT_USER"})
	nobody := func(*testing.T, *bridge) {}
	add(wireCase{name: "not logged in", prepare: nobody, status: 403, errcode: "not_logged_in"})
	add(wireCase{name: "not logged in, identifier invalid", path: path("@"), prepare: nobody, status: 403, errcode: "not_logged_in"})
	for _, userID := range []id.UserID{stranger, relayed, plain} {
		add(wireCase{name: "level of " + string(userID), user: string(userID), prepare: nobody, status: 403, errcode: "mxid_not_whitelisted"})
	}
	add(wireCase{name: "without rooms", change: withoutRooms, status: 501, errcode: "not_implemented"})
	add(wireCase{name: "minimal client", change: minimalClients, status: 501, errcode: "not_implemented"})
	add(wireCase{name: "homeserver away", prepare: steps(as(aliceAccount), brokenRooms("CreateDirect", provisioning.ErrHomeserver)), path: path("1002"), status: 500, errcode: "unknown_error"})
	add(wireCase{name: "look-up broken", prepare: steps(as(aliceAccount), brokenPortals("PortalByChat", errors.New("no such table"))), path: path("1002"), status: 500, errcode: "unhandled_error"})
	add(wireCase{name: "store broken", prepare: steps(as(aliceAccount), brokenPortals("Connect", errors.New("disk full"))), path: path("1002"), status: 500, errcode: "unhandled_error"})
	// The portal is there: the invitation follows.
	add(wireCase{name: "invitation fails", prepare: steps(as(aliceAccount), brokenRooms("InviteToDirect", provisioning.ErrHomeserver)), path: path("1002"), status: 201, success: known})
	add(wireCase{
		name: "resolving too often", path: path("nobody"), prepare: steps(as(aliceAccount), failingCall("ResolveUser", &provisioning.FloodWaitError{Wait: time.Hour})),
		status: 429, errcode: "flood_wait", fields: map[string]any{"retry_after": 3600.0},
	})
	return cases
}

// nobodys are identifiers that nobody has.
var nobodys = map[string]string{
	"unknown username": "nobody", "unknown phone": "+15559999", "unknown ID": "31337", "none": "", "at alone": "@", "a sentence": "who%20is%20it",
	"another site": "https:%2F%2Fexample.com%2Fhelper_bot", "link to nobody": "https:%2F%2Ft.me%2F", "invite link": "https:%2F%2Ft.me%2F+AAAA",
	"ID zero": "0", "ID too large": "1099511627776", "ID over int64": "9999999999999999999", "negative": "-1001", "bytes not UTF-8": "%ff", "a NUL": "a%00b", "link to a post": "t.me%2Fhelper_bot%2F12",
}

// resolveCases are those of resolve_identifier, which creates nothing.
func resolveCases() []wireCase {
	var cases []wireCase
	path := func(identifier string) string { return "/user/@alice:example.com/resolve_identifier/" + identifier }
	nothing := func(t *testing.T, b *bridge) {
		if n := b.rooms.Calls("CreateDirect") + b.rooms.Calls("InviteToDirect") + b.portals.Calls("Connect"); n != 0 || len(b.portals.Tasks()) != 0 {
			t.Errorf("something was created: %d calls, tasks %v", n, b.portals.Tasks())
		}
	}
	add := func(c wireCase) {
		if c.change == nil {
			c.change = inRooms
		}
		if c.prepare == nil {
			c.prepare, c.after = as(aliceAccount), nothing
		}
		cases = append(cases, c)
	}
	const bob = `{"room_id":"%s","just_created":false,"id":1002,"contact_info":` +
		`{"id":1002,"name":"Bob Builder","username":"bob_tg","phone":"+15550101","is_bot":false,"avatar_url":""}}`
	add(wireCase{name: "ID of a contact", path: path("1002"), status: 200, success: fmt.Sprintf(bob, "")})
	add(wireCase{
		name: "a direct chat exists", path: path("1002"), status: 200, success: fmt.Sprintf(bob, room),
		prepare: steps(as(aliceAccount), func(t *testing.T, b *bridge) {
			b.connect(t, provisioning.Portal{RoomID: room, ChatID: 1002, Receiver: 1001})
			b.connect(t, provisioning.Portal{RoomID: otherRoom, ChatID: 1002, Receiver: 4004}) // somebody else's
		}),
	})
	const helper = `{"room_id":"","just_created":false,"id":2001,"contact_info":{"id":2001,"name":"Helper","username":"helper_bot","phone":"","is_bot":true,"avatar_url":""}}`
	add(wireCase{name: "username", path: path("@helper_bot"), status: 200, success: helper})
	add(wireCase{name: "link", path: path("https:%2F%2Ft.me%2Fhelper_bot/"), status: 200, success: helper})
	add(wireCase{
		name: "phone", path: path("%2B1%20(555)%200101"), status: 200,
		success: `{"room_id":"","just_created":false,"id":1002,"contact_info":{"id":1002,"name":"Bob","username":"","phone":"+15550101","is_bot":false,"avatar_url":""}}`,
	})
	add(wireCase{name: "without rooms", change: withoutRooms, path: path("1002"), status: 200, success: fmt.Sprintf(bob, "")})
	for name, identifier := range inOrder(nobodys) {
		add(wireCase{name: name, path: path(identifier), status: 404, errcode: "M_NOT_FOUND"})
	}
	add(wireCase{name: "a channel", path: path("@news"), status: 400, errcode: "FI.MAU.TELEGRAM_ID_NOT_USER"})
	nobody := func(*testing.T, *bridge) {}
	add(wireCase{name: "not logged in", prepare: nobody, status: 403, errcode: "not_logged_in"})
	for _, userID := range []id.UserID{stranger, relayed, plain} {
		add(wireCase{name: "level of " + string(userID), user: string(userID), prepare: nobody, status: 403, errcode: "mxid_not_whitelisted"})
	}
	add(wireCase{name: "minimal client", change: minimalClients, status: 501, errcode: "not_implemented"})
	add(wireCase{name: "look-up broken", prepare: steps(as(aliceAccount), brokenPortals("PortalByChat", errors.New("no such table"))), path: path("1002"), status: 500, errcode: "unhandled_error"})
	add(wireCase{
		name: "resolving too often", path: path("nobody"), prepare: steps(as(aliceAccount), failingCall("ResolveUser", &provisioning.FloodWaitError{Wait: time.Hour})),
		status: 429, errcode: "flood_wait", fields: map[string]any{"retry_after": 3600.0},
	})
	return cases
}

// wantDirect checks that alice's chat with bob is a portal, to which she is invited.
func wantDirect(t *testing.T, b *bridge) {
	portal, err := b.portals.PortalByChat(t.Context(), 1002, 1001)
	r, _ := b.rooms.Get(portal.RoomID)
	if err != nil || len(r.Invited) != 1 || r.Invited[0] != alice || b.rooms.Ghost(1002).Name == "" {
		t.Errorf("the portal is %v, %v, its room %v", portal, err, r)
	}
}
