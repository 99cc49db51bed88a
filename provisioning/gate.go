package provisioning

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"
)

// gate says who calls, for whom they may call, what they may do, and how much at once.
type gate struct {
	secret   [sha256.Size]byte
	tokens   TokenChecker // nil where only the secret authorises
	failures *failures    // nil where wrong secrets are not limited
	users    UserReader
	rooms    Rooms

	requests hall // authorised ones
	checking hall // those whose tokens are being checked
	perUser  int  // how many requests may be one user's
}

func newGate(cfg Config) *gate {
	maxRequests, perUser := maxRequestsOf(cfg)
	return &gate{
		secret:   sha256.Sum256([]byte(cfg.Secret)),
		tokens:   cfg.Tokens,
		failures: newFailures(cfg.FailureLimit),
		users:    cfg.Users,
		rooms:    cfg.Rooms,
		requests: newHall(maxRequests, reserved(maxRequests), errRequestsFull),
		checking: newHall(maxRequests, 0, errChecksFull),
		perUser:  perUser,
	}
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
	// from is where a Matrix user calls from.
	from address
}

// trusted callers act for everybody.
func (c caller) trusted() bool { return c.kind == bySecret }

// authorise returns who sends a credential: somebody with the shared secret, or the user of a
// Matrix token. The right secret always passes. from returns the address that it comes from,
// and is asked where that matters. Errors: errUnauthorized, errTooManyGuesses, and those of
// callerOf.
func (g *gate) authorise(ctx context.Context, credential string, from func() address) (who caller, err error) {
	if credential == "" {
		return caller{}, errUnauthorized
	}
	sum := sha256.Sum256([]byte(credential))
	if g.isSecret(sum) {
		return caller{kind: bySecret}, nil
	}
	if g.tokens == nil {
		if g.failures == nil {
			return caller{}, errUnauthorized
		}
		return caller{}, g.failures.wrongSecret(from())
	}
	return g.callerOf(ctx, credential, sum, from())
}

// isSecret compares hashes, in time that depends on neither secret.
func (g *gate) isSecret(given [sha256.Size]byte) bool {
	return subtle.ConstantTimeCompare(given[:], g.secret[:]) == 1
}

var errBadChecker = errors.New("the TokenChecker returned neither a Matrix user ID nor an error")

// callerOf returns whose token it is. Errors: errTokenRefused, errTooManyGuesses, errClosed,
// ErrOverloaded, and others that say nothing of the token.
func (g *gate) callerOf(ctx context.Context, token string, sum guess, from address) (who caller, err error) {
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
	who, err = g.checkToken(withClient(ctx, from), token)
	who.from = from
	if refused := errors.Is(err, errTokenRefused); g.failures != nil && (refused || err == nil) {
		g.failures.checkedToken(from, sum, !refused)
	}
	return who, err
}

// checkToken asks whose token it is.
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
	if strings.HasPrefix(token, "openid:") {
		return caller{kind: byOpenID, userID: userID}, nil
	}
	return caller{kind: byMatrix, userID: userID}, nil
}

// checkCaller checks that a Matrix caller has a level. Errors: errCallerLevel.
func (g *gate) checkCaller(ctx context.Context, who caller, need Permission) error {
	if who.trusted() || need == PermissionNone {
		return nil
	}
	level, err := g.callerLevel(ctx, who)
	if err == nil && level < need {
		return errCallerLevel
	}
	return err
}

// checkNamed checks that a caller may name a user: trusted callers and admins any, others
// themselves. Errors: errNotYourself.
func (g *gate) checkNamed(ctx context.Context, who caller, userID id.UserID) error {
	if who.trusted() || userID == who.userID {
		return nil
	}
	level, err := g.callerLevel(ctx, who)
	if err == nil && level < PermissionAdmin {
		return errNotYourself
	}
	return err
}

// callerLevel looks the level of a Matrix caller up.
func (g *gate) callerLevel(ctx context.Context, who caller) (Permission, error) {
	user, err := g.users.User(ctx, who.userID)
	switch {
	case errors.Is(err, ErrMatrixUserRefused):
		return PermissionNone, nil
	case err != nil:
		return PermissionNone, fmt.Errorf("look up the caller: %w", err)
	}
	return user.Permission, nil
}

// checkUser fills in the user that an operation is about, and checks their level. Errors:
// errNotWhitelisted, ErrMatrixUserRefused.
func (g *gate) checkUser(ctx context.Context, op *operation) (err error) {
	if op.user, err = g.users.User(ctx, op.userID); err != nil {
		return fmt.Errorf("look up the user: %w", err)
	}
	if op.user.Permission < op.rt.need {
		return errNotWhitelisted
	}
	return nil
}

// checkAsker fills in the user who asks, and checks their level, if there is one. Errors:
// errNoPower.
func (g *gate) checkAsker(ctx context.Context, op *operation) (err error) {
	if op.unnamed() {
		return nil
	}
	op.user, err = g.users.User(ctx, op.userID)
	if errors.Is(err, ErrMatrixUserRefused) {
		op.user, err = User{}, nil
	}
	if err != nil {
		return fmt.Errorf("look up the user: %w", err)
	}
	if op.user.Permission < op.rt.askerNeed {
		return errNoPower
	}
	return nil
}

// mayBridge returns nil when the bridge bot is in the room and the user who asks, if there
// is one, may bridge it. Errors: ErrBridgeBotNotInRoom, errNoPower.
func (g *gate) mayBridge(ctx context.Context, op *operation) error {
	if !op.unrestricted() {
		return g.checkPower(ctx, op, op.roomID, bridgeEvent)
	}
	if err := g.rooms.CheckBot(ctx, op.roomID); err != nil {
		return fmt.Errorf("look for the bridge bot: %w", err)
	}
	return nil
}

// mayUnbridge returns nil when the user who asks, if there is one, may end the portal of a
// room. In one that the bridge bot is not in, nobody below the level admin can show any
// power. Errors: errNoPower, ErrBridgeBotNotInRoom.
func (g *gate) mayUnbridge(ctx context.Context, op *operation, roomID id.RoomID) error {
	if !op.unnamed() && op.user.Permission < PermissionUser {
		return errNoPower
	}
	return g.checkPower(ctx, op, roomID, unbridgeEvent)
}

// checkPower returns nil when the user who asks may send a state event of a type in a room,
// has the level admin, or is not named. Errors: errNoPower, ErrBridgeBotNotInRoom.
func (g *gate) checkPower(ctx context.Context, op *operation, roomID id.RoomID, eventType string) error {
	if op.unrestricted() {
		return nil
	}
	has, err := g.rooms.HasPower(ctx, roomID, op.userID, eventType)
	switch {
	case err != nil:
		return fmt.Errorf("ask for a user's power: %w", err)
	case !has:
		return errNoPower
	}
	return nil
}

// close lets nobody in any more, and waits until nothing is under way. Errors: the
// context's.
func (g *gate) close(ctx context.Context) error {
	g.requests.group.stop()
	return errors.Join(g.checking.group.close(ctx), g.requests.group.close(ctx))
}
