package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/provisioning"
)

func TestTokensAreRemembered(t *testing.T) {
	for _, c := range []struct {
		token string
		keep  time.Duration
		want  error
		set   func(*auth.TokensConfig)
	}{
		{"alice-1", auth.DefaultTokenKeep, nil, func(*auth.TokensConfig) {}},
		{"openid:alice-1", auth.DefaultTokenKeep, nil, func(*auth.TokensConfig) {}},
		{"nobody", auth.DefaultTokenKeepInvalid, provisioning.ErrMatrixTokenInvalid, func(*auth.TokensConfig) {}},
		{"alice-1", time.Hour, nil, func(c *auth.TokensConfig) { c.Keep = time.Hour }},
		{"nobody", time.Second, provisioning.ErrMatrixTokenInvalid, func(c *auth.TokensConfig) { c.KeepInvalid = time.Second }},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &homeserver{}
			tokens := newTokens(t, h, c.set)
			check := func(asked int) {
				t.Helper()
				_, err := tokens.CheckToken(t.Context(), c.token)
				require.ErrorIs(t, err, c.want)
				assert.Equal(t, asked, h.calls(), c.token)
			}
			check(1)
			<-time.After(c.keep - 1) // and is not prolonged by being used
			check(1)
			<-time.After(1)
			check(2)
			// Revoked meanwhile, or valid meanwhile: the latest answer counts.
			h.takes(0, 401, `{"errcode":"M_UNKNOWN_TOKEN"}`)
			c.want = provisioning.ErrMatrixTokenInvalid
			<-time.After(c.keep)
			check(3)
			h.takes(0, 200, aliceSays)
			c.want = nil
			<-time.After(time.Hour)
			check(4)
		})
	}
}

// The same text as a token of either kind is two tokens.
func TestKindsAreRememberedApart(t *testing.T) {
	h := &homeserver{}
	tokens := newTokens(t, h)
	h.answers(func(r *http.Request) (int, string, error) {
		if r.URL.RawQuery != "" {
			return 401, `{"errcode":"M_UNKNOWN_TOKEN"}`, nil
		}
		return 200, aliceSays, nil
	})
	for range 2 {
		_, err := tokens.CheckToken(t.Context(), "alice-1")
		require.NoError(t, err)
		_, err = tokens.CheckToken(t.Context(), "openid:alice-1")
		require.ErrorIs(t, err, provisioning.ErrMatrixTokenInvalid)
	}
	assert.Equal(t, 2, h.calls())
}

// Of too many tokens the oldest are forgotten, and wrong ones push no valid one out.
func TestRememberedTokensAreBounded(t *testing.T) {
	h := &homeserver{}
	tokens := newTokens(t, h, func(c *auth.TokensConfig) { c.Remember = 3 })
	asks := func(token string) bool {
		before := h.calls()
		_, _ = tokens.CheckToken(t.Context(), token)
		return h.calls() > before
	}
	for i := range 3 {
		assert.True(t, asks(fmt.Sprint("alice-", i)))
	}
	for i := range 100 {
		assert.True(t, asks(fmt.Sprint("nobody", i)))
	}
	for i := range 3 {
		assert.False(t, asks(fmt.Sprint("alice-", i)), "%d", i)
	}
	assert.False(t, asks("nobody99"))
	assert.True(t, asks("nobody0"))
	assert.True(t, asks("alice-3"))
	assert.False(t, asks("alice-1"))
	assert.True(t, asks("alice-0"), "the oldest is forgotten")
	assert.True(t, asks("alice-1"))
	assert.False(t, asks("alice-3"))
}

// Many checks of a token at once are one question.
func TestOneQuestionForManyChecks(t *testing.T) {
	for _, c := range []struct {
		body   string
		status int
		want   error
	}{
		{aliceSays, 200, nil},
		{`{"errcode":"M_UNKNOWN_TOKEN"}`, 401, provisioning.ErrMatrixTokenInvalid},
		{"", 502, provisioning.ErrHomeserver},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &homeserver{}
			h.takes(time.Second, c.status, c.body)
			tokens := newTokens(t, h, func(cfg *auth.TokensConfig) { cfg.Checks, cfg.Waiting = 1, 100 })
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					userID, err := tokens.CheckToken(t.Context(), "alice-1")
					assert.ErrorIs(t, err, c.want)
					assert.Equal(t, c.want == nil, userID == alice)
				})
			}
			wg.Wait()
			assert.Equal(t, 1, h.calls())
		})
	}
}

// Whoever waits leaves when its own context ends, the first one too, and the others
// still get the answer.
func TestEachCheckHasItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &homeserver{}
		h.takes(5*time.Second, 200, aliceSays)
		tokens := newTokens(t, h)
		start := time.Now()
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := tokens.CheckToken(first, "alice-1")
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, time.Second, time.Since(start))
		})
		synctest.Wait()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := tokens.CheckToken(ctx, "alice-1")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 2*time.Second, time.Since(start))
		})
		wg.Go(func() {
			userID, err := tokens.CheckToken(t.Context(), "alice-1")
			assert.NoError(t, err)
			assert.Equal(t, alice, userID)
			assert.Equal(t, 5*time.Second, time.Since(start))
		})
		<-time.After(time.Second)
		cancel()
		wg.Wait()
		assert.Equal(t, 1, h.calls())
	})
}

// A homeserver that does not answer holds up so many questions, each for the timeout;
// what is known, and every further question, is answered at once.
func TestSlowHomeserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &homeserver{}
		tokens := newTokens(t, h, func(c *auth.TokensConfig) { c.Checks = 4; c.Timeout = 3 * time.Second })
		_, err := tokens.CheckToken(t.Context(), "alice-known")
		require.NoError(t, err)
		h.takes(time.Hour, 200, aliceSays)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				_, err := tokens.CheckToken(t.Context(), fmt.Sprint("alice-", i))
				assert.ErrorIs(t, err, provisioning.ErrHomeserver)
				assert.NotErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, 3*time.Second, time.Since(start))
			})
		}
		synctest.Wait()
		for i := range 16 {
			wg.Go(func() {
				_, err := tokens.CheckToken(t.Context(), fmt.Sprint("carol-", i))
				assert.ErrorIs(t, err, provisioning.ErrOverloaded)
				assert.Equal(t, 2*time.Second, time.Since(start))
			})
		}
		synctest.Wait()
		for i := range 10 {
			_, err := tokens.CheckToken(t.Context(), fmt.Sprint("bob-", i))
			require.ErrorIs(t, err, provisioning.ErrOverloaded)
			require.NotErrorIs(t, err, provisioning.ErrHomeserver)
		}
		_, err = tokens.CheckToken(t.Context(), "alice-known")
		require.NoError(t, err)
		assert.Zero(t, time.Since(start))
		wg.Wait()
		assert.Equal(t, 5, h.calls())
		h.answers(nil)
		for i := range 4 {
			_, err := tokens.CheckToken(t.Context(), fmt.Sprint("alice-", i))
			require.NoError(t, err, "a place is free again")
		}
	})
}

// Clients that send one wrong token after the other, while the homeserver is slow, stop nobody
// else.
func TestWrongTokensOfOthers(t *testing.T) {
	for _, clients := range []int{1, 48} {
		synctest.Test(t, func(t *testing.T) {
			h := &homeserver{}
			tokens := newTokens(t, h)
			h.answers(func(r *http.Request) (int, string, error) {
				<-time.After(400 * time.Millisecond)
				if strings.Contains(r.Header.Get("Authorization"), "nobody") {
					return http.StatusUnauthorized, `{"errcode":"M_UNKNOWN_TOKEN"}`, nil
				}
				return http.StatusOK, aliceSays, nil
			})
			var over atomic.Bool
			var wg sync.WaitGroup
			for i := range 48 {
				wg.Go(func() {
					client := provisioning.WithClient(t.Context(), fmt.Sprint("attacker-", i%clients))
					for n := 0; !over.Load(); n++ {
						_, err := tokens.CheckToken(client, fmt.Sprintf("nobody%d-%d", i, n))
						if errors.Is(err, provisioning.ErrOverloaded) {
							<-time.After(time.Millisecond)
						}
					}
				})
			}
			<-time.After(time.Second)
			succeeded := 0
			for n := range 100 {
				_, err := tokens.CheckToken(provisioning.WithClient(t.Context(), "honest"), fmt.Sprint("alice-", n))
				if err == nil {
					succeeded++
				}
			}
			assert.GreaterOrEqual(t, succeeded, 90, "%d clients", clients)
			over.Store(true)
			wg.Wait()
		})
	}
}

// Of the checks of one token so many wait, and no more; those of other tokens, and what
// is known, are not held up by it.
func TestWaitingIsBounded(t *testing.T) {
	for given, waiting := range map[int]int{0: auth.DefaultTokenWaiting, 1: 1, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			h := &homeserver{}
			tokens := newTokens(t, h, func(c *auth.TokensConfig) { c.Waiting = given })
			_, err := tokens.CheckToken(t.Context(), "alice-known")
			require.NoError(t, err)
			h.takes(time.Second, 200, aliceSays)
			start := time.Now()
			var wg sync.WaitGroup
			for range waiting - 1 {
				wg.Go(func() {
					_, err := tokens.CheckToken(t.Context(), "alice-1")
					assert.NoError(t, err)
				})
			}
			hasty, hangUp := context.WithCancel(t.Context())
			wg.Go(func() {
				_, err := tokens.CheckToken(hasty, "alice-1")
				assert.ErrorIs(t, err, context.Canceled)
			})
			synctest.Wait()
			for range 3 {
				_, err := tokens.CheckToken(t.Context(), "alice-1")
				require.ErrorIs(t, err, provisioning.ErrOverloaded)
				require.NotContains(t, err.Error(), "alice-1")
			}
			_, err = tokens.CheckToken(t.Context(), "alice-known")
			require.NoError(t, err)
			assert.Zero(t, time.Since(start))
			hangUp() // whose place is free again
			synctest.Wait()
			wg.Go(func() {
				_, err := tokens.CheckToken(t.Context(), "alice-1")
				assert.NoError(t, err)
			})
			wg.Go(func() {
				_, err := tokens.CheckToken(t.Context(), "alice-2")
				assert.NoError(t, err)
			})
			wg.Wait()
			assert.Equal(t, time.Second, time.Since(start))
			assert.Equal(t, 3, h.calls())
			_, err = tokens.CheckToken(t.Context(), "alice-1")
			require.NoError(t, err)
		})
	}
}

// Many tokens at once, for the race detector.
func TestTokensAtOnce(t *testing.T) {
	h := &homeserver{}
	tokens := newTokens(t, h, func(c *auth.TokensConfig) { c.Remember = 5; c.Keep = time.Microsecond; c.Checks, c.Waiting = 100, 100 })
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			for j := range 20 {
				user := id.UserID(fmt.Sprintf("@user%d:example.com", (i+j)%10))
				userID, err := tokens.CheckToken(t.Context(), user.Localpart()+"-1")
				assert.NoError(t, err)
				assert.Equal(t, user, userID)
				_, err = tokens.CheckToken(t.Context(), fmt.Sprint("nobody", (i+j)%10))
				assert.ErrorIs(t, err, provisioning.ErrMatrixTokenInvalid)
			}
		})
	}
	wg.Wait()
}
