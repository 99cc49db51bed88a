package bridgev2host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/id"

	phonenumber "github.com/tgprovision/tgprovision/internal/phone"
	"github.com/tgprovision/tgprovision/provisioning"
)

// The IDs of the login flows that Telegram connectors have.
const (
	flowPhone = "phone"
	flowBot   = "bot"
	flowQR    = "qr"
)

const (
	// usualCodeLength is the length of nearly all login codes: bridgev2 does not say it, and
	// a code that is sent as a number has lost its leading zeros.
	usualCodeLength = 5
	// qrLifetime is for how long a QR code is shown: bridgev2 does not say when it expires.
	qrLifetime = 30 * time.Second
)

// loginProcesses are the half-done logins of bridgev2's login processes. They do not outlast
// the process, and know neither how a code was delivered nor how to send it again.
type loginProcesses struct {
	mu    sync.Mutex
	users map[id.UserID]*loginProcess
}

func newLoginProcesses() *loginProcesses {
	return &loginProcesses{users: map[id.UserID]*loginProcess{}}
}

func (l *loginProcesses) of(c *client) *processLogin {
	l.mu.Lock()
	defer l.mu.Unlock()
	process := l.users[c.userID]
	if process == nil {
		process = &loginProcess{}
		l.users[c.userID] = process
	}
	return &processLogin{process, c}
}

// loginProcess is the half-done login of one user.
type loginProcess struct {
	mu      sync.Mutex // held for a step
	process bridgev2.LoginProcess
	field   bridgev2.LoginInputDataField // that the next step asks for
	phone   string
	since   time.Time
	wrong   int // how many codes, or passwords, were wrong
}

// processLogin is a loginProcess for one request.
type processLogin struct {
	*loginProcess
	c *client
}

var _ loginSteps = (*processLogin)(nil)

// reset ends what is under way.
func (p *processLogin) reset() {
	if p.process != nil {
		p.process.Cancel()
	}
	p.process, p.field, p.phone, p.since, p.wrong = nil, bridgev2.LoginInputDataField{}, "", time.Time{}, 0
}

// begin starts a flow.
func (p *processLogin) begin(ctx context.Context, flow string) (*bridgev2.LoginStep, error) {
	p.reset()
	user, err := p.c.h.br.GetUserByMXID(ctx, p.c.userID)
	if err != nil {
		return nil, fault(ctx, "load a user", err)
	}
	if p.process, err = p.c.h.br.Network.CreateLogin(ctx, user, flow); err != nil {
		return nil, fmt.Errorf("%w: the bridge has no login flow %q: %w", provisioning.ErrNotImplemented, flow, err)
	}
	step, err := p.process.Start(ctx)
	return p.after(step, err)
}

// submit gives the process what it has asked for.
func (p *processLogin) submit(ctx context.Context, value string) (*bridgev2.LoginStep, error) {
	input, ok := p.process.(bridgev2.LoginProcessUserInput)
	if !ok || p.field.ID == "" {
		return nil, errors.New("the bridge's login process takes no input now")
	}
	step, err := input.SubmitUserInput(ctx, map[string]string{p.field.ID: value})
	return p.after(step, err)
}

// after takes in what a step has led to. A login goes on after a flood wait, and is at its
// end after every other error.
func (p *processLogin) after(step *bridgev2.LoginStep, err error) (*bridgev2.LoginStep, error) {
	if err != nil {
		err = p.c.h.network.Error(err)
		if _, flood := errors.AsType[*provisioning.FloodWaitError](err); !flood {
			p.reset()
		}
		return nil, err
	}
	p.field, p.since = bridgev2.LoginInputDataField{}, time.Now()
	if step.Type == bridgev2.LoginStepTypeUserInput && len(step.UserInputParams.Fields) > 0 {
		p.field = step.UserInputParams.Fields[0]
	}
	return step, nil
}

// wantsPassword says whether the next step is the two-factor password.
func (p *processLogin) wantsPassword() bool {
	return p.process != nil && p.field.Type == bridgev2.LoginInputFieldTypePassword
}

// finish returns the account of a login that is complete.
func (p *processLogin) finish(ctx context.Context, step *bridgev2.LoginStep) (provisioning.Account, error) {
	if step.Type != bridgev2.LoginStepTypeComplete || step.CompleteParams == nil || step.CompleteParams.UserLogin == nil {
		p.reset()
		return provisioning.Account{}, fmt.Errorf("%w: the bridge's login process asks for %s", provisioning.ErrNotImplemented, step.StepID)
	}
	p.process = nil
	p.reset()
	login := step.CompleteParams.UserLogin
	account, err := p.c.h.network.Telegram(login).Account(ctx)
	if err != nil { // the login may not be connected yet
		profile := login.RemoteProfile
		return provisioning.Account{
			ID: p.c.h.network.TelegramID(login.ID), Username: profile.Username, FirstName: profile.Name, Phone: digits(profile.Phone),
		}, nil
	}
	p.c.h.accounts.put(login, account)
	return account, nil
}

func digits(phone string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, phone)
}

// countWrong counts a wrong code or password. The login that has had as many as it may have is
// ended. It returns the reason, with [provisioning.ErrLoginGivenUp] where the login has ended.
func (p *processLogin) countWrong(most int, reason error) error {
	if p.wrong++; most > 0 && p.wrong >= most {
		p.reset()
	}
	if p.process == nil {
		return fmt.Errorf("%w: %w", provisioning.ErrLoginGivenUp, reason)
	}
	return reason
}

// RequestCode implements [provisioning.PhoneLogin]. Asking again begins anew.
func (p *processLogin) RequestCode(ctx context.Context, phone string) (provisioning.SentCode, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	number, ok := phonenumber.Normalize(phone)
	if !ok { // the bridge may know better
		number = digits(phone)
	}
	if err := provisioning.CountCode(ctx, number); err != nil {
		return provisioning.SentCode{}, err
	}
	if _, err := p.begin(ctx, flowPhone); err != nil {
		return provisioning.SentCode{}, err
	}
	if _, err := p.submit(ctx, phone); err != nil {
		p.reset()
		return provisioning.SentCode{}, err
	}
	p.phone = phone
	return provisioning.SentCode{}, nil
}

// SubmitCode implements [provisioning.PhoneLogin].
func (p *processLogin) SubmitCode(ctx context.Context, code provisioning.LoginCode) (provisioning.Account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.process == nil:
		return provisioning.Account{}, provisioning.ErrPhoneCodeExpired
	case p.wantsPassword():
		return provisioning.Account{}, provisioning.ErrPasswordNeeded
	}
	asked := p.field.Type
	step, err := p.submit(ctx, code.Value(usualCodeLength))
	if err == nil && !p.wantsPassword() && p.field.ID != "" && p.field.Type == asked { // it asks once more
		err = provisioning.ErrPhoneCodeInvalid
	}
	switch {
	case errors.Is(err, provisioning.ErrPhoneCodeInvalid):
		return provisioning.Account{}, p.countWrong(p.c.h.wrongCodes, err)
	case err != nil:
		return provisioning.Account{}, err
	case p.wantsPassword():
		p.wrong = 0
		return provisioning.Account{}, provisioning.ErrPasswordNeeded
	}
	return p.finish(ctx, step)
}

// SubmitPassword implements [provisioning.PhoneLogin].
func (p *processLogin) SubmitPassword(ctx context.Context, password string) (provisioning.Account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wantsPassword() {
		return provisioning.Account{}, provisioning.ErrPhoneCodeNotEntered
	}
	step, err := p.submit(ctx, password)
	if err == nil && p.wantsPassword() { // it asks once more
		err = provisioning.ErrPasswordInvalid
	}
	switch {
	case errors.Is(err, provisioning.ErrNotLoggedIn):
		return provisioning.Account{}, provisioning.ErrSessionRevoked
	case errors.Is(err, provisioning.ErrPasswordInvalid):
		return provisioning.Account{}, p.countWrong(p.c.h.wrongPasswords, err)
	case err != nil:
		return provisioning.Account{}, err
	}
	return p.finish(ctx, step)
}

// LoginProgress implements [provisioning.LoginControl].
func (p *processLogin) LoginProgress(context.Context) (provisioning.LoginProgress, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.process == nil || p.phone == "" && !p.wantsPassword():
		return provisioning.LoginProgress{}, nil
	case p.wantsPassword():
		return provisioning.LoginProgress{Step: provisioning.LoginPasswordNeeded, Since: p.since, Phone: digits(p.phone)}, nil
	}
	return provisioning.LoginProgress{Step: provisioning.LoginCodeSent, Since: p.since, Phone: digits(p.phone)}, nil
}

// ResendCode implements [provisioning.LoginControl]: bridgev2 can't.
func (p *processLogin) ResendCode(context.Context) (provisioning.SentCode, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.process == nil:
		return provisioning.SentCode{}, provisioning.ErrPhoneCodeExpired
	case p.wantsPassword():
		return provisioning.SentCode{}, provisioning.ErrPasswordNeeded
	}
	return provisioning.SentCode{}, provisioning.ErrCodeNotResendable
}

// CancelLogin implements [provisioning.LoginControl].
func (p *processLogin) CancelLogin(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
	return nil
}

// LoginBot implements [provisioning.BotLogin].
func (p *processLogin) LoginBot(ctx context.Context, token string) (provisioning.Account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.begin(ctx, flowBot); err != nil {
		return provisioning.Account{}, err
	}
	step, err := p.submit(ctx, token)
	if err != nil {
		p.reset()
		return provisioning.Account{}, err
	}
	return p.finish(ctx, step)
}

// LoginQR implements [provisioning.QRLogin]. Only a code that was scanned replaces a
// half-done login.
func (p *processLogin) LoginQR(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (provisioning.Account, error) {
	q := &processLogin{&loginProcess{}, p.c}
	step, err := q.begin(ctx, flowQR)
	for shown := 0; err == nil; shown++ {
		wait, waits := q.process.(bridgev2.LoginProcessDisplayAndWait)
		switch {
		case q.wantsPassword():
			p.take(q.loginProcess)
			return provisioning.Account{}, provisioning.ErrPasswordNeeded
		case step.Type != bridgev2.LoginStepTypeDisplayAndWait, step.DisplayAndWaitParams == nil, !waits:
			return q.finish(ctx, step)
		case shown == provisioning.MaxQRTokens:
			err = provisioning.ErrLoginTimeout
			continue
		}
		token := provisioning.QRToken{URL: step.DisplayAndWaitParams.Data, Expires: time.Now().Add(qrLifetime)}
		if err = show(ctx, token); err == nil {
			step, err = q.after(wait.Wait(ctx))
		}
	}
	q.reset()
	return provisioning.Account{}, err
}

// take has a login by QR code that was scanned replace the half-done login.
func (p *processLogin) take(scanned *loginProcess) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
	p.process, p.field, p.since, p.wrong = scanned.process, scanned.field, scanned.since, 0
}
