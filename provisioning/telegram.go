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
	// that userID is a valid Matrix ID.
	Client(ctx context.Context, userID id.UserID) (TelegramClient, error)
}

// TelegramClient acts on Telegram for one Matrix user. What a client can do
// beyond these methods it shows by implementing the optional interfaces
// [PhoneLogin], [LoginControl], [QRLogin], [BotLogin], [ChatLister], [ContactLister],
// [StickerSetLister], [ChatGetter], [ChatCreator], [UserResolver] and [PhotoGetter].
//
// Methods are called concurrently and honour the context, whose deadline is
// [Config.Timeout] but for LoginQR. All of them may return:
//
//   - [ErrNotLoggedIn], also when the session has just turned out to have been
//     ended from the outside (logged out in another app, revoked, account
//     deleted): the client has then forgotten it;
//   - a [FloodWaitError];
//   - [ErrTelegramUnavailable] or the context's error, when Telegram can't be
//     reached;
//   - [ErrOverloaded], at once, when a bound of the host's is reached, such as that of
//     connections to Telegram;
//   - a [TelegramError] for any other refusal of Telegram's.
type TelegramClient interface {
	// Account returns the account that the user is logged in with, and
	// [ErrNotLoggedIn] where there is none. It must notice a session that was
	// ended from the outside. For somebody who never logged in it starts nothing.
	Account(ctx context.Context) (Account, error)

	// Logout ends the session on Telegram and deletes it here. When Telegram can't
	// be reached in time it is deleted here all the same, and the error is nil.
	Logout(ctx context.Context) error
}
