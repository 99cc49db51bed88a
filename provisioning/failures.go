package provisioning

import (
	"crypto/sha256"
	"maps"
	"net"
	"net/netip"
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
	// guessersInAll is as how many addresses all together may guess.
	guessersInAll = 100
	// maxRightTokens is how many tokens are remembered that were right.
	maxRightTokens = 10_000
)

// tooManyGuessesError says when an address may send a secret again.
type tooManyGuessesError struct{ wait time.Duration }

func (e *tooManyGuessesError) Error() string        { return "too many wrong secrets" }
func (e *tooManyGuessesError) Is(target error) bool { return target == errTooManyGuesses }

// address is where requests come from: an IP address or, where there is none, a name.
type address struct {
	ip   netip.Addr
	name string
}

// String returns what tells the address from others.
func (a address) String() string {
	if a.ip.IsValid() {
		return a.ip.String()
	}
	return a.name
}

// guess is the hash of a credential that is not the shared secret.
type guess = [sha256.Size]byte

func guessOf(credential string) guess { return sha256.Sum256([]byte(credential)) }

// failures limits the wrong secrets and tokens of each address, and of all together.
type failures struct {
	limit int

	mu  sync.Mutex
	all *rate.Limiter
	// guesses are the limiters of the addresses. One without has guessed nothing lately.
	guesses map[address]*rate.Limiter
	tidyAt  int // how many of them there are when those are looked for that are not needed
	// right are the tokens that were right when they were checked last. They are limited by
	// nothing: what others have sent from the same address does not stop them.
	right map[guess]struct{}
}

// newFailures returns nil where nothing is limited.
func newFailures(limit int) *failures {
	switch {
	case limit < 0:
		return nil
	case limit == 0:
		limit = defaultFailureLimit
	}
	return &failures{
		limit: limit, all: rate.NewLimiter(rate.Every(guessInterval/guessersInAll), limit*guessersInAll),
		guesses: map[address]*rate.Limiter{}, right: map[guess]struct{}{},
	}
}

// checkToken returns nil for what may be a token and may be checked now. Errors:
// errTooManyGuesses.
func (f *failures) checkToken(from address, sum guess) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, right := f.right[sum]; right {
		return nil
	}
	return f.wait(from, time.Now())
}

// checkedToken counts a token that was wrong, and remembers one that was right. Of tokens that
// were checked at the same time more may be wrong than the address may send: it waits the
// longer for the next one.
func (f *failures) checkedToken(from address, sum guess, right bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !right {
		delete(f.right, sum)
		f.count(from, time.Now())
		return
	}
	if _, known := f.right[sum]; known {
		return
	}
	for other := range f.right {
		if len(f.right) < maxRightTokens {
			break
		}
		delete(f.right, other)
	}
	f.right[sum] = struct{}{}
}

// wrongSecret counts a wrong secret. Errors: errTooManyGuesses, and it has not counted then;
// errUnauthorized.
func (f *failures) wrongSecret(from address) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if err := f.wait(from, now); err != nil {
		return err
	}
	f.count(from, now)
	return errUnauthorized
}

// wait returns a tooManyGuessesError where an address may not guess now.
func (f *failures) wait(from address, now time.Time) error {
	for _, limiter := range []*rate.Limiter{f.guesses[from], f.all} {
		if limiter == nil {
			continue
		}
		next := limiter.ReserveN(now, 1)
		wait := next.DelayFrom(now)
		next.CancelAt(now)
		if wait > 0 {
			return &tooManyGuessesError{wait}
		}
	}
	return nil
}

// count takes a guess from an address and from all, though there may be none left.
func (f *failures) count(from address, now time.Time) {
	limiter := f.guesses[from]
	if limiter == nil {
		f.tidy(now)
		limiter = rate.NewLimiter(rate.Every(guessInterval), f.limit)
		from.name = strings.Clone(from.name) // which may be a part of a large header
		f.guesses[from] = limiter
	}
	limiter.ReserveN(now, 1)
	f.all.ReserveN(now, 1)
}

// tidy forgets the addresses that have guessed nothing lately. All others are no more than may
// guess in the meantime: it is the limit of all that bounds them.
func (f *failures) tidy(now time.Time) {
	if len(f.guesses) < f.tidyAt {
		return
	}
	maps.DeleteFunc(f.guesses, func(_ address, limiter *rate.Limiter) bool { return limiter.TokensAt(now) >= float64(f.limit) })
	f.tidyAt = 2*len(f.guesses) + 100
}

// parseAddress returns the address of a RemoteAddr, as net/http has it.
func parseAddress(remote string) address {
	host := remote
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return clientAddressOf(host)
}

// clientAddressOf returns the address that an IP address, or another name, is.
func clientAddressOf(name string) address {
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return named(name)
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
