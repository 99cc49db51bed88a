package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"
)

// TokenChecker tells whose Matrix tokens are. With one in [Config.Tokens], people call
// the API for themselves, without the shared secret. Package auth has one that asks the
// homeserver.
//
// CheckToken is called by many goroutines at once, for every request whose credential is
// not the shared secret: wrong ones as well, and any token again and again, so that
// implementations remember answers for a while.
type TokenChecker interface {
	// CheckToken returns the user of a token, which is what stood after "Bearer ": never
	// empty, and otherwise anything. By convention one that begins with "openid:" is an
	// OpenID token, and any other an access token. Errors: [ErrMatrixTokenInvalid] for a token
	// that is nobody's, not valid any more, or that of a user who may not call; only these
	// count for [Config.FailureLimit]. [ErrHomeserver] when that can't be said now, and
	// [ErrOverloaded] when too many others are being checked. Their texts reach the log,
	// and so never hold the token.
	//
	// It honours the context, which ends with the request's deadline.
	CheckToken(ctx context.Context, token string) (id.UserID, error)
}

// callerKind is how a caller has proven who they are, as access lines name it.
type callerKind string

const (
	bySecret callerKind = "secret"
	byMatrix callerKind = "matrix" // access token
	byOpenID callerKind = "openid"
)

// caller is who has sent a request. The zero value may nothing.
type caller struct {
	kind callerKind
	// userID is the Matrix user, "" for the shared secret.
	userID id.UserID
}

// trusted callers act for everybody.
func (c caller) trusted() bool { return c.kind == bySecret }

var errBadChecker = errors.New("the TokenChecker returned neither a Matrix user ID nor an error")

// callerOf returns whose token it is. Errors: errTokenRefused, errClosed, ErrOverloaded,
// and others that say nothing of the token.
func (p *Provisioner) callerOf(ctx context.Context, token string) (caller, error) {
	if err := p.checking.enter(); err != nil {
		return caller{}, err
	}
	defer p.checking.leave("")
	userID, err := p.tokens.CheckToken(ctx, token)
	if errors.Is(err, ErrMatrixTokenInvalid) {
		return caller{}, fmt.Errorf("%w: %w", errTokenRefused, err)
	}
	if err != nil {
		return caller{}, fmt.Errorf("check a Matrix token: %w", err)
	}
	if _, err := checkUserID(string(userID)); err != nil {
		return caller{}, errBadChecker
	}
	if strings.HasPrefix(token, "openid:") {
		return caller{byOpenID, userID}, nil
	}
	return caller{byMatrix, userID}, nil
}

// callerLevel looks the level of a Matrix caller up.
func (p *Provisioner) callerLevel(ctx context.Context, c *call) (Permission, error) {
	user, err := p.users.User(ctx, c.caller.userID)
	switch {
	case errors.Is(err, ErrMatrixUserRefused):
		return PermissionNone, nil
	case err != nil:
		return PermissionNone, fmt.Errorf("look up the caller: %w", err)
	}
	return user.Permission, nil
}

// checkCaller checks that a Matrix caller has the level that the route asks of them.
// Errors: errCallerLevel.
func (p *Provisioner) checkCaller(ctx context.Context, c *call) error {
	if c.caller.trusted() || c.rt.callerNeed == PermissionNone {
		return nil
	}
	level, err := p.callerLevel(ctx, c)
	if err == nil && level < c.rt.callerNeed {
		return errCallerLevel
	}
	return err
}

// mayActFor returns nil when the caller may name a user: trusted callers and admins any,
// others themselves. Errors: errNotYourself.
func (p *Provisioner) mayActFor(ctx context.Context, c *call, userID id.UserID) error {
	if c.caller.trusted() || userID == c.caller.userID {
		return nil
	}
	level, err := p.callerLevel(ctx, c)
	if err == nil && level < PermissionAdmin {
		return errNotYourself
	}
	return err
}
