package telegram

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// LoginProgress implements provisioning.LoginControl.
func (cl *Client) LoginProgress(ctx context.Context) (provisioning.LoginProgress, error) {
	r, err := cl.f.store.get(ctx, cl.key)
	if err != nil || r.expired {
		return provisioning.LoginProgress{}, err
	}
	l := r.login
	progress := provisioning.LoginProgress{Since: l.requestedAt, Phone: strings.TrimPrefix(l.phone, "+")}
	switch r.step {
	case stepCode:
		progress.Step, progress.Sent = provisioning.LoginCodeSent, l.sent()
		return progress, nil
	case stepPassword:
		progress.Step, progress.PasswordHint = provisioning.LoginPasswordNeeded, l.passwordHint
		return progress, nil
	}
	return provisioning.LoginProgress{}, nil
}

// sent returns how the code was sent.
func (l halfDone) sent() provisioning.SentCode {
	sent := provisioning.SentCode{Delivery: deliveryNamed(l.delivery), Length: l.codeLength, Destination: l.destination, ResendAt: l.resendAt}
	if l.nextDelivery != "" {
		next := deliveryNamed(l.nextDelivery)
		sent.Next = &next
	}
	return sent
}

// mayResend says whether it is time to send the code again.
func (l halfDone) mayResend() bool {
	const otherwise = time.Minute // where Telegram has named no time
	at := l.resendAt
	if at.IsZero() {
		at = l.requestedAt.Add(otherwise)
	}
	return l.nextDelivery != "" && !time.Now().Before(at)
}

// ResendCode implements provisioning.LoginControl.
func (cl *Client) ResendCode(ctx context.Context) (sent provisioning.SentCode, err error) {
	err = cl.withLogin(ctx, provisioning.ErrPhoneCodeExpired, func(l *login) error {
		switch l.record.step {
		case stepCode:
			sent, err = l.resendCode(ctx)
			return err
		case stepPassword:
			return provisioning.ErrPasswordNeeded
		default:
			return provisioning.ErrPhoneCodeExpired
		}
	})
	return sent, err
}

// TL: auth.resendCode.
func (l *login) resendCode(ctx context.Context) (provisioning.SentCode, error) {
	if err := provisioning.CountCode(ctx, l.record.login.phone); err != nil {
		return provisioning.SentCode{}, err
	}
	c, err := l.connect(ctx)
	if err != nil {
		return provisioning.SentCode{}, err
	}
	answer, err := c.client.Auth().ResendCode(ctx, l.record.login.phone, l.record.login.codeHash)
	if err == nil {
		return l.putSentCode(ctx, c, l.record.login.phone, answer)
	}
	err = c.explain(ctx, "auth.resendCode", err)
	if errors.Is(err, provisioning.ErrPhoneCodeExpired) {
		err = l.abandon(ctx, err)
	}
	return provisioning.SentCode{}, err
}

// CancelLogin implements provisioning.LoginControl.
func (cl *Client) CancelLogin(ctx context.Context) error {
	return cl.withLogin(ctx, nil, func(l *login) error {
		if l.record.step == stepCode {
			if err := l.cancelRemote(ctx); err != nil {
				l.f.cfg.Log.Info().Err(err).Str("session", string(l.key)).
					Msg("Deleted a login here, but could not cancel its code on Telegram")
			}
		}
		return l.abandon(ctx, nil)
	})
}

// cancelRemote has Telegram forget the code.
//
// TL: auth.cancelCode.
func (l *login) cancelRemote(ctx context.Context) error {
	ctx, cancel := remoteTimeout(ctx, logoutWait)
	defer cancel()
	c, err := l.f.connect(ctx, l.key, l.slot, l.record.row)
	if err != nil {
		return err
	}
	_, err = c.client.API().AuthCancelCode(ctx, &tg.AuthCancelCodeRequest{PhoneNumber: l.record.login.phone, PhoneCodeHash: l.record.login.codeHash})
	return err
}

// remoteTimeout limits what a request does on Telegram to half of the request's time, where
// there is something left to do here afterwards.
func remoteTimeout(ctx context.Context, longest time.Duration) (context.Context, context.CancelFunc) {
	limit := longest
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	return context.WithTimeout(ctx, limit)
}

// passwordHint returns the hint of the account whose code was accepted, "" where it
// has none or Telegram does not say: the login goes on without it.
//
// TL: account.getPassword.
func passwordHint(ctx context.Context, c *conn) string {
	password, err := c.client.API().AccountGetPassword(ctx)
	if err != nil {
		return ""
	}
	return password.Hint
}

// deliveryOf says how a code will be sent (TL: auth.CodeType).
func deliveryOf(way tg.AuthCodeTypeClass) provisioning.CodeDelivery {
	switch way.(type) {
	case *tg.AuthCodeTypeSMS:
		return provisioning.DeliverySMS
	case *tg.AuthCodeTypeCall:
		return provisioning.DeliveryCall
	case *tg.AuthCodeTypeMissedCall:
		return provisioning.DeliveryMissedCall
	case *tg.AuthCodeTypeFragmentSMS:
		return provisioning.DeliveryFragment
	}
	return provisioning.DeliveryUnknown
}

// deliveryNamed returns the delivery of a name.
func deliveryNamed(name string) provisioning.CodeDelivery {
	for d := provisioning.DeliveryUnknown; d <= provisioning.DeliveryFragment; d++ {
		if d.String() == name {
			return d
		}
	}
	return provisioning.DeliveryUnknown
}
