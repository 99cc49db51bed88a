package provisioning

import "time"

// Account is the Telegram account that a Matrix user is logged in with.
type Account struct {
	// ID is the account's own.
	ID TelegramID
	// Username is without the @, empty for an account that has none.
	Username string
	// FirstName and LastName are as the account's owner wrote them. LastName is
	// often empty.
	FirstName string
	LastName  string
	// Phone is digits without +, empty for bots and where Telegram hides it.
	Phone string
	// IsBot says that this is a bot account, logged in with a bot token.
	IsBot bool
}

// Chat is one chat of an account's list.
type Chat struct {
	// ID is the chat's, of whichever kind.
	ID ChatID
	// Title is the chat's name, possibly empty.
	Title string
	// Username is the public name of the chat, or of the person, without the @, empty where
	// there is none.
	Username string
	// Megagroup says that the chat is a supergroup.
	Megagroup bool
}

// ChatQuery says which chats [ChatLister.Chats] returns. It has no fields yet: a later
// version may add some, whose zero values mean what is returned today. The core searches the
// list, and cuts it into pages.
type ChatQuery struct{}

// ContactQuery says which contacts [ContactLister.Contacts] returns. It has no fields yet:
// a later version may add some, whose zero values mean what is returned today.
type ContactQuery struct{}

// Contact is one person in an account's contact list.
type Contact struct {
	// ID is the person's.
	ID TelegramID
	// Name is the person's full name, never empty.
	Name string
	// Username is without the @, empty where there is none.
	Username string
	// Phone is digits without +, empty where the person hides it.
	Phone string
	IsBot bool
	// PhotoID is Telegram's ID of the person's current photo, 0 where there is none.
	PhotoID int64
}

// ChatInfo is what a group or channel says of itself.
type ChatInfo struct {
	// ID is the chat's, of a group or channel.
	ID    ChatID
	Title string
	// About is the description, often empty.
	About string
	// Username is the public name without the @, empty for private chats.
	Username string
	// Megagroup says that the chat is a supergroup.
	Megagroup bool
	// PhotoID is Telegram's ID of the chat's current photo, 0 where there is none.
	PhotoID int64
	// MigratedFrom is the basic group that the supergroup was, 0 where there was none.
	MigratedFrom ChatID
}

// ChatType is a kind of chat that can be created.
type ChatType int

// The kinds of chats.
const (
	// ChatTypeBasicGroup is a small group, whose members all are told of each other.
	ChatTypeBasicGroup ChatType = iota + 1
	// Supergroup is a group of any size, technically a channel.
	ChatTypeSupergroup
	// Channel is a channel, in which only its administrators write.
	ChatTypeChannel
)

// chatKind is what the API calls a kind of chat, as create_portal does: a direct chat is a "user".
func chatKind(chatID ChatID, megagroup bool) string {
	switch kind, _, _ := chatID.Split(); {
	case megagroup:
		return "supergroup"
	default:
		return string(kind)
	}
}

// NewChat is a chat to be created.
type NewChat struct {
	// Type is which kind of chat it is to be.
	Type ChatType
	// Title is not empty.
	Title string
	// About is the description, possibly empty.
	About string
	// Members are the Telegram user IDs of a basic group's first members, the
	// creator aside. Other chats have none at first.
	Members []TelegramID
}

// CreatedChat is a chat that an account has made.
type CreatedChat struct {
	// ID is the chat's.
	ID ChatID
	// Created is when it was made, and Age how long ago that is, both by Telegram's clock
	// with the precision of seconds.
	Created time.Time
	Age     time.Duration
	// InUse says that somebody has joined it besides the account and the Members of the
	// [NewChat], or that somebody has written there.
	InUse bool
}

// Identifier names somebody on Telegram. Exactly one field is set.
type Identifier struct {
	// Username is a public name without the @.
	Username string
	// Phone is a phone number that begins with +, in any usual spelling.
	Phone string
	// ID is that of somebody whom the account knows: from its contacts,
	// its chats, or earlier calls.
	ID TelegramID
}
