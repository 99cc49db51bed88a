package matrixtest

import (
	"net/http"
	"strings"

	"maunium.net/go/mautrix/event"
)

// clientAPI is the beginning of most paths.
const clientAPI = "/_matrix/client/{v}"

// routes is what can be asked for, over HTTP.
type routes struct {
	server *Server
	mux    *http.ServeMux
}

func (s *Server) handler() http.Handler {
	r := routes{s, http.NewServeMux()}
	s.script.known = map[string]bool{}
	r.addUsers()
	r.addRooms()
	r.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeFault(w, &fault{404, "M_UNRECOGNIZED", "this homeserver does not know that"})
	})
	return r.mux
}

// addUsers adds what is about the server itself, users, and what is theirs.
func (r routes) addUsers() {
	s := r.server
	r.open("GET", "/_matrix/client/versions", "versions", func(*http.Request) (any, *fault) {
		return map[string]any{"versions": []string{"v1.1", "v1.11", "v1.16"}}, nil
	})
	r.authed("GET", clientAPI+"/capabilities", "capabilities", s.capabilities)
	r.open("POST", clientAPI+"/register", "register", s.register)
	r.authed("GET", clientAPI+"/account/whoami", "whoami", func(c *call) (any, *fault) { return map[string]any{"user_id": c.userID}, nil })
	r.authed("POST", clientAPI+"/user/{user}/openid/request_token", "openid", s.requestOpenID)
	r.open("GET", "/_matrix/federation/v1/openid/userinfo", "userinfo", s.openIDUserInfo)
	r.authed("PUT", clientAPI+"/user/{user}/account_data/{type}", "account_data", func(*call) (any, *fault) { return empty{}, nil })
	r.open("GET", clientAPI+"/profile/{user}", "GET profile", s.getProfile)
	r.open("GET", clientAPI+"/profile/{user}/{field}", "GET profile", s.getProfile)
	r.authed("PUT", clientAPI+"/profile/{user}/{field}", "PUT profile", s.putProfile)
	r.authed("POST", "/_matrix/client/v1/appservice/{id}/ping", "ping", s.ping)
	r.authed("POST", "/_matrix/media/{v}/upload", "upload", s.upload)
	r.authed("GET", "/_matrix/client/v1/media/config", "media config", func(*call) (any, *fault) {
		const most = 10 << 20
		return map[string]any{"m.upload.size": most}, nil
	})
	r.authed("GET", "/_matrix/client/v1/media/download/{server}/{media}", "download", s.download)
}

// addRooms adds what is about rooms.
func (r routes) addRooms() {
	s := r.server
	r.authed("POST", clientAPI+"/createRoom", "createRoom", s.createRoom)
	r.authed("POST", clientAPI+"/join/{room}", "join", s.join)
	r.authed("POST", clientAPI+"/rooms/{room}/join", "join", s.join)
	for action, to := range map[string]event.Membership{
		"invite": event.MembershipInvite, "leave": event.MembershipLeave, "kick": event.MembershipLeave,
		"ban": event.MembershipBan, "unban": event.MembershipLeave,
	} {
		r.authed("POST", clientAPI+"/rooms/{room}/"+action, action, func(c *call) (any, *fault) { return s.changeMember(c, action, to) })
	}
	r.authed("POST", clientAPI+"/rooms/{room}/forget", "forget", func(*call) (any, *fault) { return empty{}, nil })
	r.authed("GET", clientAPI+"/joined_rooms", "joined_rooms", s.joinedRooms)
	r.authed("GET", clientAPI+"/rooms/{room}/joined_members", "joined_members", s.joinedMembers)
	r.authed("GET", clientAPI+"/rooms/{room}/members", "members", s.members)
	r.authed("GET", clientAPI+"/rooms/{room}/state", "state", s.fullState)
	r.authed("GET", clientAPI+"/rooms/{room}/state/{type}", "GET state", s.getState)
	r.authed("GET", clientAPI+"/rooms/{room}/state/{type}/{key...}", "GET state", s.getState)
	r.authed("PUT", clientAPI+"/rooms/{room}/state/{type}", "PUT state", s.putState)
	r.authed("PUT", clientAPI+"/rooms/{room}/state/{type}/{key...}", "PUT state", s.putState)
	r.authed("PUT", clientAPI+"/rooms/{room}/send/{type}/{txn}", "send", s.send)
	r.authed("GET", clientAPI+"/directory/room/{alias}", "GET alias", s.getAlias)
	r.authed("GET", clientAPI+"/sync", "sync", s.sync)
}

// open adds an operation that needs no token. {v} in a path is any of the versions that
// clients use.
func (r routes) open(method, path, operation string, handle func(*http.Request) (any, *fault)) {
	r.server.script.known[operation] = true
	for _, version := range []string{"v3", "r0"} {
		r.mux.HandleFunc(method+" "+strings.Replace(path, "{v}", version, 1), func(w http.ResponseWriter, request *http.Request) {
			r.server.cfg.Log.Debug().Str("operation", operation).Msg("Request")
			if f := r.server.script.enter(request.Context(), operation); f != nil {
				writeFault(w, f)
				return
			}
			body, f := handle(request)
			if f != nil {
				writeFault(w, f)
				return
			}
			if m, ok := body.(Media); ok {
				w.Header().Set("Content-Type", m.Type)
				_, _ = w.Write(m.Data)
				return
			}
			write(w, http.StatusOK, body)
		})
		if !strings.Contains(path, "{v}") {
			break
		}
	}
}

// authed adds an operation that needs a token.
func (r routes) authed(method, path, operation string, handle func(*call) (any, *fault)) {
	r.open(method, path, operation, func(request *http.Request) (any, *fault) {
		c, f := r.server.authenticate(request)
		if f != nil {
			return nil, f
		}
		return handle(c)
	})
}
