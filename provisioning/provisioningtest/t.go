package provisioningtest

import (
	"context"
	"fmt"
	"testing"
)

// T is what the checks of a suite need of a *testing.T.
type T interface {
	// Helper marks the caller as a test helper.
	Helper()
	// Errorf records a failure and goes on.
	Errorf(format string, args ...any)
	// Fatalf records a failure and ends the check.
	Fatalf(format string, args ...any)
	// Context ends when the check does.
	Context() context.Context
}

var _ T = (*testing.T)(nil)

// explained adds to every failure which promise of an interface is broken.
type explained struct {
	T
	explanation string
}

func (e explained) Errorf(format string, args ...any) {
	e.Helper()
	e.T.Errorf("%s\nThe interface promises: %s", fmt.Sprintf(format, args...), e.explanation)
}

func (e explained) Fatalf(format string, args ...any) {
	e.Helper()
	e.T.Fatalf("%s\nThe interface promises: %s", fmt.Sprintf(format, args...), e.explanation)
}
