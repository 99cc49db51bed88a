package provisioning_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

const linkInvalid = `{"errcode":"login_link_invalid","error":"This login link was used already, was replaced by a newer one, or is too old. Please ask for a new one."}`

// createLink makes a login link by the shared secret and returns its token.
func (b *bridge) createLink(t testing.TB, userID id.UserID) string {
	t.Helper()
	a := b.call(t, http.MethodPost, user(userID, "/login/link"), "")
	a.want(t, 200, "")
	token, ok := strings.CutPrefix(a.field("url"), loginPage+"#login_link=")
	if !ok {
		t.Errorf("the link is %s", a.field("url"))
	}
	return token
}

// openLink opens a login link.
func (b *bridge) openLink(t testing.TB, link string) answer {
	t.Helper()
	return b.callAs(t, link, http.MethodPost, "/login/link", "")
}

// linkSession returns the token of a session of a user.
func (b *bridge) linkSession(t testing.TB, userID id.UserID) string {
	t.Helper()
	a := b.openLink(t, b.createLink(t, userID))
	a.want(t, 200, "")
	return a.field("token")
}

// linkStore is a LoginLinkStore that fails where it is told to.
type linkStore struct {
	*provisioning.LoginLinkMemory
	put, open, user, remove error
}

func (s *linkStore) PutLoginLink(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error {
	return errors.Join(s.put, s.LoginLinkMemory.PutLoginLink(ctx, userID, link, lifetime))
}

func (s *linkStore) OpenLoginLink(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
	if s.open != nil {
		return "", s.open
	}
	return s.LoginLinkMemory.OpenLoginLink(ctx, link, session, lifetime)
}

func (s *linkStore) LoginLinkUser(ctx context.Context, hash string) (id.UserID, error) {
	if s.user != nil {
		return "", s.user
	}
	return s.LoginLinkMemory.LoginLinkUser(ctx, hash)
}

func (s *linkStore) RemoveLoginLink(ctx context.Context, userID id.UserID) error {
	return errors.Join(s.remove, s.LoginLinkMemory.RemoveLoginLink(ctx, userID))
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// The tokens of a link and of a session that keepLink keeps.
const (
	keptLink    = "login_link_that-is-kept"
	keptSession = "login_session_that-is-kept"
)

// keepLink has a credential, where it is one of these, be that of a user, whatever their level.
func (b *bridge) keepLink(t testing.TB, credential string, userID id.UserID) {
	t.Helper()
	if credential != keptLink && credential != keptSession {
		return
	}
	if err := b.links.PutLoginLink(t.Context(), userID, hashOf(credential), time.Minute); err != nil {
		t.Fatal(err)
	}
}

// keptBy is the credential of a case: a link that is kept of a user.
func keptBy(userID id.UserID) func(*testing.T, *bridge) string {
	return func(t *testing.T, b *bridge) string {
		b.keepLink(t, keptLink, userID)
		return keptLink
	}
}

// withLinks makes the store of links fail.
func withLinks(s *linkStore) func(*bridge, *provisioning.Config) {
	return func(b *bridge, cfg *provisioning.Config) {
		s.LoginLinkMemory = b.links
		cfg.LoginLinks = s
	}
}

func withoutLoginPage(_ *bridge, cfg *provisioning.Config) { cfg.LoginPage = "" }

func linkOperations() []operation {
	return []operation{{
		op: "create_login_link", method: http.MethodPost, path: "/user/{user_id}/login/link",
		documented: []string{"401 login_link_invalid", "403 insufficient_scope", "403 telegram_restricted", "409 already_logged_in", "501 not_implemented"},
		cases:      createLinkCases(),
	}, {
		op: "open_login_link", method: http.MethodPost, path: "/login/link",
		documented: []string{"401 login_link_invalid", "403 mxid_not_whitelisted", "429 too_many_requests", "500 unhandled_error", "501 not_implemented"},
		cases:      openLinkCases(),
	}}
}

func createLinkCases() []wireCase {
	const created = `{"url":"https://bridge.example.com/login/#login_link=login_link_auZ4P0-96RtuuItzpI7SR9vliC4leWg0MsG_xSVFSt0","expires_in":900}`
	loggedIn := func(name string, account provisioningAccount) wireCase {
		return wireCase{
			name: name, prepare: as(account), status: 409, errcode: "already_logged_in", state: "logged-in",
			fields: map[string]any{"username": account.Username, "phone": account.Phone},
		}
	}
	cases := []wireCase{
		{name: "created", status: 200, success: created},
		{name: "for an admin", user: string(admin), status: 200, success: created},
		{name: "a login is half done", prepare: after(requestAlice), status: 200, success: created},
		{name: "any body", body: "garbage", status: 200, success: created},
		{name: "no page", change: withoutLoginPage, status: 501, errcode: "not_implemented", state: "request"},
		{name: "no page, and already logged in", change: withoutLoginPage, prepare: as(aliceAccount), status: 501, errcode: "not_implemented", state: "request"},
		{name: "no page, and level", change: withoutLoginPage, user: string(plain), status: 403, errcode: "mxid_not_whitelisted", state: "request"},
		loggedIn("already logged in", aliceAccount),
		loggedIn("already logged in as a bot", botAccount),
		{name: "store away", change: withLinks(&linkStore{put: provisioning.ErrDatabase}), status: 500, errcode: "unknown_error", state: "request"},
		{name: "store broken", change: withLinks(&linkStore{put: errors.New("disk full")}), status: 500, errcode: "unhandled_error", state: "request"},
		{name: "an unknown link", credential: given(keptLink), status: 401, errcode: "login_link_invalid"},
		{name: "by a link", credential: linkOfAlice, status: 403, errcode: "insufficient_scope", state: "request"},
		{name: "by the session of a link", credential: sessionOfAlice, status: 403, errcode: "insufficient_scope", state: "request"},
	}
	for _, userID := range []string{string(stranger), string(relayed), string(plain)} {
		cases = append(cases, wireCase{name: "level of " + userID, user: userID, status: 403, errcode: "mxid_not_whitelisted", state: "request"})
	}
	return cases
}

func given(credential string) func(*testing.T, *bridge) string {
	return func(*testing.T, *bridge) string { return credential }
}

func linkOfAlice(t *testing.T, b *bridge) string { return b.createLink(t, alice) }

func sessionOfAlice(t *testing.T, b *bridge) string { return b.linkSession(t, alice) }

func openLinkCases() []wireCase {
	const opened = `{"token":"login_session_DNhydNZwhMqvDg02yEltt_71X-DhJXUKpgjV4g_8LRI","user_id":"@alice:example.com","expires_in":900,"operations":["get_me",` +
		`"post_bot_token","post_login_phone","post_login_code","post_login_password","login_qr","get_login","cancel_login","resend_login_code"]}`
	failing := func(name string, s *linkStore, status int, errcode string) wireCase {
		return wireCase{name: name, change: withLinks(s), credential: keptBy(alice), status: status, errcode: errcode}
	}
	invalid := func(name string, credential func(*testing.T, *bridge) string) wireCase {
		return wireCase{name: name, credential: credential, status: 401, errcode: "login_link_invalid"}
	}
	cases := []wireCase{
		{name: "opened", credential: linkOfAlice, status: 200, success: opened},
		{name: "opened, with a query and a body", credential: linkOfAlice, path: "?user_id=@bob:example.com", body: "garbage", status: 200, success: opened},
		{name: "for somebody logged in", credential: func(t *testing.T, b *bridge) string {
			link := b.createLink(t, alice)
			b.logIn(t, alice, aliceAccount)
			return link
		}, status: 200, success: opened},
		invalid("spent", func(t *testing.T, b *bridge) string {
			link := b.createLink(t, alice)
			b.openLink(t, link).want(t, 200, "")
			return link
		}),
		invalid("replaced", func(t *testing.T, b *bridge) string {
			link := b.createLink(t, alice)
			b.createLink(t, alice)
			return link
		}),
		invalid("expired", func(t *testing.T, b *bridge) string {
			link := b.createLink(t, alice)
			advance(15 * time.Minute)
			return link
		}),
		invalid("session", sessionOfAlice),
		invalid("unknown", given(keptLink)),
		invalid("unknown session", given("login_session_x")),
		invalid("shared secret", nil),
		invalid("wrong shared secret", given(wrongSecret)),
		invalid("nothing", given("")),
		{name: "no page", change: withoutLoginPage, credential: keptBy(alice), status: 501, errcode: "not_implemented"},
		{
			name: "too many at once", change: maxRequests(100, 1), credential: keptBy(alice),
			prepare: func(t *testing.T, b *bridge) { holdUsers(t, b).begin(t, get(alice)) },
			status:  429, errcode: "too_many_requests", fields: map[string]any{"retry_after": 5.0},
		},
		failing("store away", &linkStore{user: provisioning.ErrDatabase}, 500, "unknown_error"),
		failing("store broken", &linkStore{user: errors.New("disk full")}, 500, "unhandled_error"),
		failing("store away when it is opened", &linkStore{open: provisioning.ErrDatabase}, 500, "unknown_error"),
		failing("somebody is faster", &linkStore{open: provisioning.ErrLoginLinkInvalid}, 401, "login_link_invalid"),
	}
	for _, userID := range []id.UserID{stranger, relayed, plain} {
		cases = append(cases, wireCase{name: "level of " + string(userID), credential: keptBy(userID), status: 403, errcode: "mxid_not_whitelisted"})
	}
	return cases
}
