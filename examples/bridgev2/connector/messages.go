package connector

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	tdtelegram "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/message/unpack"
	"github.com/gotd/td/tg"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/bridgev2/simplevent"
	"maunium.net/go/mautrix/event"

	"github.com/tgprovision/tgprovision/provisioning"
)

// GetCapabilities implements bridgev2.NetworkAPI: text, and nothing else.
func (c *Client) GetCapabilities(context.Context, *bridgev2.Portal) *event.RoomFeatures {
	const maxMessage = 4096 // https://core.telegram.org/method/messages.sendMessage
	return &event.RoomFeatures{ID: "com.github.tgprovision.text", MaxTextLength: maxMessage}
}

// HandleMatrixMessage implements bridgev2.NetworkAPI.
func (c *Client) HandleMatrixMessage(ctx context.Context, msg *bridgev2.MatrixMessage) (*bridgev2.MatrixMessageResponse, error) {
	if !msg.Content.MsgType.IsText() {
		return nil, bridgev2.ErrUnsupportedMessageType
	}
	chat, ok := ParsePortalID(msg.Portal.ID)
	if !ok {
		return nil, fmt.Errorf("%q is no chat", msg.Portal.ID)
	}
	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}
	to, err := c.inputPeer(ctx, chat)
	if err != nil {
		return nil, err
	}
	// Telegram takes the message once, also when the homeserver sends the event twice.
	hash := sha256.Sum256([]byte(msg.Event.ID))
	number, err := unpack.MessageID(api.MessagesSendMessage(ctx, &tg.MessagesSendMessageRequest{
		Peer: to, Message: msg.Content.Body, RandomID: int64(binary.LittleEndian.Uint64(hash[:])),
	}))
	if err != nil {
		return nil, fmt.Errorf("messages.sendMessage: %w", err)
	}
	return &bridgev2.MatrixMessageResponse{
		DB: &database.Message{ID: messageID(chat, number), SenderID: UserID(int64(c.me))}, StreamOrder: int64(number),
	}, nil
}

// updates returns what gotd tells of updates.
func (c *Client) updates() tdtelegram.UpdateHandler {
	dispatcher := tg.NewUpdateDispatcher()
	dispatcher.OnNewMessage(func(ctx context.Context, e tg.Entities, update *tg.UpdateNewMessage) error {
		return c.newMessage(ctx, e, update.Message)
	})
	dispatcher.OnNewChannelMessage(func(ctx context.Context, e tg.Entities, update *tg.UpdateNewChannelMessage) error {
		return c.newMessage(ctx, e, update.Message)
	})
	return dispatcher
}

// newMessage bridges a text message.
func (c *Client) newMessage(ctx context.Context, e tg.Entities, update tg.MessageClass) error {
	if err := c.remember(ctx, slices.Collect(maps.Values(e.Users)), slices.Collect(maps.Values(e.Channels))); err != nil {
		return err
	}
	m, ok := update.(*tg.Message)
	if !ok || m.Message == "" {
		return nil
	}
	chat, ok := chatOf(m.PeerID)
	if !ok {
		return nil
	}
	c.connector.bridge.QueueRemoteEvent(c.login, &simplevent.Message[string]{
		EventMeta: simplevent.EventMeta{
			Type: bridgev2.RemoteEventMessage, PortalKey: c.connector.PortalKey(chat, c.login.ID), CreatePortal: true,
			Sender: c.senderOf(m), Timestamp: time.Unix(int64(m.Date), 0), StreamOrder: int64(m.ID),
		},
		Data: m.Message, ID: messageID(chat, m.ID), ConvertMessageFunc: convertText,
	})
	return nil
}

func convertText(_ context.Context, _ *bridgev2.Portal, _ bridgev2.MatrixAPI, text string) (*bridgev2.ConvertedMessage, error) {
	return &bridgev2.ConvertedMessage{Parts: []*bridgev2.ConvertedMessagePart{{
		Type: event.EventMessage, Content: &event.MessageEventContent{MsgType: event.MsgText, Body: text},
	}}}, nil
}

// senderOf says who has sent a message: in a private chat nobody is named, and in a channel
// it is the channel.
func (c *Client) senderOf(m *tg.Message) bridgev2.EventSender {
	from, ok := m.GetFromID()
	if !ok {
		from = m.PeerID
	}
	switch peer := from.(type) {
	case *tg.PeerChannel:
		return bridgev2.EventSender{Sender: ChannelSenderID(peer.ChannelID)}
	case *tg.PeerUser:
		if !m.Out {
			return c.sender(peer.UserID)
		}
	}
	return c.sender(int64(c.me))
}

// sender is a user as bridgev2 wants to know it.
func (c *Client) sender(user int64) bridgev2.EventSender {
	return bridgev2.EventSender{
		IsFromMe: user == int64(c.me), Sender: UserID(user), SenderLogin: networkid.UserLoginID(strconv.FormatInt(user, 10)),
	}
}

// chatOf returns a peer's chat, and false for one that can't be.
func chatOf(peer tg.PeerClass) (provisioning.ChatID, bool) {
	var chat provisioning.ChatID
	switch p := peer.(type) {
	case *tg.PeerUser:
		chat = provisioning.UserChatID(provisioning.TelegramID(p.UserID))
	case *tg.PeerChat:
		chat = provisioning.BasicGroupChatID(p.ChatID)
	case *tg.PeerChannel:
		chat = provisioning.ChannelChatID(p.ChannelID)
	}
	_, _, ok := chat.Split()
	return chat, ok
}
