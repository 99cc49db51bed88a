//go:build cgo

package main

import (
	"maunium.net/go/mautrix/bridgev2/matrix/mxmain"

	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
)

// bridge is mautrix-go's bridge program with our connector. mxmain's Run can't stop
// anything of ours, so that the steps of Run stand in main.go.
type bridge struct {
	*mxmain.BridgeMain
	api mounted
}

// newBridge makes a bridge, of which nothing has started yet.
func newBridge() *bridge {
	b := &bridge{BridgeMain: &mxmain.BridgeMain{
		Name: "tgprovision-bridge", Description: "An example of a Telegram bridge with the provisioning API.",
		URL: "https://github.com/tgprovision/tgprovision", Version: "0.1.0", Connector: &connector.Connector{},
	}}
	b.InitVersion("unknown", "unknown", "unknown")
	b.PostInit = func() { b.api = mount(b.BridgeMain) }
	b.PostStart = func() { b.api.start() }
	return b
}

// stop ends the provisioning API, and then the bridge.
func (b *bridge) stop() {
	b.api.stop()
	b.Stop()
}

// mounted is the provisioning API on a bridge.
type mounted struct {
	start func() // when the bridge has started
	stop  func() // before the bridge stops
}

// mount mounts the provisioning API on a bridge that has been initialized and not started.
func mount(*mxmain.BridgeMain) mounted {
	return mounted{start: func() {}, stop: func() {}}
}
