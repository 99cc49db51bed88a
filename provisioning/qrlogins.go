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

// qrLogins are the WebSockets on which QR codes are shown. Of two of one user the newer
// one counts: it belongs to the page that was opened, or reloaded, last. Which is newer is
// decided by the order of the requests, since their handshakes may overtake each other.
type qrLogins struct {
	timeout time.Duration   // that of a request
	closing context.Context // ends when the Provisioner closes
	sockets requestGroup
	turns   keyed.Mutex[id.UserID]

	mu     sync.Mutex
	count  int // of requests so far
	latest map[id.UserID]qrTurn
}

// qrTurn is the WebSocket on which a user's QR codes are shown.
type qrTurn struct {
	number int // of its request
	cancel context.CancelCauseFunc
}

func newQRLogins(cfg Config, closing context.Context) *qrLogins {
	maxRequests, _ := maxRequestsOf(cfg)
	return &qrLogins{
		timeout: cfg.timeout(), closing: closing, latest: map[id.UserID]qrTurn{},
		sockets: requestGroup{most: maxSockets(maxRequests), full: errSocketsFull},
	}
}

// enter lets a request in, and returns its number; leave must follow. Errors:
// errSocketsFull.
func (q *qrLogins) enter() (number int, err error) {
	if err := q.sockets.enter(); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count++
	return q.count, nil
}

func (q *qrLogins) leave() { q.sockets.leave() }

// begin ends the user's older WebSocket with errReplaced, or returns that for one that is
// not the newest. end must follow.
func (q *qrLogins) begin(userID id.UserID, turn qrTurn) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	other, there := q.latest[userID]
	switch {
	case there && other.number > turn.number:
		return errReplaced
	case there:
		other.cancel(errReplaced)
	}
	q.latest[userID] = turn
	return nil
}

func (q *qrLogins) end(userID id.UserID, number int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.latest[userID].number == number {
		delete(q.latest, userID)
	}
}

// stop ends the WebSocket of a user as if nobody had scanned the code, and waits until
// nothing is left of its login. Errors: the context's.
func (q *qrLogins) stop(ctx context.Context, userID id.UserID) error {
	q.mu.Lock()
	if turn, there := q.latest[userID]; there {
		turn.cancel(ErrLoginTimeout)
	}
	q.mu.Unlock()
	unlock, err := q.turns.Lock(ctx, userID)
	if err != nil {
		return fmt.Errorf("wait for a login by QR code: %w", err)
	}
	unlock()
	return nil
}

// show shows QR codes on the WebSocket of a request until one was scanned, once nothing is
// left of the user's older login. cancel is that of the context. Errors beside those of
// QRLogin: errHungUp, errReplaced, errClosing; context.DeadlineExceeded when the client has
// neither shown a code nor ended the login in the time that a request has.
func (q *qrLogins) show(ctx context.Context, userID id.UserID, turn qrTurn, s *socket, client QRLogin) (account Account, err error) {
	defer context.AfterFunc(q.closing, func() { turn.cancel(errClosing) })()
	overdue := time.AfterFunc(q.timeout, func() { turn.cancel(context.DeadlineExceeded) })
	defer overdue.Stop()
	if err := q.begin(userID, turn); err != nil {
		return Account{}, err
	}
	defer q.end(userID, turn.number)
	unlock, err := q.turns.Lock(ctx, userID)
	if err != nil {
		return Account{}, context.Cause(ctx)
	}
	defer unlock()
	tokens := 0
	err = recovering(func() (err error) {
		account, err = client.LoginQR(ctx, func(ctx context.Context, token QRToken) error {
			if tokens++; tokens > MaxQRTokens {
				return ErrLoginTimeout
			}
			left := max(0, time.Until(token.Expires))
			overdue.Reset(left + q.timeout)
			return s.send(ctx, qrCode{Code: token.URL, Timeout: max(1, int64(left/time.Second))})
		})
		return err
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return account, err
}
