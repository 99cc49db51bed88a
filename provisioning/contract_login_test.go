package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// The steps of a login, for bridge.login.
var (
	requestAlice   = [2]string{"request_code", `{"phone":"+15550100"}`}
	requestGuarded = [2]string{"request_code", `{"phone":"+15550101"}`}
	codeGuarded    = [2]string{"send_code", `{"code":"54321"}`}
)

// after prepares a bridge where alice has done login steps.
func after(steps ...[2]string) func(*testing.T, *bridge) {
	return func(t *testing.T, b *bridge) { b.login(t, alice, steps...) }
}

// fails prepares a bridge where a method fails, after login steps.
func fails(method string, err error, steps ...[2]string) func(*testing.T, *bridge) {
	return func(t *testing.T, b *bridge) {
		b.login(t, alice, steps...)
		b.telegram.Fail(method, fmt.Errorf("wrapped: %w", err))
	}
}

// reachedLimit has every limit over time be reached for ten minutes more.
func reachedLimit(_ *bridge, cfg *provisioning.Config) {
	cfg.Limits = fixedLimits{wait: 10 * time.Minute}
}

// overtaken prepares a bridge where a concurrent request has logged alice in by
// the time that a method is called.
func overtaken(method string) func(*testing.T, *bridge) {
	return func(t *testing.T, b *bridge) {
		b.telegram.Fail(method, provisioning.ErrAlreadyLoggedIn)
		asked := 0
		b.telegram.On("Account", func(context.Context) error {
			if asked++; asked == 1 {
				return provisioning.ErrNotLoggedIn
			}
			b.telegram.LogIn(alice, aliceAccount.ID)
			return nil
		})
	}
}

var aliceLoggedIn = map[string]any{"username": "alice_tg", "phone": "15550100"}

const loggedInAlice = `{"state":"logged-in","username":"alice_tg","phone":"15550100"}`

func phoneOperations() []operation {
	const sent = `{"state":"code","username":"","phone":"","message":"Telegram has sent a code to your Telegram apps. Please enter it.","code_length":5,` +
		`"code":{"delivery":"app","destination":"","length":5,"next_delivery":"sms","resend_in":60}}`
	cases := []wireCase{
		{name: "code sent", body: `{"phone":"+15550100"}`, status: 200, success: sent},
		{name: "code sent again", body: `{"phone":"+15550100"}`, prepare: after(requestAlice), status: 200, success: sent},
		{name: "another phone", body: `{"phone":"+15550100"}`, prepare: after(requestGuarded), status: 200, success: sent},
		{name: "spelled freely", body: ` {"phone":" +1 (555) 01-00 ","extra":{"a":[1]}} `, status: 200, success: sent},
		{name: "admin", user: string(admin), body: `{"phone":"+15550100"}`, status: 200, success: sent},
		{name: "logged out in between", body: `{"phone":"+15550100"}`, status: 200, success: sent, prepare: func(t *testing.T, b *bridge) {
			b.logIn(t, alice, aliceAccount)
			b.telegram.EndSession(alice)
		}},
	}
	for _, phone := range []string{`""`, `" "`, `null`, `15550100`, `0`, `true`, `[]`, `{}`, `["+15550100"]`, `"x"`, `"+"`, `"+1x5550100"`} {
		body := `{"phone":` + phone + `}`
		cases = append(cases, wireCase{name: "phone " + phone, body: body, status: 400, errcode: "phone_number_invalid", state: "request"})
	}
	refusals := []struct {
		err     error
		status  int
		errcode string
	}{
		{provisioning.ErrPhoneNumberInvalid, 400, "phone_number_invalid"},
		{provisioning.ErrPhoneNumberBanned, 403, "phone_number_banned"},
		{provisioning.ErrPhoneNumberAppSignupForbidden, 403, "phone_number_app_signup_forbidden"},
		{provisioning.ErrPhoneNumberUnoccupied, 404, "phone_number_unoccupied"},
		{provisioning.ErrPhoneNumberFlood, 429, "phone_number_flood"},
		{provisioning.ErrTelegramUnavailable, 500, "unknown_error"},
		{provisioning.ErrLoginEmailRequired, 403, "login_email_required"},
	}
	for _, r := range refusals {
		cases = append(cases, wireCase{
			name: "refused: " + r.err.Error(), body: `{"phone":"+15550100"}`, prepare: fails("RequestCode", r.err),
			status: r.status, errcode: r.errcode, state: "request",
		})
	}
	cases = append(cases,
		wireCase{
			name: "refused: protected by a password", body: `{"phone":"+15550100"}`,
			prepare: fails("RequestCode", saidBy(provisioning.ErrTelegramRestricted, "PHONE_PASSWORD_PROTECTED")),
			status:  403, errcode: "telegram_restricted", state: "request", fields: map[string]any{"telegram_error": "PHONE_PASSWORD_PROTECTED"},
		},
		wireCase{
			name: "too many codes", body: `{"phone":"+15550100"}`, change: reachedLimit, status: 429, errcode: "phone_number_flood", state: "request",
			fields: map[string]any{"retry_after": 600.0},
		},
		wireCase{name: "no phone", body: `{}`, status: 400, errcode: "phone_number_invalid", state: "request"},
		wireCase{name: "name in another case", body: `{"Phone":"+15550100"}`, status: 400, errcode: "phone_number_invalid", state: "request"},
		wireCase{name: "unknown phone", body: `{"phone":"+15559999"}`, status: 404, errcode: "phone_number_unoccupied", state: "request"},
		wireCase{
			name: "refused: flood wait", body: `{"phone":"+15550100"}`, prepare: fails("RequestCode", &provisioning.FloodWaitError{Wait: time.Hour}),
			status: 429, errcode: "flood_wait", state: "request", fields: map[string]any{"retry_after": 3600.0},
		},
		wireCase{
			name: "overtaken", body: `{"phone":"+15550100"}`, prepare: overtaken("RequestCode"),
			status: 409, errcode: "already_logged_in", state: "logged-in", fields: aliceLoggedIn,
		},
	)
	return []operation{{
		op: "post_login_phone", method: http.MethodPost, path: "/user/{user_id}/login/request_code", cases: cases,
		documented: []string{
			"400 phone_number_invalid", "403 phone_number_banned", "403 phone_number_app_signup_forbidden",
			"403 login_email_required", "404 phone_number_unoccupied", "429 phone_number_flood",
		},
	}}
}

func codeOperations() []operation {
	var cases []wireCase
	codes := func(status int, success, errcode string, values ...string) {
		for _, value := range values {
			c := wireCase{
				name: "code " + value, body: `{"code":` + value + `}`, prepare: after(requestAlice),
				status: status, success: success, errcode: errcode,
			}
			if errcode != "" {
				c.state = "code"
			}
			cases = append(cases, c)
		}
	}
	codes(200, loggedInAlice, "", `"01234"`, `1234`, `" 01234 "`, `"01 234"`, `"0 1 2 3 4"`, `"01-234"`, `"01234\n"`, `"\u00a001234"`)
	codes(401, "", "phone_code_invalid", `"99999"`, `99999`, `0`, `"1234"`, `"abc"`, `"-"`, `"012345"`, `99999999999999999999999999`, `"\ud800"`)
	codes(400, "", "body_value_invalid", `12.5`, `-1234`, `1e3`, `1234.0`, `true`, `false`, `[]`, `["01234"]`, `{}`)
	codes(400, "", "body_value_missing", `null`, `""`, `"  "`)
	cases = append(cases,
		wireCase{name: "no code", body: `{}`, prepare: after(requestAlice), status: 400, errcode: "body_value_missing", state: "code"},
		wireCase{name: "none requested", body: `{"code":"01234"}`, status: 403, errcode: "phone_code_expired", state: "request"},
		wireCase{
			name: "given up", body: `{"code":"99999"}`, status: 401, errcode: "phone_code_invalid", state: "request",
			prepare: fails("SubmitCode", fmt.Errorf("%w: %w", provisioning.ErrPhoneCodeInvalid, provisioning.ErrLoginGivenUp), requestAlice),
		},
		wireCase{
			name: "timed out", body: `{"code":"01234"}`, prepare: fails("SubmitCode", provisioning.ErrPhoneCodeExpired, requestAlice),
			status: 403, errcode: "phone_code_expired", state: "request",
		},
		wireCase{
			name: "not registered", body: `{"code":"01234"}`, prepare: fails("SubmitCode", provisioning.ErrPhoneNumberUnoccupied, requestAlice),
			status: 403, errcode: "phone_number_unoccupied", state: "request",
		},
		wireCase{
			name: "password needed", body: `{"code":54321}`, prepare: after(requestGuarded), status: 202,
			success: `{"state":"password","username":"","phone":"","message":"The code is right. The account also has a two-factor password: please enter it.","password_hint":"as Ali Baba"}`,
		},
		wireCase{
			name: "refused: flood wait", body: `{"code":"01234"}`, prepare: fails("SubmitCode", &provisioning.FloodWaitError{Wait: 100 * time.Second}, requestAlice),
			status: 429, errcode: "flood_wait", state: "code", fields: map[string]any{"retry_after": 100.0},
		},
		wireCase{
			name: "refused: number blocked", body: `{"code":"01234"}`, prepare: fails("SubmitCode", provisioning.ErrPhoneNumberFlood, requestAlice),
			status: 429, errcode: "phone_number_flood", state: "code",
		},
		wireCase{
			name: "overtaken", body: `{"code":"01234"}`, prepare: overtaken("SubmitCode"),
			status: 409, errcode: "already_logged_in", state: "logged-in", fields: aliceLoggedIn,
		},
	)
	return []operation{{
		op: "post_login_code", method: http.MethodPost, path: "/user/{user_id}/login/send_code", cases: cases,
		documented: []string{
			"202 ", "400 body_value_missing", "400 body_value_invalid", "401 phone_code_invalid",
			"403 phone_code_expired", "403 phone_number_unoccupied", "429 phone_number_flood",
		},
	}}
}

func passwordOperations() []operation {
	const loggedIn = `{"state":"logged-in","username":"","phone":"15550101"}`
	half := after(requestGuarded, codeGuarded)
	cases := []wireCase{
		{name: "right", body: `{"password":" open sesame "}`, prepare: half, status: 200, success: loggedIn},
		{name: "missing", body: `{}`, prepare: half, status: 400, errcode: "password_empty", state: "password"},
		{name: "wrong", body: `{"password":"open"}`, prepare: half, status: 401, errcode: "password_invalid", state: "password"},
		{
			name: "given up", body: `{"password":"open"}`, status: 401, errcode: "password_invalid", state: "request",
			prepare: fails("SubmitPassword", fmt.Errorf("%w: %w", provisioning.ErrPasswordInvalid, provisioning.ErrLoginGivenUp), requestGuarded, codeGuarded),
		},
		{name: "spaces count", body: `{"password":"open sesame"}`, prepare: half, status: 401, errcode: "password_invalid", state: "password"},
		{name: "blank is a password", body: `{"password":" "}`, prepare: half, status: 401, errcode: "password_invalid", state: "password"},
		{name: "no login", body: `{"password":"x"}`, status: 400, errcode: "phone_code_not_entered", state: "request"},
		{name: "before the code", body: `{"password":" open sesame "}`, prepare: after(requestGuarded), status: 400, errcode: "phone_code_not_entered", state: "request"},
		{
			name: "revoked", body: `{"password":"x"}`, prepare: fails("SubmitPassword", provisioning.ErrSessionRevoked, requestGuarded, codeGuarded),
			status: 401, errcode: "session_revoked", state: "request",
		},
		{
			name: "refused: flood wait", body: `{"password":"x"}`,
			prepare: fails("SubmitPassword", &provisioning.FloodWaitError{Wait: 100 * time.Second}, requestGuarded, codeGuarded),
			status:  429, errcode: "flood_wait", state: "password", fields: map[string]any{"retry_after": 100.0},
		},
		{
			name: "refused: number blocked", body: `{"password":"x"}`,
			prepare: fails("SubmitPassword", provisioning.ErrPhoneNumberFlood, requestGuarded, codeGuarded),
			status:  429, errcode: "phone_number_flood", state: "password",
		},
		{
			name: "overtaken", body: `{"password":"x"}`, prepare: overtaken("SubmitPassword"),
			status: 409, errcode: "already_logged_in", state: "logged-in", fields: aliceLoggedIn,
		},
	}
	for _, value := range []string{`""`, `null`} {
		cases = append(cases, wireCase{name: "password " + value, body: `{"password":` + value + `}`, prepare: half, status: 400, errcode: "password_empty", state: "password"})
	}
	for _, value := range []string{`5`, `0`, `true`, `[]`, `{}`, `["x"]`} {
		cases = append(cases, wireCase{name: "password " + value, body: `{"password":` + value + `}`, prepare: half, status: 400, errcode: "body_value_invalid", state: "password"})
	}
	return []operation{{
		op: "post_login_password", method: http.MethodPost, path: "/user/{user_id}/login/send_password", cases: cases,
		documented: []string{"400 password_empty", "400 phone_code_not_entered", "401 password_invalid", "401 session_revoked", "429 phone_number_flood"},
	}}
}

func otherLoginOperations() []operation {
	const loggedIn = `{"state":"logged-in","username":"helper_bot","phone":""}`
	token := `{"token":"` + botAccount.Token + `"}`
	cases := []wireCase{
		{name: "right", body: token, status: 200, success: loggedIn},
		{name: "blanks around", body: strings.ReplaceAll(token, botAccount.Token, " "+botAccount.Token+`\n`), status: 200, success: loggedIn},
		{name: "in the middle of a phone login", body: token, prepare: after(requestAlice), status: 200, success: loggedIn},
		{name: "missing", body: `{}`, status: 400, errcode: "body_value_missing", state: "token"},
		{name: "invalid", body: `{"token":"x"}`, status: 401, errcode: "bot_token_invalid", state: "token"},
		{name: "expired", body: token, prepare: fails("LoginBot", provisioning.ErrBotTokenExpired), status: 401, errcode: "bot_token_expired", state: "token"},
		{
			name: "refused: flood wait", body: token, prepare: fails("LoginBot", &provisioning.FloodWaitError{Wait: time.Second}),
			status: 429, errcode: "flood_wait", state: "token", fields: map[string]any{"retry_after": 1.0},
		},
		{
			name: "overtaken", body: token, prepare: overtaken("LoginBot"),
			status: 409, errcode: "already_logged_in", state: "logged-in", fields: aliceLoggedIn,
		},
	}
	for _, value := range []string{`""`, `" "`, `null`} {
		cases = append(cases, wireCase{name: "token " + value, body: `{"token":` + value + `}`, status: 400, errcode: "body_value_missing", state: "token"})
	}
	for _, value := range []string{`5`, `true`, `[]`, `{}`} {
		cases = append(cases, wireCase{name: "token " + value, body: `{"token":` + value + `}`, status: 400, errcode: "body_value_invalid", state: "token"})
	}
	return []operation{
		{
			op: "post_bot_token", method: http.MethodPost, path: "/user/{user_id}/login/bot_token", cases: cases,
			documented: []string{"400 body_value_missing", "400 body_value_invalid", "401 bot_token_invalid", "401 bot_token_expired"},
		},
		{
			op: "logout", method: http.MethodPost, path: "/user/{user_id}/logout", cases: logoutCases(),
			documented: []string{"403 not_logged_in"},
		},
	}
}

func logoutCases() []wireCase {
	cases := []wireCase{
		{name: "not logged in", status: 403, errcode: "not_logged_in"},
		{
			name: "Telegram can't be reached", status: 200, success: `{"pending":true}`,
			prepare: func(t *testing.T, b *bridge) {
				b.logIn(t, alice, aliceAccount)
				b.telegram.SetAway(true)
			},
			after: func(t *testing.T, b *bridge) { b.expectUser(t, alice, 0, false, 0) },
		},
		{name: "half-done login", prepare: after(requestAlice), status: 403, errcode: "not_logged_in"},
		{name: "minimal client", change: minimalClients, prepare: as(aliceAccount), status: 200, success: `{}`},
		{
			name: "without permission now", user: string(stranger), status: 200, success: `{}`,
			prepare: func(t *testing.T, b *bridge) { b.logIn(t, stranger, aliceAccount) },
		},
	}
	for _, body := range []string{``, `{}`, `null`, `[]`, `{"a":1}`, `garbage`, "\xff\xfe", bodyOf(64<<10 + 1)} {
		cases = append(cases, wireCase{name: "body " + fmt.Sprintf("%.9q", body), body: body, prepare: as(aliceAccount), status: 200, success: `{}`})
	}
	return cases
}

// controlOperations look at a half-done login and steer it.
func controlOperations() []operation {
	const (
		codeSent = `"code":{"delivery":"app","destination":"","length":5,"next_delivery":"sms","resend_in":60}`
		message  = `"message":"Telegram has sent a code to your Telegram apps. Please enter it."`
		none     = `{"state":"request","username":"","phone":"","since":null,"message":"","code":null,"password_hint":""}`
	)
	loggedIn := func(account provisioningAccount) wireCase {
		return wireCase{
			name: "already logged in", prepare: as(account), status: 409, errcode: "already_logged_in", state: "logged-in",
			fields: map[string]any{"username": account.Username, "phone": account.Phone},
		}
	}
	minimal := wireCase{name: "not implemented", change: minimalClients, status: 501, errcode: "not_implemented"}
	levels := func(state string) (cases []wireCase) {
		for _, userID := range []string{string(stranger), string(relayed), string(plain)} {
			cases = append(cases, wireCase{name: "level of " + userID, user: userID, status: 403, errcode: "mxid_not_whitelisted", state: state})
		}
		return cases
	}
	inState := func(c wireCase, state string) wireCase {
		c.state = state
		return c
	}
	get := append(levels(""), minimal,
		wireCase{name: "no login", status: 200, success: none},
		wireCase{
			name: "code sent", prepare: after(requestAlice), status: 200,
			success: `{"state":"code","username":"","phone":"15550100","since":946684800000,` + message + `,` + codeSent + `,"password_hint":""}`,
		},
		wireCase{
			name: "code sent by mail, which can't be sent again", prepare: after(requestGuarded), status: 200,
			success: `{"state":"code","username":"","phone":"15550101","since":946684800000,` +
				`"message":"Telegram has sent a code to your login e-mail address. Please enter it.",` +
				`"code":{"delivery":"email","destination":"b***@example.com","length":5,"next_delivery":null,"resend_in":0},"password_hint":""}`,
		},
		wireCase{
			name: "password needed", prepare: after(requestGuarded, codeGuarded), status: 200,
			success: `{"state":"password","username":"","phone":"15550101","since":946684800000,` +
				`"message":"The code is right. The account also has a two-factor password: please enter it.","code":null,"password_hint":"as Ali Baba"}`,
		},
		wireCase{
			name: "logged in", prepare: as(aliceAccount), status: 200,
			success: `{"state":"logged-in","username":"alice_tg","phone":"15550100","since":null,"message":"","code":null,"password_hint":""}`,
		},
		wireCase{name: "logged in as a bot", prepare: as(botAccount), status: 200, success: `{"state":"logged-in","username":"helper_bot","phone":"","since":null,"message":"","code":null,"password_hint":""}`},
		wireCase{name: "look broken", prepare: fails("LoginProgress", errors.New("disk full")), status: 500, errcode: "unhandled_error"},
	)
	resend := append(levels("code"), inState(minimal, "code"), loggedIn(aliceAccount),
		wireCase{
			name: "sent again", prepare: after(requestAlice), status: 200,
			success: `{"state":"code","username":"","phone":"","message":"Telegram has sent a code by SMS. Please enter it.","code_length":5,` +
				`"code":{"delivery":"sms","destination":"","length":5,"next_delivery":null,"resend_in":0}}`,
		},
		wireCase{name: "no login", status: 403, errcode: "phone_code_expired", state: "request"},
		wireCase{name: "no way left", prepare: after(requestGuarded), status: 409, errcode: "code_not_resendable", state: "code"},
		wireCase{name: "code accepted", prepare: after(requestGuarded, codeGuarded), status: 409, errcode: "code_not_resendable", state: "password"},
		wireCase{name: "an e-mail address is missing", prepare: fails("ResendCode", provisioning.ErrLoginEmailRequired, requestAlice), status: 403, errcode: "login_email_required", state: "request"},
		wireCase{name: "number blocked", prepare: fails("ResendCode", provisioning.ErrPhoneNumberFlood, requestAlice), status: 429, errcode: "phone_number_flood", state: "code"},
		wireCase{name: "overtaken", prepare: overtaken("ResendCode"), status: 409, errcode: "already_logged_in", state: "logged-in", fields: aliceLoggedIn},
		wireCase{name: "any body", prepare: after(requestAlice), body: "garbage", status: 200, success: `{"state":"code","username":"","phone":"","message":"Telegram has sent a code by SMS. Please enter it.","code_length":5,` +
			`"code":{"delivery":"sms","destination":"","length":5,"next_delivery":null,"resend_in":0}}`},
	)
	forgotten := func(t *testing.T, b *bridge) {
		b.call(t, http.MethodGet, user(alice, "/login"), "").wantBody(t, 200, none)
	}
	cancel := append(levels("request"), inState(minimal, "request"), loggedIn(aliceAccount),
		wireCase{name: "no login", status: 200, success: `{}`},
		wireCase{name: "code sent", prepare: after(requestAlice), status: 200, success: `{}`, after: forgotten},
		wireCase{name: "password needed", prepare: after(requestGuarded, codeGuarded), status: 200, success: `{}`, after: forgotten},
		wireCase{name: "overtaken", prepare: overtaken("CancelLogin"), status: 409, errcode: "already_logged_in", state: "logged-in", fields: aliceLoggedIn},
	)
	return []operation{
		{op: "get_login", method: http.MethodGet, path: "/user/{user_id}/login", cases: get, documented: []string{"200 ", "501 not_implemented"}},
		{
			op: "resend_login_code", method: http.MethodPost, path: "/user/{user_id}/login/resend_code", cases: resend,
			documented: []string{"200 ", "403 phone_code_expired", "403 login_email_required", "409 code_not_resendable", "409 already_logged_in", "429 phone_number_flood", "501 not_implemented"},
		},
		{
			op: "cancel_login", method: http.MethodDelete, path: "/user/{user_id}/login", cases: cancel,
			documented: []string{"200 ", "409 already_logged_in", "501 not_implemented"},
		},
	}
}
