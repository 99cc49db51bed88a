package connector

import (
	"strconv"
	"strings"

	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
)

// channelSender is what the ghost IDs of channels begin with, which send messages too.
const channelSender = "channel-"

// LoginID returns the login of a Telegram account: its ID in decimal.
func LoginID(account provisioning.TelegramID) networkid.UserLoginID {
	return networkid.UserLoginID(strconv.FormatInt(int64(account), 10))
}

// ParseLoginID is the reverse of LoginID, and returns false for what no login can be.
func ParseLoginID(login networkid.UserLoginID) (provisioning.TelegramID, bool) {
	id, ok := positive(string(login))
	return provisioning.TelegramID(id), ok
}

// UserID returns the ghost of a Telegram user: the user's ID in decimal.
func UserID(user int64) networkid.UserID { return networkid.UserID(strconv.FormatInt(user, 10)) }

// ChannelSenderID returns the ghost that sends the messages that a channel or supergroup
// sends as itself.
func ChannelSenderID(channel int64) networkid.UserID {
	return networkid.UserID(channelSender + strconv.FormatInt(channel, 10))
}

// ParseUserID is the reverse of UserID, and returns false for the ghosts of channels and
// for what no user can be.
func ParseUserID(user networkid.UserID) (int64, bool) { return positive(string(user)) }

// ParseChannelSenderID is the reverse of ChannelSenderID, and returns false for the ghosts
// of users.
func ParseChannelSenderID(user networkid.UserID) (int64, bool) {
	id, ok := strings.CutPrefix(string(user), channelSender)
	if !ok {
		return 0, false
	}
	return positive(id)
}

// PortalID returns the portal of a chat, user:ID, chat:ID or channel:ID, and "" for a chat
// that can't be.
func PortalID(chat provisioning.ChatID) networkid.PortalID {
	kind, id, ok := chat.Split()
	if !ok {
		return ""
	}
	return networkid.PortalID(string(kind) + ":" + strconv.FormatInt(id, 10))
}

// ParsePortalID is the reverse of PortalID, and returns false for anything else, such as
// the topic of a forum.
func ParsePortalID(portal networkid.PortalID) (provisioning.ChatID, bool) {
	kind, text, _ := strings.Cut(string(portal), ":")
	id, ok := positive(text)
	var chat provisioning.ChatID
	switch provisioning.PeerType(kind) {
	case provisioning.PeerUser:
		chat = provisioning.UserChatID(provisioning.TelegramID(id))
	case provisioning.PeerChat:
		chat = provisioning.BasicGroupChatID(id)
	case provisioning.PeerChannel:
		chat = provisioning.ChannelChatID(id)
	}
	return chat, ok && PortalID(chat) == portal
}

// PortalKey returns the key of a chat's portal for a login. Private chats and basic groups
// have a portal for each login, and channels one for all, unless the bridge is configured
// to split portals.
func (c *Connector) PortalKey(chat provisioning.ChatID, login networkid.UserLoginID) networkid.PortalKey {
	key := networkid.PortalKey{ID: PortalID(chat)}
	if kind, _, _ := chat.Split(); kind != provisioning.PeerChannel || c.bridge.Config.SplitPortals {
		key.Receiver = login
	}
	return key
}

// messageID names a message. Messages of private chats and basic groups are numbered for
// each account, those of channels for each channel.
func messageID(chat provisioning.ChatID, message int) networkid.MessageID {
	text := strconv.Itoa(message)
	if kind, id, _ := chat.Split(); kind == provisioning.PeerChannel {
		text = strconv.FormatInt(id, 10) + "." + text
	}
	return networkid.MessageID(text)
}

// positive reads a decimal number above zero in the one spelling that it has.
func positive(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == text
}
