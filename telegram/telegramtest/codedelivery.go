package telegramtest

import "github.com/gotd/td/tg"

// CodeDelivery is a way in which a login code is sent.
type CodeDelivery string

// The ways in which a login code is sent.
const (
	// CodeByApp is a message in Telegram's apps.
	CodeByApp CodeDelivery = "app"
	// CodeBySMS is a text message.
	CodeBySMS CodeDelivery = "sms"
	// CodeByCall is a call that speaks the code.
	CodeByCall CodeDelivery = "call"
	// CodeByFlashCall is a call that ends at once, from a number that is the code.
	CodeByFlashCall CodeDelivery = "flash_call"
	// CodeByMissedCall is a call that ends at once, from a number whose last digits
	// are the code.
	CodeByMissedCall CodeDelivery = "missed_call"
	// CodeByEmail is a mail to the login address.
	CodeByEmail CodeDelivery = "email"
	// CodeByFragment is a message at fragment.com, for anonymous numbers.
	CodeByFragment CodeDelivery = "fragment"
	// CodeByWord is a text message with a word instead of digits.
	CodeByWord CodeDelivery = "word"
	// CodeByPhrase is a text message with a phrase instead of digits.
	CodeByPhrase CodeDelivery = "phrase"
	// EmailSetUpRequired sends no code: a login address has to be set up first, which
	// this server can't. No code is right.
	EmailSetUpRequired CodeDelivery = "set_up_email"
	// PaymentRequired sends no code: it has to be paid for first, which this server can't
	// take (TL: auth.sentCodePaymentRequired). No code is right.
	PaymentRequired CodeDelivery = "payment"
)

// sentCodeType describes the delivery of a code to the client; nil for PaymentRequired
// and an unknown delivery.
func (d CodeDelivery) sentCodeType(code string) tg.AuthSentCodeTypeClass {
	switch d {
	case CodeByApp:
		return &tg.AuthSentCodeTypeApp{Length: len(code)}
	case CodeBySMS:
		return &tg.AuthSentCodeTypeSMS{Length: len(code)}
	case CodeByCall:
		return &tg.AuthSentCodeTypeCall{Length: len(code)}
	case CodeByFlashCall:
		return &tg.AuthSentCodeTypeFlashCall{Pattern: "*"}
	case CodeByMissedCall:
		return &tg.AuthSentCodeTypeMissedCall{Prefix: "999", Length: len(code)}
	case CodeByEmail:
		return &tg.AuthSentCodeTypeEmailCode{EmailPattern: "a***@example.com", Length: len(code)}
	case CodeByFragment:
		return &tg.AuthSentCodeTypeFragmentSMS{URL: "https://fragment.com/", Length: len(code)}
	case CodeByWord:
		return &tg.AuthSentCodeTypeSMSWord{}
	case CodeByPhrase:
		return &tg.AuthSentCodeTypeSMSPhrase{}
	case EmailSetUpRequired:
		return &tg.AuthSentCodeTypeSetUpEmailRequired{}
	}
	return nil
}

func (d CodeDelivery) known() bool { return d == PaymentRequired || d.sentCodeType("") != nil }

// sends says whether there is a code at all.
func (d CodeDelivery) sends() bool { return d != EmailSetUpRequired && d != PaymentRequired }

// next returns how the code is sent when it is asked for again, with nil for no
// other way.
func (d CodeDelivery) next() (CodeDelivery, tg.AuthCodeTypeClass) {
	switch d {
	case CodeBySMS:
		return CodeByCall, &tg.AuthCodeTypeCall{}
	case CodeByCall, EmailSetUpRequired, PaymentRequired:
		return "", nil
	default:
		return CodeBySMS, &tg.AuthCodeTypeSMS{}
	}
}
