package telegram

import (
	"context"
	"errors"
	"fmt"

	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
)

// sessionEnded are the errors with which Telegram says that a session is no more
// (https://core.telegram.org/api/errors#401-unauthorized).
var sessionEnded = []string{
	"AUTH_KEY_UNREGISTERED", "AUTH_KEY_INVALID", "AUTH_KEY_PERM_EMPTY", "AUTH_KEY_DUPLICATED",
	"SESSION_REVOKED", "SESSION_EXPIRED", "USER_DEACTIVATED", "USER_DEACTIVATED_BAN",
}

// accountGone are those of them for an account that was banned or deleted.
var accountGone = []string{"USER_DEACTIVATED", "USER_DEACTIVATED_BAN"}

// tokenExpired is the error for a login by QR code that was moved to the account's
// datacenter too late.
const tokenExpired = "AUTH_TOKEN_EXPIRED"

// resendImpossible are the errors after which a code can't be sent again, but a
// new one can.
var resendImpossible = []string{
	"PHONE_CODE_EXPIRED", "PHONE_CODE_EMPTY", "PHONE_CODE_HASH_EMPTY", nothingToResend,
}

// nothingToResend is the one of them for a code that was sent in every way.
const nothingToResend = "SEND_CODE_UNAVAILABLE"

// passwordParametersUsed is the error for an answer to SRP parameters that were
// replaced by newer ones.
const passwordParametersUsed = "SRP_ID_INVALID"

// wrongHash are the errors for an access hash that is not the one which the account
// knows a user or channel by.
var wrongHash = []string{"CHANNEL_INVALID", "PEER_ID_INVALID", wrongUser}

// wrongUser is the one of them for a user in a request that is about others as well.
const wrongUser = "USER_ID_INVALID"

// errWrongUser is that error where Telegram says it without one.
var errWrongUser = tgerr.New(400, wrongUser)

// memberThere is the error for inviting somebody who is in the chat already.
const memberThere = "USER_ALREADY_PARTICIPANT"

// onlyAdmin is the error for inviting a bot to a channel, which it can join only as an
// administrator.
const onlyAdmin = "USER_BOT"

// memberRefused are the errors for inviting somebody who can't be invited, which say
// nothing about others.
var memberRefused = []string{
	"USER_PRIVACY_RESTRICTED", "USER_NOT_MUTUAL_CONTACT", "USER_BLOCKED", "USER_IS_BLOCKED", "YOU_BLOCKED_USER", "USER_KICKED",
	"USER_CHANNELS_TOO_MUCH", "USER_INVALID", "USER_BOT_INVALID", "INPUT_USER_DEACTIVATED", "USERS_TOO_MUCH", "BOTS_TOO_MUCH",
	"BOT_GROUPS_BLOCKED", "ADMINS_TOO_MUCH", "CHAT_MEMBER_ADD_FAILED", onlyAdmin,
}

// isMemberError says whether an error is about somebody whom a request was to add to
// a chat.
func isMemberError(err error) bool {
	return tgerr.Is(err, memberThere, wrongUser) || tgerr.Is(err, memberRefused...)
}

// isUnknownUser says whether an error means that there is no such user.
func isUnknownUser(err error) bool {
	return errors.Is(translate(err), provisioning.ErrTelegramUserNotFound) || errors.Is(err, provisioning.ErrNotTelegramUser)
}

// meanings are the errors that mean one thing wherever they come from.
var meanings = map[string]error{
	"PHONE_NUMBER_INVALID":              provisioning.ErrPhoneNumberInvalid,
	"PHONE_NUMBER_BANNED":               provisioning.ErrPhoneNumberBanned,
	"PHONE_NUMBER_APP_SIGNUP_FORBIDDEN": provisioning.ErrPhoneNumberAppSignupForbidden,
	"PHONE_NUMBER_UNOCCUPIED":           provisioning.ErrPhoneNumberUnoccupied,
	"PHONE_NUMBER_FLOOD":                provisioning.ErrPhoneNumberFlood,
	"PHONE_PASSWORD_FLOOD":              provisioning.ErrPhoneNumberFlood,
	"PHONE_CODE_INVALID":                provisioning.ErrPhoneCodeInvalid,
	"PHONE_CODE_EMPTY":                  provisioning.ErrPhoneCodeInvalid,
	"PHONE_CODE_EXPIRED":                provisioning.ErrPhoneCodeExpired,
	"PHONE_CODE_HASH_EMPTY":             provisioning.ErrPhoneCodeExpired,
	"SESSION_PASSWORD_NEEDED":           provisioning.ErrPasswordNeeded,
	"PASSWORD_HASH_INVALID":             provisioning.ErrPasswordInvalid,
	"ACCESS_TOKEN_INVALID":              provisioning.ErrBotTokenInvalid,
	"ACCESS_TOKEN_EXPIRED":              provisioning.ErrBotTokenExpired,
	"CHAT_ID_INVALID":                   provisioning.ErrNotInChat,
	"CHAT_FORBIDDEN":                    provisioning.ErrNotInChat,
	"CHANNEL_INVALID":                   provisioning.ErrNotInChat,
	"CHANNEL_PRIVATE":                   provisioning.ErrNotInChat,
	"CHANNEL_PUBLIC_GROUP_NA":           provisioning.ErrNotInChat,
	"PEER_ID_INVALID":                   provisioning.ErrNotInChat,
	"USERS_TOO_FEW":                     provisioning.ErrTooFewMembers,
	"CHAT_TITLE_EMPTY":                  provisioning.ErrNewChatInvalid,
	"CHAT_ABOUT_TOO_LONG":               provisioning.ErrNewChatInvalid,
	"USERNAME_INVALID":                  provisioning.ErrTelegramUserNotFound,
	"USERNAME_NOT_OCCUPIED":             provisioning.ErrTelegramUserNotFound,
	"PHONE_NOT_OCCUPIED":                provisioning.ErrTelegramUserNotFound,
	wrongUser:                           provisioning.ErrTelegramUserNotFound,
	"LOCATION_INVALID":                  provisioning.ErrPhotoGone,
	"LOCATION_NOT_AVAILABLE":            provisioning.ErrPhotoGone,
	"FILE_ID_INVALID":                   provisioning.ErrPhotoGone,
	"FILE_REFERENCE_EMPTY":              provisioning.ErrPhotoGone,
	"FILE_REFERENCE_EXPIRED":            provisioning.ErrPhotoGone,
	"FILE_REFERENCE_INVALID":            provisioning.ErrPhotoGone,
	"PHOTO_INVALID":                     provisioning.ErrPhotoGone,
}

// translate turns an error of a gotd call into one of the core's.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if wait, ok := tgerr.AsFloodWait(err); ok {
		return &provisioning.FloodWaitError{Wait: wait}
	}
	if tgerr.Is(err, sessionEnded...) {
		return fmt.Errorf("%w: %w", provisioning.ErrNotLoggedIn, err)
	}
	if rpc, ok := tgerr.As(err); ok {
		if meaning, ok := meanings[rpc.Type]; ok {
			return meaning
		}
		return &provisioning.TelegramError{Code: rpc.Code, Type: rpc.Type}
	}
	if errors.Is(err, auth.ErrPasswordInvalid) {
		return provisioning.ErrPasswordInvalid
	}
	if _, ok := errors.AsType[*auth.SignUpRequired](err); ok {
		return provisioning.ErrPhoneNumberUnoccupied
	}
	if _, ok := errors.AsType[*provisioning.TelegramError](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", provisioning.ErrTelegramUnavailable, err)
}
