package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// loginBody is the body of every successful login step.
type loginBody struct {
	State      loginState `json:"state"`
	Username   string     `json:"username"`
	Phone      string     `json:"phone"`
	Message    string     `json:"message,omitempty"`
	CodeLength int        `json:"code_length,omitempty"`
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
	return reply{http.StatusOK, loginBody{State: stateCode, Message: deliveryMessage(sent.Delivery), CodeLength: sent.Length}}, nil
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
		const message = "The code is right. The account also has a two-factor password: please enter it."
		return reply{http.StatusAccepted, loginBody{State: statePassword, Message: message}}, nil
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
