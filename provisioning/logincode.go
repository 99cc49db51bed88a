package provisioning

import (
	"strings"
	"time"
)

// SentCode says how Telegram delivers a login code.
type SentCode struct {
	// Delivery is the way it went. The zero value is [DeliveryUnknown].
	Delivery CodeDelivery
	// Length is the number of characters of the code, 0 where unknown.
	Length int
	// Destination is what Telegram says of where it went: a masked e-mail address, the
	// beginning of the number that calls, or the address of a page on Fragment. It may
	// be shown to the user. "" where Telegram says nothing.
	Destination string
	// Next is the way in which it can be sent again, nil where it can't. ResendAt is
	// when that may be asked for, the zero time for at once.
	Next     *CodeDelivery
	ResendAt time.Time
}

// CodeDelivery is a way in which Telegram delivers a login code (TL:
// auth.SentCodeType).
type CodeDelivery int

// The ways in which a login code is delivered.
const (
	DeliveryUnknown CodeDelivery = iota
	// DeliveryApp is a message in the Telegram apps that are logged in already.
	DeliveryApp
	// DeliverySMS is a text message.
	DeliverySMS
	// DeliveryCall is a phone call in which a voice says the code.
	DeliveryCall
	// DeliveryMissedCall is a call that is not to be answered: the last digits of
	// the caller's number are the code.
	DeliveryMissedCall
	// DeliveryEmail is an e-mail to the account's login address.
	DeliveryEmail
	// DeliveryFragment is a message on the Fragment platform, for anonymous
	// numbers.
	DeliveryFragment
)

// deliveries are the names of the API.
var deliveries = map[CodeDelivery]string{
	DeliveryApp: "app", DeliverySMS: "sms", DeliveryCall: "call", DeliveryMissedCall: "missed_call",
	DeliveryEmail: "email", DeliveryFragment: "fragment",
}

// String returns the name that the API has for it: app, sms, call, missed_call, email,
// fragment or unknown.
func (d CodeDelivery) String() string {
	if name, ok := deliveries[d]; ok {
		return name
	}
	return "unknown"
}

// LoginStep is how far a login has come.
type LoginStep int

// The steps of a login.
const (
	// LoginNone is no login under way.
	LoginNone LoginStep = iota
	// LoginCodeSent is a login whose code has been sent.
	LoginCodeSent
	// LoginPasswordNeeded is a login whose code was right, or that needs none, and
	// whose two-factor password is missing.
	LoginPasswordNeeded
)

// LoginProgress is a login that is under way.
type LoginProgress struct {
	// Step is how far it has come.
	Step LoginStep
	// Since is when the code was sent last, or when the password was first missing; the
	// zero time without a login.
	Since time.Time
	// Phone is the number that logs in, in digits, "" where it is not known.
	Phone string
	// Sent is how the code was sent, of a login whose code is missing.
	Sent SentCode
	// PasswordHint is the account's hint for its two-factor password, "" for none.
	PasswordHint string
}

// LoginCode is a login code as the API client sent it. It keeps itself out of
// logs: only Value reveals it.
type LoginCode struct {
	value   string
	integer bool
}

// TextLoginCode is a code that came as a string. Blanks and hyphens between
// digits are dropped, and blanks around anything.
func TextLoginCode(s string) LoginCode {
	s = strings.TrimSpace(s)
	compact := strings.NewReplacer(" ", "", "\u00a0", "", "-", "").Replace(s)
	if isDigits(compact) {
		s = compact
	}
	return LoginCode{value: s}
}

// IntegerLoginCode is a code that came as a JSON integer, whose leading zeros
// are lost. The argument is its digits.
func IntegerLoginCode(digits string) LoginCode {
	return LoginCode{value: digits, integer: true}
}

// Value returns the code to give to Telegram. length is the code's length as
// Telegram announced it, 0 if unknown: an integer is padded to it with the zeros
// that it lost.
func (c LoginCode) Value(length int) string {
	if c.integer && len(c.value) < length {
		return strings.Repeat("0", length-len(c.value)) + c.value
	}
	return c.value
}

// String hides the code.
func (c LoginCode) String() string { return "[login code]" }

// GoString hides the code.
func (c LoginCode) GoString() string { return c.String() }

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
