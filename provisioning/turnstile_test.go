package provisioning_test

import (
	"context"
	"net/http"
	"testing"
)

// turnstile holds requests, and lets them go one by one.
type turnstile struct {
	*bridge
	entered chan struct{}
	next    chan struct{}
	answers chan answer
}

// holdUsers has every request about a user wait where the user is looked up.
func holdUsers(t testing.TB, b *bridge) *turnstile {
	s := &turnstile{bridge: b, entered: make(chan struct{}), next: make(chan struct{}), answers: make(chan answer, 10_000)}
	b.users.On("User", s.wait)
	t.Cleanup(func() { close(s.next) })
	return s
}

// wait gives up at the end of the request, so that one that nobody expects fails a test
// and does not hang it.
func (s *turnstile) wait(ctx context.Context) error {
	select {
	case s.entered <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-s.next:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin sends a request, which has to come to the turnstile.
func (s *turnstile) begin(t *testing.T, r *http.Request) {
	t.Helper()
	go func() { s.answers <- s.send(t, r) }()
	select {
	case <-s.entered:
	case a := <-s.answers:
		t.Fatalf("%s %s was not let in: %d %s", r.Method, r.URL, a.status, a.body)
	}
}

// finish lets one request go, and returns its answer.
func (s *turnstile) finish() answer {
	select {
	case s.next <- struct{}{}:
		return <-s.answers
	case a := <-s.answers:
		return a
	}
}

func (s *turnstile) wantUnderWay(t *testing.T, want ...int) {
	t.Helper()
	if got := s.provisioner.UnderWay(); got != [4]int(want) {
		t.Errorf("requests, checks, WebSockets and users that are counted: %v, want %v", got, want)
	}
}
