package telegram_test

import (
	"context"
	"testing"

	"github.com/gotd/td/session"
	gotd "github.com/gotd/td/telegram"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// ended gives the contexts of Running, once they have ended.
func ended() (config func(*telegram.Config), ends <-chan id.UserID) {
	ch := make(chan id.UserID, 100)
	return func(c *telegram.Config) {
		c.Running = func(ctx context.Context, userID id.UserID, _ *gotd.Client) {
			<-ctx.Done()
			ch <- userID
		}
	}, ch
}

// The account of a user goes to another one, at another process. The client that the first
// process has stops, and writes nothing back, whatever it does before.
func TestAccountMovesToAnotherProcess(t *testing.T) {
	config, ends := ended()
	a := newBridge(t, withConfig(config))
	a.logIn(you, ada)
	b := a.another()
	b.logIn(them, ada)
	assert.Equal(t, 1, a.telegram.Sessions(ada.ID))
	a.telegram.DropConnections() // the old client would store its session over the next one
	require.NoError(t, a.factory.CheckRows(t.Context()))
	assert.Equal(t, you, <-ends)
	assert.Nil(t, a.get(you, "").telegramOf(t))
	assert.Equal(t, []string{string(them)}, a.owners())
	assert.Equal(t, 1, a.telegram.Sessions(ada.ID))
}

// owners lists the users who have a session, in alphabetical order.
func (b *bridge) owners() (users []string) {
	b.t.Helper()
	rows, err := b.db.Query(b.t.Context(), "SELECT user_id FROM tgprovision_session WHERE step<>'ending' ORDER BY user_id")
	require.NoError(b.t, err)
	defer rows.Close()
	for rows.Next() {
		var user string
		require.NoError(b.t, rows.Scan(&user))
		users = append(users, user)
	}
	require.NoError(b.t, rows.Err())
	return users
}

// After that the user logs in with another account, at the first process, whose client of the
// old one may run still. The session that is stored is the new one.
func TestLoginAfterAccountHasMoved(t *testing.T) {
	a := newBridge(t)
	a.logIn(you, ada)
	b := a.another()
	b.logIn(them, ada)
	a.logIn(you, helper)
	assert.Equal(t, []string{string(them), string(you)}, a.owners())
	a.telegram.DropConnections()
	a.get(you, "/chats").is(t, 200, "")
	a.restart()
	b.restart()
	assert.Equal(t, "helper_bot", a.get(you, "").telegramOf(t).(map[string]any)["username"])
	assert.Equal(t, "ada", b.get(them, "").telegramOf(t).(map[string]any)["username"])
	for _, account := range []telegramtest.Account{ada, helper} {
		assert.Equal(t, 1, a.telegram.Sessions(account.ID))
	}
}

// A user logs out at another process, and in again there. Each process goes on with the new
// session.
func TestNewSessionFromAnotherProcess(t *testing.T) {
	a := newBridge(t)
	a.logIn(you, ada)
	b := a.another()
	b.post(you, "/logout", "").is(t, 200, "")
	b.logIn(you, grace)
	b.factory.StopIdle() // one process at a time
	assert.Equal(t, 1002., a.get(you, "").telegramOf(t).(map[string]any)["id"])
	assert.Equal(t, []int{0, 1}, []int{a.telegram.Sessions(ada.ID), a.telegram.Sessions(grace.ID)})
}

// Another process ends a half-done login that is too old, while this one goes on with it.
func TestHalfDoneLoginIsEndedByAnotherProcess(t *testing.T) {
	a := newBridge(t)
	a.requestCode(you, ada).is(t, 200, "")
	b := a.another()
	b.exec("UPDATE tgprovision_session SET due_at=0")
	require.NoError(t, b.factory.EndDue(t.Context()))
	a.post(you, "/login/send_code", `{"code":"`+ada.Code+`"}`).is(t, 403, "phone_code_expired")
	assert.Zero(t, a.telegram.Sessions(ada.ID))
	require.NoError(t, a.factory.CheckRows(t.Context()))
	assert.Zero(t, a.factory.Slots(), "its client has stopped")
	a.logIn(you, ada)
	assert.Equal(t, 1, a.rows())
}

// away is an account at home in the second datacenter.
var away = telegramtest.Account{ID: 1007, Phone: "9996620007", FirstName: "Away", Code: "13579", DC: 4}

// The answer to a request for a code says that the auth key is stored which the code belongs
// to: that of the account's datacenter.
func TestCodeFromAnotherDatacenter(t *testing.T) {
	b := newBridge(t, func(b *bridge) {
		b.telegram = telegramtest.NewServer(b.t, telegramtest.Config{MediaDC: 4, Accounts: []telegramtest.Account{away}})
	})
	for range 5 {
		b.telegram.Fail("auth.sendCode", 1, 303, "PHONE_MIGRATE_4")
		b.requestCode(you, away).is(t, 200, "")
		assert.Equal(t, 4, b.storedDC())
		b.restart()
		b.post(you, "/login/send_code", `{"code":"`+away.Code+`"}`).is(t, 200, "")
		assert.Equal(t, 4, b.storedDC())
		b.post(you, "/logout", "").is(t, 200, "")
	}
	assert.Zero(t, b.telegram.Sessions(away.ID))
}

// storedDC returns the datacenter of the only session.
func (b *bridge) storedDC() int {
	b.t.Helper()
	var data []byte
	require.NoError(b.t, b.db.QueryRow(b.t.Context(), "SELECT substr(session, 2) FROM tgprovision_session WHERE step<>'ending'").Scan(&data))
	memory := &session.StorageMemory{}
	require.NoError(b.t, memory.StoreSession(b.t.Context(), data))
	loader := session.Loader{Storage: memory}
	decoded, err := loader.Load(b.t.Context())
	require.NoError(b.t, err)
	return decoded.DC
}
