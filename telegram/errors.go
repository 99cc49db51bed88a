package telegram

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

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

// passwordParametersUsed are the errors for an answer to SRP parameters that were
// replaced by newer ones, or to those of a password that has just changed.
var passwordParametersUsed = []string{"SRP_ID_INVALID", "SRP_PASSWORD_CHANGED"}

// endsSession says whether Telegram means with an error that the session is no more.
func endsSession(err error) bool {
	rpc, ok := tgerr.As(err)
	return ok && errors.Is(rpcerror.Error("", rpc.Code, rpc.Message), provisioning.ErrNotLoggedIn)
}

// mayEndSession says whether an error is a 401 by a name that is not known, or maybe from
// another datacenter, with which Telegram may mean that the session is no more.
func mayEndSession(err error) bool {
	said, ok := errors.AsType[*provisioning.TelegramError](err)
	known := errors.Is(err, provisioning.ErrNotLoggedIn) || errors.Is(err, provisioning.ErrPasswordNeeded)
	return ok && said.Code == http.StatusUnauthorized && !known
}

// isFromElsewhere says whether an error is a 401 that may be from another datacenter.
func isFromElsewhere(err error) bool {
	return mayEndSession(err) && errors.Is(err, provisioning.ErrTelegramUnavailable)
}

// needsNewCode says whether an error of auth.resendCode means that a code can't be sent
// again, but a new one can.
func needsNewCode(err error) bool {
	meaning := translate("auth.resendCode", err)
	return !endsSession(err) && (errors.Is(meaning, provisioning.ErrPhoneCodeExpired) || errors.Is(meaning, provisioning.ErrCodeNotResendable))
}

// noteRefusal has a call of wait return with an error of Telegram's that trying again is no
// use for, though gotd does.
func (c *conn) noteRefusal(err error) {
	if _, ok := tgerr.As(err); !ok || errors.Is(translate(connecting, err), provisioning.ErrTelegramUnavailable) {
		return
	}
	select {
	case c.refused <- err:
	default:
	}
}

// noteFlood is noteRefusal for a pause that is longer than calls wait, which gotd tries again
// in the middle of.
func (c *conn) noteFlood(err error, most time.Duration) {
	if wait, ok := tgerr.AsFloodWait(err); ok && wait > most {
		c.noteRefusal(err)
	}
}

// connecting is the method that gotd calls first on a connection.
const connecting = "help.getConfig"

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
