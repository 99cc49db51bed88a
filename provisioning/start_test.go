package provisioning_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// unstarted leaves out Start.
func unstarted(b *bridge, _ *provisioning.Config) { b.unstarted = true }

// New starts nothing: requests are refused, and tasks stay where they are, until Start.
func TestStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, unstarted, withRelay)
		if err := b.portals.AddTasks(t.Context(), provisioning.NewTask{ID: "left", Kind: "event", Data: "{}"}); err != nil {
			t.Fatal(err)
		}
		b.call(t, http.MethodGet, "/bridge", "").want(t, 503, "not_ready")
		b.call(t, http.MethodGet, "/nope", "").want(t, 503, "not_ready")
		r := newRequest(http.MethodGet, "/bridge", "")
		r.Header.Set("Authorization", "Bearer "+wrongSecret)
		b.send(t, r).want(t, 401, "shared_secret_invalid")
		advance(time.Hour)
		if b.portals.Calls("TakeTasks") != 0 || b.users.Calls("User") != 0 {
			t.Error("something was done before Start")
		}
		if err := b.provisioner.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.wantNoTasks(t)
		b.call(t, http.MethodGet, "/bridge", "").want(t, 200, "")
		if err := b.provisioner.Start(t.Context()); err == nil {
			t.Error("it could be started twice")
		}
		b.close(t)
		if err := b.provisioner.Start(t.Context()); err == nil {
			t.Error("it could be started after Close")
		}
	})
}

// What was never started can be closed, and not be started after that.
func TestCloseBeforeStart(t *testing.T) {
	b := newBridge(t, unstarted)
	b.close(t)
	if err := b.provisioner.Start(t.Context()); err == nil {
		t.Error("it could be started after Close")
	}
	b.call(t, http.MethodGet, "/bridge", "").want(t, 503, "not_ready")
}

type startKey struct{}

// Background work has the values of Start's context, and ends with it.
func TestStartContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, unstarted, withRelay)
		var seen any
		ended := make(chan error, 1)
		b.rooms.On("SetUpPortal", func(ctx context.Context) error {
			seen = ctx.Value(startKey{})
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), startKey{}, "host"))
		defer cancel()
		if err := b.provisioner.Start(ctx); err != nil {
			t.Fatal(err)
		}
		b.post(t, connectPath, 202)
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) || seen != "host" {
			t.Errorf("the work ended with %v, the value is %v", err, seen)
		}
		b.close(t)
		if len(b.portals.Tasks()) != 1 {
			t.Errorf("the tasks are %v, want the one that was stopped", b.portals.Tasks())
		}
	})
}

// Handler serves what Mount does, on a server without a gorilla/mux router.
func TestHandler(t *testing.T) {
	for _, given := range []string{prefix, prefix + "/"} {
		b := newBridge(t)
		server := http.NewServeMux()
		server.Handle(prefix+"/v1/", b.provisioner.Handler(given))
		b.handler = server
		b.call(t, http.MethodGet, "/user/@alice:example.com", "").want(t, 200, "")
		b.call(t, http.MethodGet, "/user/@al%2Fice:example.com", "").want(t, 200, "")
		b.call(t, http.MethodGet, "/portal/%21room%3Aexample.com", "").want(t, 404, "portal_not_found")
		b.call(t, http.MethodPut, "/bridge", "").want(t, 405, "unhandled_http_405")
		b.call(t, http.MethodGet, "/nope", "").want(t, 404, "unhandled_http_404")
	}
	b := newBridge(t)
	r := httptest.NewRequest(http.MethodGet, "/elsewhere/bridge", nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	b.handler = b.provisioner.Handler(prefix)
	b.send(t, r).want(t, 404, "unhandled_http_404")
}
