package integration

import (
	"context"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// wantChat checks a chat on Telegram's side.
func (s *stage) wantChat(kind telegramtest.DialogKind, chatID int64, title, about string, members []int64) {
	s.t.Helper()
	rawID := -chatID
	if kind != telegramtest.KindBasicGroup {
		rawID -= 1_000_000_000_000
	}
	chat, ok := s.telegram.Chat(kind, rawID)
	require.True(s.t, ok, "chat %d", chatID)
	assert.Equal(s.t, []any{title, about}, []any{chat.Title, chat.About})
	assert.ElementsMatch(s.t, members, chat.Members)
}

// wantMedia waits until there is an address, and checks what is there.
func (s *stage) wantMedia(user *mautrix.Client, want string, find func() id.ContentURIString) {
	s.t.Helper()
	var uri id.ContentURIString
	s.until("there is an avatar", func() bool {
		uri = find()
		return uri != ""
	})
	got, err := user.DownloadBytes(s.t.Context(), uri.ParseOrIgnore())
	require.NoError(s.t, err)
	assert.Equal(s.t, want, string(got))
}

// invitation waits for a user's invitation to a room.
func (s *stage) invitation(user *mautrix.Client, roomID id.RoomID) *event.Event {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for since := ""; ; {
		response, err := user.SyncRequest(ctx, 1000, since, "", true, event.PresenceOnline)
		require.NoError(s.t, err)
		since = response.NextBatch
		invited := response.Rooms.Invite[roomID]
		if invited == nil {
			continue
		}
		for _, e := range invited.State.Events {
			if e.Type.Type == event.StateMember.Type && e.GetStateKey() == string(user.UserID) {
				e.Type.Class = event.StateEventType
				require.NoError(s.t, e.Content.ParseRaw(e.Type))
				return e
			}
		}
	}
}
