package provisioning

import "maunium.net/go/mautrix/id"

// Portal is a Matrix room that is bridged to a Telegram chat.
type Portal struct {
	// RoomID is the Matrix room.
	RoomID id.RoomID
	// ChatID is the Telegram chat.
	ChatID ChatID
	// Receiver is, for a direct chat, the Telegram user ID of the account whose
	// chat it is, since two accounts may talk to the same person. It is 0 for
	// groups and channels, which are the same chat for everybody.
	Receiver int64
	// Title is the chat's name on Telegram.
	Title string
}
