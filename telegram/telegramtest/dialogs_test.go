package telegramtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gotd/td/telegram/query"
	"github.com/gotd/td/telegram/query/dialogs"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

var epoch = time.Unix(0, 0)

// manyDialogs are dialogs of every kind, from the newest to the oldest.
func manyDialogs(n int) (list []telegramtest.Dialog, want []string) {
	for i := range n {
		id := int64(i + 1)
		d := telegramtest.Dialog{ID: id, Title: fmt.Sprint("Chat ", id), Kind: telegramtest.DialogKind(i%4 + 1)}
		list, want = append(list, d), append(want, fmt.Sprintf("%d %d", d.Kind, id))
	}
	return list, want
}

// page is an answer to messages.getDialogs.
type page struct {
	tg.ModifiedMessagesDialogs
	count int // of a slice; -1 for a whole list
}

func getDialogs(t *testing.T, c *client, set func(q *tg.MessagesGetDialogsRequest)) page {
	t.Helper()
	q := &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}, Limit: 100}
	set(q)
	answer, err := c.API().MessagesGetDialogs(t.Context(), q)
	require.NoError(t, err)
	modified, ok := answer.AsModified()
	require.True(t, ok)
	p := page{modified, -1}
	if slice, ok := answer.(*tg.MessagesDialogsSlice); ok {
		p.count = slice.Count
	}
	return p
}

// names lists the dialogs of a page by kind and ID, and checks that everything that
// belongs to them is there, once.
func (p page) names(t *testing.T) (names []string) {
	t.Helper()
	kinds := map[string]telegramtest.DialogKind{}
	for _, chat := range p.GetChats() {
		switch chat := chat.(type) {
		case *tg.Channel:
			kinds[(&tg.PeerChannel{ChannelID: chat.ID}).String()] = channelKind(chat.Megagroup)
		case *tg.ChannelForbidden:
			kinds[(&tg.PeerChannel{ChannelID: chat.ID}).String()] = channelKind(chat.Megagroup)
		default:
			kinds[(&tg.PeerChat{ChatID: chat.GetID()}).String()] = telegramtest.KindBasicGroup
		}
	}
	for _, user := range p.GetUsers() {
		kinds[(&tg.PeerUser{UserID: user.GetID()}).String()] = telegramtest.KindUser
	}
	messages := map[string]int{}
	for _, message := range p.GetMessages() {
		m, ok := message.(*tg.Message)
		require.True(t, ok)
		messages[m.PeerID.String()] = m.ID
	}
	assert.Len(t, p.GetDialogs(), len(kinds))
	for _, dialog := range p.GetDialogs() {
		require.Equal(t, messages[peerOf(dialog).String()], dialog.(interface{ GetTopMessage() int }).GetTopMessage())
		id := peerID(peerOf(dialog))
		switch d := dialog.(type) {
		case *tg.Dialog:
			kind, ok := kinds[d.Peer.String()]
			require.True(t, ok)
			names = append(names, fmt.Sprintf("%d %d", kind, id))
		case *tg.DialogFolder:
			names = append(names, fmt.Sprintf("folder %d with %d", d.Folder.ID, id))
		}
	}
	return names
}

// next asks for the page after this one.
func (p page) next(q *tg.MessagesGetDialogsRequest) {
	all := p.GetDialogs()
	last := all[len(all)-1].(*tg.Dialog)
	for _, m := range p.GetMessages() {
		if m := m.(*tg.Message); m.ID == last.TopMessage && m.PeerID.String() == last.Peer.String() {
			q.OffsetDate, q.OffsetID = m.Date, m.ID
		}
	}
	switch peer := last.Peer.(type) {
	case *tg.PeerUser:
		q.OffsetPeer = &tg.InputPeerUser{UserID: peer.UserID}
	case *tg.PeerChat:
		q.OffsetPeer = &tg.InputPeerChat{ChatID: peer.ChatID}
	case *tg.PeerChannel:
		q.OffsetPeer = &tg.InputPeerChannel{ChannelID: peer.ChannelID}
	}
}

func peerOf(dialog tg.DialogClass) tg.PeerClass {
	return dialog.(interface{ GetPeer() tg.PeerClass }).GetPeer()
}

func channelKind(megagroup bool) telegramtest.DialogKind {
	if megagroup {
		return telegramtest.KindSupergroup
	}
	return telegramtest.KindChannel
}

func peerID(p tg.PeerClass) int64 {
	switch p := p.(type) {
	case *tg.PeerUser:
		return p.UserID
	case *tg.PeerChat:
		return p.ChatID
	case *tg.PeerChannel:
		return p.ChannelID
	}
	return 0
}

func TestPagingThroughDialogs(t *testing.T) {
	list, want := manyDialogs(1_000)
	s := newServer(t, telegramtest.Config{})
	require.NoError(t, s.SetDialogs(ada.ID, list))
	c := start(t, s).logIn(ada)
	for _, limit := range []int{100, 7, 1000} {
		var got []string
		s.ResetCalls()
		q := query.GetDialogs(c.API()).BatchSize(limit)
		require.NoError(t, q.ForEach(t.Context(), func(_ context.Context, e dialogs.Elem) error {
			id := peerID(peerOf(e.Dialog))
			got = append(got, fmt.Sprintf("%d %d", (id-1)%4+1, id))
			return nil
		}))
		require.Equal(t, want, got)
		pages := (1_000 + min(limit, 100) - 1) / min(limit, 100)
		assert.Equal(t, pages+1, s.Calls("messages.getDialogs"), "gotd asks for an empty page at the end")
	}
	first := getDialogs(t, c, func(q *tg.MessagesGetDialogsRequest) { q.Limit = 5000 })
	assert.Equal(t, 1000, first.count)
	assert.Equal(t, want[:100], first.names(t))
	// By the peer alone.
	rest := getDialogs(t, c, func(q *tg.MessagesGetDialogsRequest) { q.OffsetPeer = &tg.InputPeerChat{ChatID: 990} })
	assert.Equal(t, want[990:], rest.names(t))
	// By the date alone: what is older.
	date := first.GetMessages()[49].(*tg.Message).Date
	rest = getDialogs(t, c, func(q *tg.MessagesGetDialogsRequest) { q.OffsetDate, q.Limit = date, 1 })
	assert.Equal(t, want[50:51], rest.names(t))
}

func TestDialogsOfTheSameDate(t *testing.T) {
	list, want := manyDialogs(25)
	for i := range list {
		list[i].Date = epoch.Add(time.Hour)
	}
	s := newServer(t, telegramtest.Config{})
	require.NoError(t, s.SetDialogs(ada.ID, list))
	c := start(t, s).logIn(ada)
	var got []string
	require.NoError(t, query.GetDialogs(c.API()).BatchSize(3).ForEach(t.Context(), func(_ context.Context, e dialogs.Elem) error {
		id := peerID(peerOf(e.Dialog))
		got = append(got, fmt.Sprintf("%d %d", (id-1)%4+1, id))
		return nil
	}))
	assert.Equal(t, want, got)
}

func TestDialogsAreSortedByDate(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	at := func(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }
	require.NoError(t, s.SetDialogs(ada.ID, []telegramtest.Dialog{
		{Kind: telegramtest.KindBasicGroup, ID: 1, Date: at(10)},
		{Kind: telegramtest.KindChannel, ID: 1, Date: at(30)},
		{Kind: telegramtest.KindUser, ID: 1002, Date: at(20)},
		{Kind: telegramtest.KindChannel, ID: 2, Date: at(5), Pinned: true},
		{Kind: telegramtest.KindChannel, ID: 3, Date: at(50), Pinned: true},
		{Kind: telegramtest.KindSupergroup, ID: 4, Date: at(60), Archived: true},
		{Kind: telegramtest.KindSupergroup, ID: 5, Date: at(40), Archived: true, Pinned: true},
	}))
	c := start(t, s).logIn(ada)
	folder := func(id int) func(*tg.MessagesGetDialogsRequest) {
		return func(q *tg.MessagesGetDialogsRequest) { q.SetFolderID(id) }
	}
	main := []string{"4 2", "4 3", "4 1", "1 1002", "2 1"}
	p := getDialogs(t, c, folder(0))
	assert.Equal(t, main, p.names(t))
	assert.Equal(t, -1, p.count)
	assert.Equal(t, []string{"3 5", "3 4"}, getDialogs(t, c, folder(1)).names(t))
	p = getDialogs(t, c, func(*tg.MessagesGetDialogsRequest) {})
	assert.Equal(t, append([]string{"folder 1 with 5"}, main...), p.names(t))
	assert.Equal(t, -1, p.count)

	p = getDialogs(t, c, func(q *tg.MessagesGetDialogsRequest) {
		folder(0)(q)
		q.ExcludePinned, q.Limit = true, 2
	})
	assert.Equal(t, main[2:4], p.names(t))
	assert.Equal(t, 3, p.count)
	last := p.GetMessages()[1].(*tg.Message)
	p = getDialogs(t, c, func(q *tg.MessagesGetDialogsRequest) {
		q.OffsetDate, q.OffsetID, q.OffsetPeer = last.Date, last.ID, &tg.InputPeerUser{UserID: 1002}
	})
	assert.Equal(t, main[4:], p.names(t))
	assert.Equal(t, 6, p.count)
	// Pages smaller than the number of pinned dialogs.
	q := func(o tg.InputPeerClass, date int) []string {
		return getDialogs(t, c, func(q *tg.MessagesGetDialogsRequest) {
			folder(0)(q)
			q.Limit, q.OffsetPeer, q.OffsetDate = 1, o, date
		}).names(t)
	}
	assert.Equal(t, main[1:2], q(&tg.InputPeerChannel{ChannelID: 2}, 5*60))
	assert.Equal(t, main[2:3], q(&tg.InputPeerChannel{ChannelID: 3}, 50*60))

	request := &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}}
	folder(2)(request)
	_, err := c.API().MessagesGetDialogs(t.Context(), request)
	rpcError(t, err, 400, "FOLDER_ID_INVALID")
}

func TestKindsOfDialogs(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	require.NoError(t, s.SetDialogs(ada.ID, []telegramtest.Dialog{
		{Kind: telegramtest.KindUser, ID: ada.ID},
		{Kind: telegramtest.KindUser, ID: 404},
		{Kind: telegramtest.KindBasicGroup, ID: 1, Title: "é中😀", Members: 7},
		{Kind: telegramtest.KindBasicGroup, ID: 2, Title: "Old", MigratedTo: 5},
		{Kind: telegramtest.KindBasicGroup, ID: 3, Title: "Out", Forbidden: true},
		{Kind: telegramtest.KindBasicGroup, ID: 4, Title: "Gone", Left: true},
		{Kind: telegramtest.KindSupergroup, ID: 5, Title: "Super", Members: 70_000},
		{Kind: telegramtest.KindChannel, ID: 6, Title: "No", Forbidden: true},
		{Kind: telegramtest.KindSupergroup, ID: 7, Title: "Gone", Left: true},
	}))
	c := start(t, s).logIn(ada)
	p := getDialogs(t, c, func(*tg.MessagesGetDialogsRequest) {})
	users, chats := p.GetUsers(), p.GetChats()
	assert.True(t, users[0].(*tg.User).Self)
	assert.True(t, users[1].(*tg.User).Deleted)
	group := chats[0].(*tg.Chat)
	assert.Equal(t, []any{"é中😀", 7, false, nil}, []any{group.Title, group.ParticipantsCount, group.Deactivated, group.MigratedTo})
	super := chats[4].(*tg.Channel)
	old := chats[1].(*tg.Chat)
	assert.True(t, old.Deactivated)
	assert.Equal(t, &tg.InputChannel{ChannelID: 5, AccessHash: super.AccessHash}, old.MigratedTo)
	assert.NotZero(t, super.AccessHash)
	assert.Equal(t, 70_000, super.ParticipantsCount)
	assert.Equal(t, &tg.ChatForbidden{ID: 3, Title: "Out"}, chats[2])
	assert.True(t, chats[3].(*tg.Chat).Left)
	forbidden := chats[5].(*tg.ChannelForbidden)
	assert.Equal(t, []any{true, false, "No"}, []any{forbidden.Broadcast, forbidden.Megagroup, forbidden.Title})
	assert.True(t, chats[6].(*tg.Channel).Left)
}

func TestTenThousandDialogs(t *testing.T) {
	list, want := manyDialogs(10_000)
	s := newServer(t, telegramtest.Config{})
	require.NoError(t, s.SetDialogs(ada.ID, list))
	c := start(t, s).logIn(ada)
	var got []string
	require.NoError(t, query.GetDialogs(c.API()).BatchSize(100).ForEach(t.Context(), func(_ context.Context, e dialogs.Elem) error {
		id := peerID(peerOf(e.Dialog))
		got = append(got, fmt.Sprintf("%d %d", (id-1)%4+1, id))
		return nil
	}))
	assert.Equal(t, want, got)
}

// New dialogs come first, and the others stay where they are.
func TestPutDialog(t *testing.T) {
	list, want := manyDialogs(8)
	s := newServer(t, telegramtest.Config{})
	require.NoError(t, s.SetDialogs(ada.ID, list))
	c := start(t, s).logIn(ada)
	put := func(d telegramtest.Dialog) []string {
		t.Helper()
		require.NoError(t, s.PutDialog(ada.ID, d))
		return getDialogs(t, c, func(*tg.MessagesGetDialogsRequest) {}).names(t)
	}
	want = append([]string{"4 100"}, want...)
	assert.Equal(t, want, put(telegramtest.Dialog{Kind: telegramtest.KindChannel, ID: 100}))
	assert.Equal(t, append(want, "2 101"), put(telegramtest.Dialog{Kind: telegramtest.KindBasicGroup, ID: 101, Date: epoch.AddDate(1, 0, 0)}))
	assert.Equal(t, append([]string{"2 2", "4 100", "1 1"}, append(want[3:], "2 101")...), put(telegramtest.Dialog{Kind: telegramtest.KindBasicGroup, ID: 2}))
	assert.Len(t, getDialogs(t, c, func(*tg.MessagesGetDialogsRequest) {}).GetDialogs(), 10)
}
