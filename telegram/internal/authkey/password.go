package authkey

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/tg"
)

// Password returns what answers Telegram's question for a password, for gotd's PasswordWith.
//
// https://core.telegram.org/api/srp
func (primes *Primes) Password(password string) func(context.Context, *tg.AccountPassword) (*tg.InputCheckPasswordSRP, error) {
	return func(ctx context.Context, question *tg.AccountPassword) (*tg.InputCheckPasswordSRP, error) {
		secret := make([]byte, numberSize)
		_, _ = rand.Read(secret) // never fails
		return primes.answer(ctx, password, question, secret)
	}
}

// numberSize is how many bytes the numbers have.
const numberSize = crypto.RSAKeyBits / 8

// answer answers with a given secret. The names are those of Telegram's documentation.
func (primes *Primes) answer(ctx context.Context, password string, question *tg.AccountPassword, secret []byte) (*tg.InputCheckPasswordSRP, error) {
	algo, ok := question.CurrentAlgo.(*passwordAlgo)
	if !ok {
		return nil, fmt.Errorf("a password is checked with %T", question.CurrentAlgo)
	}
	p := new(big.Int).SetBytes(algo.P)
	if err := primes.check(ctx, algo.G, p); err != nil {
		return nil, err
	}
	g, a, gB := big.NewInt(int64(algo.G)), new(big.Int).SetBytes(secret), new(big.Int).SetBytes(question.SRPB)
	gA := new(big.Int).Exp(g, a, p)
	if err := crypto.CheckDHParams(p, g, gA, gB); err != nil {
		return nil, err
	}
	u := new(big.Int).SetBytes(hash(padded(gA), padded(gB)))
	m1, err := proof(password, algo, a, gA, gB, u)
	return &tg.InputCheckPasswordSRP{SRPID: question.SRPID, A: padded(gA), M1: m1}, err
}

type passwordAlgo = tg.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow

// proof returns the proof of a password, M1.
func proof(password string, algo *passwordAlgo, a, gA, gB, u *big.Int) ([]byte, error) {
	if u.Sign() == 0 { // the password would not matter
		return nil, errors.New("the question of a password has u = 0")
	}
	x, err := passwordNumber(password, algo.Salt1, algo.Salt2)
	if err != nil {
		return nil, err
	}
	p, g := new(big.Int).SetBytes(algo.P), big.NewInt(int64(algo.G))
	k := new(big.Int).SetBytes(hash(padded(p), padded(g)))
	kv := k.Mul(k, new(big.Int).Exp(g, x, p))
	t := new(big.Int).Sub(gB, kv)
	exponent := new(big.Int).Mul(u, x)
	sA := t.Exp(t.Mod(t, p), exponent.Add(exponent, a), p)
	mixed := hash(padded(p))
	subtle.XORBytes(mixed, mixed, hash(padded(g)))
	return hash(mixed, hash(algo.Salt1), hash(algo.Salt2), padded(gA), padded(gB), hash(padded(sA))), nil
}

// passwordNumber returns the number x of a password.
func passwordNumber(password string, salt1, salt2 []byte) (*big.Int, error) {
	salted := func(data, salt []byte) []byte { return hash(salt, data, salt) }
	once := salted(salted([]byte(password), salt1), salt2)
	slow, err := pbkdf2.Key(sha512.New, string(once), salt1, 100_000, sha512.Size)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return new(big.Int).SetBytes(salted(slow, salt2)), nil
}

func hash(parts ...[]byte) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// padded returns a number of at most 2048 bits as that many.
func padded(n *big.Int) []byte { return n.FillBytes(make([]byte, numberSize)) }
