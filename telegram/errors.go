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

// resendImpossible are the errors after which a code can't be sent again, but a
// new one can.
var resendImpossible = []string{
	"PHONE_CODE_EXPIRED", "PHONE_CODE_EMPTY", "PHONE_CODE_HASH_EMPTY", "SEND_CODE_UNAVAILABLE",
}

// passwordParametersUsed is the error for an answer to SRP parameters that were
// replaced by newer ones.
const passwordParametersUsed = "SRP_ID_INVALID"

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
