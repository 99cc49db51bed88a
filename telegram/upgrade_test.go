package telegram_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// olderTables are the columns of sessions in earlier versions of the tables, and what
// else is to be copied into them.
var olderTables = []struct{ columns, more string }{
	{"user_id, data, step, phone, code_hash, code_length, emailed, requested_at", ""},
	{
		"user_id, data, step, phone, code_hash, code_length, emailed, requested_at, account_id, username, bot",
		"INSERT INTO tgprovision_peer SELECT * FROM newer.tgprovision_peer",
	},
	{
		"user_id, data, step, phone, code_hash, code_length, emailed, requested_at, account_id, username, bot, " +
			"delivery, destination, next_delivery, resend_at, password_hint",
		"INSERT INTO tgprovision_peer SELECT * FROM newer.tgprovision_peer",
	},
}

// Who was logged in before the upgrade still is, and everything works for them.
func TestUpgrade(t *testing.T) {
	files, err := filepath.Glob("upgrades/*.sql")
	require.NoError(t, err)
	require.Len(t, files, len(olderTables)+1)
	for version := range olderTables {
		t.Run(fmt.Sprint("from version ", version+1), func(t *testing.T) { testUpgrade(t, version+1, files) })
	}
}

func testUpgrade(t *testing.T, version int, files []string) {
	b := newBridge(t)
	b.logIn(you, ada)
	_, err := b.relayBot().Account(t.Context())
	require.NoError(t, err)
	b.requestCode(them, grace).is(t, 200, "")
	require.NoError(t, b.telegram.SetChat(telegramtest.Chat{
		Kind: telegramtest.KindSupergroup, ID: 5, Title: "Compilers", Owner: ada.ID,
	}))
	b.stop()

	newer := b.database
	b.database = filepath.Join(t.TempDir(), "old.db")
	old, err := sql.Open("sqlite", "file:"+b.database)
	require.NoError(t, err)
	var tables []byte
	for _, file := range files[:version] {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		tables = append(tables, text...)
	}
	columns := olderTables[version-1].columns
	for _, statement := range []string{
		string(tables),
		"CREATE TABLE tgprovision_telegram_version (version INTEGER, compat INTEGER)",
		fmt.Sprintf("INSERT INTO tgprovision_telegram_version VALUES (%d, %[1]d)", version),
		"ATTACH DATABASE '" + newer + "' AS newer",
		fmt.Sprintf("INSERT INTO tgprovision_session (%s) SELECT %[1]s FROM newer.tgprovision_session", columns),
		olderTables[version-1].more,
	} {
		_, err := old.Exec(statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, old.Close())

	b.start()
	chat, err := b.client(you).GetChat(t.Context(), channel(5))
	require.NoError(t, err)
	assert.Equal(t, "Compilers", chat.Title)
	_, err = b.relayBot().Account(t.Context()) // finds out its username
	require.NoError(t, err)
	missing, err := b.client(you).InviteToChat(t.Context(), channel(5), ids(helper.ID))
	require.NoError(t, err)
	assert.Empty(t, missing)
	_, err = b.relayBot().GetChat(t.Context(), channel(5))
	require.NoError(t, err)
	assert.Equal(t, 1, b.telegram.Calls("auth.importBotAuthorization"))
	b.post(them, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "").state(t, "password")
}

func TestNewerTablesAreRefused(t *testing.T) {
	b := newBridge(t)
	b.exec("UPDATE tgprovision_telegram_version SET version=99, compat=99")
	_, err := telegram.NewFactory(t.Context(), telegram.Config{DB: b.db, APIID: 1, APIHash: "hash"})
	require.ErrorIs(t, err, dbutil.ErrUnsupportedDatabaseVersion)
	assert.ErrorContains(t, err, "newer version of tgprovision")
}
