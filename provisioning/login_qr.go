package provisioning

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/keyed"
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
func qrOutcome(err error, rt *route) outcome {
	if err == nil {
		return outcome{}
	}
	for _, w := range qrWords {
		if errors.Is(err, w.err) {
			return outcome{err: w.err, errcode: w.word}
		}
	}
	return outcomeOf(err, rt.op)
}

func (p *Provisioner) loginQR(ctx context.Context, c *call) (reply, error) {
	if err := checkUpgrade(c.w, c.r); err != nil {
		return reply{}, err
	}
	if err := p.sockets.enter(); err != nil {
		return reply{}, err
	}
	defer p.sockets.leave("")
	login, err := loginOf[QRLogin](ctx, p, c)
	if err != nil {
		return reply{}, err
	}
	// The deadline of the request is over with the upgrade. What bounds the login from
	// here on is showQR.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	s, err := openSocket(c, cancel)
	if err != nil {
		return reply{}, err
	}
	account, err := p.showQR(ctx, cancel, c, s, login)
	// Whatever has come of it is recorded, though the API client may be gone.
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer stop()
	err = recovering(func() error {
		_, err := p.loggedIn(after, c, account, err)
		return err
	})
	s.finish(ctx, qrResult{Success: err == nil, Error: qrOutcome(err, c.rt).errcode, RetryAfter: retryAfter(err)})
	return reply{}, err
}

// showQR shows QR codes until one was scanned. Errors beside those of QRLogin: errHungUp,
// errReplaced, errClosing; context.DeadlineExceeded when the client has neither shown a
// code nor ended the login in the time that a request has.
func (p *Provisioner) showQR(ctx context.Context, cancel context.CancelCauseFunc, c *call, s *socket, login QRLogin) (account Account, err error) {
	defer context.AfterFunc(p.closing, func() { cancel(errClosing) })()
	overdue := time.AfterFunc(p.timeout, func() { cancel(context.DeadlineExceeded) })
	defer overdue.Stop()
	finish, err := p.scanning.begin(ctx, c.userID, cancel)
	if err != nil {
		return Account{}, context.Cause(ctx)
	}
	defer finish()
	shown := 0
	show := func(ctx context.Context, token QRToken) error {
		if shown++; shown > MaxQRTokens {
			return ErrLoginTimeout
		}
		left := max(0, time.Until(token.Expires))
		overdue.Reset(left + p.timeout)
		return s.send(ctx, qrCode{Code: token.URL, Timeout: max(1, int64(left/time.Second))})
	}
	err = recovering(func() (err error) {
		account, err = login.LoginQR(ctx, show)
		return err
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return account, err
}

// recovering makes an error of a panic.
func recovering(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	return run()
}

// qrLogins are the users to whom QR codes are shown. Of two WebSockets of one user the
// newer one counts: it belongs to the page that was opened, or reloaded, last.
type qrLogins struct {
	turns keyed.Mutex[id.UserID]

	mu     sync.Mutex
	latest map[id.UserID]*context.CancelCauseFunc
}

// begin ends the user's other login with errReplaced, and waits until nothing is left
// of it; finish must follow. end is what ends this one. Errors: the context's.
func (q *qrLogins) begin(ctx context.Context, userID id.UserID, end context.CancelCauseFunc) (finish func(), err error) {
	q.mu.Lock()
	if q.latest == nil {
		q.latest = map[id.UserID]*context.CancelCauseFunc{}
	}
	if older := q.latest[userID]; older != nil {
		(*older)(errReplaced)
	}
	q.latest[userID] = &end
	q.mu.Unlock()

	leave := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.latest[userID] == &end {
			delete(q.latest, userID)
		}
	}
	unlock, err := q.turns.Lock(ctx, userID)
	if err != nil {
		leave()
		return nil, err
	}
	return func() {
		leave()
		unlock()
	}, nil
}
