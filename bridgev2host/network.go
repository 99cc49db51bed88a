package bridgev2host

import (
	"context"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// IDs translates between the IDs of Telegram and those of the bridge's network connector.
// The methods are called concurrently, and hold no lock of the bridge's.
type IDs interface {
	// TelegramID returns the Telegram account of a login, and LoginID the login of an
	// account.
	TelegramID(loginID networkid.UserLoginID) provisioning.TelegramID
	LoginID(account provisioning.TelegramID) networkid.UserLoginID

	// GhostID returns the network's ID of a Telegram user. ParseGhostID is its inverse; it
	// returns 0 for a ghost that is no Telegram user's, such as a channel's.
	GhostID(user provisioning.TelegramID) networkid.UserID
	ParseGhostID(ghostID networkid.UserID) provisioning.TelegramID

	// PortalID returns the network's ID of a chat, and whether each login has a portal of
	// its own of that chat, as with direct chats. ChatID is its inverse; it returns false
	// for what is no chat of its own, such as a forum's topic.
	PortalID(chatID provisioning.ChatID) (portalID networkid.PortalID, perLogin bool)
	ChatID(portalID networkid.PortalID) (chatID provisioning.ChatID, ok bool)
}

// Network is what a bridge's Telegram connector tells a [Host]. It may be a [LoginNetwork],
// an [EndingNetwork], and a [provisioning.Checker] that says whether Telegram can be reached,
// too.
type Network interface {
	IDs

	// Describe fills in the fields of a portal that bridgev2 has no columns for: Username
	// and Megagroup, and the others where the connector knows better. Its counterpart is
	// Fill, for a portal that the API makes. The row is a copy in Describe; in Fill it is
	// the bridge's own, and Fill must not block or call bridgev2.
	Describe(ctx context.Context, row *database.Portal, portal *provisioning.Portal) error
	Fill(row *database.Portal, portal provisioning.Portal)

	// HasSession says whether a login has a Telegram session, connected or not. It is false
	// once the session is known to have ended.
	HasSession(login *bridgev2.UserLogin) bool

	// Telegram acts on Telegram for a login. Calls wait until the login is connected, or
	// for their context. What it can do beyond Account it shows by implementing
	// provisioning.ChatLister, ContactLister, ChatGetter, MigrationLister, ChatCreator,
	// CreatedChatLister, UserResolver, StickerSetLister and PhotoGetter. Errors of all calls are those that
	// provisioning.TelegramClient lists; ErrNotLoggedIn means that the session has ended,
	// and HasSession is false after it.
	Telegram(login *bridgev2.UserLogin) Telegram

	// Error translates an error of the connector's, such as of a login process, into one
	// of package provisioning.
	Error(err error) error
}

// Telegram is a Telegram account that is logged in, such as a calls.Account of package
// telegram/calls.
type Telegram interface {
	// Account returns the account as Telegram has it now.
	Account(ctx context.Context) (provisioning.Account, error)
}

// LoginNetwork is an optional interface of a [Network] that logs people in as the API wants
// it: with what Telegram says of a code's delivery, resending, password hints, and half-done
// logins that survive a restart. Package telegram has such logins. A bridge without it logs
// in through bridgev2's login processes, with what these can do.
type LoginNetwork interface {
	// LoginClient returns the client that logs a Matrix user in. It is cheap, and starts
	// nothing. After its login is done, its methods return provisioning.ErrAlreadyLoggedIn
	// until Adopt has taken the login over.
	LoginClient(userID id.UserID) LoginClient

	// Adopt has the bridge take the session of a login over that is done, and returns the
	// bridge's login, whose client has been started. A login of the same account that the
	// bridge has gets the new session. The account is the zero value where the login was
	// done by an earlier process. After an error Adopt is called again. Where there is no such
	// session, since another call has taken it over, it returns provisioning.ErrNotLoggedIn.
	Adopt(ctx context.Context, user *bridgev2.User, account provisioning.Account) (*bridgev2.UserLogin, error)

	// Unadopted lists the users whose logins are done and were not taken over, because
	// the process ended in between.
	Unadopted(ctx context.Context) ([]id.UserID, error)
}

// EndingNetwork is an optional interface of a [Network] whose connector does not forget a
// session with its login: when Telegram is away at a logout, it ends the session later. Package
// telegram does that, see telegram.Factory.EndSession. Without it, the API never says that
// the end of a session is pending.
type EndingNetwork interface {
	// EndPending says whether the end of a login's session at Telegram is still to come. It
	// is asked right after bridgev2 has deleted the login.
	EndPending(login *bridgev2.UserLogin) bool
}

// LoginClient logs a Matrix user in. A *telegram.Client is one.
type LoginClient interface {
	provisioning.PhoneLogin
	provisioning.LoginControl
	provisioning.QRLogin
	provisioning.BotLogin
	// Logout ends a login on Telegram that is done and was not taken over, as the method of
	// a provisioning.TelegramClient does. Errors: provisioning.ErrNotLoggedIn where there is
	// none.
	Logout(ctx context.Context) (pending bool, err error)
}
