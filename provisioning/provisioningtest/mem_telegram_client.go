package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// client is one Matrix user's client on a Telegram. It keeps nothing itself:
// two clients of one user are the same.
type client struct {
	telegram *Telegram
	userID   id.UserID
}

var (
	_ provisioning.TelegramClient   = (*client)(nil)
	_ provisioning.PhoneLogin       = (*client)(nil)
	_ provisioning.LoginControl     = (*client)(nil)
	_ provisioning.QRLogin          = (*client)(nil)
	_ provisioning.BotLogin         = (*client)(nil)
	_ provisioning.ChatLister       = (*client)(nil)
	_ provisioning.ContactLister    = (*client)(nil)
	_ provisioning.StickerSetLister = (*client)(nil)
	_ provisioning.ChatGetter       = (*client)(nil)
	_ provisioning.MigrationLister  = (*client)(nil)
	_ provisioning.ChatCreator      = (*client)(nil)
	_ provisioning.UserResolver     = (*client)(nil)
	_ provisioning.PhotoGetter      = (*client)(nil)
)

// Account implements provisioning.TelegramClient.
func (c *client) Account(ctx context.Context) (provisioning.Account, error) {
	account, err := c.use(ctx, "Account")
	return account.Account, err
}

// Logout implements provisioning.TelegramClient. A Telegram that is away, or refuses, ends
// the session once it answers again.
func (c *client) Logout(ctx context.Context) (pending bool, err error) {
	if err := c.telegram.enter(ctx, "Logout"); err != nil {
		return false, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[c.userID]
	if s == nil || !s.loggedIn {
		return false, provisioning.ErrNotLoggedIn
	}
	delete(t.sessions, c.userID)
	switch err := t.askWith(s); {
	case errors.Is(err, provisioning.ErrNotLoggedIn):
		return false, err
	case err != nil:
		t.ending = append(t.ending, s)
		return true, nil
	}
	return false, nil
}

// Chats implements provisioning.ChatLister.
func (c *client) Chats(ctx context.Context, _ provisioning.ChatQuery) ([]provisioning.Chat, error) {
	account, err := c.use(ctx, "Chats")
	return slices.Clone(account.Chats), err
}

// StickerSets implements provisioning.StickerSetLister.
func (c *client) StickerSets(ctx context.Context) ([]string, error) {
	account, err := c.use(ctx, "StickerSets")
	return slices.Clone(account.StickerSets), err
}

// Contacts implements provisioning.ContactLister.
func (c *client) Contacts(ctx context.Context, _ provisioning.ContactQuery) ([]provisioning.Contact, error) {
	account, err := c.use(ctx, "Contacts")
	contacts := slices.Clone(account.Contacts)
	for i := range contacts {
		contacts[i] = named(contacts[i])
	}
	return contacts, err
}

// RequestCode implements provisioning.PhoneLogin.
func (c *client) RequestCode(ctx context.Context, phone string) (provisioning.SentCode, error) {
	if err := c.telegram.enter(ctx, "RequestCode"); err != nil {
		return provisioning.SentCode{}, err
	}
	number := digits(phone)
	const shortest, longest = 5, 15
	if len(number) < shortest || len(number) > longest {
		return provisioning.SentCode{}, provisioning.ErrPhoneNumberInvalid
	}
	var sent provisioning.SentCode
	err := c.login(func(s *session) (*session, error) {
		t := c.telegram
		now := time.Now()
		if s != nil && !s.codeAccepted && !s.expired && s.account.Phone == number && (s.sent.Next == nil || now.Before(s.sent.ResendAt)) {
			sent = s.sent
			return s, t.ask()
		}
		if err := provisioning.CountCode(ctx, number); err != nil {
			return s, err
		}
		if err := t.ask(); err != nil {
			return s, err
		}
		account := t.find(func(a *TelegramAccount) bool { return a.Phone == number })
		if account == nil {
			return s, provisioning.ErrPhoneNumberUnoccupied
		}
		if account.EmailRequired {
			return nil, provisioning.ErrLoginEmailRequired
		}
		sent = provisioning.SentCode{Delivery: account.Delivery, Length: len(account.Code), Destination: account.Destination, Next: account.Next}
		if sent.Next != nil {
			sent.ResendAt = now.Add(time.Minute)
		}
		wrong := 0
		if s != nil && s.account.Phone == number {
			wrong = s.wrong
		}
		return &session{account: account, since: now, sent: sent, wrong: wrong}, nil
	})
	return sent, err
}

// LoginProgress implements provisioning.LoginControl.
func (c *client) LoginProgress(ctx context.Context) (provisioning.LoginProgress, error) {
	if err := c.telegram.enter(ctx, "LoginProgress"); err != nil {
		return provisioning.LoginProgress{}, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[c.userID]
	switch {
	case s == nil || s.loggedIn:
		return provisioning.LoginProgress{}, nil
	case s.codeAccepted:
		return provisioning.LoginProgress{
			Step: provisioning.LoginPasswordNeeded, Since: s.since, Phone: s.account.Phone, PasswordHint: s.account.PasswordHint,
		}, nil
	}
	return provisioning.LoginProgress{Step: provisioning.LoginCodeSent, Since: s.since, Phone: s.account.Phone, Sent: s.sent}, nil
}

// ResendCode implements provisioning.LoginControl.
func (c *client) ResendCode(ctx context.Context) (sent provisioning.SentCode, err error) {
	if err := c.telegram.enter(ctx, "ResendCode"); err != nil {
		return provisioning.SentCode{}, err
	}
	err = c.login(func(s *session) (*session, error) {
		switch err := c.codeOf(s); {
		case errors.Is(err, provisioning.ErrPhoneCodeExpired):
			return nil, err
		case err != nil:
			return s, err
		case s.sent.Next == nil:
			return s, provisioning.ErrCodeNotResendable
		}
		if err := provisioning.CountCode(ctx, s.account.Phone); err != nil {
			return s, err
		}
		sent = provisioning.SentCode{Delivery: *s.sent.Next, Length: s.sent.Length}
		return &session{account: s.account, since: time.Now(), sent: sent, wrong: s.wrong}, nil
	})
	return sent, err
}

// codeOf returns nil for a login whose code may be entered now. Errors:
// provisioning.ErrPhoneCodeExpired, provisioning.ErrPasswordNeeded, and those of a
// question to Telegram. The caller holds the lock.
func (c *client) codeOf(s *session) error {
	switch {
	case s == nil:
		return provisioning.ErrPhoneCodeExpired
	case s.codeAccepted:
		return provisioning.ErrPasswordNeeded
	}
	err := c.telegram.askWith(s)
	if errors.Is(err, provisioning.ErrNotLoggedIn) || err == nil && s.expired {
		return provisioning.ErrPhoneCodeExpired
	}
	return err
}

// CancelLogin implements provisioning.LoginControl.
func (c *client) CancelLogin(ctx context.Context) error {
	if err := c.telegram.enter(ctx, "CancelLogin"); err != nil {
		return err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sessions[c.userID]; s != nil && s.loggedIn {
		return provisioning.ErrAlreadyLoggedIn
	}
	delete(t.sessions, c.userID)
	return nil
}

// SubmitCode implements provisioning.PhoneLogin.
func (c *client) SubmitCode(ctx context.Context, code provisioning.LoginCode) (account provisioning.Account, err error) {
	if err := c.telegram.enter(ctx, "SubmitCode"); err != nil {
		return provisioning.Account{}, err
	}
	err = c.login(func(s *session) (*session, error) {
		switch err := c.codeOf(s); {
		case errors.Is(err, provisioning.ErrPhoneCodeExpired):
			return nil, err
		case err != nil:
			return s, err
		case code.Value(len(s.account.Code)) != s.account.Code:
			return s.failed(maxWrongCodes, provisioning.ErrPhoneCodeInvalid)
		case s.account.Password != "":
			return &session{account: s.account, codeAccepted: true, since: time.Now()}, provisioning.ErrPasswordNeeded
		}
		account = s.account.Account
		return &session{account: s.account, loggedIn: true}, nil
	})
	return account, err
}

// After so many wrong codes, or passwords, a login is given up.
const (
	maxWrongCodes     = 5
	maxWrongPasswords = 10
)

// failed returns what is left of a half-done login after a wrong code or password.
func (s *session) failed(most int, why error) (*session, error) {
	left := *s
	if left.wrong++; left.wrong >= most {
		return nil, fmt.Errorf("%w: %w", why, provisioning.ErrLoginGivenUp)
	}
	return &left, why
}

// SubmitPassword implements provisioning.PhoneLogin.
func (c *client) SubmitPassword(ctx context.Context, password string) (account provisioning.Account, err error) {
	if err := c.telegram.enter(ctx, "SubmitPassword"); err != nil {
		return provisioning.Account{}, err
	}
	err = c.login(func(s *session) (*session, error) {
		if s == nil || !s.codeAccepted {
			return s, provisioning.ErrPhoneCodeNotEntered
		}
		switch err := c.telegram.askWith(s); {
		case errors.Is(err, provisioning.ErrNotLoggedIn):
			return nil, provisioning.ErrSessionRevoked
		case err != nil:
			return s, err
		case password != s.account.Password:
			return s.failed(maxWrongPasswords, provisioning.ErrPasswordInvalid)
		}
		account = s.account.Account
		return &session{account: s.account, loggedIn: true}, nil
	})
	return account, err
}

// LoginBot implements provisioning.BotLogin.
func (c *client) LoginBot(ctx context.Context, token string) (provisioning.Account, error) {
	if err := c.telegram.enter(ctx, "LoginBot"); err != nil {
		return provisioning.Account{}, err
	}
	var account provisioning.Account
	err := c.login(func(s *session) (*session, error) {
		t := c.telegram
		if err := t.ask(); err != nil {
			return s, err
		}
		bot := t.find(func(a *TelegramAccount) bool { return a.Token != "" && a.Token == token })
		if bot == nil {
			return s, provisioning.ErrBotTokenInvalid
		}
		account = bot.Account
		return &session{account: bot, loggedIn: true}, nil
	})
	return account, err
}

// use returns the account of the session as it is now, for a method that needs one. A
// session that was ended is forgotten.
func (c *client) use(ctx context.Context, method string) (TelegramAccount, error) {
	if err := c.telegram.enter(ctx, method); err != nil {
		return TelegramAccount{}, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[c.userID]
	if s == nil || !s.loggedIn {
		return TelegramAccount{}, provisioning.ErrNotLoggedIn
	}
	t.started[c.userID] = true
	if err := t.askWith(s); err != nil {
		if errors.Is(err, provisioning.ErrNotLoggedIn) {
			delete(t.sessions, c.userID)
		}
		return TelegramAccount{}, err
	}
	return *s.account, nil
}

// login takes one step of a login: from a half-done login, nil if there is none,
// to the next, nil for none again. The step runs with the lock held.
func (c *client) login(step func(*session) (*session, error)) error {
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started[c.userID] = true
	s := t.sessions[c.userID]
	if s != nil && s.loggedIn {
		return provisioning.ErrAlreadyLoggedIn
	}
	next, err := step(s)
	if next == nil {
		delete(t.sessions, c.userID)
		return err
	}
	t.sessions[c.userID] = next
	return err
}
