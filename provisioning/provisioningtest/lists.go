package provisioningtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestChatLister runs every check of the interface provisioning.ChatLister, which the
// factory's clients have to implement, as a subtest, each on a backend of its own.
func TestChatLister[B TelegramBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, chatListerChecks, func(t *testing.T) TelegramBackend { return backend(t) })
}

// TestContactLister is [TestChatLister] for provisioning.ContactLister.
func TestContactLister[B TelegramBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, contactListerChecks, func(t *testing.T) TelegramBackend { return backend(t) })
}

// TestStickerSetLister is [TestChatLister] for provisioning.StickerSetLister.
func TestStickerSetLister[B TelegramBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, stickerSetListerChecks, func(t *testing.T) TelegramBackend { return backend(t) })
}

var chatListerChecks = append([]suiteCheck[TelegramBackend]{
	{"no chats", "Chats returns every chat of the account's list: none is an empty list and no error.", func(t T, b TelegramBackend) {
		wantChats(t, logInPlain[chatLister](t, b, plainAccount), nil)
	}},
	{"chats", "Chats returns every chat of the account's list, in Telegram's order, with its public name, and whether it is a supergroup.", checkChats},
	{"many chats", "Chats returns every chat of the account's list, each once, in Telegram's order.", checkManyChats},
	{"archived chats", "Chats returns every chat but the archived ones.", checkArchivedChats},
	{"migrated groups", "Chats returns every chat but the basic groups that were migrated to a supergroup.", checkMigratedGroups},
}, usageChecks(clientCalls[TelegramBackend]{
	func(b TelegramBackend) { b.Add(plainAccount) },
	[]clientCall[TelegramBackend]{{"Chats", logInFirst[TelegramBackend], func(ctx context.Context, _ TelegramBackend, c provisioning.TelegramClient) error {
		_, err := c.(provisioning.ChatLister).Chats(ctx, provisioning.ChatQuery{})
		return err
	}, nil}},
})...)

var contactListerChecks = append([]suiteCheck[TelegramBackend]{
	{"no contacts", "Contacts returns all contacts of the account: none is an empty list and no error.", func(t T, b TelegramBackend) {
		wantContacts(t, logInPlain[contactLister](t, b, plainAccount), nil)
	}},
	{"contacts", "Contacts returns all contacts of the account, each once, in any order.", checkContacts},
	{"many contacts", "Contacts returns all contacts of the account, each once, in any order.", checkEveryContact},
	{"nameless contact", "A contact's Name is never empty.", checkNameless},
}, usageChecks(clientCalls[TelegramBackend]{
	func(b TelegramBackend) { b.Add(plainAccount) },
	[]clientCall[TelegramBackend]{{"Contacts", logInFirst[TelegramBackend], func(ctx context.Context, _ TelegramBackend, c provisioning.TelegramClient) error {
		_, err := c.(provisioning.ContactLister).Contacts(ctx, provisioning.ContactQuery{})
		return err
	}, nil}},
})...)

var stickerSetListerChecks = append([]suiteCheck[TelegramBackend]{
	{"no sticker sets", "StickerSets returns the sticker sets that the account has installed: none is an empty list and no error.", func(t T, b TelegramBackend) {
		wantStickerSets(t, logInPlain[stickerSetLister](t, b, plainAccount), nil)
	}},
	{"sticker sets", "StickerSets returns the short names of the sticker sets that the account has installed, in Telegram's order.", checkStickerSets},
}, usageChecks(clientCalls[TelegramBackend]{
	func(b TelegramBackend) { b.Add(plainAccount) },
	[]clientCall[TelegramBackend]{{"StickerSets", logInFirst[TelegramBackend], func(ctx context.Context, _ TelegramBackend, c provisioning.TelegramClient) error {
		_, err := c.(provisioning.StickerSetLister).StickerSets(ctx)
		return err
	}, nil}},
})...)

// Clients that list.
type (
	chatLister interface {
		provisioning.TelegramClient
		provisioning.ChatLister
	}
	contactLister interface {
		provisioning.TelegramClient
		provisioning.ContactLister
	}
	stickerSetLister interface {
		provisioning.TelegramClient
		provisioning.StickerSetLister
	}
)

// logInPlain adds plainAccount, as it is given, and returns the client of a user who is
// logged in to it.
func logInPlain[A any](t T, b TelegramBackend, account TelegramAccount) A {
	t.Helper()
	b.Add(account)
	f := b.Open()
	b.LogIn(userA, account.ID)
	return clientOf[A](t, f, userA)
}

// The people of the checks.
var (
	bob = TelegramAccount{
		Account: provisioning.Account{ID: 3001, Username: "check_bob", FirstName: "Bob", LastName: "Builder", Phone: "9996613001"},
		Code:    "67890", Delivery: provisioning.DeliverySMS, Next: new(provisioning.DeliveryCall),
	}
	// far has an ID as high as they go.
	far = TelegramAccount{Account: provisioning.Account{ID: 1<<40 - 1, FirstName: "Zoë 中 😀"}}
)

func wantChats(t T, c provisioning.ChatLister, want []provisioning.Chat) {
	t.Helper()
	got, err := c.Chats(t.Context(), provisioning.ChatQuery{})
	if err != nil {
		t.Fatalf("Chats: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("Chats returned %d chats, %.300q; want %d, %.300q", len(got), fmt.Sprint(got), len(want), fmt.Sprint(want))
	}
}

// threeChats are one of each kind, and in no order of names or IDs.
func threeChats() []provisioning.Chat {
	return []provisioning.Chat{
		{ID: provisioning.ChannelChatID(7), Title: "News <é 中 😀> \"q\"", Username: "check_news"},
		{ID: provisioning.UserChatID(bob.ID), Title: "Bob Builder", Username: bob.Username},
		{ID: provisioning.ChannelChatID(6), Title: "Supergroup", Megagroup: true},
		{ID: provisioning.BasicGroupChatID(1001), Title: "Family"},
		{ID: provisioning.UserChatID(far.ID), Title: far.FirstName},
		{ID: provisioning.ChannelChatID(997_852_516_352), Title: "A channel whose ID is as high as they go"},
	}
}

func checkChats(t T, b TelegramBackend) {
	b.Add(bob)
	b.Add(far)
	account := plainAccount
	account.Chats = threeChats()
	c := logInPlain[chatLister](t, b, account)
	wantChats(t, c, threeChats())
	wantChats(t, c, threeChats())
}

func checkManyChats(t T, b TelegramBackend) {
	const n = 250 // Telegram gives 100 at once
	account := plainAccount
	for i := range int64(n) {
		chat := provisioning.Chat{ID: provisioning.ChannelChatID(1 + i), Title: fmt.Sprintf("Chat %d", i)}
		if i%3 == 0 {
			chat.ID = provisioning.BasicGroupChatID(1 + i)
		}
		account.Chats = append(account.Chats, chat)
	}
	wantChats(t, logInPlain[chatLister](t, b, account), account.Chats)
}

func checkArchivedChats(t T, b TelegramBackend) {
	b.Add(bob)
	b.Add(far)
	account := plainAccount
	account.Chats = threeChats()
	account.Archived = []provisioning.Chat{
		{ID: provisioning.ChannelChatID(8), Title: "Archived channel"}, {ID: provisioning.BasicGroupChatID(8), Title: "Archived group"},
	}
	wantChats(t, logInPlain[chatLister](t, b, account), threeChats())
}

func checkMigratedGroups(t T, b TelegramBackend) {
	b.Add(bob)
	b.Add(far)
	account := plainAccount
	account.Chats = threeChats()
	account.Migrated = []provisioning.Chat{{ID: provisioning.BasicGroupChatID(9), Title: "News before"}}
	wantChats(t, logInPlain[chatLister](t, b, account), threeChats())
}

// wantContacts expects contacts in any order.
func wantContacts(t T, c provisioning.ContactLister, want []provisioning.Contact) {
	t.Helper()
	got, err := c.Contacts(t.Context(), provisioning.ContactQuery{})
	if err != nil {
		t.Fatalf("Contacts: %v", err)
	}
	byID := map[provisioning.TelegramID]provisioning.Contact{}
	for _, contact := range got {
		byID[contact.ID] = contact
	}
	expected := map[provisioning.TelegramID]provisioning.Contact{}
	for _, contact := range want {
		expected[contact.ID] = contact
	}
	if len(got) != len(want) || !maps.Equal(byID, expected) {
		t.Errorf("Contacts returned %d contacts, %.300q; want %d, %.300q", len(got), fmt.Sprint(got), len(want), fmt.Sprint(want))
	}
}

// contactFor returns what an account is as a contact.
func contactFor(a TelegramAccount) provisioning.Contact {
	name := a.FirstName
	if a.LastName != "" {
		name += " " + a.LastName
	}
	return provisioning.Contact{ID: a.ID, Name: name, Username: a.Username, Phone: a.Phone, IsBot: a.IsBot}
}

func checkContacts(t T, b TelegramBackend) {
	account := plainAccount
	for _, person := range []TelegramAccount{far, bob, botAccount} {
		b.Add(person)
		account.Contacts = append(account.Contacts, contactFor(person))
	}
	account.Contacts[1].PhotoID = 1 << 62
	c := logInPlain[contactLister](t, b, account)
	wantContacts(t, c, account.Contacts)
	wantContacts(t, c, account.Contacts)
}

func checkEveryContact(t T, b TelegramBackend) {
	account := plainAccount
	const n = 300
	for i := range provisioning.TelegramID(n) {
		person := TelegramAccount{Account: provisioning.Account{ID: 5001 + i, FirstName: fmt.Sprintf("Person %d", i)}}
		b.Add(person)
		account.Contacts = append(account.Contacts, contactFor(person))
	}
	wantContacts(t, logInPlain[contactLister](t, b, account), account.Contacts)
}

func checkNameless(t T, b TelegramBackend) {
	nameless := TelegramAccount{Account: provisioning.Account{ID: 3002}}
	b.Add(nameless)
	account := plainAccount
	account.Contacts = []provisioning.Contact{{ID: nameless.ID}}
	got, err := logInPlain[contactLister](t, b, account).Contacts(t.Context(), provisioning.ContactQuery{})
	if err != nil {
		t.Fatalf("Contacts: %v", err)
	}
	if len(got) != 1 || got[0].ID != nameless.ID || got[0].Name == "" {
		t.Errorf("Contacts returned %+v, want somebody with the ID %d and some name", got, nameless.ID)
	}
}

func wantStickerSets(t T, c provisioning.StickerSetLister, want []string) {
	t.Helper()
	got, err := c.StickerSets(t.Context())
	if err != nil {
		t.Fatalf("StickerSets: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("StickerSets returned %q, want %q", got, want)
	}
}

func checkStickerSets(t T, b TelegramBackend) {
	account := plainAccount
	account.StickerSets = []string{"HotCherry", "AnimatedEmojies", "zebra", "Cats"}
	c := logInPlain[stickerSetLister](t, b, account)
	wantStickerSets(t, c, account.StickerSets)
	wantStickerSets(t, c, account.StickerSets)
}
