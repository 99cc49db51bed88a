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
	// EventPortalDisconnected: a room is bridged no more.
	EventPortalDisconnected EventType = "portal_disconnected"
)

// Event is a change that a bridge may want to act on, by starting or stopping to
// sync.
type Event struct {
	// ID is the event's own: one that comes again has the same.
	ID   string    `json:"id"`
	Type EventType `json:"type"`
	// UserID is the Matrix user who logged in or out, or who changed the portal, ""
	// where the request named nobody.
	UserID id.UserID `json:"user_id,omitempty"`
	// TelegramID is the Telegram user ID of the account that was logged in or out, or
	// that acted on the portal, 0 where none did.
	TelegramID TelegramID `json:"telegram_id,omitempty"`
	// Portal is that of portal events.
	Portal Portal `json:"portal,omitzero"`
}
