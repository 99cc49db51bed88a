package provisioning

import (
	"strings"
)

// SentCode says how Telegram delivers a login code.
type SentCode struct {
	// Delivery is the way it went. The zero value is [DeliveryUnknown].
	Delivery CodeDelivery
	// Length is the number of characters of the code, 0 where unknown.
	Length int
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
