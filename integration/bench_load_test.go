package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const loadConnections = 64

// pace is how often each connection sends a request.
type pace time.Duration

const (
	// fixedRate is 640 requests a second in all, more than a bridge gets and a small part
	// of what it can answer. They come whether the ones before were fast or slow, and one
	// that finds its connection busy counts from the moment at which it was due. The quiet
	// percentile is that of a machine with next to nothing to do.
	fixedRate = pace(100 * time.Millisecond)
	// fullSpeed sends a request when the one before is answered. Requests wait for each
	// other, and the quiet percentile is that of their queue.
	fullSpeed = pace(0)
)

// load sends requests until stop is closed, and returns how long each answer took. It
// counts those that are errors.
func load(b *testing.B, address string, every pace, failed *atomic.Int64, stop <-chan struct{}) []time.Duration {
	b.Helper()
	paths := []func(i int) string{
		func(i int) string { return "/portal/" + filledRoom(i%fewRows.portals) },
		func(i int) string { return "/user/" + filledLogin(i%fewRows.logins) },
		func(int) string { return "/bridge" },
	}
	all := make([][]time.Duration, loadConnections)
	var work sync.WaitGroup
	for n := range loadConnections {
		api := dialWire(b, address)
		due := time.Now().Add(time.Duration(every) * time.Duration(n) / loadConnections)
		work.Go(func() {
			defer api.Close()
			timer := time.NewTimer(0)
			defer timer.Stop()
			for i := n; ; i++ {
				if every == fullSpeed {
					due = time.Now()
				}
				begun := due
				if wait := time.Until(due); wait > 0 {
					timer.Reset(wait)
					select {
					case <-timer.C:
					case <-stop:
						return
					}
					begun = time.Now() // that this process was woken late is not the bridge's
				}
				status, err := api.get(paths[i%len(paths)](i))
				if err != nil {
					b.Error(err)
					return
				}
				if status != http.StatusOK {
					failed.Add(1)
				}
				all[n] = append(all[n], time.Since(begun))
				due = due.Add(time.Duration(every))
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	work.Wait()
	return slices.Concat(all...)
}

// during runs the load for as long as something else runs.
func during(b *testing.B, address string, every pace, failed *atomic.Int64, run func()) []time.Duration {
	b.Helper()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		run()
	}()
	return load(b, address, every, failed, stop)
}

// percentile returns how long it took at most for a part of some answers.
func percentile(took []time.Duration, part float64) time.Duration {
	return slices.Sorted(slices.Values(took))[int(part*float64(len(took)))]
}

// BenchmarkBusy compares how long answers take, in 99 of 100 cases, while people log in
// and list many chats, with how long they take on a quiet bridge. Everybody begins at the same
// moment, which is the worst; whoever is told to come again does so when the answer says. Telegram
// runs in a process of its own, but on the same machine: the bridge has less of it than it would have.
func BenchmarkBusy(b *testing.B) {
	eachDatabase(b, func(b *testing.B, kind string) {
		b.Run("fixed-rate", func(b *testing.B) { benchmarkBusy(b, kind, fixedRate) })
		b.Run("full-speed", func(b *testing.B) { benchmarkBusy(b, kind, fullSpeed) })
	})
}

func benchmarkBusy(b *testing.B, kind string, every pace) {
	const (
		rounds  = 1 // of more than a minute
		logins  = 100
		lists   = 10
		dialogs = 10_000
		quiet   = 5 * time.Second
	)
	// Everything is done once: an account that has logged in or listed is not used again.
	telegram := startOutside(b, outsideConfig{Accounts: rounds * logins, Busy: rounds * lists, Dialogs: dialogs, FullProof: true})
	database := databases[kind](b)
	fill(b, database, fewRows)
	e := startExample(b, append(telegram.flags(b), "-db", database, "-log-level", "error")...)
	clients := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: logins + lists}}
	defer clients.CloseIdleConnections()
	var failed atomic.Int64
	var later atomic.Int64 // answers that said so
	send := func(method, path, body string) {
		for {
			r, err := http.NewRequestWithContext(b.Context(), method, e.url+"/v1/user/@somebody"+path, strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+secret)
			answer, err := clients.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusServiceUnavailable {
				if answer.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				return
			}
			later.Add(1)
			wait, err := time.ParseDuration(answer.Header.Get("Retry-After") + "s")
			if err != nil {
				b.Error(err)
				return
			}
			<-time.After(wait)
		}
	}
	logIn := func(account int) {
		name := fmt.Sprintf("%d:example.com/login/", account)
		send(http.MethodPost, name+"request_code", `{"phone":"+`+accountOf(account).Phone+`"}`)
		send(http.MethodPost, name+"send_code", `{"code":"12345"}`)
	}
	all := func(n int, run func(i int)) {
		var work sync.WaitGroup
		for i := range n {
			work.Go(func() { run(i) })
		}
		work.Wait()
	}
	var quietP99, busyP99, took []time.Duration
	var ratios []float64
	for round := range rounds {
		busy := func(i int) int { return rounds*logins + round*lists + i }
		all(lists, func(i int) { logIn(busy(i)) })
		timer := time.NewTimer(quiet)
		before := percentile(during(b, e.url, every, &failed, func() { <-timer.C }), 0.99)
		var ran time.Duration
		under := percentile(during(b, e.url, every, &failed, func() {
			begun := time.Now()
			all(logins+lists, func(i int) {
				if i < lists {
					send(http.MethodGet, fmt.Sprintf("%d:example.com/chats", busy(i)), "")
				} else {
					logIn(round*logins + i - lists)
				}
			})
			ran = time.Since(begun)
		}), 0.99)
		quietP99, busyP99, took = append(quietP99, before), append(busyP99, under), append(took, ran)
		ratios = append(ratios, float64(under)/float64(before))
	}
	require.False(b, b.Failed())
	b.ReportMetric(median(ratios), "x-of-quiet")
	b.ReportMetric(median(quietP99).Seconds()*1000, "quiet-p99-ms")
	b.ReportMetric(median(busyP99).Seconds()*1000, "busy-p99-ms")
	b.ReportMetric(float64(failed.Load()), "failed")
	b.ReportMetric(float64(later.Load()), "told-to-come-again")
	b.ReportMetric(median(took).Seconds(), "logins-and-lists-s")
}
