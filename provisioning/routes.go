package provisioning

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// route is one operation of the API.
type route struct {
	// op is the operationId of the OpenAPI document, and so the name of the
	// operation in log lines. The method that handles post_login_code is
	// postLoginCode.
	op     string
	method string
	// path is below /v1, a gorilla/mux template whose variables take one segment,
	// also an empty one, to be told so. {user_id} is the user that the operation is
	// about: the pipeline then fills in the call's user and client.
	path string
	// need is the level which the user in the path must have.
	need Permission
	// callerNeed is the level which a Matrix caller must have, whomever the operation is
	// about. The shared secret needs none.
	callerNeed Permission
	// state is the login step to go on from after an error, "" outside login.
	state loginState
	// detached operations run on to their deadline when the API client hangs up,
	// so that what Telegram has accepted is recorded.
	detached bool
	handle   func(*Provisioner, context.Context, *call) (reply, error)
}

// routes lists the operations, by the tags of the OpenAPI document. Of two paths
// that match a request, the first one counts.
var routes = []route{
	// Misc
	{op: "get_bridge", method: http.MethodGet, path: "/bridge", callerNeed: PermissionRelaybot, handle: (*Provisioner).getBridge},

	// User info
	{op: "get_me", method: http.MethodGet, path: "/user/{user_id}", handle: (*Provisioner).getMe},
	{op: "get_chats", method: http.MethodGet, path: "/user/{user_id}/chats", need: PermissionFull, handle: (*Provisioner).getChats},
	{op: "get_contacts", method: http.MethodGet, path: "/user/{user_id}/contacts", need: PermissionFull, handle: (*Provisioner).getContacts},
	{op: "get_stickersets", method: http.MethodGet, path: "/user/{user_id}/stickersets", need: PermissionFull, handle: (*Provisioner).getStickersets},

	// Bridging
	{op: "get_portal_by_tgid", method: http.MethodGet, path: "/portal/{chat_id:" + chatIDSegment + "}", callerNeed: PermissionUser, handle: (*Provisioner).getPortalByTgid},
	{op: "get_portal", method: http.MethodGet, path: "/portal/{room_id}", callerNeed: PermissionUser, handle: (*Provisioner).getPortal},
	{op: "connect_portal", method: http.MethodPost, path: "/portal/{room_id}/connect/{chat_id}", detached: true, handle: (*Provisioner).connectPortal},
	{op: "create_portal", method: http.MethodPost, path: "/portal/{room_id}/create", detached: true, handle: (*Provisioner).createPortal},
	{op: "disconnect_portal", method: http.MethodPost, path: "/portal/{room_id}/disconnect", detached: true, handle: (*Provisioner).disconnectPortal},
	{op: "start_dm", method: http.MethodPost, path: "/user/{user_id}/pm/{identifier}", need: PermissionFull, detached: true, handle: (*Provisioner).startDM},
	{op: "resolve_identifier", method: http.MethodGet, path: "/user/{user_id}/resolve_identifier/{identifier}", need: PermissionFull, handle: (*Provisioner).resolveIdentifier},

	// Authentication
	{op: "post_bot_token", method: http.MethodPost, path: "/user/{user_id}/login/bot_token", need: PermissionFull, state: stateToken, detached: true, handle: (*Provisioner).postBotToken},
	{op: "post_login_phone", method: http.MethodPost, path: "/user/{user_id}/login/request_code", need: PermissionFull, state: stateRequest, detached: true, handle: (*Provisioner).postLoginPhone},
	{op: "post_login_code", method: http.MethodPost, path: "/user/{user_id}/login/send_code", need: PermissionFull, state: stateCode, detached: true, handle: (*Provisioner).postLoginCode},
	{op: "post_login_password", method: http.MethodPost, path: "/user/{user_id}/login/send_password", need: PermissionFull, state: statePassword, detached: true, handle: (*Provisioner).postLoginPassword},
	{op: "login_qr", method: http.MethodGet, path: "/user/{user_id}/login/qr", need: PermissionFull, state: stateRequest, handle: (*Provisioner).loginQR},
	{op: "get_login", method: http.MethodGet, path: "/user/{user_id}/login", need: PermissionFull, handle: (*Provisioner).getLogin},
	{op: "cancel_login", method: http.MethodDelete, path: "/user/{user_id}/login", need: PermissionFull, state: stateRequest, detached: true, handle: (*Provisioner).cancelLogin},
	{op: "resend_login_code", method: http.MethodPost, path: "/user/{user_id}/login/resend_code", need: PermissionFull, state: stateCode, detached: true, handle: (*Provisioner).resendLoginCode},
	{op: "logout", method: http.MethodPost, path: "/user/{user_id}/logout", detached: true, handle: (*Provisioner).logout},
}

// chatIDSegment matches a segment that begins with a minus or a digit, raw or
// percent-encoded: a chat ID, and no room ID.
const chatIDSegment = "(?:[-0-9]|%2[Dd]|%3[0-9])[^/]*"

// variable matches a variable of a path that says nothing of what it takes.
var variable = regexp.MustCompile(`\{([a-z_]+)\}`)

// The operations of requests that match no route, in log lines.
var (
	unauthorized = route{op: "unauthorized"}
	preflight    = route{op: "preflight"}
	unknownRoute = route{op: "unknown_route", handle: func(*Provisioner, context.Context, *call) (reply, error) {
		return reply{}, errUnknownRoute
	}}
	wrongVerb = route{op: "wrong_verb", handle: func(_ *Provisioner, _ context.Context, c *call) (reply, error) {
		return reply{}, &wrongVerbError{allow: c.allow}
	}}
)

// routeTable returns a router that finds the route of a request. It is a router
// of our own, since the caller's may be set up to decode or clean paths, which
// would lose a slash in a user ID. It has one mux route a path with the verbs
// behind it: gorilla/mux 1.8.1 itself answers some wrong verbs with 404.
func (p *Provisioner) routeTable(prefix string) func(*http.Request) (route, *call) {
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	verbs := map[string]map[string]route{}
	for _, rt := range routes {
		// One trailing slash is tolerated.
		template := strings.TrimSuffix(prefix, "/") + variable.ReplaceAllString(rt.path, "{$1:[^/]*}") + "{slash:/?}"
		if verbs[template] == nil {
			verbs[template] = map[string]route{}
			// Only Match is called on the router: the name carries the template.
			router.Path(template).Name(template).Handler(http.NotFoundHandler())
		}
		verbs[template][rt.method] = rt
	}
	return func(r *http.Request) (route, *call) {
		var match mux.RouteMatch
		if !router.Match(withValidPath(r), &match) || match.Route == nil {
			return unknownRoute, &call{}
		}
		byVerb := verbs[match.Route.GetName()]
		if rt, ok := byVerb[r.Method]; ok {
			return rt, &call{vars: match.Vars}
		}
		return wrongVerb, &call{allow: allowed(byVerb)}
	}
}

// withValidPath returns the request with all of its path encoded that has to be.
// Where a client left a single such character raw, url.URL.EscapedPath takes the
// decoded path instead of the one that was sent, and a %2F becomes a slash.
func withValidPath(r *http.Request) *http.Request {
	invalid := func(c byte) bool {
		return ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') &&
			strings.IndexByte("-._~!$&'()*+,;=:@[]/%", c) < 0
	}
	if !slices.ContainsFunc([]byte(r.URL.RawPath), invalid) {
		return r
	}
	var valid strings.Builder
	for _, c := range []byte(r.URL.RawPath) {
		if invalid(c) {
			fmt.Fprintf(&valid, "%%%02X", c)
		} else {
			valid.WriteByte(c)
		}
	}
	u := *r.URL
	u.RawPath = valid.String()
	r = r.WithContext(r.Context())
	r.URL = &u
	return r
}

// allowed lists the verbs of a path for an Allow header, in a fixed order.
func allowed(byVerb map[string]route) string {
	var verbs []string
	for _, verb := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if _, ok := byVerb[verb]; ok {
			verbs = append(verbs, verb)
		}
	}
	return strings.Join(verbs, ", ")
}
