package provisioning

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// TelegramClientFactory gives the core the Telegram client of each Matrix user.
// Package telegram has one on gotd/td.
type TelegramClientFactory interface {
	// Client returns the client of a Matrix user, whether logged in or not. It is
	// called for every request about a user, concurrently, and therefore cheap: it
	// connects nothing, stores nothing and starts nothing. The core has checked
	// that userID is a valid Matrix ID. Errors: [ErrDatabase].
	Client(ctx context.Context, userID id.UserID) (TelegramClient, error)
}

// TelegramClient acts on Telegram for one Matrix user. What a client can do
// beyond these methods it shows by implementing the optional interfaces
// [PhoneLogin], [LoginControl], [QRLogin], [BotLogin], [ChatLister], [ContactLister],
// [StickerSetLister], [ChatGetter], [MigrationLister], [ChatCreator], [CreatedChatLister], [UserResolver] and [PhotoGetter].
//
// Methods are called concurrently and honour the context, whose deadline is
// [Config.Timeout] but for LoginQR. All of them may return:
//
//   - [ErrNotLoggedIn], also when the session has just turned out to have been
//     ended from the outside (logged out in another app, revoked, account
//     deleted): the client has then forgotten it;
//   - a [FloodWaitError];
//   - [ErrTelegramUnavailable] or the context's error, when Telegram can't be
//     reached, or has trouble of its own;
//   - [ErrDatabase], when what is kept of the session can't be read or stored, also where the
//     context ended while the database was waited for;
//   - [ErrTelegramRestricted], where Telegram does not let the account do that, and
//     [ErrBridgeRefused], where it refuses the bridge itself; both wrap a [TelegramError];
//   - [ErrOverloaded], within two seconds, when a bound of the host's is reached, such as that of
//     connections to Telegram;
//   - a [TelegramError] for any other refusal of Telegram's.
type TelegramClient interface {
	// Account returns the account that the user is logged in with, and
	// [ErrNotLoggedIn] where there is none. It must notice a session that was
	// ended from the outside. For somebody who never logged in it starts nothing.
	Account(ctx context.Context) (Account, error)

	// Logout logs the user out: when the error is nil, the client is logged out here from
	// then on, and another login may follow. It ends the session on Telegram. Where that
	// can't be done in time, because Telegram can't be reached or refuses for now, pending
	// is true: the client has promised it, and goes on trying until Telegram confirms the
	// end or knows the session no more, also after a restart. A client that would not try
	// again returns false. The error is ErrNotLoggedIn for somebody who is not logged in,
	// and for a session that Telegram had ended already; after any other the user is logged
	// in still.
	Logout(ctx context.Context) (pending bool, err error)
}
