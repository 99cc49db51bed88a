package integration

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
	"maunium.net/go/mautrix/id"
)

// Two processes on one PostgreSQL: of many racing requests, one wins.
func TestRacingProcesses(t *testing.T) {
	s := newStage(t, homeservers["matrixtest"], postgres.newDatabase(t))
	// Two processes must not have one relay bot.
	other := telegramtest.Account{ID: 2010, Bot: true, Token: "2010:AAE-token-of-the-other-bot", FirstName: "Other", Username: "other_relay_bot"}
	require.NoError(t, s.telegram.AddAccount(other))
	race(t, s, 50, s.example, startExample(t, append(slices.Clone(s.flags), "-relay-bot-token", other.Token)...))
}

// Of many racing requests to one bridge of bridgev2, one wins. Dendrite makes two rooms a
// second.
func TestRacesOnBridgev2(t *testing.T) {
	onBridgev2(t, bridgeSettings{}, func(t *testing.T, s *stage) { race(t, s, 16, s.example) })
}

// race sends racing requests to processes of one bridge.
func race(t *testing.T, s *stage, racers int, processes ...*example) {
	alice := s.hs.user(t, "alice")
	dialogs, chatIDs := groups(5000, int64(racers))
	for i := range processes {
		require.NoError(t, s.telegram.SetDialogs(relayBot.ID+int64(i), append([]telegramtest.Dialog{adasLounge}, dialogs...)))
	}
	rooms := make([]id.RoomID, racers)
	for i := range rooms {
		roomID, err := s.openRoom(t.Context(), alice, s.bot())
		require.NoError(t, err)
		rooms[i] = roomID
	}
	compete := func(path func(i int) string) (won int, errcodes map[string]int) {
		var mu sync.Mutex
		errcodes, won = map[string]int{}, -1
		var wg sync.WaitGroup
		for i := range racers {
			process := processes[i%len(processes)]
			wg.Go(func() {
				status, answer := process.call(t, http.MethodPost, "/v1"+path(i), "")
				mu.Lock()
				defer mu.Unlock()
				errcodes[fmt.Sprint(status, " ", answer["errcode"])]++
				if status == 202 {
					won = i
				}
			})
		}
		wg.Wait()
		return won, errcodes
	}
	won, answers := compete(func(i int) string { return fmt.Sprintf("/portal/%s/connect/-1000000000011", rooms[i]) })
	require.Equal(t, map[string]int{"202 <nil>": 1, "409 chat_already_bridged": racers - 1}, answers)
	for i, roomID := range rooms {
		for _, process := range processes {
			status, answer := process.call(t, http.MethodGet, "/v1/portal/"+string(roomID), "")
			assert.Equal(t, i == won, status == 200, "%v", answer)
		}
	}
	free := rooms[(won+1)%racers]
	won, answers = compete(func(i int) string { return fmt.Sprintf("/portal/%s/connect/%d", free, chatIDs[i]) })
	require.Equal(t, map[string]int{"202 <nil>": 1, "409 room_already_bridged": racers - 1}, answers)
	for i, chatID := range chatIDs {
		for _, process := range processes {
			status, answer := process.call(t, http.MethodGet, fmt.Sprintf("/v1/portal/%d", chatID), "")
			assert.Equal(t, i == won, status == 200, "%v", answer)
		}
	}
	database := openRaw(t, s.database)
	assert.Equal(t, 2, count(t, database, `SELECT COUNT(*) FROM `+s.tables.portals))
	s.until("the promised work is done", func() bool { return count(t, database, `SELECT COUNT(*) FROM tgprovision_portal_task`) == 0 })
}
