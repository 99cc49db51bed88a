package provisioning_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

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
				b.wantNoTasks(t)
			}
		}
		cases = append(cases, c)
	}
	created := func(name, body string, want provisioningtest.TelegramGroup) wireCase {
		return wireCase{
			name: name, body: body, status: 201, success: fmt.Sprintf(`{"chat_id":%d}`, want.ID),
			after: func(t *testing.T, b *bridge) {
				got, _ := b.telegram.Group(want.ID)
				want.Created = got.Created
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
	add(wireCase{name: "Telegram refuses", prepare: steps(as(aliceAccount), failingCall("CreateChat", &provisioning.TelegramError{Code: 400, Type: "SOMETHING_NEW"})), status: 500, errcode: "unknown_error", fields: map[string]any{"telegram_error": "SOMETHING_NEW"}})
	add(wireCase{
		name: "too many channels", prepare: steps(as(aliceAccount), failingCall("CreateChat", saidBy(provisioning.ErrTelegramRestricted, "CHANNELS_TOO_MUCH"))),
		status: 403, errcode: "telegram_restricted", fields: map[string]any{"telegram_error": "CHANNELS_TOO_MUCH"},
	})
	add(wireCase{name: "session ends meanwhile", prepare: steps(as(aliceAccount), failingCall("CreateChat", provisioning.ErrNotLoggedIn)), status: 403, errcode: "not_logged_in_real_account"})
	add(wireCase{
		name: "flood wait", prepare: steps(as(aliceAccount), failingCall("CreateChat", &provisioning.FloodWaitError{Wait: time.Minute})),
		status: 429, errcode: "flood_wait", fields: map[string]any{"retry_after": 60.0},
	})
	cases = append(cases, badRoomIDs("/portal/{}/create"+asAlice, valid)...)
	return append(cases, askerCases(as(aliceAccount), valid)...)
}
