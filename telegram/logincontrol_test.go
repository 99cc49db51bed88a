package telegram_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// progress returns how far the login of a user has come.
func (b *bridge) progress() provisioning.LoginProgress {
	b.t.Helper()
	progress, err := b.client(you).LoginProgress(b.t.Context())
	require.NoError(b.t, err)
	return progress
}

// What there is to say about a login is there after a restart, at each step.
func TestLoginProgress(t *testing.T) {
	b := newBridge(t)
	assert.Zero(t, b.progress())
	before := time.Now().Truncate(time.Millisecond)
	b.requestCode(you, grace).is(t, 200, "")
	b.restart()
	p := b.progress()
	assert.Equal(t, []any{provisioning.LoginCodeSent, grace.Phone}, []any{p.Step, p.Phone})
	assert.False(t, p.Since.Before(before) || p.Since.After(time.Now()), "%s", p.Since)
	assert.Equal(t, []any{provisioning.DeliveryApp, 5, "", provisioning.DeliverySMS}, []any{p.Sent.Delivery, p.Sent.Length, p.Sent.Destination, *p.Sent.Next})
	assert.WithinDuration(t, p.Since.Add(time.Minute), p.Sent.ResendAt, 10*time.Second)

	b.post(you, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "")
	b.restart()
	accepted := b.progress()
	assert.Equal(t, []any{provisioning.LoginPasswordNeeded, grace.Phone, "forty"}, []any{accepted.Step, accepted.Phone, accepted.PasswordHint})
	assert.Zero(t, accepted.Sent)
	assert.False(t, accepted.Since.Before(p.Since))

	b.post(you, "/login/send_password", `{"password":"`+grace.Password+`"}`).is(t, 200, "")
	assert.Zero(t, b.progress())
	b.get(you, "/login").is(t, 200, "").state(t, "logged-in")
}

func TestLoginProgressExpires(t *testing.T) {
	b := newBridge(t, withConfig(func(c *telegram.Config) { c.LoginTimeout = time.Nanosecond }))
	b.requestCode(you, grace).is(t, 200, "")
	assert.Zero(t, b.progress())
	b.get(you, "/login").is(t, 200, "").state(t, "request")
}

func TestDestinations(t *testing.T) {
	b := newBridge(t)
	for i, c := range []struct {
		delivery    telegramtest.CodeDelivery
		destination string
		next        any
	}{
		{telegramtest.CodeByApp, "", "sms"},
		{telegramtest.CodeBySMS, "", "call"},
		{telegramtest.CodeByCall, "", nil},
		{telegramtest.CodeByMissedCall, "999", "sms"},
		{telegramtest.CodeByEmail, "a***@example.com", "sms"},
		{telegramtest.CodeByFragment, "https://fragment.com/", "sms"},
	} {
		account := telegramtest.Account{ID: int64(3101 + i), Phone: fmt.Sprint(9996613101 + i), Code: "012345", CodeDelivery: c.delivery}
		require.NoError(t, b.telegram.AddAccount(account))
		sent := b.requestCode(you, account).is(t, 200, "").body["code"]
		shown := b.get(you, "/login").is(t, 200, "").body["code"]
		for _, code := range []any{sent, shown} {
			code := code.(map[string]any)
			assert.Equal(t, []any{string(c.delivery), c.destination, c.next}, []any{code["delivery"], code["destination"], code["next_delivery"]})
		}
	}
}

// A code goes through Telegram's ways, until there is none left. The last one sent is
// the one that counts.
func TestResendCode(t *testing.T) {
	b := newBridge(t)
	b.post(you, "/login/resend_code", "").is(t, 403, "phone_code_expired").state(t, "request")
	b.requestCode(you, grace).is(t, 200, "")
	for _, delivery := range []string{"sms", "call"} {
		b.restart()
		a := b.post(you, "/login/resend_code", "").is(t, 200, "").state(t, "code")
		assert.Equal(t, delivery, a.body["code"].(map[string]any)["delivery"])
		assert.Equal(t, delivery, b.get(you, "/login").body["code"].(map[string]any)["delivery"])
	}
	b.post(you, "/login/resend_code", "").is(t, 409, "code_not_resendable").state(t, "code")
	b.telegram.Fail("auth.resendCode", 1, 420, "FLOOD_WAIT_100")
	b.post(you, "/login/resend_code", "").is(t, 429, "flood_wait").state(t, "code")
	b.post(you, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "")
	b.post(you, "/login/resend_code", "").is(t, 409, "code_not_resendable").state(t, "password")
	b.post(you, "/login/send_password", `{"password":"`+grace.Password+`"}`).is(t, 200, "")
	b.post(you, "/login/resend_code", "").is(t, 409, "already_logged_in").state(t, "logged-in")
}

func TestResendExpiredCode(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, grace).is(t, 200, "")
	require.NoError(t, b.telegram.ExpireCode(grace.Phone))
	b.post(you, "/login/resend_code", "").is(t, 403, "phone_code_expired").state(t, "request")
	assert.Zero(t, b.progress(), "that login is over")
}

// A cancelled login is forgotten on both sides, and leaves nothing running.
func TestCancelLogin(t *testing.T) {
	b := newBridge(t)
	cancel := func() answer { return b.call(http.MethodDelete, "/user/"+string(you)+"/login", "") }
	cancel().is(t, 200, "")
	assert.Zero(t, b.telegram.Connections(), "there was nothing to cancel")
	b.requestCode(you, grace).is(t, 200, "")
	cancel().is(t, 200, "")
	assert.Equal(t, 1, b.telegram.Calls("auth.cancelCode"))
	assert.Zero(t, b.progress())
	b.post(you, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 403, "phone_code_expired").state(t, "request")
	assert.Zero(t, b.factory.Slots())

	// Also when the password is missing, and when Telegram does not want to know.
	b.requestCode(you, grace).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "")
	cancel().is(t, 200, "")
	b.post(you, "/login/send_password", `{"password":"`+grace.Password+`"}`).is(t, 400, "phone_code_not_entered")
	b.requestCode(you, grace).is(t, 200, "")
	b.telegram.Fail("auth.cancelCode", 1, 500, "INTERNAL")
	cancel().is(t, 200, "")
	assert.Zero(t, b.progress())

	b.logIn(you, ada)
	cancel().is(t, 409, "already_logged_in").state(t, "logged-in")
	assert.Equal(t, 1, b.telegram.Sessions(ada.ID))
}
