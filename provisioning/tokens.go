package provisioning

import (
	"context"

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
