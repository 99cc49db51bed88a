package auth_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

func TestTokensSuite(t *testing.T) {
	t.Parallel()
	t.Run("both kinds", func(t *testing.T) {
		provisioningtest.TestTokenChecker(t, func(t *testing.T) provisioningtest.TokensBackend { return tokensBackend(t, true, true) })
	})
	t.Run("access tokens", func(t *testing.T) {
		provisioningtest.TestTokenChecker(t, func(t *testing.T) provisioningtest.TokensBackend { return tokensBackend(t, true, false) })
	})
	t.Run("OpenID tokens", func(t *testing.T) {
		provisioningtest.TestTokenChecker(t, func(t *testing.T) provisioningtest.TokensBackend { return tokensBackend(t, false, true) })
	})
}

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// startHomeserver starts a homeserver in memory.
func startHomeserver(t *testing.T, name string) *matrixtest.Server {
	t.Helper()
	hs, err := matrixtest.Start(matrixtest.Config{ServerName: name})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, hs.Close()) })
	return hs
}

// tokensBackend is a homeserver in memory, and Tokens of some kinds that ask it. Another
// homeserver answers for the tokens of its own users.
func tokensBackend(t *testing.T, accessTokens, openID bool) provisioningtest.TokensBackend {
	t.Helper()
	hs, other := startHomeserver(t, "example.com"), startHomeserver(t, "example.org")
	foreign, err := other.AddUser("alice")
	require.NoError(t, err)
	foreignOpenID, err := foreign.RequestOpenIDToken(t.Context())
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	network := &provisioningtest.Network{Next: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") == "Bearer "+foreign.AccessToken || r.URL.Query().Get("access_token") == foreignOpenID.AccessToken {
			address, err := url.Parse(other.URL())
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.URL.Host = address.Host
		}
		return transport.RoundTrip(r)
	})}
	b := provisioningtest.TokensBackend{
		Checker: newTokens(t, network, func(c *auth.TokensConfig) {
			c.Homeserver, c.AccessTokens, c.OpenID = hs.URL(), accessTokens, openID
			c.Keep, c.KeepInvalid = 1, 1 // ns
		}),
		Revoke: func(_ context.Context, token string) error {
			hs.RevokeToken(strings.TrimPrefix(token, "openid:"))
			return nil
		},
		Disturb: network.Disturb,
	}
	if openID {
		b.OpenID = func(ctx context.Context, localpart string) (string, id.UserID, error) {
			client, err := hs.AddUser(localpart)
			if err != nil {
				return "", "", err
			}
			token, err := client.RequestOpenIDToken(ctx)
			if err != nil {
				return "", "", err
			}
			return openIDToken(token), client.UserID, nil
		}
		b.Foreign = func(context.Context) (string, error) { return openIDToken(foreignOpenID), nil }
	}
	if accessTokens {
		b.AccessToken = func(_ context.Context, localpart string) (string, id.UserID, error) {
			client, err := hs.AddUser(localpart)
			if err != nil {
				return "", "", err
			}
			return client.AccessToken, client.UserID, nil
		}
		b.Foreign = func(context.Context) (string, error) { return foreign.AccessToken, nil }
	}
	return b
}
