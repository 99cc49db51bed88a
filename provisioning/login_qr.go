package provisioning

import (
	"context"
	"errors"
	"fmt"
)

// The WebSocket of login_qr. The bridge sends a qrCode for each fresh token, at last a
// qrResult, and closes the socket. What the API client sends is read and ignored.

// qrProtocol is the subprotocol. A client that needs none to send its secret may go
// without.
const qrProtocol = "net.maunium.telegram.login"

// errClosing: the Provisioner is being closed, which is no fault.
var errClosing = fmt.Errorf("%w: %w", context.Canceled, errClosed)

// qrCode has the API client show a QR code.
type qrCode struct {
	Code    string `json:"code"`
	Timeout int64  `json:"timeout"` // seconds until the next one
}

// qrResult is how the login has ended.
type qrResult struct {
	Success    bool   `json:"success"`
	Error      string `json:"error,omitempty"`
	RetryAfter int64  `json:"retry_after,omitempty"`
}

// qrWords are the outcomes that have words of their own on the WebSocket, the last two
// being errcodes of other logins. Of any other error it says the errcode.
var qrWords = []struct {
	err  error
	word string
}{
	{ErrPasswordNeeded, qrPasswordNeeded},
	{ErrLoginTimeout, "timeout"},
	{errReplaced, "replaced"},
	{ErrPhoneNumberBanned, "phone_number_banned"},
	{ErrSessionRevoked, "session_revoked"},
}

const qrPasswordNeeded = "password-needed"

// qrOutcome returns the row of an error on the WebSocket, with the word for it.
func qrOutcome(err error, operation string) outcome {
	if err == nil {
		return outcome{}
	}
	for _, w := range qrWords {
		if errors.Is(err, w.err) {
			return outcome{err: w.err, errcode: w.word}
		}
	}
	return outcomeOf(err, operation)
}

// loginQR is login_qr.
func loginQR(ctx context.Context, s *services, op *operation) (reply, error) {
	if err := op.upgrade.check(); err != nil {
		return reply{}, err
	}
	number, err := s.qr.enter()
	if err != nil {
		return reply{}, err
	}
	defer s.qr.leave()
	client, err := loginClient[QRLogin](ctx, s, op)
	if err != nil {
		return reply{}, err
	}
	// The deadline of the request is over with the upgrade. What bounds the login from
	// here on is showQR.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	socket, err := op.upgrade.open(cancel)
	if err != nil {
		return reply{}, err
	}
	account, err := s.qr.show(ctx, op.userID, qrTurn{number, cancel}, socket, client)
	err = finishQR(ctx, s, op, account, err)
	socket.finish(ctx, qrResult{Success: err == nil, Error: qrOutcome(err, op.rt.operation).errcode, RetryAfter: retryAfter(err)})
	return reply{}, err
}

// finishQR records what has come of a login, though the API client may be gone.
func finishQR(ctx context.Context, s *services, op *operation, account Account, err error) error {
	ctx, cancel := detachedFor(ctx, s.qr.timeout)
	defer cancel()
	return recovering(func() error {
		_, err := loggedIn(ctx, s, op, account, err)
		return err
	})
}
