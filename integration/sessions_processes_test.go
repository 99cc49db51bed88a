package integration

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An account moves between users of two processes: the user who had it is logged out at once,
// in both, and the client in the other process stops by itself.
func TestAccountMovesBetweenProcesses(t *testing.T) {
	server, flags := telegramFlags(t)
	flags = append(flags, "-db", postgres.newDatabase(t))
	processes := []*example{startExample(t, flags...), startExample(t, flags...)}
	users := []string{"/v1/user/@a:example.com", "/v1/user/@b:example.com"}
	logIn := func(i int) {
		t.Helper()
		for _, step := range []struct {
			path, body string
			status     int
		}{
			{"/login/request_code", `{"phone":"+` + grace.Phone + `"}`, 200},
			{"/login/send_code", `{"code":"` + grace.Code + `"}`, 202},
			{"/login/send_password", `{"password":"` + grace.Password + `"}`, 200},
		} {
			status, answer := processes[i].call(t, http.MethodPost, users[i]+step.path, step.body)
			require.Equal(t, step.status, status, "%v", answer)
		}
	}
	logIn(0)
	require.Equal(t, 1, server.Connections())
	for move := range 4 {
		to, from := (move+1)%2, move%2
		logIn(to)
		begun := time.Now()
		for _, process := range processes {
			_, who := process.call(t, http.MethodGet, users[from], "")
			assert.Nil(t, who["telegram"])
			status, answer := process.call(t, http.MethodGet, users[from]+"/chats", "")
			assert.Equal(t, []any{403, "not_logged_in"}, []any{status, answer["errcode"]})
		}
		assert.Equal(t, 1, server.Sessions(grace.ID))
		require.Eventually(t, func() bool { return server.Connections() == 1 }, time.Minute, 10*time.Millisecond)
		t.Logf("the other client was gone after %s", time.Since(begun).Round(10*time.Millisecond))
		_, who := processes[to].call(t, http.MethodGet, users[to], "")
		assert.NotNil(t, who["telegram"])
	}
}
