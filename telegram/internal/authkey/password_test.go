package authkey

import (
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func randomBytes(n int) []byte {
	random := make([]byte, n)
	_, _ = rand.Read(random)
	return random
}

// question asks for a password as Telegram does.
func question() (*tg.AccountPassword, *passwordAlgo) {
	algo := &passwordAlgo{Salt1: randomBytes(40), Salt2: randomBytes(16), G: 3, P: telegramPrime.Bytes()}
	b := new(big.Int).SetBytes(randomBytes(numberSize))
	q := &tg.AccountPassword{SRPID: 42, SRPB: b.Exp(big.NewInt(3), b, telegramPrime).Bytes()}
	q.SetCurrentAlgo(algo)
	return q, algo
}

// The answer is gotd's, for the same secret.
func TestPasswordAsGotdAnswers(t *testing.T) {
	for _, password := range []string{"correct horse", "", "пароль"} {
		q, _ := question()
		q.SecureRandom = randomBytes(numberSize)
		want, err := auth.PasswordHash([]byte(password), q.SRPID, q.SRPB, q.SecureRandom, q.CurrentAlgo)
		require.NoError(t, err)
		got, err := NewPrimes().answer(t.Context(), password, q, q.SecureRandom)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// The secret is not one that Telegram has chosen, nor one of before.
func TestPasswordSecretIsNew(t *testing.T) {
	q, _ := question()
	q.SecureRandom = randomBytes(numberSize)
	answer := NewPrimes().Password("correct horse")
	one, err := answer(t.Context(), q)
	require.NoError(t, err)
	two, err := answer(t.Context(), q)
	require.NoError(t, err)
	chosen := new(big.Int).SetBytes(q.SecureRandom)
	assert.NotEqual(t, one.A, two.A)
	assert.NotEqual(t, padded(chosen.Exp(big.NewInt(3), chosen, telegramPrime)), one.A)
}

func TestPasswordRefuses(t *testing.T) {
	p := func(change func(p *big.Int) *big.Int) func(*tg.AccountPassword, *passwordAlgo) {
		return func(_ *tg.AccountPassword, a *passwordAlgo) { a.P = change(new(big.Int).Set(telegramPrime)).Bytes() }
	}
	gB := func(value *big.Int) func(*tg.AccountPassword, *passwordAlgo) {
		return func(q *tg.AccountPassword, _ *passwordAlgo) { q.SRPB = value.Bytes() }
	}
	g := func(g int) func(*tg.AccountPassword, *passwordAlgo) {
		return func(_ *tg.AccountPassword, a *passwordAlgo) { a.G = g }
	}
	safety := new(big.Int).Lsh(big.NewInt(1), 2048-64)
	for name, change := range map[string]func(*tg.AccountPassword, *passwordAlgo){
		"no algorithm":                func(q *tg.AccountPassword, _ *passwordAlgo) { q.CurrentAlgo = nil },
		"an unknown algorithm":        func(q *tg.AccountPassword, _ *passwordAlgo) { q.CurrentAlgo = &tg.PasswordKdfAlgoUnknown{} },
		"a small prime":               p(func(*big.Int) *big.Int { return big.NewInt(23) }),
		"an even number":              p(func(p *big.Int) *big.Int { return p.Sub(p, big.NewInt(1)) }),
		"a number that is not prime":  p(func(p *big.Int) *big.Int { return p.Sub(p, big.NewInt(12*256)) }),
		"g is no quadratic residue":   g(2),
		"g is 1":                      g(1),
		"g is 8":                      g(8),
		"g_b is 0":                    gB(new(big.Int)),
		"g_b is 1":                    gB(big.NewInt(1)),
		"g_b is p-1":                  gB(new(big.Int).Sub(telegramPrime, big.NewInt(1))),
		"g_b is p":                    gB(telegramPrime),
		"g_b is above p":              gB(new(big.Int).Add(telegramPrime, safety)),
		"g_b is 2^(2048-64)":          gB(safety),
		"g_b is p-2^(2048-64)":        gB(new(big.Int).Sub(telegramPrime, safety)),
		"g_b has more than 2048 bits": gB(new(big.Int).Lsh(telegramPrime, 8)),
	} {
		q, algo := question()
		change(q, algo)
		_, err := NewPrimes().Password("correct horse")(t.Context(), q)
		require.Error(t, err, name)
	}
	q, algo := question()
	one, b := big.NewInt(1), new(big.Int).SetBytes(q.SRPB)
	_, err := proof("correct horse", algo, one, big.NewInt(3), b, one)
	require.NoError(t, err)
	_, err = proof("correct horse", algo, one, big.NewInt(3), b, new(big.Int))
	require.Error(t, err, "u is 0")
	_, err = NewPrimes().answer(t.Context(), "correct horse", q, []byte{1})
	require.Error(t, err, "g_a is too small")
}
