package calls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
)

// The functions of this file wrap what makes the calls of a gotd client, for its
// telegram.Options.Middlewares:
//
//	telegram.MiddlewareFunc(func(next tg.Invoker) telegram.InvokeFunc { return calls.ReturnInTime(next).Invoke })

// ErrInterrupted says that the connection broke before Telegram's answer came: Telegram may
// or may not have done what it was asked. gotd v0.162.0 says that the call was cancelled
// (https://github.com/gotd/td/pull/1749; TestGotdCancelsCallsOfABrokenConnection).
var ErrInterrupted = fmt.Errorf("%w: the connection broke before the answer", provisioning.ErrTelegramUnavailable)

// invokeFunc is a tg.Invoker.
type invokeFunc func(ctx context.Context, input bin.Encoder, output bin.Decoder) error

// Invoke implements tg.Invoker.
func (f invokeFunc) Invoke(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
	return f(ctx, input, output)
}

// ReturnInTime returns from a call as soon as its context ends. gotd v0.162.0 first asks
// Telegram to drop the answer and waits until that is done, or until the connection has
// died, which takes more than a minute (https://github.com/gotd/td/pull/324;
// TestGotdCallsOutliveTheirContexts). The call's goroutine ends then, at the latest when the
// client stops.
func ReturnInTime(next tg.Invoker) tg.Invoker {
	return invokeFunc(func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		if ctx.Value(inTimeKey{}) != nil {
			return next.Invoke(ctx, input, output)
		}
		_, err := inTime(ctx, func(context.Context) (none struct{}, err error) { return none, next.Invoke(ctx, input, output) })
		return err
	})
}

// inTimeKey is in the contexts of calls that inTime has made.
type inTimeKey struct{}

// inTime runs a function that makes calls, and returns as soon as the context ends, while the
// function may still run. [ReturnInTime] adds nothing to these calls: a goroutine for each of
// a hundred takes a twentieth of the time of a list.
func inTime[T any](ctx context.Context, run func(context.Context) (T, error)) (none T, err error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if v := recover(); v != nil { // which would end the process
				r.err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
			results <- r
		}()
		r.value, r.err = run(context.WithValue(ctx, inTimeKey{}, true))
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// RetryUnsent repeats calls that were not sent because the connection had just broken,
// until there is a new one. It gives up with the context, and when the client has stopped.
// gotd v0.162.0 waits for the new connection only when it knows that the old one has broken,
// and so not where it finds out by the call (https://github.com/gotd/td/issues/1030;
// https://github.com/gotd/td/pull/1830 was closed; TestGotdFailsCallsItCouldNotSend).
func RetryUnsent(next tg.Invoker, stopped <-chan struct{}) tg.Invoker {
	const pause = 50 * time.Millisecond // a reconnection takes twice that
	return invokeFunc(func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		for {
			err := next.Invoke(ctx, input, output)
			if !wasNotSent(err) {
				return err
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			case <-stopped:
				return err
			}
		}
	})
}

// wasNotSent says whether an error is that of a write to a connection that has broken, or
// of setting the deadline for one.
func wasNotSent(err error) bool {
	broken, ok := errors.AsType[*net.OpError](err)
	return ok && (broken.Op == "write" || broken.Op == "set")
}

// SendOnce has requests that make a chat sent over one connection only; breaks counts how
// often the client's connection has broken. gotd v0.162.0 sends a request again over the
// next connection when Telegram has not confirmed that it got it, though Telegram may have
// done what it says: there would be two chats (https://github.com/gotd/td/pull/1749;
// TestGotdSendsACallTwice). Errors: ErrInterrupted.
func SendOnce(next tg.Invoker, breaks func() int64) tg.Invoker {
	return invokeFunc(func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		switch input.(type) {
		case *tg.MessagesCreateChatRequest, *tg.ChannelsCreateChannelRequest:
			input = &sentOnce{Encoder: input, breaks: breaks}
		}
		return next.Invoke(ctx, input, output)
	})
}

// sentOnce is a request that can be encoded only until the connection breaks on which it
// was sent: gotd encodes a request each time that it sends it.
type sentOnce struct {
	bin.Encoder
	breaks func() int64

	mu   sync.Mutex
	sent bool
	then int64 // how often the connection had broken when it was sent
}

// Encode implements bin.Encoder.
func (s *sentOnce) Encode(b *bin.Buffer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.breaks()
	if s.sent && s.then != now {
		return ErrInterrupted
	}
	s.sent, s.then = true, now
	return s.Encoder.Encode(b)
}

// RepeatTransient repeats calls that Telegram could not do because of trouble of its own,
// three times within a second and a half, as long as the context leaves the time. It
// repeats those that change nothing when they are done twice; after a bad_msg_notification,
// with which Telegram has not looked at the call, all. sleep pauses, or returns the
// context's error; nil does that.
//
// https://core.telegram.org/api/errors#500-internal,
// https://core.telegram.org/mtproto/service_messages_about_messages#notice-of-ignored-error-message
func RepeatTransient(next tg.Invoker, sleep func(context.Context, time.Duration) error) tg.Invoker {
	if sleep == nil {
		sleep = pause
	}
	pauses := []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second}
	return invokeFunc(func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
		for _, wait := range pauses {
			err := next.Invoke(ctx, input, output)
			if !isIgnored(err) && !(isTransient(err) && isRepeatable(input)) {
				return err
			}
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
				return err
			}
			if err := sleep(ctx, wait); err != nil {
				return err
			}
		}
		return next.Invoke(ctx, input, output)
	})
}

// pause pauses, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isTransient says whether an error is trouble of Telegram's own.
func isTransient(err error) bool {
	rpc, ok := tgerr.As(err)
	return ok && (rpc.Code >= 500 || rpc.Code < 0)
}

// isIgnored says whether an error is a bad_msg_notification. The type of it, in gotd v0.162.0,
// is not exported (no issue; TestGotdHidesIgnoredMessages).
func isIgnored(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if fmt.Sprintf("%T", err) == "*mtproto.badMessageError" {
			return true
		}
	}
	return false
}

// isRepeatable says whether a call changes nothing when it is done twice.
func isRepeatable(input bin.Encoder) bool {
	switch input.(type) {
	case *tg.AccountGetPasswordRequest, *tg.AuthExportAuthorizationRequest, *tg.AuthExportLoginTokenRequest, *tg.AuthLogOutRequest,
		*tg.ChannelsEditAdminRequest, *tg.ChannelsGetFullChannelRequest, *tg.ChannelsInviteToChannelRequest,
		*tg.ContactsGetContactsRequest, *tg.ContactsResolvePhoneRequest, *tg.ContactsResolveUsernameRequest, *tg.HelpGetConfigRequest,
		*tg.MessagesGetAllStickersRequest, *tg.MessagesGetChatsRequest, *tg.MessagesGetDialogsRequest,
		*tg.MessagesGetFullChatRequest,
		*tg.UploadGetFileRequest, *tg.UsersGetUsersRequest:
		return true
	default:
		return false
	}
}
