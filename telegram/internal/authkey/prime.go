// Package authkey makes auth keys with Telegram, and answers its questions for a two-factor
// password, on the building blocks of gotd. It does both as gotd v0.162.0 does, but for the
// test of the prime: gotd tests two numbers of 2048 bits each time, which is most of what a
// login costs a processor (no issue; TestGotdTestsPrimesAnew in package telegram).
//
// # Why it is as safe
//
// Telegram names a number p and a generator g. Whoever could choose a bad p, such as one that
// is not prime, could compute the secret of a key exchange, or guess passwords from an answer.
// So p has to be a safe prime: p and (p-1)/2 are prime, and p has 2048 bits. That is a property
// of the number alone. It does not depend on who has sent it, when, or how: a test that the
// number has passed once holds for each time that the same number comes. Telegram sends the
// same number each time. It is written down here, TestTelegramPrime tests it as gotd would, and
// what comes is compared with it, all 2048 bits. TDLib has it built in, and does the same.
//
// Any other number is tested as gotd does. The last few that have passed are remembered by
// their SHA-256, which nobody can find a second number for. That is in memory only, and in
// here: nothing from outside can add to it.
//
// g is checked against p each time, and so are the public values of the other side, which are
// new each time. These checks cost next to nothing.
//
//   - https://core.telegram.org/mtproto/auth_key
//   - https://core.telegram.org/mtproto/security_guidelines
//   - https://github.com/tdlib/td/blob/master/td/telegram/DhCache.cpp
package authkey

import (
	"context"
	"crypto/sha256"
	"math/big"
	"slices"

	"github.com/gotd/td/crypto"
)

// telegramPrime is the one that Telegram uses, for key exchanges and for passwords.
var telegramPrime, _ = new(big.Int).SetString(""+
	"c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4dbfa336f6e0ac925139543aed44cce7c37"+
	"20fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f642477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4"+
	"a4a695811051907e162753b56b0f6b410dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4"+
	"e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf6f4fadf034b10403119cd8e3b92fcc5b", 16)

// mostPrimes is how many primes are remembered.
const mostPrimes = 8

// Primes knows which numbers are safe primes. It tests one at a time: a server that sends
// others than Telegram's takes one processor at most. It is safe for concurrent use.
type Primes struct {
	testing chan struct{} // has a value while a number is tested, and what follows is changed
	passed  [][sha256.Size]byte
	test    func(g int, p *big.Int) error
}

// NewPrimes returns a Primes that knows Telegram's.
func NewPrimes() *Primes {
	return &Primes{testing: make(chan struct{}, 1), test: crypto.CheckDH}
}

// check returns an error unless p is a safe prime of 2048 bits, and g generates the subgroup of
// prime order. Errors: the context's, while another number is tested.
func (primes *Primes) check(ctx context.Context, g int, p *big.Int) error {
	if p.Cmp(telegramPrime) == 0 {
		return crypto.CheckGP(g, p)
	}
	select {
	case primes.testing <- struct{}{}:
		defer func() { <-primes.testing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	name := sha256.Sum256(p.Bytes())
	if slices.Contains(primes.passed, name) {
		return crypto.CheckGP(g, p)
	}
	if err := primes.test(g, p); err != nil {
		return err
	}
	if len(primes.passed) == mostPrimes {
		primes.passed = slices.Delete(primes.passed, 0, 1)
	}
	primes.passed = append(primes.passed, name)
	return nil
}
