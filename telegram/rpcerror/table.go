package rpcerror

import (
	"errors"
	"strings"

	"github.com/tgprovision/tgprovision/provisioning"
)

// ErrMemberRefused means that Telegram does not add somebody to a chat, or that they are in it
// already. It says nothing about others. Where a request was about several, Telegram does not say who.
var ErrMemberRefused = errors.New("somebody can't be added to the chat")

// row says what some errors mean.
type row struct {
	names string // of the errors, separated by blanks
	// methods are those that the row is for, separated by blanks; "" is any that has no
	// row of its own for the error.
	methods string
	meaning error
}

const (
	// sessionEnded are the errors with which Telegram says that a session is no more
	// (https://core.telegram.org/api/errors#401-unauthorized).
	sessionEnded = "AUTH_KEY_UNREGISTERED AUTH_KEY_INVALID AUTH_KEY_PERM_EMPTY AUTH_KEY_DUPLICATED SESSION_REVOKED SESSION_EXPIRED"
	// accountGone are those for an account that was deleted or banned, and its sessions
	// with it.
	accountGone = "USER_DEACTIVATED USER_DEACTIVATED_BAN"
	// noSuchChat are the errors for a chat that does not exist, or that the account is not
	// in.
	noSuchChat = "CHAT_ID_INVALID CHAT_INVALID CHAT_FORBIDDEN CHANNEL_INVALID CHANNEL_PRIVATE CHANNEL_PUBLIC_GROUP_NA PEER_ID_INVALID"
	// noSuchUser are the errors for a user who does not exist, or whom the account does not
	// know.
	noSuchUser = "USERNAME_INVALID USERNAME_NOT_OCCUPIED PHONE_NOT_OCCUPIED USER_ID_INVALID"
)

const (
	// codeSteps are the methods of a login with a code that was sent. Code and auth key belong
	// together.
	codeSteps = "auth.signIn auth.resendCode auth.cancelCode"
	// qrSteps are the methods of a login by QR code.
	qrSteps = "auth.exportLoginToken auth.importLoginToken"
	// elsewhere are the methods that gotd calls for a photo in another datacenter.
	elsewhere = "upload.getFile auth.exportAuthorization auth.importAuthorization"
	// adding are the methods that add members to a chat.
	adding = "messages.createChat messages.addChatUser channels.inviteToChannel channels.editAdmin"
)

// table is the whole mapping, but for what the code alone says. What neither has is a
// provisioning.TelegramError.
var table = []row{
	{sessionEnded, "", provisioning.ErrNotLoggedIn},
	{accountGone, "", provisioning.ErrNotLoggedIn},

	// Logging in
	{"PHONE_NUMBER_INVALID", "", provisioning.ErrPhoneNumberInvalid},
	{"PHONE_NUMBER_INVALID", codeSteps, provisioning.ErrPhoneCodeExpired},
	{"PHONE_NUMBER_BANNED", "", provisioning.ErrPhoneNumberBanned},
	{"PHONE_NUMBER_APP_SIGNUP_FORBIDDEN", "", provisioning.ErrPhoneNumberAppSignupForbidden},
	{"PHONE_NUMBER_UNOCCUPIED", "", provisioning.ErrPhoneNumberUnoccupied},
	{"PHONE_NUMBER_FLOOD PHONE_PASSWORD_FLOOD", "", provisioning.ErrPhoneNumberFlood},
	{"PHONE_PASSWORD_PROTECTED", "", provisioning.ErrTelegramRestricted},
	{"SMS_CODE_CREATE_FAILED", "", provisioning.ErrTelegramUnavailable},
	{accountGone, "auth.sendCode", provisioning.ErrPhoneNumberBanned},
	{"PHONE_CODE_INVALID PHONE_CODE_EMPTY", "", provisioning.ErrPhoneCodeInvalid},
	{"CODE_INVALID EMAIL_CODE_INVALID EMAIL_TOKEN_INVALID", "", provisioning.ErrPhoneCodeInvalid}, // of codes that went by e-mail
	{"PHONE_CODE_EXPIRED PHONE_CODE_HASH_EMPTY PHONE_HASH_EXPIRED EMAIL_VERIFY_EXPIRED", "", provisioning.ErrPhoneCodeExpired},
	{"PHONE_CODE_EMPTY", "auth.resendCode", provisioning.ErrPhoneCodeExpired},
	{"SEND_CODE_UNAVAILABLE", "auth.resendCode", provisioning.ErrCodeNotResendable},   // it was sent in every way
	{"SESSION_PASSWORD_NEEDED", "auth.resendCode", provisioning.ErrCodeNotResendable}, // it was entered
	{sessionEnded, codeSteps, provisioning.ErrPhoneCodeExpired},
	{accountGone, codeSteps, provisioning.ErrPhoneCodeExpired},
	{"AUTH_RESTART", "auth.signIn", provisioning.ErrPhoneCodeExpired}, // the login has to begin anew

	{"SESSION_PASSWORD_NEEDED", "", provisioning.ErrPasswordNeeded},
	{"PASSWORD_HASH_INVALID", "", provisioning.ErrPasswordInvalid},
	{"SRP_ID_INVALID SRP_PASSWORD_CHANGED", "", provisioning.ErrTelegramUnavailable}, // the password changes just now
	{sessionEnded, "account.getPassword auth.checkPassword " + qrSteps, provisioning.ErrSessionRevoked},
	{accountGone, "account.getPassword auth.checkPassword", provisioning.ErrSessionRevoked},
	{accountGone, qrSteps, provisioning.ErrPhoneNumberBanned},
	{"AUTH_TOKEN_EXPIRED", "", provisioning.ErrLoginTimeout},
	{"AUTH_TOKEN_ALREADY_ACCEPTED AUTH_TOKEN_INVALID AUTH_TOKEN_INVALIDX", "", provisioning.ErrTelegramUnavailable}, // another one will do

	{"ACCESS_TOKEN_INVALID", "", provisioning.ErrBotTokenInvalid},
	{"ACCESS_TOKEN_EXPIRED", "", provisioning.ErrBotTokenExpired},
	{accountGone, "auth.importBotAuthorization", provisioning.ErrBotTokenInvalid},
	{sessionEnded, "auth.importBotAuthorization", provisioning.ErrTelegramUnavailable}, // there is no session yet

	// What the account may not do
	{"FROZEN_METHOD_INVALID FROZEN_PARTICIPANT_MISSING PEER_FLOOD USER_RESTRICTED USER_BANNED_IN_CHANNEL", "", provisioning.ErrTelegramRestricted},
	{"CHANNELS_TOO_MUCH CHANNELS_ADMIN_LOCATED_TOO_MUCH CHANNELS_ADMIN_PUBLIC_TOO_MUCH", "", provisioning.ErrTelegramRestricted},
	{"BOT_CHANNELS_NA BOT_METHOD_INVALID PREMIUM_ACCOUNT_REQUIRED", "", provisioning.ErrTelegramRestricted},
	{"CHAT_ADMIN_INVITE_REQUIRED CHAT_ADMIN_REQUIRED CHAT_RESTRICTED CHAT_WRITE_FORBIDDEN RIGHT_FORBIDDEN", "", provisioning.ErrTelegramRestricted},
	{"CHANNEL_MONOFORUM_UNSUPPORTED CHANNEL_TOO_LARGE FRESH_CHANGE_ADMINS_FORBIDDEN", "", provisioning.ErrTelegramRestricted},

	// Chats and people
	{noSuchChat, "", provisioning.ErrNotInChat},
	{noSuchUser, "", provisioning.ErrTelegramUserNotFound},
	{"PHONE_NUMBER_INVALID", "contacts.resolvePhone", provisioning.ErrTelegramUserNotFound},
	// A user whom the account knows from a chat only is not known without it.
	{
		"CHANNEL_INVALID CHANNEL_MONOFORUM_UNSUPPORTED CHANNEL_PRIVATE FROM_MESSAGE_BOT_DISABLED MSG_ID_INVALID PEER_ID_INVALID USER_BANNED_IN_CHANNEL",
		"users.getUsers", provisioning.ErrTelegramUserNotFound,
	},
	{"USERS_TOO_FEW", "", provisioning.ErrTooFewMembers},
	{"CHAT_TITLE_EMPTY CHAT_ABOUT_TOO_LONG", "", provisioning.ErrNewChatInvalid},
	{"CHAT_INVALID", "messages.createChat channels.createChannel", provisioning.ErrTelegramUnavailable}, // Telegram could not make one

	{"USER_ALREADY_PARTICIPANT USER_CREATOR", adding, ErrMemberRefused},
	{"USER_ID_INVALID USER_INVALID INPUT_USER_DEACTIVATED", adding, ErrMemberRefused},
	{"USER_PRIVACY_RESTRICTED USER_NOT_MUTUAL_CONTACT USER_BLOCKED USER_IS_BLOCKED YOU_BLOCKED_USER USER_KICKED", adding, ErrMemberRefused},
	{"USER_BOT USER_BOT_INVALID BOT_GROUPS_BLOCKED BOTS_TOO_MUCH", adding, ErrMemberRefused},
	{"ADMINS_TOO_MUCH CHAT_MEMBER_ADD_FAILED USER_CHANNELS_TOO_MUCH USERS_TOO_MUCH", adding, ErrMemberRefused},

	{"LOCATION_INVALID LOCATION_NOT_AVAILABLE PHOTO_INVALID", "", provisioning.ErrPhotoGone},
	{"FILE_ID_INVALID FILE_REFERENCE_EMPTY FILE_REFERENCE_EXPIRED FILE_REFERENCE_INVALID", "", provisioning.ErrPhotoGone},
	// Whoever can't see the chat or the user can't see the photo.
	{noSuchChat, "upload.getFile", provisioning.ErrPhotoGone},
	{noSuchUser, "upload.getFile", provisioning.ErrPhotoGone},
	// A login that is moved to another datacenter, for a photo, is moved anew. Whose answer it
	// is, that one's or the one's that the account is at home in, nobody knows.
	{sessionEnded + " SESSION_PASSWORD_NEEDED", elsewhere, provisioning.ErrTelegramUnavailable},
	{accountGone, elsewhere, provisioning.ErrTelegramUnavailable},
	{"AUTH_BYTES_INVALID", "", provisioning.ErrTelegramUnavailable},
	{"USER_ID_INVALID", "auth.importAuthorization", provisioning.ErrTelegramUnavailable},

	// What is wrong with the bridge
	{"API_ID_INVALID API_ID_PUBLISHED_FLOOD FILEREF_UPGRADE_NEEDED UPDATE_APP_TO_LOGIN", "", provisioning.ErrBridgeRefused},
	{"CONNECTION_API_ID_INVALID CONNECTION_APP_VERSION_EMPTY CONNECTION_DEVICE_MODEL_EMPTY CONNECTION_LANG_PACK_INVALID", "", provisioning.ErrBridgeRefused},
	{"CONNECTION_LAYER_INVALID CONNECTION_NOT_INITED CONNECTION_SYSTEM_EMPTY CONNECTION_SYSTEM_LANG_CODE_EMPTY", "", provisioning.ErrBridgeRefused},
	{"INPUT_CONSTRUCTOR_INVALID INPUT_FETCH_ERROR INPUT_FETCH_FAIL INPUT_LAYER_INVALID INPUT_METHOD_INVALID INPUT_REQUEST_TOO_LONG", "", provisioning.ErrBridgeRefused},
	// Its requests don't have what these are about.
	{"ADDRESS_INVALID ADMIN_RANK_EMOJI_NOT_ALLOWED ADMIN_RANK_INVALID CDN_METHOD_INVALID CHAT_ABOUT_NOT_MODIFIED CHAT_NOT_MODIFIED", "", provisioning.ErrBridgeRefused},
	{"DATA_INVALID DC_ID_INVALID FOLDER_ID_INVALID LIMIT_INVALID MSG_ID_INVALID OFFSET_INVALID OFFSET_PEER_ID_INVALID", "", provisioning.ErrBridgeRefused},
	{"PINNED_DIALOGS_TOO_MUCH STARREF_EXPIRED TAKEOUT_INVALID TTL_PERIOD_INVALID", "", provisioning.ErrBridgeRefused},
	{"USERNAME_INVALID USER_PRIVACY_RESTRICTED", "help.getConfig", provisioning.ErrBridgeRefused},
}

// failure is an error in the answer to a method, by the names of both.
type failure struct{ method, name string }

var meanings = index(table)

// index makes the table fast to search.
func index(rows []row) map[failure]error {
	found := map[failure]error{}
	for _, r := range rows {
		methods := strings.Fields(r.methods)
		if len(methods) == 0 {
			methods = []string{""}
		}
		for _, method := range methods {
			for name := range strings.FieldsSeq(r.names) {
				found[failure{method, name}] = r.meaning
			}
		}
	}
	return found
}

// meaningOf returns what an error means, nil where that is not known.
func meaningOf(method string, code int, name string) error {
	if meaning, ok := meanings[failure{method, name}]; ok {
		return meaning
	}
	if meaning, ok := meanings[failure{"", name}]; ok {
		return meaning
	}
	// Telegram's own trouble, and a datacenter that could not be followed to
	// (https://core.telegram.org/api/errors#303-see-other).
	if code >= 500 || code < 0 || code == 303 {
		return provisioning.ErrTelegramUnavailable
	}
	return nil
}
