package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning/client"
)

// doer is an HTTP client.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// asks is an HTTP client that calls a handler, without a network.
func asks(handler http.Handler) doer {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result(), nil
	}
}

// A bridge that is starting, and a Telegram that wants a pause: the steps are made again, each
// once it may be, in whichever order the options are.
func TestRetries(t *testing.T) {
	for name, order := range map[string]func(a, b client.ClientOption) []client.ClientOption{
		"retries first": func(retries, doer client.ClientOption) []client.ClientOption {
			return []client.ClientOption{retries, doer}
		},
		"retries last": func(retries, doer client.ClientOption) []client.ClientOption {
			return []client.ClientOption{doer, retries}
		},
		"retries twice": func(retries, doer client.ClientOption) []client.ClientOption {
			return []client.ClientOption{client.WithRetries(0), doer, retries}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, telegram := bridge(t)
				api, err := client.New("http://bridge", secret, order(client.WithRetries(time.Minute), client.WithHTTPClient(asks(p.Handler(""))))...)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				time.AfterFunc(7*time.Second, func() {
					if err := p.Start(context.Background()); err != nil {
						t.Error(err)
					}
				})
				defer p.Close(context.Background())
				login, err := api.LoginRequestCode(t.Context(), alice, "+15550100")
				if err != nil || login.State != client.LoginStateCode || time.Since(start) != 10*time.Second {
					t.Errorf("a bridge that is starting: after %s %+v, %v", time.Since(start), login, err)
				}

				telegram.SetError(420, "FLOOD_WAIT_60")
				time.AfterFunc(time.Second, func() { telegram.SetError(0, "") })
				start = time.Now()
				login, err = api.LoginCode(t.Context(), alice, "01234")
				if err != nil || login.State != client.LoginStatePassword || time.Since(start) != time.Minute {
					t.Errorf("a pause: after %s %+v, %v", time.Since(start), login, err)
				}
			})
		})
	}
}

// What would wait too long, or in vain, is not waited for.
func TestRetriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := bridge(t) // which is never started, and wants 5 seconds each time
		defer p.Close(context.Background())
		tries := 0
		ask := asks(p.Handler(""))
		api, err := client.New("http://bridge", secret, client.WithHTTPClient(doer(func(r *http.Request) (*http.Response, error) {
			tries++
			return ask(r)
		})), client.WithRetries(time.Hour), client.WithRetries(12*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("the user is gone")
		cancelled, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(15*time.Second, func() { cancel(gone) })
		short, end := context.WithTimeout(t.Context(), 14*time.Second)
		defer end()
		for _, c := range []struct {
			name  string
			ctx   context.Context
			tries int
			takes time.Duration
			cause error
		}{
			{"the total", t.Context(), 3, 10 * time.Second, nil},
			{"the deadline", short, 1, 0, nil},
			{"the end", cancelled, 2, 5 * time.Second, gone},
		} {
			tries = 0
			start := time.Now()
			_, err := api.LoginRequestCode(c.ctx, alice, "+15550100")
			fault, ok := errors.AsType[*client.Error](err)
			if c.cause == nil && (!ok || fault.Errcode != "not_ready" || *fault.RetryAfter != 5) || !errors.Is(err, c.cause) && c.cause != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if tries != c.tries || time.Since(start) != c.takes {
				t.Errorf("%s: %d tries in %s", c.name, tries, time.Since(start))
			}
		}
	})
}

// What may have been done is not done again.
func TestNotRetried(t *testing.T) {
	const refusal = `{"errcode": "overloaded", "error": "The bridge is busy."}`
	readable, once := strings.NewReader("{}"), io.MultiReader(strings.NewReader("{}"))
	for name, c := range map[string]struct {
		status     int
		retryAfter string
		answer     string
		body       io.Reader
	}{
		"another status":         {500, "5", refusal, readable},
		"no pause":               {503, "", refusal, readable},
		"a date":                 {503, "Fri, 31 Dec 1999 23:59:59 GMT", refusal, readable},
		"a negative pause":       {429, "-5", refusal, readable},
		"no number":              {429, "99999999999999999999", refusal, readable},
		"a proxy":                {503, "5", "<h1>Service Unavailable</h1>", readable},
		"a proxy with JSON":      {503, "5", `{"error": "unavailable"}`, readable},
		"a body to be read once": {503, "5", refusal, once},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				api, err := client.New("http://bridge", secret, client.WithRetries(time.Minute), client.WithHTTPClient(asks(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					tries++
					w.Header().Set("Retry-After", c.retryAfter)
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.answer)
				}))))
				if err != nil {
					t.Fatal(err)
				}
				answer, err := api.PostLoginPhoneWithBodyWithResponse(t.Context(), alice, "application/json", c.body)
				if err != nil || tries != 1 || string(answer.Body) != c.answer {
					t.Errorf("%d tries, %+v, %v", tries, answer, err)
				}
			})
		})
	}
}
