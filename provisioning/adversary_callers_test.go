package provisioning_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// The victim of TestCallersWithTricks, what is hers, and the word that all of it holds.
const (
	victim     id.UserID = "@carol:example.com"
	victimRoom id.RoomID = "!carol:example.com"
	hers                 = "Canary"
)

var victimAccount = provisioningtest.TelegramAccount{
	Account:  provisioning.Account{ID: 5005, FirstName: hers, Username: hers, Phone: "15550505"},
	Chats:    []provisioning.Chat{{ID: -5006, Title: hers}},
	Contacts: []provisioning.Contact{{ID: 5007, Name: hers}}, StickerSets: []string{hers},
}

func newVictimBridge(t *testing.T) *bridge {
	t.Helper()
	b := newRightsBridge(t)
	b.telegram.Add(victimAccount)
	b.logIn(t, victim, victimAccount)
	group := provisioning.ChatInfo{ID: -5006, Title: hers}
	b.telegram.AddGroup(provisioningtest.TelegramGroup{ChatInfo: group, Members: []provisioning.TelegramID{5005, botAccount.ID}})
	b.rooms.Add(victimRoom, provisioningtest.MemRoom{Room: provisioning.Room{Name: hers, Users: []id.UserID{victim}}})
	bridged(victimRoom, group)(t, b)
	return b
}

// tricks are ways to send a request other than as it is meant.
var tricks = map[string]func(r *http.Request){
	"plain":          func(*http.Request) {},
	"as the victim":  inQuery("user_id=@carol:example.com"),
	"as an admin":    inQuery("user_id=@admin:example.com"),
	"encoded name":   inQuery("user%5Fid=%40admin%3Aexample.com"),
	"two users":      inQuery("user_id=@user:example.com&user_id=@admin:example.com"),
	"empty, admin":   inQuery("user_id=&user_id=@admin:example.com"),
	"empty":          inQuery("user_id="),
	"semicolon":      inQuery("x;user_id=@admin:example.com"),
	"force":          inQuery("force=delete&delete=1&sync=1"),
	"trailing slash": inPath(func(path string) string { return path + "/" }),
	"two slashes":    inPath(func(path string) string { return path + "//" }),
	"slash before":   inPath(func(path string) string { return strings.Replace(path, "/v1/", "/v1//", 1) }),
	"dots":           inPath(func(path string) string { return strings.Replace(path, "/v1/", "/v1/bridge/../", 1) }),
	"encoded dots":   inPath(func(path string) string { return strings.Replace(path, "/v1/", "/v1/bridge/%2e%2e/", 1) }),
	"semicolon path": inPath(func(path string) string { return path + ";a=b" }),
	"encoded": inPath(func(path string) string {
		return strings.NewReplacer("@", "%40", "!", "%21", ":", "%3A").Replace(path)
	}),
	"encoded letters": inPath(func(path string) string { return strings.Replace(path, "@carol", "@%63arol", 1) }),
	"upper case":      inPath(func(path string) string { return strings.Replace(path, "@carol", "@Carol", 1) }),
	"NUL":             inPath(func(path string) string { return strings.Replace(path, "carol", "carol%00", 1) }),
	"user in headers": func(r *http.Request) {
		for _, name := range []string{"X-User-Id", "X-Forwarded-User", "X-Remote-User", "User-Id"} {
			r.Header.Set(name, "@admin:example.com")
		}
	},
	"other address": func(r *http.Request) {
		for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Prefix"} {
			r.Header.Set(name, prefix+"/v1/bridge")
		}
		r.Host = "localhost"
	},
	"other method": func(r *http.Request) { r.Header.Set("X-Http-Method-Override", http.MethodGet) },
	"cookies":      func(r *http.Request) { r.Header.Set("Cookie", "secret="+secret+"; Authorization=Bearer "+secret) },
	"second credential": func(r *http.Request) {
		r.Header["Authorization"] = append(r.Header["Authorization"], "Bearer "+tokenOf(admin))
	},
	"list of credentials":     func(r *http.Request) { r.Header["Authorization"][0] = "Bearer x, " + r.Header["Authorization"][0] },
	"credential of a socket":  func(r *http.Request) { r.Header.Set("Sec-WebSocket-Protocol", "net.maunium.telegram.auth-"+secret) },
	"credential in the query": inQuery("access_token=" + secret + "&secret=" + secret),
}

func inQuery(query string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = query }
}

func inPath(change func(string) string) func(*http.Request) {
	return func(r *http.Request) {
		raw := change(r.URL.EscapedPath())
		if u, err := url.ParseRequestURI(raw); err == nil {
			r.URL.Path, r.URL.RawPath = u.Path, u.RawPath
		}
	}
}

// Whatever anybody sends to whatever operation, what is somebody else's is not shown and not
// changed, and nothing fails but what was sent.
func TestCallersWithTricks(t *testing.T) {
	for _, c := range rightsCallers {
		trusted := slices.Contains([]string{"read", "bridge", "all", "secret", "admin"}, c.name)
		for trick, change := range tricks {
			b := newVictimBridge(t)
			for _, op := range operations() {
				path := strings.NewReplacer("{user_id}", string(victim), "{room_id}", string(victimRoom), "{chat_id}", "-5006", "{identifier}", hers).Replace(op.path)
				r := newRequest(op.method, path, op.validBody())
				r.Header.Set("Authorization", "Bearer "+c.credential)
				change(r)
				w := httptest.NewRecorder()
				b.handler.ServeHTTP(w, r)
				if w.Code >= 500 {
					t.Errorf("%s by %s, %s: %d %s", op.op, c.name, trick, w.Code, w.Body)
				}
				if strings.Contains(w.Body.String(), hers) && !trusted {
					t.Errorf("%s by %s, %s, shows %s", op.op, c.name, trick, w.Body)
				}
			}
			if trusted && c.name != "read" {
				continue
			}
			b.wantUnchanged(t, c.name+", "+trick)
		}
	}
}

// wantUnchanged checks that what is the victim's is as it was.
func (b *bridge) wantUnchanged(t *testing.T, when string) {
	t.Helper()
	if got := b.telegram.LoggedIn(victim); got != victimAccount.ID {
		t.Errorf("%s: the victim is logged in with %d", when, got)
	}
	portal, err := b.portals.PortalByRoom(t.Context(), victimRoom)
	if err != nil || portal.ChatID != -5006 {
		t.Errorf("%s: the victim's portal is %v, %v", when, portal, err)
	}
	if users := b.room(victimRoom).Users; !slices.Equal(users, []id.UserID{victim}) {
		t.Errorf("%s: in the victim's room are %v", when, users)
	}
}
