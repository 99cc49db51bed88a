// Package bridgev2host gives the /v1 provisioning API to a bridge on mautrix-go's bridgev2.
//
// A [Host] implements the interfaces of package provisioning on a running
// [bridgev2.Bridge]: its logins are the sessions, its portals are the portals, its
// permissions are the levels, and its relay login is the relay bot. What bridgev2 does
// not know of Telegram, the bridge's network connector says through a [Network].
//
//	host, err := bridgev2host.New(bridgev2host.Config{
//		Bridge: br, AppService: as, Network: connector,
//		API: provisioning.Config{Secret: secret},
//	})
//	as.Router.Handle("/_matrix/provision/v1/", host.Handler("/_matrix/provision"))
//	// when the bridge has started:
//	err = host.Start(ctx)
//	// before the bridge stops:
//	err = host.Close(ctx)
//
// Until Start, requests are answered with 503 and Retry-After. The package imports bridgev2
// and not its Matrix connector: the appservice is a field of the Config.
//
// # One process
//
// A bridge on bridgev2 runs as one process on its database, and keeps its portals and
// logins in memory. So does a Host: races between requests, and between requests and the
// bridge, are decided in this process.
//
// # What the bridge does by itself
//
// The bridge makes portals too: of chats that it hears of, and of the first chats of a
// new login. They are portals of the API at once. A chat that [Network.ChatID] knows no
// chat ID of, such as a forum's topic, is a portal of the bridge that the API does not
// show; its room counts as bridged.
//
// A portal that is disconnected is forgotten by the bridge until the next message in its
// chat, for which the bridge makes a new room.
//
// [bridgev2.Bridge]: https://pkg.go.dev/maunium.net/go/mautrix/bridgev2#Bridge
package bridgev2host
