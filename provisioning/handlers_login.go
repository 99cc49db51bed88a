package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// loginBody is the body of every successful login step.
type loginBody struct {
	State      loginState `json:"state"`
	Username   string     `json:"username"`
	Phone      string     `json:"phone"`
	Message    string     `json:"message,omitempty"`
	CodeLength int        `json:"code_length,omitempty"`
	Code       *codeBody  `json:"code,omitempty"`
	// PasswordHint is set where the state is password.
	PasswordHint *string `json:"password_hint,omitempty"`
}

// codeBody says how a login code was sent.
type codeBody struct {
	Delivery     string  `json:"delivery"`
	Destination  string  `json:"destination"`
	Length       int     `json:"length"`
	NextDelivery *string `json:"next_delivery"`
	ResendIn     int64   `json:"resend_in"`
}

// codeOf describes a code that was sent.
func codeOf(sent SentCode) *codeBody {
	body := codeBody{Delivery: sent.Delivery.String(), Destination: sent.Destination, Length: sent.Length}
	if sent.Next != nil {
		next := sent.Next.String()
		body.NextDelivery = &next
		if wait := time.Until(sent.ResendAt); wait > 0 {
			body.ResendIn = waitSeconds(wait)
		}
	}
	return &body
}

// codeSent is the answer after a code was sent.
func codeSent(sent SentCode) reply {
	return ok(loginBody{
		State: stateCode, Message: deliveryMessage(sent.Delivery), CodeLength: sent.Length, Code: codeOf(sent),
	})
}

// postBotToken is post_bot_token.
func postBotToken(ctx context.Context, s *services, op *operation) (reply, error) {
	token, err := op.body.text("token")
	if err != nil {
		return reply{}, err
	}
	if token = strings.TrimSpace(token); token == "" {
		return reply{}, errValueMissing
	}
	login, err := loginClient[BotLogin](ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	if err := s.limits.countBotToken(ctx, op.caller); err != nil {
		return reply{}, err
	}
	account, err := login.LoginBot(ctx, token)
	return loggedIn(ctx, s, op, account, err)
}

// postLoginPhone is post_login_phone.
func postLoginPhone(ctx context.Context, s *services, op *operation) (reply, error) {
	phone, err := op.body.text("phone")
	if err != nil || strings.TrimSpace(phone) == "" {
		return reply{}, ErrPhoneNumberInvalid
	}
	login, err := loginClient[PhoneLogin](ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	sent, err := login.RequestCode(s.limits.countingCodes(ctx, op.caller), phone)
	if err != nil {
		return reply{}, loginFault(ctx, s, op, fmt.Errorf("request a code: %w", err))
	}
	return codeSent(sent), nil
}

// postLoginCode is post_login_code.
func postLoginCode(ctx context.Context, s *services, op *operation) (reply, error) {
	code, err := op.body.loginCode("code")
	if err != nil {
		return reply{}, err
	}
	login, err := loginClient[PhoneLogin](ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	account, err := login.SubmitCode(ctx, code)
	if errors.Is(err, ErrPasswordNeeded) {
		progress, err := progressOf(ctx, op)
		if err != nil {
			return reply{}, err
		}
		return accepted(loginBody{State: statePassword, Message: passwordMessage, PasswordHint: &progress.PasswordHint}), nil
	}
	return loggedIn(ctx, s, op, account, err)
}

// postLoginPassword is post_login_password.
func postLoginPassword(ctx context.Context, s *services, op *operation) (reply, error) {
	password, err := op.body.text("password")
	if errors.Is(err, errValueMissing) || (err == nil && password == "") {
		return reply{}, errPasswordEmpty
	}
	if err != nil {
		return reply{}, err
	}
	login, err := loginClient[PhoneLogin](ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	account, err := login.SubmitPassword(ctx, password)
	return loggedIn(ctx, s, op, account, err)
}

// progressOf returns how far the login of the call's user has come, as far as the
// client tells.
func progressOf(ctx context.Context, op *operation) (LoginProgress, error) {
	control, can := op.client.(LoginControl)
	if !can {
		return LoginProgress{}, nil
	}
	progress, err := control.LoginProgress(ctx)
	if err != nil {
		return LoginProgress{}, fmt.Errorf("look at the login: %w", err)
	}
	return progress, nil
}

// loginStatus is the body of get_login.
type loginStatus struct {
	State        loginState `json:"state"`
	Username     string     `json:"username"`
	Phone        string     `json:"phone"`
	Since        *int64     `json:"since"` // milliseconds since 1970
	Message      string     `json:"message"`
	Code         *codeBody  `json:"code"`
	PasswordHint string     `json:"password_hint"`
}

// getLogin is get_login.
func getLogin(ctx context.Context, s *services, op *operation) (reply, error) {
	if _, can := op.client.(LoginControl); !can {
		return reply{}, ErrNotImplemented
	}
	account, err := s.accounts.loggedIn(ctx, &op.person)
	if err == nil {
		return ok(loginStatus{State: stateLoggedIn, Username: account.Username, Phone: account.Phone}), nil
	}
	if !errors.Is(err, ErrNotLoggedIn) {
		return reply{}, err
	}
	progress, err := progressOf(ctx, op)
	if err != nil {
		return reply{}, err
	}
	status := loginStatus{State: stateRequest, Phone: progress.Phone}
	if !progress.Since.IsZero() {
		since := progress.Since.UnixMilli()
		status.Since = &since
	}
	switch progress.Step {
	case LoginNone:
	case LoginCodeSent:
		status.State, status.Message, status.Code = stateCode, deliveryMessage(progress.Sent.Delivery), codeOf(progress.Sent)
	case LoginPasswordNeeded:
		status.State, status.Message, status.PasswordHint = statePassword, passwordMessage, progress.PasswordHint
	}
	return ok(status), nil
}

// resendLoginCode is resend_login_code.
func resendLoginCode(ctx context.Context, s *services, op *operation) (reply, error) {
	control, err := loginClient[LoginControl](ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	sent, err := control.ResendCode(s.limits.countingCodes(ctx, op.caller))
	if err != nil {
		return reply{}, loginFault(ctx, s, op, fmt.Errorf("send a code again: %w", err))
	}
	return codeSent(sent), nil
}

// cancelLogin is cancel_login.
func cancelLogin(ctx context.Context, s *services, op *operation) (reply, error) {
	control, err := loginClient[LoginControl](ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	if err := control.CancelLogin(ctx); err != nil {
		return reply{}, loginFault(ctx, s, op, fmt.Errorf("cancel a login: %w", err))
	}
	return ok(struct{}{}), nil
}

// logoutBody is the body of logout.
type logoutBody struct {
	// Pending: the end of the session at Telegram is still to come.
	Pending bool `json:"pending,omitempty"`
}

// logout is logout.
func logout(ctx context.Context, s *services, op *operation) (reply, error) {
	pending, err := s.accounts.logOut(ctx, &op.person)
	if err != nil {
		return reply{}, err
	}
	return ok(logoutBody{Pending: pending}), nil
}

// loginClient returns the client as what a login step needs of it, for a user who is
// logged out. Errors: an alreadyLoggedInError, ErrNotImplemented.
func loginClient[T any](ctx context.Context, s *services, op *operation) (T, error) {
	client, can := op.client.(T)
	if !can {
		return client, ErrNotImplemented
	}
	return client, s.accounts.checkLoggedOut(ctx, &op.person, op.rt.beginsLogin())
}

// loggedIn ends a login step that gave an account or an error.
func loggedIn(ctx context.Context, s *services, op *operation, account Account, err error) (reply, error) {
	if err != nil {
		return reply{}, loginFault(ctx, s, op, fmt.Errorf("log in: %w", err))
	}
	if err := s.accounts.link(ctx, &op.person, account); err != nil {
		return reply{}, err
	}
	return ok(loginBody{State: stateLoggedIn, Username: account.Username, Phone: account.Phone}), nil
}

// loginFault names the account in the error of a step that came after another
// request had finished the login.
func loginFault(ctx context.Context, s *services, op *operation, err error) error {
	if !errors.Is(err, ErrAlreadyLoggedIn) {
		return err
	}
	if named := s.accounts.checkLoggedOut(ctx, &op.person, op.rt.beginsLogin()); named != nil {
		return named
	}
	return err // which was true a moment ago
}

// passwordMessage tells the end user what is missing.
const passwordMessage = "The code is right. The account also has a two-factor password: please enter it."

// deliveryMessage tells the end user where the code went.
func deliveryMessage(delivery CodeDelivery) string {
	switch delivery {
	case DeliveryApp:
		return "Telegram has sent a code to your Telegram apps. Please enter it."
	case DeliverySMS:
		return "Telegram has sent a code by SMS. Please enter it."
	case DeliveryCall:
		return "Telegram will call you and say the code. Please enter it."
	case DeliveryMissedCall:
		return "Telegram will call you; do not answer. The code is the last digits of the number that called."
	case DeliveryEmail:
		return "Telegram has sent a code to your login e-mail address. Please enter it."
	case DeliveryFragment:
		return "Telegram has sent a code to your number's page on Fragment. Please enter it."
	default:
		return "Telegram has sent a code. Please enter it."
	}
}
