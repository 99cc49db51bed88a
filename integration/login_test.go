package integration

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

var grace = telegramtest.Account{
	ID: 1002, Phone: "9996610002", FirstName: "Grace", LastName: "Hopper", Username: "grace", Code: "02468", Password: " open sesame ",
	Dialogs: []telegramtest.Dialog{{Kind: telegramtest.KindSupergroup, ID: 5, Title: "Compilers"}},
}

// databases are the databases that every story runs on.
var databases = map[string]func(t testing.TB) string{
	"sqlite":   func(t testing.TB) string { return filepath.Join(t.TempDir(), "bridge.db") },
	"postgres": func(t testing.TB) string { return postgres.newDatabase(t) },
}

// telegramFlags starts a Telegram server and returns the flags that point there.
func telegramFlags(t testing.TB) (*telegramtest.Server, []string) {
	t.Helper()
	server := telegramtest.NewServer(t, telegramtest.Config{})
	require.NoError(t, server.AddAccount(grace))
	return server, []string{"-telegram-dc", server.Addr(), "-telegram-key", writeKey(t, server)}
}

// writeKey writes the public key of a Telegram server to a file.
func writeKey(t testing.TB, server *telegramtest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, server.PublicKeyPEM(), 0o600))
	return file
}

// The process is killed between any two steps of a login, and everything goes on.
func TestKilledBetweenAllSteps(t *testing.T) {
	for name, newDatabase := range databases {
		t.Run(name, func(t *testing.T) {
			server, flags := telegramFlags(t)
			flags = append(flags, "-db", newDatabase(t))
			var logs strings.Builder
			// step runs one request on a process of its own.
			step := func(method, path, body string, status int, want string) {
				t.Helper()
				e := startExample(t, flags...)
				gotStatus, raw := e.raw(t, method, "/v1/user/@you:example.com"+path, body)
				require.Equal(t, status, gotStatus, "%s", raw)
				require.Contains(t, string(raw), want)
				e.kill(t)
				logs.WriteString(e.stderr.String())
			}
			step(http.MethodPost, "/login/request_code", `{"phone":"+999 66 1 0002"}`, 200, `"state":"code"`)
			step(http.MethodPost, "/login/send_code", `{"code":"13579"}`, 401, `"errcode":"phone_code_invalid"`)
			step(http.MethodPost, "/login/send_code", `{"code":2468}`, 202, `"state":"password"`)
			step(http.MethodPost, "/login/send_password", `{"password":"open sesame"}`, 401, `"errcode":"password_invalid"`)
			step(http.MethodPost, "/login/send_password", `{"password":" open sesame "}`, 200, `"state":"logged-in"`)
			step(http.MethodGet, "", "", 200, `"username":"grace"`)
			step(http.MethodPost, "/login/request_code", `{"phone":"+1"}`, 409, `"errcode":"already_logged_in"`)
			step(http.MethodGet, "/chats", "", 200, `[{"id":-1000000000005,"title":"Compilers","type":"supergroup","username":"","room_id":null}]`)
			step(http.MethodGet, "/contacts", "", 200, `{}`)
			require.Equal(t, 1, server.Sessions(grace.ID))
			require.Equal(t, 1, server.Calls("auth.sendCode"))

			secrets := []string{secret, grace.Phone, "open sesame"}
			for _, key := range server.AuthKeys() {
				secrets = append(secrets, string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key))
			}
			step(http.MethodPost, "/logout", "", 200, `{}`)
			assert.Zero(t, server.Sessions(grace.ID))
			step(http.MethodGet, "", "", 200, `"telegram":null`)
			require.Contains(t, logs.String(), `"op":"post_login_password"`)
			for _, s := range secrets {
				assert.False(t, strings.Contains(logs.String(), s), "%.20q is in the log", s)
			}
		})
	}
}

// Two Matrix users log in to one account: it moves, on either database.
func TestAccountMoves(t *testing.T) {
	for name, newDatabase := range databases {
		t.Run(name, func(t *testing.T) {
			server, flags := telegramFlags(t)
			e := startExample(t, append(flags, "-db", newDatabase(t))...)
			for _, user := range []string{"/v1/user/@a:example.com", "/v1/user/@b:example.com"} {
				status, _ := e.call(t, http.MethodPost, user+"/login/request_code", `{"phone":"+9996610002"}`)
				require.Equal(t, 200, status)
				status, _ = e.call(t, http.MethodPost, user+"/login/send_code", `{"code":"02468"}`)
				require.Equal(t, 202, status)
				status, _ = e.call(t, http.MethodPost, user+"/login/send_password", `{"password":" open sesame "}`)
				require.Equal(t, 200, status)
			}
			_, first := e.call(t, http.MethodGet, "/v1/user/@a:example.com", "")
			assert.Nil(t, first["telegram"])
			_, second := e.call(t, http.MethodGet, "/v1/user/@b:example.com", "")
			assert.NotNil(t, second["telegram"])
			assert.Equal(t, 1, server.Sessions(grace.ID))
		})
	}
}

// An interrupt ends the process cleanly, with no error in its log.
func TestInterrupt(t *testing.T) {
	_, flags := telegramFlags(t)
	e := startExample(t, append(flags, "-db", postgres.newDatabase(t))...)
	status, _ := e.call(t, http.MethodPost, "/v1/user/@a:example.com/login/request_code", `{"phone":"+9996610002"}`)
	require.Equal(t, 200, status)
	require.NoError(t, e.cmd.Process.Signal(os.Interrupt))
	<-e.ended
	assert.Zero(t, e.cmd.ProcessState.ExitCode(), "%s", e.stderr)
	assert.NotContains(t, e.stderr.String(), `"level":"error"`)
}
