package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a large bridge has in its database, and what a small one has. The half-done
// logins are there to be asked for, see BenchmarkLookups.
var (
	manyRows = amounts{portals: 1_000_000, users: 100_000, logins: 1000}
	fewRows  = amounts{portals: 1000, users: 100, logins: 1000}
)

// BenchmarkStart compares how long the example takes from its start to its first answer,
// on a full database and on an empty one whose tables are made already.
func BenchmarkStart(b *testing.B) {
	eachDatabase(b, func(b *testing.B, kind string) {
		const rounds = 15
		_, flags := telegramFlags(b) // nobody calls there
		full, empty := filledDatabase(b, kind, manyRows), filledDatabase(b, kind, amounts{})
		start := func(database string, status int) time.Duration {
			begun := time.Now()
			e := startExample(b, append(flags, "-db", database, "-log-level", "error")...)
			got, err := dialWire(b, e.url).get("/portal/" + filledRoom(rand.IntN(manyRows.portals)))
			took := time.Since(begun)
			require.NoError(b, err)
			require.Equal(b, status, got)
			e.kill(b)
			return took
		}
		start(full, http.StatusOK) // so that the program and the database are in memory
		start(empty, http.StatusNotFound)
		var t turns
		for b.Loop() {
			t.take(rounds,
				func(int) time.Duration { return start(empty, http.StatusNotFound) },
				func(int) time.Duration { return start(full, http.StatusOK) })
		}
		b.ReportMetric(median(t.ratios), "x-of-empty")
		b.ReportMetric(median(t.reference).Seconds()*1000, "empty-ms")
		b.ReportMetric(median(t.measured).Seconds()*1000, "full-ms")
	})
}

// BenchmarkLookups compares requests that look something up among many rows with the
// same among few. Nothing is asked for twice, so that no cache can answer.
func BenchmarkLookups(b *testing.B) {
	lookups := []struct {
		name   string
		status int
		rows   func(amounts) int
		path   func(i int) string
	}{
		{"portal-by-room", 200, func(a amounts) int { return a.portals }, func(i int) string { return "/portal/" + filledRoom(i) }},
		{"portal-by-chat", 200, func(a amounts) int { return a.portals }, func(i int) string { return fmt.Sprintf("/portal/%d", filledChat(i)) }},
		{"no-portal", 404, func(amounts) int { return 1_000_000 }, func(i int) string { return fmt.Sprintf("/portal/!no%d:example.com", spread(i)) }},
		// Somebody who is logged in would be looked up likewise, and then Telegram be asked.
		{"half-logged-in", 200, func(a amounts) int { return a.logins }, func(i int) string { return "/user/" + filledLogin(i) }},
		{"unknown-user", 200, func(amounts) int { return 1_000_000 }, func(i int) string { return "/user/@no" + filledUser(i)[1:] }},
	}
	eachDatabase(b, func(b *testing.B, kind string) {
		for _, rows := range []amounts{fewRows, manyRows} {
			filledDatabase(b, kind, rows) // which takes longer than all that follows
		}
		for _, l := range lookups {
			b.Run(l.name, func(b *testing.B) {
				const hosts, rounds, batch = 10, 50, 20
				asker := func(rows amounts) (ask func(int) time.Duration, stop func()) {
					h := startHost(b, hostConfig{database: filledDatabase(b, kind, rows)})
					api := dialWire(b, h.url)
					for range 200 { // the connections come up
						_, err := api.get("/portal/!nothing:example.com")
						require.NoError(b, err)
					}
					numbers := rand.Perm(l.rows(rows))
					return func(round int) time.Duration {
						begun := time.Now()
						for _, i := range numbers[round*batch:][:batch] {
							status, err := api.get(l.path(i))
							if err != nil || status != l.status {
								b.Fatalf("%s: %d, %v", l.path(i), status, err)
							}
						}
						return time.Since(begun)
					}, h.stop
				}
				var t turns
				for b.Loop() {
					for range hosts { // that have answered none of it
						few, stopFew := asker(fewRows)
						many, stopMany := asker(manyRows)
						t.take(rounds, few, many)
						stopFew()
						stopMany()
					}
				}
				b.ReportMetric(median(t.ratios), "x-of-1000")
				b.ReportMetric(median(t.reference).Seconds()*1e6/batch, "few-µs")
				b.ReportMetric(median(t.measured).Seconds()*1e6/batch, "many-µs")
			})
		}
	})
}

// BenchmarkIdleUsers compares the heap of a host that has many users, of whom nobody
// does anything, with that of one which has none.
func BenchmarkIdleUsers(b *testing.B) {
	eachDatabase(b, func(b *testing.B, kind string) {
		const rounds = 5
		full, empty := filledDatabase(b, kind, manyRows), filledDatabase(b, kind, amounts{})
		heap := func(database string) float64 {
			h := startHost(b, hostConfig{database: database})
			defer h.stop()
			_, err := dialWire(b, h.url).get("/bridge")
			require.NoError(b, err)
			return float64(heapInUse().HeapAlloc) / 1e6
		}
		heap(empty)
		var above []float64
		for b.Loop() {
			for range rounds {
				none := heap(empty)
				above = append(above, heap(full)-none)
			}
		}
		b.ReportMetric(median(above), "MB-above-empty")
	})
}

// heapInUse collects garbage and returns what is left.
func heapInUse() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC() // what had a finalizer, or was in a pool
	runtime.ReadMemStats(&m)
	return m
}
