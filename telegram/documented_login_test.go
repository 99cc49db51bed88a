package telegram_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Whatever Telegram may say to a step of a login, the answer is as the tables say, and the
// half-done login is where its state says.
func TestRefusalsToLogins(t *testing.T) {
	b, contract := newRefused(t), contractOf(t)
	step := func(what, body string) func(*bridge) answer {
		return checked(http.MethodPost, "/user/"+string(them)+what, body, contract)
	}
	requested := func(b *bridge) { b.requestCode(them, grace).is(b.t, 200, "") }
	entered := func(b *bridge) {
		requested(b)
		b.post(them, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(b.t, 202, "")
	}
	code, password := step("/login/send_code", `{"code":"`+grace.Code+`"}`), step("/login/send_password", `{"password":"`+grace.Password+`"}`)
	needed := is(provisioning.ErrPasswordNeeded)
	pairs := 0
	for _, p := range []struct {
		method string
		probe
	}{
		// The key was made for this request, and so its end is no answer.
		{"auth.sendCode", probe{op: "post_login_phone", do: step("/login/request_code", `{"phone":"+`+grace.Phone+`"}`), unnamed: is(provisioning.ErrNotLoggedIn)}},
		{"auth.resendCode", probe{op: "resend_login_code", prepare: requested, do: step("/login/resend_code", "")}},
		{"auth.signIn", probe{op: "post_login_code", prepare: requested, do: code, succeeds: needed}},
		{"account.getPassword", probe{op: "post_login_code", prepare: requested, do: code, succeeds: always}}, // it is for the hint
		{"account.getPassword", probe{op: "post_login_password", prepare: entered, do: password}},
		{"auth.checkPassword", probe{op: "post_login_password", prepare: entered, do: password}},
		{"auth.cancelCode", probe{op: "cancel_login", prepare: requested, do: checked(http.MethodDelete, "/user/"+string(them)+"/login", "", contract), succeeds: always}},
		{"auth.importBotAuthorization", probe{op: "post_bot_token", do: step("/login/bot_token", `{"token":"`+helper.Token+`"}`)}},
	} {
		refusals := refusalsOf(p.method)
		if p.method == "auth.checkPassword" {
			refusals = fewRefusalsOf(p.method)
		}
		for _, refusal := range refusals {
			pairs++
			pair := probed{p.probe, p.method, refusal}
			b.checkLogin(pair, b.check(contract, pair))
		}
	}
	t.Logf("%d pairs of a method and an error", pairs)
}

// checkLogin checks that the login is where the answer to a step says, and forgets it.
func (b *bridge) checkLogin(p probed, a answer) {
	b.t.Helper()
	want, _ := a.body["state"].(string)
	if want == "" || want == "token" {
		want = "request"
	}
	state := b.get(them, "/login").is(b.t, 200, "").body["state"]
	assert.Equal(b.t, want, state, "%v: %s", p, a.raw)
	if state != "request" {
		b.call(http.MethodDelete, "/user/"+string(them)+"/login", "").is(b.t, 200, "")
	}
}

// Whatever Telegram may say to the end of a session, the user is logged out.
func TestRefusalsToLogouts(t *testing.T) {
	b := newRefused(t)
	refusals := refusalsOf("auth.logOut")
	for _, refusal := range refusals {
		p := probed{probe{}, "auth.logOut", refusal}
		var a answer
		b.refusing(p, func() { a = b.post(you, "/logout", "") })
		if is(provisioning.ErrNotLoggedIn, provisioning.ErrPasswordNeeded)(p.meaning()) { // there is no session any more
			a.is(t, 403, "not_logged_in")
		} else {
			a.is(t, 200, "")
			assert.Equal(t, true, a.body["pending"], "%v", p)
		}
		assert.Nil(t, b.get(you, "").telegramOf(t), "%v", p)
		b.logIn(you, ada)
	}
	t.Logf("%d pairs of a method and an error", len(refusals))
}

// Whatever Telegram refuses a new connection with, the request that needs it is told at once: gotd
// would go on for half a minute after a FLOOD_WAIT. What is Telegram's own trouble is waited out.
func TestRefusalsToConnections(t *testing.T) {
	b, contract := newBridge(t, withTimeout(20*time.Second)), contractOf(t)
	b.logIn(you, ada)
	p := probe{op: "get_me", do: checked(http.MethodGet, "/user/"+string(you), "", contract), succeeds: is(provisioning.ErrNotLoggedIn)}
	pairs := 0
	for _, refusal := range refusalsOf("help.getConfig") {
		pair := probed{p, "help.getConfig", refusal}
		if errors.Is(pair.meaning(), provisioning.ErrTelegramUnavailable) {
			continue
		}
		pairs++
		b.factory.StopIdle()
		b.check(contract, pair)
		b.factory.StopIdle() // gotd would try again, later each time
		b.checkSession(pair)
	}
	t.Logf("%d pairs of a method and an error", pairs)
}

// Whatever Telegram may say to a login by QR code, the page is told as the tables say.
func TestRefusalsToQRCodes(t *testing.T) {
	b, contract := newRefused(t), contractOf(t)
	pairs := 0
	for method, refusals := range map[string][]rpcerror.Refusal{
		"auth.exportLoginToken": refusalsOf("auth.exportLoginToken"), "auth.importLoginToken": fewRefusalsOf("auth.importLoginToken"),
	} {
		for _, refusal := range refusals {
			pairs++
			p := probed{probe{}, method, refusal}
			var result struct {
				Success    bool
				Error      string
				Code       string
				RetryAfter int `json:"retry_after"`
			}
			b.refusing(p, func() {
				page := b.openQR(them)
				if method == "auth.importLoginToken" {
					require.NoError(t, b.telegram.AcceptLoginToken(page.code(), remote.ID))
				}
				require.NoError(t, json.Unmarshal([]byte(page.read()), &result))
				require.NoError(t, page.CloseNow())
			})
			if errors.Is(p.meaning(), provisioning.ErrLoginTimeout) {
				assert.NotEmpty(t, result.Code, "%v: the next one", p)
				continue
			}
			assert.Equal(t, qrErrorOf(errcodeOf(contract, "login_qr", p.meaning()), p.meaning()), result.Error, "%v", p)
			b.checkLogin(p, answer{body: map[string]any{"state": map[bool]string{true: "password"}[result.Error == "password-needed"]}})
		}
	}
	t.Logf("%d pairs of a method and an error", pairs)
}

// qrErrorOf returns what a page is told for an errcode or a meaning that has a word of its own.
func qrErrorOf(errcode string, meaning error) string {
	for word, err := range map[string]error{
		"password-needed": provisioning.ErrPasswordNeeded, "session_revoked": provisioning.ErrSessionRevoked,
		"phone_number_banned": provisioning.ErrPhoneNumberBanned,
	} {
		if errors.Is(meaning, err) {
			return word
		}
	}
	return errcode
}

// Telegram sends no code to an account that has to set up an e-mail address first.
func TestLoginEmailRequired(t *testing.T) {
	b := newBridge(t)
	require.NoError(t, b.telegram.AddAccount(telegramtest.Account{ID: 1003, Phone: "9996610003", FirstName: "Eve", CodeDelivery: telegramtest.EmailSetUpRequired}))
	for _, before := range []func(){
		func() {},
		func() { b.requestCode(you, ada).is(t, 200, "").state(t, "code") }, // whose login is dropped
	} {
		before()
		b.requestCode(you, telegramtest.Account{Phone: "9996610003"}).is(t, 403, "login_email_required").state(t, "request")
		b.get(you, "/login").is(t, 200, "").state(t, "request")
		b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 403, "phone_code_expired").state(t, "request")
	}
	b.logIn(you, ada)
}

// A wrong code that went by e-mail has an error of its own.
func TestWrongEmailCode(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, ada).is(t, 200, "")
	b.telegram.Fail("auth.signIn", 1, 400, "EMAIL_CODE_INVALID")
	b.post(you, "/login/send_code", `{"code":"99999"}`).is(t, 401, "phone_code_invalid").state(t, "code")
	b.post(you, "/login/send_code", `{"code":"`+ada.Code+`"}`).is(t, 200, "")
}

// A password that is changed in another app while it is sent is asked for once more.
func TestPasswordChangesMeanwhile(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, grace).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "")
	b.telegram.Fail("auth.checkPassword", 1, 400, "SRP_PASSWORD_CHANGED")
	b.post(you, "/login/send_password", `{"password":"`+grace.Password+`"}`).is(t, 200, "")
}

// Too many wrong codes or passwords end no login: the answer says where it stands.
func TestPhoneNumberFloodInTheMiddle(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, grace).is(t, 200, "")
	stays := func(step, body, method, state string) {
		t.Helper()
		b.telegram.Fail(method, 1, 400, "PHONE_NUMBER_FLOOD")
		b.post(you, "/login/"+step, body).is(t, 429, "phone_number_flood").state(t, state)
		b.get(you, "/login").is(t, 200, "").state(t, state)
	}
	stays("send_code", `{"code":"`+grace.Code+`"}`, "auth.signIn", "code")
	stays("resend_code", "", "auth.resendCode", "code")
	b.post(you, "/login/send_code", `{"code":"`+grace.Code+`"}`).is(t, 202, "")
	stays("send_password", `{"password":"`+grace.Password+`"}`, "auth.checkPassword", "password")
	b.post(you, "/login/send_password", `{"password":"`+grace.Password+`"}`).is(t, 200, "")
}
