package provisioning

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// PortalStore knows the portals of the bridge. A host that keeps its portals
// elsewhere implements it over its own tables; package portal has one on SQL.
//
// Methods are called concurrently, by several goroutines and, where processes
// share a database, by several processes. They honour the context, and may all return
// [ErrDatabase]: also where the context ended while the database was waited for.
type PortalStore interface {
	// PortalByRoom returns the portal of a Matrix room. Errors:
	// [ErrPortalNotFound].
	PortalByRoom(ctx context.Context, roomID id.RoomID) (Portal, error)

	// PortalByChat returns the portal that a Telegram chat has for an account, 0 where no
	// account asks. A direct chat is its account's own. A group or channel is the same
	// chat for all accounts in most bridges, and there the account does not matter; a
	// bridge in which each account has its own portal of a group returns that of the
	// account, or that of any where no account asks. A supergroup's portal is that of the
	// basic group that it was too, its MigratedFrom; a store that does not record that
	// returns none. Errors: [ErrPortalNotFound].
	PortalByChat(ctx context.Context, chatID ChatID, account TelegramID) (Portal, error)

	// AccountPortals returns the portals that the Telegram account of the given
	// user ID takes part in, in any order. It is asked for bot accounts, which
	// have no chat list of their own on Telegram. No portals, also for an unknown
	// account, is an empty list and no error. It is asked for other accounts when their user
	// is forgotten. A bridge that knows by itself who is in a chat
	// may list its portal for them too.
	AccountPortals(ctx context.Context, account TelegramID) ([]Portal, error)

	// Connect records a new portal, the accounts that take part in it and the
	// tasks that follow, in one transaction, after whose end every method sees
	// them. A room has at most one portal, and a chat (of one receiver) at most one
	// room: of several racing calls, also in several processes, exactly one succeeds.
	//
	// The tasks go into the [TaskStore] of the [Config]. A store that can't record them
	// in one transaction with the portal adds them first, with a Delay that is longer than
	// the change takes, and postpones each to its own Delay after the change. After an error
	// it finishes them. If the process dies in between they fall due: a task of a portal
	// that is not there does nothing.
	//
	// Where Replaces is set, the chat's portal in that room is removed in the same
	// transaction.
	//
	// An error means that nothing has changed:
	//   - [ErrRoomBridged]: the room has a portal, of this chat or of another. It
	//     comes before the following ones;
	//   - [ErrChatBridged]: the chat, or the basic group that it was, has a portal in another
	//     room than Replaces;
	//   - [ErrPortalNotFound]: Replaces is set, and the chat has no portal.
	Connect(ctx context.Context, portal NewPortal) error

	// Move records that a portal goes on in another room, which its room was upgraded to, or
	// with another chat, the supergroup that its basic group has become. The accounts that
	// take part in it, and who has asked for it with them, stay; those of the NewPortal come
	// to them, unless they are there. The tasks are recorded with it as Connect does. Of
	// from, only the room, the chat and the receiver are looked at.
	//
	// An error means that nothing has changed:
	//   - [ErrPortalNotFound]: the room is not bridged to that chat any more. It comes before
	//     the following ones;
	//   - [ErrRoomBridged]: the other room has a portal;
	//   - [ErrChatBridged]: the other chat has a portal in another room.
	Move(ctx context.Context, from Portal, to NewPortal) error

	// Disconnect removes the portal of a room and a chat (of one receiver), and
	// records the tasks that follow, in one transaction, after whose end no method
	// knows the portal. The portal's other fields are not looked at. When the room
	// is not bridged to that chat any more nothing changes, and the error is
	// [ErrPortalNotFound]: of several racing calls, exactly one succeeds. A store that
	// can't record the tasks in one transaction with the portal does as in Connect: a task
	// of a portal that is still there does nothing.
	Disconnect(ctx context.Context, portal Portal, tasks ...NewTask) error
}

// DirectPortals is an optional interface of a [PortalStore] whose bridge makes the room
// and the portal of a direct chat in one step. It unlocks start_dm, and is asked in
// place of [DirectRooms].
type DirectPortals interface {
	// StartDirect returns the portal of an account's chat with a contact, and whether it
	// was made for this call. The Matrix user is in the portal's room, or is invited to it.
	// Of racing calls for one chat, one makes the portal, and all return it. Errors:
	// [ErrNotLoggedIn], [ErrTelegramUserNotFound], [ErrHomeserver].
	StartDirect(ctx context.Context, userID id.UserID, account Account, contact Contact) (portal Portal, created bool, err error)
}

// PortalLister is an optional interface of a [PortalStore] that lists its portals. It unlocks
// list_portals, and get_chats asks it which chats are bridged.
type PortalLister interface {
	// ListPortals returns the portals that the query asks for, in an order of their room IDs that
	// is the same each time. No portals is an empty list and no error.
	ListPortals(ctx context.Context, query PortalQuery) ([]Portal, error)

	// PortalsOfChats returns the portals that chats have for an account, which is not 0: those
	// that PortalByChat would return, in any order. Chats without one are left out. It is asked
	// for all chats of an account's list at once, which may be thousands.
	PortalsOfChats(ctx context.Context, account TelegramID, chats []ChatID) ([]Portal, error)
}

// PortalQuery says which portals [PortalLister.ListPortals] returns.
type PortalQuery struct {
	// Account is the account that takes part in them, as [PortalStore].AccountPortals says, 0
	// for all portals.
	Account TelegramID
	// After is the room ID that those of the portals come after, "" for the first ones. The
	// room need not be bridged, or be any more.
	After id.RoomID
	// Limit is how many portals are returned at most. It is positive.
	Limit int
}

// UserPortal is a portal that a Matrix user has asked for, with the account that they had.
type UserPortal struct {
	// Portal is the portal.
	Portal
	// Account is the account that acted. For a direct chat it is the receiver.
	Account TelegramID
}

// PortalUsers is an optional interface of a [PortalStore] that records who has asked for a
// portal, with which account: the UserID of the [NewPortal], with the Receiver of a direct
// chat and the first of the Accounts of another one. Where the UserID is "" or Relay is set,
// it records nobody. [Provisioner.ForgetUser] finds by it what a user has left behind that
// has no account any more, and the core ends by it the direct chats that an account has from
// another user than the one who logs in with it.
type PortalUsers interface {
	// UserPortals returns the portals that are recorded as a Matrix user's, in any order.
	UserPortals(ctx context.Context, userID id.UserID) ([]UserPortal, error)

	// PortalUser returns the Matrix user who is recorded for a portal and an account that
	// takes part in it. It is "", and no error, where nobody is, where the portal is gone and
	// where the account does not take part.
	PortalUser(ctx context.Context, portal UserPortal) (id.UserID, error)

	// SetPortalUser records a Matrix user for a portal and an account that takes part in
	// it, in place of whoever was recorded. It is no error, and changes nothing, where the
	// portal is gone or the account does not take part.
	SetPortalUser(ctx context.Context, portal UserPortal, userID id.UserID) error

	// RemoveAccount records that an account does not take part in a portal any more,
	// whoever it was recorded for. The portal stays. It is no error where the portal is gone
	// or the account does not take part.
	RemoveAccount(ctx context.Context, portal UserPortal) error
}
