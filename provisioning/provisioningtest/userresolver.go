package provisioningtest

import (
	"context"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestUserResolver runs every check of the interface provisioning.UserResolver, which the
// factory's clients have to implement, as a subtest, each on a backend of its own.
func TestUserResolver[B GroupBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, userResolverChecks, func(t *testing.T) GroupBackend { return backend(t) })
}

var userResolverChecks = append([]suiteCheck[GroupBackend]{
	{"by username", "ResolveUser finds a user or bot by a public name.", checkByUsername},
	{"by phone number", "ResolveUser finds a user by a phone number that begins with +, in any usual spelling.", checkByPhone},
	{"contact by ID", "ResolveUser finds somebody whom the account knows from its contacts by their ID.", checkContactByID},
	{"partner by ID", "ResolveUser finds somebody whom the account knows from its chats by their ID.", checkPartnerByID},
	{"by ID again", "ResolveUser finds somebody whom the account knows from earlier calls by their ID.", checkFoundByID},
	{"itself by ID", "ResolveUser finds somebody whom the account knows by their ID: itself as well.", checkItselfByID},
	{"nobody", "ResolveUser returns ErrTelegramUserNotFound: nobody on Telegram has this name, number or ID, or the account can't see who.", checkResolveNobody},
	{"name of a group", "ResolveUser returns ErrNotTelegramUser for the username of a group or channel.", checkNameOfGroup},
	{"nameless user", "A contact's Name is never empty.", checkResolveNameless},
}, usageChecks(clientCalls[GroupBackend]{
	func(b GroupBackend) {
		b.Add(bob)
		account := plainAccount
		account.Contacts = []provisioning.Contact{contactFor(bob)}
		b.Add(account)
	},
	[]clientCall[GroupBackend]{
		resolveCall("ResolveUser by username", provisioning.Identifier{Username: bob.Username}),
		resolveCall("ResolveUser by phone number", provisioning.Identifier{Phone: "+" + bob.Phone}),
		resolveCall("ResolveUser by ID", provisioning.Identifier{ID: bob.ID}),
	},
})...)

func resolveCall(name string, identifier provisioning.Identifier) clientCall[GroupBackend] {
	return clientCall[GroupBackend]{name, logInFirst[GroupBackend], func(ctx context.Context, _ GroupBackend, c provisioning.TelegramClient) error {
		_, err := c.(provisioning.UserResolver).ResolveUser(ctx, identifier)
		return err
	}, nil}
}

// userResolver is a client with UserResolver.
type userResolver interface {
	provisioning.TelegramClient
	provisioning.UserResolver
}

// logInResolver returns the client of an account with some contacts and chats.
func logInResolver(t T, b TelegramBackend, contacts []TelegramAccount, chats ...provisioning.Chat) userResolver {
	t.Helper()
	account := plainAccount
	for _, person := range contacts {
		account.Contacts = append(account.Contacts, contactFor(person))
	}
	account.Chats = chats
	return logInPlain[userResolver](t, b, account)
}

// wantResolved expects to find somebody, by whichever identifiers. Whose phone number may
// be seen is theirs to say, so that it is compared only for contacts.
func wantResolved(t T, c provisioning.UserResolver, want provisioning.Contact, isContact bool, identifiers ...provisioning.Identifier) {
	t.Helper()
	for _, identifier := range identifiers {
		got, err := c.ResolveUser(t.Context(), identifier)
		if err != nil {
			t.Errorf("ResolveUser(%+v): %v", identifier, err)
			continue
		}
		if !isContact {
			got.Phone = want.Phone
		}
		if got != want {
			t.Errorf("ResolveUser(%+v) returned %+v, want %+v", identifier, got, want)
		}
	}
}

func checkByUsername(t T, b GroupBackend) {
	for _, person := range []TelegramAccount{bob, botAccount, guardedAccount} {
		b.Add(person)
	}
	c := logInResolver(t, b, []TelegramAccount{bob})
	wantResolved(t, c, contactFor(bob), true, provisioning.Identifier{Username: "check_bob"}, provisioning.Identifier{Username: "CHECK_Bob"})
	wantResolved(t, c, contactFor(botAccount), false, provisioning.Identifier{Username: botAccount.Username})
	wantResolved(t, c, contactFor(plainAccount), false, provisioning.Identifier{Username: plainAccount.Username})
}

func checkByPhone(t T, b GroupBackend) {
	b.Add(bob)
	b.Add(guardedAccount)
	c := logInResolver(t, b, []TelegramAccount{bob})
	wantResolved(t, c, contactFor(bob), true, provisioning.Identifier{Phone: "+9996613001"}, provisioning.Identifier{Phone: "+999 (66) 13-001"})
	wantResolved(t, c, contactFor(guardedAccount), false, provisioning.Identifier{Phone: "+" + guardedAccount.Phone})
}

func checkContactByID(t T, b GroupBackend) {
	for _, person := range []TelegramAccount{bob, far, botAccount} {
		b.Add(person)
	}
	c := logInResolver(t, b, []TelegramAccount{bob, far, botAccount})
	for _, person := range []TelegramAccount{far, bob, botAccount} {
		wantResolved(t, c, contactFor(person), true, provisioning.Identifier{ID: person.ID}, provisioning.Identifier{ID: person.ID})
	}
}

func checkPartnerByID(t T, b GroupBackend) {
	b.Add(bob)
	c := logInResolver(t, b, nil, provisioning.Chat{ID: provisioning.UserChatID(bob.ID), Title: "Bob Builder"})
	wantResolved(t, c, contactFor(bob), false, provisioning.Identifier{ID: bob.ID})
}

func checkFoundByID(t T, b GroupBackend) {
	b.Add(bob)
	b.Add(guardedAccount)
	c := logInResolver(t, b, nil)
	wantResolved(t, c, contactFor(bob), false, provisioning.Identifier{Username: bob.Username}, provisioning.Identifier{ID: bob.ID})
	wantResolved(t, c, contactFor(guardedAccount), false, provisioning.Identifier{Phone: "+" + guardedAccount.Phone}, provisioning.Identifier{ID: guardedAccount.ID})
	c = clientOf[userResolver](t, b.Open(), userA)
	wantResolved(t, c, contactFor(bob), false, provisioning.Identifier{ID: bob.ID})
}

func checkItselfByID(t T, b GroupBackend) {
	c := logInResolver(t, b, nil)
	wantResolved(t, c, contactFor(plainAccount), false, provisioning.Identifier{ID: plainAccount.ID})
}

func checkResolveNobody(t T, b GroupBackend) {
	b.Add(bob)
	c := logInResolver(t, b, nil)
	for _, identifier := range []provisioning.Identifier{
		{Username: "check_nobody"},
		{Username: "x"},
		{Username: "9check"},
		{Phone: "+9996619999"},
		{Phone: "+1"},
		{Phone: "+check"},
		{ID: nobodysID},
		{ID: bob.ID},
		{ID: 1<<40 - 1},
	} {
		who, err := c.ResolveUser(t.Context(), identifier)
		wantError(t, "ResolveUser for an identifier that is nobody's, or of somebody whom the account does not know", err, provisioning.ErrTelegramUserNotFound)
		if err == nil {
			t.Errorf("ResolveUser(%+v) returned %+v", identifier, who)
		}
	}
}

func checkNameOfGroup(t T, b GroupBackend) {
	b.Add(bob)
	c := logInResolver(t, b, nil)
	for _, group := range groupsOf(plainAccount.ID, bob.ID) {
		if group.ID == provisioning.ChannelChatID(9) {
			group.Members = group.Members[1:] // the account is not in it
		}
		b.AddGroup(group)
		if group.Username == "" {
			continue
		}
		_, err := c.ResolveUser(t.Context(), provisioning.Identifier{Username: group.Username})
		wantError(t, "ResolveUser for the username of a group or channel", err, provisioning.ErrNotTelegramUser)
	}
}

func checkResolveNameless(t T, b GroupBackend) {
	nameless := TelegramAccount{Account: provisioning.Account{ID: 3002, Username: "check_nameless"}}
	b.Add(nameless)
	c := logInResolver(t, b, nil)
	got, err := c.ResolveUser(t.Context(), provisioning.Identifier{Username: nameless.Username})
	if err != nil {
		t.Fatalf("ResolveUser: %v", err)
	}
	if got.ID != nameless.ID || got.Name == "" {
		t.Errorf("ResolveUser returned %+v, want somebody with the ID %d and some name", got, nameless.ID)
	}
}
