package provisioning

import (
	"cmp"
	"crypto/sha256"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// defaultFailureLimit is how many wrong secrets one address may send at once where
// [Config.FailureLimit] is zero.
const defaultFailureLimit = 10

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
	limit int

	mu sync.Mutex
	// guesses are the buckets of those that each address may send. An address without one has
	// a full one.
	guesses map[address]*rate.Limiter
	// underCheck are the guesses of each address that may be tokens and are being checked, with
	// the number of requests that wait for it.
	underCheck map[address]map[guess]int
}

// guess is the hash of a credential that is not the shared secret.
type guess = [sha256.Size]byte

// newFailures returns nil where nothing is limited.
func newFailures(limit int) *failures {
	switch {
	case limit < 0:
		return nil
	case limit == 0:
		limit = defaultFailureLimit
	}
	return &failures{limit: limit, guesses: map[address]*rate.Limiter{}, underCheck: map[address]map[guess]int{}}
}

// check counts a credential that is not the shared secret. It looks at the address and counts
// in one step, so that guesses sent in parallel are no more than others. With mayBeToken, it
// may be a token that is right: after nil it is as good as counted, until release tells.
// Errors: errTooManyGuesses, and errUnauthorized without mayBeToken.
func (f *failures) check(from address, sum guess, mayBeToken bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if wait := f.wait(from, sum); wait > 0 {
		return &tooManyGuessesError{wait}
	}
	if !mayBeToken {
		f.count(from)
		return errUnauthorized
	}
	if f.underCheck[from] == nil {
		f.underCheck[from] = map[guess]int{}
	}
	f.underCheck[from][sum]++
	return nil
}

// release ends what check has begun with mayBeToken: the guess counts only if it was wrong.
func (f *failures) release(from address, sum guess, wrong bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	checked := f.underCheck[from]
	if checked[sum]--; checked[sum] == 0 {
		delete(checked, sum)
	}
	if len(checked) == 0 {
		delete(f.underCheck, from)
	}
	if wrong {
		f.count(from)
	}
}

// count takes a guess from an address. Where too many addresses are remembered, others are
// forgotten.
func (f *failures) count(from address) {
	bucket := f.guesses[from]
	if bucket == nil {
		if len(f.guesses) >= maxAddresses {
			f.makeRoom(time.Now())
		}
		bucket = rate.NewLimiter(rate.Every(guessInterval), f.limit)
		from.name = strings.Clone(from.name) // which may be a part of a large header
		f.guesses[from] = bucket
	}
	bucket.Allow()
}

// wait returns the time until an address may guess this, zero if it may now. Of what is
// under check, the same guess does not count: it tells nothing new.
func (f *failures) wait(from address, sum guess) time.Duration {
	left := float64(f.limit)
	if bucket := f.guesses[from]; bucket != nil {
		left = bucket.Tokens()
	}
	if checked := f.underCheck[from]; checked != nil {
		left -= float64(len(checked))
		if checked[sum] > 0 {
			left++
		}
	}
	return time.Duration(max(0, 1-left) * float64(guessInterval))
}

// makeRoom removes a tenth of the addresses: those with the fullest buckets. A full bucket
// is no loss.
func (f *failures) makeRoom(now time.Time) {
	type candidate struct {
		from address
		left float64
	}
	candidates := make([]candidate, 0, len(f.guesses))
	for from, bucket := range f.guesses {
		candidates = append(candidates, candidate{from, bucket.TokensAt(now)})
	}
	slices.SortFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.left, a.left) })
	for _, c := range candidates[:maxAddresses/10] {
		delete(f.guesses, c.from)
	}
}

// parseAddress returns the address of a RemoteAddr, as net/http has it.
func parseAddress(remote string) address {
	host := remote
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
