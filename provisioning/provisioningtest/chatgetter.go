package provisioningtest

import (
	"context"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// GroupBackend is what [TestChatGetter] and [TestUserResolver] need.
type GroupBackend interface {
	// TelegramBackend is what all suites need.
	TelegramBackend
	// AddGroup makes a group or channel exist, whose members are accounts that were added
	// before.
	AddGroup(group TelegramGroup)
}

// TestChatGetter runs every check of the interface provisioning.ChatGetter, which the
// factory's clients have to implement, as a subtest, each on a backend of its own.
func TestChatGetter[B GroupBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, chatGetterChecks, func(t *testing.T) GroupBackend { return backend(t) })
}

var chatGetterChecks = append([]suiteCheck[GroupBackend]{
	{"groups and channels", "GetChat returns a group or a channel that the account is in.", checkGetChat},
	{"no such chat", "GetChat returns ErrNotInChat, also for a chat that does not exist.", checkNoSuchChat},
	{"no group", "GetChat returns a group or a channel, and ErrNotInChat for anything else.", checkNoGroup},
	{"not in the chat", "GetChat returns ErrNotInChat, whether anybody could join the chat or not.", checkNotInChat},
	{"banned from the chat", "GetChat returns ErrNotInChat, also for a chat that the account was banned from.", checkBannedFromChat},
	{"migrated group", "In place of a basic group that has become a supergroup, GetChat returns the supergroup.", checkGetMigrated},
}, usageChecks(clientCalls[GroupBackend]{
	func(b GroupBackend) {
		b.Add(plainAccount)
		for _, group := range groupsOf(plainAccount.ID)[:2] {
			b.AddGroup(group)
		}
	},
	[]clientCall[GroupBackend]{
		getChatCall("GetChat of a basic group", groupsOf()[0].ID),
		getChatCall("GetChat of a supergroup", groupsOf()[1].ID),
	},
})...)

func getChatCall(name string, chatID provisioning.ChatID) clientCall[GroupBackend] {
	return clientCall[GroupBackend]{name, logInFirst[GroupBackend], func(ctx context.Context, _ GroupBackend, c provisioning.TelegramClient) error {
		_, err := c.(provisioning.ChatGetter).GetChat(ctx, chatID)
		return err
	}, nil}
}

// chatGetter is a client with ChatGetter.
type chatGetter interface {
	provisioning.TelegramClient
	provisioning.ChatGetter
}

// groupsOf returns a basic group, a supergroup and a channel with some members, and more
// of them.
func groupsOf(members ...provisioning.TelegramID) []TelegramGroup {
	return []TelegramGroup{
		{ChatInfo: provisioning.ChatInfo{ID: provisioning.BasicGroupChatID(1001), Title: "Family", About: "Us"}, Members: members},
		{ChatInfo: provisioning.ChatInfo{
			ID: provisioning.ChannelChatID(7), Title: "Talk <é 中 😀> \"q\"", About: "All\nof it", Username: "check_talk", Megagroup: true, PhotoID: 1 << 62,
		}, Members: members},
		{ChatInfo: provisioning.ChatInfo{ID: provisioning.ChannelChatID(997_852_516_352), Title: "News"}, Members: members},
		{ChatInfo: provisioning.ChatInfo{ID: provisioning.BasicGroupChatID(999_999_999_999), Title: "Club", PhotoID: 5}, Members: members},
		{ChatInfo: provisioning.ChatInfo{ID: provisioning.ChannelChatID(8), Title: "Private talk", Megagroup: true}, Members: members},
		{ChatInfo: provisioning.ChatInfo{ID: provisioning.ChannelChatID(9), Title: "Public news", Username: "check_news"}, Members: members},
	}
}

// logInWithBob adds bob and returns the client of a user who is logged in to plainAccount.
func logInWithBob[A any](t T, b TelegramBackend) A {
	t.Helper()
	b.Add(bob)
	return logInPlain[A](t, b, plainAccount)
}

func checkGetChat(t T, b GroupBackend) {
	c := logInWithBob[chatGetter](t, b)
	for i, group := range groupsOf(plainAccount.ID, bob.ID) {
		if i%2 == 1 {
			group.Members = []provisioning.TelegramID{bob.ID, plainAccount.ID}
		}
		b.AddGroup(group)
		for range 2 {
			got, err := c.GetChat(t.Context(), group.ID)
			if err != nil {
				t.Fatalf("GetChat(%d): %v", group.ID, err)
			}
			if got != group.ChatInfo {
				t.Errorf("GetChat(%d) returned %+v, want %+v", group.ID, got, group.ChatInfo)
			}
		}
	}
}

// wantNotInChat expects GetChat to return ErrNotInChat.
func wantNotInChat(t T, c provisioning.ChatGetter, chatID provisioning.ChatID, what string) {
	t.Helper()
	info, err := c.GetChat(t.Context(), chatID)
	wantError(t, "GetChat of "+what, err, provisioning.ErrNotInChat)
	if err == nil {
		t.Errorf("GetChat of %s returned %+v", what, info)
	}
}

func checkNoSuchChat(t T, b GroupBackend) {
	c := logInWithBob[chatGetter](t, b)
	wantNotInChat(t, c, provisioning.BasicGroupChatID(404), "a basic group that does not exist")
	wantNotInChat(t, c, provisioning.ChannelChatID(404), "a channel that does not exist")
}

func checkNoGroup(t T, b GroupBackend) {
	c := logInWithBob[chatGetter](t, b)
	for _, chatID := range []provisioning.ChatID{
		provisioning.UserChatID(bob.ID), provisioning.UserChatID(plainAccount.ID), provisioning.UserChatID(404), 0, -1 << 63, 1<<63 - 1,
	} {
		wantNotInChat(t, c, chatID, "what is no group")
	}
}

func checkNotInChat(t T, b GroupBackend) {
	c := logInWithBob[chatGetter](t, b)
	for _, group := range groupsOf(bob.ID) {
		b.AddGroup(group)
		wantNotInChat(t, c, group.ID, "somebody else's "+group.Title)
	}
}

func checkBannedFromChat(t T, b GroupBackend) {
	c := logInWithBob[chatGetter](t, b)
	for _, group := range groupsOf(bob.ID) {
		group.Banned = []provisioning.TelegramID{plainAccount.ID}
		b.AddGroup(group)
		wantNotInChat(t, c, group.ID, "a chat that the account was banned from, "+group.Title)
	}
}

func checkGetMigrated(t T, b GroupBackend) {
	c := logInWithBob[chatGetter](t, b)
	group := supergroupOf(10, plainAccount.ID, bob.ID)
	b.AddGroup(group)
	for _, chatID := range []provisioning.ChatID{group.MigratedFrom, group.ID} {
		if got, err := c.GetChat(t.Context(), chatID); err != nil || got != group.ChatInfo {
			t.Errorf("GetChat(%d) returned %+v, %v; want %+v", chatID, got, err, group.ChatInfo)
		}
	}
	others := supergroupOf(11, bob.ID)
	b.AddGroup(others)
	wantNotInChat(t, c, others.MigratedFrom, "a basic group that has become somebody else's supergroup")
}
