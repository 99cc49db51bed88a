package matrixtest

import (
	"net/http"

	"maunium.net/go/mautrix/id"
)

// requestOpenID gives a user a token that tells who they are.
func (s *Server) requestOpenID(c *call) (any, *fault) {
	if id.UserID(c.PathValue("user")) != c.userID {
		return nil, &fault{403, "M_FORBIDDEN", "you may request tokens for yourself only"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := "openid-" + newID()
	s.openIDs[token] = c.userID
	return map[string]any{"access_token": token, "token_type": "Bearer", "matrix_server_name": s.cfg.ServerName, "expires_in": 3600}, nil
}

// openIDUserInfo tells other services whose such a token is.
func (s *Server) openIDUserInfo(r *http.Request) (any, *fault) {
	token := r.URL.Query().Get("access_token")
	if token == "" {
		return nil, &fault{401, "M_MISSING_PARAM", "there is no access token"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	userID, ok := s.openIDs[token]
	if !ok {
		return nil, &fault{401, "M_UNKNOWN_TOKEN", "the access token is unknown"}
	}
	return map[string]any{"sub": userID}, nil
}
