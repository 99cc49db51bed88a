package provisioning

import (
	"cmp"
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// DefaultFailureLimit is how many wrong secrets one address may send at once where
// [Config.FailureLimit] is zero.
const DefaultFailureLimit = 10

const (
	// guessInterval is the time after which an address may guess once more.
	guessInterval = 6 * time.Second
	// maxAddresses is how many addresses are remembered.
	maxAddresses = 10_000
)

// tooManyGuessesError says when an address may send a secret again.
type tooManyGuessesError struct{ wait time.Duration }

func (e *tooManyGuessesError) Error() string        { return "too many wrong secrets from this address" }
func (e *tooManyGuessesError) Is(target error) bool { return target == errTooManyGuesses }

// address is where requests come from: an IP address or, where there is none, a name.
type address struct {
	ip   netip.Addr
	name string
}

// failures limits the wrong secrets of each address.
type failures struct {
	limit  int
	client func(*http.Request) string // nil is by RemoteAddr

	mu      sync.Mutex
	records map[address]record
	// held are the guesses of each address that may be tokens and are being checked, with
	// the number of requests that wait for it.
	held map[address]map[guess]int
}

// guess is the hash of a credential that is not the shared secret.
type guess = [sha256.Size]byte

// record is what is remembered of an address.
type record struct {
	// guesses is the bucket of those allowed, nil while it is full.
	guesses *rate.Limiter
	// known says that the right secret has come from here.
	known bool
}

// newFailures returns nil where nothing is limited.
func newFailures(limit int, client func(*http.Request) string) *failures {
	switch {
	case limit < 0:
		return nil
	case limit == 0:
		limit = DefaultFailureLimit
	}
	return &failures{limit: limit, client: client, records: map[address]record{}, held: map[address]map[guess]int{}}
}

// check returns nil if the secret of a request is right, and counts a wrong one. Looking
// at the record, comparing and counting is one step, so that guesses sent in parallel are
// no more than others. With hold, a wrong secret may be something else that is right:
// after errUnauthorized it is held, as good as counted, until settle tells. Errors:
// errUnauthorized, errTooManyGuesses.
func (f *failures) check(from address, sum guess, right func() bool, hold bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec := f.records[from]
	wait := f.wait(rec, from, sum)
	if wait > 0 && !rec.known {
		return &tooManyGuessesError{wait}
	}
	if right() {
		if !rec.known {
			rec.known = true
			f.put(from, rec)
		}
		return nil
	}
	if wait > 0 {
		return &tooManyGuessesError{wait}
	}
	if !hold {
		f.count(from)
		return errUnauthorized
	}
	if f.held[from] == nil {
		f.held[from] = map[guess]int{}
	}
	f.held[from][sum]++
	return errUnauthorized
}

// settle ends what check has begun with hold: the guess counts only if it was wrong.
func (f *failures) settle(from address, sum guess, wrong bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := f.held[from]
	if held[sum]--; held[sum] == 0 {
		delete(held, sum)
	}
	if len(held) == 0 {
		delete(f.held, from)
	}
	if wrong {
		f.count(from)
	}
}

// count takes a guess from an address.
func (f *failures) count(from address) {
	rec := f.records[from]
	if rec.guesses == nil {
		rec.guesses = rate.NewLimiter(rate.Every(guessInterval), f.limit)
		f.put(from, rec)
	}
	rec.guesses.Allow()
}

// wait returns the time until an address may guess this, zero if it may now. Of what is
// held, the same guess does not count: it tells nothing new.
func (f *failures) wait(rec record, from address, sum guess) time.Duration {
	left := float64(f.limit)
	if rec.guesses != nil {
		left = rec.guesses.Tokens()
	}
	if held := f.held[from]; held != nil {
		left -= float64(len(held))
		if held[sum] > 0 {
			left++
		}
	}
	return time.Duration(max(0, 1-left) * float64(guessInterval))
}

// put remembers an address, and forgets others where there are too many.
func (f *failures) put(from address, rec record) {
	if _, there := f.records[from]; !there && len(f.records) >= maxAddresses {
		f.forget(time.Now())
	}
	from.name = strings.Clone(from.name) // which may be a part of a large header
	f.records[from] = rec
}

// forget removes a tenth of the addresses: those with the fullest buckets and, of
// equals, those that never sent the right secret. A full bucket is no loss.
func (f *failures) forget(now time.Time) {
	type candidate struct {
		from  address
		left  float64
		known int
	}
	candidates := make([]candidate, 0, len(f.records))
	for from, rec := range f.records {
		c := candidate{from: from, left: float64(f.limit)}
		if rec.guesses != nil {
			c.left = rec.guesses.TokensAt(now)
		}
		if rec.known {
			c.known = 1
		}
		candidates = append(candidates, c)
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.left, a.left), a.known-b.known)
	})
	for _, c := range candidates[:maxAddresses/10] {
		delete(f.records, c.from)
	}
}

// addressOf returns the address of a request's client.
func (f *failures) addressOf(r *http.Request) address {
	if f.client != nil {
		return named(f.client(r))
	}
	host := r.RemoteAddr
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return named(host)
	}
	if ip = ip.Unmap(); ip.Is6() {
		// Whoever has an IPv6 address has the 2^64 of its network.
		if network, err := ip.Prefix(64); err == nil {
			ip = network.Addr()
		}
	}
	return address{ip: ip}
}

// named is an address of a name, of which a long one is not kept.
func named(name string) address {
	const longest = 64
	if len(name) > longest {
		sum := sha256.Sum256([]byte(name))
		name = string(sum[:])
	}
	return address{name: name}
}
