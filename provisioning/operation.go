package provisioning

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// operation is a request as a handler gets it: authorised, decoded, and checked as the
// route table says.
type operation struct {
	rt     *route
	caller caller
	allow  string // the verbs of the path, for a wrong verb

	// Who the operation is about or, in operations about portals, who asks; the user ID is
	// "" where nobody is named.
	person

	// Of the path.
	roomID     id.RoomID
	chatID     ChatID
	identifier string // encoded

	// Of the query.
	force     string // one of the force constants, or ""
	everybody bool   // delete
	wait      bool   // sync: the API client says for how long it waits
	limit     int    // 0 where it is left out
	after     string // what the page comes after
	search    string

	bridgeable bool // it was looked at: the user who asks may bridge the room

	body object

	// connected ends when the API client hangs up, and has no deadline.
	connected context.Context
	// upgrade makes a WebSocket of the request.
	upgrade upgrader
}

// person is a Matrix user, with what the bridge has of them.
type person struct {
	userID id.UserID
	user   User
	client TelegramClient
	// relay: where the user's own account can't act, the relay bot may.
	relay bool
}

// services are what handlers work with.
type services struct {
	gate     *gate
	limits   *loginLimits
	links    *loginLinks
	rights   *rights
	accounts *accounts
	portals  *portals
	avatars  *avatarFetcher
	lists    *listBodies
	qr       *qrLogins
	routes   []route // all operations, for the one that lists them
}
