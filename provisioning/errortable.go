package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	errLinkRefused     = fmt.Errorf("%w or login link", errUnauthorized)
	errTooManyGuesses  = errors.New("too many wrong secrets")
	errUnknownRoute    = errors.New("no such route")
	errNotReady        = errors.New("the provisioner is not started yet")
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
	errScope           = errors.New("the shared secret or login link is for less than that")
	errCallerLevel     = errors.New("permission level of the caller too low")
	errNotYourself     = errors.New("the caller is another user than the one named")
	errWrongVerb       = errors.New("wrong verb")
	errUnknownTelegram = errors.New("unexpected answer of Telegram's")
	errFloodWait       = errors.New("flood wait")
	errBridgeExists    = errors.New("the room is bridged to this chat already")
	errNoPower         = errors.New("may not bridge or unbridge the room")
	errOwnAccountOnly  = fmt.Errorf("%w, and the relay bot does not act for the caller", ErrNotLoggedIn)
	errSessionKept     = fmt.Errorf("%w: the level for that was taken away, and the session is kept", ErrNotLoggedIn)
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
	// ops are the operations that the row is for, nil for any.
	ops     []string
	status  int
	errcode string
	// state is the login step to go on from, "" for that of the operation itself.
	state loginState
	// sentence is for the end user.
	sentence string
}

// Operations that answer some errors alike.
var (
	phoneOps = []string{"post_login_phone", "post_login_code", "post_login_password", "resend_login_code"}
	loginOps = slices.Concat(phoneOps, []string{"post_bot_token", "login_qr", "cancel_login", "create_login_link"})
	listOps  = []string{"get_chats", "get_contacts", "get_stickersets"}
	findOps  = []string{"start_dm", "resolve_identifier"}
	userOps  = slices.Concat([]string{"get_me", "get_login", "logout"}, listOps, findOps, loginOps)
	// actOps are those that an account can be too restricted for.
	actOps = slices.Concat([]string{"connect_portal", "create_portal"}, listOps, findOps, loginOps)
)

// outcomes is the whole mapping of errors to answers. The first match wins. An
// error without a row is 500 unhandled_error, and so is one that a host returns where
// the OpenAPI document does not have it; but whatever wraps a TelegramError ends at the
// last row, which is Telegram's.
var outcomes = []outcome{
	// A pause holds for whoever asks, and also where it is the relay bot's.
	{err: errFloodWait, status: 429, errcode: "flood_wait", sentence: "Telegram asks for a pause because of too many requests. Please try again later."},
	// So does a bound that is reached.
	{err: ErrOverloaded, status: 503, errcode: "overloaded", sentence: "The bridge is busy. Please try again in a few seconds."},
	{err: errNotReady, status: 503, errcode: "not_ready", sentence: "The bridge is starting. Please try again in a few seconds."},
	// Whoever needed it, also to record what Telegram has done.
	{err: ErrDatabase, status: 500, errcode: "unknown_error", sentence: "The bridge's database can't be used. Please try again later. The bridge's log has the details."},
	// The relay bot's other troubles are not the caller's: before everything else.
	{err: errRelayBot, status: 500, errcode: "unknown_error", sentence: "The bridge's relay bot can't use Telegram. Its log has the details."},

	// No trouble, but an answer that is given all the time: found at once.
	{err: ErrPortalNotFound, ops: []string{"get_portal", "get_portal_by_tgid", "disconnect_portal"}, status: 404, errcode: "portal_not_found", sentence: "This is not bridged."},

	// Whatever the reason that somebody may not bridge a room.
	{err: errNoPower, status: 403, errcode: "not_enough_permissions", sentence: "You do not have the permissions to bridge or unbridge this room."},

	// Every request
	{err: errLinkRefused, status: 401, errcode: "login_link_invalid", sentence: "This login link was used already, was replaced by a newer one, or is too old. Please ask for a new one."},
	{err: errTokenRefused, status: 401, errcode: "shared_secret_invalid", sentence: "The shared secret or Matrix token is wrong, or the token is not valid any more."},
	{err: errUnauthorized, status: 401, errcode: "shared_secret_invalid", sentence: "The shared secret is missing or wrong."},
	{err: errTooManyGuesses, status: 429, errcode: "too_many_requests", sentence: "There were too many requests with a wrong secret, token or login link. Please try again later."},
	{err: errUserBusy, status: 429, errcode: "too_many_requests", sentence: "There are too many requests of this Matrix user under way. Please try again in a few seconds."},
	{err: errUnknownRoute, status: 404, errcode: "unhandled_http_404", sentence: "There is nothing at this address of the provisioning API."},
	{err: errWrongVerb, status: 405, errcode: "unhandled_http_405", sentence: "This address does not support the HTTP method of the request."},
	{err: errUserIDEmpty, status: 400, errcode: "mxid_empty", sentence: "The Matrix user ID is missing."},
	{err: errUserIDInvalid, status: 400, errcode: "mxid_invalid", sentence: "That is not a valid Matrix user ID."},
	{err: ErrMatrixUserRefused, ops: userOps, status: 403, errcode: "mxid_not_whitelisted", sentence: "This Matrix user may not use the bridge."},
	{err: errScope, status: 403, errcode: "insufficient_scope", sentence: "This shared secret or login link is not for that."},
	{err: errCallerLevel, status: 403, errcode: "mxid_not_whitelisted", sentence: "This Matrix user may not use the bridge."},
	{err: errNotYourself, status: 403, errcode: "mxid_mismatch", sentence: "You may do this for yourself only, not for another Matrix user."},
	{err: errNotWhitelisted, status: 403, errcode: "mxid_not_whitelisted", sentence: "This Matrix user may not log in to Telegram through the bridge."},
	{err: errRoomIDEmpty, status: 400, errcode: "mxid_empty", sentence: "The Matrix room ID is missing."},
	{err: errRoomIDInvalid, status: 400, errcode: "mxid_invalid", sentence: "That is not a valid Matrix room ID."},
	{err: errChatIDInvalid, status: 400, errcode: "tgid_invalid", sentence: "That is not the ID of a Telegram group or channel."},
	{err: errBodyTooLarge, status: 413, errcode: "body_too_large", sentence: "The request body is too large."},
	{err: errBodyTimeout, status: 408, errcode: "body_timeout", sentence: "The request body did not arrive in time. Please try again."},
	{err: errJSONInvalid, status: 400, errcode: "json_invalid", sentence: "The request body is not a JSON object."},
	{err: errClosed, status: 500, errcode: "unknown_error", sentence: "The bridge is shutting down. Please try again in a moment."},

	// Login
	{err: ErrAlreadyLoggedIn, ops: loginOps, status: 409, errcode: "already_logged_in", state: stateLoggedIn, sentence: "You are already logged in to Telegram."},
	{err: ErrPhoneNumberInvalid, ops: []string{"post_login_phone"}, status: 400, errcode: "phone_number_invalid", state: stateRequest, sentence: "That is not a phone number. Please give it with its country code, like +1 555 0100."},
	{err: errNoWebSocket, ops: []string{"login_qr"}, status: 426, errcode: "upgrade_required", sentence: "This way to log in takes a WebSocket."},
	{err: ErrPhoneNumberBanned, ops: []string{"post_login_phone"}, status: 403, errcode: "phone_number_banned", state: stateRequest, sentence: "Telegram has banned this phone number."},
	{err: ErrPhoneNumberAppSignupForbidden, ops: []string{"post_login_phone"}, status: 403, errcode: "phone_number_app_signup_forbidden", state: stateRequest, sentence: "Telegram does not let this phone number log in through third-party apps."},
	{err: ErrLoginEmailRequired, ops: []string{"post_login_phone", "resend_login_code"}, status: 403, errcode: "login_email_required", state: stateRequest, sentence: "Telegram sends you no code before you have an e-mail address for logins. Please log in with a Telegram app, which asks for one, and try again."},
	{err: ErrPhoneNumberUnoccupied, ops: []string{"post_login_phone"}, status: 404, errcode: "phone_number_unoccupied", state: stateRequest, sentence: "There is no Telegram account with this phone number. Please sign up in a Telegram app first."},
	{err: ErrPhoneNumberUnoccupied, ops: []string{"post_login_code"}, status: 403, errcode: "phone_number_unoccupied", state: stateRequest, sentence: "There is no Telegram account with this phone number. Please sign up in a Telegram app first."},
	{err: errCodesOfPhone, ops: []string{"post_login_phone", "resend_login_code"}, status: 429, errcode: "phone_number_flood", sentence: "Too many codes were requested for this phone number. Please try again later."},
	{err: errLoginsOfUser, ops: []string{"post_login_phone", "resend_login_code", "post_bot_token"}, status: 429, errcode: "too_many_requests", sentence: "You have tried to log in too often. Please try again later."},
	{err: ErrPhoneNumberFlood, ops: phoneOps, status: 429, errcode: "phone_number_flood", sentence: "There were too many tries with this phone number. Telegram usually lifts the block within a day."},
	{err: errValueMissing, ops: []string{"post_login_code"}, status: 400, errcode: "body_value_missing", sentence: "Please enter the code that Telegram sent you."},
	{err: ErrLoginGivenUp, ops: []string{"post_login_code"}, status: 401, errcode: "phone_code_invalid", state: stateRequest, sentence: "That is not the right code, and there were too many wrong ones. Please request a new code."},
	{err: ErrLoginGivenUp, ops: []string{"post_login_password"}, status: 401, errcode: "password_invalid", state: stateRequest, sentence: "That is not the right password, and there were too many wrong ones. Please start again with a new code."},
	{err: ErrPhoneCodeInvalid, ops: []string{"post_login_code"}, status: 401, errcode: "phone_code_invalid", state: stateCode, sentence: "That is not the right code. Please check it and try again."},
	{err: ErrPhoneCodeExpired, ops: []string{"post_login_code", "resend_login_code"}, status: 403, errcode: "phone_code_expired", state: stateRequest, sentence: "The code has expired, or none was requested. Please request a new one."},
	{err: ErrCodeNotResendable, ops: []string{"resend_login_code"}, status: 409, errcode: "code_not_resendable", state: stateCode, sentence: "Telegram has no further way to send this code. Please enter the one that it has sent, or start again later."},
	{err: ErrPasswordNeeded, ops: []string{"resend_login_code"}, status: 409, errcode: "code_not_resendable", state: statePassword, sentence: "The code was right already. Please enter your two-factor password."},
	{err: errPasswordEmpty, status: 400, errcode: "password_empty", sentence: "Please enter your two-factor password."},
	{err: ErrPhoneCodeNotEntered, ops: []string{"post_login_password"}, status: 400, errcode: "phone_code_not_entered", state: stateRequest, sentence: "Please request a login code and enter it before the password."},
	{err: ErrPasswordInvalid, ops: []string{"post_login_password"}, status: 401, errcode: "password_invalid", state: statePassword, sentence: "That is not the right password."},
	{err: ErrSessionRevoked, ops: []string{"post_login_password"}, status: 401, errcode: "session_revoked", state: stateRequest, sentence: "Telegram has ended this login. Please start again with a new code."},
	{err: errValueMissing, ops: []string{"post_bot_token"}, status: 400, errcode: "body_value_missing", sentence: "Please enter the bot's token."},
	{err: ErrBotTokenInvalid, ops: []string{"post_bot_token"}, status: 401, errcode: "bot_token_invalid", state: stateToken, sentence: "Telegram knows no bot with this token."},
	{err: ErrBotTokenExpired, ops: []string{"post_bot_token"}, status: 401, errcode: "bot_token_expired", state: stateToken, sentence: "This bot token has expired. Please get the current one from BotFather."},
	{err: errValueMissing, ops: []string{"create_portal"}, status: 400, errcode: "body_value_missing", sentence: "Please say which type of chat to create, a chat, a supergroup or a channel."},
	{err: errValueInvalid, status: 400, errcode: "body_value_invalid", sentence: "A value in the request has the wrong type."},
	{err: errValueUnknown, status: 400, errcode: "body_value_invalid", sentence: "A value in the request is none of those allowed."},

	// Bridging
	{err: errBridgeExists, status: 200, errcode: "bridge_exists", sentence: "The room is bridged to this Telegram chat already."},
	{err: ErrRoomBridged, ops: []string{"connect_portal", "create_portal"}, status: 409, errcode: "room_already_bridged", sentence: "The room is bridged to another Telegram chat already."},
	{err: ErrChatBridged, ops: []string{"connect_portal"}, status: 409, errcode: "chat_already_bridged", sentence: "The Telegram chat is bridged to another Matrix room already."},
	{err: ErrBridgeBotNotInRoom, ops: []string{"connect_portal", "preflight_connect", "create_portal", "disconnect_portal"}, status: 403, errcode: "bot_not_in_room", sentence: "The bridge bot is not in the room. Please invite it first."},
	{err: errRelayNotInChat, status: 403, errcode: "bot_not_in_chat", sentence: "The bridge's relay bot is not in the Telegram chat. Please add it first."},
	{err: ErrNotInChat, ops: []string{"connect_portal"}, status: 403, errcode: "user_not_in_chat", sentence: "Your Telegram account is not in that chat."},
	{err: errOwnAccountOnly, status: 403, errcode: "not_logged_in", sentence: "You are not logged in to Telegram. Please log in first."},
	{err: ErrNotLoggedIn, ops: []string{"connect_portal"}, status: 403, errcode: "not_logged_in", sentence: "You are not logged in to Telegram, and the bridge has no relay bot."},
	{err: errNoRealAccount, status: 403, errcode: "not_logged_in_real_account", sentence: "You are not logged in to Telegram with a real account, which creating a chat takes."},
	{err: ErrNotLoggedIn, ops: []string{"create_portal"}, status: 403, errcode: "not_logged_in_real_account", sentence: "You are not logged in to Telegram any more. Please log in again."},
	{err: errTitleEmpty, status: 400, errcode: "body_value_invalid", sentence: "The chat needs a title. Please give one, or give the room a name."},
	{err: ErrNewChatInvalid, ops: []string{"create_portal"}, status: 400, errcode: "body_value_invalid", sentence: "Telegram does not accept the title or the description of the chat."},
	{err: ErrTooFewMembers, ops: []string{"create_portal"}, status: 500, errcode: "unknown_error", sentence: "There are not enough Telegram users in the room for such a chat. Please invite more of them, or create a supergroup."},
	{err: ErrTelegramUserNotFound, ops: findOps, status: 404, errcode: "M_NOT_FOUND", sentence: "Nobody on Telegram was found by that name, number or ID."},
	{err: ErrNotTelegramUser, ops: findOps, status: 400, errcode: "FI.MAU.TELEGRAM_ID_NOT_USER", sentence: "That is a group or channel on Telegram, not a person."},
	{err: ErrHomeserver, status: 500, errcode: "unknown_error", sentence: "The Matrix homeserver can't be reached, or refuses. The bridge's log has the details."},

	// Anything on Telegram
	{err: ErrNotLoggedIn, ops: slices.Concat([]string{"logout"}, listOps, findOps), status: 403, errcode: "not_logged_in", sentence: "You are not logged in to Telegram."},
	{err: ErrNotImplemented, ops: slices.Concat([]string{"list_portals", "connect_portal", "preflight_connect", "create_portal", "disconnect_portal", "get_login", "open_login_link"}, listOps, findOps, loginOps), status: 501, errcode: "not_implemented", sentence: "This bridge does not support that."},
	{err: ErrTelegramRestricted, ops: actOps, status: 403, errcode: "telegram_restricted", sentence: "Telegram does not let your account do that. In a Telegram app, @SpamBot can tell you whether it is limited, and why."},
	{err: ErrBridgeRefused, status: 500, errcode: "unknown_error", sentence: "Telegram refuses the bridge itself. Please tell whoever runs it. Its log has the details."},
	{err: ErrTelegramUnavailable, status: 500, errcode: "unknown_error", sentence: "Telegram can't be reached, or has trouble of its own. Please try again later."},
	{err: context.DeadlineExceeded, status: 500, errcode: "unknown_error", sentence: "The bridge got no answer in time. Please try again later. The bridge's log has the details."},
	{err: context.Canceled, status: 500, errcode: "unknown_error", sentence: "The request was cancelled."},
	{err: errUnknownTelegram, status: 500, errcode: "unknown_error", sentence: "Telegram refused the request for an unexpected reason."},
}

// unhandled is the outcome of an error that has no row.
var unhandled = outcome{
	status: http.StatusInternalServerError, errcode: "unhandled_error",
	sentence: "Something went wrong inside the bridge. Its log has the details.",
}

// isFor says whether the row is for an operation.
func (o *outcome) isFor(operation string) bool {
	return o.ops == nil || slices.Contains(o.ops, operation)
}

// outcomeOf finds the row of an error in an operation.
func outcomeOf(err error, operation string) outcome {
	for i := range outcomes {
		if o := &outcomes[i]; errors.Is(err, o.err) && o.isFor(operation) {
			return *o
		}
	}
	return unhandled
}
