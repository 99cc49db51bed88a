package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning/client"
)

const alice = "@alice/slash:example.com"

// refused fails the test unless an error is the API's, with an errcode and a state.
func refused(t *testing.T, err error, errcode string, state client.LoginState) *client.Error {
	t.Helper()
	fault, ok := errors.AsType[*client.Error](err)
	if !ok || fault.Errcode != errcode || fault.Message == "" || fault.State == nil || *fault.State != state {
		t.Fatalf("%v, want %s with the state %s", err, errcode, state)
	}
	return fault
}

// The steps return one type, whatever their statuses.
func TestLoginSteps(t *testing.T) {
	api := newClient(t, serve(t), secret)
	ctx := t.Context()
	step := func(name string, want client.LoginState) func(client.LoginStatus, error) client.LoginStatus {
		return func(login client.LoginStatus, err error) client.LoginStatus {
			t.Helper()
			if err != nil || login.State != want {
				t.Fatalf("%s: %+v, %v", name, login, err)
			}
			return login
		}
	}
	step("progress", client.LoginStateRequest)(api.LoginProgress(ctx, alice))
	_, err := api.LoginRequestCode(ctx, alice, "no number")
	refused(t, err, "phone_number_invalid", client.LoginStateRequest)
	sent := step("request a code", client.LoginStateCode)(api.LoginRequestCode(ctx, alice, "+15550100"))
	if sent.Code == nil || sent.Code.Length != 5 || sent.Message == "" {
		t.Errorf("a code was sent: %+v", sent)
	}
	_, err = api.LoginResendCode(ctx, alice)
	refused(t, err, "code_not_resendable", client.LoginStateCode)
	_, err = api.LoginCode(ctx, alice, "99999")
	refused(t, err, "phone_code_invalid", client.LoginStateCode)
	step("give up", client.LoginStateRequest)(api.LoginCancel(ctx, alice))
	_, err = api.LoginCode(ctx, alice, "01234")
	refused(t, err, "phone_code_expired", client.LoginStateRequest)

	step("request a code", client.LoginStateCode)(api.LoginRequestCode(ctx, alice, "+15550100"))
	for name, login := range map[string]client.LoginStatus{
		"code":     step("code", client.LoginStatePassword)(api.LoginCode(ctx, alice, "01234")),
		"progress": step("progress", client.LoginStatePassword)(api.LoginProgress(ctx, alice)),
	} {
		if login.PasswordHint != "as in the tale" || login.Message == "" {
			t.Errorf("%s: %+v", name, login)
		}
	}
	_, err = api.LoginPassword(ctx, alice, "open barley")
	refused(t, err, "password_invalid", client.LoginStatePassword)
	for name, login := range map[string]client.LoginStatus{
		"password": step("password", client.LoginStateLoggedIn)(api.LoginPassword(ctx, alice, "open sesame")),
		"progress": step("progress", client.LoginStateLoggedIn)(api.LoginProgress(ctx, alice)),
	} {
		if login.Username != "alice_tg" || login.Phone != "15550100" {
			t.Errorf("%s: %+v", name, login)
		}
	}

	step("request a code", client.LoginStateCode)(api.LoginRequestCode(ctx, "@bob:example.com", "+15550101"))
	step("code", client.LoginStateLoggedIn)(api.LoginCode(ctx, "@bob:example.com", "43210"))
	_, err = api.LoginBotToken(ctx, "@helper:example.com", "1003:wrong")
	refused(t, err, "bot_token_invalid", client.LoginStateToken)
	step("bot token", client.LoginStateLoggedIn)(api.LoginBotToken(ctx, "@helper:example.com", "1003:token"))
}

// An answer that says nothing of a login is none of the API's.
func TestLoginBehindProxy(t *testing.T) {
	for _, proxy := range append(proxies, proxy{200, "application/json", "{}", "HTTP 200, not by the provisioning API"}) {
		login, err := newClient(t, proxy.serve(t), secret).LoginCode(t.Context(), alice, "01234")
		if err == nil || err.Error() != proxy.want {
			t.Errorf("behind a proxy that sends %d, %s: %+v, %v", proxy.status, proxy.contentType, login, err)
		}
	}
}

func TestLoginResendCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := bridge(t)
		if err := p.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())
		api, err := client.New("http://bridge", secret, client.WithHTTPClient(asks(p.Handler(""))))
		if err != nil {
			t.Fatal(err)
		}
		login, err := api.LoginRequestCode(t.Context(), alice, "+15550101")
		if err != nil || login.Code.ResendIn != 60 {
			t.Fatalf("request a code: %+v, %v", login, err)
		}
		<-time.After(time.Minute)
		login, err = api.LoginResendCode(t.Context(), alice)
		if err != nil || login.State != client.LoginStateCode || login.Code.Delivery != "sms" || login.Message == "" {
			t.Errorf("send it again: %+v, %v", login, err)
		}
	})
}

// Who is logged in gets an error of every step, which names the account.
func TestAlreadyLoggedIn(t *testing.T) {
	p, telegram := bridge(t)
	api := newClient(t, serveBridge(t, p), secret)
	telegram.LogIn(alice, 1001)
	for name, step := range map[string]func() (client.LoginStatus, error){
		"request a code": func() (client.LoginStatus, error) { return api.LoginRequestCode(t.Context(), alice, "+15550100") },
		"resend":         func() (client.LoginStatus, error) { return api.LoginResendCode(t.Context(), alice) },
		"code":           func() (client.LoginStatus, error) { return api.LoginCode(t.Context(), alice, "01234") },
		"password":       func() (client.LoginStatus, error) { return api.LoginPassword(t.Context(), alice, "open sesame") },
		"bot token":      func() (client.LoginStatus, error) { return api.LoginBotToken(t.Context(), alice, "1003:token") },
		"cancel":         func() (client.LoginStatus, error) { return api.LoginCancel(t.Context(), alice) },
		"QR code":        func() (client.LoginStatus, error) { return api.LoginQR(t.Context(), alice, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := step()
			if fault := refused(t, err, "already_logged_in", client.LoginStateLoggedIn); *fault.Username != "alice_tg" {
				t.Errorf("as %s", *fault.Username)
			}
		})
	}
}
