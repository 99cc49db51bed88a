package telegramtest_test

import (
	"testing"

	"github.com/gotd/td/telegram/message/unpack"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// charles is somebody who logs in without a password, as ada does.
var charles = telegramtest.Account{ID: 1003, Phone: "9996610003", FirstName: "Charles", Username: "charles"}

// talk is a group of both, and a channel of ada's that charles reads.
func talk(t *testing.T) *telegramtest.Server {
	return newServer(t, telegramtest.Config{Accounts: []telegramtest.Account{ada, charles}, Chats: []telegramtest.Chat{
		{Kind: telegramtest.KindBasicGroup, ID: 51, Title: "Engines", Members: []int64{ada.ID, charles.ID}},
		{Kind: telegramtest.KindChannel, ID: 52, Title: "Notes", Username: "notes", Owner: ada.ID, Members: []int64{charles.ID}},
	}})
}

// told waits for a message, and returns who it is from and where it is as the client sees it.
func (c *client) told() (m *tg.Message) {
	c.t.Helper()
	for m == nil {
		updates := (<-c.updates).(*tg.Updates)
		for _, u := range updates.Updates {
			switch u := u.(type) {
			case *tg.UpdateNewMessage:
				m = u.Message.(*tg.Message)
			case *tg.UpdateNewChannelMessage:
				m = u.Message.(*tg.Message)
			}
		}
	}
	return m
}

func TestMessages(t *testing.T) {
	s := talk(t)
	c, other := start(t, s).logIn(ada), start(t, s).logIn(charles)
	require.NoError(t, other.self()) // it gets updates from its first call on
	send := func(to tg.InputPeerClass, text string, random int64) (int, error) {
		return unpack.MessageID(c.API().MessagesSendMessage(t.Context(), &tg.MessagesSendMessageRequest{Peer: to, Message: text, RandomID: random}))
	}
	user, channel := c.inputUser("charles"), c.inputChannel("notes")

	sent, err := send(&tg.InputPeerUser{UserID: user.UserID, AccessHash: user.AccessHash}, "to you", 1)
	require.NoError(t, err)
	assert.NotZero(t, sent)
	m := other.told()
	assert.Equal(t, &tg.PeerUser{UserID: ada.ID}, m.PeerID)
	assert.Equal(t, "to you", m.Message)
	assert.False(t, m.Out)

	_, err = send(&tg.InputPeerChat{ChatID: 51}, "to us", 2)
	require.NoError(t, err)
	m = other.told()
	assert.Equal(t, &tg.PeerChat{ChatID: 51}, m.PeerID)
	assert.Equal(t, &tg.PeerUser{UserID: ada.ID}, m.FromID)

	sent, err = send(&tg.InputPeerChannel{ChannelID: 52, AccessHash: channel.AccessHash}, "to all", 3)
	require.NoError(t, err)
	m = other.told()
	assert.Equal(t, &tg.PeerChannel{ChannelID: 52}, m.PeerID)
	assert.Equal(t, sent, m.ID)
	assert.True(t, m.Post)

	all, err := s.WaitMessages(t.Context(), 3)
	require.NoError(t, err)
	assert.Equal(t, []telegramtest.Message{
		{From: ada.ID, Kind: telegramtest.KindUser, Chat: charles.ID, Text: "to you"},
		{From: ada.ID, Kind: telegramtest.KindBasicGroup, Chat: 51, Text: "to us"},
		{From: ada.ID, Kind: telegramtest.KindChannel, Chat: 52, Text: "to all"},
	}, all)

	_, err = send(&tg.InputPeerChat{ChatID: 51}, "to us", 2)
	rpcError(t, err, 500, "RANDOM_ID_DUPLICATE")
	_, err = send(&tg.InputPeerChat{ChatID: 51}, "", 4)
	rpcError(t, err, 400, "MESSAGE_EMPTY")
	_, err = send(&tg.InputPeerChat{ChatID: 99}, "to nobody", 5)
	rpcError(t, err, 400, "PEER_ID_INVALID")
}

func TestSendMessage(t *testing.T) {
	s := talk(t)
	c := start(t, s).logIn(ada)
	require.NoError(t, c.self())
	require.NoError(t, s.SendMessage(telegramtest.Message{From: charles.ID, Kind: telegramtest.KindUser, Chat: ada.ID, Text: "in"}))
	m := c.told()
	assert.Equal(t, &tg.PeerUser{UserID: charles.ID}, m.PeerID)
	assert.False(t, m.Out)
	require.NoError(t, s.SendMessage(telegramtest.Message{From: ada.ID, Kind: telegramtest.KindUser, Chat: charles.ID, Text: "out"}))
	m = c.told()
	assert.Equal(t, &tg.PeerUser{UserID: charles.ID}, m.PeerID)
	assert.True(t, m.Out)
	require.Error(t, s.SendMessage(telegramtest.Message{From: charles.ID, Kind: telegramtest.KindChannel, Chat: 52, Text: "no administrator"}))
	require.Error(t, s.SendMessage(telegramtest.Message{From: 1, Kind: telegramtest.KindUser, Chat: ada.ID, Text: "nobody"}))
}
