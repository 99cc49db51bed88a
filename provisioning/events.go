package provisioning

import "maunium.net/go/mautrix/id"

// EventType says what an [Event] reports.
type EventType string

// The events.
const (
	// EventLogin: a Matrix user has logged in to Telegram.
	EventLogin EventType = "login"
	// EventLogout: a Matrix user is logged out, by request, because the session was
	// ended from the outside, or because the account has moved to another user.
	EventLogout EventType = "logout"
	// EventPortalConnected: a room is bridged to a chat that existed before.
	EventPortalConnected EventType = "portal_connected"
	// EventPortalCreated: a room is bridged to a chat that was made for it, or was
	// made for a direct chat.
	EventPortalCreated EventType = "portal_created"
	// EventPortalMoved: a portal goes on in another room, which its room was upgraded to, or
	// with another chat, the supergroup that its basic group has become.
	EventPortalMoved EventType = "portal_moved"
	// EventPortalDisconnected: a room is bridged no more.
	EventPortalDisconnected EventType = "portal_disconnected"
	// EventTaskGivenUp: background work has failed for [Config.TaskLifetime] and is not
	// tried again. The log says why it failed. Work that is to tell of an event is given up
	// without one.
	EventTaskGivenUp EventType = "task_given_up"
)

// Event is a change that a bridge may want to act on, by starting or stopping to
// sync.
type Event struct {
	// ID is the event's own: one that comes again has the same.
	ID string
	// Type says what has happened.
	Type EventType
	// UserID is the Matrix user who logged in or out, or who changed the portal, ""
	// where the request named nobody.
	UserID id.UserID
	// TelegramID is the account that was logged in or out, or that acted on the portal, 0
	// where none did.
	TelegramID TelegramID
	// Portal is that of portal events, and of work on a portal that was given up.
	Portal Portal
	// Former is what the portal was before [EventPortalMoved].
	Former Portal
	// TaskKind is the kind of the work that was given up, one of those of [TaskKinds].
	TaskKind string
}
