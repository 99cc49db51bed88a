package telegramtest_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Who is told of a migrated group, and what becomes of it.
func TestMigrateChat(t *testing.T) {
	options := withMore()
	options.StateFile = filepath.Join(t.TempDir(), "state.json")
	options.Chats = []telegramtest.Chat{
		{
			Kind: telegramtest.KindBasicGroup, ID: 51, Title: "Engines", About: "Which work", Owner: ada.ID, Admins: []int64{linus.ID},
			Members: []int64{helper.ID}, Photo: telegramtest.Photo{ID: 3},
		},
		{Kind: telegramtest.KindBasicGroup, ID: 52, Title: "Ours", Owner: ada.ID, Members: []int64{linus.ID}},
	}
	s := newServer(t, options)
	c, other := start(t, s).logIn(ada), start(t, s).logIn(linus)
	require.NoError(t, other.self())

	to, err := s.MigrateChat(51)
	require.NoError(t, err)
	super, ok := s.Chat(telegramtest.KindSupergroup, to)
	require.True(t, ok)
	assert.Equal(t, telegramtest.Chat{
		Kind: telegramtest.KindSupergroup, ID: to, Title: "Engines", About: "Which work", Owner: ada.ID, Admins: []int64{linus.ID},
		Members: []int64{ada.ID, linus.ID, helper.ID}, MigratedFrom: 51, Photo: telegramtest.Photo{ID: 3},
	}, super)
	group, ok := s.Chat(telegramtest.KindBasicGroup, 51)
	require.True(t, ok)
	assert.Empty(t, group.Members)

	told := (<-other.updates).(*tg.Updates)
	assert.Equal(t, &tg.MessageActionChatMigrateTo{ChannelID: to}, told.Updates[1].(*tg.UpdateNewMessage).Message.(*tg.MessageService).Action)
	assert.Len(t, told.Chats, 2)

	page := getDialogs(t, other, func(*tg.MessagesGetDialogsRequest) {})
	assert.Equal(t, []string{"Engines", "Engines", "Ours"}, other.titles())
	channel := page.GetChats()[0].(*tg.Channel)
	assert.Equal(t, []any{to, true}, []any{channel.ID, channel.Megagroup})
	old := page.GetChats()[1].(*tg.Chat)
	assert.Equal(t, []any{true, int64(51), any(channel.AsInput())}, []any{old.Deactivated, old.ID, any(old.MigratedTo)})
	full, err := other.API().MessagesGetFullChat(t.Context(), 51)
	require.NoError(t, err)
	assert.Equal(t, old, full.Chats[0])
	full, err = other.API().ChannelsGetFullChannel(t.Context(), channel.AsInput())
	require.NoError(t, err)
	assert.Equal(t, int64(51), full.FullChat.(*tg.ChannelFull).MigratedFromChatID)
	_, err = other.API().MessagesEditChatAbout(t.Context(), &tg.MessagesEditChatAboutRequest{Peer: &tg.InputPeerChat{ChatID: 51}, About: "No"})
	rpcError(t, err, 400, "CHAT_ID_INVALID")

	// As a client does it.
	_, err = other.API().MessagesMigrateChat(t.Context(), 52)
	rpcError(t, err, 403, "CHAT_ADMIN_REQUIRED")
	answer, err := c.API().MessagesMigrateChat(t.Context(), 52)
	require.NoError(t, err)
	assert.Equal(t, to+1, answer.(*tg.Updates).Chats[1].GetID())
	_, err = s.MigrateChat(52)
	require.ErrorContains(t, err, "migrated before")
	_, err = s.MigrateChat(404)
	require.ErrorContains(t, err, "there is no basic group 404")

	before := s.Chats()
	require.NoError(t, s.Close())
	s = newServer(t, options)
	assert.Equal(t, before, s.Chats())
}

// A dialog that gets a message while a client pages through all of them is missed by it,
// unless it looks at the first page again.
func TestDialogsMove(t *testing.T) {
	list, want := manyDialogs(250)
	list[0].Pinned = true
	reader := telegramtest.Account{ID: 1020, Phone: "9996610020", FirstName: "Reader", Dialogs: list}
	writer := telegramtest.Account{ID: 1021, FirstName: "Writer"}
	s := newServer(t, telegramtest.Config{Accounts: []telegramtest.Account{reader, writer}})
	c := start(t, s).logIn(reader)
	write := func(m telegramtest.Message) {
		m.From, m.Text = writer.ID, "new"
		require.NoError(t, s.SendMessage(m))
	}
	super := list[202]
	require.Equal(t, telegramtest.KindSupergroup, super.Kind)
	require.NoError(t, s.PutDialog(writer.ID, telegramtest.Dialog{Kind: super.Kind, ID: super.ID}))

	first := getDialogs(t, c, func(*tg.MessagesGetDialogsRequest) {})
	require.Equal(t, want[:100], first.names(t))
	write(telegramtest.Message{Kind: super.Kind, Chat: super.ID})
	write(telegramtest.Message{Kind: telegramtest.KindUser, Chat: reader.ID})
	var rest []string
	for page := first; len(page.GetDialogs()) == 100; {
		page = getDialogs(t, c, page.next)
		rest = append(rest, page.names(t)...)
	}
	assert.Equal(t, slices.Delete(slices.Clone(want), 202, 203)[100:], rest)
	again := getDialogs(t, c, func(*tg.MessagesGetDialogsRequest) {})
	moved := []string{want[0], "1 1021", want[202]}
	assert.Equal(t, append(moved, want[1:98]...), again.names(t))
	assert.Equal(t, 252-1, again.count)

	// However many there are in a second, the last comes first.
	for range 5 {
		write(telegramtest.Message{Kind: telegramtest.KindUser, Chat: reader.ID})
		write(telegramtest.Message{Kind: super.Kind, Chat: super.ID})
		again = getDialogs(t, c, func(q *tg.MessagesGetDialogsRequest) { q.Limit = 3 })
		assert.Equal(t, []string{want[0], want[202], "1 1021"}, again.names(t))
	}
}
