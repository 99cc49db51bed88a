//go:build cgo

package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/internal/barebench"
	"github.com/tgprovision/tgprovision/provisioning"
)

// BenchmarkBesideV3 compares requests of the API with whoami of bridgev2's own, on one
// bridge, in turns. The bridge logs as it is configured to by default, to a file.
func BenchmarkBesideV3(b *testing.B) {
	l, err := startLocal("debug", localAccounts)
	require.NoError(b, err)
	defer l.close()
	l.logFile = filepath.Join(b.TempDir(), "log")
	bridge, err := l.startBridge()
	require.NoError(b, err)
	defer l.stopBridge(bridge)
	user, err := l.homeserver.AddUser("ada")
	require.NoError(b, err)
	telegram, err := bridge.api.Client(b.Context(), user.UserID)
	require.NoError(b, err)
	_, err = telegram.(provisioning.BotLogin).LoginBot(b.Context(), "9003:AAF-token-of-the-local-bot")
	require.NoError(b, err)
	err = bridge.api.Config().Portals.Connect(b.Context(), provisioning.NewPortal{Portal: provisioning.Portal{
		RoomID: "!room:example.com", ChatID: provisioning.ChannelChatID(7), Title: "News", Username: "news",
	}})
	require.NoError(b, err)

	request := func(name, path string) barebench.Request {
		return barebench.Request{Name: name, Path: "/_matrix/provision" + path, Secret: l.secret}
	}
	asUser := "?user_id=" + string(user.UserID)
	whoami := request("whoami", "/v3/whoami"+asUser)
	for _, r := range []barebench.Request{
		request("get_bridge", "/v1/bridge"),
		request("get_me", "/v1/user/"+string(user.UserID)),
		request("get_portal/hit", "/v1/portal/!room:example.com"),
		request("get_portal/miss", "/v1/portal/!other:example.com"),
	} {
		barebench.Beside(b, bridge.Matrix.AS.Router, r, whoami)
	}
}
