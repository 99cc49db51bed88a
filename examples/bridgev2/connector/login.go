package connector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

// The ways to log in.
const (
	flowPhone = "phone"
	flowBot   = "bot"
	flowQR    = "qr"
)

// The steps of a login. A step that asks for something has one field, of the same name.
const (
	stepPhone    = "phone_number"
	stepCode     = "code"
	stepPassword = "password"
	stepToken    = "token"
	stepQR       = "qr"
	stepComplete = "complete"
)

// GetLoginFlows implements bridgev2.NetworkConnector.
func (c *Connector) GetLoginFlows() []bridgev2.LoginFlow {
	return []bridgev2.LoginFlow{
		{ID: flowPhone, Name: "Phone number", Description: "Log in with a code that Telegram sends."},
		{ID: flowQR, Name: "QR code", Description: "Log in by scanning a code with a Telegram app."},
		{ID: flowBot, Name: "Bot", Description: "Log in as a bot, with the token that BotFather gave."},
	}
}

// CreateLogin implements bridgev2.NetworkConnector.
func (c *Connector) CreateLogin(_ context.Context, user *bridgev2.User, flow string) (bridgev2.LoginProcess, error) {
	if flow != flowPhone && flow != flowBot && flow != flowQR {
		return nil, bridgev2.ErrInvalidLoginFlowID
	}
	return &login{connector: c, user: user, client: c.loginClient(user.MXID), flow: flow}, nil
}

// loginClient returns what logs a user in.
func (c *Connector) loginClient(userID id.UserID) *telegram.Client {
	client, _ := c.logins.Client(context.Background(), userID) // it never fails
	return client.(*telegram.Client)
}

// login is a login under way. Package telegram keeps how far it has come, so that this has
// nothing to lose when the process dies.
type login struct {
	connector *Connector
	user      *bridgev2.User
	client    *telegram.Client
	flow      string
	step      string // that is to be submitted next
	qr        *qrCodes
}

var (
	_ bridgev2.LoginProcessUserInput      = (*login)(nil)
	_ bridgev2.LoginProcessDisplayAndWait = (*login)(nil)
)

// Start implements bridgev2.LoginProcess.
func (l *login) Start(ctx context.Context) (*bridgev2.LoginStep, error) {
	// What a crash has left unfinished would be in the way.
	if _, err := l.connector.takeOver(ctx, l.user, provisioning.Account{}); err != nil && !errors.Is(err, provisioning.ErrNotLoggedIn) {
		return nil, err
	}
	switch l.flow {
	case flowBot:
		return l.ask(stepToken, bridgev2.LoginInputFieldTypeToken, "Bot token", "Enter the token that BotFather gave for the bot."), nil
	case flowQR:
		l.qr = showQRCodes(l.connector.bridge.BackgroundCtx, l.client)
		return l.Wait(ctx)
	default:
		return l.ask(stepPhone, bridgev2.LoginInputFieldTypePhoneNumber, "Phone number", "Enter the phone number of the Telegram account, beginning with +."), nil
	}
}

// Cancel implements bridgev2.LoginProcess.
func (l *login) Cancel() {
	if l.qr != nil {
		l.qr.stop()
	}
}

// ask makes a step that asks for one thing.
func (l *login) ask(step string, kind bridgev2.LoginInputFieldType, name, instructions string) *bridgev2.LoginStep {
	l.step = step
	return &bridgev2.LoginStep{
		Type: bridgev2.LoginStepTypeUserInput, StepID: step, Instructions: instructions,
		UserInputParams: &bridgev2.LoginUserInputParams{Fields: []bridgev2.LoginInputDataField{{Type: kind, ID: step, Name: name}}},
	}
}

func (l *login) askForCode(instructions string) *bridgev2.LoginStep {
	return l.ask(stepCode, bridgev2.LoginInputFieldType2FACode, "Login code", instructions)
}

func (l *login) askForPassword(instructions string) *bridgev2.LoginStep {
	return l.ask(stepPassword, bridgev2.LoginInputFieldTypePassword, "Password", instructions)
}

// SubmitUserInput implements bridgev2.LoginProcessUserInput.
func (l *login) SubmitUserInput(ctx context.Context, input map[string]string) (*bridgev2.LoginStep, error) {
	value := strings.TrimSpace(input[l.step])
	var account provisioning.Account
	var err error
	switch l.step {
	case stepPhone:
		if _, err := l.client.RequestCode(ctx, value); err != nil {
			return nil, loginError(err)
		}
		return l.askForCode("Enter the code that Telegram has sent."), nil
	case stepCode:
		account, err = l.client.SubmitCode(ctx, provisioning.TextLoginCode(value))
	case stepPassword:
		account, err = l.client.SubmitPassword(ctx, input[l.step]) // with spaces where it has them
	case stepToken:
		account, err = l.client.LoginBot(ctx, value)
	}
	return l.next(ctx, account, err)
}

// Wait implements bridgev2.LoginProcessDisplayAndWait.
func (l *login) Wait(ctx context.Context) (*bridgev2.LoginStep, error) {
	select {
	case token := <-l.qr.tokens:
		return &bridgev2.LoginStep{
			Type: bridgev2.LoginStepTypeDisplayAndWait, StepID: stepQR,
			Instructions: "Scan the code with a Telegram app: Settings, Devices, Link Desktop Device.",
			DisplayAndWaitParams: &bridgev2.LoginDisplayAndWaitParams{
				Type: bridgev2.LoginDisplayTypeQR, Data: token.URL,
			},
		}, nil
	case <-l.qr.done:
		return l.next(ctx, l.qr.account, l.qr.err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// next is the step after one that logs in, or failed to.
func (l *login) next(ctx context.Context, account provisioning.Account, err error) (*bridgev2.LoginStep, error) {
	switch {
	case errors.Is(err, provisioning.ErrPhoneCodeInvalid):
		return l.askForCode("The code was wrong. Enter the code that Telegram has sent."), nil
	case errors.Is(err, provisioning.ErrPasswordNeeded):
		return l.askForPassword("Enter the two-factor password of the account."), nil
	case errors.Is(err, provisioning.ErrPasswordInvalid):
		return l.askForPassword("The password was wrong. Enter the two-factor password of the account."), nil
	case err != nil:
		return nil, loginError(err)
	}
	done, err := l.connector.takeOver(ctx, l.user, account)
	if err != nil {
		return nil, err
	}
	return &bridgev2.LoginStep{
		Type: bridgev2.LoginStepTypeComplete, StepID: stepComplete, Instructions: "Logged in as " + done.RemoteName + ".",
		CompleteParams: &bridgev2.LoginCompleteParams{UserLoginID: done.ID, UserLogin: done},
	}, nil
}

// refusals are the errors of a login that whoever logs in can do something about.
var refusals = map[error]string{
	provisioning.ErrPhoneNumberInvalid:            "PHONE_NUMBER_INVALID",
	provisioning.ErrPhoneNumberBanned:             "PHONE_NUMBER_BANNED",
	provisioning.ErrPhoneNumberAppSignupForbidden: "PHONE_NUMBER_APP_SIGNUP_FORBIDDEN",
	provisioning.ErrPhoneNumberUnoccupied:         "PHONE_NUMBER_UNOCCUPIED",
	provisioning.ErrPhoneNumberFlood:              "PHONE_NUMBER_FLOOD",
	provisioning.ErrPhoneCodeExpired:              "PHONE_CODE_EXPIRED",
	provisioning.ErrPhoneCodeNotEntered:           "PHONE_CODE_NOT_ENTERED",
	provisioning.ErrSessionRevoked:                "SESSION_REVOKED",
	provisioning.ErrLoginTimeout:                  "LOGIN_TIMEOUT",
	provisioning.ErrBotTokenInvalid:               "BOT_TOKEN_INVALID",
	provisioning.ErrBotTokenExpired:               "BOT_TOKEN_EXPIRED",
}

// loginError makes bridgev2's API show the errors that are for its client. They stay what
// they are as well.
func loginError(err error) error {
	for refusal, code := range refusals {
		if errors.Is(err, refusal) {
			shown := bridgev2.RespError{ErrCode: "TGPROVISION." + code, Err: refusal.Error(), StatusCode: http.StatusBadRequest}
			return fmt.Errorf("%w: %w", shown, err)
		}
	}
	return err
}

// qrCodes is a login by QR code.
type qrCodes struct {
	tokens chan provisioning.QRToken
	stop   context.CancelFunc
	done   chan struct{}

	account provisioning.Account // from done on
	err     error
}

// showQRCodes starts a login by QR code, which goes on until somebody has scanned one, or
// until stop is called.
func showQRCodes(ctx context.Context, client *telegram.Client) *qrCodes {
	ctx, cancel := context.WithCancel(ctx)
	qr := &qrCodes{tokens: make(chan provisioning.QRToken, 1), stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(qr.done)
		defer cancel()
		qr.account, qr.err = client.LoginQR(ctx, func(_ context.Context, token provisioning.QRToken) error {
			select {
			case <-qr.tokens: // nobody has fetched the last one
			default:
			}
			qr.tokens <- token
			return nil
		})
	}()
	return qr
}
