package provisioning

// ChatID names a Telegram chat in the style of Telegram's Bot API, the form in
// which chats stand everywhere in the HTTP API: users are positive, basic groups
// are -id, channels and supergroups are -(10^12 + id).
//
// https://core.telegram.org/api/bots/ids
type ChatID int64

// channelOffset separates channels from basic groups in a [ChatID].
const channelOffset = 1_000_000_000_000

// UserChatID returns the chat with the user of the given MTProto ID.
func UserChatID(id int64) ChatID { return ChatID(id) }

// BasicGroupChatID returns the basic group of the given MTProto ID.
func BasicGroupChatID(id int64) ChatID { return ChatID(-id) }

// ChannelChatID returns the channel or supergroup of the given MTProto ID.
func ChannelChatID(id int64) ChatID { return ChatID(-channelOffset - id) }
