package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

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
