package provisioning

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one operation of the API: its address, and everything that the pipeline does
// before the handler runs.
type route struct {
	// operation is the operationId of the OpenAPI document, and so the name of the
	// operation in log lines and metrics. The function that handles post_login_code is
	// postLoginCode.
	operation string
	// scope is what a shared secret has to be for.
	scope  Scope
	method string
	// path is below /v1. Its variables take one segment, also an empty one, to be told
	// so; {group_id}, which is a chat_id, takes none that can't be one. {user_id} is the
	// user that the operation is about.
	path string
	// need is the level that the user in the path must have.
	need Permission
	// callerNeed is the level that a Matrix caller must have, whomever the operation is
	// about. The shared secret needs none.
	callerNeed Permission
	// asker says what user_id in the query is for.
	asker askerUse
	// askerNeed is the level that the user in user_id must have.
	askerNeed Permission
	// able says whether the bridge can do the operation, with clients such as one; nil is
	// every bridge.
	able func(*services, TelegramClient) bool
	// bridges: the operation makes a portal of the room in the path, or says whether it can be
	// made one, which takes the power to.
	bridges bool
	// needsRooms: the operation is 501 on a bridge without Rooms.
	needsRooms bool
	// hasBody: the request has a body, which is a JSON object.
	hasBody bool
	// query decodes the parameters besides user_id, nil where there are none.
	query func(*operation, query) error
	// state is the login step to go on from after an error, "" outside login.
	state loginState
	// byLink: the operation takes a login link that is not opened yet, and nothing else.
	byLink bool
	// bySession: the session of a login link may do the operation, for its user.
	bySession bool
	// detached operations run on to their deadline when the API client hangs up,
	// so that what Telegram has accepted is recorded. What is recorded beyond the deadline is
	// not waited for: it costs a goroutine, which the others are spared.
	detached bool
	handle   func(context.Context, *services, *operation) (reply, error)
}

// beginsLogin says whether the operation begins a login, or ends one that is half done.
func (r *route) beginsLogin() bool { return r.state == stateRequest || r.state == stateToken }

// askerUse says what user_id in the query is for.
type askerUse int

const (
	askerIgnored  askerUse = iota
	askerOptional          // who asks; nobody is named where it is left out
	askerRequired          // who asks
)

// routes lists the operations, by the tags of the OpenAPI document. Of two paths
// that match a request, the first one counts.
var routes = []route{
	// Misc
	{operation: "get_bridge", scope: ScopeRead, method: http.MethodGet, path: "/bridge", callerNeed: PermissionRelaybot, handle: getBridge},

	// User info
	{operation: "get_me", scope: ScopeRead, method: http.MethodGet, path: "/user/{user_id}", bySession: true, handle: getMe},
	{operation: "get_chats", scope: ScopeRead, method: http.MethodGet, path: "/user/{user_id}/chats", need: PermissionFull, query: decodeChats, able: is[ChatLister], handle: getChats},
	{operation: "get_contacts", scope: ScopeRead, method: http.MethodGet, path: "/user/{user_id}/contacts", need: PermissionFull, able: is[ContactLister], handle: getContacts},
	{operation: "get_stickersets", scope: ScopeRead, method: http.MethodGet, path: "/user/{user_id}/stickersets", need: PermissionFull, able: is[StickerSetLister], handle: getStickersets},

	// Bridging
	{operation: "list_portals", scope: ScopeRead, method: http.MethodGet, path: "/portals", callerNeed: PermissionUser, asker: askerOptional, query: decodePortals, able: listsPortals, handle: listPortals},
	{operation: "get_portal_by_tgid", scope: ScopeRead, method: http.MethodGet, path: "/portal/{group_id}", callerNeed: PermissionUser, asker: askerOptional, handle: getPortalByTgid},
	{operation: "get_portal", scope: ScopeRead, method: http.MethodGet, path: "/portal/{room_id}", callerNeed: PermissionUser, asker: askerOptional, handle: getPortal},
	{
		operation: "preflight_connect", scope: ScopeBridge, method: http.MethodGet, path: "/portal/{room_id}/connect/{chat_id}",
		asker: askerOptional, askerNeed: PermissionUser, bridges: true, needsRooms: true, query: decodeForce, able: is[ChatGetter], handle: preflightConnect,
	},
	{
		operation: "connect_portal", scope: ScopeBridge, method: http.MethodPost, path: "/portal/{room_id}/connect/{chat_id}",
		asker: askerOptional, askerNeed: PermissionUser, bridges: true, needsRooms: true, query: decodeForce, detached: true, able: is[ChatGetter], handle: connectPortal,
	},
	{
		operation: "create_portal", scope: ScopeBridge, method: http.MethodPost, path: "/portal/{room_id}/create",
		asker: askerRequired, askerNeed: PermissionUser, bridges: true, needsRooms: true, hasBody: true, detached: true, able: is[ChatCreator], handle: createPortal,
	},
	{
		operation: "disconnect_portal", scope: ScopeBridge, method: http.MethodPost, path: "/portal/{room_id}/disconnect",
		asker: askerOptional, askerNeed: PermissionUser, needsRooms: true, query: decodeDelete, detached: true, handle: disconnectPortal,
	},
	{operation: "start_dm", scope: ScopeBridge, method: http.MethodPost, path: "/user/{user_id}/pm/{identifier}", need: PermissionFull, detached: true, able: startsDirect, handle: startDM},
	{operation: "resolve_identifier", scope: ScopeRead, method: http.MethodGet, path: "/user/{user_id}/resolve_identifier/{identifier}", need: PermissionFull, able: is[UserResolver], handle: resolveIdentifier},

	// Authentication
	{operation: "post_bot_token", scope: ScopeAll, method: http.MethodPost, path: "/user/{user_id}/login/bot_token", need: PermissionFull, hasBody: true, state: stateToken, detached: true, able: is[BotLogin], bySession: true, handle: postBotToken},
	{operation: "post_login_phone", scope: ScopeAll, method: http.MethodPost, path: "/user/{user_id}/login/request_code", need: PermissionFull, hasBody: true, state: stateRequest, detached: true, able: is[PhoneLogin], bySession: true, handle: postLoginPhone},
	{operation: "post_login_code", scope: ScopeAll, method: http.MethodPost, path: "/user/{user_id}/login/send_code", need: PermissionFull, hasBody: true, state: stateCode, detached: true, able: is[PhoneLogin], bySession: true, handle: postLoginCode},
	{operation: "post_login_password", scope: ScopeAll, method: http.MethodPost, path: "/user/{user_id}/login/send_password", need: PermissionFull, hasBody: true, state: statePassword, detached: true, able: is[PhoneLogin], bySession: true, handle: postLoginPassword},
	{operation: "login_qr", scope: ScopeAll, method: http.MethodGet, path: "/user/{user_id}/login/qr", need: PermissionFull, state: stateRequest, able: is[QRLogin], bySession: true, handle: loginQR},
	{operation: "get_login", scope: ScopeAll, method: http.MethodGet, path: "/user/{user_id}/login", need: PermissionFull, able: is[LoginControl], bySession: true, handle: getLogin},
	{operation: "cancel_login", scope: ScopeAll, method: http.MethodDelete, path: "/user/{user_id}/login", need: PermissionFull, state: stateRequest, detached: true, able: is[LoginControl], bySession: true, handle: cancelLogin},
	{operation: "resend_login_code", scope: ScopeAll, method: http.MethodPost, path: "/user/{user_id}/login/resend_code", need: PermissionFull, state: stateCode, detached: true, able: is[LoginControl], bySession: true, handle: resendLoginCode},
	{operation: "create_login_link", scope: ScopeAll, method: http.MethodPost, path: "/user/{user_id}/login/link", need: PermissionFull, state: stateRequest, able: linksLogins, handle: createLoginLink},
	{operation: "open_login_link", scope: ScopeAll, method: http.MethodPost, path: "/login/link", callerNeed: PermissionFull, byLink: true, able: linksLogins, handle: openLoginLink},
	{operation: "logout", scope: ScopeAll, method: http.MethodPost, path: "/user/{user_id}/logout", detached: true, handle: logout},
}

// The operations of requests that match no route, in log lines.
var (
	unauthorized = &route{operation: "unauthorized"}
	preflight    = &route{operation: "preflight"}
	unknownRoute = &route{operation: "unknown_route", handle: func(context.Context, *services, *operation) (reply, error) {
		return reply{}, errUnknownRoute
	}}
	wrongVerb = &route{operation: "wrong_verb", handle: func(_ context.Context, _ *services, op *operation) (reply, error) {
		return reply{}, &wrongVerbError{allow: op.allow}
	}}
)

// pathRoutes are the operations of one path.
type pathRoutes struct {
	segments []string
	verbs    map[string]*route
}

// variables are those of a path, by their names. No path has more.
type variables [2]struct{ name, value string }

// lookup returns a variable, and whether there is one.
func (v *variables) lookup(name string) (value string, ok bool) {
	for i := range v {
		if v[i].name == name {
			return v[i].value, true
		}
	}
	return "", false
}

// routeTable finds the route of a request. It is no mux.Router, neither the caller's, which
// may be set up to decode or clean paths and so would lose a slash in a user ID, nor one of
// our own, which took a quarter of a request's time here and answers some wrong verbs with
// 404.
type routeTable []pathRoutes

func newRouteTable() routeTable {
	var table routeTable
	for n := range routes {
		rt := &routes[n]
		segments := strings.Split(rt.path, "/")[1:]
		i := slices.IndexFunc(table, func(known pathRoutes) bool { return slices.Equal(known.segments, segments) })
		if i < 0 {
			i = len(table)
			table = append(table, pathRoutes{segments, map[string]*route{}})
		}
		table[i].verbs[rt.method] = rt
	}
	return table
}

// find returns the route of a method and an encoded path below /v1/, with the variables of
// the path. For a path of other verbs that is wrongVerb, with those in allow.
func (t routeTable) find(method, path string) (rt *route, vars variables, allow string) {
	for _, known := range t {
		vars, ok := known.match(path)
		if !ok {
			continue
		}
		if rt, ok := known.verbs[method]; ok {
			return rt, vars, ""
		}
		return wrongVerb, variables{}, allowed(known.verbs)
	}
	return unknownRoute, variables{}, ""
}

// match returns the variables of an encoded path, and whether it is this one. One trailing
// slash is tolerated.
func (p pathRoutes) match(path string) (vars variables, ok bool) {
	n, more := 0, true
	for _, want := range p.segments {
		if !more {
			return vars, false
		}
		var segment string
		segment, path, more = strings.Cut(path, "/")
		name, variable := strings.CutPrefix(want, "{")
		switch {
		case !variable && segment != want, want == "{group_id}" && !chatIDSegment(segment):
			return vars, false
		case variable:
			vars[n].name, vars[n].value = strings.TrimSuffix(name, "}"), segment
			n++
		}
	}
	return vars, path == ""
}

// chatIDSegment says whether a segment begins with a minus or a digit, raw or
// percent-encoded: a chat ID, and no room ID.
func chatIDSegment(segment string) bool {
	first, err := url.PathUnescape(segment[:min(3, len(segment))])
	if err != nil { // it was cut in the middle of a later character
		first = segment
	}
	return first != "" && (first[0] == '-' || '0' <= first[0] && first[0] <= '9')
}

// allowed lists the verbs of a path for an Allow header, in a fixed order.
func allowed(byVerb map[string]*route) string {
	var verbs []string
	for _, verb := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if _, ok := byVerb[verb]; ok {
			verbs = append(verbs, verb)
		}
	}
	return strings.Join(verbs, ", ")
}
