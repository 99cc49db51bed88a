package integration

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"
)

// A bridge of bridgev2 is killed between any two steps of a login, and everything goes on.
func TestBridgev2KilledBetweenAllSteps(t *testing.T) {
	onBridgev2(t, bridgeSettings{}, func(t *testing.T, s *stage) {
		require.NoError(t, s.telegram.AddAccount(grace))
		calls := s.telegram.Calls("auth.sendCode")
		var logs strings.Builder
		step := func(method, path, body string, status int, errcode string) map[string]any {
			t.Helper()
			answer := s.want(status, errcode, method, "/user/@you:"+dendriteDomain+path, body)
			s.restart()
			logs.WriteString(s.stderr.String())
			return answer
		}
		assert.Equal(t, "code", step(http.MethodPost, "/login/request_code", `{"phone":"+999 66 1 0002"}`, 200, "")["state"])
		assert.Equal(t, 5.0, step(http.MethodGet, "/login", "", 200, "")["code"].(map[string]any)["length"])
		step(http.MethodPost, "/login/send_code", `{"code":"13579"}`, 401, "phone_code_invalid")
		assert.Equal(t, "password", step(http.MethodPost, "/login/send_code", `{"code":2468}`, 202, "")["state"])
		step(http.MethodPost, "/login/send_password", `{"password":"open sesame"}`, 401, "password_invalid")
		assert.Equal(t, "logged-in", step(http.MethodPost, "/login/send_password", `{"password":" open sesame "}`, 200, "")["state"])
		step(http.MethodPost, "/login/request_code", `{"phone":"+1"}`, 409, "already_logged_in")
		assert.Equal(t, "grace", step(http.MethodGet, "", "", 200, "")["telegram"].(map[string]any)["username"])
		assert.Equal(t, []int{1, 1}, []int{s.telegram.Sessions(grace.ID), s.telegram.Calls("auth.sendCode") - calls})

		secrets := []string{secret, "open sesame"} // bridgev2 logs the phone number of a login
		for _, key := range s.telegram.AuthKeys() {
			secrets = append(secrets, string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key))
		}
		step(http.MethodPost, "/logout", "", 200, "")
		assert.Zero(t, s.telegram.Sessions(grace.ID))
		assert.Nil(t, step(http.MethodGet, "", "", 200, "")["telegram"])
		for _, s := range secrets {
			assert.False(t, strings.Contains(logs.String(), s), "%.20q is in the log", s)
		}
	})
}

// A bridge of bridgev2 is killed at random points of logins and logouts. Afterwards the user
// can log in, and out.
func TestBridgev2LoginCrashes(t *testing.T) {
	onBridgev2(t, bridgeSettings{}, func(t *testing.T, s *stage) {
		random := newRandom(t)
		user := "/user/@you:" + dendriteDomain
		steps := [][2]string{
			{"/login/request_code", `{"phone":"+` + cleo.Phone + `"}`},
			{"/login/send_code", `{"code":"` + cleo.Code + `"}`},
			{"/logout", ""},
		}
		for range *kills {
			ctx, cancel := context.WithCancel(t.Context())
			answered, done := make(chan struct{}), make(chan struct{})
			go func(url string) {
				defer close(done)
				for i := 0; ctx.Err() == nil; i++ {
					s.try(ctx, url+"/v1"+user+steps[i%len(steps)][0], steps[i%len(steps)][1])
					select {
					case answered <- struct{}{}:
					case <-ctx.Done():
					}
				}
			}(s.example.url)
			for range random.IntN(8) {
				<-answered
			}
			s.kill(t)
			cancel()
			<-done
			s.restart()
		}
		me := id.UserID("@you:" + dendriteDomain)
		if s.me(me) == nil {
			s.want(200, "", http.MethodPost, user+steps[0][0], steps[0][1])
			s.want(200, "", http.MethodPost, user+steps[1][0], steps[1][1])
		}
		assert.Equal(t, cleo.Username, s.me(me))
		assert.Equal(t, []string{fmt.Sprint(cleo.ID)}, s.v3Logins(me))
		s.post(200, "", user+"/logout")
		assert.Nil(t, s.me(me))
		assert.Zero(t, s.telegram.Sessions(cleo.ID))
	})
}

// try sends a request to a bridge that may be killed before it answers.
func (s *stage) try(ctx context.Context, url, body string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	if response, err := http.DefaultClient.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}
