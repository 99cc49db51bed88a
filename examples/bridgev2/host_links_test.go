//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/bridgev2host"
	"github.com/tgprovision/tgprovision/provisioning"
)

// linkHost is another API of the bridge, with a page for login links. It is not started.
type linkHost struct {
	*bridgev2host.Host
	w   *world
	url string
}

func (w *world) linkHost() linkHost {
	w.t.Helper()
	host, err := bridgev2host.New(bridgev2host.Config{
		Bridge: w.bridge.Bridge, AppService: w.bridge.Matrix.AS, Network: w.bridge.connector.Network(),
		API: provisioning.Config{Secret: w.secret, LoginPage: "https://bridge.example.com/login"},
	})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { assert.NoError(w.t, host.Close(context.WithoutCancel(w.ctx))) })
	server := httptest.NewServer(host.Handler(""))
	w.t.Cleanup(server.Close)
	return linkHost{host, w, server.URL + "/v1"}
}

// call calls an operation with a credential, and returns a field of the answer.
func (h linkHost) call(credential, method, path, field string) string {
	h.w.t.Helper()
	request, err := http.NewRequestWithContext(h.w.ctx, method, h.url+path, http.NoBody)
	require.NoError(h.w.t, err)
	request.Header.Set("Authorization", "Bearer "+credential)
	response, err := http.DefaultClient.Do(request)
	require.NoError(h.w.t, err)
	defer response.Body.Close()
	answer := map[string]any{}
	require.NoError(h.w.t, json.NewDecoder(response.Body).Decode(&answer))
	value, ok := answer[field].(string)
	require.True(h.w.t, ok, "%v", answer)
	return value
}

// Links are in the bridge's database: another process opens one, and a session goes on after a
// restart.
func TestLoginLinks(t *testing.T) {
	w := newWorld(t)
	you := w.person("you").UserID
	login := "/user/" + string(you) + "/login"
	first, second, third := w.linkHost(), w.linkHost(), w.linkHost()
	require.NoError(t, first.Start(w.ctx))
	link, found := strings.CutPrefix(first.call(w.secret, "POST", login+"/link", "url"), "https://bridge.example.com/login#login_link=")
	require.True(t, found)

	require.Equal(t, "not_ready", second.call(link, "POST", "/login/link", "errcode"))
	require.NoError(t, second.Start(w.ctx))
	session := second.call(link, "POST", "/login/link", "token")

	require.NoError(t, third.Start(w.ctx))
	require.Equal(t, "request", third.call(session, "GET", login, "state"))
	_, err := third.API().ForgetUser(w.ctx, you)
	require.NoError(t, err)
	require.Equal(t, "login_link_invalid", third.call(session, "GET", login, "errcode"))
}
