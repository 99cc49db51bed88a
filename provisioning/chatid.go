package provisioning

// ChatID names a Telegram chat in the style of Telegram's Bot API, the form in
// which chats stand everywhere in the HTTP API: users are positive, basic groups
// are -id, channels and supergroups are -(10^12 + id). The ranges do not overlap:
// the number says which it is.
//
// https://core.telegram.org/api/bots/ids
type ChatID int64

const (
	// channelOffset separates channels from basic groups in a [ChatID].
	channelOffset = 1_000_000_000_000

	// The largest MTProto IDs.
	maxUserID       = 1<<40 - 1
	maxBasicGroupID = channelOffset - 1
	maxChannelID    = 997_852_516_352
	// Behind the channels, and a range that secret chats have in applications, lie
	// the monoforums, which are channels too.
	minMonoforumID = 1_002_147_483_649
	maxMonoforumID = 3_000_000_000_000
)

// TelegramID is Telegram's ID of a user, which may be a bot: the ID of the MTProto API,
// positive. Those of Matrix users are [id.UserID].
//
// https://core.telegram.org/api/bots/ids
type TelegramID int64

// UserChatID returns the direct chat with a user.
func UserChatID(id TelegramID) ChatID { return ChatID(id) }

// BasicGroupChatID returns the basic group of the given MTProto ID.
func BasicGroupChatID(id int64) ChatID { return ChatID(-id) }

// ChannelChatID returns the channel or supergroup of the given MTProto ID.
func ChannelChatID(id int64) ChatID { return ChatID(-channelOffset - id) }

// PeerType is the kind of a chat, by the names that the API gives them.
type PeerType string

// The kinds of chats. A supergroup is technically a channel.
const (
	PeerUser    PeerType = "user"
	PeerChat    PeerType = "chat"
	PeerChannel PeerType = "channel"
)

// Split returns the kind of the chat and its MTProto ID, and false when the number
// is in no range.
func (c ChatID) Split() (kind PeerType, id int64, ok bool) {
	switch {
	case c > 0:
		return PeerUser, int64(c), c <= maxUserID
	case c >= -maxBasicGroupID:
		return PeerChat, int64(-c), c != 0
	case c >= -channelOffset-maxMonoforumID:
		id = int64(-c) - channelOffset
		return PeerChannel, id, 0 < id && id <= maxChannelID || minMonoforumID <= id
	}
	return "", 0, false
}
