package provisioning_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

type provisioningAccount = provisioningtest.TelegramAccount

// as prepares a bridge where alice is logged in with an account.
func as(account provisioningAccount) func(*testing.T, *bridge) {
	return func(t *testing.T, b *bridge) { b.logIn(t, alice, account) }
}

// failing prepares a bridge where alice is logged in and a method fails.
func failing(method string, err error) func(*testing.T, *bridge) {
	return func(t *testing.T, b *bridge) {
		b.logIn(t, alice, aliceAccount)
		b.telegram.Fail(method, err)
	}
}

// bridgeAnswer is what get_bridge answers where the bridge can do everything.
func bridgeAnswer(relayBot string) string {
	return `{"relaybot_username":` + relayBot + `,"bot_mxid":"@telegrambot:example.com","operations":` +
		`["get_bridge","get_me","get_chats","get_contacts","get_stickersets","list_portals","get_portal_by_tgid","get_portal","preflight_connect","connect_portal",` +
		`"create_portal","disconnect_portal","start_dm","resolve_identifier","post_bot_token","post_login_phone","post_login_code",` +
		`"post_login_password","login_qr","get_login","cancel_login","resend_login_code","create_login_link","open_login_link","logout"]}`
}

func bridgeOperations() []operation {
	relayFails := func(err error) func(*testing.T, *bridge) {
		return func(t *testing.T, b *bridge) { b.telegram.Fail("Account", err) }
	}
	return []operation{{
		op: "get_bridge", method: http.MethodGet, path: "/bridge",
		cases: []wireCase{
			{name: "no relay bot", status: 200, success: bridgeAnswer(`null`)},
			{name: "relay bot", change: withRelayBot(botAccount), status: 200, success: bridgeAnswer(`"helper_bot"`)},
			{name: "relay bot without username", change: withRelayBot(hiddenAccount), status: 200, success: bridgeAnswer(`""`)},
			{
				name: "relay bot logged out", change: withRelayBot(botAccount), status: 200, success: bridgeAnswer(`null`),
				prepare: func(t *testing.T, b *bridge) { b.telegram.EndSession(relayBot) },
			},
			{
				name: "Telegram unavailable", change: withRelayBot(botAccount), status: 500, errcode: "unknown_error",
				prepare: relayFails(provisioning.ErrTelegramUnavailable),
			},
			{
				name: "relay bot's token expired", change: withRelayBot(botAccount), status: 500, errcode: "unknown_error",
				prepare: relayFails(provisioning.ErrBotTokenExpired),
			},
			{
				name: "flood wait", change: withRelayBot(botAccount), status: 429, errcode: "flood_wait",
				prepare: relayFails(&provisioning.FloodWaitError{Wait: time.Minute}), fields: map[string]any{"retry_after": 60.0},
			},
			{
				name: "relay bot overloaded", change: withRelayBot(botAccount), status: 503, errcode: "overloaded",
				prepare: relayFails(provisioning.ErrOverloaded), fields: map[string]any{"retry_after": 5.0},
			},
		},
	}}
}

func userOperations() []operation {
	return []operation{
		{op: "get_me", method: http.MethodGet, path: "/user/{user_id}", cases: meCases()},
		{
			op: "get_chats", method: http.MethodGet, path: "/user/{user_id}/chats",
			documented: []string{"400 body_value_invalid", "403 not_logged_in", "403 telegram_restricted", "501 not_implemented"}, cases: chatsCases(),
		},
		{
			op: "get_contacts", method: http.MethodGet, path: "/user/{user_id}/contacts",
			documented: []string{"403 not_logged_in", "403 telegram_restricted", "501 not_implemented"}, cases: contactsCases(),
		},
		{
			op: "get_stickersets", method: http.MethodGet, path: "/user/{user_id}/stickersets",
			documented: []string{"403 not_logged_in", "403 telegram_restricted", "501 not_implemented"}, cases: stickersetsCases(),
		},
	}
}

func meCases() []wireCase {
	cases := []wireCase{
		{
			name: "logged in", prepare: as(aliceAccount), status: 200,
			success: `{"mxid":"@alice:example.com","permissions":"full","telegram":{"id":1001,"username":"alice_tg",` +
				`"first_name":"Alice","last_name":"Liddell","phone":"15550100","is_bot":false}}`,
		},
		{
			name: "nothing known", prepare: as(hiddenAccount), status: 200,
			success: `{"mxid":"@alice:example.com","permissions":"full","telegram":{"id":9223372036854775807,"username":"",` +
				`"first_name":"","last_name":"","phone":"","is_bot":false}}`,
		},
		{
			name: "bot", prepare: as(botAccount), status: 200,
			success: `{"mxid":"@alice:example.com","permissions":"full","telegram":{"id":2001,"username":"helper_bot",` +
				`"first_name":"Helper","last_name":"","phone":"","is_bot":true}}`,
		},
		{
			name: "logged in, without permission now", user: string(stranger), status: 200,
			prepare: func(t *testing.T, b *bridge) { b.logIn(t, stranger, botAccount) },
			success: `{"mxid":"@none:example.com","permissions":"none","telegram":{"id":2001,"username":"helper_bot",` +
				`"first_name":"Helper","last_name":"","phone":"","is_bot":true}}`,
		},
		{name: "minimal client", change: minimalClients, status: 200, success: `{"mxid":"@alice:example.com","permissions":"full","telegram":null}`},
		{
			name: "half-done login", status: 200, success: `{"mxid":"@alice:example.com","permissions":"full","telegram":null}`,
			prepare: func(t *testing.T, b *bridge) { b.login(t, alice, [2]string{"request_code", `{"phone":"+15550100"}`}) },
		},
	}
	for _, userID := range []id.UserID{stranger, relayed, plain, alice, admin} {
		cases = append(cases, wireCase{
			name: "logged out, " + permissionOf(userID).String(), user: string(userID), status: 200,
			success: `{"mxid":"` + string(userID) + `","permissions":"` + permissionOf(userID).String() + `","telegram":null}`,
		})
	}
	return cases
}

// listCases are what get_chats and get_contacts have in common.
func listCases(method string) []wireCase {
	cases := []wireCase{
		{name: "not logged in", status: 403, errcode: "not_logged_in"},
		{name: "minimal client, not logged in", change: minimalClients, status: 403, errcode: "not_logged_in"},
		{name: "minimal client", change: minimalClients, prepare: as(aliceAccount), status: 501, errcode: "not_implemented"},
		{name: "session ends meanwhile", prepare: failing(method, provisioning.ErrNotLoggedIn), status: 403, errcode: "not_logged_in"},
		{name: "list unavailable", prepare: failing(method, provisioning.ErrTelegramUnavailable), status: 500, errcode: "unknown_error"},
		{name: "list broken", prepare: failing(method, errors.New("broken")), status: 500, errcode: "unhandled_error"},
		{
			name: "list flood wait", prepare: failing(method, &provisioning.FloodWaitError{Wait: 1500 * time.Millisecond}),
			status: 429, errcode: "flood_wait", fields: map[string]any{"retry_after": 2.0},
		},
	}
	for _, userID := range []id.UserID{stranger, relayed, plain} {
		cases = append(cases, wireCase{name: "level of " + string(userID), user: string(userID), status: 403, errcode: "mxid_not_whitelisted"})
	}
	return cases
}

func chatsCases() []wireCase {
	portals := func(t *testing.T, b *bridge) {
		b.logIn(t, alice, botAccount)
		b.connect(t, provisioning.Portal{RoomID: "!a:example.com", ChatID: provisioning.ChannelChatID(5), Title: "Five"}, botAccount.ID)
		b.connect(t, provisioning.Portal{RoomID: "!b:example.com", ChatID: 1002, Receiver: botAccount.ID}, botAccount.ID)
		b.connect(t, provisioning.Portal{RoomID: "!c:example.com", ChatID: provisioning.ChannelChatID(6)}, aliceAccount.ID)
	}
	const (
		newsChat   = `{"id":-1000000000007,"title":"News \u003cé 中 😀\u003e \"q\"","type":"supergroup","username":"News_Here","room_id":null}`
		familyChat = `{"id":-1001,"title":"Family","type":"chat","username":"","room_id":null}`
		bobChat    = `{"id":1002,"title":"","type":"user","username":"bob_tg","room_id":null}`
	)
	cases := listCases("Chats")
	listed := func(name, query string, chats ...string) {
		cases = append(cases, wireCase{name: name, path: query, prepare: as(aliceAccount), status: 200, success: "[" + strings.Join(chats, ",") + "]"})
	}
	const chats = "/user/@alice:example.com/chats"
	listed("chats", "", newsChat, familyChat, bobChat)
	listed("empty parameters", chats+"?limit=&after=&search=", newsChat, familyChat, bobChat)
	listed("first page", chats+"?limit=1", newsChat)
	listed("next page", chats+"?limit=1&after=-1000000000007", familyChat)
	listed("rest", chats+"?limit=500&after=-1000000000007", familyChat, bobChat)
	listed("after the last", chats+"?after=1002")
	listed("search in a title", chats+"?search=FAMI", familyChat)
	listed("search beyond ASCII", chats+"?search=%C3%89+%E4%B8%AD", newsChat)
	listed("search in usernames", chats+"?search=_tg", bobChat)
	listed("search for a username", chats+"?search=@news_h", newsChat)
	listed("search for nothing that is there", chats+"?search=nobody")
	listed("search in pages", chats+"?search=n&limit=1", newsChat)
	listed("search, after what does not match", chats+"?search=b&after=-1001", bobChat)
	for _, bad := range []string{"limit=0", "limit=501", "limit=-1", "limit=x", "limit=%zz", "after=-1002", "after=x", "after=%zz", "search=%zz"} {
		cases = append(cases, wireCase{name: bad, path: chats + "?" + bad, prepare: as(aliceAccount), status: 400, errcode: "body_value_invalid"})
	}
	return append(cases,
		wireCase{
			name: "bridged", status: 200, success: "[" + strings.Join([]string{newsChat, strings.Replace(familyChat, "null", `"!room:example.com"`, 1), bobChat}, ",") + "]",
			prepare: steps(as(aliceAccount), bridged(room, family), func(t *testing.T, b *bridge) {
				b.connect(t, provisioning.Portal{RoomID: "!bobs:example.com", ChatID: 1002, Receiver: 4004})
			}),
		},
		wireCase{name: "no chats", prepare: as(hiddenAccount), status: 200, success: `[]`},
		wireCase{name: "bot", prepare: portals, status: 200, success: `[{"id":-1000000000005,"title":"Five","type":"channel","username":"","room_id":"!a:example.com"},{"id":1002,"title":"","type":"user","username":"","room_id":"!b:example.com"}]`},
		wireCase{name: "bot of a minimal client", change: minimalClients, prepare: as(botAccount), status: 200, success: `[]`},
		wireCase{
			name: "admin", user: string(admin), status: 200, success: `[]`,
			prepare: func(t *testing.T, b *bridge) { b.logIn(t, admin, hiddenAccount) },
		},
		wireCase{
			name: "portal store broken", status: 500, errcode: "unhandled_error",
			prepare: func(t *testing.T, b *bridge) {
				b.logIn(t, alice, botAccount)
				b.portals.Fail("AccountPortals", errors.New("no such table"))
			},
		},
		wireCase{
			name: "portals of chats broken", status: 500, errcode: "unhandled_error",
			prepare: steps(as(aliceAccount), brokenPortals("PortalsOfChats", errors.New("no such table"))),
		},
	)
}

func contactsCases() []wireCase {
	return append(listCases("Contacts"),
		wireCase{
			name: "contacts", prepare: as(aliceAccount), status: 200,
			success: `{"1002":{"id":1002,"name":"Bob Builder","username":"bob_tg","phone":"+15550101","is_bot":false,"avatar_url":""},` +
				`"2001":{"id":2001,"name":"Helper","username":"","phone":"","is_bot":true,"avatar_url":""}}`,
		},
		wireCase{name: "no contacts", prepare: as(hiddenAccount), status: 200, success: `{}`},
		wireCase{name: "bot", prepare: as(botAccount), status: 200, success: `{}`},
	)
}

func stickersetsCases() []wireCase {
	return append(listCases("StickerSets"),
		wireCase{name: "sticker sets", prepare: as(aliceAccount), status: 200, success: `["HotCherry","AnimatedEmojies"]`},
		wireCase{name: "no sticker sets", prepare: as(hiddenAccount), status: 200, success: `[]`},
		wireCase{name: "bot", prepare: as(botAccount), status: 200, success: `[]`},
		wireCase{name: "bot of a minimal client", change: minimalClients, prepare: as(botAccount), status: 200, success: `[]`},
	)
}

// The Python bridge sent {} the second time.
func TestListsAreTheSameEveryTime(t *testing.T) {
	b := newBridge(t)
	b.logIn(t, alice, aliceAccount)
	for _, path := range []string{"/contacts", "/chats", "/stickersets", ""} {
		first := b.call(t, http.MethodGet, user(alice, path), "")
		for range 3 {
			b.call(t, http.MethodGet, user(alice, path), "").wantBody(t, 200, first.body[:len(first.body)-1])
		}
	}
}

// Of the portals of one's chats, those are shown that one may see.
func TestRoomsOfChats(t *testing.T) {
	b := newRightsBridge(t)
	account := adminAccount
	account.Chats = []provisioning.Chat{{ID: news.ID, Title: "News"}, {ID: family.ID, Title: "Family"}, {ID: 1002}, {ID: provisioning.ChannelChatID(50)}}
	b.telegram.Add(account)
	b.connect(t, provisioning.Portal{RoomID: "!own:example.com", ChatID: provisioning.ChannelChatID(50)}, account.ID)
	b.connect(t, provisioning.Portal{RoomID: "!direct:example.com", ChatID: 1002, Receiver: account.ID})
	b.connect(t, provisioning.Portal{RoomID: "!others:example.com", ChatID: 1002, Receiver: aliceAccount.ID})
	rooms := func(userID id.UserID, token string) string {
		a := b.callAs(t, token, http.MethodGet, user(userID, "/chats"), "")
		var chats []struct {
			RoomID *id.RoomID `json:"room_id"`
		}
		if err := json.Unmarshal([]byte(a.body), &chats); err != nil || a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		var list []string
		for _, chat := range chats {
			if chat.RoomID == nil {
				list = append(list, "-")
			} else {
				list = append(list, string(*chat.RoomID))
			}
		}
		return strings.Join(list, " ")
	}
	const all, own = "!mine:example.com !theirs:example.com !direct:example.com !own:example.com", "- - !direct:example.com !own:example.com"
	const carol id.UserID = "@carol:example.com"
	for _, userID := range []id.UserID{carol, admin} {
		b.logIn(t, userID, account)
		for token, want := range map[string]string{secret: all, secretOf(provisioning.ScopeRead): all, tokenOf(admin): all} {
			if got := rooms(userID, token); got != want {
				t.Errorf("%s by %s: %s, want %s", userID, token, got, want)
			}
		}
		for _, token := range []string{tokenOf(carol), openIDOf(userID)} {
			if userID == admin && token == tokenOf(carol) {
				continue
			}
			if got := rooms(userID, token); got != own {
				t.Errorf("%s by %s: %s, want %s", userID, token, got, own)
			}
		}
	}
}

// adminAccount is an account of TestRoomsOfChats.
var adminAccount = provisioningAccount{Account: provisioning.Account{ID: 6006, FirstName: "Ada"}}
