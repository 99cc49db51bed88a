package provisioning

// Account is the Telegram account that a Matrix user is logged in with.
type Account struct {
	// ID is Telegram's user ID, positive.
	ID int64
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
}

// Contact is one person in an account's contact list.
type Contact struct {
	// ID is Telegram's user ID.
	ID int64
	// Name is the person's full name, never empty.
	Name string
	// Username is without the @, empty where there is none.
	Username string
	// Phone is digits without +, empty where the person hides it.
	Phone string
	IsBot bool
}
