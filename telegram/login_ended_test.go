package telegram_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// loginSteps are the steps of a login that has begun, as whoever asks for them sees an end of the login
// that they do not know of.
var loginSteps = map[string]struct {
	account      telegramtest.Account
	before       string // the code that was sent before
	method, path string // TL and HTTP
	body         string
	status       int
	errcode      string
}{
	"the code of an account with a password": {grace, "", "auth.signIn", "/login/send_code", `{"code":"` + grace.Code + `"}`, 403, "phone_code_expired"},
	"a wrong code":                           {ada, "", "auth.signIn", "/login/send_code", `{"code":"00000"}`, 403, "phone_code_expired"},
	"a code again":                           {ada, "", "auth.resendCode", "/login/resend_code", "", 403, "phone_code_expired"},
	"a wrong password":                       {grace, grace.Code, "auth.checkPassword", "/login/send_password", `{"password":"wrong"}`, 401, "session_revoked"},
}

// Another process ends a login while Telegram is asked about it.
func TestLoginEndsMeanwhile(t *testing.T) {
	for name, step := range loginSteps {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			b.begin(step.account, step.before)
			held := b.telegram.Hold(step.method)
			asked := b.background(t.Context(), http.MethodPost, "/user/"+string(you)+step.path, step.body)
			<-held.Arrived()
			b.another().exec("DELETE FROM tgprovision_session")
			held.Release()
			a := <-asked
			require.NoError(t, a.err)
			a.is(t, step.status, step.errcode)
			assert.Equal(t, "request", a.body["state"])
			b.logIn(you, ada)
		})
	}
}

// Telegram has ended the session of a login, and says so.
func TestLoginIsRefused(t *testing.T) {
	for name, step := range loginSteps {
		for _, refusal := range []string{"AUTH_KEY_UNREGISTERED", "SESSION_REVOKED"} {
			t.Run(name+" "+refusal, func(t *testing.T) {
				b := newBridge(t)
				b.begin(step.account, step.before)
				b.telegram.Fail(step.method, 1, 401, refusal)
				a := b.post(you, step.path, step.body).is(t, step.status, step.errcode)
				assert.Equal(t, "request", a.body["state"])
				b.logIn(you, ada)
			})
		}
	}
}

// begin begins a login, and sends a code where there is one to send.
func (b *bridge) begin(account telegramtest.Account, code string) {
	b.t.Helper()
	b.requestCode(you, account).is(b.t, 200, "")
	if code != "" {
		b.post(you, "/login/send_code", `{"code":"`+code+`"}`).is(b.t, 202, "")
	}
}
