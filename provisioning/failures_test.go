package provisioning_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

const wrongSecret = "correct-horse-battery-stable"

// from makes a request from an address with a secret.
func from(remoteAddr, given string) *http.Request {
	r := newRequest(http.MethodGet, "/bridge", "")
	r.RemoteAddr = remoteAddr
	r.Header.Set("Authorization", "Bearer "+given)
	return r
}

// guess sends wrong secrets from an address until it is over its limit, and returns
// how many it could.
func (b *bridge) guess(t testing.TB, remoteAddr string) int {
	t.Helper()
	const most = 1000
	for n := range most {
		if a := b.send(t, from(remoteAddr, wrongSecret)); a.status != 401 {
			a.want(t, 429, "too_many_requests")
			return n
		}
	}
	return most
}

func limit(n int) func(*bridge, *provisioning.Config) {
	return func(_ *bridge, cfg *provisioning.Config) { cfg.FailureLimit = n }
}

// Whatever is asked for, a guesser over the limit learns nothing.
func TestFailureLimitAnywhere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, limit(1))
		b.guess(t, newRequest(http.MethodGet, "/bridge", "").RemoteAddr)
		for path, method := range everyPath() {
			r := newRequest(method, path, "{}")
			r.Header.Set("Authorization", "Bearer "+wrongSecret)
			a := b.send(t, r)
			a.wantBody(t, 429, `{"errcode":"too_many_requests","error":"There were too many requests with a wrong secret, token or login link. Please try again later.","retry_after":6}`)
			if got := a.header.Get("Retry-After"); got != "6" {
				t.Errorf("Retry-After %q", got)
			}
		}
	})
}

func TestFailureLimit(t *testing.T) {
	const here, there = "192.0.2.1:1", "192.0.2.2:1"
	for given, want := range map[int]int{0: provisioning.DefaultFailureLimit, 1: 1, 3: 3, 100: 100, -1: 1000} {
		inBubble(t, func(t *testing.T) {
			if got := newBridge(t, limit(given)).guess(t, here); got != want {
				t.Errorf("with the limit %d an address may guess %d times, want %d", given, got, want)
			}
		})
	}
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, limit(3))
		b.guess(t, here)
		b.send(t, from(there, wrongSecret)).want(t, 401, "shared_secret_invalid")
		b.send(t, from("192.0.2.1:9999", wrongSecret)).want(t, 429, "too_many_requests")

		r := from(here, "")
		for _, values := range [][]string{nil, {"Bearer "}, {"Basic " + secret}, {"Bearer " + secret, "Bearer " + secret}} {
			r.Header["Authorization"] = values
			b.send(t, r).want(t, 401, "shared_secret_invalid")
		}

		advance(6*time.Second - 1)
		a := b.send(t, from(here, wrongSecret))
		a.want(t, 429, "too_many_requests")
		if got := a.header.Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After %q, want 1", got)
		}
		advance(1)
		if got := b.guess(t, here); got != 1 {
			t.Errorf("after six seconds the address may guess %d times, want once", got)
		}
		advance(time.Hour)
		if got := b.guess(t, here); got != 3 {
			t.Errorf("after an hour the address may guess %d times, want 3", got)
		}
	})
}

// Nobody can lock those out who have the secret, also where all have one address.
func TestTheRightSecretAlwaysPasses(t *testing.T) {
	const proxy = "192.0.2.1:1"
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, limit(3))
		if got := b.guess(t, proxy); got != 3 {
			t.Errorf("an address may guess %d times, want 3", got)
		}
		for range 10 {
			b.send(t, from(proxy, secret)).want(t, 200, "")
			b.send(t, from(proxy, wrongSecret)).want(t, 429, "too_many_requests")
		}
		advance(6 * time.Second)
		if got := b.guess(t, proxy); got != 1 {
			t.Errorf("after six seconds the address may guess %d times, want once", got)
		}
	})
}

// A header that is missing or malformed is no guess.
func TestMalformedHeaderCountsNothing(t *testing.T) {
	b := newBridge(t, limit(1))
	r := from("192.0.2.1:1", "")
	for _, values := range [][]string{nil, {""}, {secret}, {"Bearer"}, {"Bearer "}, {"Basic x"}, {"Bearer x", "Bearer x"}} {
		r.Header["Authorization"] = values
		b.send(t, r).want(t, 401, "shared_secret_invalid")
	}
	if n := b.provisioner.Remembered(); n != 0 {
		t.Errorf("%d addresses are remembered, want 0", n)
	}
}

func TestAddresses(t *testing.T) {
	same := [][2]string{
		{"192.0.2.1:1", "192.0.2.1:2"},
		{"192.0.2.1:1", "192.0.2.1"},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1"},
		{"[2001:db8::1]:1", "[2001:db8:0:0:ffff::2]:2"},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1"},
		{"", ""},
		{"@", "@"},
		{"pipe", "pipe"},
		{"host:1", "host:2"},
		{strings.Repeat("x", 1000), strings.Repeat("x", 1000)},
	}
	different := [][2]string{
		{"192.0.2.1:1", "192.0.2.2:1"},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1"},
		{"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1"},
		{"192.0.2.1:1", ""},
		{"", "@"},
		{strings.Repeat("x", 1000), strings.Repeat("x", 999) + "y"},
	}
	for _, pair := range slices.Concat(same, different) {
		inBubble(t, func(t *testing.T) {
			b := newBridge(t, limit(1))
			b.guess(t, pair[0])
			want := 429
			if slices.Contains(different, pair) {
				want = 401
			}
			if a := b.send(t, from(pair[1], wrongSecret)); a.status != want {
				t.Errorf("%q is over its limit: %q gets %d, want %d", pair[0], pair[1], a.status, want)
			}
		})
	}
}

func TestClientAddress(t *testing.T) {
	const proxy = "192.0.2.1:1"
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, func(_ *bridge, cfg *provisioning.Config) {
			cfg.ClientAddress = func(r *http.Request) string { return r.Header.Get("X-Real-Ip") }
		})
		as := func(client, given string) answer {
			r := from(proxy, given)
			r.Header.Set("X-Real-Ip", client)
			return b.send(t, r)
		}
		for range provisioning.DefaultFailureLimit {
			as("198.51.100.1", wrongSecret).want(t, 401, "shared_secret_invalid")
		}
		as("198.51.100.1", wrongSecret).want(t, 429, "too_many_requests")
		as("198.51.100.2", wrongSecret).want(t, 401, "shared_secret_invalid")
		as("", wrongSecret).want(t, 401, "shared_secret_invalid")
		as("198.51.100.1", secret).want(t, 200, "")
		for range provisioning.DefaultFailureLimit {
			as("2001:db8::1", wrongSecret).want(t, 401, "shared_secret_invalid")
		}
		as("2001:db8::ffff:1", wrongSecret).want(t, 429, "too_many_requests")
		as("2001:db8:0:1::1", wrongSecret).want(t, 401, "shared_secret_invalid")
	})
	b := newBridge(t, func(_ *bridge, cfg *provisioning.Config) {
		cfg.ClientAddress = func(*http.Request) string { panic("no address") }
	})
	b.send(t, from(proxy, wrongSecret)).want(t, 500, "unhandled_error")
}

// Many addresses together can't guess without a bound, and don't lock out who has the secret.
func TestFailureLimitOfAll(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const limited = 3
		b := newBridge(t, limit(limited))
		addresses := 0
		guessed := func() (n int) {
			for n < 10*limited*provisioning.GuessersInAll {
				addresses++
				switch a := b.send(t, from(fmt.Sprintf("10.1.%d.%d:1", addresses>>8, addresses&255), wrongSecret)); a.status {
				case 401:
					n++
				default:
					a.want(t, 429, "too_many_requests")
					if got := a.header.Get("Retry-After"); got != "1" {
						t.Errorf("Retry-After %q, want 1", got)
					}
					return n
				}
			}
			return n
		}
		if got := guessed(); got != limited*provisioning.GuessersInAll {
			t.Errorf("all addresses may guess %d times, want %d", got, limited*provisioning.GuessersInAll)
		}
		for range 10 {
			b.send(t, from("10.1.0.1:1", secret)).want(t, 200, "")
		}
		advance(6 * time.Second)
		if got := guessed(); got != provisioning.GuessersInAll {
			t.Errorf("after six seconds all addresses may guess %d times, want %d", got, provisioning.GuessersInAll)
		}
	})
}

// A bridge behind a proxy is told once that it has to say who its clients are.
func TestProxyWarning(t *testing.T) {
	const warning = "Config.ClientAddress is not set"
	for _, header := range []string{"Forwarded", "X-Forwarded-For"} {
		for _, set := range []bool{false, true} {
			b := newBridge(t, func(_ *bridge, cfg *provisioning.Config) {
				if set {
					cfg.ClientAddress = func(*http.Request) string { return "198.51.100.1" }
				}
			})
			b.send(t, from("192.0.2.1:1", secret)).want(t, 200, "")
			if strings.Contains(b.log.String(), warning) {
				t.Errorf("without a proxy: %s", b.log.String())
			}
			for _, given := range []string{wrongSecret, secret} {
				r := from("192.0.2.1:1", given)
				r.Header.Set(header, "198.51.100.1")
				b.send(t, r)
			}
			want := 1
			if set {
				want = 0
			}
			if got := strings.Count(b.log.String(), warning); got != want {
				t.Errorf("%s, with ClientAddress %t: %d warnings, want %d", header, set, got, want)
			}
		}
	}
}

// What is remembered has a bound, and who guesses is not forgotten.
func TestRememberedAddresses(t *testing.T) {
	t.Parallel()
	const guesser = "198.51.100.1:1"
	inBubble(t, func(t *testing.T) {
		b := newBridge(t)
		most, address := 0, 0
		for range 60 {
			b.guess(t, guesser)
			for range 2 * provisioning.GuessersInAll {
				address++
				r := from(fmt.Sprintf("10.%d.%d.%d:1", address>>16, address>>8&255, address&255), wrongSecret)
				_ = b.provisioner.Authorise(r)
			}
			b.send(t, from(guesser, wrongSecret)).want(t, 429, "too_many_requests")
			most = max(most, b.provisioner.Remembered())
			advance(6 * time.Second)
		}
		// Each of those that may guess is remembered for six seconds.
		if bound := 2 * provisioning.DefaultFailureLimit * provisioning.GuessersInAll; most > bound {
			t.Errorf("%d addresses were remembered of %d, want %d at most", most, address, bound)
		}
	})
}

// Guesses sent at once are no more than others, and don't disturb a client.
func TestGuessesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t)
		b.send(t, from("192.0.2.9:1", secret)).want(t, 200, "")
		var requests []*http.Request
		for i := range 300 {
			requests = append(requests, from("192.0.2.1:1", wrongSecret), from("192.0.2.9:1", secret), from(fmt.Sprintf("192.0.3.%d:1", i%256), secret))
		}
		counts := map[string]int{}
		for _, result := range results(b.atOnce(t, requests...)) {
			counts[result]++
		}
		want := map[string]int{"200 ": 600, "401 shared_secret_invalid": provisioning.DefaultFailureLimit, "429 too_many_requests": 300 - provisioning.DefaultFailureLimit}
		if !reflect.DeepEqual(counts, want) {
			t.Errorf("got %v, want %v", counts, want)
		}
	})
}

func TestFailureLimitInTheLog(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, limit(1))
		b.guess(t, "192.0.2.1:1")
		line := b.log.lines(t)[1]
		if line["op"] != "unauthorized" || line["status"] != 429.0 || line["errcode"] != "too_many_requests" || line["level"] != "info" || line["request_id"] == nil {
			t.Errorf("the access line is %v", line)
		}
		if log := b.log.String(); strings.Contains(log, wrongSecret) {
			t.Errorf("the log has what was given as the secret: %s", log)
		}
	})
}

// The comparison takes the same time for every secret since both sides are hashes,
// of one length, that are compared whole.
func TestSecretsAreComparedAsHashes(t *testing.T) {
	source, err := os.ReadFile("secrets.go")
	if err != nil {
		t.Fatal(err)
	}
	compare := regexp.MustCompile(`(?s)func \(all heldSecrets\) find\(given \[sha256\.Size\]byte\) \*heldSecret \{\s+place := -1\s+for i := range all \{\s+` +
		`place = subtle\.ConstantTimeSelect\(subtle\.ConstantTimeCompare\(given\[:\], all\[i\]\.sum\[:\]\), i, place\)\s+\}\s+if place < 0`)
	if !compare.Match(source) || !bytes.Contains(source, []byte("\tsum         [sha256.Size]byte\n")) {
		t.Error("find does not compare with all hashes in constant time")
	}
}

func BenchmarkAuthorise(b *testing.B) {
	p := newBridge(b).provisioner
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := from("192.0.2.1:1", secret)
		for pb.Next() {
			if err := p.Authorise(r); err != nil {
				b.Error(err)
			}
		}
	})
}
