package provisioningtest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestLimitStore runs every check of the interface provisioning.LimitStore as a subtest, on
// backends as those of [TestUserStore]. That old events are forgotten is not checked.
func TestLimitStore(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) provisioning.LimitStore)) {
	for _, check := range limitStoreChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() provisioning.LimitStore { return open(t) })
		})
	}
}

var limitStoreChecks = []storeCheck[provisioning.LimitStore]{
	{"limit", "CountEvent returns zero, unless one of the limits is reached: then it returns after how long none of them is.", checkOneLimit},
	{"several limits", "CountEvent returns after how long none of the limits is reached.", checkSeveralLimits},
	{"end of the period", "A limit is a number of events in a period that ends now.", checkPeriod},
	{"refused events", "Where a limit is reached, CountEvent counts nothing.", checkRefusedEvents},
	{"keys", "Each key has events of its own.", checkKeys},
	{"two handles", "Methods are called concurrently by several processes, which share what they count.", checkLimitHandles},
	{"race", "CountEvent is atomic.", checkLimitRace},
	{"context", "Methods honour the context.", checkLimitContext},
}

// perHour is a limit whose period does not end during a test.
func perHour(most int) provisioning.Limit { return provisioning.Limit{Most: most, Period: time.Hour} }

func countEvent(t T, s provisioning.LimitStore, key string, limits ...provisioning.Limit) time.Duration {
	t.Helper()
	wait, err := s.CountEvent(t.Context(), key, limits)
	if err != nil || wait < 0 {
		t.Fatalf("CountEvent of %q returned %s, %v", key, wait, err)
	}
	return wait
}

// wantCounted counts events that no limit stops.
func wantCounted(t T, s provisioning.LimitStore, n int, key string, limits ...provisioning.Limit) {
	t.Helper()
	for i := range n {
		if wait := countEvent(t, s, key, limits...); wait > 0 {
			t.Fatalf("event %d of %q has to wait for %s, with the limits %v", i+1, key, wait, limits)
		}
	}
}

// wantRefused expects that one more event has to wait for a time in (least, most].
func wantRefused(t T, s provisioning.LimitStore, least, most time.Duration, key string, limits ...provisioning.Limit) {
	t.Helper()
	if wait := countEvent(t, s, key, limits...); wait <= least || wait > most {
		t.Fatalf("an event too many of %q has to wait for %s, with the limits %v; want more than %s, at most %s", key, wait, limits, least, most)
	}
}

func checkOneLimit(t T, open func() provisioning.LimitStore) {
	for _, most := range []int{1, 5} {
		s := open()
		key := strings.Repeat("k", most)
		wantCounted(t, s, most, key, perHour(most))
		for range 3 {
			wantRefused(t, s, 50*time.Minute, time.Hour, key, perHour(most))
		}
	}
}

func checkSeveralLimits(t T, open func() provisioning.LimitStore) {
	s := open()
	hour, day := perHour(2), provisioning.Limit{Most: 3, Period: 24 * time.Hour}
	wantCounted(t, s, 2, "a", hour, day)
	wantRefused(t, s, 50*time.Minute, time.Hour, "a", hour, day)
	wantCounted(t, s, 3, "b", perHour(4), day)
	wantRefused(t, s, 23*time.Hour, 24*time.Hour, "b", perHour(4), day)
	wantCounted(t, s, 3, "c", day, perHour(3))
	wantRefused(t, s, 23*time.Hour, 24*time.Hour, "c", day, perHour(3))
}

func checkPeriod(t T, open func() provisioning.LimitStore) {
	s := open()
	short := provisioning.Limit{Most: 1, Period: time.Millisecond}
	wantCounted(t, s, 1, "a", short, perHour(3))
	for range 2 { // as long as the store says, and a clock that is less precise
		if wait := countEvent(t, s, "a", short, perHour(3)); wait > 0 {
			<-time.After(wait + time.Millisecond)
			continue
		}
		break
	}
	wantRefused(t, s, 50*time.Minute, time.Hour, "a", perHour(2))
}

func checkRefusedEvents(t T, open func() provisioning.LimitStore) {
	s := open()
	wantCounted(t, s, 1, "a", perHour(1))
	for range 5 {
		wantRefused(t, s, 50*time.Minute, time.Hour, "a", perHour(1))
	}
	wantCounted(t, s, 1, "a", perHour(2))
	wantRefused(t, s, 50*time.Minute, time.Hour, "a", perHour(2))
}

func checkKeys(t T, open func() provisioning.LimitStore) {
	s := open()
	keys := []string{"a", "A", "a ", "ab", "%", "_", "", "☃", strings.Repeat("k", 200)}
	for range 2 {
		for _, key := range keys {
			wantCounted(t, s, 1, key, perHour(2))
		}
	}
	for _, key := range keys {
		wantRefused(t, s, 50*time.Minute, time.Hour, key, perHour(2))
	}
}

func checkLimitHandles(t T, open func() provisioning.LimitStore) {
	first, second := open(), open()
	wantCounted(t, first, 1, "a", perHour(2))
	wantCounted(t, second, 1, "a", perHour(2))
	wantRefused(t, first, 50*time.Minute, time.Hour, "a", perHour(2))
	wantRefused(t, second, 50*time.Minute, time.Hour, "a", perHour(2))
}

func checkLimitRace(t T, open func() provisioning.LimitStore) {
	const most, events = 5, 20
	stores := []provisioning.LimitStore{open(), open()}
	waits, errs := make([]time.Duration, events), make([]error, events)
	var all sync.WaitGroup
	for i := range events {
		all.Go(func() {
			waits[i], errs[i] = stores[i%2].CountEvent(t.Context(), "a", []provisioning.Limit{perHour(most)})
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatalf("CountEvent: %v", err)
		}
	}
	if passed := events - len(slices.DeleteFunc(waits, func(wait time.Duration) bool { return wait == 0 })); passed != most {
		t.Errorf("of %d events at once %d were counted, want %d", events, passed, most)
	}
}

func checkLimitContext(t T, open func() provisioning.LimitStore) {
	s := open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.CountEvent(ctx, "a", []provisioning.Limit{perHour(1)}); err == nil {
		t.Errorf("CountEvent with a cancelled context: no error")
	}
	wantCounted(t, s, 1, "a", perHour(1))
}
