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
	Receiver TelegramID
	// Title is the chat's name on Telegram.
	Title string
	// About is the chat's description, often empty.
	About string
	// Username is the public name of the chat without the @, empty where it has
	// none.
	Username string
	// Megagroup says that the chat is a supergroup.
	Megagroup bool
	// MigratedFrom is the basic group that the supergroup was, which is the same chat. It is
	// 0 where there was none, or it is not known.
	//
	// https://core.telegram.org/api/channel#migration
	MigratedFrom ChatID
}

// NewPortal is what [PortalStore.Connect] and [PortalStore.Move] record.
type NewPortal struct {
	// Portal is the portal itself.
	Portal
	// Accounts are the Telegram user IDs of the accounts that take part. The
	// receiver of a direct chat always does, listed or not.
	Accounts []TelegramID
	// UserID is the Matrix user who asked for the portal, "" where the request named
	// nobody.
	UserID id.UserID
	// Relay says that the relay bot acts. Its account is the first of the Accounts.
	Relay bool
	// Created says that the chat was made for the room a moment ago. Where the bridge has
	// heard of the chat in the meantime and made a room for it, that room gives way.
	Created bool
	// Replaces is the room that the chat is taken from by Connect, "" where the chat has to
	// be free.
	Replaces id.RoomID
	// Tasks is the work that follows, for the [TaskStore].
	Tasks []NewTask
}
