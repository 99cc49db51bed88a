package telegram_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram"
)

func withKeys(keys ...telegram.SessionKey) func(*telegram.Config) {
	return func(c *telegram.Config) { c.SessionKeys = keys }
}

// files returns the bytes of the database and its write-ahead log.
func (b *bridge) files() []byte {
	b.t.Helper()
	names, err := filepath.Glob(b.database + "*")
	require.NoError(b.t, err)
	require.NotEmpty(b.t, names)
	var all []byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(b.t, err)
		all = append(all, data...)
	}
	return all
}

// checkpoint moves the write-ahead log into the database.
func (b *bridge) checkpoint() {
	b.t.Helper()
	b.exec("PRAGMA wal_checkpoint(TRUNCATE)")
}

// holds says whether the files have any of some secrets, in a form that they are stored in.
func holds(files []byte, secrets ...string) (found []string) {
	for _, s := range secrets {
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s))} {
			if bytes.Contains(files, []byte(form)) {
				found = append(found, form)
			}
		}
	}
	return found
}

// secrets returns the auth keys that Telegram knows now, and what else is secret of the
// accounts.
func (b *bridge) secrets() []string {
	secrets := []string{ada.Phone, grace.Phone, grace.PasswordHint, "Lovelace"}
	for _, key := range b.telegram.AuthKeys() {
		secrets = append(secrets, string(key))
	}
	return secrets
}

// At no moment is anything of a session, or of a login, in clear in the database.
func TestNothingIsStoredInClear(t *testing.T) {
	b := newBridge(t, withConfig(withKeys(telegram.NewSessionKey())))
	var known []string
	look := func() {
		t.Helper()
		known = append(known, b.secrets()...)
		assert.Empty(t, holds(b.files(), known...))
	}
	b.requestCode(you, grace).is(t, 200, "")
	look()
	b.post(you, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "")
	look()
	b.post(you, "/login/send_password", `{"password":"`+grace.Password+`"}`).is(t, 200, "")
	look()
	b.logIn(them, ada)
	look()
	b.restart()
	b.get(you, "/chats").is(t, 200, "")
	look()
	b.post(you, "/logout", "").is(t, 200, "")
	look()
	b.requestCode(you, grace).is(t, 200, "")
	b.call(http.MethodDelete, "/user/"+string(you)+"/login", "").is(t, 200, "")
	look()
	require.Greater(t, len(known), 20)
	b.get(them, "").is(t, 200, "") // is readable
}

// Without a key the sessions are there for all to see, but none of those that have ended.
func TestEndedSessionsAreOverwritten(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	keys := b.telegram.AuthKeys()
	require.Len(t, keys, 1)
	require.NotEmpty(t, holds(b.files(), string(keys[0])), "this test finds what is there")
	assert.Contains(t, b.log.String(), "stored in clear")
	b.post(you, "/logout", "").is(t, 200, "")
	b.requestCode(them, grace).is(t, 200, "")
	b.call(http.MethodDelete, "/user/"+string(them)+"/login", "").is(t, 200, "")
	b.waitEnd("ended")
	b.checkpoint()
	assert.Empty(t, holds(b.files(), string(keys[0]), "Lovelace", ada.Phone, grace.Phone))
}

// What an earlier start without a key has stored is encrypted with the first one.
func TestFirstKey(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.requestCode(them, grace).is(t, 200, "")
	require.NotEmpty(t, holds(b.files(), b.secrets()...))
	b.config = withKeys(telegram.NewSessionKey())
	b.restart()
	b.checkpoint()
	assert.Empty(t, holds(b.files(), b.secrets()...))
	assert.NotNil(t, b.get(you, "").telegramOf(t))
	b.post(them, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "")
}

// A wrong key is an error at the start, and so is none. Nothing has changed then.
func TestWrongKey(t *testing.T) {
	right, wrong := telegram.NewSessionKey(), telegram.NewSessionKey()
	b := newBridge(t, withConfig(withKeys(right)))
	b.logIn(you, ada)
	before := b.dump()
	for _, keys := range [][]telegram.SessionKey{{wrong}, nil} {
		_, err := telegram.NewFactory(t.Context(), telegram.Config{DB: b.db, APIID: 1, APIHash: "hash", SessionKeys: keys})
		require.ErrorIs(t, err, telegram.ErrSessionKey)
		require.ErrorContains(t, err, right.ID())
		require.ErrorIs(t, b.factory.SetSessionKeys(t.Context(), keys...), telegram.ErrSessionKey)
	}
	assert.Equal(t, before, b.dump())
	b.restart()
	assert.NotNil(t, b.get(you, "").telegramOf(t))
}

// dump returns all rows of sessions.
func (b *bridge) dump() []string {
	b.t.Helper()
	rows, err := b.db.Query(b.t.Context(), "SELECT hex(session) || hex(details) || id || user_id || step FROM tgprovision_session ORDER BY id")
	require.NoError(b.t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var row string
		require.NoError(b.t, rows.Scan(&row))
		all = append(all, row)
	}
	require.NoError(b.t, rows.Err())
	return all
}

// Where a key is lost, what it has encrypted can be dropped. The rest stays.
func TestLostKey(t *testing.T) {
	lost, kept := telegram.NewSessionKey(), telegram.NewSessionKey()
	b := newBridge(t, withConfig(withKeys(lost)))
	b.logIn(you, ada)
	b.requestCode(them, grace).is(t, 200, "")
	_, err := b.relayBot().Account(t.Context())
	require.NoError(t, err)
	require.NoError(t, b.factory.SetSessionKeys(t.Context(), kept, lost))
	b.logIn("@other:example.com", helper)
	b.stop()

	b.db = openDatabase(t, b.database)
	dropped, err := telegram.DropUnreadableSessions(t.Context(), telegram.Config{DB: b.db, SessionKeys: []telegram.SessionKey{kept}})
	require.NoError(t, err)
	assert.ElementsMatch(t, []telegram.DroppedSession{{UserID: you, Account: 1001}, {UserID: them}, {UserID: "", Account: 2001}}, dropped)
	require.NoError(t, b.db.Close())
	b.config = withKeys(kept)
	b.start()
	assert.Nil(t, b.get(you, "").telegramOf(t))
	assert.NotNil(t, b.get("@other:example.com", "").telegramOf(t))
	b.logIn(you, ada)
}

// Keys are replaced while people log in and out, and are read.
func TestKeyRotationUnderLoad(t *testing.T) {
	keys := []telegram.SessionKey{telegram.NewSessionKey()}
	b := newBridge(t, withConfig(withKeys(keys...)))
	b.logIn(you, ada)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for ctx.Err() == nil {
			b.get(you, "/chats").is(t, 200, "")
		}
	})
	load.Go(func() {
		for ctx.Err() == nil {
			b.requestCode(them, grace).is(t, 200, "")
			b.call(http.MethodDelete, "/user/"+string(them)+"/login", "").is(t, 200, "")
		}
	})
	for range 10 {
		fresh := telegram.NewSessionKey()
		require.NoError(t, b.factory.SetSessionKeys(t.Context(), fresh, keys[0]))
		_, err := b.factory.Reencrypt(t.Context())
		require.NoError(t, err)
		require.NoError(t, b.factory.SetSessionKeys(t.Context(), fresh))
		keys[0] = fresh
	}
	stop()
	load.Wait()
	_, err := b.factory.Reencrypt(t.Context())
	require.NoError(t, err)
	for _, row := range b.dump() {
		assert.True(t, strings.HasPrefix(row, "01"+strings.ToUpper(keys[0].ID())), row)
	}
	b.config = withKeys(keys...)
	b.restart()
	assert.NotNil(t, b.get(you, "").telegramOf(t))
}

// A session can't be moved to another user, nor one that is not encrypted be planted.
func TestPlantedSessions(t *testing.T) {
	b := newBridge(t, withConfig(withKeys(telegram.NewSessionKey())))
	b.logIn(you, ada)
	b.factory.StopIdle()
	for _, change := range []string{
		"UPDATE tgprovision_session SET user_id='" + string(them) + "'",
		`UPDATE tgprovision_session SET details=CAST(x'00' || '{"version":1,"account":{"id":1001}}' AS BLOB)`,
	} {
		b.exec(change)
		b.telegram.ResetCalls()
		b.get(them, "").is(t, 500, "unhandled_error")
		b.get(them, "/chats").is(t, 500, "unhandled_error")
		assert.Zero(t, b.telegram.Calls("help.getConfig"))
	}
}
