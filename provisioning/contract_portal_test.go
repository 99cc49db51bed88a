package provisioning_test

import (
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

func portalOperations() []operation {
	return []operation{
		{
			op: "list_portals", method: http.MethodGet, path: "/portals",
			documented: []string{"200 ", "400 mxid_empty", "400 mxid_invalid", "400 body_value_invalid", "500 unhandled_error", "501 not_implemented"},
			cases:      listPortalsCases(),
		},
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
			op: "preflight_connect", method: http.MethodGet, path: "/portal/{room_id}/connect/{chat_id}",
			documented: []string{
				"200 ", "400 mxid_empty", "400 mxid_invalid", "400 tgid_invalid", "400 body_value_invalid",
				"403 not_enough_permissions", "500 unhandled_error", "501 not_implemented",
			},
			cases: preflightCases(),
		},
		{
			op: "connect_portal", method: http.MethodPost, path: "/portal/{room_id}/connect/{chat_id}",
			documented: []string{
				"200 bridge_exists", "202 ", "400 mxid_empty", "400 mxid_invalid", "400 tgid_invalid", "400 body_value_invalid",
				"403 not_enough_permissions", "403 bot_not_in_room", "403 bot_not_in_chat", "403 user_not_in_chat", "403 not_logged_in", "403 telegram_restricted",
				"409 room_already_bridged", "409 chat_already_bridged", "500 unhandled_error", "501 not_implemented",
			},
			cases: connectCases(),
		},
		{
			op: "create_portal", method: http.MethodPost, path: "/portal/{room_id}/create",
			documented: []string{
				"201 ", "400 mxid_empty", "400 mxid_invalid", "400 json_invalid", "400 body_value_missing", "400 body_value_invalid",
				"403 not_logged_in_real_account", "403 not_enough_permissions", "403 bot_not_in_room", "403 telegram_restricted", "409 room_already_bridged",
				"413 body_too_large", "500 unhandled_error", "501 not_implemented",
			},
			cases: createCases(),
		},
		{
			op: "disconnect_portal", method: http.MethodPost, path: "/portal/{room_id}/disconnect",
			documented: []string{
				"202 ", "400 mxid_empty", "400 mxid_invalid", "400 body_value_invalid", "403 not_enough_permissions", "403 bot_not_in_room",
				"404 portal_not_found", "500 unhandled_error", "501 not_implemented",
			},
			cases: disconnectCases(),
		},
		{
			op: "start_dm", method: http.MethodPost, path: "/user/{user_id}/pm/{identifier}",
			documented: []string{
				"200 ", "201 ", "400 FI.MAU.TELEGRAM_ID_NOT_USER", "403 not_logged_in", "403 mxid_not_whitelisted", "403 telegram_restricted", "404 M_NOT_FOUND",
				"500 unhandled_error", "501 not_implemented",
			},
			cases: startCases(),
		},
		{
			op: "resolve_identifier", method: http.MethodGet, path: "/user/{user_id}/resolve_identifier/{identifier}",
			documented: []string{
				"200 ", "400 FI.MAU.TELEGRAM_ID_NOT_USER", "403 not_logged_in", "403 mxid_not_whitelisted", "403 telegram_restricted", "404 M_NOT_FOUND",
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
		with(wireCase{name: "user empty", path: "?user_id=", status: 400, errcode: "mxid_empty"}),
		with(wireCase{name: "user without a value", path: "?user_id", status: 400, errcode: "mxid_empty"}),
		with(wireCase{name: "user empty, twice", path: "?user_id=&user_id", status: 400, errcode: "mxid_empty"}),
		with(wireCase{name: "user empty, then named", path: "?user_id=&" + asAlice[1:], status: 400, errcode: "mxid_invalid"}),
		with(wireCase{name: "user named, then empty", path: asAlice + "&user_id=", status: 400, errcode: "mxid_invalid"}),
		with(wireCase{name: "two users", path: asAdmin + "&" + asAlice[1:], status: 400, errcode: "mxid_invalid"}),
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
		{name: "empty user", change: inRooms, prepare: bridged(room, news), path: "?user_id=", status: 400, errcode: "mxid_empty"},
		{name: "two users", change: inRooms, prepare: bridged(room, news), path: "?user_id=@none:example.com&" + asAlice[1:], status: 400, errcode: "mxid_invalid"},
		found("the same user twice", asAlice+"&user_id=%40alice%3Aexample.com", true),
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
		add(wireCase{name: name, path: query, prepare: steps(prepare...), status: 202, success: `{"warnings":[]}`, after: wantPortal(room, news.ID)})
	}
	refused := func(name, query string, status int, errcode string, prepare ...func(*testing.T, *bridge)) {
		add(wireCase{name: name, path: query, prepare: steps(prepare...), status: status, errcode: errcode})
	}

	encrypted := func(_ *testing.T, b *bridge) {
		r := b.room(room)
		r.Encrypted = true
		b.rooms.Add(room, r)
	}
	connected("relay bot", "")
	connected("empty force", "?force=")
	connected("alice, not logged in", asAlice)
	connected("alice, logged in", asAlice, as(aliceAccount))
	connected("level user", "?user_id=@user:example.com")
	connected("admin without power", asAdmin)
	connected("force without need", "?force=delete")
	add(wireCase{
		name: "encrypted room", path: "/portal/!room:example.com/connect/-1001", status: 202, success: `{"warnings":["room_encrypted"]}`, after: wantPortal(room, family.ID),
		prepare: encrypted,
	})
	add(wireCase{
		name: "encrypted room, on a bridge that decrypts", path: "/portal/!room:example.com/connect/-1001", status: 202, success: `{"warnings":[]}`,
		after: wantPortal(room, family.ID), prepare: encrypted, change: all(withRelay, func(_ *bridge, cfg *provisioning.Config) { cfg.Decrypts = true }),
	})
	add(wireCase{
		name: "basic group", path: "/portal/!room:example.com/connect/-1001", status: 202, success: `{"warnings":[]}`, after: wantPortal(room, family.ID),
	})
	add(wireCase{
		name: "percent-encoded", path: "/portal/%21room%3Aexample.com/connect/%2D1000000000009/", status: 202, success: `{"warnings":[]}`, after: wantPortal(room, news.ID),
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
		refused("chat bridged in a room without the bot, alice forces "+force, asAlice+"&force="+force, 403, "bot_not_in_room", bridged(closed, news))
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
	add(wireCase{
		name: "Telegram refuses", path: asAlice, prepare: steps(as(aliceAccount), failingCall("GetChat", &provisioning.TelegramError{Code: 400, Type: "X"})),
		status: 500, errcode: "unknown_error", fields: map[string]any{"telegram_error": "X"},
	})
	add(wireCase{
		name: "restricted account", path: asAlice, prepare: steps(as(aliceAccount), failingCall("GetChat", saidBy(provisioning.ErrTelegramRestricted, "FROZEN_METHOD_INVALID"))),
		status: 403, errcode: "telegram_restricted", fields: map[string]any{"telegram_error": "FROZEN_METHOD_INVALID"},
	})
	add(wireCase{name: "session ends meanwhile", change: inRooms, path: asAlice, prepare: steps(as(aliceAccount), endingSession("GetChat", alice)), status: 403, errcode: "not_logged_in"})
	connected("session ends meanwhile, the relay bot acts", asAlice, as(aliceAccount), endingSession("GetChat", alice))
	refused("session ends meanwhile, the relay bot is not in the chat", "/portal/!room:example.com/connect/-1000000000010"+asAlice, 403, "bot_not_in_chat", as(aliceAccount), endingSession("GetChat", alice))
	refused("session ends meanwhile, and the relay bot's", asAlice, 403, "not_logged_in", as(aliceAccount), endingSession("GetChat", alice, relayBot))
	refused("the relay bot's session ends meanwhile", "", 403, "not_logged_in", endingSession("GetChat", relayBot))
	refused("factory broken", asAlice, 500, "unhandled_error", failingCall("Client", errors.New("no memory")))
	add(wireCase{
		name: "flood wait", path: asAlice, prepare: steps(as(aliceAccount), failingCall("GetChat", &provisioning.FloodWaitError{Wait: 9 * time.Second})),
		status: 429, errcode: "flood_wait", fields: map[string]any{"retry_after": 9.0},
	})
	cases = append(cases, badRoomIDs("/portal/{}/connect/-1000000000009", "")...)
	return append(cases, askerCases(func(*testing.T, *bridge) {}, "")...)
}

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
	disconnected("empty queries", "?delete=&sync=")
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
	refused("bot not in the room", asAlice, 403, "bot_not_in_room", kicked)
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
