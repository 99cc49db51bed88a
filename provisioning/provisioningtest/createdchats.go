package provisioningtest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestCreatedChatLister runs every check of the interface provisioning.CreatedChatLister,
// which the factory's clients have to implement together with provisioning.ChatCreator, as a
// subtest, each on a backend of its own. The clock of its Telegram has to be right.
func TestCreatedChatLister[B CreatorBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, createdChatChecks, func(t *testing.T) CreatorBackend { return backend(t) })
}

var createdChatChecks = append([]suiteCheck[CreatorBackend]{
	{"created", "CreatedChats returns the chats that the account has made.", checkCreated},
	{"date and age", "Created is when it was made, and Age how long ago that is.", checkCreatedAge},
	{"since", "CreatedChats returns the chats that the account has made since a time, to the second.", checkCreatedSince},
	{"type and title", "They have the type and the title of the given one.", checkCreatedAs},
	{"long titles", "They have the title of the given one, as far as Telegram has taken that.", checkCreatedLongTitle},
	{"another's", "The account has made them, and owns them.", checkCreatedByOthers},
	{"deleted", "Chats that are gone are not among them.", checkCreatedDeleted},
	{"in use", "InUse says that somebody has joined it besides the account and the Members, or that somebody has written there.", checkCreatedInUse},
}, usageChecks(clientCalls[CreatorBackend]{
	addCreator,
	[]clientCall[CreatorBackend]{{"CreatedChats", logInFirst[CreatorBackend], func(ctx context.Context, _ CreatorBackend, c provisioning.TelegramClient) error {
		_, err := c.(provisioning.CreatedChatLister).CreatedChats(ctx, newChats()[0], time.Now().Add(-time.Hour))
		return err
	}, nil}},
})...)

// createdLister is a client with ChatCreator and CreatedChatLister.
type createdLister interface {
	chatCreator
	provisioning.CreatedChatLister
}

func logInLister(t T, b CreatorBackend) createdLister {
	t.Helper()
	return logInCreator(t, b).(createdLister)
}

// createdChats calls CreatedChats.
func createdChats(t T, c provisioning.CreatedChatLister, chat provisioning.NewChat, since time.Time) []provisioning.CreatedChat {
	t.Helper()
	made, err := c.CreatedChats(t.Context(), chat, since)
	if err != nil {
		t.Fatalf("CreatedChats(%q): %v", chat.Title, err)
	}
	return made
}

// wantCreated expects CreatedChats to return some chats, in any order, of the last day.
func wantCreated(t T, c provisioning.CreatedChatLister, chat provisioning.NewChat, want ...provisioning.ChatID) {
	t.Helper()
	var got []provisioning.ChatID
	for _, made := range createdChats(t, c, chat, time.Now().Add(-24*time.Hour)) {
		got = append(got, made.ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("CreatedChats of the type %d and the title %q returned %d, want %d", chat.Type, chat.Title, got, want)
	}
}

// madeGroups returns a chat of each of newChats, made by the account some time ago with the
// members that were named.
func madeGroups(ago time.Duration) (groups []TelegramGroup) {
	for i, chat := range newChats() {
		g := TelegramGroup{
			ChatInfo: provisioning.ChatInfo{Title: chat.Title, Megagroup: chat.Type == provisioning.ChatTypeSupergroup},
			Members:  append([]provisioning.TelegramID{plainAccount.ID}, chat.Members...),
			Created:  time.Now().Add(-ago).Truncate(time.Second),
		}
		g.ID = provisioning.ChannelChatID(int64(500 + i))
		if chat.Type == provisioning.ChatTypeBasicGroup {
			g.ID = provisioning.BasicGroupChatID(int64(500 + i))
		}
		groups = append(groups, g)
	}
	return groups
}

func checkCreated(t T, b CreatorBackend) {
	c := logInLister(t, b)
	for _, chat := range newChats() {
		wantCreated(t, c, chat)
		before := time.Now().Truncate(time.Second)
		info := createChat(t, c, chat)
		made := createdChats(t, c, chat, before)
		after := time.Now()
		if len(made) != 1 || made[0].ID != info.ID || made[0].InUse {
			t.Fatalf("CreatedChats of a new chat %d returned %+v", info.ID, made)
		}
		if m := made[0]; m.Created.Before(before) || m.Created.After(after) || m.Age < 0 || m.Age > after.Sub(before)+time.Second {
			t.Errorf("a chat made between %s and %s was made at %s, %s ago", before, after, m.Created, m.Age)
		}
		wantCreated(t, c, chat, info.ID, createChat(t, c, chat).ID)
	}
}

func checkCreatedAge(t T, b CreatorBackend) {
	c := logInLister(t, b)
	for i, group := range madeGroups(time.Hour) {
		b.AddGroup(group)
		made := createdChats(t, c, newChats()[i], group.Created)
		most := time.Since(group.Created)
		if len(made) != 1 || made[0].ID != group.ID || !made[0].Created.Equal(group.Created) {
			t.Fatalf("CreatedChats of a chat %d that was made at %s returned %+v", group.ID, group.Created, made)
		}
		if m := made[0]; m.Age < time.Hour-time.Second || m.Age > most+time.Second {
			t.Errorf("a chat made %s ago has the age %s", most, m.Age)
		}
	}
}

func checkCreatedSince(t T, b CreatorBackend) {
	c := logInLister(t, b)
	for i, group := range madeGroups(time.Hour) {
		b.AddGroup(group)
		for since, want := range map[time.Time]int{
			group.Created.Add(-time.Second): 1, group.Created: 1, group.Created.Add(time.Second - 1): 1, group.Created.Add(time.Second): 0,
		} {
			if made := createdChats(t, c, newChats()[i], since); len(made) != want {
				t.Errorf("CreatedChats since %s, of a chat that was made at %s, returned %d chats, want %d", since, group.Created, len(made), want)
			}
		}
	}
}

func checkCreatedAs(t T, b CreatorBackend) {
	c := logInLister(t, b)
	var ids []provisioning.ChatID
	for _, group := range madeGroups(time.Minute) {
		group.Title = "One title"
		b.AddGroup(group)
		ids = append(ids, group.ID)
	}
	for i, chat := range newChats() {
		wantCreated(t, c, chat)
		chat.Title = "One title"
		wantCreated(t, c, chat, ids[i])
		for _, other := range []string{"One", "One title more", "one title"} {
			chat.Title = other
			wantCreated(t, c, chat)
		}
	}
}

func checkCreatedLongTitle(t T, b CreatorBackend) {
	c := logInLister(t, b)
	for _, chat := range newChats() {
		for _, title := range []string{strings.Repeat("ä", 300), strings.Repeat("😀", 100), strings.Repeat("a b ", 50) + "c"} {
			chat.Title = title
			wantCreated(t, c, chat, createChat(t, c, chat).ID)
		}
	}
}

func checkCreatedByOthers(t T, b CreatorBackend) {
	c := logInLister(t, b)
	for i, group := range madeGroups(time.Minute) {
		group.Members = []provisioning.TelegramID{bob.ID, plainAccount.ID}
		b.AddGroup(group)
		wantCreated(t, c, newChats()[i])
	}
}

func checkCreatedDeleted(t T, b CreatorBackend) {
	c := logInLister(t, b)
	for _, chat := range newChats() {
		stays, gone := createChat(t, c, chat), createChat(t, c, chat)
		if err := c.DeleteChat(t.Context(), gone.ID); err != nil {
			t.Fatalf("DeleteChat(%d): %v", gone.ID, err)
		}
		wantCreated(t, c, chat, stays.ID)
	}
}

func checkCreatedInUse(t T, b CreatorBackend) {
	c := logInLister(t, b)
	for i, group := range madeGroups(time.Minute) {
		joined, written := group, group
		joined.Members = append(slices.Clone(group.Members), shy.ID)
		written.Written = true
		for _, use := range []struct {
			what  string
			group TelegramGroup
			want  bool
		}{{"that is as it was made", group, false}, {"that somebody has joined", joined, true}, {"with a message", written, true}} {
			b.AddGroup(use.group)
			made := createdChats(t, c, newChats()[i], group.Created)
			if len(made) != 1 || made[0].InUse != use.want {
				t.Errorf("CreatedChats of a chat %s returned %+v, want it with InUse %t", use.what, made, use.want)
			}
		}
	}
}
