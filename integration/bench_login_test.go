package integration

import (
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gotd/td/session"
	"github.com/stretchr/testify/require"
)

// processorTime returns how much of a processor this process has used.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkLogin compares a login by phone number, from request_code to the account, with one
// by gotd alone: what it takes of a processor, and how many are done in a second when 8
// people log in at a time. Telegram's side is a process of its own, which is not counted for
// the former.
func BenchmarkLogin(b *testing.B) {
	const (
		rounds = 3
		batch  = 8
	)
	outside := startOutside(b, outsideConfig{Accounts: 2 * batch, FullProof: true})
	datacenter := outside.datacenter(b)
	h := startHost(b, hostConfig{database: databases["sqlite"](b), datacenter: datacenter})
	ours := make([]*wire, batch)
	for i := range ours {
		ours[i] = dialWire(b, h.url)
	}
	raw := make([]*rawClient, batch)
	logIn := func(account int) { ours[account].logIn(b, account) }
	logInRaw := func(account int) {
		raw[account] = startRaw(b, datacenter, &session.StorageMemory{})
		raw[account].wait(b)
		raw[account].logIn(b, batch+account)
	}
	end := func() {
		for account := range batch {
			ours[account].ask(b, http.MethodPost, userOf(account)+"/logout", "")
		}
	}
	endRaw := func() {
		for _, client := range raw {
			_, err := client.API().AuthLogOut(b.Context())
			require.NoError(b, err)
			client.stop()
		}
	}
	// processor returns what a batch of logins, one after the other, takes of a processor.
	processor := func(logIn func(int), end func()) func(int) time.Duration {
		return func(int) time.Duration {
			before := processorTime(b)
			for account := range batch {
				logIn(account)
			}
			took := processorTime(b) - before
			end()
			return took
		}
	}
	// together returns how long a batch of logins takes, all at a time.
	together := func(logIn func(int), end func()) func(int) time.Duration {
		return func(int) time.Duration {
			begun := time.Now()
			var work sync.WaitGroup
			for account := range batch {
				work.Go(func() { logIn(account) })
			}
			work.Wait()
			took := time.Since(begun)
			end()
			return took
		}
	}
	processor(logIn, end)(0) // so that everything is there that is made once
	processor(logInRaw, endRaw)(0)
	var used, took turns
	for b.Loop() {
		used.take(rounds, processor(logInRaw, endRaw), processor(logIn, end))
		took.take(rounds, together(logInRaw, endRaw), together(logIn, end))
	}
	b.ReportMetric(median(used.ratios), "cpu-of-gotd")
	b.ReportMetric(median(used.reference).Seconds()*1000/batch, "gotd-cpu-ms")
	b.ReportMetric(median(used.measured).Seconds()*1000/batch, "cpu-ms")
	b.ReportMetric(batch/median(took.reference).Seconds(), "gotd-logins/s")
	b.ReportMetric(batch/median(took.measured).Seconds(), "logins/s")
	h.stop()
}
