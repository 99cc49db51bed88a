package integration

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// cell is a value of a table, as text.
type cell struct{ table, column, text string }

// cells returns what stands in all tables of a database.
func cells(t *testing.T, database string) (all []cell) {
	t.Helper()
	db := openDatabase(t, database)
	defer func() { assert.NoError(t, db.Close()) }()
	list := `SELECT name FROM sqlite_master WHERE type='table'`
	if isPostgres(database) {
		list = `SELECT tablename FROM pg_tables WHERE schemaname=current_schema()`
	}
	for _, table := range rowsOf(t, db.RawDB, list) {
		name := table[0].text
		for _, row := range rowsOf(t, db.RawDB, `SELECT * FROM `+name) {
			for _, c := range row {
				all = append(all, cell{name, c.column, c.text})
			}
		}
	}
	return all
}

// rowsOf runs a query.
func rowsOf(t *testing.T, db *sql.DB, query string) (all [][]cell) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		require.NoError(t, rows.Scan(pointers...))
		row := make([]cell, len(columns))
		for i, value := range values {
			if raw, ok := value.([]byte); ok {
				value = string(raw)
			}
			row[i] = cell{column: columns[i], text: fmt.Sprint(value)}
		}
		all = append(all, row)
	}
	require.NoError(t, rows.Err())
	return all
}

// A user is forgotten: nothing names them, or a contact whom only they had, in the whole
// database. What others have works as before.
func TestForgetStory(t *testing.T) {
	onBundledParts(t, func(t *testing.T, s *stage) {
		dora := telegramtest.Account{ID: 2004, Phone: "9996620004", Code: "12345", FirstName: "Dora", Username: "dora"}
		require.NoError(t, s.telegram.AddAccount(dora))
		alice, bob := s.hs.user(t, "alice"), s.hs.user(t, "bob")
		s.login(alice, ada)
		s.login(bob, dora)
		group := s.room(alice, mautrix.ReqCreateRoom{Preset: "public_chat", Name: "The lounge"})
		s.post(202, "", "/portal/"+string(group)+"/connect/-1000000000011?user_id="+string(alice.UserID))
		start := func(status int, user *mautrix.Client, identifier string) id.RoomID {
			started := s.post(status, "", "/user/"+string(user.UserID)+"/pm/"+identifier)
			roomID := id.RoomID(started["room_id"].(string))
			_, err := user.JoinRoomByID(t.Context(), roomID)
			require.NoError(t, err)
			return roomID
		}
		own, shared := start(201, alice, "2003"), start(201, alice, "@bert_tg") // with Cleo and Bert
		bobs := start(201, bob, "@bert_tg")
		avatar := func() string {
			return s.post(200, "", "/user/"+string(bob.UserID)+"/pm/@bert_tg")["contact_info"].(map[string]any)["avatar_url"].(string)
		}
		s.until("Bert's ghost has an avatar", func() bool { return avatar() != "" })

		s.kill(t)
		named := func(what string) (places []cell) {
			for _, c := range cells(t, s.database) {
				if strings.Contains(c.text, what) {
					places = append(places, c)
				}
			}
			return places
		}
		for _, what := range []string{string(alice.UserID), "Cleo", string(bob.UserID), "Bert"} {
			require.NotEmpty(t, named(what), what)
		}
		printed := runExample(t, append(s.flags, "-forget-user", string(alice.UserID), "-log-level", "disabled")...)
		for _, line := range []string{
			"Removed of " + string(alice.UserID) + ":", "Telegram session   ended", "linked accounts    1",
			"direct chats       2", "room " + string(own), "room " + string(shared), "places in groups   1", "people known here  1",
		} {
			assert.Contains(t, printed, line)
		}
		for _, what := range []string{string(alice.UserID), "Cleo"} {
			assert.Empty(t, named(what), what)
		}
		for _, c := range cells(t, s.database) {
			for _, account := range []telegramtest.Account{ada, cleo} {
				assert.NotEqual(t, fmt.Sprint(account.ID), c.text, "%s.%s", c.table, c.column)
			}
		}
		assert.Zero(t, s.telegram.Sessions(ada.ID))
		assert.NotEmpty(t, named("Bert"))
		assert.NotEmpty(t, named(string(bob.UserID)))

		s.restart()
		for _, roomID := range []id.RoomID{own, shared} {
			assert.Equal(t, event.MembershipLeave, s.membership(alice, roomID, alice.UserID))
			s.get(404, "portal_not_found", "/portal/"+string(roomID))
		}
		assert.Nil(t, s.get(200, "", "/user/"+string(alice.UserID))["telegram"])
		assert.EqualValues(t, -1000000000011, s.get(200, "", "/portal/"+string(group))["chat_id"])
		assert.NotNil(t, s.get(200, "", "/user/"+string(bob.UserID))["telegram"])
		assert.Equal(t, bobs, start(200, bob, "@bert_tg"))
		assert.Equal(t, event.MembershipJoin, s.membership(bob, bobs, s.ghost(bert)))
		assert.NotEmpty(t, avatar())
		// Whoever is forgotten may come back.
		s.login(alice, ada)
		assert.NotEqual(t, shared, start(201, alice, "@bert_tg"))
	})
}
