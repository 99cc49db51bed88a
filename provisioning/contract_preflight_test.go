package provisioning_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

const (
	seenNews    = `"chat":{"id":-1000000000009,"title":"News \u003cé 中 😀\u003e","type":"supergroup"}`
	noChat      = `"chat":null`
	replacesNo  = `,"replaces":null}`
	notInRoom   = `{"errcode":"bot_not_in_room","error":"The bridge bot is not in the room. Please invite it first.","bot_mxid":"@telegrambot:example.com"}`
	chatBridged = `{"errcode":"chat_already_bridged","error":"The Telegram chat is bridged to another Matrix room already."}`
	roomBridged = `{"errcode":"room_already_bridged","error":"The room is bridged to another Telegram chat already."}`
	botNotThere = `{"errcode":"bot_not_in_chat","error":"The bridge's relay bot is not in the Telegram chat. Please add it first."}`
)

// preflightCases are those of preflight_connect. TestPreflightSaysWhatConnectAnswers has those of
// connect_portal.
func preflightCases() []wireCase {
	var cases []wireCase
	add := func(c wireCase) {
		if c.change == nil {
			c.change = withRelay
		}
		cases = append(cases, c)
	}
	seen := func(name, path, body string, prepare ...func(*testing.T, *bridge)) {
		add(wireCase{name: name, path: path, prepare: steps(prepare...), status: 200, success: body})
	}
	blocked := func(blockers string) string {
		return `{"can_connect":false,"blockers":[` + blockers + `],"warnings":[],`
	}
	const clear = `{"can_connect":true,"blockers":[],"warnings":[],`
	encrypted := func(_ *testing.T, b *bridge) {
		r := b.room(room)
		r.Encrypted = true
		b.rooms.Add(room, r)
	}
	seen("relay bot", "", clear+`"acting":"relaybot",`+seenNews+replacesNo)
	seen("alice, not logged in", asAlice, clear+`"acting":"relaybot",`+seenNews+replacesNo)
	seen("alice in an encrypted room", asAlice, `{"can_connect":true,"blockers":[],"warnings":["room_encrypted"],"acting":"user",`+seenNews+replacesNo, as(aliceAccount), encrypted)
	seen("basic group", "/portal/!room:example.com/connect/-1001", clear+`"acting":"relaybot","chat":{"id":-1001,"title":"Family","type":"chat"}`+replacesNo)
	seen("chat bridged elsewhere, force", "?force=unbridge", clear+`"acting":"relaybot",`+seenNews+`,"replaces":"!other:example.com"}`, bridged(otherRoom, news))
	seen("bot not in the room, chat bridged elsewhere", "/portal/!closed:example.com/connect/-1000000000009", blocked(notInRoom+","+chatBridged)+`"acting":"relaybot",`+seenNews+replacesNo, bridged(otherRoom, news))
	seen("everything", "/portal/!closed:example.com/connect/-1000000000010", blocked(roomBridged+","+notInRoom+","+chatBridged+","+botNotThere)+`"acting":"relaybot",`+noChat+replacesNo,
		bridged(closed, family), bridged(otherRoom, provisioning.ChatInfo{ID: provisioning.ChannelChatID(10)}))
	seen("bridged to this chat", "", blocked(`{"errcode":"bridge_exists","error":"The room is bridged to this Telegram chat already."}`)+`"acting":"relaybot",`+seenNews+replacesNo, bridged(room, news))
	seen("alice not in the chat", "/portal/!room:example.com/connect/-1000000000010"+asAlice,
		blocked(`{"errcode":"user_not_in_chat","error":"Your Telegram account is not in that chat."}`)+`"acting":"user",`+noChat+replacesNo, as(aliceAccount))
	add(wireCase{
		name: "nobody to act, room bridged", change: inRooms, path: asAlice, prepare: bridged(room, family), status: 200,
		success: blocked(roomBridged+`,{"errcode":"not_logged_in","error":"You are not logged in to Telegram, and the bridge has no relay bot."}`) + `"acting":null,` + noChat + replacesNo,
	})
	seen("restricted account", asAlice, blocked(`{"errcode":"telegram_restricted","error":"Telegram does not let your account do that. In a Telegram app, @SpamBot can tell you whether it is limited, and why.","telegram_error":"FROZEN_METHOD_INVALID"}`)+
		`"acting":"user",`+noChat+replacesNo, as(aliceAccount), failingCall("GetChat", saidBy(provisioning.ErrTelegramRestricted, "FROZEN_METHOD_INVALID")))

	refused := func(name, path string, status int, errcode string, prepare ...func(*testing.T, *bridge)) {
		add(wireCase{name: name, path: path, prepare: steps(prepare...), status: status, errcode: errcode})
	}
	refused("no power, room bridged", "?user_id=@bob:example.com", 403, "not_enough_permissions", bridged(room, family))
	refused("no power, bridged to this chat", "?user_id=@bob:example.com", 403, "not_enough_permissions", bridged(room, news))
	refused("force bogus", "?force=bogus", 400, "body_value_invalid")
	refused("homeserver away", "", 500, "unknown_error", brokenRooms("CheckBot", provisioning.ErrHomeserver))
	refused("rooms broken", "", 500, "unhandled_error", brokenRooms("CheckBot", errors.New("nil pointer")))
	refused("look-up by room broken", "", 500, "unhandled_error", brokenPortals("PortalByRoom", errors.New("no such table")))
	refused("look-up by chat broken", "", 500, "unhandled_error", brokenPortals("PortalByChat", errors.New("no such table")))
	refused("Telegram unavailable", "", 500, "unknown_error", failingCall("GetChat", provisioning.ErrTelegramUnavailable))
	add(wireCase{name: "without rooms", change: withoutRooms, status: 501, errcode: "not_implemented"})
	add(wireCase{name: "minimal client", change: all(inRooms, minimalClients), prepare: as(aliceAccount), path: asAlice, status: 501, errcode: "not_implemented"})
	add(wireCase{
		name: "flood wait", prepare: failingCall("GetChat", &provisioning.FloodWaitError{Wait: 9e9}), status: 429, errcode: "flood_wait", fields: map[string]any{"retry_after": 9.0},
	})
	for name, chatID := range inOrder(badChatIDs) {
		add(wireCase{name: "chat ID " + name, path: "/portal/!room:example.com/connect/" + chatID, status: 400, errcode: "tgid_invalid"})
	}
	cases = append(cases, badRoomIDs("/portal/{}/connect/-1000000000009", "")...)
	return append(cases, askerCases(func(*testing.T, *bridge) {}, "")...)
}

// preflightAnswer is what preflight_connect says.
type preflightAnswer struct {
	CanConnect bool `json:"can_connect"`
	Blockers   []struct{ Errcode, Error string }
	Warnings   []string
	Acting     *string
	Chat       *struct{ ID provisioning.ChatID }
	Replaces   *id.RoomID
}

func (b *bridge) preflight(t *testing.T, token, path string) (a answer, body preflightAnswer) {
	t.Helper()
	a = b.callAs(t, token, http.MethodGet, path, "")
	if a.status == 200 {
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Fatal(err)
		}
	}
	return a, body
}

// Whatever is in the way, the first blocker is what connect_portal answers, to the sentence; and
// nothing has changed before that.
func TestPreflightSaysWhatConnectAnswers(t *testing.T) {
	connect := operations()[slices.IndexFunc(operations(), func(op operation) bool { return op.op == "connect_portal" })]
	for _, c := range connect.cases {
		if c.name == "store broken" { // which nobody knows before
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newBridge(t, c.change)
				if c.prepare != nil {
					c.prepare(t, b)
				}
				a, body := b.preflight(t, secret, connect.pathOf(c))
				b.wantNothingDone(t)
				again := newBridge(t, c.change)
				if c.prepare != nil {
					c.prepare(t, again)
				}
				want := again.send(t, newRequest(connect.method, connect.pathOf(c), c.body))
				switch {
				case a.status != 200:
					if a.status != want.status || a.body != want.body {
						t.Errorf("preflight: %d %s; connect: %d %s", a.status, a.body, want.status, want.body)
					}
				case body.CanConnect != (len(body.Blockers) == 0) || body.CanConnect != (want.status == 202):
					t.Errorf("preflight: %s; connect: %d %s", a.body, want.status, want.body)
				case body.CanConnect:
					if got := fmt.Sprintf("{\"warnings\":%s}\n", jsonOf(t, body.Warnings)); got != want.body || body.Acting == nil || body.Chat == nil {
						t.Errorf("preflight: %s; connect: %d %s", a.body, want.status, want.body)
					}
				default:
					if first := body.Blockers[0]; first.Errcode != want.field("errcode") || first.Error != want.field("error") {
						t.Errorf("preflight: %s; connect: %d %s", a.body, want.status, want.body)
					}
				}
			})
		})
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wantNothingDone checks that nothing was asked to change since the portals of a test were
// connected.
func (b *bridge) wantNothingDone(t *testing.T) {
	t.Helper()
	for _, method := range []string{"Move", "Disconnect", "AddTasks", "SetPortalUser", "RemoveAccount"} {
		if n := b.portals.Calls(method); n != 0 {
			t.Errorf("%s was called %d times", method, n)
		}
	}
	if tasks := b.portals.Tasks(); len(tasks) != 0 {
		t.Errorf("there are tasks: %v", tasks)
	}
	for _, method := range []string{"SetUpPortal", "CleanUp", "CreateDirect", "InviteToDirect", "UpdateGhost", "NeedGhosts"} {
		if n := b.rooms.Calls(method); n != 0 {
			t.Errorf("%s was called %d times", method, n)
		}
	}
}

// A group that has become a supergroup is looked at, and its portal does not move.
func TestPreflightOfMigratedGroup(t *testing.T) {
	for _, c := range []struct{ room, chat, want string }{
		{"!room:example.com", "-1001", "bridge_exists"},
		{"!room:example.com", "-1000000002002", "bridge_exists"},
		{"!other:example.com", "-1001", "chat_already_bridged"},
		{"!other:example.com", "-1000000002002", "chat_already_bridged"},
		{"!other:example.com", "-1000000002002?force=unbridge", ""},
	} {
		b := newBridge(t, withRelay)
		b.logIn(t, alice, aliceAccount)
		bridged(room, family)(t, b)
		b.grow()
		path := "/portal/" + c.room + "/connect/" + c.chat
		a, body := b.preflight(t, secret, path)
		got := ""
		if len(body.Blockers) > 0 {
			got = body.Blockers[0].Errcode
		}
		if a.status != 200 || len(body.Blockers) > 1 || got != c.want || body.Chat == nil || body.Chat.ID != grown.ID {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if c.want == "" && (body.Replaces == nil || *body.Replaces != room) {
			t.Errorf("%s: replaces %v", path, body.Replaces)
		}
		b.wantNothingDone(t)
		if portal := b.portal(t, room); portal.ChatID != family.ID {
			t.Errorf("%s: the portal is %v", path, portal)
		}
		want := b.call(t, http.MethodPost, path, "")
		if want.field("errcode") != c.want {
			t.Errorf("%s: preflight says %q, connect %s", path, c.want, want.body)
		}
	}
}

// The room of a group cannot follow it to a supergroup that has a room of its own.
func TestPreflightOfMigratedGroupWithTwoRooms(t *testing.T) {
	b := newBridge(t, withRelay)
	bridged(room, family)(t, b)
	bridged(otherRoom, grown)(t, b)
	b.grow()
	path := "/portal/!room:example.com/connect/-1000000002002"
	a, body := b.preflight(t, secret, path)
	want := b.call(t, http.MethodPost, path, "")
	if a.status != 200 || len(body.Blockers) == 0 || body.Blockers[0].Errcode != want.field("errcode") {
		t.Errorf("preflight: %s; connect: %s", a.body, want.body)
	}
}

// Of a chat that the caller's account is not in, preflight does not say whether it is bridged,
// nor anything of a room in which the caller has no power.
func TestPreflightTellsTokensNothing(t *testing.T) {
	b := newRightsBridge(t)
	b.telegram.AddGroup(provisioningtest.TelegramGroup{ChatInfo: provisioning.ChatInfo{ID: provisioning.ChannelChatID(12)}, Members: []provisioning.TelegramID{guardedAccount.ID, botAccount.ID}})
	b.connect(t, provisioning.Portal{RoomID: "!hidden:example.com", ChatID: provisioning.ChannelChatID(12)})
	for _, force := range []string{"", "?force=unbridge", "?force=delete"} {
		var answers []string
		for _, chatID := range []string{"-1000000000010", "-1000000000012"} { // free, and bridged
			a, body := b.preflight(t, tokenOf(alice), "/portal/!free:example.com/connect/"+chatID+force)
			if a.status != 200 || len(body.Blockers) != 1 || body.Blockers[0].Errcode != "user_not_in_chat" || body.Chat != nil {
				t.Errorf("%s: %d %s", chatID, a.status, a.body)
			}
			answers = append(answers, a.body)
		}
		if answers[0] != answers[1] {
			t.Errorf("a chat that is bridged answers %s, another one %s", answers[1], answers[0])
		}
	}
	for _, token := range []string{tokenOf(plain), openIDOf(plain)} { // who have no account
		a, body := b.preflight(t, token, "/portal/!free:example.com/connect/-1000000000009")
		if a.status != 200 || len(body.Blockers) != 1 || body.Blockers[0].Errcode != "not_logged_in" || body.Acting != nil || body.Chat != nil {
			t.Errorf("%s: %d %s", token, a.status, a.body)
		}
	}
	if n := b.telegram.Calls("GetChat"); n != 6 {
		t.Errorf("Telegram was asked for %d chats", n)
	}
	// Their account is in the chat, whose portal is in a room where they have no power.
	a, body := b.preflight(t, tokenOf(alice), "/portal/!free:example.com/connect/-1001?force=delete")
	if a.status != 200 || len(body.Blockers) != 1 || body.Blockers[0].Errcode != "not_enough_permissions" || body.Replaces != nil {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.rooms.Add("!empty:example.com", provisioningtest.MemRoom{})
	b.rooms.Add("!hidden:example.com", provisioningtest.MemRoom{})
	for _, token := range []string{tokenOf(alice), openIDOf(alice), tokenOf(plain)} {
		for _, roomID := range []string{"!empty", "!hidden"} {
			a, _ := b.preflight(t, token, "/portal/"+roomID+":example.com/connect/-1000000000009")
			a.wantBody(t, 403, `{"errcode":"not_enough_permissions","error":"You do not have the permissions to bridge or unbridge this room."}`)
		}
		a, _ := b.preflight(t, token, "/portal/!nowhere:example.com/connect/-1000000000009")
		a.wantBody(t, 403, notInRoom)
	}
}
