package provisioning

import (
	"context"
	"errors"
	"time"
)

// The optional interfaces of a TelegramClient. They are found by type assertion
// on what TelegramClientFactory.Client returns; a wrapper around a client has to
// forward those it wants to keep. All methods may return the errors that
// TelegramClient lists.

// PhoneLogin logs a user in by phone number, login code and two-factor password.
// It unlocks the operations post_login_phone, post_login_code and
// post_login_password.
//
// The half-done login survives a restart of the process. The core lets these
// calls run on to their deadline when the API client hangs up, so that an accepted
// code is never lost. Calls for one user may come concurrently: one login results,
// and each call has one clear outcome.
type PhoneLogin interface {
	// RequestCode has Telegram send a login code to the phone number, which may
	// be in any usual spelling. Asking again for the same number, before the code may be sent
	// again, returns what was sent and asks Telegram nothing; so do concurrent calls. A code
	// may be sent again from SentCode.ResendAt on, a minute after it was sent where Telegram has
	// named no time, and never where there is no next way. After that it is sent again.
	// Before it asks Telegram it calls [CountCode]. Errors: [ErrAlreadyLoggedIn], [ErrPhoneNumberInvalid],
	// [ErrPhoneNumberBanned], [ErrPhoneNumberAppSignupForbidden],
	// [ErrPhoneNumberUnoccupied], [ErrPhoneNumberFlood]; [ErrLoginEmailRequired], and no login is
	// under way then.
	//
	// TL: auth.sendCode, auth.resendCode.
	RequestCode(ctx context.Context, phone string) (SentCode, error)

	// SubmitCode logs in with the code. Errors: [ErrPasswordNeeded] when the
	// account has a two-factor password, to be given to SubmitPassword;
	// [ErrAlreadyLoggedIn]; [ErrPhoneCodeInvalid], after which the right code may
	// follow, or [ErrLoginGivenUp] besides, and the login is ended: the fifth wrong code should
	// do that, whatever happens in between; [ErrPhoneCodeExpired] when no code was requested or it timed out;
	// [ErrPhoneNumberUnoccupied] when no account has that number; [ErrPhoneNumberFlood].
	//
	// TL: auth.signIn.
	SubmitCode(ctx context.Context, code LoginCode) (Account, error)

	// SubmitPassword finishes a login whose code was accepted or, where the client is a
	// QRLogin too, whose QR code was scanned. Errors:
	// [ErrAlreadyLoggedIn]; [ErrPasswordInvalid], after which the right password
	// may follow, or [ErrLoginGivenUp] besides, and the login is ended: the tenth wrong password
	// should do that; [ErrPhoneCodeNotEntered] when no code was accepted before;
	// [ErrSessionRevoked] when the half-done login was ended from the outside;
	// [ErrPhoneNumberFlood].
	//
	// TL: account.getPassword, auth.checkPassword.
	SubmitPassword(ctx context.Context, password string) (Account, error)
}

// LoginControl shows and steers a half-done login. It is for clients that are
// PhoneLogins, and unlocks get_login, resend_login_code and cancel_login.
type LoginControl interface {
	// LoginProgress returns how far the login has come, from what is recorded: it asks
	// Telegram nothing. The core asks it of users who are not logged in.
	LoginProgress(ctx context.Context) (LoginProgress, error)

	// ResendCode has the code sent again, in the next way that Telegram has. Before it asks
	// Telegram it calls [CountCode]. Errors:
	// [ErrAlreadyLoggedIn]; [ErrPhoneCodeExpired] when no code was requested or it timed
	// out; [ErrPasswordNeeded] when the code was accepted already; [ErrCodeNotResendable]
	// when Telegram has no further way; [ErrPhoneNumberFlood]; [ErrLoginEmailRequired], and the
	// login is ended then.
	//
	// TL: auth.resendCode.
	ResendCode(ctx context.Context) (SentCode, error)

	// CancelLogin ends the half-done login, here and on Telegram, and is no error
	// where there is none. When Telegram can't be reached, it is ended here all the
	// same. Errors: [ErrAlreadyLoggedIn].
	//
	// TL: auth.cancelCode.
	CancelLogin(ctx context.Context) error
}

// MaxQRTokens is how many QR codes one login shows, one after another.
const MaxQRTokens = 4

// QRLogin logs a user in by a QR code that they scan with a Telegram app in which they are
// logged in. It unlocks login_qr; a login to an account with a two-factor password is
// finished by [PhoneLogin].SubmitPassword.
type QRLogin interface {
	// LoginQR calls show with a token for a QR code, again with a fresh one whenever the
	// last is about to expire, up to MaxQRTokens times, and returns the account once
	// somebody has scanned one. Nothing is shown after that. An error of show's ends the
	// login and is returned.
	//
	// The context ends when the API client hangs up, when it begins anew, when the
	// Provisioner is closed, or [Config.Timeout] after the last token has expired. Then
	// nothing is left of the login, neither a connection nor a session on Telegram, and a
	// half-done login that was there before, by phone number for example, is still there.
	// It is replaced only by one that somebody has scanned: that login is brought to its
	// end though the context ends meanwhile.
	//
	// The core makes one call at a time for each user in its process. Other steps of a
	// login may come in between; the one that is done first counts. Errors:
	// [ErrPasswordNeeded] when the account has a two-factor password, to be given to
	// SubmitPassword, also after a restart; [ErrLoginTimeout] when the last token has
	// expired; [ErrAlreadyLoggedIn]; [ErrPhoneNumberBanned] for a banned or deleted
	// account; [ErrSessionRevoked] when the login was ended from the outside.
	//
	// TL: auth.exportLoginToken, auth.importLoginToken, updateLoginToken.
	LoginQR(ctx context.Context, show func(ctx context.Context, token QRToken) error) (Account, error)
}

// QRToken is what a QR code for logging in says.
type QRToken struct {
	// URL is the content of the QR code, tg://login?token=…. Whoever has it can have the
	// bridge logged in to an account of theirs.
	URL string
	// Expires is when it is replaced by another, by the clock of this machine.
	Expires time.Time
}

// String hides the token.
func (QRToken) String() string { return "[QR token]" }

// GoString hides the token.
func (t QRToken) GoString() string { return t.String() }

// BotLogin logs a user in as a bot. It unlocks post_bot_token.
type BotLogin interface {
	// LoginBot logs in with a bot token. Errors: [ErrAlreadyLoggedIn],
	// [ErrBotTokenInvalid], [ErrBotTokenExpired].
	//
	// TL: auth.importBotAuthorization.
	LoginBot(ctx context.Context, token string) (Account, error)
}

// ChatLister lists chats. It unlocks get_chats.
type ChatLister interface {
	// Chats returns every chat of the account's list but the archived ones and
	// the basic groups that were migrated to a supergroup, each once, in
	// Telegram's order. The core does not ask it of bot accounts, and keeps the slice: it
	// must not be changed any more.
	//
	// TL: messages.getDialogs.
	Chats(ctx context.Context, query ChatQuery) ([]Chat, error)
}

// ContactLister lists contacts. It unlocks get_contacts.
type ContactLister interface {
	// Contacts returns all contacts of the account, each once, in any order. The
	// core does not ask it of bot accounts, which have none, and keeps the slice: it must
	// not be changed any more.
	//
	// TL: contacts.getContacts.
	Contacts(ctx context.Context, query ContactQuery) ([]Contact, error)
}

// ChatGetter looks at single chats. It unlocks connect_portal and preflight_connect.
type ChatGetter interface {
	// GetChat returns a group or a channel that the account is in. In place of a basic group
	// that has become a supergroup, it returns the supergroup, with another ID. Errors:
	// [ErrNotInChat], also for a chat that does not exist, and one that the account was
	// banned from.
	//
	// TL: messages.getFullChat, channels.getFullChannel.
	GetChat(ctx context.Context, chatID ChatID) (ChatInfo, error)
}

// MigrationLister says what has become of basic groups. With it, the portal of one that has
// become a supergroup is found by the supergroup's ID, and shows it, as soon as somebody
// asks for it.
type MigrationLister interface {
	// Migrations returns the supergroups that basic groups have become, by the IDs of the
	// groups. Those that are basic groups still, and those that the account has never been
	// in, are not among them.
	//
	// TL: messages.getChats.
	Migrations(ctx context.Context, groups []ChatID) (map[ChatID]ChatID, error)
}

// ChatCreator makes chats. It unlocks create_portal. The core does not ask it of
// bot accounts, which can't.
type ChatCreator interface {
	// CreateChat makes a chat, of which the account is the owner. Of a basic group's
	// members those that the account can't invite are left out. A basic group whose
	// description can't be set has none, unless the description is wrong. Errors:
	// [ErrTooFewMembers], [ErrNewChatInvalid]. After these, and after what Telegram refuses,
	// there is no chat, unless the error is an [ErrChatLeft] too. After any other error nobody
	// knows; see [CreatedChatLister].
	//
	// TL: messages.createChat, messages.editChatAbout, channels.createChannel.
	CreateChat(ctx context.Context, chat NewChat) (ChatInfo, error)

	// InviteToChat adds members to a chat, except those that are in it already. It
	// returns those that could not be added, because the account does not know them or
	// they don't let it; they are no error. Errors: [ErrNotInChat].
	//
	// TL: messages.addChatUser, channels.inviteToChannel, channels.editAdmin.
	InviteToChat(ctx context.Context, chatID ChatID, telegramIDs []TelegramID) (missing []TelegramID, err error)

	// DeleteChat deletes a chat that the account owns, for everybody. Errors:
	// [ErrNotInChat].
	//
	// TL: messages.deleteChat, channels.deleteChannel.
	DeleteChat(ctx context.Context, chatID ChatID) error
}

// ErrChatLeft is what an error of [ChatCreator.CreateChat] is besides when a chat was made that
// could not be deleted again.
var ErrChatLeft = errors.New("a chat was made that could not be deleted again")

// CreatedChatLister finds chats that were created and became no portal, because the process
// died, or because Telegram's answer did not come. With it the core records each chat before it
// creates it, and deletes those that became no portal. The client is a [ChatCreator] as well.
type CreatedChatLister interface {
	// CreatedChats returns the chats that the account has made since a time by Telegram's
	// clock, to the second, and owns, which have the type and the title of the given one, as
	// far as Telegram has taken that. They may have become other chats since: those are not
	// among them. Archived chats need not be.
	//
	// TL: messages.getDialogs, messages.getFullChat, channels.getFullChannel, help.getConfig.
	CreatedChats(ctx context.Context, chat NewChat, since time.Time) ([]CreatedChat, error)
}

// UserResolver finds people on Telegram. It unlocks start_dm and resolve_identifier.
type UserResolver interface {
	// ResolveUser finds a user or bot. Errors: [ErrTelegramUserNotFound]; [ErrNotTelegramUser] for
	// the username of a group or channel.
	//
	// TL: contacts.resolveUsername, contacts.resolvePhone, users.getUsers.
	ResolveUser(ctx context.Context, identifier Identifier) (Contact, error)
}

// StickerSetLister lists sticker sets. It unlocks get_stickersets.
type StickerSetLister interface {
	// StickerSets returns the short names of the sticker sets that the account has
	// installed, in Telegram's order. The core does not ask it of bot accounts, which
	// have none.
	//
	// TL: messages.getAllStickers.
	StickerSets(ctx context.Context) ([]string, error)
}

// PhotoGetter downloads the photos of chats and people. Without it rooms and ghosts
// get no avatars.
type PhotoGetter interface {
	// GetPhoto returns the photo of a chat that the account is in, or of a user it
	// knows, that has the given ID. Errors: [ErrPhotoGone] when the chat has another
	// photo by now, or none.
	//
	// TL: upload.getFile.
	GetPhoto(ctx context.Context, chatID ChatID, photoID int64) (Photo, error)
}
