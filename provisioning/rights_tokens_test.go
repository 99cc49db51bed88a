package provisioning_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// Nobody gets a group of the relay bot's bridged by counting chat IDs: whether the bot is in a
// chat, and whether that is bridged, is no answer for somebody who is not logged in.
func TestRelayBotActsForNoTokenBelowAdmin(t *testing.T) {
	for _, token := range []string{tokenOf(plain), openIDOf(plain), tokenOf("@full:example.com"), openIDOf(admin)} {
		b := newRightsBridge(t)
		powers := map[id.UserID]int{plain: 100, "@full:example.com": 100, admin: 100}
		b.rooms.Add(free, provisioningtest.MemRoom{Room: provisioning.Room{Users: []id.UserID{plain, "@full:example.com", admin}}, Powers: powers})
		for _, chatID := range []string{"-1001", "-1002", "-1000000000009", "-1000000000010", "-1000000000011"} {
			for _, force := range []string{"", "?force=unbridge", "?force=delete"} {
				a := b.callAs(t, token, http.MethodPost, "/portal/!free:example.com/connect/"+chatID+force, "")
				a.wantBody(t, 403, `{"errcode":"not_logged_in","error":"You are not logged in to Telegram. Please log in first."}`)
			}
		}
		if n := b.telegram.Calls("GetChat"); n != 0 {
			t.Errorf("%s: Telegram was asked for %d chats", token, n)
		}
	}
	b := newRightsBridge(t)
	b.callAs(t, tokenOf(admin), http.MethodPost, "/portal/!free:example.com/connect/-1000000000009?force=unbridge", "").want(t, 202, "")
	b.callAs(t, tokenOf(admin), http.MethodPost, "/portal/!theirs:example.com/disconnect", "").want(t, 202, "")
	b.callAs(t, tokenOf(admin), http.MethodPost, "/portal/!theirs:example.com/connect/-1001?user_id=@admin:example.com", "").want(t, 202, "")
}

// The relay bot does not look for the portals of a supergroup for them either.
func TestRelayBotLooksForNoTokenBelowAdmin(t *testing.T) {
	for token, looks := range map[string]bool{tokenOf(plain): false, openIDOf(admin): false, tokenOf(admin): true, secret: true} {
		b := newRightsBridge(t)
		b.callAs(t, token, http.MethodGet, "/portal/-1000000000077", "").want(t, 404, "portal_not_found")
		b.callAs(t, token, http.MethodGet, "/portal/-1077", "").want(t, 404, "portal_not_found")
		if asked := b.telegram.Calls("GetChat")+b.telegram.Calls("Migrations") > 0; asked != looks {
			t.Errorf("%s: Telegram was asked: %t, want %t", token, asked, looks)
		}
	}
}

// Of a chat that the caller's account is not in, nobody says that it is bridged; nor of a room
// that the caller is not in.
func TestConflictsTellNothing(t *testing.T) {
	const hidden, bridgedHidden = "-1000000000010", "-1000000000012"
	b := newRightsBridge(t)
	b.telegram.AddGroup(provisioningtest.TelegramGroup{ChatInfo: provisioning.ChatInfo{ID: provisioning.ChannelChatID(12)}, Members: []provisioning.TelegramID{guardedAccount.ID, botAccount.ID}})
	b.connect(t, provisioning.Portal{RoomID: "!hidden:example.com", ChatID: provisioning.ChannelChatID(12)})
	for _, force := range []string{"", "?force=unbridge", "?force=delete"} {
		for _, chatID := range []string{hidden, bridgedHidden} {
			b.callAs(t, tokenOf(alice), http.MethodPost, "/portal/!free:example.com/connect/"+chatID+force, "").want(t, 403, "user_not_in_chat")
			b.call(t, http.MethodGet, "/portal/!hidden:example.com", "").want(t, 200, "")
		}
	}
	b.callAs(t, tokenOf(alice), http.MethodPost, "/portal/!free:example.com/connect/-1000000000009", "").want(t, 409, "chat_already_bridged")
	b.rooms.Add("!empty:example.com", provisioningtest.MemRoom{})
	b.rooms.Add("!hidden:example.com", provisioningtest.MemRoom{})
	for _, token := range []string{tokenOf(alice), tokenOf(plain)} { // logged in, and not
		for _, operation := range []string{"/connect/" + bridgedHidden, "/connect/-1001", "/create"} {
			var answers []string
			for _, roomID := range []string{"!empty:example.com", "!hidden:example.com"} {
				a := b.callAs(t, token, http.MethodPost, "/portal/"+roomID+operation, `{"type":"chat","title":"x"}`)
				a.want(t, 403, "not_enough_permissions")
				answers = append(answers, a.body)
			}
			if answers[0] != answers[1] {
				t.Errorf("%s: a room that is bridged answers %s, another one %s", operation, answers[1], answers[0])
			}
		}
	}
}

// What somebody may not read is answered as if it were not there, to the byte.
func TestPortalsOfOthers(t *testing.T) {
	direct := provisioning.Portal{RoomID: "!direct:example.com", ChatID: provisioning.UserChatID(1002), Receiver: aliceAccount.ID, Title: "Bob"}
	b := newRightsBridge(t)
	b.rooms.Add(direct.RoomID, provisioningtest.MemRoom{Room: provisioning.Room{Ghosts: []provisioning.TelegramID{1002}}, Invited: []id.UserID{alice}})
	b.connect(t, direct)
	read := func(token, path string) string {
		return strings.NewReplacer("!theirs", "!nothing", "!direct", "!nothing").Replace(b.callAs(t, token, http.MethodGet, path, "").body)
	}
	none := read(tokenOf(bob), "/portal/!nothing:example.com")
	for _, token := range []string{tokenOf(bob), tokenOf(plain), openIDOf(bob), openIDOf(admin)} {
		for _, path := range []string{"/portal/!theirs:example.com", "/portal/!direct:example.com", "/portal/-1001", "/portal/!theirs:example.com/"} {
			if got := read(token, path); got != none {
				t.Errorf("%s %s: got %s, want %s", token, path, got, none)
			}
		}
		a := b.callAs(t, token, http.MethodPost, "/portal/!theirs:example.com/disconnect", "")
		if a.status != 404 || a.body != none {
			t.Errorf("%s: disconnect: %d %s", token, a.status, a.body)
		}
	}
	// alice is the receiver, who has not joined yet.
	b.callAs(t, tokenOf(alice), http.MethodGet, "/portal/!direct:example.com", "").want(t, 200, "")
	b.callAs(t, openIDOf(alice), http.MethodGet, "/portal/!direct:example.com", "").want(t, 200, "")
	b.callAs(t, tokenOf(admin), http.MethodGet, "/portal/!direct:example.com?user_id=@bob:example.com", "").want(t, 200, "")
	// Her account has moved to somebody else.
	b.logIn(t, bob, aliceAccount)
	b.callAs(t, tokenOf(alice), http.MethodGet, "/portal/!direct:example.com", "").want(t, 404, "portal_not_found")
	b.callAs(t, tokenOf(bob), http.MethodGet, "/portal/!direct:example.com", "").want(t, 200, "")
	// Nobody is known to be in a room that the bridge bot has left.
	r, _ := b.rooms.Get(mine)
	b.callAs(t, tokenOf(plain), http.MethodGet, "/portal/!mine:example.com", "").want(t, 200, "")
	r.NoBot = true
	b.rooms.Add(mine, r)
	b.callAs(t, tokenOf(plain), http.MethodGet, "/portal/!mine:example.com", "").want(t, 404, "portal_not_found")
	// Without an answer nobody is told that there is nothing.
	b.rooms.Fail("Room", provisioning.ErrHomeserver)
	b.callAs(t, tokenOf(plain), http.MethodGet, "/portal/!mine:example.com", "").want(t, 500, "unknown_error")
	b.callAs(t, tokenOf(plain), http.MethodPost, "/portal/!mine:example.com/disconnect", "").want(t, 500, "unknown_error")
	b.callAs(t, tokenOf(admin), http.MethodGet, "/portal/!mine:example.com", "").want(t, 200, "")

	without, _ := newTokenBridge(t, withoutRooms)
	bridged(room, news)(t, without)
	without.callAs(t, tokenOf(alice), http.MethodGet, "/portal/!room:example.com", "").want(t, 404, "portal_not_found")
	without.callAs(t, tokenOf(admin), http.MethodGet, "/portal/!room:example.com", "").want(t, 200, "")
}

// A widget that has got an admin's OpenID token is no admin.
func TestOpenIDTokenOfAnAdmin(t *testing.T) {
	b := newRightsBridge(t)
	for _, c := range [][2]string{{http.MethodGet, "/contacts"}, {http.MethodGet, ""}, {http.MethodPost, "/logout"}} {
		b.callAs(t, openIDOf(admin), c[0], user(alice, c[1]), "").want(t, 403, "mxid_mismatch")
	}
	b.callAs(t, openIDOf(admin), http.MethodPost, "/portal/!theirs:example.com/disconnect", "").want(t, 404, "portal_not_found")
	b.callAs(t, openIDOf(admin), http.MethodPost, "/portal/!mine:example.com/disconnect", "").want(t, 403, "not_enough_permissions")
	if a := b.callAs(t, openIDOf(admin), http.MethodGet, "/portal/!mine:example.com", ""); a.status != 200 || !strings.Contains(a.body, `"can_unbridge":false`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if b.telegram.LoggedIn(alice) != aliceAccount.ID {
		t.Error("alice was logged out")
	}
}

// The session of somebody whose level was taken away is kept: it is shown to them, to admins
// and to the secret, each of whom may end it, and nothing else acts with it.
func TestKeptSession(t *testing.T) {
	const shown = `"telegram":{"id":1001,`
	for _, level := range []provisioning.Permission{provisioning.PermissionNone, provisioning.PermissionRelaybot, provisioning.PermissionUser} {
		for _, who := range []string{secret, tokenOf(alice), openIDOf(alice), tokenOf(admin)} {
			l := &aliceLevel{}
			b := l.bridge(t, inRooms, func(b *bridge, cfg *provisioning.Config) {
				cfg.Tokens = &checker{}
				cfg.Users = adminUsers{b.users}
			})
			b.logIn(t, alice, aliceAccount)
			l.set(level)
			if a := b.callAs(t, who, http.MethodGet, user(alice, ""), ""); a.status != 200 || !strings.Contains(a.body, shown) || a.field("permissions") != level.String() {
				t.Errorf("%s, by %s: %d %s", level, who, a.status, a.body)
			}
			for path, method := range map[string]string{"/chats": http.MethodGet, "/contacts": http.MethodGet, "/stickersets": http.MethodGet, "/resolve_identifier/bob_tg": http.MethodGet, "/pm/bob_tg": http.MethodPost} {
				b.callAs(t, who, method, user(alice, path), "").want(t, 403, "mxid_not_whitelisted")
			}
			for _, method := range []string{"Chats", "Contacts", "StickerSets", "ResolveUser", "GetChat", "CreateChat", "Migrations"} {
				if b.telegram.Calls(method) != 0 {
					t.Errorf("%s, by %s: her account has acted: %s", level, who, method)
				}
			}
			b.callAs(t, who, http.MethodPost, user(alice, "/logout"), "").want(t, 200, "")
			if b.telegram.LoggedIn(alice) != 0 {
				t.Errorf("%s, by %s: still logged in", level, who)
			}
		}
	}
}

// adminUsers are users among whom admin has the level of that name.
type adminUsers struct{ *provisioningtest.MemUserStore }

func (u adminUsers) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	user, err := u.MemUserStore.User(ctx, userID)
	if userID == admin {
		user.Permission = provisioning.PermissionAdmin
	}
	return user, err
}

// A kept session does not act in a room either: the relay bot does, where there is one and the
// caller is the secret.
func TestKeptSessionInRooms(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, relay := range []bool{false, true} {
			l := &aliceLevel{}
			b := l.bridge(t, inRooms, func(b *bridge, cfg *provisioning.Config) {
				cfg.Tokens = &checker{}
				if relay {
					withRelayBot(botAccount)(b, cfg)
				}
			})
			b.logIn(t, alice, aliceAccount)
			l.set(provisioning.PermissionUser)
			b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, `{"type":"chat"}`).want(t, 403, "not_logged_in_real_account")
			b.callAs(t, tokenOf(alice), http.MethodPost, connectPath, "").want(t, 403, "not_logged_in")
			b.callAs(t, tokenOf(alice), http.MethodPost, "/portal/!room:example.com/create", `{"type":"chat"}`).want(t, 403, "not_logged_in_real_account")
			b.callAs(t, tokenOf(alice), http.MethodGet, "/portal/-1000000000099", "").want(t, 404, "portal_not_found")
			if b.telegram.Calls("GetChat")+b.telegram.Calls("CreateChat")+b.telegram.Calls("Migrations") != 0 {
				t.Error("an account has acted")
			}
			if !relay {
				b.call(t, http.MethodPost, connectPath+asAlice, "").want(t, 403, "not_logged_in")
				continue
			}
			b.post(t, connectPath+asAlice, 202)
			b.close(t)
			b.wantNoTasks(t)
			for account, want := range map[provisioning.TelegramID]int{aliceAccount.ID: 0, botAccount.ID: 1} {
				if portals, err := b.portals.AccountPortals(t.Context(), account); err != nil || len(portals) != want {
					t.Errorf("the portals of %d: %v, %v", account, portals, err)
				}
			}
		}
	})
}

// The photo of a portal is not downloaded with the account of somebody whose level was taken
// away meanwhile.
func TestKeptSessionGetsNoPhoto(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &aliceLevel{}
		b := l.bridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		b.telegram.On("GetChat", func(context.Context) error {
			l.set(provisioning.PermissionUser)
			return nil
		})
		b.post(t, connectPath+asAlice, 202)
		b.close(t)
		b.wantNoTasks(t)
		if n := b.telegram.Calls("GetPhoto"); n != 0 {
			t.Errorf("%d photos were downloaded", n)
		}
	})
}

// Levels are compared, and power is asked for, in one file.
func TestRightsAreDecidedInOnePlace(t *testing.T) {
	levels := []string{"PermissionRelaybot", "PermissionUser", "PermissionFull", "PermissionAdmin"}
	for _, s := range sources(t) {
		if slices.Contains([]string{"permission.go", "rights.go", "routes.go"}, s.name) {
			continue
		}
		for _, f := range s.funcs() {
			for _, name := range append(levels, "HasPower") {
				if s.names(f, name) {
					t.Errorf("%s: %s looks at %s, which is for rights.go", s.name, f.Name.Name, name)
				}
			}
		}
	}
}
