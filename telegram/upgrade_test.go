package telegram_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// oldColumns are the columns of sessions in versions 1 to 4 of the tables, by the version
// that has brought them, and what they have of the rows of today.
var oldColumns = []struct {
	since       int
	name, value string
}{
	{1, "user_id", "user_id"},
	{1, "data", "substr(session, 2)"},
	{1, "step", "step"},
	{1, "phone", detail("login.phone", "''")},
	{1, "code_hash", detail("login.code_hash", "''")},
	{1, "code_length", detail("login.code_length", "0")},
	{1, "emailed", detail("login.emailed", "0")},
	{1, "requested_at", detail("login.requested_at", "0")},
	{2, "account_id", "account_id"},
	{2, "username", detail("account.username", "''")},
	{2, "bot", detail("account.bot", "0")},
	{3, "delivery", detail("login.delivery", "''")},
	{3, "destination", detail("login.destination", "''")},
	{3, "next_delivery", detail("login.next_delivery", "''")},
	{3, "resend_at", detail("login.resend_at", "0")},
	{3, "password_hint", detail("login.password_hint", "''")},
}

// detail is SQL for a field of the details of a row that is not encrypted.
func detail(path, otherwise string) string {
	return "coalesce(json_extract(CAST(substr(details, 2) AS TEXT), '$." + path + "'), " + otherwise + ")"
}

// Who was logged in before the upgrade still is, and everything works for them.
func TestUpgrade(t *testing.T) {
	files, err := filepath.Glob("upgrades/*.sql")
	require.NoError(t, err)
	for i := range files {
		t.Run(fmt.Sprint("from version ", i+1), func(t *testing.T) { testUpgrade(t, i+1, files) })
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
	old, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.database}).String())
	require.NoError(t, err)
	var tables []byte
	for _, file := range files[:version] {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		tables = append(tables, text...)
	}
	var names, values []string
	for _, column := range oldColumns {
		if column.since <= version {
			names, values = append(names, column.name), append(values, column.value)
		}
	}
	peers := ""
	if version > 1 {
		peers = `INSERT INTO tgprovision_peer SELECT user_id, kind, peer_id, access_hash
			FROM newer.tgprovision_peer JOIN newer.tgprovision_session ON id=session_id`
	}
	for _, statement := range []string{
		string(tables),
		"CREATE TABLE tgprovision_telegram_version (version INTEGER, compat INTEGER)",
		fmt.Sprintf("INSERT INTO tgprovision_telegram_version VALUES (%d, %[1]d)", version),
		"ATTACH DATABASE '" + newer + "' AS newer",
		"INSERT INTO tgprovision_session (" + strings.Join(names, ", ") + ") SELECT " + strings.Join(values, ", ") + " FROM newer.tgprovision_session",
		peers,
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
