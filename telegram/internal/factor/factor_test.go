package factor

import (
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/gotd/td/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTwoPrimes(t *testing.T) {
	products := []*big.Int{big.NewInt(15), big.NewInt(3 * 65537), big.NewInt(65537 * 65539), big.NewInt(0x17ED48941A08F981)}
	for range 20 {
		p, err := rand.Prime(rand.Reader, 31)
		require.NoError(t, err)
		q, err := rand.Prime(rand.Reader, 32)
		require.NoError(t, err)
		products = append(products, new(big.Int).Mul(p, q))
	}
	for _, product := range products {
		p, q, err := TwoPrimes(product.Bytes())
		require.NoError(t, err, product)
		first, second := new(big.Int).SetBytes(p), new(big.Int).SetBytes(q)
		assert.Negative(t, first.Cmp(second), product)
		assert.Zero(t, product.Cmp(first.Mul(first, second)), product)
	}
	p, q, err := TwoPrimes(products[3].Bytes())
	require.NoError(t, err)
	gotdsP, gotdsQ, err := crypto.DecomposePQ(products[3], rand.Reader)
	require.NoError(t, err)
	assert.Equal(t, [][]byte{gotdsP.Bytes(), gotdsQ.Bytes()}, [][]byte{p, q})
}

func TestTwoPrimesRefuses(t *testing.T) {
	for name, product := range map[string]*big.Int{
		"nothing": new(big.Int), "1": big.NewInt(1), "2": big.NewInt(2), "a prime": big.NewInt(65537), "the largest prime": big.NewInt(9223372036854775783),
		"even": big.NewInt(2 * 65537), "a square": big.NewInt(65537 * 65537), "a small square": big.NewInt(25), "three primes": big.NewInt(65537 * 65539 * 3),
		"a power": big.NewInt(3 * 3 * 3 * 3), "64 bits": new(big.Int).SetUint64(4294967291 * 4294967279), "2^63": new(big.Int).Lsh(big.NewInt(1), 63),
		"more than a machine's number": new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(15)),
	} {
		_, _, err := TwoPrimes(product.Bytes())
		require.Error(t, err, name)
	}
}
