package provisioningtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// EndSession ends a Matrix user's session from the outside, as when the user
// logs the bridge out in another app. A half-done login is ended too. The client notices
// when it asks Telegram next.
func (t *Telegram) EndSession(userID id.UserID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sessions[userID]; s != nil {
		s.revoked = true
	}
}

// Revoke is EndSession for everybody who is logged in to an account, or about to be.
func (t *Telegram) Revoke(telegramID provisioning.TelegramID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.all() {
		if s.account.ID == telegramID {
			s.revoked = true
		}
	}
}

// Sessions returns how many sessions of an account there are. Those of clients that were
// logged out while Telegram was away are among them until it answers again.
func (t *Telegram) Sessions(telegramID provisioning.TelegramID) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.all() {
		if s.account.ID == telegramID && s.loggedIn && !s.revoked {
			n++
		}
	}
	return n
}

// all returns the sessions that Telegram has. The caller holds the lock.
func (t *Telegram) all() []*session {
	return slices.AppendSeq(slices.Clone(t.ending), maps.Values(t.sessions))
}

// ExpireCode makes the login codes expire that were sent to a phone number, in digits.
func (t *Telegram) ExpireCode(phone string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sessions {
		if s.account.Phone == phone && !s.codeAccepted {
			s.expired = true
		}
	}
}

// SetAway makes Telegram unreachable until it is called with false: what has to ask it
// returns provisioning.ErrTelegramUnavailable. A Logout meanwhile is pending, and SetAway
// with false ends its session.
func (t *Telegram) SetAway(away bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.away = away
	t.endAll()
}

// SetError makes Telegram answer everything with an error, such as 420 FLOOD_WAIT_60,
// until it is called with the code 0.
func (t *Telegram) SetError(code int, errorType string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.endAll()
	seconds, wait := strings.CutPrefix(errorType, "FLOOD_WAIT_")
	n, err := strconv.Atoi(seconds)
	switch {
	case code == 0:
		t.refusal = nil
	case wait && err == nil:
		t.refusal = &provisioning.FloodWaitError{Wait: time.Duration(n) * time.Second}
	case refusals[errorType] != nil:
		t.refusal = refusals[errorType]
	case meanings[errorType] != nil:
		t.refusal = fmt.Errorf("%w: %w", meanings[errorType], &provisioning.TelegramError{Code: code, Type: errorType})
	default:
		t.refusal = &provisioning.TelegramError{Code: code, Type: errorType}
	}
}

// The errors of a session that Telegram has ended, and of one whose account is gone.
var (
	errSessionEnded = fmt.Errorf("%w: the session was ended", provisioning.ErrNotLoggedIn)
	errAccountGone  = fmt.Errorf("%w: the account was banned or deleted", errSessionEnded)
)

// refusals are Telegram's errors that are not just a provisioning.TelegramError.
var refusals = map[string]error{
	"SESSION_REVOKED":                   errSessionEnded,
	"AUTH_KEY_UNREGISTERED":             errSessionEnded,
	"USER_DEACTIVATED":                  errAccountGone,
	"USER_DEACTIVATED_BAN":              errAccountGone,
	"PHONE_NUMBER_BANNED":               provisioning.ErrPhoneNumberBanned,
	"PHONE_NUMBER_APP_SIGNUP_FORBIDDEN": provisioning.ErrPhoneNumberAppSignupForbidden,
	"PHONE_NUMBER_FLOOD":                provisioning.ErrPhoneNumberFlood,
	"PHONE_PASSWORD_FLOOD":              provisioning.ErrPhoneNumberFlood,
	"ACCESS_TOKEN_EXPIRED":              provisioning.ErrBotTokenExpired,
}

// meanings are those of errors that wrap their provisioning.TelegramError.
var meanings = map[string]error{
	"API_ID_INVALID":        provisioning.ErrBridgeRefused,
	"FROZEN_METHOD_INVALID": provisioning.ErrTelegramRestricted,
}

// endAll ends the sessions whose end is pending, if Telegram answers. The caller holds the
// lock.
func (t *Telegram) endAll() {
	if t.ask() == nil {
		t.ending = nil
	}
}

// ask is a question to Telegram. It returns the error that Telegram has instead of an
// answer. The caller holds the lock.
func (t *Telegram) ask() error {
	if t.away {
		return provisioning.ErrTelegramUnavailable
	}
	return t.refusal
}

// askWith is ask with a session, which may have been ended.
func (t *Telegram) askWith(s *session) error {
	err := t.ask()
	if err == nil && s.revoked {
		err = errSessionEnded
	}
	return err
}
