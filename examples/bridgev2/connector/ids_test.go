package connector

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestPortalIDs(t *testing.T) {
	for id, chat := range map[networkid.PortalID]provisioning.ChatID{
		"user:9001":    provisioning.UserChatID(9001),
		"chat:2005":    provisioning.BasicGroupChatID(2005),
		"channel:2003": provisioning.ChannelChatID(2003),
	} {
		require.Equal(t, id, PortalID(chat))
		parsed, ok := ParsePortalID(id)
		require.True(t, ok)
		require.Equal(t, chat, parsed)
	}
}

func TestWhatIsNoPortalID(t *testing.T) {
	for _, id := range []networkid.PortalID{
		"", ":", "user", "user:", "user:0", "user:-1", "user:01", "user:+1", "user:x", "chat:99999999999999", "channel:2003:7", "channel:2003:-1",
		"space:1", "user:99999999999999999999",
	} {
		_, ok := ParsePortalID(id)
		require.False(t, ok, "%s", id)
	}
	require.Empty(t, PortalID(0))
}

func TestSenderIDs(t *testing.T) {
	user, ok := ParseUserID(UserID(9001))
	require.True(t, ok)
	require.EqualValues(t, 9001, user)
	_, ok = ParseUserID(ChannelSenderID(2004))
	require.False(t, ok)
	channel, ok := ParseChannelSenderID(ChannelSenderID(2004))
	require.True(t, ok)
	require.EqualValues(t, 2004, channel)
	for _, id := range []networkid.UserID{"", "channel-", "channel-x", "channel--1", "9001"} {
		_, ok := ParseChannelSenderID(id)
		require.False(t, ok, "%s", id)
	}
}

func TestLoginIDs(t *testing.T) {
	account, ok := ParseLoginID(LoginID(9001))
	require.True(t, ok)
	require.EqualValues(t, 9001, account)
	_, ok = ParseLoginID("@9001")
	require.False(t, ok)
}
