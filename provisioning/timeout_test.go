package provisioning

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// A timeout ends as the context of context.WithTimeout does, whoever looks and when.
func TestTimeout(t *testing.T) {
	type key struct{}
	for name, test := range map[string]struct {
		end  func(limited *timeout, hangUp context.CancelFunc)
		want error
	}{
		"the deadline passes":   {func(*timeout, context.CancelFunc) { <-time.After(time.Minute) }, context.DeadlineExceeded},
		"the request is worked": {func(limited *timeout, _ context.CancelFunc) { limited.end() }, context.Canceled},
		"the client hangs up":   {func(_ *timeout, hangUp context.CancelFunc) { hangUp() }, context.Canceled},
	} {
		for _, early := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				request, hangUp := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
				defer hangUp()
				limited := newTimeout(request, time.Now().Add(time.Minute), false)
				defer limited.end()
				child := context.Context(limited)
				if early {
					var cancel context.CancelFunc
					child, cancel = context.WithCancel(limited)
					defer cancel()
					if err := child.Err(); err != nil {
						t.Errorf("%s: %v at once", name, err)
					}
				}
				deadline, ok := limited.Deadline()
				if !ok || deadline != time.Now().Add(time.Minute) {
					t.Errorf("%s: deadline %v, %v", name, deadline, ok)
				}
				test.end(limited, hangUp)
				<-child.Done()
				<-limited.Done()
				if !errors.Is(child.Err(), test.want) || !errors.Is(limited.Err(), test.want) {
					t.Errorf("%s: got %v and %v", name, child.Err(), limited.Err())
				}
				if child.Value(key{}) != "value" {
					t.Errorf("%s: the request's values are lost", name)
				}
			})
		}
	}
}

// The request's own deadline counts where it is the earlier one.
func TestTimeoutOfAnEarlierDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		request, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		limited := newTimeout(request, time.Now().Add(time.Minute), false)
		defer limited.end()
		if deadline, ok := limited.Deadline(); !ok || deadline != time.Now().Add(time.Second) {
			t.Errorf("deadline %v, %v", deadline, ok)
		}
		<-limited.Done()
		if !errors.Is(limited.Err(), context.DeadlineExceeded) {
			t.Error(limited.Err())
		}
	})
}

// Whoever asks for the logger of a request gets the host's, with the request's ID.
func TestTimeoutHasTheLogger(t *testing.T) {
	var out strings.Builder
	host := zerolog.New(&out).With().Str("host", "yes").Logger()
	limited := newTimeout(t.Context(), time.Now().Add(time.Minute), false)
	defer limited.end()
	limited.log, limited.reqID = &host, "one"
	detached, cancel := context.WithTimeout(context.WithoutCancel(limited), time.Minute)
	defer cancel()
	for _, ctx := range []context.Context{limited, detached} {
		zerolog.Ctx(ctx).Info().Msg("said")
		if want := `{"level":"info","host":"yes","request_id":"one","message":"said"}` + "\n"; out.String() != want {
			t.Errorf("got %s", out.String())
		}
		out.Reset()
	}

	silent := zerolog.Nop()
	limited = newTimeout(t.Context(), time.Now().Add(time.Minute), false)
	defer limited.end()
	limited.log = &silent
	if level := zerolog.Ctx(limited).GetLevel(); level != zerolog.Disabled {
		t.Errorf("a host without a log has one of the level %s", level)
	}
}
