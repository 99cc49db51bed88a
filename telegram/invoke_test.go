package telegram

import (
	"context"
	"testing"

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
		send := c.once(telegram.InvokeFunc(func(_ context.Context, input bin.Encoder, _ bin.Decoder) error {
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
