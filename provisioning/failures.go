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

	mu     sync.Mutex
	states map[address]addressState
	// underCheck are the guesses of each address that may be tokens and are being checked, with
	// the number of requests that wait for it.
	underCheck map[address]map[guess]int
}

// guess is the hash of a credential that is not the shared secret.
type guess = [sha256.Size]byte

// addressState is what is remembered of an address.
type addressState struct {
	// guesses is the bucket of those allowed, nil while it is full.
	guesses *rate.Limiter
	// known says that the right secret has come from here.
	known bool
}

// newFailures returns nil where nothing is limited.
func newFailures(limit int) *failures {
	switch {
	case limit < 0:
		return nil
	case limit == 0:
		limit = defaultFailureLimit
	}
	return &failures{limit: limit, states: map[address]addressState{}, underCheck: map[address]map[guess]int{}}
}

// check returns nil if the secret of a request is right, and counts a wrong one. It looks
// at the address, compares and counts in one step, so that guesses sent in parallel are no
// more than others. With mayBeToken, a wrong secret may be a token that is right:
// after errUnauthorized it is as good as counted, until release tells. Errors:
// errUnauthorized, errTooManyGuesses.
func (f *failures) check(from address, sum guess, right func() bool, mayBeToken bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	state := f.states[from]
	wait := f.wait(state, from, sum)
	if wait > 0 && !state.known {
		return &tooManyGuessesError{wait}
	}
	if right() {
		if !state.known {
			state.known = true
			f.put(from, state)
		}
		return nil
	}
	if wait > 0 {
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
	return errUnauthorized
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

// count takes a guess from an address.
func (f *failures) count(from address) {
	state := f.states[from]
	if state.guesses == nil {
		state.guesses = rate.NewLimiter(rate.Every(guessInterval), f.limit)
		f.put(from, state)
	}
	state.guesses.Allow()
}

// wait returns the time until an address may guess this, zero if it may now. Of what is
// under check, the same guess does not count: it tells nothing new.
func (f *failures) wait(state addressState, from address, sum guess) time.Duration {
	left := float64(f.limit)
	if state.guesses != nil {
		left = state.guesses.Tokens()
	}
	if checked := f.underCheck[from]; checked != nil {
		left -= float64(len(checked))
		if checked[sum] > 0 {
			left++
		}
	}
	return time.Duration(max(0, 1-left) * float64(guessInterval))
}

// put remembers an address, and forgets others where there are too many.
func (f *failures) put(from address, state addressState) {
	if _, there := f.states[from]; !there && len(f.states) >= maxAddresses {
		f.makeRoom(time.Now())
	}
	from.name = strings.Clone(from.name) // which may be a part of a large header
	f.states[from] = state
}

// makeRoom removes a tenth of the addresses: those with the fullest buckets and, of
// equals, those that never sent the right secret. A full bucket is no loss.
func (f *failures) makeRoom(now time.Time) {
	type candidate struct {
		from  address
		left  float64
		known int
	}
	candidates := make([]candidate, 0, len(f.states))
	for from, state := range f.states {
		c := candidate{from: from, left: float64(f.limit)}
		if state.guesses != nil {
			c.left = state.guesses.TokensAt(now)
		}
		if state.known {
			c.known = 1
		}
		candidates = append(candidates, c)
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.left, a.left), a.known-b.known)
	})
	for _, c := range candidates[:maxAddresses/10] {
		delete(f.states, c.from)
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
