package provisioning

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// anyOrigin is the origin of Config.CORS that stands for all.
const anyOrigin = "*"

// corsPolicy says which web pages may call the API from a browser. Nil allows none.
//
// https://fetch.spec.whatwg.org/#http-cors-protocol
type corsPolicy struct {
	any     bool
	origins []string
	methods string
}

// newCORSPolicy returns nil where no origin is allowed.
func newCORSPolicy(origins []string) *corsPolicy {
	if len(origins) == 0 {
		return nil
	}
	verbs := map[string]*route{}
	for i, rt := range routes {
		verbs[rt.method] = &routes[i]
	}
	return &corsPolicy{slices.Contains(origins, anyOrigin), slices.Clone(origins), allowed(verbs)}
}

// answer adds what a browser wants to know to the header of an answer, whatever it
// will be. It says whether that is all, since the request is a preflight of an allowed
// origin. Preflights come without a credential: to those of all paths, unknown ones
// included, the answer is the same, so that they tell nothing of the routes.
func (p *corsPolicy) answer(h http.Header, r *http.Request) (preflight bool) {
	if p == nil {
		return false
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		return false
	case p.any:
		h.Set("Access-Control-Allow-Origin", anyOrigin)
	case slices.Contains(p.origins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
	default:
		return false
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
		return false
	}
	h.Set("Access-Control-Allow-Methods", p.methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id")
	h.Set("Access-Control-Max-Age", "600")
	return true
}

// validOrigin says whether a browser can send an origin in this spelling.
//
// https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin
func validOrigin(origin string) bool {
	if origin == anyOrigin {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin) {
		return false
	}
	if strings.ContainsAny(u.Host, "*%") || strings.HasSuffix(u.Host, ":") || !sendable(u.Host) {
		return false
	}
	standard := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return u.Port() == "" || u.Port() != standard
}
