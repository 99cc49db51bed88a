package provisioning

import (
	"errors"
	"fmt"
	"time"
)

// The errors that hosts return through the interfaces of this package. They may
// be wrapped; the core compares with errors.Is and errors.As. What each becomes
// on the wire stands in one table, errortable.go. Any other error is answered
// with 500 unhandled_error, and its text only reaches the log.
var (
	// ErrMatrixUserRefused: the UserStore won't answer for this Matrix ID.
	ErrMatrixUserRefused = errors.New("the user store refuses this Matrix ID")

	// ErrAccountLinked: the Telegram account is linked to another Matrix user.
	ErrAccountLinked = errors.New("the account is linked to another Matrix user")

	// ErrNotLoggedIn: the Matrix user has no Telegram account, or has it no more.
	ErrNotLoggedIn = errors.New("not logged in to Telegram")
	// ErrAlreadyLoggedIn: a login was tried for a user who is logged in.
	ErrAlreadyLoggedIn = errors.New("already logged in to Telegram")

	// ErrPhoneNumberInvalid: what was given as a phone number is none.
	ErrPhoneNumberInvalid = errors.New("not a phone number")
	// ErrPhoneNumberBanned: Telegram has banned the phone number, or the account.
	ErrPhoneNumberBanned = errors.New("phone number banned")
	// ErrPhoneNumberAppSignupForbidden: this number can't be used with the
	// bridge's API ID.
	ErrPhoneNumberAppSignupForbidden = errors.New("phone number forbids third-party apps")
	// ErrPhoneNumberUnoccupied: no Telegram account has the phone number.
	ErrPhoneNumberUnoccupied = errors.New("phone number has no account")
	// ErrPhoneNumberFlood: too many codes or passwords were tried for the number.
	ErrPhoneNumberFlood = errors.New("phone number blocked for flooding")

	// ErrPhoneCodeInvalid: the login code is wrong. The right one may follow.
	ErrPhoneCodeInvalid = errors.New("login code invalid")
	// ErrLoginGivenUp: the login code, or the two-factor password, was wrong too often, and the
	// login is ended. It comes with ErrPhoneCodeInvalid or ErrPasswordInvalid, wrapped together.
	ErrLoginGivenUp = errors.New("too many were wrong, and the login is given up")
	// ErrPhoneCodeExpired: no login code was requested, or it timed out.
	ErrPhoneCodeExpired = errors.New("login code expired or never requested")
	// ErrCodeNotResendable: Telegram has no further way to send the login code.
	ErrCodeNotResendable = errors.New("login code can't be sent again")
	// ErrPhoneCodeNotEntered: a password came before an accepted login code.
	ErrPhoneCodeNotEntered = errors.New("no login code was accepted before")
	// ErrPasswordNeeded: the code was right, or scanned, and the two-factor password is
	// needed.
	ErrPasswordNeeded = errors.New("two-factor password needed")
	// ErrPasswordInvalid: the two-factor password is wrong. The right one may follow.
	ErrPasswordInvalid = errors.New("two-factor password invalid")
	// ErrSessionRevoked: the half-done login was ended from the outside.
	ErrSessionRevoked = errors.New("session revoked during the login")

	// ErrLoginEmailRequired: Telegram sends no login code before an e-mail address for logins
	// is set up, in one of its own apps.
	ErrLoginEmailRequired = errors.New("an e-mail address for logins has to be set up first")

	// ErrLoginLinkInvalid: a token is no login link, and no session of one, that is still valid.
	ErrLoginLinkInvalid = errors.New("login link invalid, spent, replaced or expired")

	// ErrLoginTimeout: nobody has scanned a QR code in time.
	ErrLoginTimeout = errors.New("no QR code was scanned in time")

	// ErrBotTokenInvalid: Telegram knows no bot with this token.
	ErrBotTokenInvalid = errors.New("bot token invalid")
	// ErrBotTokenExpired: the bot token was replaced by a newer one.
	ErrBotTokenExpired = errors.New("bot token expired")

	// ErrPortalNotFound: the room, or the chat, is not bridged.
	ErrPortalNotFound = errors.New("no such portal")
	// ErrRoomBridged: the room is bridged already.
	ErrRoomBridged = errors.New("the room is bridged to a chat already")
	// ErrChatBridged: the chat is bridged to another room already.
	ErrChatBridged = errors.New("the chat is bridged to another room already")
	// ErrBridgeBotNotInRoom: the bridge bot has not joined the room.
	ErrBridgeBotNotInRoom = errors.New("the bridge bot is not in the room")
	// ErrNotInChat: the Telegram account is not in the chat.
	ErrNotInChat = errors.New("not in the chat")
	// ErrTelegramUserNotFound: nobody on Telegram has this name, number or ID, or the
	// account can't see who.
	ErrTelegramUserNotFound = errors.New("nobody on Telegram found")
	// ErrNotTelegramUser: the name is a group's or a channel's.
	ErrNotTelegramUser = errors.New("not a user of Telegram's")
	// ErrTooFewMembers: a chat of this kind needs more members.
	ErrTooFewMembers = errors.New("too few members for a chat")
	// ErrNewChatInvalid: Telegram does not take the title or the description.
	ErrNewChatInvalid = errors.New("title or description of a new chat invalid")
	// ErrPhotoGone: the photo is not the chat's any more.
	ErrPhotoGone = errors.New("no such photo")
	// ErrMatrixTokenInvalid: a Matrix token is nobody's, or that of somebody who may not call.
	ErrMatrixTokenInvalid = errors.New("no valid Matrix token")
	// ErrHomeserver: the homeserver can't be reached, or refuses.
	ErrHomeserver = errors.New("no good answer of the homeserver")
	// ErrMatrixInviteRefused: nobody of the bridge may invite the Matrix user to the room, so that
	// trying again is no use: the user is banned there, or the bridge has left the room or
	// lost its power. It is an ErrHomeserver as well.
	ErrMatrixInviteRefused = fmt.Errorf("%w: nobody may invite the user", ErrHomeserver)

	// ErrDatabase: the host's database can't be used: it can't be reached, is locked, has no
	// connection left, does not answer in time, or does not understand. It is no fault of the
	// database's that something is not there, that a change conflicts with what is, or that
	// the context was cancelled. It wraps the cause, which only the log has.
	ErrDatabase = errors.New("the database can't be used")

	// ErrTelegramUnavailable: Telegram can't be reached, or has trouble of its own. It may
	// work later.
	ErrTelegramUnavailable = errors.New("no connection to Telegram, or trouble there")
	// ErrTelegramRestricted: Telegram does not let the account do that. The account is frozen
	// or limited for spam, is in too many channels, or has no right to it in the chat. Whose
	// account it is has to act. It wraps a [TelegramError].
	ErrTelegramRestricted = errors.New("the account is restricted on Telegram")
	// ErrBridgeRefused: Telegram refuses the bridge, whoever logs in or is logged in: its API
	// ID, its version, or a request that it makes wrongly. Who runs the bridge has to act. It
	// wraps a [TelegramError].
	ErrBridgeRefused = errors.New("the bridge itself is refused by Telegram")
	// ErrOverloaded: a bound is reached, such as that of connections to Telegram, and nobody
	// waits longer than a moment for its end. It may work in some seconds.
	ErrOverloaded = errors.New("too much under way at once")
	// ErrNotImplemented: this host can't do the operation.
	ErrNotImplemented = errors.New("not implemented by this bridge")
)

// FloodWaitError says that Telegram wants a pause before the next try (TL error
// FLOOD_WAIT_n).
type FloodWaitError struct {
	// Wait is the length of the pause from now.
	Wait time.Duration
}

// Error implements error.
func (e *FloodWaitError) Error() string {
	return fmt.Sprintf("Telegram asks for a pause of %s", e.Wait)
}

// TelegramError is what Telegram has answered. Other errors of this package may wrap one, for
// its name; by itself it is a refusal that has no error of its own here.
type TelegramError struct {
	// Code is Telegram's error code, such as 400, and 0 for an answer that is no error but
	// of no use.
	Code int
	// Type is Telegram's name of the error, such as API_ID_INVALID, or of the answer's type. It
	// holds no input of the request: API clients see it.
	Type string
}

// Error implements error.
func (e *TelegramError) Error() string {
	return fmt.Sprintf("Telegram answered %d %s", e.Code, e.Type)
}
