package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// newFactory starts package telegram on a database, until the end of the test.
func newFactory(t *testing.T, server *telegramtest.Server, database string, keys ...telegram.SessionKey) *telegram.Factory {
	t.Helper()
	db := openDatabase(t, database)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	key, err := telegram.ParseKey(server.PublicKeyPEM())
	require.NoError(t, err)
	clients, err := telegram.NewFactory(t.Context(), telegram.Config{
		DB: db, SessionKeys: keys, APIID: 1, APIHash: "hash", Datacenter: &telegram.Datacenter{ID: server.DC(), Addr: server.Addr(), Key: key},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, clients.Close(context.Background())) })
	return clients
}

// logInBot logs a Matrix user in to a new bot, and returns them with their auth key.
func logInBot(t *testing.T, server *telegramtest.Server, clients *telegram.Factory, account int64) (provisioning.TelegramClient, []byte) {
	t.Helper()
	bot := telegramtest.Account{ID: account, Bot: true, Token: fmt.Sprintf("%d:token", account)}
	require.NoError(t, server.AddAccount(bot))
	client, err := clients.Client(t.Context(), id.UserID(fmt.Sprintf("@user%d:example.com", account)))
	require.NoError(t, err)
	_, err = client.(provisioning.BotLogin).LoginBot(t.Context(), bot.Token)
	require.NoError(t, err)
	keys := server.AccountKeys(account)
	require.Len(t, keys, 1)
	return client, keys[0]
}

// Without a session key, the auth key of a session is in SQLite's files only until the session
// has ended at Telegram and the log was written back.
func TestEndedSessionsLeaveNoClearKeys(t *testing.T) {
	server := telegramtest.NewServer(t, telegramtest.Config{})
	file := databases["sqlite"](t)
	clients := newFactory(t, server, file)
	logIn := func(account int64) (provisioning.TelegramClient, []byte) {
		return logInBot(t, server, clients, account)
	}
	ended := &finder{}
	_, stays := logIn(1)

	client, authKey := logIn(2)
	pending, err := client.Logout(t.Context())
	require.NoError(t, err)
	require.False(t, pending)
	ended.add(authKey, "of a logout")

	client, authKey = logIn(3)
	server.Refuse(true)
	soon, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	pending, err = client.Logout(soon)
	require.NoError(t, err)
	require.True(t, pending)
	server.Refuse(false)
	ended.add(authKey, "of a logout that was tried again")

	client, authKey = logIn(4)
	require.NoError(t, server.Revoke(4, "SESSION_REVOKED"))
	_, err = client.Account(t.Context())
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
	ended.add(authKey, "that Telegram has revoked")

	raw := openRaw(t, file)
	require.Eventually(t, func() bool { return count(t, raw, `SELECT COUNT(*) FROM tgprovision_session WHERE step='ending'`) == 0 },
		time.Minute, 20*time.Millisecond)
	require.Zero(t, server.Sessions(2)+server.Sessions(3)+server.Sessions(4))
	live := &finder{}
	live.add(stays, "of somebody who is logged in")
	for _, c := range cells(t, file) {
		assert.Empty(t, ended.find([]byte(c.text)), "%s.%s", c.table, c.column)
	}
	var busy, frames, written int
	require.NoError(t, raw.QueryRowContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &written))
	require.Zero(t, busy)
	found := map[string]bool{}
	for name, data := range databaseBytes(t, file) {
		assert.Empty(t, ended.find(data), "%s", name)
		for what := range live.find(data) {
			found[what] = true
		}
	}
	assert.NotEmpty(t, found, "the key of a session that goes on is found, and so would others be")
}

// PostgreSQL keeps what was in clear before there was a session key, in the table's file until
// VACUUM FULL has written the table anew, as docs/sessions.md says.
func TestPostgresKeepsClearKeysUntilVacuumFull(t *testing.T) {
	server := telegramtest.NewServer(t, telegramtest.Config{})
	database := databases["postgres"](t)
	clients := newFactory(t, server, database)
	_, authKey := logInBot(t, server, clients, 1)
	require.NoError(t, clients.Close(t.Context()))
	newFactory(t, server, database, sessionKey)
	secret := &finder{}
	secret.add(authKey, "the auth key")
	// inTables says whether the key is in the files of tables. No dump has it.
	inTables := func() (found bool) {
		t.Helper()
		for name, data := range databaseBytes(t, database) {
			if strings.HasSuffix(name, ".sql") {
				require.Empty(t, secret.find(data))
			}
			found = found || strings.Contains(name, "/base/") && len(secret.find(data)) > 0
		}
		return found
	}
	require.True(t, inTables())
	_, err := openRaw(t, database).ExecContext(t.Context(), `VACUUM FULL tgprovision_session`)
	require.NoError(t, err)
	require.False(t, inTables())
}

// A start knows which session keys are needed on either database, and says which one is
// missing. Where all rows have the first key there is nothing to encrypt anew.
func TestSessionKeysInUse(t *testing.T) {
	for name, newDatabase := range databases {
		t.Run(name, func(t *testing.T) {
			server := telegramtest.NewServer(t, telegramtest.Config{})
			database := newDatabase(t)
			first, second := telegram.NewSessionKey(), telegram.NewSessionKey()
			clients := newFactory(t, server, database, first)
			logInBot(t, server, clients, 1)
			logInBot(t, server, clients, 2)
			require.ErrorIs(t, clients.SetSessionKeys(t.Context()), telegram.ErrSessionKey)
			require.NoError(t, clients.SetSessionKeys(t.Context(), second, first))
			logInBot(t, server, clients, 3)

			err := clients.SetSessionKeys(t.Context(), second)
			require.ErrorIs(t, err, telegram.ErrSessionKey)
			require.ErrorContains(t, err, "key "+first.ID()+" (2 sessions)")
			require.NotContains(t, err.Error(), second.ID())
			for _, want := range []int{2, 0} {
				changed, err := clients.Reencrypt(t.Context())
				require.NoError(t, err)
				require.Equal(t, want, changed)
			}
			require.NoError(t, clients.SetSessionKeys(t.Context(), second))
			err = clients.SetSessionKeys(t.Context(), first)
			require.ErrorContains(t, err, "key "+second.ID()+" (3 sessions)")
		})
	}
}
