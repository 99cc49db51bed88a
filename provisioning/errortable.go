package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// loginState is a step of the login as the API names it.
type loginState string

const (
	stateRequest  loginState = "request"
	stateCode     loginState = "code"
	statePassword loginState = "password"
	stateToken    loginState = "token"
	stateLoggedIn loginState = "logged-in"
)

// The errors that the core itself finds in a request.
var (
	errUnauthorized    = errors.New("no valid shared secret")
	errTokenRefused    = fmt.Errorf("%w or Matrix token", errUnauthorized)
	errTooManyGuesses  = errors.New("too many wrong secrets")
	errUnknownRoute    = errors.New("no such route")
	errClosed          = errors.New("the provisioner is closed")
	errPanic           = errors.New("panic")
	errNoClient        = errors.New("the TelegramClientFactory returned neither a client nor an error")
	errJSONInvalid     = errors.New("body is not one JSON object")
	errBodyTooLarge    = errors.New("body over the size limit")
	errBodyTimeout     = errors.New("body not received in time")
	errValueMissing    = errors.New("required value missing in the body")
	errValueInvalid    = errors.New("value of a wrong type in the body")
	errValueUnknown    = errors.New("value is none of those allowed")
	errPasswordEmpty   = errors.New("password empty")
	errUserIDEmpty     = errors.New("user ID empty")
	errUserIDInvalid   = errors.New("not a Matrix user ID")
	errRoomIDEmpty     = errors.New("room ID empty")
	errRoomIDInvalid   = errors.New("not a Matrix room ID")
	errChatIDInvalid   = errors.New("not the ID of a group or channel")
	errNotWhitelisted  = errors.New("permission level too low")
	errCallerLevel     = errors.New("permission level of the caller too low")
	errNotYourself     = errors.New("the caller is another user than the one named")
	errWrongVerb       = errors.New("wrong verb")
	errUnknownTelegram = errors.New("unexpected answer of Telegram's")
	errFloodWait       = errors.New("flood wait")
	errBridgeExists    = errors.New("the room is bridged to this chat already")
	errNoPower         = errors.New("may not bridge or unbridge the room")
	errNoRealAccount   = errors.New("not logged in with a real account")
	errTitleEmpty      = errors.New("no title for a new chat")
	errRelayNotInChat  = errors.New("the relay bot is not in the chat")
	errRelayBot        = errors.New("the relay bot's account")
	errNoWebSocket     = errors.New("no handshake of a WebSocket")
	errReplaced        = errors.New("the user has begun anew on another WebSocket")
)

// wrongVerbError says which verbs a path has.
type wrongVerbError struct{ allow string }

func (e *wrongVerbError) Error() string        { return "wrong verb, allowed: " + e.allow }
func (e *wrongVerbError) Is(target error) bool { return target == errWrongVerb }

// alreadyLoggedInError adds the account to ErrAlreadyLoggedIn.
type alreadyLoggedInError struct{ account Account }

func (e *alreadyLoggedInError) Error() string        { return ErrAlreadyLoggedIn.Error() }
func (e *alreadyLoggedInError) Is(target error) bool { return target == ErrAlreadyLoggedIn }

// Is makes a FloodWaitError match its row in the table.
func (e *FloodWaitError) Is(target error) bool { return target == errFloodWait }

// Is makes a TelegramError match its row in the table.
func (e *TelegramError) Is(target error) bool { return target == errUnknownTelegram }

// outcome is what one error becomes on the wire.
type outcome struct {
	err error
	// ops are the operations that the row is for, separated by blanks; "" is any.
	ops     string
	status  int
	errcode string
	// state is the login step to go on from, "" for that of the operation itself.
	state loginState
	// sentence is for the end user.
	sentence string
}

// Operations that answer some errors alike.
const (
	phoneOps = "post_login_phone post_login_code post_login_password resend_login_code "
	loginOps = phoneOps + "post_bot_token login_qr cancel_login "
	listOps  = "get_chats get_contacts get_stickersets "
	findOps  = "start_dm resolve_identifier "
	userOps  = "get_me get_login logout " + listOps + findOps + loginOps
)

// outcomes is the whole mapping of errors to answers. The first match wins. An
// error without a row is 500 unhandled_error, and so is one that a host returns where
// the OpenAPI document does not have it.
var outcomes = []outcome{
	// A pause holds for whoever asks, and also where it is the relay bot's.
	{errFloodWait, "", 429, "flood_wait", "", "Telegram asks for a pause because of too many requests. Please try again later."},
	// So does a bound that is reached.
	{ErrOverloaded, "", 503, "overloaded", "", "The bridge is busy. Please try again in a few seconds."},
	// The relay bot's other troubles are not the caller's: before everything else.
	{errRelayBot, "", 500, "unknown_error", "", "The bridge's relay bot can't use Telegram. Its log has the details."},

	// No trouble, but an answer that is given all the time: found at once.
	{ErrPortalNotFound, "get_portal get_portal_by_tgid disconnect_portal", 404, "portal_not_found", "", "This is not bridged."},

	// Whatever the reason that somebody may not bridge a room.
	{errNoPower, "", 403, "not_enough_permissions", "", "You do not have the permissions to bridge or unbridge this room."},

	// Every request
	{errTokenRefused, "", 401, "shared_secret_invalid", "", "The shared secret or Matrix token is wrong, or the token is not valid any more."},
	{errUnauthorized, "", 401, "shared_secret_invalid", "", "The shared secret is missing or wrong."},
	{errTooManyGuesses, "", 429, "too_many_requests", "", "There were too many requests with a wrong shared secret. Please try again later."},
	{errUserBusy, "", 429, "too_many_requests", "", "There are too many requests of this Matrix user under way. Please try again in a few seconds."},
	{errUnknownRoute, "", 404, "unhandled_http_404", "", "There is nothing at this address of the provisioning API."},
	{errWrongVerb, "", 405, "unhandled_http_405", "", "This address does not support the HTTP method of the request."},
	{errUserIDEmpty, "", 400, "mxid_empty", "", "The Matrix user ID is missing."},
	{errUserIDInvalid, "", 400, "mxid_invalid", "", "That is not a valid Matrix user ID."},
	{ErrMatrixUserRefused, userOps, 403, "mxid_not_whitelisted", "", "This Matrix user may not use the bridge."},
	{errCallerLevel, "", 403, "mxid_not_whitelisted", "", "This Matrix user may not use the bridge."},
	{errNotYourself, "", 403, "mxid_mismatch", "", "You may do this for yourself only, not for another Matrix user."},
	{errNotWhitelisted, "", 403, "mxid_not_whitelisted", "", "This Matrix user may not log in to Telegram through the bridge."},
	{errRoomIDEmpty, "", 400, "mxid_empty", "", "The Matrix room ID is missing."},
	{errRoomIDInvalid, "", 400, "mxid_invalid", "", "That is not a valid Matrix room ID."},
	{errChatIDInvalid, "", 400, "tgid_invalid", "", "That is not the ID of a Telegram group or channel."},
	{errBodyTooLarge, "", 413, "body_too_large", "", "The request body is too large."},
	{errBodyTimeout, "", 408, "body_timeout", "", "The request body did not arrive in time. Please try again."},
	{errJSONInvalid, "", 400, "json_invalid", "", "The request body is not a JSON object."},
	{errClosed, "", 500, "unknown_error", "", "The bridge is shutting down. Please try again in a moment."},

	// Login
	{ErrAlreadyLoggedIn, loginOps, 409, "already_logged_in", stateLoggedIn, "You are already logged in to Telegram."},
	{ErrPhoneNumberInvalid, "post_login_phone", 400, "phone_number_invalid", stateRequest, "That is not a phone number. Please give it with its country code, like +1 555 0100."},
	{errNoWebSocket, "login_qr", 426, "upgrade_required", "", "This way to log in takes a WebSocket."},
	{ErrPhoneNumberBanned, "post_login_phone", 403, "phone_number_banned", stateRequest, "Telegram has banned this phone number."},
	{ErrPhoneNumberAppSignupForbidden, "post_login_phone", 403, "phone_number_app_signup_forbidden", stateRequest, "Telegram does not let this phone number log in through third-party apps."},
	{ErrPhoneNumberUnoccupied, "post_login_phone", 404, "phone_number_unoccupied", stateRequest, "There is no Telegram account with this phone number. Please sign up in a Telegram app first."},
	{ErrPhoneNumberUnoccupied, "post_login_code", 403, "phone_number_unoccupied", stateRequest, "There is no Telegram account with this phone number. Please sign up in a Telegram app first."},
	{ErrPhoneNumberFlood, phoneOps, 429, "phone_number_flood", stateRequest, "There were too many tries with this phone number. Telegram usually lifts the block within a day."},
	{errValueMissing, "post_login_code", 400, "body_value_missing", "", "Please enter the code that Telegram sent you."},
	{ErrPhoneCodeInvalid, "post_login_code", 401, "phone_code_invalid", stateCode, "That is not the right code. Please check it and try again."},
	{ErrPhoneCodeExpired, "post_login_code resend_login_code", 403, "phone_code_expired", stateRequest, "The code has expired, or none was requested. Please request a new one."},
	{ErrCodeNotResendable, "resend_login_code", 409, "code_not_resendable", stateCode, "Telegram has no further way to send this code. Please enter the one that it has sent, or start again later."},
	{ErrPasswordNeeded, "resend_login_code", 409, "code_not_resendable", statePassword, "The code was right already. Please enter your two-factor password."},
	{errPasswordEmpty, "", 400, "password_empty", "", "Please enter your two-factor password."},
	{ErrPhoneCodeNotEntered, "post_login_password", 400, "phone_code_not_entered", stateRequest, "Please request a login code and enter it before the password."},
	{ErrPasswordInvalid, "post_login_password", 401, "password_invalid", statePassword, "That is not the right password."},
	{ErrSessionRevoked, "post_login_password", 401, "session_revoked", stateRequest, "Telegram has ended this login. Please start again with a new code."},
	{errValueMissing, "post_bot_token", 400, "body_value_missing", "", "Please enter the bot's token."},
	{ErrBotTokenInvalid, "post_bot_token", 401, "bot_token_invalid", stateToken, "Telegram knows no bot with this token."},
	{ErrBotTokenExpired, "post_bot_token", 401, "bot_token_expired", stateToken, "This bot token has expired. Please get the current one from BotFather."},
	{errValueMissing, "create_portal", 400, "body_value_missing", "", "Please say which type of chat to create, a chat, a supergroup or a channel."},
	{errValueInvalid, "", 400, "body_value_invalid", "", "A value in the request has the wrong type."},
	{errValueUnknown, "", 400, "body_value_invalid", "", "A value in the request is none of those allowed."},

	// Bridging
	{errBridgeExists, "", 200, "bridge_exists", "", "The room is bridged to this Telegram chat already."},
	{ErrRoomBridged, "connect_portal create_portal", 409, "room_already_bridged", "", "The room is bridged to another Telegram chat already."},
	{ErrChatBridged, "connect_portal", 409, "chat_already_bridged", "", "The Telegram chat is bridged to another Matrix room already."},
	{ErrBridgeBotNotInRoom, "connect_portal create_portal", 403, "bot_not_in_room", "", "The bridge bot is not in the room. Please invite it first."},
	{errRelayNotInChat, "", 403, "bot_not_in_chat", "", "The bridge's relay bot is not in the Telegram chat. Please add it first."},
	{ErrNotInChat, "connect_portal", 403, "user_not_in_chat", "", "Your Telegram account is not in that chat."},
	{ErrNotLoggedIn, "connect_portal", 403, "not_logged_in", "", "You are not logged in to Telegram, and the bridge has no relay bot."},
	{errNoRealAccount, "", 403, "not_logged_in_real_account", "", "You are not logged in to Telegram with a real account, which creating a chat takes."},
	{errTitleEmpty, "", 400, "body_value_invalid", "", "The chat needs a title. Please give one, or give the room a name."},
	{ErrNewChatInvalid, "create_portal", 400, "body_value_invalid", "", "Telegram does not accept the title or the description of the chat."},
	{ErrTooFewMembers, "create_portal", 500, "unknown_error", "", "There are not enough Telegram users in the room for such a chat. Please invite more of them, or create a supergroup."},
	{ErrTelegramUserNotFound, findOps, 404, "M_NOT_FOUND", "", "Nobody on Telegram was found by that name, number or ID."},
	{ErrNotTelegramUser, findOps, 400, "FI.MAU.TELEGRAM_ID_NOT_USER", "", "That is a group or channel on Telegram, not a person."},
	{ErrHomeserver, "", 500, "unknown_error", "", "The Matrix homeserver can't be reached, or refuses. The bridge's log has the details."},

	// Anything on Telegram
	{ErrNotLoggedIn, "logout " + listOps + findOps, 403, "not_logged_in", "", "You are not logged in to Telegram."},
	{ErrNotImplemented, "connect_portal create_portal disconnect_portal get_login " + listOps + findOps + loginOps, 501, "not_implemented", "", "This bridge does not support that."},
	{ErrTelegramUnavailable, "", 500, "unknown_error", "", "Telegram can't be reached. Please try again later."},
	{context.DeadlineExceeded, "", 500, "unknown_error", "", "Telegram or the Matrix homeserver did not answer in time. Please try again later."},
	{context.Canceled, "", 500, "unknown_error", "", "The request was cancelled."},
	{errUnknownTelegram, "", 500, "unknown_error", "", "Telegram refused the request for an unexpected reason."},
}

// unhandled is the outcome of an error that has no row.
var unhandled = outcome{
	status: http.StatusInternalServerError, errcode: "unhandled_error",
	sentence: "Something went wrong inside the bridge. Its log has the details.",
}

// isFor says whether the row is for an operation.
func (o outcome) isFor(op string) bool {
	if o.ops == "" {
		return true
	}
	for name := range strings.FieldsSeq(o.ops) {
		if name == op {
			return true
		}
	}
	return false
}

// outcomeOf finds the row of an error in an operation.
func outcomeOf(err error, op string) outcome {
	for i := range outcomes {
		if o := &outcomes[i]; errors.Is(err, o.err) && o.isFor(op) {
			return *o
		}
	}
	return unhandled
}
