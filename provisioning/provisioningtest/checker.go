package provisioningtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// CheckerBackend is a part of a bridge for [TestChecker].
type CheckerBackend struct {
	// Checker is what is checked. It can be used.
	Checker provisioning.Checker
	// Away has what it needs be away, such as its database, until Back is called. Calls
	// that need it fail at once then.
	Away func()
	// Back, where it is set, has it be there again. Nil is a backend that can't do that.
	Back func()
	// Fault is the error that Check returns meanwhile: provisioning.ErrDatabase,
	// provisioning.ErrHomeserver or provisioning.ErrTelegramUnavailable.
	Fault error
}

// TestChecker runs every check of the interface provisioning.Checker as a subtest, each on a
// backend of its own.
func TestChecker(t *testing.T, backend func(t *testing.T) CheckerBackend) {
	runSuite(t, checkerChecks, backend)
}

var checkerChecks = []suiteCheck[CheckerBackend]{
	{"can be used", "Check returns nil when what the part needs can be used now.", checkUsable},
	{"away", "The errors are ErrDatabase, ErrHomeserver and ErrTelegramUnavailable.", checkAway},
	{"away again and again", "Check returns nil when what the part needs can be used now.", checkStillAway},
	{"back", "Check returns nil when what the part needs can be used now.", checkBack},
	{"concurrency", "Check is called concurrently.", checkConcurrent},
	{"context", "Check honours the context.", checkCheckContext},
}

func checkUsable(t T, b CheckerBackend) {
	for range 3 {
		if err := b.Checker.Check(t.Context()); err != nil {
			t.Errorf("Check of a part that can be used returned %v", err)
		}
	}
}

// expectFault calls Check, which has to return the backend's fault and no other.
func expectFault(t T, b CheckerBackend) {
	t.Helper()
	err := b.Checker.Check(t.Context())
	for _, fault := range []error{provisioning.ErrDatabase, provisioning.ErrHomeserver, provisioning.ErrTelegramUnavailable} {
		if is := errors.Is(err, fault); is != errors.Is(b.Fault, fault) {
			t.Errorf("Check returned %v; want an error that wraps %q alone", err, b.Fault)
		}
	}
}

func checkAway(t T, b CheckerBackend) {
	b.Away()
	expectFault(t, b)
}

func checkStillAway(t T, b CheckerBackend) {
	checkUsable(t, b)
	b.Away()
	for range 3 {
		expectFault(t, b)
	}
}

func checkBack(t T, b CheckerBackend) {
	if b.Back == nil {
		return
	}
	b.Away()
	expectFault(t, b)
	b.Back()
	checkUsable(t, b)
}

func checkConcurrent(t T, b CheckerBackend) {
	var mu sync.Mutex
	var faults []error
	call := func() {
		if err := b.Checker.Check(t.Context()); err != nil {
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, err)
		}
	}
	atOnce(call, call, call, call)
	if len(faults) > 0 {
		t.Errorf("concurrent calls of Check returned %v", faults)
	}
}

func checkCheckContext(t T, b CheckerBackend) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Checker.Check(ctx); err == nil {
		t.Errorf("Check returned no error though its context was cancelled")
	}
}
