package phone_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tgprovision/tgprovision/internal/phone"
)

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"+4917012345678":        "+4917012345678",
		"4917012345678":         "+4917012345678",
		"004917012345678":       "+4917012345678",
		" +49 170 / 1234-5678 ": "+4917012345678",
		"+49 (0)170 12345678":   "+4917012345678",
		"+49\u00a0170.12345678": "+4917012345678",
		"+1 (212) 555-0100":     "+12125550100",
		"+99966 1 0001":         "+9996610001",  // Telegram's test numbers
		"+888 0123 4567":        "+88801234567", // anonymous numbers
		"+42777":                "+42777",       // Telegram's service number
	} {
		got, ok := phone.Normalize(in)
		assert.True(t, ok, "%q", in)
		assert.Equal(t, want, got, "%q", in)
	}
	for _, in := range []string{
		"", " ", "+", "x", "+49", "1234", "+1234567890123456", "abc12345678", "+49 170 x",
		"+4917012345678;ext=1\n2", "²²²²²²²²", "٠١٢٣٤٥٦٧٨", "@someone",
	} {
		got, ok := phone.Normalize(in)
		assert.False(t, ok, "%q gave %q", in, got)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"+4917012345678", "0049 170", "+49 (0)170 1", "x", "+", "+888 0123 4567"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		number, ok := phone.Normalize(in)
		if !ok {
			assert.Empty(t, number)
			return
		}
		assert.Regexp(t, `^\+[0-9]{5,17}$`, number)
		again, ok := phone.Normalize(number)
		assert.True(t, ok)
		assert.Equal(t, number, again, "normalising twice changes nothing")
	})
}
