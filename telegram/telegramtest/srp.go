package telegramtest

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/gotd/td/tg"
)

// The server's side of the two-factor password, https://core.telegram.org/api/srp.

// srpPrimeHex is the prime that Telegram uses, and srpGenerator the generator.
const (
	srpPrimeHex = "c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4db" +
		"fa336f6e0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64" +
		"2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b41" +
		"0dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4" +
		"e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf" +
		"6f4fadf034b10403119cd8e3b92fcc5b"
	srpGenerator = 3
)

// group is where the arithmetic takes place: p, g, and the multiplier k = H(p | g).
type group struct{ p, g, k *big.Int }

func srpGroup() group {
	p, ok := new(big.Int).SetString(srpPrimeHex, 16)
	if !ok {
		panic("telegramtest: the prime is not a number") // a constant
	}
	g := big.NewInt(srpGenerator)
	return group{p, g, number(srpHash(padded(p), padded(g)))}
}

// verifier is what a server knows of a password.
type verifier struct {
	salt1, salt2 []byte
	v            *big.Int // g^x
}

func newVerifier(password string) (*verifier, error) {
	of := &verifier{salt1: make([]byte, 40), salt2: make([]byte, 16)}
	_, _ = rand.Read(of.salt1) // never fails
	_, _ = rand.Read(of.salt2)
	salted := func(salt, data []byte) []byte { return srpHash(salt, data, salt) }
	first := salted(of.salt2, salted(of.salt1, []byte(password)))
	stretched, err := pbkdf2.Key(sha512.New, string(first), of.salt1, 100_000, 64)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	x := number(salted(of.salt2, stretched))
	group := srpGroup()
	of.v = new(big.Int).Exp(group.g, x, group.p)
	return of, nil
}

// algorithm describes to the client how the verifier was made.
func (v *verifier) algorithm() tg.PasswordKdfAlgoClass {
	return &tg.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow{
		Salt1: v.salt1, Salt2: v.salt2, G: srpGenerator, P: padded(srpGroup().p),
	}
}

// challenge is what a client has to answer with the password, once.
type challenge struct {
	id     int64
	of     *verifier
	secret *big.Int // b
	public []byte   // B, as srp_B
}

func newChallenge(of *verifier) *challenge {
	random := make([]byte, 256+8)
	_, _ = rand.Read(random) // never fails
	group := srpGroup()
	c := &challenge{
		id: int64(binary.LittleEndian.Uint64(random[256:])), of: of, secret: number(random[:256]),
	}
	// B = (k*v + g^b) mod p
	b := new(big.Int).Mul(group.k, of.v)
	b.Add(b, new(big.Int).Exp(group.g, c.secret, group.p))
	c.public = padded(b.Mod(b, group.p))
	return c
}

// accepts says whether an answer was made with the password.
func (c *challenge) accepts(answer *tg.InputCheckPasswordSRP) bool {
	group := srpGroup()
	a := number(answer.A)
	if a.Sign() == 0 || a.Cmp(group.p) >= 0 {
		return false // A = 0 mod p would make the rest independent of the password
	}
	u := number(srpHash(padded(a), c.public))
	// S = (A * v^u)^b mod p
	s := new(big.Int).Exp(c.of.v, u, group.p)
	s.Exp(s.Mul(s, a), c.secret, group.p)
	mixed := srpHash(padded(group.p))
	subtle.XORBytes(mixed, mixed, srpHash(padded(group.g)))
	want := srpHash(mixed, srpHash(c.of.salt1), srpHash(c.of.salt2), padded(a), c.public, srpHash(padded(s)))
	return subtle.ConstantTimeCompare(want, answer.M1) == 1
}

func srpHash(parts ...[]byte) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

func number(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// padded returns a number below the prime as 2048 bits.
func padded(n *big.Int) []byte { return n.FillBytes(make([]byte, 256)) }
