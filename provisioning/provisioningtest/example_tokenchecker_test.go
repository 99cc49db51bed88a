package provisioningtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// tokenChecker is a provisioning.TokenChecker that takes access tokens and asks the
// homeserver whose they are, each time. A real one remembers the answers for a while.
type tokenChecker struct {
	homeserver string
	http       *http.Client
}

// CheckToken implements provisioning.TokenChecker.
func (c tokenChecker) CheckToken(ctx context.Context, token string) (id.UserID, error) {
	for _, char := range []byte(token) {
		if char <= ' ' || char > '~' {
			return "", provisioning.ErrMatrixTokenInvalid // no header can hold it
		}
	}
	if strings.HasPrefix(token, "openid:") {
		return "", provisioning.ErrMatrixTokenInvalid // of a kind that is not taken here
	}
	client, err := mautrix.NewClient(c.homeserver, "", token)
	if err != nil {
		return "", fmt.Errorf("%w: its address can't be used", provisioning.ErrHomeserver)
	}
	client.Client, client.DefaultHTTPRetries = c.http, 0
	me, err := client.Whoami(ctx)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, mautrix.MUnknownToken):
		return "", provisioning.ErrMatrixTokenInvalid
	case err != nil:
		return "", fmt.Errorf("%w: %w", provisioning.ErrHomeserver, err)
	}
	return me.UserID, nil
}

// tokensBackend is a homeserver in memory that issues tokens, and the checker, whose
// requests the suite disturbs.
func tokensBackend(t *testing.T) provisioningtest.TokensBackend {
	homeserver, err := matrixtest.Start(matrixtest.Config{ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { homeserver.Close() })
	network := &provisioningtest.Network{}
	return provisioningtest.TokensBackend{
		Checker: tokenChecker{homeserver.URL(), &http.Client{Transport: network}},
		AccessToken: func(_ context.Context, localpart string) (string, id.UserID, error) {
			user, err := homeserver.AddUser(localpart)
			if err != nil {
				return "", "", err
			}
			return user.AccessToken, user.UserID, nil
		},
		Revoke: func(_ context.Context, token string) error {
			homeserver.RevokeToken(token)
			return nil
		},
		Disturb: network.Disturb,
	}
}

// A bridge that checks Matrix tokens itself writes a TokenChecker, and a test function that
// runs the suite on it, with a homeserver that issues tokens.
func ExampleTestTokenChecker() {
	var t *testing.T // the one of: func TestTokenChecker(t *testing.T)

	provisioningtest.TestTokenChecker(t, tokensBackend)
}
