package calls

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

// movingDialogs answers messages.getDialogs with basic groups, the last of which moves to the
// front after each page for a number of pages, as one does that gets a message.
type movingDialogs struct {
	ids   []int64
	moves int
	calls int
}

// Invoke implements tg.Invoker.
func (d *movingDialogs) Invoke(_ context.Context, input bin.Encoder, output bin.Decoder) error {
	d.calls++
	request := input.(*tg.MessagesGetDialogsRequest)
	from := 0
	if after, ok := request.OffsetPeer.(*tg.InputPeerChat); ok {
		from = slices.Index(d.ids, after.ChatID) + 1
	}
	answer := &tg.MessagesDialogsSlice{Count: len(d.ids)}
	for _, id := range d.ids[from:min(from+request.Limit, len(d.ids))] {
		peer := &tg.PeerChat{ChatID: id}
		answer.Dialogs = append(answer.Dialogs, &tg.Dialog{Peer: peer, TopMessage: int(id)})
		answer.Messages = append(answer.Messages, &tg.Message{ID: int(id), PeerID: peer, Date: 1})
		answer.Chats = append(answer.Chats, &tg.Chat{ID: id, Title: "Group", Photo: &tg.ChatPhotoEmpty{}})
	}
	if d.moves > 0 {
		d.moves--
		last := len(d.ids) - 1
		d.ids = slices.Concat(d.ids[last:], d.ids[:last])
	}
	var b bin.Buffer
	if err := answer.Encode(&b); err != nil {
		return err
	}
	return output.Decode(&b)
}

// Chats that get messages while the list is read are in it all the same.
func TestChatsThatMove(t *testing.T) {
	for _, moves := range []int{0, 1, 4, 9} {
		d := &movingDialogs{moves: moves}
		for id := range int64(1000) {
			d.ids = append(d.ids, id+1)
		}
		seen := map[int64]int{}
		err := dialogPages(t.Context(), tg.NewClient(d), mainFolder, func(page *dialogs) (bool, error) {
			for _, dialog := range page.fresh {
				seen[dialog.Peer.(*tg.PeerChat).ChatID]++
			}
			return true, nil
		})
		require.NoError(t, err)
		assert.Equal(t, 1000, len(seen), "%d moves", moves)
		assert.LessOrEqual(t, d.calls, 14, "%d moves", moves)
	}
}

// No page is asked for that the count says is empty, and the first one again only where there
// are others.
func TestCallsForChats(t *testing.T) {
	for chats, calls := range map[int64]int{0: 1, 1: 1, 100: 1, 101: 3, 1000: 11} {
		d := &movingDialogs{}
		for id := range chats {
			d.ids = append(d.ids, id+1)
		}
		all := func(*dialogs) (bool, error) { return true, nil }
		require.NoError(t, dialogPages(t.Context(), tg.NewClient(d), mainFolder, all))
		assert.Equal(t, calls, d.calls, "%d chats", chats)
	}
}

// miscounted answers as an invoker does, with another count of dialogs.
type miscounted struct {
	movingDialogs
	count int
}

// Invoke implements tg.Invoker.
func (m *miscounted) Invoke(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
	err := m.movingDialogs.Invoke(ctx, input, output)
	output.(*tg.MessagesDialogsBox).Dialogs.(*tg.MessagesDialogsSlice).Count = m.count
	return err
}

// A count that can't be true takes no memory for as many chats, and no chat is lost.
func TestChatsWithAWrongCount(t *testing.T) {
	for _, count := range []int{-1, 0, math.MaxInt32} {
		m := &miscounted{movingDialogs{ids: []int64{1, 2, 3}}, count}
		list, err := (&account{api: tg.NewClient(m)}).chats(t.Context())
		require.NoError(t, err)
		assert.Len(t, list.chats, 3)
		assert.LessOrEqual(t, cap(list.chats), mostExpected)
	}
}

// A basic group and a channel that have one number are two chats.
func TestGroupAndChannelOfOneNumber(t *testing.T) {
	const number = 7
	page := &tg.MessagesDialogs{
		Dialogs: []tg.DialogClass{&tg.Dialog{Peer: &tg.PeerChat{ChatID: number}}, &tg.Dialog{Peer: &tg.PeerChannel{ChannelID: number}}},
		Chats: []tg.ChatClass{
			&tg.Chat{ID: number, Title: "Group", Creator: true, Date: 1}, &tg.Channel{ID: number, Title: "Channel", AccessHash: 5, Creator: true, Date: 1},
		},
	}
	fresh := newDialogs(page, map[provisioning.ChatID]bool{})
	d := &dialogs{page, fresh, len(fresh)}
	assert.Equal(t, []provisioning.Chat{
		{ID: provisioning.BasicGroupChatID(number), Title: "Group"}, {ID: provisioning.ChannelChatID(number), Title: "Channel"},
	}, d.chats(nil))
	assert.Equal(t, &tg.InputPeerChannel{ChannelID: number, AccessHash: 5}, d.inputPeer(&tg.PeerChannel{ChannelID: number}))
	for kind, title := range map[provisioning.ChatType]string{provisioning.ChatTypeBasicGroup: "Group", provisioning.ChatTypeChannel: "Channel"} {
		for _, dialog := range fresh {
			_, found, made := entitiesOf(page).made(dialog.Peer, kind)
			assert.Equal(t, found != "", made)
			if made {
				assert.Equal(t, title, found)
			}
		}
	}
}
