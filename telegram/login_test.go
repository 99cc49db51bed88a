package telegram_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestLoginByCode(t *testing.T) {
	b := newBridge(t, withExchanges)
	assert.Nil(t, b.get(you, "").telegramOf(t))

	a := b.requestCode(you, ada).is(t, 200, "").state(t, "code")
	assert.EqualValues(t, 5, a.body["code_length"])
	assert.Contains(t, a.body["message"], "Telegram apps")
	b.get(you, "/chats").is(t, 403, "not_logged_in")
	b.post(you, "/login/send_code", `{"code":"99999"}`).is(t, 401, "phone_code_invalid").state(t, "code")
	a = b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 200, "").state(t, "logged-in")
	assert.Equal(t, map[string]any{"state": "logged-in", "username": "ada", "phone": "9996610001"}, a.body)

	assert.Equal(t, map[string]any{
		"id": 1001., "username": "ada", "first_name": "Ada", "last_name": "Lovelace", "phone": "9996610001", "is_bot": false,
	}, b.get(you, "").telegramOf(t))
	for _, step := range []string{`request_code {"phone":"+1"}`, `send_code {"code":"1"}`, `send_password {"password":"x"}`, `bot_token {"token":"1:x"}`} {
		var path, body string
		_, err := fmt.Sscanf(step, "%s %s", &path, &body)
		require.NoError(t, err)
		a = b.post(you, "/login/"+path, body).is(t, 409, "already_logged_in").state(t, "logged-in")
		assert.Equal(t, []any{"ada", "9996610001"}, []any{a.body["username"], a.body["phone"]})
		assert.NotEmpty(t, a.body["error"])
	}

	require.Equal(t, 1, b.telegram.Sessions(ada.ID))
	b.post(you, "/logout", "").is(t, 200, "")
	assert.Zero(t, b.telegram.Sessions(ada.ID), "the session on Telegram has ended too")
	assert.Nil(t, b.get(you, "").telegramOf(t))
	b.post(you, "/logout", "").is(t, 403, "not_logged_in")
	b.logIn(you, ada)
}

func TestDeliveries(t *testing.T) {
	b := newBridge(t)
	for i, c := range []struct {
		delivery telegramtest.CodeDelivery
		says     string
	}{
		{telegramtest.CodeByApp, "Telegram apps"},
		{telegramtest.CodeBySMS, "SMS"},
		{telegramtest.CodeByCall, "call you and say"},
		{telegramtest.CodeByMissedCall, "do not answer"},
		{telegramtest.CodeByEmail, "e-mail"},
		{telegramtest.CodeByFragment, "Fragment"},
	} {
		account := telegramtest.Account{ID: int64(3001 + i), Phone: fmt.Sprint(9996613001 + i), Code: "012345", CodeDelivery: c.delivery}
		require.NoError(t, b.telegram.AddAccount(account))
		user := id.UserID(fmt.Sprintf("@user%d:example.com", i))
		a := b.requestCode(user, account).is(t, 200, "")
		assert.Contains(t, a.body["message"], c.says)
		assert.EqualValues(t, 6, a.body["code_length"], c.says)
		b.post(user, "/login/send_code", `{"code":543210}`).is(t, 401, "phone_code_invalid")
		b.post(user, "/login/send_code", `{"code":12345}`).is(t, 200, "").state(t, "logged-in")
	}
}

func TestCodeWithLeadingZeroAsInteger(t *testing.T) {
	// JSON has no integer 01234: real clients send 1234.
	b := newBridge(t)
	b.requestCode(you, ada).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":1234}`).is(t, 200, "").state(t, "logged-in")
}

func TestLoginWithPassword(t *testing.T) {
	b := newBridge(t)
	b.post(you, "/login/send_password", `{"password":"x"}`).is(t, 400, "phone_code_not_entered").state(t, "request")
	b.requestCode(you, grace).is(t, 200, "")
	b.post(you, "/login/send_password", `{"password":"x"}`).is(t, 400, "phone_code_not_entered").state(t, "request")
	b.post(you, "/login/send_code", `{"code":54321}`).is(t, 202, "").state(t, "password")
	b.post(you, "/login/send_code", `{"code":54321}`).is(t, 202, "").state(t, "password")
	for range 2 {
		b.post(you, "/login/send_password", `{"password":"open sesame"}`).is(t, 401, "password_invalid").state(t, "password")
	}
	assert.Nil(t, b.get(you, "").telegramOf(t))
	b.post(you, "/login/send_password", `{"password":" open sesame "}`).is(t, 200, "").state(t, "logged-in")
	assert.NotNil(t, b.get(you, "").telegramOf(t))
}

func TestLoginAsBot(t *testing.T) {
	b := newBridge(t, withExchanges)
	b.post(you, "/login/bot_token", `{"token":"2001:wrong"}`).is(t, 401, "bot_token_invalid").state(t, "token")
	a := b.post(you, "/login/bot_token", `{"token":" 2001:AAE-token "}`).is(t, 200, "").state(t, "logged-in")
	assert.Equal(t, []any{"helper_bot", ""}, []any{a.body["username"], a.body["phone"]})
	assert.JSONEq(t, `[]`, string(b.get(you, "/chats").raw))
	assert.JSONEq(t, `{}`, string(b.get(you, "/contacts").is(t, 200, "").raw))
	b.post(you, "/logout", "").is(t, 200, "")

	b.telegram.ExpireToken(helper.Token)
	b.post(you, "/login/bot_token", `{"token":"2001:AAE-token"}`).is(t, 401, "bot_token_expired").state(t, "token")
}

func TestLoginGoesOnAfterRestarts(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, grace).is(t, 200, "")
	b.restart()
	b.post(you, "/login/send_code", `{"code":"11111"}`).is(t, 401, "phone_code_invalid")
	b.restart()
	b.post(you, "/login/send_code", `{"code":"54321"}`).is(t, 202, "")
	b.restart()
	b.post(you, "/login/send_password", `{"password":"wrong"}`).is(t, 401, "password_invalid")
	b.restart()
	b.post(you, "/login/send_password", `{"password":" open sesame "}`).is(t, 200, "")
	b.restart()
	assert.NotNil(t, b.get(you, "").telegramOf(t))
	b.restart()
	b.get(you, "/chats").is(t, 200, "")
	b.restart()
	b.post(you, "/logout", "").is(t, 200, "")
	assert.Zero(t, b.telegram.Sessions(grace.ID))
	b.restart()
	assert.Nil(t, b.get(you, "").telegramOf(t))
}

// The process dies after Telegram accepted a step and before that was recorded.
func TestAcceptedStepIsFoundAfterACrash(t *testing.T) {
	for name, account := range map[string]telegramtest.Account{"code": ada, "password": grace} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			b.requestCode(you, account).is(t, 200, "")
			step, body := "/login/send_code", `{"code":"`+account.Code+`"}`
			if account.Password != "" {
				b.post(you, step, body).is(t, 202, "")
				step, body = "/login/send_password", `{"password":"`+account.Password+`"}`
			}
			_, err := b.db.Exec(t.Context(), `CREATE TRIGGER crash BEFORE UPDATE ON tgprovision_session
				WHEN new.step='active' BEGIN SELECT RAISE(ABORT, 'no'); END`)
			require.NoError(t, err)
			b.post(you, step, body).is(t, 500, "unhandled_error")
			_, err = b.db.Exec(t.Context(), `DROP TRIGGER crash`)
			require.NoError(t, err)
			b.restart()
			b.post(you, step, body).is(t, 200, "").state(t, "logged-in")
		})
	}
}

func TestTelegramRefusesPhoneNumber(t *testing.T) {
	b := newBridge(t)
	for _, c := range []struct {
		code    int
		message string
		status  int
		errcode string
	}{
		{400, "PHONE_NUMBER_INVALID", 400, "phone_number_invalid"},
		{400, "PHONE_NUMBER_BANNED", 403, "phone_number_banned"},
		{406, "PHONE_NUMBER_APP_SIGNUP_FORBIDDEN", 403, "phone_number_app_signup_forbidden"},
		{400, "PHONE_NUMBER_UNOCCUPIED", 404, "phone_number_unoccupied"},
		{400, "PHONE_NUMBER_FLOOD", 429, "phone_number_flood"},
		{406, "PHONE_PASSWORD_FLOOD", 429, "phone_number_flood"},
		{420, "FLOOD_WAIT_3725", 429, "flood_wait"},
		{400, "API_ID_INVALID", 500, "unknown_error"},
		{500, "INTERNAL", 500, "unknown_error"},
	} {
		b.telegram.Fail("auth.sendCode", 1, c.code, c.message)
		a := b.requestCode(you, ada).is(t, c.status, c.errcode).state(t, "request")
		assert.NotContains(t, a.body["error"], c.message, "Telegram's names are not for people")
		if c.errcode == "flood_wait" {
			assert.Equal(t, "3725", a.header.Get("Retry-After"))
			assert.EqualValues(t, 3725, a.body["retry_after"])
		}
	}
	assert.Zero(t, b.rows(), "a login that never began leaves nothing behind")
	b.logIn(you, ada)
}

func TestTelegramRefusesCode(t *testing.T) {
	b := newBridge(t)
	for _, c := range []struct {
		code    int
		message string
		status  int
		errcode string
		state   string
	}{
		{420, "FLOOD_WAIT_100", 429, "flood_wait", "code"},
		{400, "PHONE_CODE_EMPTY", 401, "phone_code_invalid", "code"},
		{500, "INTERNAL", 500, "unknown_error", "code"},
		{400, "PHONE_NUMBER_UNOCCUPIED", 403, "phone_number_unoccupied", "request"},
		{400, "PHONE_CODE_EXPIRED", 403, "phone_code_expired", "request"},
		{401, "SESSION_REVOKED", 403, "phone_code_expired", "request"},
	} {
		t.Run(c.message, func(t *testing.T) {
			b.requestCode(you, ada).is(t, 200, "")
			b.telegram.Fail("auth.signIn", 1, c.code, c.message)
			b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, c.status, c.errcode).state(t, c.state)
			if c.state == "request" {
				b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 403, "phone_code_expired").state(t, "request")
			}
		})
	}
	b.logIn(you, ada)
}

func TestNumberWithoutAccount(t *testing.T) {
	b := newBridge(t)
	nobody := telegramtest.Account{ID: 1003, Phone: "9996610003", SignUpRequired: true, Code: "12345"}
	require.NoError(t, b.telegram.AddAccount(nobody))
	b.requestCode(you, nobody).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":"12345"}`).is(t, 403, "phone_number_unoccupied").state(t, "request")
}

func TestTelegramRefusesPassword(t *testing.T) {
	b := newBridge(t)
	password := `{"password":" open sesame "}`
	begin := func() {
		b.requestCode(you, grace).is(t, 200, "")
		b.post(you, "/login/send_code", `{"code":"54321"}`).is(t, 202, "")
	}
	begin()
	b.telegram.Fail("auth.checkPassword", 1, 420, "FLOOD_WAIT_100")
	b.post(you, "/login/send_password", password).is(t, 429, "flood_wait").state(t, "password")
	b.telegram.Fail("auth.checkPassword", 1, 500, "INTERNAL")
	b.post(you, "/login/send_password", password).is(t, 500, "unknown_error").state(t, "password")
	b.telegram.Fail("auth.checkPassword", 1, 401, "SESSION_REVOKED")
	b.post(you, "/login/send_password", password).is(t, 401, "session_revoked").state(t, "request")
	b.post(you, "/login/send_password", password).is(t, 400, "phone_code_not_entered").state(t, "request")
	begin()
	b.telegram.Fail("auth.checkPassword", 1, 400, "SRP_ID_INVALID")
	b.post(you, "/login/send_password", password).is(t, 200, "").state(t, "logged-in")
}

func TestCodeExpires(t *testing.T) {
	b := newBridge(t)
	b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 403, "phone_code_expired").state(t, "request")
	b.requestCode(you, ada).is(t, 200, "")
	b.telegram.ExpireCode(ada.Phone)
	b.post(you, "/login/send_code", `{"code":"01234"}`).is(t, 403, "phone_code_expired").state(t, "request")
	b.logIn(you, ada)
}

func TestRequestingTheCodeAgain(t *testing.T) {
	b := newBridge(t)
	later := func() { require.NoError(t, b.factory.AgeLogin(t.Context(), you, time.Minute)) }
	first := b.requestCode(you, ada).is(t, 200, "").body["code"].(map[string]any)
	delete(first, "resend_in")
	var answers []<-chan answer
	for range 5 {
		answers = append(answers, b.background(t.Context(), http.MethodPost, "/user/"+string(you)+"/login/request_code", `{"phone":"+`+ada.Phone+`"}`))
	}
	for _, a := range answers {
		again := (<-a).is(t, 200, "").body["code"].(map[string]any)
		delete(again, "resend_in")
		assert.Equal(t, first, again)
	}
	assert.Equal(t, []int{1, 0}, []int{b.telegram.Calls("auth.sendCode"), b.telegram.Calls("auth.resendCode")})
	later()
	b.requestCode(you, ada).is(t, 200, "")
	assert.Equal(t, []int{1, 1}, []int{b.telegram.Calls("auth.sendCode"), b.telegram.Calls("auth.resendCode")})
	later()
	b.telegram.Fail("auth.resendCode", 1, 400, "SEND_CODE_UNAVAILABLE")
	b.requestCode(you, ada).is(t, 200, "")
	later()
	b.telegram.ExpireCode(ada.Phone)
	b.requestCode(you, ada).is(t, 200, "")
	// Another number is another login.
	b.requestCode(you, grace).is(t, 200, "")
	b.post(you, "/login/send_code", `{"code":"54321"}`).is(t, 202, "")
	b.logIn(you, ada)
}

// Many requests before there is a login share one code.
func TestManyRequestsForOneCode(t *testing.T) {
	b := newBridge(t)
	var answers []<-chan answer
	for range 5 {
		answers = append(answers, b.background(t.Context(), http.MethodPost, "/user/"+string(you)+"/login/request_code", `{"phone":"+`+ada.Phone+`"}`))
	}
	for _, a := range answers {
		(<-a).is(t, 200, "").state(t, "code")
	}
	assert.Equal(t, 1, b.telegram.Calls("auth.sendCode")+b.telegram.Calls("auth.resendCode"))
}

func TestAccountMovesToAnotherUser(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.logIn(them, ada)
	assert.Nil(t, b.get(you, "").telegramOf(t))
	b.get(you, "/chats").is(t, 403, "not_logged_in")
	assert.NotNil(t, b.get(them, "").telegramOf(t))
	assert.Equal(t, 1, b.telegram.Sessions(ada.ID), "the older session has ended on Telegram")
}

func TestSessionEndedFromOutside(t *testing.T) {
	for _, c := range []struct{ reason, what string }{
		{"AUTH_KEY_UNREGISTERED", ""},
		{"SESSION_REVOKED", ""},
		{"SESSION_EXPIRED", ""},
		{"USER_DEACTIVATED", ""},
		{"SESSION_REVOKED", "/chats"},
		{"SESSION_REVOKED", "/contacts"},
		{"SESSION_REVOKED", "/logout"},
	} {
		t.Run(c.reason+c.what, func(t *testing.T) {
			b := newBridge(t)
			b.logIn(you, ada)
			require.NoError(t, b.telegram.Revoke(ada.ID, c.reason))
			switch c.what {
			case "":
				assert.Nil(t, b.get(you, "").telegramOf(t))
			case "/logout":
				b.post(you, c.what, "").is(t, 403, "not_logged_in")
			default:
				b.get(you, c.what).is(t, 403, "not_logged_in")
			}
			assert.Zero(t, b.rows())
			assert.Zero(t, b.users.Len())
			b.post(you, "/logout", "").is(t, 403, "not_logged_in")
		})
	}
}

func TestSessionEndedWhileTheProcessWasDown(t *testing.T) {
	for _, reason := range []string{"AUTH_KEY_UNREGISTERED", "SESSION_REVOKED"} {
		t.Run(reason, func(t *testing.T) {
			b := newBridge(t)
			b.logIn(you, ada)
			b.stop()
			require.NoError(t, b.telegram.Revoke(ada.ID, reason))
			b.start()
			assert.Nil(t, b.get(you, "").telegramOf(t))
			assert.Zero(t, b.rows())
		})
	}
}

func TestAuthKeyForgottenByTelegram(t *testing.T) {
	b := newBridge(t)
	b.logIn(you, ada)
	b.telegram.ForgetKeys(ada.ID)
	b.telegram.DropConnections()
	assert.Nil(t, b.get(you, "").telegramOf(t))
	b.logIn(you, ada)
}

func TestSameUserTwiceAtOnce(t *testing.T) {
	b := newBridge(t)
	both := func(path, body string) map[int]int {
		first := b.background(t.Context(), http.MethodPost, "/user/"+string(you)+path, body)
		second := b.background(t.Context(), http.MethodPost, "/user/"+string(you)+path, body)
		statuses := map[int]int{}
		for _, a := range []answer{<-first, <-second} {
			require.NoError(t, a.err)
			statuses[a.status]++
		}
		return statuses
	}
	assert.Equal(t, map[int]int{200: 2}, both("/login/request_code", `{"phone":"+9996610001"}`))
	assert.Equal(t, map[int]int{200: 1, 409: 1}, both("/login/send_code", `{"code":"01234"}`))
	assert.Equal(t, map[int]int{200: 1, 403: 1}, both("/logout", ""))
	assert.Equal(t, map[int]int{200: 1, 409: 1}, both("/login/bot_token", `{"token":"2001:AAE-token"}`))
}

func TestTwoUsersAtOnce(t *testing.T) {
	b := newBridge(t)
	for _, step := range []struct {
		path   string
		bodies [2]string
		want   [2]int
	}{
		{"/login/request_code", [2]string{`{"phone":"+9996610001"}`, `{"phone":"+9996610002"}`}, [2]int{200, 200}},
		{"/login/send_code", [2]string{`{"code":"01234"}`, `{"code":"54321"}`}, [2]int{200, 202}},
		{"/login/send_password", [2]string{`{"password":"x"}`, `{"password":" open sesame "}`}, [2]int{409, 200}},
	} {
		yours := b.background(t.Context(), http.MethodPost, "/user/"+string(you)+step.path, step.bodies[0])
		theirs := b.background(t.Context(), http.MethodPost, "/user/"+string(them)+step.path, step.bodies[1])
		assert.Equal(t, step.want, [2]int{(<-yours).status, (<-theirs).status})
	}
	assert.NotEqual(t, b.get(you, "").telegramOf(t), b.get(them, "").telegramOf(t))
}

func TestUnknownUsersLeaveNothing(t *testing.T) {
	b := newBridge(t)
	for i := range 500 {
		a := b.call(http.MethodGet, fmt.Sprintf("/user/@nobody%d:example.com", i), "")
		assert.Nil(t, a.telegramOf(t))
	}
	assert.Zero(t, b.rows())
	assert.Zero(t, b.users.Len())
	assert.Zero(t, b.telegram.Connections())
	assert.Zero(t, b.factory.Slots())
}

// rows counts the sessions and half-done logins in the database, without those to be ended.
func (b *bridge) rows() (n int) {
	b.t.Helper()
	require.NoError(b.t, b.db.QueryRow(b.t.Context(), "SELECT COUNT(*) FROM tgprovision_session WHERE step<>'ending'").Scan(&n))
	return n
}
