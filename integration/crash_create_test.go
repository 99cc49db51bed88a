package integration

import (
	"database/sql"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// passTime has so much time pass, for the chats that were created and for the tasks that wait
// until a request must have ended, that no request can be under way any more.
func (s *stage) passTime(database *sql.DB) {
	s.t.Helper()
	for _, chat := range s.telegram.Chats() {
		if !chat.Created.IsZero() {
			chat.Created = chat.Created.Add(-2 * time.Minute)
			require.NoError(s.t, s.telegram.SetChat(chat))
		}
	}
	_, err := database.ExecContext(s.t.Context(),
		`UPDATE tgprovision_portal_task SET due=due-$1, added=added-$1 WHERE kind='undo_create'`, (15 * time.Minute).Milliseconds())
	require.NoError(s.t, err)
}

// lockPortals keeps everybody from recording portals until the function that it returns is
// called.
func (s *stage) lockPortals(database *sql.DB) (unlock func()) {
	s.t.Helper()
	conn, err := database.Conn(s.t.Context())
	require.NoError(s.t, err)
	statements := []string{"BEGIN IMMEDIATE"}
	if isPostgres(s.database) {
		statements = []string{"BEGIN", "LOCK TABLE " + strings.Fields(s.tables.portals)[0] + " IN EXCLUSIVE MODE"}
	}
	for _, statement := range statements {
		_, err = conn.ExecContext(s.t.Context(), statement)
		require.NoError(s.t, err)
	}
	return func() {
		_, err := conn.ExecContext(s.t.Context(), "ROLLBACK")
		require.NoError(s.t, err)
		require.NoError(s.t, conn.Close())
	}
}

// dieCreating has the bridge be killed when Telegram has made the chat that a request asks
// for, and the database has not recorded it. It returns the chat.
func (s *stage) dieCreating(database *sql.DB, path, body string) telegramtest.Chat {
	s.t.Helper()
	before := len(s.telegram.Chats())
	held := s.telegram.Hold("channels.createChannel")
	defer held.Release()
	answered := make(chan struct{})
	go func(url string) {
		defer close(answered)
		s.try(s.t.Context(), url+"/v1"+path, body)
	}(s.example.url)
	<-held.Arrived()
	unlock := s.lockPortals(database)
	held.Release()
	s.until("Telegram has made the chat", func() bool { return len(s.telegram.Chats()) > before })
	s.kill(s.t)
	unlock()
	<-answered
	chats := s.telegram.Chats()
	return chats[len(chats)-1]
}

// The bridge is killed between Telegram's answer to create_portal and its own database. The
// chat is deleted later, whether the client asks again meanwhile or not.
func TestKilledWhileCreating(t *testing.T) {
	for name, newDatabase := range databases {
		for when, again := range map[string]bool{"": false, " and asked again": true} {
			t.Run(name+when, func(t *testing.T) {
				t.Parallel()
				killedWhileCreating(t, newStage(t, homeservers["matrixtest"], newDatabase(t)), again)
			})
			t.Run("bridgev2 "+name+when, func(t *testing.T) {
				t.Parallel()
				killedWhileCreating(t, newBridgev2Stage(t, homeservers["matrixtest"], newDatabase(t), bridgeSettings{}), again)
			})
		}
	}
}

func killedWhileCreating(t *testing.T, s *stage, again bool) {
	alice := s.hs.user(t, "alice")
	s.login(alice, ada)
	database := openRaw(t, s.database)
	roomID := s.room(alice, mautrix.ReqCreateRoom{Name: "Ours"})
	path, body := "/portal/"+string(roomID)+"/create?user_id="+string(alice.UserID), `{"type":"supergroup"}`

	lost := s.dieCreating(database, path, body)
	require.Equal(t, []any{"Ours", ada.ID}, []any{lost.Title, lost.Owner})
	s.restart()
	s.get(404, "portal_not_found", "/portal/"+string(roomID))
	var created map[string]any
	if again {
		created = s.want(201, "", http.MethodPost, path, body)
	}
	s.passTime(database)
	s.until("the chat is deleted", func() bool {
		_, is := s.telegram.Chat(lost.Kind, lost.ID)
		return !is
	})
	if !again {
		created = s.want(201, "", http.MethodPost, path, body)
	}
	portal := s.get(200, "", "/portal/"+string(roomID))
	assert.Equal(t, created["chat_id"], portal["chat_id"])
	s.until("no task is left", func() bool { return count(t, database, `SELECT COUNT(*) FROM tgprovision_portal_task`) == 0 })
	ours := slices.DeleteFunc(s.telegram.Chats(), func(c telegramtest.Chat) bool { return c.Title != "Ours" })
	assert.Len(t, ours, 1)
}
