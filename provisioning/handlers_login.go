package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	return reply{http.StatusOK, loginBody{
		State: stateCode, Message: deliveryMessage(sent.Delivery), CodeLength: sent.Length, Code: codeOf(sent),
	}}
}

func (p *Provisioner) postBotToken(ctx context.Context, c *call) (reply, error) {
	body, err := readObject(c.w, c.r)
	if err != nil {
		return reply{}, err
	}
	token, err := body.text("token")
	if err != nil {
		return reply{}, err
	}
	if token = strings.TrimSpace(token); token == "" {
		return reply{}, errValueMissing
	}
	login, err := loginOf[BotLogin](ctx, p, c)
	if err != nil {
		return reply{}, err
	}
	account, err := login.LoginBot(ctx, token)
	return p.loggedIn(ctx, c, account, err)
}

func (p *Provisioner) postLoginPhone(ctx context.Context, c *call) (reply, error) {
	body, err := readObject(c.w, c.r)
	if err != nil {
		return reply{}, err
	}
	phone, err := body.text("phone")
	if err != nil || strings.TrimSpace(phone) == "" {
		return reply{}, ErrPhoneNumberInvalid
	}
	login, err := loginOf[PhoneLogin](ctx, p, c)
	if err != nil {
		return reply{}, err
	}
	sent, err := login.RequestCode(ctx, phone)
	if err != nil {
		return reply{}, p.loginFault(ctx, c, fmt.Errorf("request a code: %w", err))
	}
	return codeSent(sent), nil
}

func (p *Provisioner) postLoginCode(ctx context.Context, c *call) (reply, error) {
	body, err := readObject(c.w, c.r)
	if err != nil {
		return reply{}, err
	}
	code, err := body.loginCode("code")
	if err != nil {
		return reply{}, err
	}
	login, err := loginOf[PhoneLogin](ctx, p, c)
	if err != nil {
		return reply{}, err
	}
	account, err := login.SubmitCode(ctx, code)
	if errors.Is(err, ErrPasswordNeeded) {
		progress, err := progressOf(ctx, c)
		if err != nil {
			return reply{}, err
		}
		return reply{http.StatusAccepted, loginBody{State: statePassword, Message: passwordMessage, PasswordHint: &progress.PasswordHint}}, nil
	}
	return p.loggedIn(ctx, c, account, err)
}

func (p *Provisioner) postLoginPassword(ctx context.Context, c *call) (reply, error) {
	body, err := readObject(c.w, c.r)
	if err != nil {
		return reply{}, err
	}
	password, err := body.text("password")
	if errors.Is(err, errValueMissing) || (err == nil && password == "") {
		return reply{}, errPasswordEmpty
	}
	if err != nil {
		return reply{}, err
	}
	login, err := loginOf[PhoneLogin](ctx, p, c)
	if err != nil {
		return reply{}, err
	}
	account, err := login.SubmitPassword(ctx, password)
	return p.loggedIn(ctx, c, account, err)
}

// progressOf returns how far the login of the call's user has come, as far as the
// client tells.
func progressOf(ctx context.Context, c *call) (LoginProgress, error) {
	control, ok := c.client.(LoginControl)
	if !ok {
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

func (p *Provisioner) getLogin(ctx context.Context, c *call) (reply, error) {
	if _, ok := c.client.(LoginControl); !ok {
		return reply{}, ErrNotImplemented
	}
	account, err := p.account(ctx, c)
	if err == nil {
		return reply{http.StatusOK, loginStatus{State: stateLoggedIn, Username: account.Username, Phone: account.Phone}}, nil
	}
	if !errors.Is(err, ErrNotLoggedIn) {
		return reply{}, err
	}
	progress, err := progressOf(ctx, c)
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
	return reply{http.StatusOK, status}, nil
}

func (p *Provisioner) resendLoginCode(ctx context.Context, c *call) (reply, error) {
	control, err := loginOf[LoginControl](ctx, p, c)
	if err != nil {
		return reply{}, err
	}
	sent, err := control.ResendCode(ctx)
	if err != nil {
		return reply{}, p.loginFault(ctx, c, fmt.Errorf("send a code again: %w", err))
	}
	return codeSent(sent), nil
}

func (p *Provisioner) cancelLogin(ctx context.Context, c *call) (reply, error) {
	control, err := loginOf[LoginControl](ctx, p, c)
	if err != nil {
		return reply{}, err
	}
	if err := control.CancelLogin(ctx); err != nil {
		return reply{}, p.loginFault(ctx, c, fmt.Errorf("cancel a login: %w", err))
	}
	return reply{http.StatusOK, struct{}{}}, nil
}

func (p *Provisioner) logout(ctx context.Context, c *call) (reply, error) {
	if c.user.Displaced {
		if err := p.endDisplaced(ctx, c.userID, c.user.TelegramID); err != nil {
			return reply{}, err
		}
		return reply{}, ErrNotLoggedIn
	}
	err := c.client.Logout(ctx)
	if err != nil && !errors.Is(err, ErrNotLoggedIn) {
		return reply{}, fmt.Errorf("log out: %w", err)
	}
	if unlinkErr := p.unlink(ctx, c); unlinkErr != nil {
		return reply{}, unlinkErr
	}
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, struct{}{}}, nil
}

// loginOf returns the client as what a login step needs of it, for a user who is
// logged out. Errors: an alreadyLoggedInError, ErrNotImplemented.
func loginOf[T any](ctx context.Context, p *Provisioner, c *call) (login T, err error) {
	login, ok := c.client.(T)
	if !ok {
		return login, ErrNotImplemented
	}
	err = p.settle(ctx, c)
	if errors.Is(err, errUnrecorded) {
		// The user begins a new login in place of whatever that session was.
		if err = c.client.Logout(ctx); err != nil {
			err = fmt.Errorf("end an unrecorded session: %w", err)
		}
	}
	if errors.Is(err, ErrNotLoggedIn) {
		return login, nil
	}
	return login, err
}

// settle returns an alreadyLoggedInError for a user who is logged in, and
// ErrNotLoggedIn for one who is not; for a step that begins a login it may be
// errUnrecorded. To a step that goes on with a login, an unrecorded session is the
// login that it asks for: Telegram has accepted it, and it is recorded now.
func (p *Provisioner) settle(ctx context.Context, c *call) error {
	account, err := p.account(ctx, c)
	begins := c.rt.state == stateRequest || c.rt.state == stateToken
	if errors.Is(err, errUnrecorded) && !begins {
		err = p.link(ctx, c, account)
	}
	if err != nil {
		return err
	}
	return &alreadyLoggedInError{account}
}

// loggedIn ends a login step that gave an account or an error.
func (p *Provisioner) loggedIn(ctx context.Context, c *call, account Account, err error) (reply, error) {
	if err != nil {
		return reply{}, p.loginFault(ctx, c, fmt.Errorf("log in: %w", err))
	}
	if err := p.link(ctx, c, account); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, loginBody{State: stateLoggedIn, Username: account.Username, Phone: account.Phone}}, nil
}

// loginFault names the account in the error of a step that came after another
// request had finished the login.
func (p *Provisioner) loginFault(ctx context.Context, c *call, err error) error {
	if !errors.Is(err, ErrAlreadyLoggedIn) {
		return err
	}
	return p.settle(ctx, c)
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
