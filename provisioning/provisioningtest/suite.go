package provisioningtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// suiteCheck is one promise of an interface, checked on a backend of type B.
type suiteCheck[B any] struct {
	name string
	// explanation is the sentence of the interface's comment.
	explanation string
	run         func(t T, b B)
}

// runSuite runs every check as a subtest, each on a backend of its own.
func runSuite[B any](t *testing.T, checks []suiteCheck[B], backend func(t *testing.T) B) {
	t.Helper()
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) {
			check.run(explained{t, check.explanation}, backend(t))
		})
	}
}

// disturb is a function that puts a hook before every request to a homeserver.
type disturb func(before func(context.Context) error)

// errAway and errTrouble are what the suites' hooks return.
var (
	errAway    = errors.New("connection refused")
	errTrouble = StatusError{500, "M_UNKNOWN"}
)

// failing makes a call while every request fails, and says whether there was one.
func (d disturb) failing(with error, call func() error) (asked bool, err error) {
	var mu sync.Mutex
	d(func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		asked = true
		return with
	})
	err = call()
	d(nil)
	mu.Lock()
	defer mu.Unlock()
	return asked, err
}

// failOnce makes a call whose request of that number fails, counted from 1, and says
// whether there was one.
func (d disturb) failOnce(number int, call func() error) (failed bool, err error) {
	return d.at(number, func() error { return errTrouble }, call)
}

// at makes a call with a hook at its request of that number, counted from 1, and says
// whether there was one.
func (d disturb) at(number int, hook, call func() error) (happened bool, err error) {
	var mu sync.Mutex
	n := 0
	d(func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == number {
			return hook()
		}
		return nil
	})
	err = call()
	d(nil)
	mu.Lock()
	defer mu.Unlock()
	return n >= number, err
}

// maxSteps is how many requests one call makes at most.
const maxSteps = 1000

// patience is how long a call may go on that should have ended. It passes only when a
// check fails.
const patience = 30 * time.Second

// holdAll has every request wait, until it is cancelled or release is called. came is
// closed when the first has come.
func (d disturb) holdAll() (came <-chan struct{}, release func()) {
	arrived, released := make(chan struct{}), make(chan struct{})
	var first sync.Once
	d(func(ctx context.Context) error {
		first.Do(func() { close(arrived) })
		select {
		case <-released:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return arrived, func() {
		d(nil)
		close(released)
	}
}

// cancelled makes a call that waits for the homeserver, ends its context, and returns its
// error; nil where it asks the homeserver nothing.
func (d disturb) cancelled(t T, name string, call func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	came, release := d.holdAll()
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	select {
	case <-came:
	case err := <-done:
		release()
		return err
	}
	cancel()
	select {
	case err := <-done:
		release()
		return err
	case <-time.After(patience):
		t.Errorf("%s goes on after its context was cancelled", name)
		release()
		return <-done
	}
}

// atOnce runs the calls at once and returns when all have returned.
func atOnce(calls ...func()) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, call := range calls {
		wg.Go(func() {
			<-start
			call()
		})
	}
	close(start)
	wg.Wait()
}
