package telegram

import (
	"context"
	"errors"
	"fmt"

	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// What Telegram's errors are in package provisioning stands in package rpcerror. Here
// are those that decide what this package does next.

// tokenExpired is the error for a login by QR code that was moved to the account's
// datacenter too late.
const tokenExpired = "AUTH_TOKEN_EXPIRED"

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

// alreadyMember is the error for inviting somebody who is in the chat already.
const alreadyMember = "USER_ALREADY_PARTICIPANT"

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
	return tgerr.Is(err, alreadyMember, wrongUser) || tgerr.Is(err, memberRefused...)
}

// isUnknownUser says whether an error means that there is no such user.
func isUnknownUser(err error) bool {
	return errors.Is(translate("", err), provisioning.ErrTelegramUserNotFound) || errors.Is(err, provisioning.ErrNotTelegramUser)
}

// endsSession says whether Telegram means with an error that the session is no more.
func endsSession(err error) bool {
	rpc, ok := tgerr.As(err)
	return ok && errors.Is(rpcerror.Error("", rpc.Code, rpc.Message), provisioning.ErrNotLoggedIn)
}

// needsNewCode says whether an error of auth.resendCode means that a code can't be sent
// again, but a new one can.
func needsNewCode(err error) bool {
	meaning := translate("auth.resendCode", err)
	return !endsSession(err) && (errors.Is(meaning, provisioning.ErrPhoneCodeExpired) || errors.Is(meaning, provisioning.ErrCodeNotResendable))
}

// translate turns an error of a gotd call into one of the core's. The method is the one
// that was called, "" where that makes no difference.
func translate(method string, err error) error {
	if err == nil {
		return nil
	}
	if rpc, ok := tgerr.As(err); ok {
		return rpcerror.Error(method, rpc.Code, rpc.Message)
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
