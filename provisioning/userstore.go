package provisioning

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// User is what the bridge knows of a Matrix user.
type User struct {
	// Permission is the user's level.
	Permission Permission
	// TelegramID is the Telegram account that the user is linked to, 0 if none.
	TelegramID TelegramID
	// Displaced says that the account of TelegramID has been linked to another
	// Matrix user since, and that this user's own session of it has not been
	// ended yet. The core then ends it, and treats the user as logged out.
	Displaced bool
}

// UserReader knows the Matrix users of the bridge: their permission levels, and
// which Telegram account each one is linked to.
//
// A UserReader that is no [UserStore] is that of a bridge whose Telegram sessions
// are the links: a login, a logout and a move of an account have changed what User
// returns by the time the method of the [TelegramClient] returns. The core records
// nothing then.
//
// A level that is taken away counts at once: when a login is done the core looks the user
// up again, and ends the session of somebody below [PermissionFull]. Where the session is
// the link it ends that of somebody whom it can't look up, too. Logins that were recorded
// before stay.
//
// Methods are called concurrently, by several goroutines and, where processes
// share a database, by several processes. They honour the context, and may all return
// [ErrDatabase]: also where the context ended while the database was waited for. The core
// has checked that every user ID is a valid Matrix ID.
type UserReader interface {
	// User returns what is known of a Matrix user. It creates nothing: for a user
	// never seen before it returns the permission level alone. The bridge's own
	// users, its bot and its ghosts, are users of [PermissionNone]. A store that
	// won't answer for an ID at all returns [ErrMatrixUserRefused].
	User(ctx context.Context, userID id.UserID) (User, error)
}

// UserStore is a [UserReader] in which the core records who is logged in with which
// Telegram account. Package auth has one on SQL. What UserReader says of its method
// holds for these.
type UserStore interface {
	// User is the method of UserReader.
	UserReader

	// LinkAccount records that userID is logged in with the Telegram account, in
	// place of the account that the user was linked to before, and marks every
	// other user that was linked to this account as displaced, in one transaction.
	// It returns all displaced users of the account, those of earlier calls
	// included. After two racing calls for one account exactly one of the users is
	// linked and not displaced. Linking what is linked already changes nothing.
	LinkAccount(ctx context.Context, userID id.UserID, telegramID TelegramID) (displaced []id.UserID, err error)

	// ClaimAccount is LinkAccount for an account that no other user is linked to. When
	// one is, displaced users aside, it changes nothing and returns
	// [ErrAccountLinked]. It is one transaction too: of racing claims by several users
	// exactly one succeeds.
	ClaimAccount(ctx context.Context, userID id.UserID, telegramID TelegramID) error

	// UnlinkAccount removes the link of userID, or of userID as a displaced user, to
	// the account. When the user is linked to a different account, or to none, it
	// changes nothing and returns nil.
	UnlinkAccount(ctx context.Context, userID id.UserID, telegramID TelegramID) error
}

// AccountFinder is an optional interface of a [UserReader]. [Provisioner.ForgetUser] asks it
// whose the account is that a user had before.
type AccountFinder interface {
	// AccountUser returns the Matrix user who is linked to a Telegram account, displaced
	// users aside, and "" where nobody is.
	AccountUser(ctx context.Context, telegramID TelegramID) (id.UserID, error)
}
