package telegram_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Users whose bot tokens Telegram does not answer for, as many at once as there may be, stop
// nobody else who logs in.
func TestLoginsBesideThoseThatHang(t *testing.T) {
	b := newBridge(t)
	held := b.telegram.Hold("auth.importBotAuthorization")
	var all sync.WaitGroup
	for i := range 24 {
		for range 4 {
			userID := fmt.Sprintf("/user/@attacker%d:example.com", i)
			all.Go(func() {
				<-b.background(t.Context(), http.MethodPost, userID+"/login/bot_token", `{"token":"2001:wrong"}`)
			})
		}
	}
	<-held.Arrived()
	succeeded := 0
	for i := range 100 {
		account := telegramtest.Account{ID: int64(5000 + i), Phone: fmt.Sprintf("99966500%02d", i), FirstName: "Honest", Code: "12345"}
		require.NoError(t, b.telegram.AddAccount(account))
		userID := id.UserID(fmt.Sprintf("@honest%d:example.com", i))
		if b.requestCode(userID, account).status == http.StatusOK &&
			b.post(userID, "/login/send_code", `{"code":"12345"}`).status == http.StatusOK {
			succeeded++
		}
	}
	assert.GreaterOrEqual(t, succeeded, 90)
	held.Release()
	all.Wait()
}

// Logins that hang leave room for those who are logged in.
func TestLoginsLeaveRoom(t *testing.T) {
	b := newBridge(t, withMaxClients(4))
	b.logIn(you, ada)
	b.factory.StopIdle()
	held := b.telegram.Hold("auth.importBotAuthorization")
	var logins []<-chan answer
	for i := range 4 {
		userID := fmt.Sprintf("/user/@attacker%d:example.com", i)
		logins = append(logins, b.background(t.Context(), http.MethodPost, userID+"/login/bot_token", `{"token":"2001:wrong"}`))
	}
	for range 2 {
		<-held.Arrived()
	}
	b.get(you, "/chats").is(t, 200, "")
	assert.Empty(t, held.Arrived(), "more logins than half of the clients")
	held.Release()
	for _, login := range logins {
		<-login
	}
}
