package matrixtest

import (
	"net/http"
	"strings"

	"maunium.net/go/mautrix/event"
)

// handler routes what clients ask for.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	open := func(method, path, operation string, handle func(*http.Request) (any, *fault)) {
		for _, version := range []string{"v3", "r0"} {
			mux.HandleFunc(method+" "+strings.Replace(path, "{v}", version, 1), func(w http.ResponseWriter, r *http.Request) {
				s.cfg.Log.Debug().Str("operation", operation).Msg("Request")
				if f := s.script.enter(r.Context(), operation); f != nil {
					writeFault(w, f)
					return
				}
				body, f := handle(r)
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
	authed := func(method, path, operation string, handle func(*call) (any, *fault)) {
		open(method, path, operation, func(r *http.Request) (any, *fault) {
			c, f := s.authenticate(r)
			if f != nil {
				return nil, f
			}
			return handle(c)
		})
	}
	const client = "/_matrix/client/{v}"
	open("GET", "/_matrix/client/versions", "versions", func(*http.Request) (any, *fault) {
		return map[string]any{"versions": []string{"v1.1", "v1.11", "v1.16"}}, nil
	})
	open("POST", client+"/register", "register", s.register)
	authed("GET", client+"/capabilities", "capabilities", s.capabilities)
	authed("GET", client+"/account/whoami", "whoami", func(c *call) (any, *fault) { return map[string]any{"user_id": c.userID}, nil })
	authed("POST", client+"/createRoom", "createRoom", s.createRoom)
	authed("POST", client+"/join/{room}", "join", s.join)
	authed("POST", client+"/rooms/{room}/join", "join", s.join)
	for action, to := range map[string]event.Membership{
		"invite": event.MembershipInvite, "leave": event.MembershipLeave, "kick": event.MembershipLeave,
		"ban": event.MembershipBan, "unban": event.MembershipLeave,
	} {
		authed("POST", client+"/rooms/{room}/"+action, action, func(c *call) (any, *fault) { return s.changeMember(c, action, to) })
	}
	authed("POST", client+"/rooms/{room}/forget", "forget", func(*call) (any, *fault) { return empty{}, nil })
	authed("GET", client+"/joined_rooms", "joined_rooms", s.joinedRooms)
	authed("GET", client+"/rooms/{room}/joined_members", "joined_members", s.joinedMembers)
	authed("GET", client+"/rooms/{room}/members", "members", s.members)
	authed("GET", client+"/rooms/{room}/state", "state", s.fullState)
	authed("GET", client+"/rooms/{room}/state/{type}", "GET state", s.getState)
	authed("GET", client+"/rooms/{room}/state/{type}/{key...}", "GET state", s.getState)
	authed("PUT", client+"/rooms/{room}/state/{type}", "PUT state", s.putState)
	authed("PUT", client+"/rooms/{room}/state/{type}/{key...}", "PUT state", s.putState)
	authed("PUT", client+"/rooms/{room}/send/{type}/{txn}", "send", s.send)
	authed("GET", client+"/directory/room/{alias}", "GET alias", s.getAlias)
	open("GET", client+"/profile/{user}", "GET profile", s.getProfile)
	open("GET", client+"/profile/{user}/{field}", "GET profile", s.getProfile)
	authed("PUT", client+"/profile/{user}/{field}", "PUT profile", s.putProfile)
	authed("POST", "/_matrix/media/{v}/upload", "upload", s.upload)
	authed("GET", "/_matrix/client/v1/media/download/{server}/{media}", "download", s.download)
	authed("GET", client+"/sync", "sync", s.sync)
	authed("PUT", client+"/user/{user}/account_data/{type}", "account_data", func(*call) (any, *fault) { return empty{}, nil })
	authed("POST", client+"/user/{user}/openid/request_token", "openid", s.requestOpenID)
	open("GET", "/_matrix/federation/v1/openid/userinfo", "userinfo", s.openIDUserInfo)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeFault(w, &fault{404, "M_UNRECOGNIZED", "this homeserver does not know that"})
	})
	return mux
}
