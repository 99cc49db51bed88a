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

// passwordStillNeeded is the error for calls with an auth key that waits for the two-factor
// password.
const passwordStillNeeded = "SESSION_PASSWORD_NEEDED"

// passwordParametersUsed is the error for an answer to SRP parameters that were
// replaced by newer ones.
const passwordParametersUsed = "SRP_ID_INVALID"

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
