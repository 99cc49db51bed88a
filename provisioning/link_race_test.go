package provisioning_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// A double click does not destroy a login that moves an account: it waits for it, and is
// told of it.
func TestMovingLoginSurvivesADoubleClick(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, finish := heldLogin(t)
		again := make(chan answer, 1)
		go func() { again <- b.send(t, post(alice, [2]string{"send_code", `{"code":"01234"}`})) }()
		synctest.Wait()
		finish().want(t, 200, "")
		(<-again).want(t, 409, "already_logged_in")
		b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
		b.expectUser(t, bob, 0, false, 0)
	})
}

// endedLogins is a Telegram on which the session of every login by a bot token is ended at
// once, as by a login of somebody else with the account.
type endedLogins struct{ *provisioningtest.Telegram }

type endedLogin struct {
	provisioning.TelegramClient
	end func()
}

func (e endedLogins) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	client, err := e.Telegram.Client(ctx, userID)
	return endedLogin{client, func() { e.EndSession(userID) }}, err
}

func (c endedLogin) LoginBot(ctx context.Context, token string) (provisioning.Account, error) {
	defer c.end()
	return c.TelegramClient.(provisioning.BotLogin).LoginBot(ctx, token)
}

// A login whose session has been ended before it could be recorded takes the account from
// nobody.
func TestEndedLoginDisplacesNobody(t *testing.T) {
	b := newBridge(t, func(b *bridge, cfg *provisioning.Config) { cfg.Telegram = endedLogins{b.telegram} })
	b.logIn(t, bob, botAccount)
	b.login(t, alice, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
	b.expectUser(t, alice, 0, false, 0)
	b.expectUser(t, bob, botAccount.ID, false, botAccount.ID)
	b.call(t, http.MethodGet, user(alice, ""), "").wantBody(t, 200, loggedOutAlice)
}

// relinked is a user store in which the user who is displaced first logs in again at once.
type relinked struct {
	*provisioningtest.MemUserStore
	again func(displaced id.UserID)
}

func (r *relinked) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	displaced, err := r.MemUserStore.LinkAccount(ctx, userID, telegramID)
	for _, userID := range displaced {
		r.again(userID)
	}
	return displaced, err
}

// A user who was displaced, and has logged in again before the one who did it comes to end
// the old session, keeps the new one.
func TestNewLoginOfADisplacedUserIsNotEnded(t *testing.T) {
	b := newBridge(t, func(b *bridge, cfg *provisioning.Config) {
		cfg.Users = &relinked{b.users, func(userID id.UserID) { b.logIn(t, userID, botAccount) }}
	})
	b.logIn(t, bob, botAccount)
	b.login(t, alice, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
	b.expectUser(t, bob, botAccount.ID, false, botAccount.ID)
	b.expectUser(t, alice, botAccount.ID, true, botAccount.ID) // until her next request
	b.call(t, http.MethodGet, user(alice, ""), "").wantBody(t, 200, loggedOutAlice)
	b.expectUser(t, bob, botAccount.ID, false, botAccount.ID)
}

// A session that is recorded just after it was found to be another user's account's is not
// ended where a new login begins.
func TestSessionRecordedMeanwhileIsNotEnded(t *testing.T) {
	b := newBridge(t)
	b.telegram.LogIn(alice, aliceAccount.ID)
	b.users.On("ClaimAccount", func(ctx context.Context) error {
		if _, err := b.users.LinkAccount(ctx, alice, aliceAccount.ID); err != nil {
			t.Error(err)
		}
		return provisioning.ErrAccountLinked
	})
	b.call(t, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`).want(t, 409, "already_logged_in")
	b.expectUser(t, alice, aliceAccount.ID, false, aliceAccount.ID)
}
