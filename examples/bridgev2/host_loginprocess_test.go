//go:build cgo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/bridgev2host"
	"github.com/tgprovision/tgprovision/provisioning"
)

// processes is the API of a bridge whose connector logs people in through bridgev2's login
// processes only, for somebody.
type processes struct {
	*world
	you *person
	url string // of the user's login
}

func newProcesses(t *testing.T) *processes {
	w := newWorld(t)
	host, err := bridgev2host.New(bridgev2host.Config{
		Bridge: w.bridge.Bridge, AppService: w.bridge.Matrix.AS,
		Network: struct{ bridgev2host.Network }{w.bridge.connector.Network()},
		API:     provisioning.Config{Secret: w.secret},
	})
	require.NoError(t, err)
	require.NoError(t, host.Start(w.ctx))
	t.Cleanup(func() { assert.NoError(t, host.Close(context.WithoutCancel(w.ctx))) })
	server := httptest.NewServer(host.Handler(""))
	t.Cleanup(server.Close)
	you := w.person("you")
	return &processes{w, you, server.URL + "/v1/user/" + string(you.UserID) + "/login"}
}

// call calls an operation of the login, and checks the status, and the errcode or the state.
func (p *processes) call(method, path, body string, status int, outcome any) map[string]any {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.ctx, method, p.url+path, bytes.NewReader([]byte(body)))
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+p.secret)
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	answer := map[string]any{}
	require.NoError(p.t, json.Unmarshal(raw, &answer), "%s", raw)
	require.Equal(p.t, status, response.StatusCode, "%s", raw)
	got := answer["state"]
	if status >= http.StatusBadRequest {
		got = answer["errcode"]
	}
	require.Equal(p.t, outcome, got, "%s", raw)
	return answer
}

// wantLogin checks that bridgev2 has a login of an account.
func (p *processes) wantLogin(account string) {
	p.t.Helper()
	_, whoami := p.v3("GET", "whoami", p.you.UserID, nil)
	logins := whoami["logins"].([]any)
	require.Len(p.t, logins, 1)
	require.Equal(p.t, account, logins[0].(map[string]any)["id"])
}

func TestLoginProcessByPhone(t *testing.T) {
	p := newProcesses(t)
	p.call("GET", "", "", 200, "request")
	p.call("POST", "/request_code", `{"phone":"1"}`, 400, "phone_number_invalid")
	p.call("POST", "/request_code", `{"phone":"+9996610001"}`, 200, "code")
	now := p.call("GET", "", "", 200, "code")
	require.Equal(t, "9996610001", now["phone"])
	require.NotNil(t, now["since"])
	p.call("POST", "/send_code", `{"code":"99999"}`, 401, "phone_code_invalid")
	require.Equal(t, "ada", p.call("POST", "/send_code", `{"code":"12345"}`, 200, "logged-in")["username"])
	p.wantLogin("9001")
	require.Equal(t, "ada", p.call("GET", "", "", 200, "logged-in")["username"])
	p.call("POST", "/request_code", `{"phone":"+9996610001"}`, 409, "already_logged_in")
}

func TestLoginProcessWithPassword(t *testing.T) {
	p := newProcesses(t)
	p.call("POST", "/send_password", `{"password":"correct horse"}`, 400, "phone_code_not_entered")
	p.call("POST", "/request_code", `{"phone":"+9996610002"}`, 200, "code")
	p.call("POST", "/send_password", `{"password":"correct horse"}`, 400, "phone_code_not_entered")
	p.call("POST", "/send_code", `{"code":2468}`, 202, "password") // it is 02468
	p.call("POST", "/resend_code", "", 409, "code_not_resendable")
	require.Equal(t, "9996610002", p.call("GET", "", "", 200, "password")["phone"])
	p.call("POST", "/send_password", `{"password":"wrong"}`, 401, "password_invalid")
	require.Equal(t, "grace", p.call("POST", "/send_password", `{"password":"correct horse"}`, 200, "logged-in")["username"])
	p.wantLogin("9002")
}

// A login that has had too many wrong codes, or passwords, is over, and codes are counted in the
// bridge's database.
func TestLoginProcessIsGivenUp(t *testing.T) {
	p := newProcesses(t)
	wrong := func(path, body, errcode string, tries int, state string) {
		for range tries - 1 {
			require.Equal(t, state, p.call("POST", path, body, 401, errcode)["state"])
		}
		require.Equal(t, "request", p.call("POST", path, body, 401, errcode)["state"])
	}
	p.call("POST", "/request_code", `{"phone":"+9996610002"}`, 200, "code")
	wrong("/send_code", `{"code":"99999"}`, "phone_code_invalid", 5, "code")
	p.call("POST", "/send_code", `{"code":"02468"}`, 403, "phone_code_expired")
	p.call("POST", "/request_code", `{"phone":"+9996610002"}`, 200, "code")
	p.call("POST", "/send_code", `{"code":"02468"}`, 202, "password")
	wrong("/send_password", `{"password":"wrong"}`, "password_invalid", 10, "password")
	p.call("POST", "/send_password", `{"password":"correct horse"}`, 400, "phone_code_not_entered")
	for range 3 {
		p.call("POST", "/request_code", `{"phone":"+999 66 10002"}`, 200, "code")
	}
	p.call("POST", "/request_code", `{"phone":"+9996610002"}`, 429, "phone_number_flood")
}

func TestLoginProcessCantSendACodeAgain(t *testing.T) {
	p := newProcesses(t)
	p.call("POST", "/resend_code", "", 403, "phone_code_expired")
	p.call("POST", "/request_code", `{"phone":"+9996610001"}`, 200, "code")
	p.call("POST", "/resend_code", "", 409, "code_not_resendable")
	p.call("POST", "/send_code", `{"code":"12345"}`, 200, "logged-in")
}

func TestLoginProcessIsCancelled(t *testing.T) {
	p := newProcesses(t)
	p.call("POST", "/request_code", `{"phone":"+9996610001"}`, 200, "code")
	p.call("DELETE", "", "", 200, nil)
	p.call("GET", "", "", 200, "request")
	p.call("POST", "/send_code", `{"code":"12345"}`, 403, "phone_code_expired")
	require.Zero(t, p.telegram.Sessions(ada))
}

func TestLoginProcessOfABot(t *testing.T) {
	p := newProcesses(t)
	p.call("POST", "/bot_token", `{"token":"9003:AAwrong"}`, 401, "bot_token_invalid")
	require.Equal(t, "local_demo_bot", p.call("POST", "/bot_token", `{"token":"9003:AAF-token-of-the-local-bot"}`, 200, "logged-in")["username"])
	p.wantLogin("9003")
}

// scan logs in by QR code, and returns the last message of the socket.
func (p *processes) scan(account int64) map[string]any {
	p.t.Helper()
	socket, _, err := websocket.Dial(p.ctx, p.url+"/qr", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + p.secret}}})
	require.NoError(p.t, err)
	defer socket.CloseNow()
	read := func() (message map[string]any) {
		_, raw, err := socket.Read(p.ctx)
		require.NoError(p.t, err)
		require.NoError(p.t, json.Unmarshal(raw, &message))
		return message
	}
	require.NoError(p.t, p.telegram.AcceptLoginToken(read()["code"].(string), account))
	return read()
}

func TestLoginProcessByQR(t *testing.T) {
	p := newProcesses(t)
	require.Equal(t, true, p.scan(ada)["success"])
	p.wantLogin("9001")
	p.call("GET", "", "", 200, "logged-in")
}

func TestLoginProcessByQRWithPassword(t *testing.T) {
	p := newProcesses(t)
	require.Equal(t, "password-needed", p.scan(grace)["error"])
	p.call("GET", "", "", 200, "password")
	p.call("POST", "/send_password", `{"password":"correct horse"}`, 200, "logged-in")
	p.wantLogin("9002")
}
