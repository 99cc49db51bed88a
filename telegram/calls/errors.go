package calls

import (
	"context"
	"errors"
	"fmt"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// What Telegram's errors are in package provisioning stands in package rpcerror. Here
// are those that decide what this package does next.

// unknownGroup are the errors for a basic group that the account has never been in.
var unknownGroup = []string{"CHAT_ID_INVALID", "PEER_ID_INVALID"}

// wrongHash are the errors for an access hash that is not the one which the account
// knows a user or channel by.
var wrongHash = []string{"CHANNEL_INVALID", "PEER_ID_INVALID", wrongUser}

// wrongUser is the one of them for a user in a request that is about others as well.
const wrongUser = "USER_ID_INVALID"

// errWrongUser is that error where Telegram says it without one.
var errWrongUser error = &callError{"users.getUsers", tgerr.New(400, wrongUser)}

// alreadyMember is the error for inviting somebody who is in the chat already.
const alreadyMember = "USER_ALREADY_PARTICIPANT"

// onlyAdmin is the error for inviting a bot to a channel, which it can join only as an
// administrator.
const onlyAdmin = "USER_BOT"

// aboutIsSet is the error for giving a chat the description that it has.
const aboutIsSet = "CHAT_ABOUT_NOT_MODIFIED"

// isMemberError says whether an error is about somebody whom a request was to add to
// a chat.
func isMemberError(err error) bool {
	failed, ok := errors.AsType[*callError](err)
	return ok && errors.Is(failed.meaning(), rpcerror.ErrMemberRefused)
}

// isUnknownUser says whether an error means that there is no such user.
func isUnknownUser(ctx context.Context, err error) bool {
	return errors.Is(explain(ctx, err), provisioning.ErrTelegramUserNotFound) || errors.Is(err, provisioning.ErrNotTelegramUser)
}

// callError is what a call to Telegram has failed with. All other errors are the core's
// already, or the session's.
type callError struct {
	method string // by its name in the TL schema
	error
}

// Unwrap returns what gotd says.
func (e *callError) Unwrap() error { return e.error }

// meaning is the error in package provisioning.
func (e *callError) meaning() error {
	if rpc, ok := tgerr.As(e.error); ok {
		return rpcerror.Error(e.method, rpc.Code, rpc.Message)
	}
	return fmt.Errorf("%w: %w", provisioning.ErrTelegramUnavailable, e)
}

// marking makes the errors of calls callErrors.
type marking struct{ tg.Invoker }

// Invoke implements tg.Invoker.
func (m marking) Invoke(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
	err := m.Invoker.Invoke(ctx, input, output)
	if err == nil {
		return nil
	}
	failed := &callError{error: err}
	if typed, ok := input.(interface{ TypeName() string }); ok {
		failed.method = typed.TypeName()
	}
	return failed
}

// explain turns the error of a call into one of the core's. Others stay as they are.
func explain(ctx context.Context, err error) error {
	failed, ok := errors.AsType[*callError](err)
	if !ok {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("wait for Telegram: %w", ctx.Err())
	}
	return failed.meaning()
}
