// Package rpcerror says what the errors of Telegram's methods mean to package
// provisioning, for hosts with any Telegram client. It needs no client library: an
// error is what the TL type RpcError has, a code and a message.
//
// A host whose client is gotd/td, or a fork of it, turns an error into one of the
// core's like this:
//
//	if rpc, ok := tgerr.As(err); ok {
//		return rpcerror.Error("auth.signIn", rpc.Code, rpc.Message)
//	}
//
// https://core.telegram.org/api/errors
package rpcerror

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Error returns what an error of Telegram's is in package provisioning. The method is
// the one that was called, by its name in the TL schema, such as auth.signIn; "" is any.
// The code and the message are Telegram's, such as 420 and FLOOD_WAIT_42. The error is
//
//   - a *provisioning.FloodWaitError for a pause that Telegram asks for;
//   - otherwise, or wrapped, a *provisioning.TelegramError, whose Type is the message without its
//     number. What it is wrapped in is its meaning: another error of package provisioning,
//     which may depend on the method, or ErrMemberRefused.
//
// With provisioning.ErrNotLoggedIn, the session has ended: what the host has stored of it is of
// no use any more. A TelegramError with the code 401 and no meaning may say the same by a name
// that is not known here, and one that is a provisioning.ErrTelegramUnavailable may come from
// another datacenter than the account's, which only has to be given the login anew: ask over a
// new connection before the session is forgotten.
//
// It is never nil, and safe for concurrent use.
func Error(method string, code int, message string) error {
	name, number := split(message)
	if name == "FLOOD_WAIT" || code == 420 && strings.HasSuffix(name, "_WAIT") {
		return &provisioning.FloodWaitError{Wait: time.Duration(number) * time.Second}
	}
	said := &provisioning.TelegramError{Code: code, Type: name}
	if meaning := meaningOf(method, code, name); meaning != nil {
		return fmt.Errorf("%w: %w", meaning, said)
	}
	return said
}

// split takes the number out of a message: FLOOD_WAIT and 42 of FLOOD_WAIT_42.
func split(message string) (name string, number int) {
	var words []string
	for word := range strings.SplitSeq(message, "_") {
		if strings.Trim(word, "0123456789") != "" {
			words = append(words, word)
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil { // empty, or too large
			return message, 0
		}
		number = n
	}
	if len(words) == 0 {
		return message, 0
	}
	return strings.Join(words, "_"), number
}

// Unexpected returns the error for an answer of a type that the TL schema has and the
// caller has no use for: a *provisioning.TelegramError whose Type is the name in the schema,
// or the Go type where the answer does not have it as a TypeName.
func Unexpected(answer any) error {
	name := fmt.Sprintf("%T", answer)
	if typed, ok := answer.(interface{ TypeName() string }); ok {
		name = typed.TypeName()
	}
	return &provisioning.TelegramError{Type: name}
}
