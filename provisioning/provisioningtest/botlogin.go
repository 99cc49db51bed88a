package provisioningtest

import (
	"context"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestBotLogin runs every check of the interface provisioning.BotLogin, which the
// factory's clients have to implement, as a subtest, each on a backend of its own.
func TestBotLogin[B TelegramBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, botLoginChecks, func(t *testing.T) TelegramBackend { return backend(t) })
}

var botLoginChecks = append([]suiteCheck[TelegramBackend]{
	{"token", "LoginBot logs in with a bot token.", checkToken},
	{"invalid token", "ErrBotTokenInvalid: Telegram knows no bot with this token.", checkTokenInvalid},
	{"expired token", "ErrBotTokenExpired: the bot token was replaced by a newer one.", checkTokenExpired},
	alreadyCheck(botCalls()),
}, errorChecks(botCalls())...)

// botClient is a client with BotLogin.
type botClient interface {
	provisioning.TelegramClient
	provisioning.BotLogin
}

func botCalls() clientCalls[TelegramBackend] {
	return clientCalls[TelegramBackend]{addLoginAccounts[TelegramBackend], []clientCall[TelegramBackend]{
		{"LoginBot", nil, func(ctx context.Context, _ TelegramBackend, c provisioning.TelegramClient) error {
			_, err := c.(provisioning.BotLogin).LoginBot(ctx, botAccount.Token)
			return err
		}, nil},
	}}
}

func beginBot(t T, b TelegramBackend) botClient {
	t.Helper()
	addLoginAccounts(b)
	return clientOf[botClient](t, b.Open(), userA)
}

func loginBot(t T, b TelegramBackend, c botClient) {
	t.Helper()
	account, err := c.LoginBot(t.Context(), botAccount.Token)
	loggedIn(t, "LoginBot", c, account, err, botAccount)
	wantSessions(t, b, botAccount.ID, 1)
}

func checkToken(t T, b TelegramBackend) {
	loginBot(t, b, beginBot(t, b))
	wantAccount(t, clientOf[botClient](t, b.Open(), userA), botAccount)
}

func checkTokenInvalid(t T, b TelegramBackend) {
	c := beginBot(t, b)
	_, err := c.LoginBot(t.Context(), "2001:AAE-another-token")
	wantError(t, "LoginBot with a token that no bot has", err, provisioning.ErrBotTokenInvalid)
	wantNobody(t, c)
	loginBot(t, b, c)
}

func checkTokenExpired(t T, b TelegramBackend) {
	c := beginBot(t, b)
	b.SetError(400, "ACCESS_TOKEN_EXPIRED")
	_, err := c.LoginBot(t.Context(), botAccount.Token)
	wantError(t, "LoginBot, which Telegram answers with ACCESS_TOKEN_EXPIRED", err, provisioning.ErrBotTokenExpired)
	b.SetError(0, "")
	wantNobody(t, c)
}
