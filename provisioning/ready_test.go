package provisioning_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// unready calls Ready, and returns the parts that can't be used.
func (b *bridge) unready(t *testing.T) map[string]error {
	t.Helper()
	err := b.provisioner.Ready(t.Context())
	if err == nil {
		return nil
	}
	fault, ok := errors.AsType[*provisioning.NotReadyError](err)
	if !ok {
		t.Fatalf("Ready returned %v, want a NotReadyError", err)
	}
	return fault.Parts
}

// wantUnready checks that Ready names these parts.
func (b *bridge) wantUnready(t *testing.T, want ...string) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(b.unready(t))); !slices.Equal(got, want) {
		t.Errorf("Ready says that %q can't be used, want %q", got, want)
	}
}

func TestReadyBetweenStartAndClose(t *testing.T) {
	b := newBridge(t, unstarted)
	b.wantUnready(t, "provisioner")
	if err := b.provisioner.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.wantUnready(t)
	b.close(t)
	b.wantUnready(t, "provisioner")
}

func TestReadyNamesTheParts(t *testing.T) {
	b := newBridge(t)
	b.users.Fail("Check", provisioning.ErrDatabase)
	b.wantUnready(t, "users")
	b.portals.Fail("Check", provisioning.ErrDatabase) // which are the tasks too
	b.rooms.Fail("Check", provisioning.ErrHomeserver)
	b.telegram.On("Check", func(context.Context) error { panic("boom") })
	b.wantUnready(t, "portals", "rooms", "tasks", "telegram", "users")
	err := b.provisioner.Ready(t.Context())
	if !errors.Is(err, provisioning.ErrDatabase) || !errors.Is(err, provisioning.ErrHomeserver) || errors.Is(err, provisioning.ErrTelegramUnavailable) {
		t.Errorf("Ready returned %v, which does not wrap what the parts say", err)
	}
	if text := err.Error(); !strings.HasPrefix(text, "not ready: portals: "+provisioning.ErrDatabase.Error()+"; rooms: ") {
		t.Errorf("Ready returned %q", text)
	}
}

// A part that is no Checker counts as one that can be used.
func TestReadyWithoutCheckers(t *testing.T) {
	b := newBridge(t, func(b *bridge, cfg *provisioning.Config) {
		cfg.Users = struct{ provisioning.UserStore }{b.users}
		cfg.Tasks, cfg.Rooms = nil, nil
	})
	b.users.Fail("Check", provisioning.ErrDatabase)
	b.wantUnready(t)
}

func TestReadyWaitsForTwoSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t)
		b.users.On("Check", deaf(time.Minute))
		b.rooms.On("Check", sleep(time.Minute))
		b.telegram.On("Check", sleep(time.Second))
		b.portals.On("Check", deaf(time.Minute))
		start := time.Now()
		b.wantUnready(t, "portals", "rooms", "tasks", "users")
		if took, want := time.Since(start), 2*time.Second+provisioning.Overdue; took != want {
			t.Errorf("Ready took %s, want %s", took, want)
		}
		advance(time.Minute) // until the deaf ones have returned
	})
}
