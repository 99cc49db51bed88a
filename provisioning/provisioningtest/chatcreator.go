package provisioningtest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// CreatorBackend is what [TestChatCreator] needs.
type CreatorBackend interface {
	// GroupBackend has groups and channels.
	GroupBackend
	// Group returns a group or channel as it is on Telegram, and false where there is
	// none.
	Group(chatID provisioning.ChatID) (TelegramGroup, bool)
}

// TestChatCreator runs every check of the interface provisioning.ChatCreator, which the
// factory's clients have to implement, as a subtest, each on a backend of its own.
func TestChatCreator[B CreatorBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, chatCreatorChecks, func(t *testing.T) CreatorBackend { return backend(t) })
}

var chatCreatorChecks = append([]suiteCheck[CreatorBackend]{
	{"create", "CreateChat makes a chat.", checkCreateChat},
	{"owner", "CreateChat makes a chat, of which the account is the owner.", checkOwner},
	{"members left out", "Of a basic group's members those that the account can't invite are left out.", checkLeftOut},
	{"too few members", "CreateChat returns ErrTooFewMembers: a chat of this kind needs more members.", checkTooFew},
	{"invalid description", "CreateChat returns ErrNewChatInvalid: Telegram does not take the title or the description.", checkNewChatInvalid},
	{"invite", "InviteToChat adds members to a chat.", checkInviteToChat},
	{"invite members", "InviteToChat adds members to a chat, except those that are in it already.", checkInviteMembers},
	{"missing", "InviteToChat returns those that could not be added, because the account does not know them or they don't let it; they are no error.", checkMissing},
	{"invite elsewhere", "InviteToChat returns ErrNotInChat.", checkInviteElsewhere},
	{"delete", "DeleteChat deletes a chat that the account owns, for everybody.", checkDelete},
	{"delete elsewhere", "DeleteChat returns ErrNotInChat.", checkDeleteElsewhere},
	{"delete another's", "DeleteChat deletes a chat that the account owns, and no other.", checkDeleteAnothers},
}, usageChecks(creatorCalls())...)

// creatorCalls are the calls of ChatCreator. The chat that DeleteChat deletes is there
// again after each call.
func creatorCalls() clientCalls[CreatorBackend] {
	group := groupsOf(plainAccount.ID, bob.ID)[1]
	return clientCalls[CreatorBackend]{addCreator, []clientCall[CreatorBackend]{
		{"CreateChat", logInFirst[CreatorBackend], func(ctx context.Context, _ CreatorBackend, c provisioning.TelegramClient) error {
			_, err := c.(provisioning.ChatCreator).CreateChat(ctx, newChats()[1])
			return err
		}, nil},
		{"InviteToChat", logInFirst[CreatorBackend], func(ctx context.Context, b CreatorBackend, c provisioning.TelegramClient) error {
			b.AddGroup(group)
			_, err := c.(provisioning.ChatCreator).InviteToChat(ctx, group.ID, []provisioning.TelegramID{far.ID})
			return err
		}, nil},
		{"DeleteChat", logInFirst[CreatorBackend], func(ctx context.Context, b CreatorBackend, c provisioning.TelegramClient) error {
			b.AddGroup(group)
			return c.(provisioning.ChatCreator).DeleteChat(ctx, group.ID)
		}, nil},
	}}
}

// chatCreator is a client with ChatCreator.
type chatCreator interface {
	provisioning.TelegramClient
	provisioning.ChatCreator
}

// The people who can't be invited.
var (
	// shy is a contact who lets nobody add them to groups.
	shy = TelegramAccount{Account: provisioning.Account{ID: 3003, FirstName: "Shy"}, NoInvites: true}
	// unknown is somebody whom nobody knows.
	unknown = TelegramAccount{Account: provisioning.Account{ID: 3004, FirstName: "Unknown"}}
)

// nobodysID is no account's.
const nobodysID provisioning.TelegramID = 404

// addCreator adds plainAccount and the people of the checks, some of whom it knows.
func addCreator(b CreatorBackend) {
	account := plainAccount
	for _, person := range []TelegramAccount{bob, far, botAccount, shy} {
		b.Add(person)
		account.Contacts = append(account.Contacts, contactFor(person))
	}
	b.Add(unknown)
	b.Add(account)
}

func logInCreator(t T, b CreatorBackend) chatCreator {
	t.Helper()
	f := b.Open()
	addCreator(b)
	b.LogIn(userA, plainAccount.ID)
	return clientOf[chatCreator](t, f, userA)
}

// newChats are one chat of each kind.
func newChats() []provisioning.NewChat {
	return []provisioning.NewChat{
		{Type: provisioning.ChatTypeBasicGroup, Title: "Club", About: "All\nof us", Members: []provisioning.TelegramID{bob.ID, far.ID}},
		{Type: provisioning.ChatTypeSupergroup, Title: "Talk <é 中 😀> \"q\"", About: strings.Repeat("ä", 255)},
		{Type: provisioning.ChatTypeChannel, Title: "News"},
	}
}

func createChat(t T, c provisioning.ChatCreator, chat provisioning.NewChat) provisioning.ChatInfo {
	t.Helper()
	info, err := c.CreateChat(t.Context(), chat)
	if err != nil {
		t.Fatalf("CreateChat(%q): %v", chat.Title, err)
	}
	return info
}

// wantGroup expects a chat to be so on Telegram, with these members in any order.
func wantGroup(t T, b CreatorBackend, want provisioning.ChatInfo, members ...provisioning.TelegramID) {
	t.Helper()
	got, ok := b.Group(want.ID)
	if !ok {
		t.Errorf("on Telegram there is no chat %d", want.ID)
		return
	}
	if got.ChatInfo != want {
		t.Errorf("on Telegram there is %+v, want %+v", got.ChatInfo, want)
	}
	if !sameIDs(got.Members, members) {
		t.Errorf("the members of chat %d are %v, want %v", want.ID, got.Members, members)
	}
}

func sameIDs(a, b []provisioning.TelegramID) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func checkCreateChat(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chat := range newChats() {
		info := createChat(t, c, chat)
		kind, _, _ := info.ID.Split()
		wantKind := provisioning.PeerChannel
		if chat.Type == provisioning.ChatTypeBasicGroup {
			wantKind = provisioning.PeerChat
		}
		want := provisioning.ChatInfo{ID: info.ID, Title: chat.Title, About: chat.About, Megagroup: chat.Type == provisioning.ChatTypeSupergroup}
		if kind != wantKind || info != want {
			t.Errorf("CreateChat(%+v) returned %+v", chat, info)
		}
		wantGroup(t, b, want, append([]provisioning.TelegramID{plainAccount.ID}, chat.Members...)...)
	}
}

func checkOwner(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chat := range newChats() {
		group, ok := b.Group(createChat(t, c, chat).ID)
		if !ok || len(group.Members) == 0 || group.Members[0] != plainAccount.ID {
			t.Errorf("the owner of %q, and the other members, are %v; want %d first", chat.Title, group.Members, plainAccount.ID)
		}
	}
}

func checkLeftOut(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for i, others := range [][]provisioning.TelegramID{
		{shy.ID}, {unknown.ID}, {nobodysID}, {bob.ID}, {plainAccount.ID}, {nobodysID, shy.ID, unknown.ID, bob.ID, plainAccount.ID},
	} {
		chat := newChats()[0]
		chat.Members = append(others, chat.Members...)
		if i%2 == 0 {
			slices.Reverse(chat.Members)
		}
		info := createChat(t, c, chat)
		wantGroup(t, b, info, plainAccount.ID, bob.ID, far.ID)
	}
}

func checkTooFew(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, members := range [][]provisioning.TelegramID{nil, {plainAccount.ID}, {nobodysID}, {unknown.ID, nobodysID}} {
		_, err := c.CreateChat(t.Context(), provisioning.NewChat{Type: provisioning.ChatTypeBasicGroup, Title: "Club", Members: members})
		wantError(t, "CreateChat of a basic group without anybody who can be invited", err, provisioning.ErrTooFewMembers)
	}
}

func checkNewChatInvalid(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chat := range newChats() {
		tooLong, blank := chat, chat
		tooLong.About = strings.Repeat("ä", 256)
		blank.Title = " \n"
		_, err := c.CreateChat(t.Context(), tooLong)
		wantError(t, "CreateChat with a description of 256 characters", err, provisioning.ErrNewChatInvalid)
		_, err = c.CreateChat(t.Context(), blank)
		wantError(t, "CreateChat with a blank title", err, provisioning.ErrNewChatInvalid)
	}
}
