package provisioning_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// The rooms of TestRights. In free and mine are the users of every level, with power; theirs
// has somebody else. mine is the portal of news, theirs that of family.
const (
	free   id.RoomID = "!free:example.com"
	mine   id.RoomID = "!mine:example.com"
	theirs id.RoomID = "!theirs:example.com"
)

// newRightsBridge is a bridge with these rooms, where alice is logged in and in both chats.
func newRightsBridge(t *testing.T, change ...func(*bridge, *provisioning.Config)) *bridge {
	t.Helper()
	b, _ := newTokenBridge(t, append(change, limit(-1), withSecrets)...)
	powers := map[id.UserID]int{stranger: 100, relayed: 100, plain: 100, alice: 100}
	users := []id.UserID{stranger, relayed, plain, alice, admin}
	for _, roomID := range []id.RoomID{free, mine} {
		b.rooms.Add(roomID, provisioningtest.MemRoom{Room: provisioning.Room{Name: "A room", Users: users}, Powers: powers})
	}
	b.rooms.Add(theirs, provisioningtest.MemRoom{Room: provisioning.Room{Users: []id.UserID{"@x:example.com"}, Ghosts: []provisioning.TelegramID{1002}}, Powers: powers})
	b.logIn(t, alice, aliceAccount)
	bridged(mine, news)(t, b)
	bridged(theirs, family)(t, b)
	return b
}

// rightsTable says what comes of every operation for every kind of caller. "self" is the
// caller, or alice for the secret; "other" is somebody else. The words are:
//
//	yes     it is done, or fails for another reason than these
//	401     shared_secret_invalid, login_link_invalid
//	scope   insufficient_scope
//	level   mxid_not_whitelisted
//	power   not_enough_permissions
//	self    mxid_mismatch
//	login   not_logged_in, not_logged_in_real_account
//	none    portal_not_found
const rightsTable = `
                           | nobody wrong guest read  bridge all   secret none  relaybot user  full  admin o:none o:relaybot o:user o:full o:admin link  session
get_bridge                 | 401    401   401   yes   yes    yes   yes    level yes      yes   yes   yes   level  yes        yes    yes    yes     scope scope
get_me self                | 401    401   401   yes   yes    yes   yes    yes   yes      yes   yes   yes   yes    yes        yes    yes    yes     scope yes
get_me other               | 401    401   401   yes   yes    yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
get_chats self             | 401    401   401   yes   yes    yes   yes    level level    level yes   login level  level      level  yes    login   scope scope
get_chats other            | 401    401   401   login login  login login  self  self     self  self  login self   self       self   self   self    scope scope
get_contacts self          | 401    401   401   yes   yes    yes   yes    level level    level yes   login level  level      level  yes    login   scope scope
get_contacts other         | 401    401   401   login login  login login  self  self     self  self  login self   self       self   self   self    scope scope
get_stickersets self       | 401    401   401   yes   yes    yes   yes    level level    level yes   login level  level      level  yes    login   scope scope
get_stickersets other      | 401    401   401   login login  login login  self  self     self  self  login self   self       self   self   self    scope scope
start_dm self              | 401    401   401   scope yes    yes   yes    level level    level yes   login level  level      level  yes    login   scope scope
start_dm other             | 401    401   401   scope login  login login  self  self     self  self  login self   self       self   self   self    scope scope
resolve_identifier self    | 401    401   401   yes   yes    yes   yes    level level    level yes   login level  level      level  yes    login   scope scope
resolve_identifier other   | 401    401   401   login login  login login  self  self     self  self  login self   self       self   self   self    scope scope
post_bot_token self        | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope yes
post_bot_token other       | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
post_login_phone self      | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope yes
post_login_phone other     | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
post_login_code self       | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope yes
post_login_code other      | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
post_login_password self   | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope yes
post_login_password other  | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
login_qr self              | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope yes
login_qr other             | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
get_login self             | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope yes
get_login other            | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
cancel_login self          | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope yes
cancel_login other         | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
resend_login_code self     | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope yes
resend_login_code other    | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
create_login_link self     | 401    401   401   scope scope  yes   yes    level level    level yes   yes   level  level      level  yes    yes     scope scope
create_login_link other    | 401    401   401   scope scope  yes   yes    self  self     self  self  yes   self   self       self   self   self    scope scope
open_login_link            | 401    401   401   401   401    401   401    401  401      401   401   401   401    401        401    401    401     yes   401
logout self                | 401    401   401   scope scope  yes   yes    login login    login yes   login login  login      login  yes    login   scope scope
logout other               | 401    401   401   scope scope  login login  self  self     self  self  login self   self       self   self   self    scope scope
list_portals               | 401    401   401   yes   yes    yes   yes    level level    yes   yes   yes   level  level      yes    yes    yes     scope scope
get_portal mine            | 401    401   401   yes   yes    yes   yes    level level    yes   yes   yes   level  level      yes    yes    yes     scope scope
get_portal theirs          | 401    401   401   yes   yes    yes   yes    level level    none  none  yes   level  level      none   none   none    scope scope
get_portal free            | 401    401   401   none  none   none  none   level level    none  none  none  level  level      none   none   none    scope scope
get_portal_by_tgid mine    | 401    401   401   yes   yes    yes   yes    level level    yes   yes   yes   level  level      yes    yes    yes     scope scope
get_portal_by_tgid theirs  | 401    401   401   yes   yes    yes   yes    level level    none  none  yes   level  level      none   none   none    scope scope
get_portal_by_tgid free    | 401    401   401   none  none   none  none   level level    none  none  none  level  level      none   none   none    scope scope
connect_portal free        | 401    401   401   scope yes    yes   yes    power power    login yes   yes   power  power      login  yes    power   scope scope
connect_portal to news     | 401    401   401   scope yes    yes   yes    power power    login yes   yes   power  power      login  yes    power   scope scope
connect_portal mine        | 401    401   401   scope yes    yes   yes    power power    yes   yes   yes   power  power      yes    yes    power   scope scope
connect_portal theirs      | 401    401   401   scope yes    yes   yes    power power    power power yes   power  power      power  power  power   scope scope
preflight_connect free     | 401    401   401   scope yes    yes   yes    power power    yes   yes   yes   power  power      yes    yes    power   scope scope
preflight_connect to news  | 401    401   401   scope yes    yes   yes    power power    yes   yes   yes   power  power      yes    yes    power   scope scope
preflight_connect mine     | 401    401   401   scope yes    yes   yes    power power    yes   yes   yes   power  power      yes    yes    power   scope scope
preflight_connect theirs   | 401    401   401   scope yes    yes   yes    power power    power power yes   power  power      power  power  power   scope scope
create_portal free         | 401    401   401   scope yes    yes   yes    power power    login yes   login power  power      login  yes    power   scope scope
create_portal mine         | 401    401   401   scope yes    yes   yes    power power    yes   yes   yes   power  power      yes    yes    power   scope scope
create_portal theirs       | 401    401   401   scope yes    yes   yes    power power    power power yes   power  power      power  power  power   scope scope
disconnect_portal mine     | 401    401   401   scope yes    yes   yes    power power    yes   yes   yes   power  power      yes    yes    power   scope scope
disconnect_portal theirs   | 401    401   401   scope yes    yes   yes    power power    none  none  yes   power  power      none   none   none    scope scope
disconnect_portal free     | 401    401   401   scope none   none  none   power power    none  none  none  power  power      none   none   none    scope scope
`

// rightsRequests are the requests of the rows, by what stands behind the operation.
var rightsRequests = map[string]func(op operation, self id.UserID) string{
	"self":    func(op operation, self id.UserID) string { return op.pathFor(string(self)) },
	"other":   func(op operation, _ id.UserID) string { return op.pathFor("@carol:example.com") },
	"mine":    inRoom(mine, news.ID),
	"theirs":  inRoom(theirs, family.ID),
	"free":    inRoom(free, provisioning.ChannelChatID(99)),
	"to news": inRoom(free, news.ID),
	"":        func(op operation, _ id.UserID) string { return op.path },
}

func inRoom(roomID id.RoomID, chatID provisioning.ChatID) func(operation, id.UserID) string {
	return func(op operation, _ id.UserID) string {
		return strings.NewReplacer("{room_id}", string(roomID), "{chat_id}", fmt.Sprint(int64(chatID))).Replace(op.path)
	}
}

// rightsCallers are the callers of the columns: the credential, and who they are.
var rightsCallers = []struct {
	name, credential string
	self             id.UserID
}{
	{"nobody", "", alice},
	{"wrong", wrongSecret, alice},
	{"guest", "guest's", alice},
	{"read", secretOf(provisioning.ScopeRead), alice},
	{"bridge", secretOf(provisioning.ScopeBridge), alice},
	{"all", secretOf(provisioning.ScopeAll), alice},
	{"secret", secret, alice},
	{"none", tokenOf(stranger), stranger},
	{"relaybot", tokenOf(relayed), relayed},
	{"user", tokenOf(plain), plain},
	{"full", tokenOf(alice), alice},
	{"admin", tokenOf(admin), admin},
	{"o:none", openIDOf(stranger), stranger},
	{"o:relaybot", openIDOf(relayed), relayed},
	{"o:user", openIDOf(plain), plain},
	{"o:full", openIDOf(alice), alice},
	{"o:admin", openIDOf(admin), admin},
	{"link", keptLink, alice},
	{"session", keptSession, alice},
}

// rightsWords are the words of rightsTable for errcodes; every other one is yes.
var rightsWords = map[string]string{
	"shared_secret_invalid": "401", "login_link_invalid": "401", "insufficient_scope": "scope", "mxid_not_whitelisted": "level", "not_enough_permissions": "power",
	"mxid_mismatch": "self", "not_logged_in": "login", "not_logged_in_real_account": "login", "portal_not_found": "none",
}

func TestRights(t *testing.T) {
	byName := map[string]operation{}
	for _, op := range operations() {
		byName[op.op] = op
	}
	seen := map[string]bool{}
	lines := strings.Split(strings.TrimSpace(rightsTable), "\n")
	for _, line := range lines[1:] {
		row, cells, _ := strings.Cut(line, "|")
		name, situation, _ := strings.Cut(strings.TrimSpace(row), " ")
		seen[name] = true
		op, path := byName[name], rightsRequests[strings.TrimSpace(situation)]
		var got []string
		for _, c := range rightsCallers {
			b := newRightsBridge(t)
			r := newRequest(op.method, path(op, c.self), op.validBody())
			r.Header.Set("Authorization", "Bearer "+c.credential)
			b.keepLink(t, c.credential, c.self)
			a := b.send(t, r)
			word := rightsWords[a.field("errcode")]
			if word == "" {
				word = "yes"
			}
			if a.status >= 500 && a.status != http.StatusNotImplemented {
				t.Errorf("%s by %s: %d %s", row, c.name, a.status, a.body)
			}
			got = append(got, word)
		}
		if want := strings.Fields(cells); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s\n got %s\nwant %s", row, strings.Join(got, " "), strings.Join(want, " "))
		}
	}
	for name := range byName {
		if !seen[name] {
			t.Errorf("%s is not in the table", name)
		}
	}
}
