package telegram

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What makes a chat is sent again over the same connection, but not over the next.
func TestChatsAreMadeOnce(t *testing.T) {
	for _, request := range []bin.Encoder{
		&tg.MessagesCreateChatRequest{Title: "New"}, &tg.ChannelsCreateChannelRequest{Title: "New"},
		&tg.ContactsGetContactsRequest{},
	} {
		c := &conn{}
		var first, again, later error
		send := c.sendOnce(telegram.InvokeFunc(func(_ context.Context, input bin.Encoder, _ bin.Decoder) error {
			first, again = input.Encode(&bin.Buffer{}), input.Encode(&bin.Buffer{})
			c.breaks.Add(1)
			later = input.Encode(&bin.Buffer{})
			return nil
		}))
		for range 2 { // each call is one of its own
			require.NoError(t, send(t.Context(), request, nil))
			require.NoError(t, first)
			require.NoError(t, again)
			if _, harmless := request.(*tg.ContactsGetContactsRequest); harmless {
				assert.NoError(t, later)
			} else {
				assert.ErrorIs(t, later, errInterrupted)
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
			send := (&conn{done: make(chan struct{})}).retryUnsent(telegram.InvokeFunc(func(context.Context, bin.Encoder, bin.Decoder) error {
				if calls++; calls == 1 {
					return fmt.Errorf("send: %w", c.err)
				}
				return nil
			}))
			err := send(t.Context(), &tg.HelpGetConfigRequest{}, &tg.Config{})
			assert.Equal(t, c.calls, calls, "%v", c.err)
			if calls == 1 {
				require.ErrorIs(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
		}
	})
}
