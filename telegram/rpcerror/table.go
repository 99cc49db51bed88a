package rpcerror

import (
	"strings"

	"github.com/tgprovision/tgprovision/provisioning"
)

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
	noSuchChat = "CHAT_ID_INVALID CHAT_FORBIDDEN CHANNEL_INVALID CHANNEL_PRIVATE CHANNEL_PUBLIC_GROUP_NA PEER_ID_INVALID"
	// noSuchUser are the errors for a user who does not exist, or whom the account does not
	// know.
	noSuchUser = "USERNAME_INVALID USERNAME_NOT_OCCUPIED PHONE_NOT_OCCUPIED USER_ID_INVALID"
)

// table is the whole mapping, but for flood waits. What is not in it is a
// provisioning.TelegramError.
var table = []row{
	{sessionEnded, "", provisioning.ErrNotLoggedIn},
	{accountGone, "", provisioning.ErrNotLoggedIn},

	{"PHONE_NUMBER_INVALID", "", provisioning.ErrPhoneNumberInvalid},
	{"PHONE_NUMBER_BANNED", "", provisioning.ErrPhoneNumberBanned},
	{"PHONE_NUMBER_APP_SIGNUP_FORBIDDEN", "", provisioning.ErrPhoneNumberAppSignupForbidden},
	{"PHONE_NUMBER_UNOCCUPIED", "", provisioning.ErrPhoneNumberUnoccupied},
	{"PHONE_NUMBER_FLOOD PHONE_PASSWORD_FLOOD", "", provisioning.ErrPhoneNumberFlood},
	{"PHONE_CODE_INVALID PHONE_CODE_EMPTY", "", provisioning.ErrPhoneCodeInvalid},
	{"PHONE_CODE_EXPIRED PHONE_CODE_HASH_EMPTY", "", provisioning.ErrPhoneCodeExpired},
	{"PHONE_CODE_EMPTY", "auth.resendCode", provisioning.ErrPhoneCodeExpired},
	{"SEND_CODE_UNAVAILABLE", "auth.resendCode", provisioning.ErrCodeNotResendable}, // it was sent in every way
	// The code belongs to the auth key of the session.
	{sessionEnded, "auth.signIn auth.resendCode", provisioning.ErrPhoneCodeExpired},
	{accountGone, "auth.signIn auth.resendCode", provisioning.ErrPhoneCodeExpired},

	{"SESSION_PASSWORD_NEEDED", "", provisioning.ErrPasswordNeeded},
	{"PASSWORD_HASH_INVALID", "", provisioning.ErrPasswordInvalid},
	{sessionEnded, "auth.checkPassword auth.exportLoginToken auth.importLoginToken", provisioning.ErrSessionRevoked},
	{accountGone, "auth.checkPassword", provisioning.ErrSessionRevoked},
	{accountGone, "auth.exportLoginToken auth.importLoginToken", provisioning.ErrPhoneNumberBanned},

	{"ACCESS_TOKEN_INVALID", "", provisioning.ErrBotTokenInvalid},
	{"ACCESS_TOKEN_EXPIRED", "", provisioning.ErrBotTokenExpired},

	{noSuchChat, "", provisioning.ErrNotInChat},
	{noSuchUser, "", provisioning.ErrTelegramUserNotFound},
	{"USERS_TOO_FEW", "", provisioning.ErrTooFewMembers},
	{"CHAT_TITLE_EMPTY CHAT_ABOUT_TOO_LONG", "", provisioning.ErrNewChatInvalid},

	{"LOCATION_INVALID LOCATION_NOT_AVAILABLE PHOTO_INVALID", "", provisioning.ErrPhotoGone},
	{"FILE_ID_INVALID FILE_REFERENCE_EMPTY FILE_REFERENCE_EXPIRED FILE_REFERENCE_INVALID", "", provisioning.ErrPhotoGone},
	// Whoever can't see the chat or the user can't see the photo.
	{noSuchChat, "upload.getFile", provisioning.ErrPhotoGone},
	{noSuchUser, "upload.getFile", provisioning.ErrPhotoGone},
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
