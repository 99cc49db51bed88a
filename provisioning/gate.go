package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"maunium.net/go/mautrix/id"
)

// gate says who calls, and lets in so much at once.
type gate struct {
	secrets  atomic.Pointer[heldSecrets]
	tokens   TokenChecker // nil where no Matrix tokens authorise
	links    *loginLinks
	ready    func() error // the host's store of login links may be used from then on
	failures *failures    // nil where wrong secrets are not limited

	requests sharedGroup // authorised ones
	checking sharedGroup // those whose tokens are being checked
	perUser  int         // how many requests may be one user's
}

func newGate(cfg Config, links *loginLinks, ready func() error) *gate {
	maxRequests, perUser := maxRequestsOf(cfg)
	g := &gate{
		tokens:   cfg.Tokens,
		links:    links,
		ready:    ready,
		failures: newFailures(cfg.FailureLimit),
		requests: newSharedGroup(maxRequests, reserved(maxRequests), errRequestsFull),
		checking: newSharedGroup(maxRequests, 0, errChecksFull),
		perUser:  perUser,
	}
	held := hold(cfg.secrets())
	g.secrets.Store(&held)
	return g
}

// callerKind is how a caller has proven who they are, as access lines name it.
type callerKind string

const (
	bySecret callerKind = "secret"
	byMatrix callerKind = "matrix" // access token
	byOpenID callerKind = "openid"
	// byLoginLink is by a login link, or the session that one has opened.
	byLoginLink callerKind = "login_link"
)

// openIDPrefix is what OpenID tokens begin with where they stand in place of a secret.
const openIDPrefix = "openid:"

// caller is who has sent a request. The zero value may nothing.
type caller struct {
	kind callerKind
	// secret is the one that was sent, nil for Matrix users.
	secret *heldSecret
	// userID is the Matrix user, "" for a shared secret.
	userID id.UserID
	// link is the hash of a login link that is not opened yet, "" for others.
	link string
	// admin: the level of the Matrix user was looked at, and is admin.
	admin bool
	// from is where a caller without a shared secret calls from.
	from address
}

// trusted callers act for everybody.
func (c caller) trusted() bool { return c.kind == bySecret }

// secretName returns the name of the caller's secret, "" for others.
func (c caller) secretName() string {
	if c.secret == nil {
		return ""
	}
	return c.secret.name
}

// confined callers act for themselves, and see what they could see without the API.
func (c caller) confined() bool { return !c.trusted() && !c.admin }

// authorise returns who sends a credential: somebody with a shared secret, or the user of a
// Matrix token, of a login link or of its session. The right secret always passes. from returns
// the address that it comes from, and is asked where that matters. Errors: errUnauthorized, errTooManyGuesses, and those of
// callerOf.
func (g *gate) authorise(ctx context.Context, credential string, from func() address) (who caller, err error) {
	if credential == "" {
		return caller{}, errUnauthorized
	}
	sum := guessOf(credential)
	if secret := g.secrets.Load().find(sum); secret != nil {
		return caller{kind: bySecret, secret: secret}, nil
	}
	if isLogin(credential) {
		return g.callerOf(ctx, credential, sum, from(), g.checkLogin)
	}
	if g.tokens == nil {
		if g.failures == nil {
			return caller{}, errUnauthorized
		}
		return caller{}, g.failures.wrongSecret(from())
	}
	return g.callerOf(ctx, credential, sum, from(), g.checkToken)
}

var errBadChecker = errors.New("the TokenChecker returned neither a Matrix user ID nor an error")

// callerOf returns whose token it is, which check asks. Errors: errUnauthorized,
// errTooManyGuesses, errClosed, ErrOverloaded, and others that say nothing of the token.
func (g *gate) callerOf(ctx context.Context, token string, sum guess, from address, check func(context.Context, string) (caller, error)) (who caller, err error) {
	var claim placeClaim
	claim.Parties[0].Key.from = from
	if err := g.checking.enter(ctx, claim); err != nil {
		return caller{}, err
	}
	defer g.checking.leave(claim)
	if g.failures != nil {
		if err := g.failures.checkToken(from, sum); err != nil {
			return caller{}, err
		}
	}
	who, err = check(withClient(ctx, from), token)
	who.from = from
	if refused := errors.Is(err, errUnauthorized); g.failures != nil && (refused || err == nil) {
		g.failures.checkedToken(from, sum, !refused)
	}
	return who, err
}

// checkToken asks whose Matrix token it is. Errors: errTokenRefused.
func (g *gate) checkToken(ctx context.Context, token string) (caller, error) {
	userID, err := g.tokens.CheckToken(ctx, token)
	if errors.Is(err, ErrMatrixTokenInvalid) {
		return caller{}, fmt.Errorf("%w: %w", errTokenRefused, err)
	}
	if err != nil {
		return caller{}, fmt.Errorf("check a Matrix token: %w", err)
	}
	if _, err := checkUserID(string(userID)); err != nil {
		return caller{}, errBadChecker
	}
	if strings.HasPrefix(token, openIDPrefix) {
		return caller{kind: byOpenID, userID: userID}, nil
	}
	return caller{kind: byMatrix, userID: userID}, nil
}

// checkLogin asks whose login link, or session of one, it is. Errors: errLinkRefused,
// errNotReady.
func (g *gate) checkLogin(ctx context.Context, token string) (caller, error) {
	if err := g.ready(); err != nil {
		return caller{}, err
	}
	return g.links.callerOf(ctx, token)
}

// close lets nobody in any more, and waits until nothing is under way. Errors: the
// context's.
func (g *gate) close(ctx context.Context) error {
	g.requests.group.stop()
	return errors.Join(g.checking.group.close(ctx), g.requests.group.close(ctx))
}
