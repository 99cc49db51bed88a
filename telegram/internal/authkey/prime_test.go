package authkey

import (
	"context"
	"errors"
	"math/big"
	"testing"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The number that is not tested any more is one that passes gotd's test.
func TestTelegramPrime(t *testing.T) {
	require.NoError(t, crypto.CheckDH(3, telegramPrime))
	gotds, err := exchange.TestServerRNG{}.DhPrime()
	require.NoError(t, err)
	assert.Zero(t, gotds.Cmp(telegramPrime))
}

// Telegram's prime is known, and nothing else: another one is tested as gotd does it, once.
func TestOtherPrimesAreTested(t *testing.T) {
	// https://datatracker.ietf.org/doc/html/rfc3526#section-3
	other, ok := new(big.Int).SetString("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"+
		"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"+
		"49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804"+
		"F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"+
		"15728E5A8AACAA68FFFFFFFFFFFFFFFF", 16)
	require.True(t, ok)
	primes, tested := NewPrimes(), 0
	gotds := primes.test
	primes.test = func(g int, p *big.Int) error {
		tested++
		return gotds(g, p)
	}
	require.NoError(t, primes.check(t.Context(), 3, telegramPrime))
	assert.Zero(t, tested)
	for range 2 {
		d := newDatacenter(t)
		d.p, d.g = other, big.NewInt(2)
		result, err := d.exchange(primes)
		require.NoError(t, err)
		assert.Equal(t, d.result, result)
	}
	require.Error(t, primes.check(t.Context(), 8, other), "g is checked each time")
	assert.Equal(t, 1, tested)
}

// Only what has passed is remembered, and of that the last few.
func TestPrimesAreRemembered(t *testing.T) {
	primes, tested := NewPrimes(), 0
	failing := errors.New("not prime")
	primes.test = func(_ int, p *big.Int) error {
		tested++
		if p.Cmp(big.NewInt(1000)) > 0 {
			return failing
		}
		return nil
	}
	check := func(p int64) error { return primes.check(t.Context(), 4, big.NewInt(p)) }
	for range 2 {
		require.ErrorIs(t, check(1001), failing)
	}
	assert.Equal(t, 2, tested)
	for p := range int64(mostPrimes) {
		require.NoError(t, check(p))
		require.NoError(t, check(p))
	}
	assert.Equal(t, 2+mostPrimes, tested)
	require.NoError(t, check(mostPrimes)) // forgets the first
	require.NoError(t, check(1))
	assert.Equal(t, 3+mostPrimes, tested)
	require.NoError(t, check(0))
	assert.Equal(t, 4+mostPrimes, tested)
	assert.Len(t, primes.passed, mostPrimes)
}

// Numbers are tested one after the other, and whoever waits gives up with the context. That
// concerns others than Telegram's only.
func TestPrimesAreTestedOneAtATime(t *testing.T) {
	primes, testing, end := NewPrimes(), make(chan struct{}), make(chan struct{})
	tested := 0
	primes.test = func(int, *big.Int) error {
		tested++
		close(testing)
		<-end
		return nil
	}
	results := make(chan error)
	check := func(ctx context.Context, p *big.Int) { results <- primes.check(ctx, 3, p) }
	other := big.NewInt(23)
	go check(t.Context(), other)
	<-testing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go check(ctx, big.NewInt(47))
	require.ErrorIs(t, <-results, context.Canceled)
	go check(t.Context(), telegramPrime)
	require.NoError(t, <-results)
	go check(t.Context(), other)
	close(end)
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	assert.Equal(t, 1, tested)
}
