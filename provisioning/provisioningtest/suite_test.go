package provisioningtest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// suiteMutant is a backend whose implementation is broken in one way, and the check that
// has to notice.
type suiteMutant[B any] struct {
	name    string
	check   string
	backend func() B
}

// testSuite runs the mutants of a suite, and has every check of it pass on a sound
// backend, and fail on some mutant.
func testSuite[B any](t *testing.T, checks []suiteCheck[B], sound func() B, mutants []suiteMutant[B]) {
	t.Helper()
	left := map[string]bool{}
	for _, check := range checks {
		if left[check.name] || check.explanation == "" {
			t.Errorf("check %q: its name is used twice, or it has no explanation", check.name)
		}
		left[check.name] = true
		for _, failure := range record(t, func(t T) { check.run(explained{t, check.explanation}, sound()) }) {
			t.Errorf("the check %q fails on a sound implementation: %s", check.name, failure)
		}
	}
	for _, m := range mutants {
		delete(left, m.check)
		t.Run(m.name+"/"+m.check, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c suiteCheck[B]) bool { return c.name == m.check })
			if i < 0 {
				t.Fatalf("there is no check %q", m.check)
			}
			failures := record(t, func(t T) { checks[i].run(explained{t, checks[i].explanation}, m.backend()) })
			if len(failures) == 0 {
				t.Fatalf("the check %q passes on an implementation that is broken in this way", m.check)
			}
			if !strings.Contains(failures[0], "The interface promises: ") || strings.Contains(failures[0], " of the test") {
				t.Errorf("the failure does not say what the interface promises, or blames the test: %s", failures[0])
			}
		})
	}
	if len(left) > 0 {
		t.Errorf("no mutant fails the checks %q", slices.Sorted(maps.Keys(left)))
	}
}
