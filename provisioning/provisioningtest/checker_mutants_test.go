package provisioningtest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// newMemChecker returns a fake as a backend.
func newMemChecker() CheckerBackend {
	s := NewMemUserStore(nil)
	return CheckerBackend{
		Checker: s, Fault: provisioning.ErrDatabase,
		Away: func() { s.Fail("Check", provisioning.ErrDatabase) },
		Back: func() { s.Fail("Check", nil) },
	}
}

func TestMemChecker(t *testing.T) {
	TestChecker(t, func(*testing.T) CheckerBackend { return newMemChecker() })
}

// checkFunc is a Checker.
type checkFunc func(context.Context) error

func (f checkFunc) Check(ctx context.Context) error { return f(ctx) }

// checkerMutants are Checkers that are broken in some way, made of a right one.
var checkerMutants = map[string]struct {
	check string
	alter func(right provisioning.Checker) checkFunc
}{
	"always away": {"can be used", func(provisioning.Checker) checkFunc {
		return func(context.Context) error { return provisioning.ErrDatabase }
	}},
	"never away": {"away", func(provisioning.Checker) checkFunc {
		return func(ctx context.Context) error { return ctx.Err() }
	}},
	"another's fault": {"away", func(right provisioning.Checker) checkFunc {
		return func(ctx context.Context) error {
			return errors.Join(right.Check(ctx), provisioning.ErrTelegramUnavailable)
		}
	}},
	"nobody's fault": {"away", func(right provisioning.Checker) checkFunc {
		return func(ctx context.Context) error {
			if right.Check(ctx) != nil {
				return errors.New("away")
			}
			return nil
		}
	}},
	"remembers that all was well": {"away again and again", func(right provisioning.Checker) checkFunc {
		var well atomic.Bool
		return func(ctx context.Context) error {
			if well.Load() {
				return nil
			}
			err := right.Check(ctx)
			well.Store(err == nil)
			return err
		}
	}},
	"remembers a fault": {"back", func(right provisioning.Checker) checkFunc {
		var fault atomic.Pointer[error]
		return func(ctx context.Context) error {
			if known := fault.Load(); known != nil {
				return *known
			}
			err := right.Check(ctx)
			if err != nil {
				fault.Store(&err)
			}
			return err
		}
	}},
	"one at a time": {"concurrency", func(right provisioning.Checker) checkFunc {
		var n atomic.Int64
		return func(ctx context.Context) error {
			if n.Add(1) > 1 {
				return errors.New("somebody else asks")
			}
			return right.Check(ctx)
		}
	}},
	"no context": {"context", func(right provisioning.Checker) checkFunc {
		return func(ctx context.Context) error { return right.Check(context.WithoutCancel(ctx)) }
	}},
}

func TestCheckerMutants(t *testing.T) {
	var mutants []suiteMutant[CheckerBackend]
	for name, m := range checkerMutants {
		mutants = append(mutants, suiteMutant[CheckerBackend]{name, m.check, func() CheckerBackend {
			b := newMemChecker()
			b.Checker = m.alter(b.Checker)
			return b
		}})
	}
	testSuite(t, checkerChecks, newMemChecker, mutants)
}
