package provisioningtest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestNetwork(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = io.WriteString(w, "hello")
	}))
	defer server.Close()
	network := &Network{}
	client := &http.Client{Transport: network}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	// post returns what the server has answered.
	post := func(ctx context.Context) (int, string, error) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/nothing", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return response.StatusCode, string(body), err
	}
	want := func(status int, text string) {
		t.Helper()
		if gotStatus, got, err := post(t.Context()); err != nil || gotStatus != status || got != text {
			t.Errorf("the answer is %d %q, %v; want %d %q", gotStatus, got, err, status, text)
		}
	}
	want(200, "hello")
	network.Disturb(func(context.Context) error { return nil })
	want(200, "hello")
	network.Disturb(func(context.Context) error { return StatusError{403, "M_FORBIDDEN"} })
	want(403, `{"errcode":"M_FORBIDDEN","error":"a fault on demand"}`)

	// An implementation can't tell the suite's error from any other.
	network.Disturb(func(context.Context) error { return provisioning.ErrHomeserver })
	if _, _, err := post(t.Context()); err == nil || errors.Is(err, provisioning.ErrHomeserver) {
		t.Errorf("a homeserver that is away: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	network.Disturb(func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return errors.New("too late")
	})
	if _, _, err := post(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled request: %v", err)
	}
	network.Disturb(nil)
	want(200, "hello")
	if asked != 3 {
		t.Errorf("the server was asked %d times, want 3", asked)
	}
	network.Next = http.NewFileTransport(http.Dir(t.TempDir()))
	want(404, "404 page not found\n")
}

// The optional interfaces are those of the Rooms that is given.
func TestSuitesOfOtherInterfaces(t *testing.T) {
	h := newMemHomeserver()
	b := h.backend(struct{ provisioning.Rooms }{h.MemRooms})
	for _, check := range []suiteCheck[RoomsBackend]{directRoomsChecks[0], ghostAvatarsChecks[0]} {
		failures := record(t, func(t T) { check.run(t, b) })
		if len(failures) != 1 || !strings.Contains(failures[0], "does not implement provisioning.") {
			t.Errorf("the check %q of a Rooms without the interface: %q", check.name, failures)
		}
	}
	tokens := tokensWorld{}
	if failures := record(t, func(t T) {
		tokens.T = t
		tokens.issuers()
	}); len(failures) != 1 {
		t.Errorf("a backend without tokens: %q", failures)
	}
}
