package telegramtest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"math/big"

	"github.com/gotd/td/crypto/srp"
)

// The server's side of SRP, https://core.telegram.org/api/srp.

// srpPrimeHex and srpGenerator are the group that Telegram uses.
const (
	srpPrimeHex = "c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4db" +
		"fa336f6e0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64" +
		"2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b41" +
		"0dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4" +
		"e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf" +
		"6f4fadf034b10403119cd8e3b92fcc5b"
	srpGenerator = 3
)

// verifier is what the server knows of an account's password.
type verifier struct {
	salt1, salt2 []byte
	v            *big.Int
}

func newVerifier(password string) (*verifier, error) {
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	input := srp.Input{Salt1: random[:8], Salt2: random[8:], G: srpGenerator, P: srpPrime().Bytes()}
	hash, salt1, err := srp.NewSRP(rand.Reader).NewHash([]byte(password), input)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return &verifier{salt1: salt1, salt2: input.Salt2, v: new(big.Int).SetBytes(hash)}, nil
}

// challenge is one set of parameters, good for one answer.
type challenge struct {
	id   int64
	of   *verifier
	b    *big.Int
	srpB []byte
}

func newChallenge(of *verifier) (*challenge, error) {
	secret := make([]byte, 256)
	id := make([]byte, 8)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	p, g := srpPrime(), big.NewInt(srpGenerator)
	b := new(big.Int).SetBytes(secret)
	// B = (k*v + g^b) mod p
	gb := new(big.Int).Exp(g, b, p)
	kv := new(big.Int).Mul(srpK(), of.v)
	return &challenge{
		id: new(big.Int).SetBytes(id).Int64() & (1<<62 - 1), of: of, b: b,
		srpB: pad256(new(big.Int).Mod(gb.Add(gb, kv), p)),
	}, nil
}

// accepts says whether the answer was made with the right password.
func (c *challenge) accepts(a, m1 []byte) bool {
	p, g := srpPrime(), big.NewInt(srpGenerator)
	bigA := new(big.Int).SetBytes(a)
	if new(big.Int).Mod(bigA, p).Sign() == 0 {
		return false // would make the result independent of the password
	}
	gA := pad256(bigA)
	u := new(big.Int).SetBytes(hash(gA, c.srpB))
	// S = (A * v^u)^b mod p
	s := new(big.Int).Exp(c.of.v, u, p)
	s.Mul(s, bigA).Exp(s.Mod(s, p), c.b, p)
	k := hash(pad256(s))
	xor := hash(p.Bytes())
	subtle.XORBytes(xor, xor, hash(pad256(g)))
	want := hash(xor, hash(c.of.salt1), hash(c.of.salt2), gA, c.srpB, k)
	return subtle.ConstantTimeCompare(want, m1) == 1
}

func srpPrime() *big.Int {
	prime, err := hex.DecodeString(srpPrimeHex)
	if err != nil {
		panic(err) // a constant
	}
	return new(big.Int).SetBytes(prime)
}

// srpK is the multiplier H(p | g).
func srpK() *big.Int {
	return new(big.Int).SetBytes(hash(srpPrime().Bytes(), pad256(big.NewInt(srpGenerator))))
}

func hash(parts ...[]byte) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// pad256 returns a number as 2048 bits. A client may send a larger one; that has
// been wrong before anything depends on it.
func pad256(n *big.Int) []byte {
	if n.BitLen() > 2048 {
		n = new(big.Int).Mod(n, srpPrime())
	}
	return n.FillBytes(make([]byte, 256))
}
