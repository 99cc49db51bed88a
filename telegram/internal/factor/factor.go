// Package factor takes numbers apart.
package factor

import (
	"errors"
	"math/big"
	"math/bits"
)

// TwoPrimes takes the proof of work of a key exchange apart: the product of two different odd
// primes, of which the smaller one comes first. gotd's DecomposePQ takes many times as long,
// and for ever where there is nothing to take apart. Errors: those for anything else.
//
// https://core.telegram.org/mtproto/auth_key#dh-exchange-initiation
func TwoPrimes(product []byte) (p, q []byte, err error) {
	n := new(big.Int).SetBytes(product)
	if n.BitLen() > 63 {
		return nil, nil, errors.New("pq is larger than 63 bits")
	}
	one := divisor(n.Uint64())
	smaller := new(big.Int).SetUint64(one)
	larger := new(big.Int).SetUint64(n.Uint64() / one)
	if smaller.Cmp(larger) > 0 {
		smaller, larger = larger, smaller
	}
	// ProbablyPrime is certain below 2^64.
	if n.Bit(0) == 0 || smaller.Cmp(larger) == 0 || !smaller.ProbablyPrime(0) || !larger.ProbablyPrime(0) {
		return nil, nil, errors.New("pq is not the product of two odd primes")
	}
	return smaller.Bytes(), larger.Bytes(), nil
}

// divisor returns a divisor of a number below 2^63, 1 where it finds no other. It is
// Pollard's rho, https://en.wikipedia.org/wiki/Pollard%27s_rho_algorithm. The divisor of the
// product of some differences is one of n, unless it is n: then another try takes fewer.
func divisor(n uint64) uint64 {
	if n < 15 || new(big.Int).SetUint64(n).ProbablyPrime(0) {
		return 1
	}
	for batch := uint64(128); batch > 0; batch /= 2 {
		next := func(x uint64) uint64 { return (multiply(x, x, n) + batch) % n }
		slow, fast, found := uint64(2), uint64(2), uint64(1)
		for found == 1 {
			differences := uint64(1)
			for range batch {
				slow, fast = next(slow), next(next(fast))
				differences = multiply(differences, max(slow, fast)-min(slow, fast), n)
			}
			found = gcd(differences, n)
		}
		if found < n {
			return found
		}
	}
	return 1
}

// multiply returns a product modulo n.
func multiply(a, b, n uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return bits.Rem64(high, low, n)
}

func gcd(a, b uint64) uint64 {
	for a > 0 {
		a, b = b%a, a
	}
	return b
}
