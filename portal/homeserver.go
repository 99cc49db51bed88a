package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

const (
	// maxTries is how often a call is made that the homeserver's rate limit refuses.
	maxTries = 10
	// maxPause is the longest that a call waits between two tries.
	maxPause = 30 * time.Second
	// standardPause is how long it waits when the homeserver does not say.
	standardPause = time.Second
)

// keptConnections is how many connections to the homeserver are kept for the next requests.
// Of those that were used at once, net/http would keep two.
const keptConnections = 2 * cleanUpWorkers

// newTransport is that of an appservice that does not say how to reach its homeserver.
func newTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the host has replaced it
		return http.DefaultTransport
	}
	transport := standard.Clone()
	transport.MaxIdleConnsPerHost = keptConnections
	return transport
}

// client returns a client for one of the bridge's users. Unlike the appservice's own,
// it remembers nothing, joins no room by itself, tries nothing twice, and logs nothing:
// a refusal is often just an answer.
func (r *Rooms) client(userID id.UserID) *mautrix.Client {
	c := r.as.NewMautrixClient(userID)
	if c.Client != nil && c.Client.Transport == nil {
		keeping := *c.Client
		keeping.Transport = r.transport
		c.Client = &keeping
	}
	c.StateStore = nil
	c.DefaultHTTPRetries = 0
	c.Log = zerolog.Nop()
	return c
}

func (r *Rooms) ghost(telegramID provisioning.TelegramID) *mautrix.Client {
	return r.client(r.GhostID(telegramID))
}

// homeserverError is a [provisioning.ErrHomeserver]. It holds nothing of the request:
// mautrix's errors do, and there is a token in it.
type homeserverError struct {
	what   string // was tried
	status int    // 0 where there was no answer
	code   string // the errcode, "" where something else than a homeserver has answered
	text   string
}

// Error implements error.
func (e *homeserverError) Error() string {
	text := fmt.Sprintf("%s: %s", provisioning.ErrHomeserver, e.what)
	if e.status != 0 {
		text += fmt.Sprintf(": HTTP %d", e.status)
	}
	for _, part := range []string{e.code, e.text} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// Unwrap makes it a [provisioning.ErrHomeserver].
func (e *homeserverError) Unwrap() error { return provisioning.ErrHomeserver }

// newHomeserverError takes what may be shown from an error of mautrix's.
func newHomeserverError(what string, err error) *homeserverError {
	e := &homeserverError{what: what}
	httpErr, ok := errors.AsType[mautrix.HTTPError](err)
	if ok && httpErr.Response != nil {
		e.status = httpErr.Response.StatusCode
	}
	if ok && httpErr.RespError != nil {
		e.code, e.text = httpErr.RespError.ErrCode, httpErr.RespError.Err
	} else if ok && httpErr.WrappedError != nil {
		e.text = httpErr.Message
		err = httpErr.WrappedError
	}
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		e.text = urlErr.Err.Error() // without the address
	} else if e.status == 0 {
		e.text = err.Error()
	}
	return e
}

// try makes a call of the homeserver's, again and again for a while where a rate limit
// says so. Errors are the context's, or [provisioning.ErrHomeserver].
func try(ctx context.Context, what string, call func(context.Context) error) error {
	for tries := 1; ; tries++ {
		err := call(silent(ctx))
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
		pause, limited := rateLimit(err)
		if !limited || tries == maxTries {
			return newHomeserverError(what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// silent returns a context with a logger of nothing, since mautrix logs with the context's
// one. It is no zerolog.Nop, which a context without a logger does not take.
func silent(ctx context.Context) context.Context {
	return zerolog.New(io.Discard).Level(zerolog.PanicLevel).WithContext(ctx)
}

// rateLimit says whether an error is a rate limit's, and how long to wait.
func rateLimit(err error) (pause time.Duration, limited bool) {
	httpErr, ok := errors.AsType[mautrix.HTTPError](err)
	if !ok || httpErr.Response == nil || httpErr.Response.StatusCode != http.StatusTooManyRequests {
		return 0, false
	}
	pause = standardPause
	if seconds, err := strconv.Atoi(httpErr.Response.Header.Get("Retry-After")); err == nil {
		pause = time.Duration(seconds) * time.Second
	}
	if httpErr.RespError != nil {
		if ms, ok := httpErr.RespError.ExtraData["retry_after_ms"].(float64); ok {
			pause = time.Duration(ms) * time.Millisecond
		}
	}
	return min(max(pause, 0), maxPause), true
}

// refused says whether the homeserver has said no: not that it is away or has
// troubles, that something else has answered, or that it does not know the bridge.
func refused(err error) bool {
	e, ok := errors.AsType[*homeserverError](err)
	if !ok || e.status < 400 || e.status >= 500 {
		return false
	}
	switch e.code {
	case "", mautrix.MLimitExceeded.ErrCode, mautrix.MUnknownToken.ErrCode, mautrix.MMissingToken.ErrCode, mautrix.MUnrecognized.ErrCode:
		return false
	}
	return true
}

// hasCode says whether the homeserver has answered with that errcode.
func hasCode(err error, code mautrix.RespError) bool {
	e, ok := errors.AsType[*homeserverError](err)
	return ok && e.code == code.ErrCode
}

// stateOf reads the content of a state event, nil where there is none, as somebody who
// is in the room: homeservers may answer anything to others.
func stateOf(ctx context.Context, as *mautrix.Client, roomID id.RoomID, eventType event.Type, stateKey string) (content json.RawMessage, err error) {
	err = try(ctx, "read "+eventType.Type, func(ctx context.Context) error {
		return as.StateEvent(ctx, roomID, eventType, stateKey, &content)
	})
	if hasCode(err, mautrix.MNotFound) {
		return nil, nil
	}
	return content, err
}

// textOf returns a text in the content of an event, "" where there is none.
func textOf(content json.RawMessage, field string) (text string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(content, &fields) != nil || json.Unmarshal(fields[field], &text) != nil {
		return ""
	}
	return text
}

// setState sets a state event; false where the sender may not.
func setState(ctx context.Context, as *mautrix.Client, roomID id.RoomID, eventType event.Type, stateKey string, content any) (bool, error) {
	err := try(ctx, "set "+eventType.Type, func(ctx context.Context) error {
		_, err := as.SendStateEvent(ctx, roomID, eventType, stateKey, content)
		return err
	})
	if hasCode(err, mautrix.MForbidden) {
		return false, nil
	}
	return err == nil, err
}

// membershipOf returns what a user is in a room, "" where the one who asks can't see
// that.
func membershipOf(ctx context.Context, as *mautrix.Client, roomID id.RoomID, userID id.UserID) (event.Membership, error) {
	content, err := stateOf(ctx, as, roomID, event.StateMember, string(userID))
	if refused(err) {
		return "", nil
	}
	return event.Membership(textOf(content, "membership")), err
}

// joinRoom has a user join a room.
func joinRoom(ctx context.Context, as *mautrix.Client, roomID id.RoomID) error {
	return try(ctx, "join a room", func(ctx context.Context) error {
		_, err := as.JoinRoomByID(ctx, roomID)
		return err
	})
}

// leaveRoom has a user leave a room, or refuse an invitation to it. Whoever is not there
// is no error.
func leaveRoom(ctx context.Context, as *mautrix.Client, roomID id.RoomID) error {
	err := try(ctx, "leave a room", func(ctx context.Context) error {
		_, err := as.LeaveRoom(ctx, roomID)
		return err
	})
	if refused(err) {
		return nil
	}
	return err
}
