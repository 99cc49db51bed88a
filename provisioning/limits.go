package provisioning

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/places"
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
	errRequestsFull = fmt.Errorf("%w: of Config.MaxRequests requests none is free", ErrOverloaded)
	errChecksFull   = fmt.Errorf("%w: of Config.MaxRequests checks of tokens none is free", ErrOverloaded)
	errSocketsFull  = fmt.Errorf("%w: as many WebSockets as may be are open", ErrOverloaded)
	errUserBusy     = errors.New("too many requests of one user are under way")
)

// reserved is how many of so many requests are for those with the shared secret alone.
func reserved(maxRequests int) int { return maxRequests / 4 }

// queueLength is how many more than so many requests may wait for a place.
func queueLength(maxRequests int) int { return maxRequests / 4 }

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
// more comes, and can have a bound.
type requestGroup struct {
	most int   // zero is no bound
	full error // what is past the bound

	mu     sync.Mutex
	count  int
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

// leave ends what enter began.
func (g *requestGroup) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count--
	if g.closed && g.count == 0 {
		close(g.idle)
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

// party is a Matrix user or an address, between which places are shared.
type party struct {
	userID id.UserID
	from   address
}

type placeClaim = places.Claim[party]

// sharedGroup is a group of requests that share places.
type sharedGroup struct {
	group  requestGroup
	places *places.Places[party]
	full   error // what gets no place
}

func newSharedGroup(maxRequests, reserved int, full error) sharedGroup {
	return sharedGroup{places: places.New[party](maxRequests, reserved, queueLength(maxRequests)), full: full}
}

// enter takes a place; leave must follow. Errors: errClosed, errUserBusy, the group's own, and
// the context's.
func (g *sharedGroup) enter(ctx context.Context, claim placeClaim) error {
	if err := g.group.enter(); err != nil {
		return err
	}
	err := g.places.Enter(ctx, claim)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, places.ErrFull):
		err = g.full
	case errors.Is(err, places.ErrMost):
		err = errUserBusy
	}
	g.group.leave()
	return err
}

func (g *sharedGroup) leave(claim placeClaim) {
	g.places.Leave(claim)
	g.group.leave()
}

// admission is a request's place among those that are under way. The zero value is none.
type admission struct {
	gate  *gate
	claim placeClaim // its first party is the user of whose requests it is one, if there is one
}

// admit lets an authorised request in, as one of the caller's where that is a Matrix user.
// Errors: errRequestsFull, errUserBusy, errClosed.
func (g *gate) admit(ctx context.Context, who caller) (admission, error) {
	a := admission{gate: g}
	if !who.trusted() {
		a.claim.Ordinary = true
		a.claim.Parties = [2]places.Party[party]{g.partyOf(who.userID), {Key: party{from: who.from}}}
	}
	if err := g.requests.enter(ctx, a.claim); err != nil {
		return admission{}, err
	}
	return a, nil
}

func (g *gate) partyOf(userID id.UserID) places.Party[party] {
	return places.Party[party]{Key: party{userID: userID}, Most: g.perUser}
}

// countFor counts the request as a user's, unless it is somebody's already: that of a
// Matrix caller is the caller's, whomever they name. Errors: errUserBusy.
func (a *admission) countFor(userID id.UserID) error {
	if a.claim.Parties[0].Key.userID != "" || userID == "" {
		return nil
	}
	named := a.gate.partyOf(userID)
	if a.gate.requests.places.Count(named) != nil {
		return errUserBusy
	}
	a.claim.Parties[0] = named
	return nil
}

// end gives the place back.
func (a *admission) end() {
	if a.gate != nil {
		a.gate.requests.leave(a.claim)
	}
}
