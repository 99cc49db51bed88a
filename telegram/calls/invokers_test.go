package calls

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

// What makes a chat is sent again over the same connection, but not over the next.
func TestChatsAreMadeOnce(t *testing.T) {
	for _, request := range []bin.Encoder{
		&tg.MessagesCreateChatRequest{Title: "New"}, &tg.ChannelsCreateChannelRequest{Title: "New"},
		&tg.ContactsGetContactsRequest{},
	} {
		var breaks int64
		var first, again, later error
		send := SendOnce(invokeFunc(func(_ context.Context, input bin.Encoder, _ bin.Decoder) error {
			first, again = input.Encode(&bin.Buffer{}), input.Encode(&bin.Buffer{})
			breaks++
			later = input.Encode(&bin.Buffer{})
			return nil
		}), func() int64 { return breaks })
		for range 2 { // each call is one of its own
			require.NoError(t, send.Invoke(t.Context(), request, nil))
			require.NoError(t, first)
			require.NoError(t, again)
			if _, harmless := request.(*tg.ContactsGetContactsRequest); harmless {
				assert.NoError(t, later)
			} else {
				assert.ErrorIs(t, later, ErrInterrupted)
			}
		}
	}
}

// What could not be sent is sent again; what has got another error is not.
func TestUnsentCallsAreSentAgain(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	closed, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	_, writeErr := closed.Write(nil)
	_, readErr := closed.Read(make([]byte, 1))
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			err   error
			calls int
		}{{writeErr, 2}, {closed.SetWriteDeadline(time.Time{}), 2}, {readErr, 1}, {context.Canceled, 1}} {
			require.Error(t, c.err)
			calls := 0
			send := RetryUnsent(invokeFunc(func(context.Context, bin.Encoder, bin.Decoder) error {
				if calls++; calls == 1 {
					return fmt.Errorf("send: %w", c.err)
				}
				return nil
			}), nil)
			err := send.Invoke(t.Context(), &tg.HelpGetConfigRequest{}, &tg.Config{})
			assert.Equal(t, c.calls, calls, "%v", c.err)
			if calls == 1 {
				require.ErrorIs(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
		}
	})
}

// Trouble of Telegram's own is tried again, where that does no harm and there is time.
func TestTransientTrouble(t *testing.T) {
	read, write := bin.Encoder(&tg.UsersGetUsersRequest{}), bin.Encoder(&tg.ChannelsCreateChannelRequest{})
	for _, c := range []struct {
		name  string
		input bin.Encoder
		err   error
		fails int // how often
		left  time.Duration
		calls int
	}{
		{"internal", read, tgerr.New(500, "INTERNAL"), 1, 0, 2},
		{"timeout", read, tgerr.New(-503, "Timeout"), 2, 0, 3},
		{"it goes on", read, tgerr.New(500, "INTERNAL"), 99, 0, 4},
		{"no time is left", read, tgerr.New(500, "INTERNAL"), 99, 50 * time.Millisecond, 1},
		{"little time is left", read, tgerr.New(500, "INTERNAL"), 99, time.Second, 3},
		{"another error", read, tgerr.New(400, "USER_ID_INVALID"), 99, 0, 1},
		{"not to be repeated", write, tgerr.New(500, "INTERNAL"), 99, 0, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if c.left > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.left)
				defer cancel()
			}
			calls := 0
			call := RepeatTransient(invokeFunc(func(context.Context, bin.Encoder, bin.Decoder) error {
				if calls++; calls <= c.fails {
					return fmt.Errorf("call: %w", c.err)
				}
				return nil
			}), func(_ context.Context, d time.Duration) error {
				<-time.After(d)
				return nil
			})
			err := call.Invoke(ctx, c.input, nil)
			assert.Equal(t, c.calls, calls, c.name)
			if c.fails > 3 {
				require.ErrorIs(t, err, c.err, c.name)
			} else {
				require.NoError(t, err, c.name)
			}
		})
	}
}

// deafSession is a session of a client that waits for an answer longer than for its contexts.
type deafSession struct {
	Session
	answered chan struct{} // closed, ends all calls
	panics   bool
	calls    atomic.Int64
}

func (s *deafSession) API(context.Context) (*tg.Client, error) {
	return tg.NewClient(ReturnInTime(invokeFunc(func(context.Context, bin.Encoder, bin.Decoder) error {
		s.calls.Add(1)
		if s.panics {
			panic("gotd")
		}
		<-s.answered
		return context.Canceled
	}))), nil
}

// A call, and a list of many calls, returns when its context ends. A panic is an error.
func TestReturnInTime(t *testing.T) {
	for name, call := range map[string]func(context.Context, *Client) error{
		"call": func(ctx context.Context, c *Client) error { _, err := c.StickerSets(ctx); return err },
		"list": func(ctx context.Context, c *Client) error {
			_, err := c.Chats(ctx, provisioning.ChatQuery{})
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			session := &deafSession{answered: make(chan struct{})}
			defer close(session.answered)
			begun := time.Now()
			require.ErrorIs(t, call(ctx, New(session)), context.DeadlineExceeded, name)
			assert.Equal(t, time.Second, time.Since(begun), name)
			assert.EqualValues(t, 1, session.calls.Load(), name)

			require.ErrorContains(t, call(t.Context(), New(&deafSession{panics: true})), "panic: gotd", name)
		})
	}
}

// A list takes one goroutine, not one for each of its calls.
func TestListsTakeOneGoroutine(t *testing.T) {
	var stack string
	api := tg.NewClient(ReturnInTime(invokeFunc(func(context.Context, bin.Encoder, bin.Decoder) error {
		stack = string(debug.Stack())
		return context.Canceled
	})))
	_, err := inTime(t.Context(), (&account{api: api}).chats)
	require.ErrorIs(t, err, context.Canceled)
	assert.Contains(t, stack, "calls.dialogPass(")
}

func TestErrInterrupted(t *testing.T) {
	require.ErrorIs(t, ErrInterrupted, provisioning.ErrTelegramUnavailable)
}
