package auth_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
)

// homeserver is a transport that answers instead of a homeserver. The tokens that it
// knows are alice-1, alice-2 and so on.
type homeserver struct {
	mu    sync.Mutex
	asked []string // the requests
	// answer is what it answers, if set.
	answer func(*http.Request) (status int, body string, err error)
}

func (h *homeserver) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.asked = append(h.asked, r.URL.String()+" "+r.Header.Get("Authorization"))
	answer := h.answer
	h.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.URL.Query().Get("access_token")
	status, body, err := 401, `{"errcode":"M_UNKNOWN_TOKEN","error":"no"}`, error(nil)
	if name, _, ok := strings.Cut(token, "-"); ok {
		status, body = 200, fmt.Sprintf(`{"user_id":"@%s:example.com","sub":"@%s:example.com"}`, name, name)
	}
	if answer != nil {
		status, body, err = answer(r)
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (h *homeserver) calls() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked)
}

// answers makes it answer everything the same.
func (h *homeserver) answers(answer func(*http.Request) (int, string, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// takes makes every answer take some time.
func (h *homeserver) takes(wait time.Duration, status int, body string) {
	h.answers(func(r *http.Request) (int, string, error) {
		select {
		case <-time.After(wait):
			return status, body, nil
		case <-r.Context().Done():
			return 0, "", r.Context().Err()
		}
	})
}

const aliceSays = `{"user_id":"@alice:example.com","sub":"@alice:example.com"}`

func newTokens(t *testing.T, h http.RoundTripper, change ...func(*auth.TokensConfig)) *auth.Tokens {
	t.Helper()
	cfg := auth.TokensConfig{
		Homeserver: "https://matrix.example.com", ServerNames: []string{"example.com"}, AccessTokens: true, OpenID: true, Transport: h,
	}
	for _, f := range change {
		f(&cfg)
	}
	tokens, err := auth.NewTokens(cfg)
	require.NoError(t, err)
	return tokens
}

func TestTokensAskTheHomeserver(t *testing.T) {
	for _, c := range []struct {
		change      func(*auth.TokensConfig)
		token, asks string
	}{
		{nil, "alice-1", "https://matrix.example.com/_matrix/client/v3/account/whoami Bearer alice-1"},
		{nil, "openid:alice-1", "https://matrix.example.com/_matrix/federation/v1/openid/userinfo?access_token=alice-1 "},
		{nil, "openid:alice-&x=/+", "https://matrix.example.com/_matrix/federation/v1/openid/userinfo?access_token=alice-%26x%3D%2F%2B "},
		{func(c *auth.TokensConfig) { c.Federation = "http://10.0.0.1:8448/" }, "openid:alice-1", "http://10.0.0.1:8448/_matrix/federation/v1/openid/userinfo?access_token=alice-1 "},
		{func(c *auth.TokensConfig) { c.Homeserver += "/base/" }, "alice-1", "https://matrix.example.com/base/_matrix/client/v3/account/whoami Bearer alice-1"},
	} {
		h := &homeserver{}
		if c.change == nil {
			c.change = func(*auth.TokensConfig) {}
		}
		userID, err := newTokens(t, h, c.change).CheckToken(t.Context(), c.token)
		require.NoError(t, err)
		assert.Equal(t, alice, userID)
		assert.Equal(t, []string{c.asks}, h.asked)
	}
}

// What can't be a token, or is of a kind that is off, goes nowhere.
func TestTokensNotAskedAbout(t *testing.T) {
	both := func(*auth.TokensConfig) {}
	accessOnly := func(c *auth.TokensConfig) { c.OpenID = false }
	openIDOnly := func(c *auth.TokensConfig) { c.AccessTokens = false }
	for _, c := range []struct {
		change func(*auth.TokensConfig)
		token  string
	}{
		{both, ""},
		{both, "openid:"},
		{both, "alice 1"},
		{both, "alice-\x00"},
		{both, "alice-\n"},
		{both, "älice-1"},
		{both, "\xff"},
		{both, strings.Repeat("x", 8<<10+1)},
		{accessOnly, "openid:alice-1"},
		{openIDOnly, "alice-1"},
		{openIDOnly, "OpenID:alice-1"},
	} {
		h := &homeserver{}
		userID, err := newTokens(t, h, c.change).CheckToken(t.Context(), c.token)
		require.ErrorIs(t, err, provisioning.ErrMatrixTokenInvalid, "%q", c.token)
		assert.Empty(t, userID)
		assert.Zero(t, h.calls(), "%q", c.token)
		if len(c.token) > 8 {
			assert.NotContains(t, err.Error(), c.token)
		}
	}
}

func TestAnswersOfTheHomeserver(t *testing.T) {
	transportFault := errors.New("connection refused")
	for _, c := range []struct {
		name   string
		status int
		body   string
		err    error
		want   error // nil is alice
	}{
		{"alice", 200, aliceSays, nil, nil},
		{"guest", 200, `{"user_id":"@alice:example.com","is_guest":true,"sub":"@alice:example.com"}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"no guest", 200, `{"user_id":"@alice:example.com","is_guest":false,"sub":"@alice:example.com"}`, nil, nil},
		{"guest in some words", 200, `{"user_id":"@alice:example.com","is_guest":"yes","sub":"@alice:example.com"}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"unknown", 401, `{"errcode":"M_UNKNOWN_TOKEN","error":"no"}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"soft logout", 401, `{"errcode":"M_UNKNOWN_TOKEN","soft_logout":true}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"locked", 401, `{"errcode":"M_USER_LOCKED"}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"forbidden", 403, `{"errcode":"M_FORBIDDEN"}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"another server", 200, `{"user_id":"@alice:example.org","sub":"@alice:example.org"}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"another case", 200, `{"user_id":"@alice:Example.com","sub":"@alice:Example.com"}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"another port", 200, `{"user_id":"@alice:example.com:8448","sub":"@alice:example.com:8448"}`, nil, provisioning.ErrMatrixTokenInvalid},
		{"proxy refuses", 401, `<html>`, nil, provisioning.ErrHomeserver},
		{"proxy refuses in JSON", 403, `{"message":"no"}`, nil, provisioning.ErrHomeserver},
		{"limited", 429, `{"errcode":"M_LIMIT_EXCEEDED"}`, nil, provisioning.ErrHomeserver},
		{"old", 404, `{"errcode":"M_UNRECOGNIZED"}`, nil, provisioning.ErrHomeserver},
		{"broken", 500, `{"errcode":"M_UNKNOWN"}`, nil, provisioning.ErrHomeserver},
		{"gateway", 502, ``, nil, provisioning.ErrHomeserver},
		{"redirect", 302, aliceSays, nil, provisioning.ErrHomeserver},
		{"no user", 200, `{}`, nil, provisioning.ErrHomeserver},
		{"user is null", 200, `{"user_id":null,"sub":null}`, nil, provisioning.ErrHomeserver},
		{"user is a number", 200, `{"user_id":1,"sub":1}`, nil, provisioning.ErrHomeserver},
		{"no server", 200, `{"user_id":"alice","sub":"alice"}`, nil, provisioning.ErrHomeserver},
		{"no localpart", 200, `{"user_id":"@:example.com","sub":"@:example.com"}`, nil, provisioning.ErrHomeserver},
		{"no JSON", 200, `alice`, nil, provisioning.ErrHomeserver},
		{"list", 200, `["@alice:example.com"]`, nil, provisioning.ErrHomeserver},
		{"endless", 200, `{"x":"` + strings.Repeat("x", 64<<10) + `","user_id":"@alice:example.com","sub":"@alice:example.com"}`, nil, provisioning.ErrHomeserver},
		{"down", 0, "", transportFault, provisioning.ErrHomeserver},
	} {
		for _, token := range []string{"secret-token", "openid:secret-token"} {
			h := &homeserver{answer: func(*http.Request) (int, string, error) { return c.status, c.body, c.err }}
			tokens := newTokens(t, h)
			for range 2 {
				userID, err := tokens.CheckToken(t.Context(), token)
				if c.want == nil {
					require.NoError(t, err, c.name)
					assert.Equal(t, alice, userID, c.name)
					continue
				}
				require.ErrorIs(t, err, c.want, "%s %s", c.name, token)
				assert.Empty(t, userID, c.name)
				for _, other := range []error{provisioning.ErrMatrixTokenInvalid, provisioning.ErrHomeserver} {
					assert.Equal(t, other == c.want, errors.Is(err, other), c.name)
				}
			}
			want := 1 // what is known is not asked again, what could not be said is
			if c.want == provisioning.ErrHomeserver {
				want = 2
			}
			assert.Equal(t, want, h.calls(), c.name)
		}
	}
}

// A homeserver that says the token back, in whatever way, does not get it into a log.
func TestNoTokenInErrors(t *testing.T) {
	const token = "secret/token+of%alice"
	check := func(tokens *auth.Tokens, what string) {
		t.Helper()
		for _, given := range []string{token, "openid:" + token} {
			_, err := tokens.CheckToken(t.Context(), given)
			require.Error(t, err, what)
			for _, part := range []string{"secret/", "secret%2F", "token+of", "token%2Bof", "of%alice"} {
				assert.NotContains(t, err.Error(), part, what)
			}
		}
	}
	h := &homeserver{}
	for name, answer := range map[string]func(*http.Request) (int, string, error){
		"error":  func(r *http.Request) (int, string, error) { return 0, "", fmt.Errorf("%s: %v", r.URL, r.Header) },
		"panic":  func(r *http.Request) (int, string, error) { panic(fmt.Sprint(r.URL, r.Header)) },
		"answer": func(*http.Request) (int, string, error) { return 401, `{"errcode":"` + token + `"}`, nil },
		"body":   func(*http.Request) (int, string, error) { return 500, token, nil },
		"user":   func(*http.Request) (int, string, error) { return 200, `{"user_id":"` + token + `"}`, nil },
	} {
		h.answers(answer)
		check(newTokens(t, h), name)
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	at := func(url string) func(*auth.TokensConfig) {
		return func(c *auth.TokensConfig) { c.Homeserver = url }
	}
	check(newTokens(t, transport, at(closed.URL)), "refused connection")
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://[broken/"+r.URL.RawQuery+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusFound)
	}))
	defer redirecting.Close()
	check(newTokens(t, transport, at(redirecting.URL)), "broken redirect")
}

// Nothing of Tokens holds a token when nobody waits any more.
func TestNoTokenIsKept(t *testing.T) {
	h := &homeserver{}
	tokens := newTokens(t, h)
	for _, token := range []string{"alice-canary", "openid:alice-canary", "canary"} {
		_, _ = tokens.CheckToken(t.Context(), token)
	}
	h.asked = nil
	assert.False(t, holds(reflect.ValueOf(tokens), "canary", map[uintptr]bool{}))
	assert.True(t, holds(reflect.ValueOf(tokens), "@alice:example.com", map[uintptr]bool{}), "the search finds nothing")
}

// holds says whether a text is in a value, or in anything that it points to.
func holds(v reflect.Value, text string, seen map[uintptr]bool) bool {
	switch v.Kind() {
	case reflect.String:
		return strings.Contains(v.String(), text)
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return false
		}
		seen[v.Pointer()] = true
		return holds(v.Elem(), text, seen)
	case reflect.Interface:
		return !v.IsNil() && holds(v.Elem(), text, seen)
	case reflect.Struct:
		for i := range v.NumField() {
			if holds(v.Field(i), text, seen) {
				return true
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if holds(key, text, seen) || holds(v.MapIndex(key), text, seen) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			var b strings.Builder
			for i := range v.Len() {
				b.WriteByte(byte(v.Index(i).Uint()))
			}
			return strings.Contains(b.String(), text)
		}
		for i := range v.Len() {
			if holds(v.Index(i), text, seen) {
				return true
			}
		}
	}
	return false
}

func TestTransportPanics(t *testing.T) {
	h := &homeserver{answer: func(*http.Request) (int, string, error) { panic("boom") }}
	tokens := newTokens(t, h, func(c *auth.TokensConfig) { c.Checks = 1 })
	for range 3 {
		_, err := tokens.CheckToken(t.Context(), "alice-1")
		require.ErrorContains(t, err, "boom")
		assert.NotErrorIs(t, err, provisioning.ErrMatrixTokenInvalid)
		assert.NotErrorIs(t, err, provisioning.ErrHomeserver)
	}
	h.answers(nil)
	_, err := tokens.CheckToken(t.Context(), "alice-1")
	require.NoError(t, err)
}

func TestTokensConfigFaults(t *testing.T) {
	sound := auth.TokensConfig{Homeserver: "http://127.0.0.1:8008", ServerNames: []string{"example.com"}, AccessTokens: true}
	for name, change := range map[string]func(*auth.TokensConfig){
		"Homeserver ":            func(c *auth.TokensConfig) { c.Homeserver = "" },
		"Homeserver is":          func(c *auth.TokensConfig) { c.Homeserver = "matrix.example.com" },
		"Homeserver is not":      func(c *auth.TokensConfig) { c.Homeserver = "https://user:pass@example.com" },
		"Homeserver is not a":    func(c *auth.TokensConfig) { c.Homeserver = "https://example.com/?x" },
		"Federation is":          func(c *auth.TokensConfig) { c.Federation = "ftp://example.com" },
		"ServerNames is empty":   func(c *auth.TokensConfig) { c.ServerNames = nil },
		`ServerNames has "a b"`:  func(c *auth.TokensConfig) { c.ServerNames = []string{"example.com", "a b"} },
		"AccessTokens nor":       func(c *auth.TokensConfig) { c.AccessTokens = false },
		"Keep is -1ns":           func(c *auth.TokensConfig) { c.Keep = -1 },
		"KeepInvalid is -1ns":    func(c *auth.TokensConfig) { c.KeepInvalid = -1 },
		"Timeout is -1ns":        func(c *auth.TokensConfig) { c.Timeout = -1 },
		"Remember is -1":         func(c *auth.TokensConfig) { c.Remember = -1 },
		"Checks is -1: use a po": func(c *auth.TokensConfig) { c.Checks = -1 },
		"Waiting is -1":          func(c *auth.TokensConfig) { c.Waiting = -1 },
	} {
		cfg := sound
		change(&cfg)
		tokens, err := auth.NewTokens(cfg)
		require.ErrorContains(t, err, name)
		assert.Nil(t, tokens)
		assert.NotContains(t, err.Error(), "pass")
	}
	_, err := auth.NewTokens(auth.TokensConfig{Keep: -1, Checks: -1})
	for _, field := range []string{"Homeserver", "ServerNames", "AccessTokens", "Keep", "Checks"} {
		assert.ErrorContains(t, err, field, "every fault is named")
	}
	_, err = auth.NewTokens(sound)
	require.NoError(t, err)
}

// The real requests, to something that answers as homeservers do.
func TestTokensOfAHomeserver(t *testing.T) {
	hs, err := matrixtest.Start(matrixtest.Config{ServerName: "example.com"})
	require.NoError(t, err)
	defer func() { assert.NoError(t, hs.Close()) }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	tokens := newTokens(t, transport, func(c *auth.TokensConfig) { c.Homeserver = hs.URL() })
	client, err := hs.AddUser("alice")
	require.NoError(t, err)
	openID, err := client.RequestOpenIDToken(t.Context())
	require.NoError(t, err)
	for _, token := range []string{client.AccessToken, openIDToken(openID)} {
		for range 2 {
			userID, err := tokens.CheckToken(t.Context(), token)
			require.NoError(t, err)
			assert.Equal(t, alice, userID)
		}
	}
	assert.Equal(t, 1, hs.Calls("whoami"))
	assert.Equal(t, 1, hs.Calls("userinfo"))
	for _, token := range []string{"openid:" + client.AccessToken, openID.AccessToken, "nobody's"} {
		_, err := tokens.CheckToken(t.Context(), token)
		require.ErrorIs(t, err, provisioning.ErrMatrixTokenInvalid)
	}
	hs.Fail("whoami", 1, 500, "M_UNKNOWN")
	_, err = tokens.CheckToken(t.Context(), "another")
	require.ErrorIs(t, err, provisioning.ErrHomeserver)
}

func openIDToken(token *mautrix.RespOpenIDToken) string { return "openid:" + token.AccessToken }

// Guests call where the host allows it.
func TestGuests(t *testing.T) {
	h := &homeserver{}
	h.takes(0, 200, `{"user_id":"@alice:example.com","is_guest":true}`)
	userID, err := newTokens(t, h, func(c *auth.TokensConfig) { c.Guests = true }).CheckToken(t.Context(), "alice-1")
	require.NoError(t, err)
	assert.Equal(t, alice, userID)
	_, err = newTokens(t, h).CheckToken(t.Context(), "alice-1")
	require.ErrorIs(t, err, provisioning.ErrMatrixTokenInvalid)
}
