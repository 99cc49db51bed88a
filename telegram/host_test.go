package telegram_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

func TestHostUsesTheSameConnection(t *testing.T) {
	type started struct {
		userID id.UserID
		client *gotd.Client
	}
	running := make(chan started, 10)
	stopped := make(chan id.UserID, 10)
	updates := make(chan id.UserID, 10)
	b := newBridge(t, withConfig(func(c *telegram.Config) {
		c.Running = func(ctx context.Context, userID id.UserID, client *gotd.Client) {
			running <- started{userID, client}
			<-ctx.Done()
			stopped <- userID
		}
		c.Updates = func(userID id.UserID) gotd.UpdateHandler {
			return gotd.UpdateHandlerFunc(func(context.Context, tg.UpdatesClass) error {
				updates <- userID
				return nil
			})
		}
	}))
	use := func() {
		t.Helper()
		s := <-running
		require.Equal(t, you, s.userID)
		self, err := s.client.Self(t.Context())
		require.NoError(t, err)
		assert.Equal(t, ada.ID, self.ID)
		live, err := b.factory.Telegram(t.Context(), you)
		require.NoError(t, err)
		assert.Same(t, s.client, live)
		// Not how often it was dialled: a connection that broke is made again.
		assert.Eventually(t, func() bool { return b.telegram.Connections() == 1 }, 10*time.Second, time.Millisecond)
		require.NoError(t, b.telegram.SendUpdates(ada.ID, &tg.UpdateShort{Update: &tg.UpdateConfig{}}))
		assert.Equal(t, you, <-updates)
	}
	b.requestCode(you, ada).is(t, 200, "")
	assert.Empty(t, running, "not before the login")
	b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 200, "")
	use()
	b.restart()
	require.Equal(t, you, <-stopped)

	users, err := b.factory.LoggedIn(t.Context())
	require.NoError(t, err)
	require.Equal(t, []id.UserID{you}, users)
	_, err = b.factory.Telegram(t.Context(), you) // starts it
	require.NoError(t, err)
	use()

	b.post(you, "/logout", "").is(t, 200, "")
	require.Equal(t, you, <-stopped)
	_, err = b.factory.Telegram(t.Context(), you)
	require.ErrorIs(t, err, provisioning.ErrNotLoggedIn)
}

func TestRelayBot(t *testing.T) {
	b := newBridge(t)
	bot, err := b.factory.RelayBot(helper.Token)
	require.NoError(t, err)
	for range 2 {
		account, err := bot.Account(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "helper_bot", account.Username)
	}
	assert.Equal(t, 1, b.telegram.Calls("auth.importBotAuthorization"))
	users, err := b.factory.LoggedIn(t.Context())
	require.NoError(t, err)
	assert.Empty(t, users, "the relay bot is no Matrix user")

	b.telegram.Revoke(helper.ID, "SESSION_REVOKED")
	_, err = bot.Account(t.Context())
	require.NoError(t, err, "it logs itself in again")

	for _, token := range []string{"", "x", ":x", "2001:", "@you:example.com"} {
		_, err := b.factory.RelayBot(token)
		require.Error(t, err, token)
		if token != "" {
			assert.NotContains(t, err.Error(), token)
		}
	}
}

// A proxy is a dialer, or a resolver of its own.
func TestProxy(t *testing.T) {
	count, dialled := countDials()
	b := newBridge(t, withConfig(count))
	b.logIn(you, ada)
	assert.Positive(t, dialled.Load())
}

func TestConfigFaults(t *testing.T) {
	_, err := telegram.NewFactory(t.Context(), telegram.Config{
		LoginTimeout: -1, Datacenter: &telegram.Datacenter{Addr: "telegram.example:443"},
	})
	for _, field := range []string{"DB", "APIID", "APIHash", "LoginTimeout", "Datacenter needs", "Datacenter.Addr"} {
		require.ErrorContains(t, err, "Config."+field)
	}
	_, err = telegram.ParseKey([]byte("no PEM"))
	require.Error(t, err)
}

func TestEverythingFailsAfterClose(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	require.NoError(t, b.factory.Close(t.Context()))
	b.get(you, "").is(t, 500, "unknown_error")
	b.requestCode(them, grace).is(t, 500, "unknown_error")
}

// Logging in in every way, well and badly, leaves no secret in the log.
func TestNoSecretInTheLog(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, grace).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":"98765"}`).is(t, 401, "phone_code_invalid")
	b.post(you, "/login/send_code", `{"code":"54321"}`).is(t, 202, "")
	b.post(you, "/login/send_password", `{"password":"wrong-password"}`).is(t, 401, "password_invalid")
	b.post(you, "/login/send_password", `{"password":" open sesame "}`).is(t, 200, "")
	b.post(them, "/login/bot_token", `{"token":"2001:wrong-token"}`).is(t, 401, "bot_token_invalid")
	b.post(them, "/login/bot_token", `{"token":"2001:AAE-token"}`).is(t, 200, "")
	b.telegram.DropConnections()
	b.get(you, "/chats").is(t, 200, "")
	b.telegram.Fail("messages.getDialogs", persistently(500), 500, "INTERNAL")
	b.get(you, "/chats").is(t, 500, "unknown_error")

	secrets := []string{
		secret, grace.Phone, "54321", "98765", "open sesame", "wrong-password", "AAE-token", "wrong-token",
	}
	keys := b.telegram.AuthKeys()
	require.NotEmpty(t, keys)
	for _, key := range keys {
		secrets = append(secrets, string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key), fmt.Sprint(key))
	}
	b.post(you, "/logout", "").is(t, 200, "")
	// Without the durations, whose digits could look like a code.
	log := regexp.MustCompile(`"duration":[0-9.]+`).ReplaceAllString(b.log.String(), "")
	require.Contains(t, log, `"op":"post_login_password"`)
	require.Contains(t, log, "Starting a Telegram client")
	for _, s := range secrets {
		assert.False(t, strings.Contains(log, s), "%.20q is in the log", s)
	}
}
