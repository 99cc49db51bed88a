// Package phone reads phone numbers as people write them.
package phone

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Normalize brings a phone number in any usual international spelling into
// the form +digits, and returns false for what is none. It is lenient, since
// Telegram has numbers that no numbering plan knows (test accounts, anonymous
// numbers): Telegram itself has the last word.
func Normalize(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "00"); ok {
		s = "+" + rest
	} else if !strings.HasPrefix(s, "+") {
		s = "+" + s
	}
	if number, err := phonenumbers.Parse(s, ""); err == nil && phonenumbers.IsValidNumber(number) {
		// Knows of spellings such as +49 (0)170 …, whose zero is not dialled.
		return phonenumbers.Format(number, phonenumbers.E164), true
	}
	digits := strings.NewReplacer(" ", "", "\u00a0", "", "-", "", ".", "", "/", "", "(", "", ")", "").Replace(s[1:])
	const shortest, longest = 5, 15 // E.164 ends at 15 digits
	if len(digits) < shortest || len(digits) > longest || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	return "+" + digits, true
}
