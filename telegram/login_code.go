package telegram

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/internal/phone"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// RequestCode implements provisioning.PhoneLogin.
func (cl *Client) RequestCode(ctx context.Context, given string) (sent provisioning.SentCode, err error) {
	number, ok := phone.Normalize(given)
	if !ok {
		return sent, provisioning.ErrPhoneNumberInvalid
	}
	err = cl.withLogin(ctx, errKeyJustMade, func(l *login) error {
		if half := l.record.login; l.record.step == stepCode && half.phone == number && !half.mayResend() {
			sent = half.sent()
			return nil
		}
		if err := provisioning.CountCode(ctx, number); err != nil {
			return err
		}
		if l.record.row != "" {
			sent, err = l.requestNextCode(ctx, number)
			if !errors.Is(err, provisioning.ErrNotLoggedIn) && !errors.Is(err, provisioning.ErrPhoneNumberBanned) {
				return err
			}
			// Telegram has ended the login that was there, maybe with its account.
			if err := l.abandon(ctx, err); !errors.Is(err, provisioning.ErrNotLoggedIn) && !errors.Is(err, provisioning.ErrPhoneNumberBanned) {
				return err
			}
		}
		sent, err = l.requestFirstCode(ctx, number)
		return err
	})
	return sent, err
}

// requestFirstCode begins a login.
func (l *login) requestFirstCode(ctx context.Context, phone string) (provisioning.SentCode, error) {
	leave, err := l.f.newSessions.enter(ctx, l.key)
	if err != nil {
		return provisioning.SentCode{}, err
	}
	defer leave()
	c, err := l.begin(ctx)
	if err != nil {
		return provisioning.SentCode{}, err
	}
	c, sent, err := l.requestCode(ctx, c, phone)
	if err != nil {
		l.f.discard(ctx, c)
	}
	return sent, err
}

// errKeyJustMade: Telegram knows nothing of an auth key that was just made with it.
var errKeyJustMade = fmt.Errorf("%w: %w", provisioning.ErrTelegramUnavailable, errKeyUnknown)

// requestNextCode requests a code in a login that has begun, with its auth key.
func (l *login) requestNextCode(ctx context.Context, phone string) (provisioning.SentCode, error) {
	c, err := l.f.connect(ctx, l.key, l.slot, l.record.row)
	if err != nil {
		return provisioning.SentCode{}, err
	}
	_, sent, err := l.requestCode(ctx, c, phone)
	return sent, err
}

// requestCode requests a code with a client, or one at another datacenter, which it returns.
func (l *login) requestCode(ctx context.Context, c *conn, phone string) (*conn, provisioning.SentCode, error) {
	var answer tg.AuthSentCodeClass
	c, err := l.follow(ctx, c, func(c *conn) (err error) {
		answer, err = l.sendCode(ctx, c.client.Auth(), phone)
		return err
	})
	if err != nil {
		return c, provisioning.SentCode{}, c.explain(ctx, "auth.sendCode", err)
	}
	sent, err := l.putSentCode(ctx, c, phone, answer)
	return c, sent, err
}

// putSentCode stores that a code was sent. Errors: provisioning.ErrLoginEmailRequired, and the
// login is ended then.
func (l *login) putSentCode(ctx context.Context, c *conn, phone string, answer tg.AuthSentCodeClass) (provisioning.SentCode, error) {
	var code *tg.AuthSentCode
	switch answer := answer.(type) {
	case *tg.AuthSentCode:
		code = answer
	case *tg.AuthSentCodePaymentRequired: // which Telegram's own apps can pay
		return provisioning.SentCode{}, fmt.Errorf("%w: %w", provisioning.ErrTelegramRestricted, rpcerror.Unexpected(answer))
	default: // auth.sentCodeSuccess is for clients that send logout tokens
		return provisioning.SentCode{}, rpcerror.Unexpected(answer)
	}
	if _, ok := code.Type.(*tg.AuthSentCodeTypeSetUpEmailRequired); ok {
		return provisioning.SentCode{}, l.abandon(ctx, provisioning.ErrLoginEmailRequired)
	}
	sent := sentCode(code)
	r := record{step: stepCode, login: halfDone{
		phone: phone, codeHash: code.PhoneCodeHash, codeLength: sent.Length,
		emailed: sent.Delivery == provisioning.DeliveryEmail, requestedAt: time.Now(),
		delivery: sent.Delivery.String(), destination: sent.Destination, resendAt: sent.ResendAt,
	}}
	if sent.Next != nil {
		r.login.nextDelivery = sent.Next.String()
	}
	if l.record.login.phone == phone {
		r.login.wrong = l.record.login.wrong
	}
	return sent, l.put(ctx, c, r)
}

// sendCode has the code of a login under way for the same number sent again, and
// otherwise a new one.
func (l *login) sendCode(ctx context.Context, client *auth.Client, phone string) (tg.AuthSentCodeClass, error) {
	if l.record.step == stepCode && l.record.login.phone == phone {
		answer, err := client.ResendCode(ctx, phone, l.record.login.codeHash)
		if err == nil || !needsNewCode(err) {
			return answer, err
		}
	}
	return client.SendCode(ctx, phone, auth.SendCodeOptions{})
}

// sentCode says how Telegram delivers a code (TL: auth.SentCodeType).
func sentCode(code *tg.AuthSentCode) provisioning.SentCode {
	sent := provisioning.SentCode{}
	if typed, ok := code.Type.(interface{ GetLength() int }); ok {
		sent.Length = typed.GetLength()
	}
	if next, ok := code.GetNextType(); ok {
		way := deliveryOf(next)
		sent.Next = &way
		if seconds, ok := code.GetTimeout(); ok {
			sent.ResendAt = time.Now().Add(time.Duration(seconds) * time.Second)
		}
	}
	switch typed := code.Type.(type) {
	case *tg.AuthSentCodeTypeApp:
		sent.Delivery = provisioning.DeliveryApp
	case *tg.AuthSentCodeTypeSMS, *tg.AuthSentCodeTypeFirebaseSMS, *tg.AuthSentCodeTypeSMSWord, *tg.AuthSentCodeTypeSMSPhrase:
		sent.Delivery = provisioning.DeliverySMS
	case *tg.AuthSentCodeTypeCall:
		sent.Delivery = provisioning.DeliveryCall
	case *tg.AuthSentCodeTypeMissedCall:
		sent.Delivery, sent.Destination = provisioning.DeliveryMissedCall, typed.Prefix
	case *tg.AuthSentCodeTypeEmailCode:
		sent.Delivery, sent.Destination = provisioning.DeliveryEmail, typed.EmailPattern
	case *tg.AuthSentCodeTypeFragmentSMS:
		sent.Delivery, sent.Destination = provisioning.DeliveryFragment, typed.URL
	}
	return sent
}
