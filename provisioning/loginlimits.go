package provisioning

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// Allowance is how often something may happen that is limited over time. Zero is the default of
// the field of the [Config], a negative number no limit.
type Allowance struct {
	// PerHour is for any hour, PerDay for any 24 hours.
	PerHour, PerDay int
}

// What an Allowance is where it says nothing. A person who logs in needs one code, or two; one
// who has come to five has lost their phone.
const (
	defaultPerHour = 5
	defaultPerDay  = 10
)

// limits returns what the allowance means.
func (a Allowance) limits() (limits []Limit) {
	for _, limit := range []Limit{{cmp.Or(a.PerHour, defaultPerHour), time.Hour}, {cmp.Or(a.PerDay, defaultPerDay), 24 * time.Hour}} {
		if limit.Most > 0 {
			limits = append(limits, limit)
		}
	}
	return limits
}

// limitReachedError says when something may happen again.
type limitReachedError struct {
	limit error // errCodesOfPhone, errLoginsOfUser
	wait  time.Duration
}

// Which limit over time is reached.
var (
	errCodesOfPhone = fmt.Errorf("%w: too many codes were requested here", ErrPhoneNumberFlood)
	errLoginsOfUser = errors.New("a Matrix user has tried to log in too often")
)

func (e *limitReachedError) Error() string { return fmt.Sprintf("%s, for %s more", e.limit, e.wait) }
func (e *limitReachedError) Unwrap() error { return e.limit }

// loginLimits limit logins over time.
type loginLimits struct {
	store LimitStore
	// key makes the keys of the store: what it stores names neither users nor phone numbers.
	// There are too few phone numbers for a hash without a secret, which could be searched
	// for each of them. All processes whose first secret is the same have one key.
	key []byte

	codesPerPhone, codesPerUser, botTokensPerUser []Limit
}

func newLoginLimits(cfg Config) *loginLimits {
	l := &loginLimits{
		store: cfg.Limits, key: []byte(cfg.secrets()[0].Value),
		codesPerPhone: cfg.CodesPerPhone.limits(), codesPerUser: cfg.CodesPerUser.limits(), botTokensPerUser: cfg.BotTokensPerUser.limits(),
	}
	if l.store == nil {
		l.store = &LimitMemory{}
	}
	return l
}

// count counts an event of somebody or something. Errors: a limitReachedError with the one that
// is given.
func (l *loginLimits) count(ctx context.Context, kind, of string, limits []Limit, reached error) error {
	if len(limits) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, l.key)
	_, _ = mac.Write([]byte(kind + "\x00" + of))
	wait, err := l.store.CountEvent(ctx, base64.RawStdEncoding.EncodeToString(mac.Sum(nil)), limits)
	switch {
	case err != nil:
		return fmt.Errorf("count what is limited: %w", err)
	case wait > 0:
		return &limitReachedError{reached, wait}
	}
	return nil
}

// countBotToken counts a bot token that a Matrix caller has sent. Errors: errLoginsOfUser.
func (l *loginLimits) countBotToken(ctx context.Context, who caller) error {
	if who.trusted() {
		return nil
	}
	return l.count(ctx, "bot token of user", string(who.userID), l.botTokensPerUser, errLoginsOfUser)
}

// countingCodes returns a context in which CountCode counts one code for a caller, though several
// parts of a host may call it, one after the other.
func (l *loginLimits) countingCodes(ctx context.Context, who caller) context.Context {
	counted := false
	return WithCodeCounter(ctx, func(ctx context.Context, phone string) error {
		if counted {
			return nil
		}
		err := l.countCode(ctx, who, phone)
		counted = err == nil
		return err
	})
}

// countCode counts a login code. Errors: errLoginsOfUser, errCodesOfPhone.
func (l *loginLimits) countCode(ctx context.Context, who caller, phone string) error {
	if !who.trusted() {
		if err := l.count(ctx, "code of user", string(who.userID), l.codesPerUser, errLoginsOfUser); err != nil {
			return err
		}
	}
	return l.count(ctx, "code of phone", phone, l.codesPerPhone, errCodesOfPhone)
}

type codeCounterKey struct{}

// WithCodeCounter returns a context in which [CountCode] calls a function. The core makes one
// for [PhoneLogin] and [LoginControl]; others are for tests.
func WithCodeCounter(ctx context.Context, count func(ctx context.Context, phone string) error) context.Context {
	return context.WithValue(ctx, codeCounterKey{}, count)
}

// CountCode counts a login code that a client is about to request from Telegram, for
// [Config.CodesPerPhone] and [Config.CodesPerUser]. The phone number is in one spelling, whatever
// the user has typed. Of several calls in one request the first counts. After an error, which
// the client returns, it must not request the code.
// The context is that of the request; without one of the core's, nothing is counted.
func CountCode(ctx context.Context, phone string) error {
	count, ok := ctx.Value(codeCounterKey{}).(func(context.Context, string) error)
	if !ok {
		return nil
	}
	return count(ctx, phone)
}
