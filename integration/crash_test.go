package integration

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// CONTRIBUTING.md has the command for the full numbers.
var (
	kills = flag.Int("kills", 10, "how often the crash tests kill a bridge on each database")
	seed  = flag.Uint64("seed", 1, "what the crash tests begin with; 0 is another one each time")
)

// newRandom returns the random numbers of a crash test.
func newRandom(t *testing.T) *rand.Rand {
	start := *seed
	if start == 0 {
		start = rand.Uint64()
	}
	t.Logf("the seed is %d", start)
	return rand.New(rand.NewPCG(start, 0))
}

// groups adds groups to the relay bot's Telegram, and returns their IDs as the API has
// them.
func groups(first, count int64) (dialogs []telegramtest.Dialog, chatIDs []int64) {
	for i := range count {
		dialogs = append(dialogs, telegramtest.Dialog{Kind: telegramtest.KindBasicGroup, ID: first + i, Title: fmt.Sprintf("Group %d", first+i)})
		chatIDs = append(chatIDs, -(first + i))
	}
	return dialogs, chatIDs
}

// openRaw opens the database of a bridge beside it.
func openRaw(t testing.TB, database string) *sql.DB {
	t.Helper()
	driver, source := "sqlite", (&url.URL{Scheme: "file", Path: database, RawQuery: "_pragma=busy_timeout(10000)"}).String()
	if isPostgres(database) {
		driver, source = "pgx", database
	}
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// isPostgres says whether a database is a PostgreSQL URL, and no SQLite file.
func isPostgres(database string) bool { return strings.HasPrefix(database, "postgres://") }

func count(t testing.TB, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// crowd sends random requests that change portals, whether anybody answers or not.
type crowd struct {
	*stage
	alice   *mautrix.Client
	chatIDs []int64

	mu    sync.Mutex
	rooms []id.RoomID // the bridge bot is in each, with bert's ghost

	url      atomic.Value // string, of the API
	answered chan struct{}
	statuses sync.Map // "operation status" -> *atomic.Int64
}

// newRoom makes a room for the crowd.
func (c *crowd) newRoom(ctx context.Context) (id.RoomID, error) {
	return c.openRoom(ctx, c.alice, c.bot(), c.ghost(bert))
}

// openRoom makes a room with some of the bridge's users in it, without waiting for the
// bridge, which may be down.
func (s *stage) openRoom(ctx context.Context, user *mautrix.Client, members ...id.UserID) (id.RoomID, error) {
	created, err := user.CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Preset: "public_chat", Name: "Room", PowerLevelOverride: &event.PowerLevelsEventContent{Users: map[id.UserID]int{s.bot(): 100}},
	})
	if err != nil {
		return "", err
	}
	for _, userID := range members {
		if _, err := s.as(userID).JoinRoomByID(ctx, created.RoomID); err != nil {
			return "", err
		}
	}
	return created.RoomID, nil
}

func (c *crowd) pick(random *rand.Rand) (i int, roomID id.RoomID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i = random.IntN(len(c.rooms))
	return i, c.rooms[i]
}

// request sends one random request.
func (c *crowd) request(ctx context.Context, random *rand.Rand) {
	i, roomID := c.pick(random)
	chatID := c.chatIDs[random.IntN(len(c.chatIDs))]
	operation, path, body := "connect", fmt.Sprintf("/portal/%s/connect/%d", roomID, chatID), ""
	emptied := false
	switch random.IntN(8) {
	case 0, 1:
		path += "?force=unbridge"
	case 2, 3:
		operation, path = "disconnect", fmt.Sprintf("/portal/%s/disconnect?sync=%t", roomID, random.IntN(2) == 0)
	case 4:
		operation, path = "delete", fmt.Sprintf("/portal/%s/disconnect?delete=true", roomID)
		emptied = true
	case 5:
		operation, path = "create", fmt.Sprintf("/portal/%s/create?user_id=%s", roomID, c.alice.UserID)
		body = `{"type":"supergroup"}`
	}
	if emptied { // nobody uses it any more, whatever the answer
		fresh, err := c.newRoom(ctx)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.rooms[i] = fresh
		c.mu.Unlock()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.Load().(string)+"/v1"+path, strings.NewReader(body))
	if err != nil {
		return
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return // killed
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return
	}
	var answer struct{ Errcode string }
	if err := json.Unmarshal(raw, &answer); err != nil {
		answer.Errcode = "not JSON: " + string(raw)
	}
	n, _ := c.statuses.LoadOrStore(fmt.Sprintf("%s %d %s", operation, response.StatusCode, answer.Errcode), &atomic.Int64{})
	n.(*atomic.Int64).Add(1)
	select {
	case c.answered <- struct{}{}:
	case <-ctx.Done():
	}
}

// wantConsistent checks that every portal is found by its room and by its chat.
func (c *crowd) wantConsistent() {
	c.t.Helper()
	c.mu.Lock()
	rooms := slices.Clone(c.rooms)
	c.mu.Unlock()
	for _, roomID := range rooms {
		status, portal := c.call(c.t, http.MethodGet, "/v1/portal/"+string(roomID), "")
		if status == 404 {
			continue
		}
		require.Equal(c.t, 200, status, "%v", portal)
		status, same := c.call(c.t, http.MethodGet, fmt.Sprintf("/v1/portal/%.0f", portal["chat_id"]), "")
		require.Equal(c.t, 200, status, "%v", same)
		require.Equal(c.t, portal, same)
	}
}

// The bridge is killed at random points of requests that change portals.
func TestCrashes(t *testing.T) {
	for name, newDatabase := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crash(t, newStage(t, homeservers["matrixtest"], newDatabase(t)))
		})
		t.Run("bridgev2 "+name, func(t *testing.T) {
			t.Parallel()
			crash(t, newBridgev2Stage(t, homeservers["dendrite"], newDatabase(t), bridgeSettings{}))
		})
	}
}

// crash sends requests, kills the bridge and starts it again, and checks that nothing is lost
// and nothing half done.
func crash(t *testing.T, s *stage) {
	c := &crowd{stage: s, alice: s.hs.user(t, "alice"), answered: make(chan struct{})}
	s.login(c.alice, ada)
	var dialogs []telegramtest.Dialog
	dialogs, c.chatIDs = groups(6000, 6)
	require.NoError(t, s.telegram.SetDialogs(relayBot.ID, dialogs))
	_, _, err := s.as(s.ghost(bert)).Register(t.Context(), &mautrix.ReqRegister[any]{
		Username: s.ghost(bert).Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true,
	})
	if err != nil {
		require.ErrorIs(t, err, mautrix.MUserInUse)
	}
	for range 8 {
		roomID, err := c.newRoom(t.Context())
		require.NoError(t, err)
		c.rooms = append(c.rooms, roomID)
	}
	random := newRandom(t)
	for range *kills {
		c.oneLife(random)
		s.restart()
		c.wantConsistent()
	}
	database := openRaw(t, s.database)
	s.passTime(database)
	s.until("the promised work is done", func() bool { return count(t, database, `SELECT COUNT(*) FROM tgprovision_portal_task`) == 0 })
	c.wantConsistent()
	c.wantDone(database)
	var answers []string
	c.statuses.Range(func(key, n any) bool {
		answers = append(answers, fmt.Sprintf("%s: %d", key, n.(*atomic.Int64).Load()))
		assert.NotContains(t, key, " 500 ")
		return true
	})
	slices.Sort(answers)
	t.Logf("%d kills; the answers were:\n%s", *kills, strings.Join(answers, "\n"))
}

// oneLife sends requests until a number of them was answered, and kills the bridge.
func (c *crowd) oneLife(random *rand.Rand) {
	c.url.Store(c.example.url)
	ctx, cancel := context.WithCancel(c.t.Context())
	var crowd sync.WaitGroup
	for i := range 4 {
		own := rand.New(rand.NewPCG(random.Uint64(), uint64(i)))
		crowd.Go(func() {
			for ctx.Err() == nil {
				c.request(ctx, own)
			}
		})
	}
	for range 1 + random.IntN(12) {
		<-c.answered
	}
	c.kill(c.t)
	cancel()
	crowd.Wait()
}

// wantDone checks that all rooms are as their last change promised.
func (c *crowd) wantDone(database *sql.DB) {
	c.t.Helper()
	titles := map[id.RoomID]string{}
	rows, err := database.QueryContext(c.t.Context(), c.tables.rooms)
	require.NoError(c.t, err)
	defer rows.Close()
	for rows.Next() {
		var roomID id.RoomID
		var title string
		require.NoError(c.t, rows.Scan(&roomID, &title))
		titles[roomID] = title
	}
	require.NoError(c.t, rows.Err())
	joined, err := c.alice.JoinedRooms(c.t.Context())
	require.NoError(c.t, err)
	for _, roomID := range joined.JoinedRooms {
		want := ""
		if title, bridged := titles[roomID]; bridged {
			want = "[" + title + "][" + title + "]"
		}
		assert.Equal(c.t, want, c.bridgeInfo(c.alice, roomID), "%s", roomID)
	}
	// A room that shows nothing is free.
	dialogs, chatIDs := groups(7000, int64(len(c.rooms)))
	require.NoError(c.t, c.telegram.SetDialogs(relayBot.ID, dialogs))
	for i, roomID := range c.rooms {
		if _, bridged := titles[roomID]; !bridged {
			c.post(202, "", fmt.Sprintf("/portal/%s/connect/%d", roomID, chatIDs[i]))
		}
	}
}
