package provisioning

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// What bounds the requests where a [Config] says nothing.
const (
	defaultMaxRequests        = 1000
	defaultMaxRequestsPerUser = 64
)

// overloadRetryAfter is the pause that an answer past one of these bounds asks for, and
// after an [ErrOverloaded] of the host's.
const overloadRetryAfter = 5 * time.Second

// Which bound was reached, for the log.
var (
	errRequestsFull = fmt.Errorf("%w: Config.MaxRequests requests are under way", ErrOverloaded)
	errChecksFull   = fmt.Errorf("%w: Config.MaxRequests tokens are being checked", ErrOverloaded)
	errSocketsFull  = fmt.Errorf("%w: as many WebSockets as may be are open", ErrOverloaded)
	errUserBusy     = errors.New("too many requests of one user are under way")
)

// maxSockets is how many of so many requests may be WebSockets, which last for minutes.
func maxSockets(maxRequests int) int { return max(1, maxRequests/4) }

// maxRequestsOf returns how many requests may be under way, and how many of one user.
func maxRequestsOf(cfg Config) (requests, perUser int) {
	requests, perUser = cfg.MaxRequests, cfg.MaxRequestsPerUser
	if requests == 0 {
		requests = defaultMaxRequests
	}
	if perUser == 0 {
		perUser = min(defaultMaxRequestsPerUser, max(1, requests/2))
	}
	return requests, perUser
}

// requestGroup counts what is under way. Unlike a sync.WaitGroup it can be closed while
// more comes, and can have bounds.
type requestGroup struct {
	most    int   // zero is no bound
	perUser int   // for enterUser
	full    error // what is past the bound

	mu     sync.Mutex
	count  int
	users  map[id.UserID]int // those of which there is something under way
	closed bool
	idle   chan struct{} // closed when count falls to zero after close
}

// enter returns nil if something may start; leave must follow then. Errors: errClosed,
// and the group's own.
func (g *requestGroup) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return errClosed
	case g.most > 0 && g.count >= g.most:
		return g.full
	}
	g.count++
	return nil
}

// enterUser counts what was let in already as a user's. It has to be given to leave then.
// Errors: errUserBusy.
func (g *requestGroup) enterUser(userID id.UserID) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.users[userID]
	if n >= g.perUser {
		return errUserBusy
	}
	if g.users == nil {
		g.users = map[id.UserID]int{}
	}
	g.users[userID] = n + 1
	return nil
}

// leave ends what enter began, and enterUser unless the user is "".
func (g *requestGroup) leave(userID id.UserID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count--
	if g.closed && g.count == 0 {
		close(g.idle)
	}
	if userID == "" {
		return
	}
	if n := g.users[userID] - 1; n > 0 {
		g.users[userID] = n
	} else {
		delete(g.users, userID)
	}
}

// stop lets nothing in any more. What it returns is closed when nothing is under way.
func (g *requestGroup) stop() (idle <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		g.idle = make(chan struct{})
		if g.count == 0 {
			close(g.idle)
		}
	}
	return g.idle
}

// close stops the group and waits until nothing is under way. Errors: the context's.
func (g *requestGroup) close(ctx context.Context) error {
	select {
	case <-g.stop():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// admission is a request's place among those that are under way. The zero value is none.
type admission struct {
	group  *requestGroup
	userID id.UserID // of whose requests it is one, "" where it is nobody's
}

// admit lets an authorised request in, as one of the caller's where that is a Matrix user.
// Errors: errRequestsFull, errUserBusy, errClosed.
func (g *gate) admit(who caller) (admission, error) {
	if err := g.requests.enter(); err != nil {
		return admission{}, err
	}
	a := admission{group: &g.requests}
	err := a.countFor(who.userID)
	return a, err
}

// countFor counts the request as a user's, unless it is somebody's already: that of a
// Matrix caller is the caller's, whomever they name. Errors: errUserBusy.
func (a *admission) countFor(userID id.UserID) error {
	if a.userID != "" || userID == "" {
		return nil
	}
	if err := a.group.enterUser(userID); err != nil {
		return err
	}
	a.userID = userID
	return nil
}

// end gives the place back.
func (a *admission) end() {
	if a.group != nil {
		a.group.leave(a.userID)
	}
}
