package client

import (
	"context"
	"encoding/json"
)

// LoginRequestCode has Telegram send a login code to a phone number in any usual spelling, with
// its country code.
func (c *ClientWithResponses) LoginRequestCode(ctx context.Context, userID UserID, phone string) (LoginStatus, error) {
	return loginStatus(c.PostLoginPhoneWithResponse(ctx, userID, PhoneNumber{Phone: phone}))
}

// LoginResendCode has Telegram send the login code again, in its next way. Where it has none,
// or the code was right already, the error is code_not_resendable.
func (c *ClientWithResponses) LoginResendCode(ctx context.Context, userID UserID) (LoginStatus, error) {
	return loginStatus(c.ResendLoginCodeWithResponse(ctx, userID))
}

// LoginCode logs in with the code that Telegram has sent. For an account with a two-factor
// password the state is [LoginStatePassword] then, and [ClientWithResponses.LoginPassword] follows.
func (c *ClientWithResponses) LoginCode(ctx context.Context, userID UserID, code string) (LoginStatus, error) {
	return loginStatus(c.PostLoginCodeWithResponse(ctx, userID, PhoneCode{Code: code}))
}

// LoginPassword logs in with the two-factor password, after a code or a QR code.
func (c *ClientWithResponses) LoginPassword(ctx context.Context, userID UserID, password string) (LoginStatus, error) {
	return loginStatus(c.PostLoginPasswordWithResponse(ctx, userID, Password{Password: password}))
}

// LoginBotToken logs in as a bot, with the token that BotFather gives.
func (c *ClientWithResponses) LoginBotToken(ctx context.Context, userID UserID, token string) (LoginStatus, error) {
	return loginStatus(c.PostBotTokenWithResponse(ctx, userID, BotToken{Token: token}))
}

// LoginProgress tells how far the login is. A user who is logged in is no error here. Errors
// have no State.
func (c *ClientWithResponses) LoginProgress(ctx context.Context, userID UserID) (LoginStatus, error) {
	return loginStatus(c.GetLoginWithResponse(ctx, userID))
}

// LoginCancel forgets a login that is half done; it is a success as well where there is none. The
// state is [LoginStateRequest] then.
func (c *ClientWithResponses) LoginCancel(ctx context.Context, userID UserID) (LoginStatus, error) {
	if _, err := Do(c.CancelLoginWithResponse(ctx, userID)); err != nil {
		return LoginStatus{}, err
	}
	return LoginStatus{State: LoginStateRequest}, nil
}

// loginStatus reads the answer to a step of a login: those of all steps have fields of
// LoginStatus.
func loginStatus[R Answer](answer R, err error) (status LoginStatus, _ error) {
	if answer, err = Do(answer, err); err != nil {
		return LoginStatus{}, err
	}
	if err := json.Unmarshal(answer.GetBody(), &status); err != nil || status.State == "" {
		return LoginStatus{}, notOurs(answer.StatusCode())
	}
	return status, nil
}
