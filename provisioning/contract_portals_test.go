package provisioning_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

const (
	listedNews = `{"mxid":"!room:example.com","chat_id":-1000000000009,"peer_type":"channel","title":"News \u003cé 中 😀\u003e","about":"All\nof it","username":"news","megagroup":true,"receiver":null}`
	listedBob  = `{"mxid":"!other:example.com","chat_id":1002,"peer_type":"user","title":"Bob","about":"","username":"bob_tg","megagroup":false,"receiver":1001}`
	afterOther = "IW90aGVyOmV4YW1wbGUuY29t"
)

// twoPortals are a group that no account takes part in, and alice's direct chat with bob.
func twoPortals(t *testing.T, b *bridge) {
	bridged(room, news)(t, b)
	b.connect(t, provisioning.Portal{RoomID: otherRoom, ChatID: 1002, Receiver: 1001, Title: "Bob", Username: "bob_tg"})
}

// plainStore is a PortalStore that lists nothing.
type plainStore struct{ provisioning.PortalStore }

func listPortalsCases() []wireCase {
	page := func(next string, portals ...string) string {
		return `{"portals":[` + strings.Join(portals, ",") + `],"next":` + next + `}`
	}
	listed := func(name, query, body string, prepare ...func(*testing.T, *bridge)) wireCase {
		return wireCase{name: name, path: query, prepare: steps(append([]func(*testing.T, *bridge){twoPortals}, prepare...)...), status: 200, success: body}
	}
	all := page("null", listedBob, listedNews)
	cases := []wireCase{
		{name: "none", status: 200, success: page("null")},
		listed("all", "", all),
		listed("all, in one page", "?limit=2", all),
		listed("first page", "?limit=1", page(`"`+afterOther+`"`, listedBob)),
		listed("last page", "?limit=1&after="+afterOther, page("null", listedNews)),
		listed("after the last", "?after="+base64.RawURLEncoding.EncodeToString([]byte("!zzz")), page("null")),
		listed("twice, the first counts", "?limit=2&limit=x&after=&after=x", all),
		listed("empty values", "?limit=&after=", all),
		listed("largest page", "?limit=500", all),
		listed("an admin's", asAdmin, all),
		listed("alice's", asAlice, page("null", listedBob), as(aliceAccount)),
		listed("of alice, who is logged out", asAlice, page("null")),
		listed("of somebody refused", asAlice, page("null"), as(aliceAccount), brokenUsers(provisioning.ErrMatrixUserRefused)),
		{name: "of a store that lists nothing", status: 501, errcode: "not_implemented", change: func(b *bridge, cfg *provisioning.Config) { cfg.Portals = plainStore{b.portals} }},
		{name: "store broken", prepare: brokenPortals("ListPortals", errors.New("no such table")), status: 500, errcode: "unhandled_error"},
		{name: "database away", prepare: brokenPortals("ListPortals", fmt.Errorf("%w: locked", provisioning.ErrDatabase)), status: 500, errcode: "unknown_error"},
		{name: "user store broken", path: asAlice, prepare: brokenUsers(errors.New("disk full")), status: 500, errcode: "unhandled_error"},
		{name: "user empty", path: "?user_id=", status: 400, errcode: "mxid_empty"},
		{name: "user invalid", path: "?user_id=alice", status: 400, errcode: "mxid_invalid"},
	}
	for _, limit := range []string{"0", "-1", "501", "1.5", "ten", "%20", "99999999999999999999", "%zz"} {
		cases = append(cases, wireCase{name: "limit " + limit, path: "?limit=" + limit, status: 400, errcode: "body_value_invalid"})
	}
	for name, after := range inOrder(map[string]string{
		"no base64": "!other:example.com", "no room": base64.RawURLEncoding.EncodeToString([]byte("room")), "padded": afterOther + "==",
		"NUL": base64.RawURLEncoding.EncodeToString([]byte("!a\x00")), "not UTF-8": base64.RawURLEncoding.EncodeToString([]byte("!\xff")), "undecodable": "%zz",
	}) {
		cases = append(cases, wireCase{name: "after " + name, path: "?after=" + after, status: 400, errcode: "body_value_invalid"})
	}
	return cases
}

// rooms returns the rooms of a page, and what the next one comes after.
func (b *bridge) pageOf(t *testing.T, token, query string) (rooms []id.RoomID, next string) {
	t.Helper()
	a := b.callAs(t, token, http.MethodGet, "/portals"+query, "")
	var body struct {
		Portals []struct{ MXID id.RoomID }
		Next    *string
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, portal := range body.Portals {
		rooms = append(rooms, portal.MXID)
	}
	if body.Next != nil {
		next = *body.Next
	}
	return rooms, next
}

// Pages of any size have every portal once, also where portals come and go meanwhile.
func TestPagesOfPortals(t *testing.T) {
	b := newBridge(t)
	var want []id.RoomID
	for i := range 120 {
		portal := provisioning.Portal{RoomID: id.RoomID(fmt.Sprintf("!%03d:example.com", i)), ChatID: provisioning.ChannelChatID(int64(i + 1))}
		b.connect(t, portal)
		want = append(want, portal.RoomID)
	}
	if rooms, next := b.pageOf(t, secret, ""); len(rooms) != 100 || next == "" {
		t.Errorf("a page has %d portals, next %q", len(rooms), next)
	}
	for _, limit := range []int{1, 7, 40, 119, 120, 500} {
		var got []id.RoomID
		next := ""
		for {
			var rooms []id.RoomID
			rooms, next = b.pageOf(t, secret, fmt.Sprintf("?limit=%d&after=%s", limit, next))
			if got = append(got, rooms...); next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", limit, got)
		}
	}
	_, next := b.pageOf(t, secret, "?limit=3")
	for i, gone := range want[:4] {
		if err := b.portals.Disconnect(t.Context(), provisioning.Portal{RoomID: gone, ChatID: provisioning.ChannelChatID(int64(i + 1))}); err != nil {
			t.Fatal(err)
		}
	}
	b.connect(t, provisioning.Portal{RoomID: "!000a:example.com", ChatID: provisioning.ChannelChatID(500)})
	if rooms, _ := b.pageOf(t, secret, "?limit=2&after="+next); !slices.Equal(rooms, want[4:6]) {
		t.Errorf("after a portal that has ended: %v", rooms)
	}
}

// Who is not trusted gets a list of what is theirs, whatever they are named or ask for.
func TestPortalsOfCallers(t *testing.T) {
	b := newRightsBridge(t)
	const hers, shared id.RoomID = "!hers:example.com", "!shared:example.com"
	b.connect(t, provisioning.Portal{RoomID: hers, ChatID: 1002, Receiver: aliceAccount.ID})
	b.connect(t, provisioning.Portal{RoomID: shared, ChatID: provisioning.ChannelChatID(77)}, guardedAccount.ID, aliceAccount.ID)
	b.connect(t, provisioning.Portal{RoomID: "!bobs:example.com", ChatID: 1001, Receiver: guardedAccount.ID})
	all := []id.RoomID{"!bobs:example.com", hers, mine, shared, theirs}
	for _, c := range []struct {
		token, query string
		want         []id.RoomID
	}{
		{secret, "", all},
		{secret, "?user_id=@admin:example.com", all},
		{secret, "?user_id=@alice:example.com", []id.RoomID{hers, shared}},
		{secret, "?user_id=@user:example.com", nil},
		{secretOf(provisioning.ScopeRead), "", all},
		{tokenOf(admin), "", all},
		{tokenOf(admin), "?user_id=@alice:example.com", []id.RoomID{hers, shared}},
		{tokenOf(alice), "", []id.RoomID{hers, shared}},
		{openIDOf(alice), "?user_id=@alice:example.com", []id.RoomID{hers, shared}},
		{tokenOf(plain), "", nil},
		{openIDOf(admin), "", nil},
		{openIDOf(admin), "?user_id=@admin:example.com", nil},
	} {
		if got, next := b.pageOf(t, c.token, c.query); !slices.Equal(got, c.want) || next != "" {
			t.Errorf("%s%s: %v, want %v", c.token, c.query, got, c.want)
		}
	}
	// Her account has moved to somebody else.
	b.logIn(t, bob, aliceAccount)
	if got, _ := b.pageOf(t, tokenOf(alice), ""); got != nil {
		t.Errorf("alice, whose account is bob's now, sees %v", got)
	}
	if got, _ := b.pageOf(t, tokenOf(bob), ""); !slices.Equal(got, []id.RoomID{hers, shared}) {
		t.Errorf("bob sees %v", got)
	}
}
