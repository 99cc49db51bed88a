package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Without a session key, the auth key of a session is in SQLite's files only until the session
// has ended at Telegram and the log was written back.
func TestEndedSessionsLeaveNoClearKeys(t *testing.T) {
	server := telegramtest.NewServer(t, telegramtest.Config{})
	file := databases["sqlite"](t)
	db := openDatabase(t, file)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	key, err := telegram.ParseKey(server.PublicKeyPEM())
	require.NoError(t, err)
	clients, err := telegram.NewFactory(t.Context(), telegram.Config{
		DB: db, APIID: 1, APIHash: "hash", Datacenter: &telegram.Datacenter{ID: server.DC(), Addr: server.Addr(), Key: key},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, clients.Close(context.Background())) })

	// logIn logs somebody in, and returns them with their auth key.
	logIn := func(account int64) (provisioning.TelegramClient, []byte) {
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
	ended := &finder{}
	_, stays := logIn(1)

	client, authKey := logIn(2)
	pending, err := client.Logout(t.Context())
	require.NoError(t, err)
	require.False(t, pending)
	ended.add(authKey, "of a logout")

	client, authKey = logIn(3)
	server.Fail("auth.logOut", 2, 500, "INTERNAL")
	pending, err = client.Logout(t.Context())
	require.NoError(t, err)
	require.True(t, pending)
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
