//go:build cgo

package main

import (
	"context"
	"os"
	"strings"
	"time"

	"maunium.net/go/mautrix/bridgev2/matrix/mxmain"

	"github.com/rs/zerolog"
	"github.com/tgprovision/tgprovision/bridgev2host"
	"github.com/tgprovision/tgprovision/console"
	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
	"github.com/tgprovision/tgprovision/provisioning"
)

// bridge is mautrix-go's bridge program with our connector. mxmain's Run can't stop
// anything of ours, so that the steps of Run stand in main.go.
type bridge struct {
	*mxmain.BridgeMain
	connector *connector.Connector
	api       *bridgev2host.Host // the provisioning API
}

// newBridge makes a bridge, of which nothing has started yet.
func newBridge() *bridge {
	b := &bridge{connector: &connector.Connector{}}
	b.BridgeMain = &mxmain.BridgeMain{
		Name: "tgprovision-bridge", Description: "An example of a Telegram bridge with the provisioning API.",
		URL: "https://github.com/tgprovision/tgprovision", Version: "0.1.0", Connector: b.connector,
	}
	b.InitVersion("unknown", "unknown", "unknown")
	b.PostInit = b.mount
	b.PostStart = b.startAPI
	return b
}

// mount mounts the provisioning API beside bridgev2's own. Until the bridge has started,
// the API says so.
func (b *bridge) mount() {
	host, err := bridgev2host.New(bridgev2host.Config{
		Bridge: b.Bridge, AppService: b.Matrix.AS, Network: b.connector.Network(),
		API: provisioning.Config{
			Secret: b.Config.Provisioning.SharedSecret, CodesPerPhone: b.connector.Config.CodesPerPhone(), LoginPage: b.loginPage(),
		},
	})
	if err != nil {
		b.fail(err)
	}
	b.api = host
	b.Matrix.AS.Router.Handle("/_matrix/provision/v1/", host.Handler("/_matrix/provision"))
	b.mountConsole()
}

// mountConsole mounts the page on which people log in.
func (b *bridge) mountConsole() {
	page, err := console.New(console.Config{API: "../_matrix/provision/v1"})
	if err != nil {
		b.fail(err)
	}
	b.Matrix.AS.Router.Handle("/console/", page)
}

// loginPage is where login links lead, "" where browsers can't reach the bridge.
func (b *bridge) loginPage() string {
	if b.Config.AppService.PublicAddress == "" {
		return ""
	}
	return strings.TrimSuffix(b.Config.AppService.PublicAddress, "/") + "/console/"
}

// startAPI has the provisioning API answer: the bridge has started.
func (b *bridge) startAPI() {
	if err := b.api.Start(b.Bridge.BackgroundCtx); err != nil {
		b.fail(err)
	}
}

// fail ends the process, as mxmain does when it can't start.
func (b *bridge) fail(err error) {
	b.Log.WithLevel(zerolog.FatalLevel).Err(err).Msg("The provisioning API can't start")
	os.Exit(exitAPI)
}

// exitAPI is the exit code when the provisioning API can't start. mxmain has others.
const exitAPI = 30

// stop ends the provisioning API, and then the bridge.
func (b *bridge) stop() {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.api.Close(ctx); err != nil {
		b.Log.Warn().Err(err).Msg("The provisioning API is slow to stop")
	}
	b.Stop()
}
