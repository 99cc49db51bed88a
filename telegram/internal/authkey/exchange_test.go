package authkey

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/clock"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var serverKey = sync.OnceValue(func() exchange.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return exchange.PrivateKey{RSA: key}
})

// datacenter is a connection with the other side of a key exchange, which a test can have
// done wrong. Each message that is sent is answered at once.
type datacenter struct {
	transport.Conn
	t  *testing.T
	pq int64
	// What follows changes an answer before it is sent, or returns another one.
	resPQ   func(*mt.ResPQ)
	inner   func(*mt.ServerDHInnerData)
	plain   func(answerWithHash []byte)
	params  func(*mt.ServerDHParamsOk) bin.Encoder
	done    func(*mt.DhGenOk) bin.Encoder
	kind    proto.MessageType
	refuse  error // what Recv fails with at last
	keyless bool  // the answer is encrypted with some key

	nonce, serverNonce bin.Int128
	newNonce           bin.Int256
	p, g, a            *big.Int
	requests           int
	result             Result
	answer             bin.Encoder
}

func newDatacenter(t *testing.T) *datacenter {
	d := &datacenter{t: t, pq: 65537 * 65539, kind: proto.MessageServerResponse, p: telegramPrime, g: big.NewInt(3)}
	_, _ = rand.Read(d.serverNonce[:])
	return d
}

func (d *datacenter) exchange(primes *Primes) (Result, error) {
	return Exchange{Conn: d, DC: 4, Keys: []exchange.PublicKey{otherKey, serverKey().Public()}, Clock: clock.System, Primes: primes}.Run(d.t.Context())
}

// otherKey is a key that the datacenter does not have.
var otherKey = exchange.PublicKey{RSA: &rsa.PublicKey{N: big.NewInt(77), E: 3}}

// Send implements transport.Conn.
func (d *datacenter) Send(_ context.Context, b *bin.Buffer) error {
	var message proto.UnencryptedMessage
	require.NoError(d.t, message.Decode(b))
	require.Equal(d.t, proto.MessageFromClient, proto.MessageID(message.MessageID).Type())
	body := &bin.Buffer{Buf: message.MessageData}
	id, err := body.PeekID()
	require.NoError(d.t, err)
	d.requests++
	switch id {
	case mt.ReqPqMultiRequestTypeID:
		var request mt.ReqPqMultiRequest
		require.NoError(d.t, request.Decode(body))
		d.nonce = request.Nonce
		answer := &mt.ResPQ{Nonce: d.nonce, ServerNonce: d.serverNonce, Pq: big.NewInt(d.pq).Bytes(), ServerPublicKeyFingerprints: []int64{1, serverKey().Fingerprint()}}
		if d.resPQ != nil {
			d.resPQ(answer)
		}
		d.answer = answer
	case mt.ReqDHParamsRequestTypeID:
		var request mt.ReqDHParamsRequest
		require.NoError(d.t, request.Decode(body))
		d.answer = d.proved(request)
	default:
		var request mt.SetClientDHParamsRequest
		require.NoError(d.t, request.Decode(body))
		d.answer = d.finished(request)
	}
	return nil
}

// proved answers the proof of work.
func (d *datacenter) proved(request mt.ReqDHParamsRequest) bin.Encoder {
	data, err := crypto.DecodeRSAPad(request.EncryptedData, serverKey().RSA)
	require.NoError(d.t, err)
	var proof mt.PQInnerDataDC
	require.NoError(d.t, proof.Decode(&bin.Buffer{Buf: data}))
	require.Equal(d.t, mt.ReqDHParamsRequest{
		Nonce: d.nonce, ServerNonce: d.serverNonce, P: proof.P, Q: proof.Q,
		PublicKeyFingerprint: serverKey().Fingerprint(), EncryptedData: request.EncryptedData,
	}, request)
	require.Equal(d.t, mt.PQInnerDataDC{
		Pq: big.NewInt(d.pq).Bytes(), P: big.NewInt(65537).Bytes(), Q: big.NewInt(65539).Bytes(),
		Nonce: d.nonce, ServerNonce: d.serverNonce, NewNonce: proof.NewNonce, DC: 4,
	}, proof)
	d.newNonce = proof.NewNonce
	random := make([]byte, numberSize)
	_, _ = rand.Read(random)
	d.a = new(big.Int).SetBytes(random)
	inner := &mt.ServerDHInnerData{
		Nonce: d.nonce, ServerNonce: d.serverNonce, G: int(d.g.Int64()), DhPrime: d.p.Bytes(),
		GA: new(big.Int).Exp(d.g, d.a, d.p).Bytes(), ServerTime: int(time.Now().Unix()),
	}
	if d.inner != nil {
		d.inner(inner)
	}
	var b bin.Buffer
	require.NoError(d.t, inner.Encode(&b))
	if d.plain != nil {
		d.plain(b.Buf)
	}
	key, iv := crypto.TempAESKeys(d.newNonce.BigInt(), d.serverNonce.BigInt())
	encrypted, err := crypto.EncryptExchangeAnswer(rand.Reader, b.Buf, key, iv)
	require.NoError(d.t, err)
	answer := &mt.ServerDHParamsOk{Nonce: d.nonce, ServerNonce: d.serverNonce, EncryptedAnswer: encrypted}
	if d.params != nil {
		return d.params(answer)
	}
	return answer
}

// finished answers with what the key was made of.
func (d *datacenter) finished(request mt.SetClientDHParamsRequest) bin.Encoder {
	key, iv := crypto.TempAESKeys(d.newNonce.BigInt(), d.serverNonce.BigInt())
	data, err := crypto.DecryptExchangeAnswer(request.EncryptedData, key, iv)
	require.NoError(d.t, err)
	var inner mt.ClientDHInnerData
	require.NoError(d.t, inner.Decode(&bin.Buffer{Buf: data}))
	require.Equal(d.t, mt.ClientDHInnerData{Nonce: d.nonce, ServerNonce: d.serverNonce, GB: inner.GB}, inner)
	var made crypto.Key
	new(big.Int).Exp(new(big.Int).SetBytes(inner.GB), d.a, d.p).FillBytes(made[:])
	d.result = Result{Key: made.WithID(), Salt: crypto.ServerSalt(d.newNonce, d.serverNonce)}
	answer := &mt.DhGenOk{Nonce: d.nonce, ServerNonce: d.serverNonce, NewNonceHash1: crypto.NonceHash1(d.newNonce, made)}
	if d.done != nil {
		return d.done(answer)
	}
	return answer
}

// Recv implements transport.Conn.
func (d *datacenter) Recv(_ context.Context, b *bin.Buffer) error {
	if d.refuse != nil {
		return d.refuse
	}
	var body bin.Buffer
	require.NoError(d.t, d.answer.Encode(&body))
	message := proto.UnencryptedMessage{MessageID: int64(proto.NewMessageID(time.Now(), d.kind)), MessageData: body.Buf}
	require.NoError(d.t, message.Encode(b))
	if d.keyless {
		b.Buf[0] = 1
	}
	return nil
}

func TestExchange(t *testing.T) {
	d := newDatacenter(t)
	result, err := d.exchange(NewPrimes())
	require.NoError(t, err)
	assert.Equal(t, d.result, result)
	assert.Equal(t, result.Key.Value.ID(), result.Key.ID)
	again, err := newDatacenter(t).exchange(NewPrimes())
	require.NoError(t, err)
	assert.NotEqual(t, again.Key, result.Key)
}

// Whatever is not as it has to be ends the exchange, and no further message is sent.
func TestExchangeRefuses(t *testing.T) {
	number := func(change func(p *big.Int) *big.Int) func(*mt.ServerDHInnerData) {
		return func(inner *mt.ServerDHInnerData) { inner.DhPrime = change(new(big.Int).Set(telegramPrime)).Bytes() }
	}
	gA := func(value func(p *big.Int) *big.Int) func(*mt.ServerDHInnerData) {
		return func(inner *mt.ServerDHInnerData) { inner.GA = value(telegramPrime).Bytes() }
	}
	safety := new(big.Int).Lsh(big.NewInt(1), 2048-64)
	for name, c := range map[string]struct {
		change   func(*datacenter)
		requests int
	}{
		"another nonce":        {func(d *datacenter) { d.resPQ = func(a *mt.ResPQ) { a.Nonce[0]++ } }, 1},
		"an unknown RSA key":   {func(d *datacenter) { d.resPQ = func(a *mt.ResPQ) { a.ServerPublicKeyFingerprints = []int64{1, 2} } }, 1},
		"no RSA key":           {func(d *datacenter) { d.resPQ = func(a *mt.ResPQ) { a.ServerPublicKeyFingerprints = nil } }, 1},
		"pq is too large":      {func(d *datacenter) { d.resPQ = func(a *mt.ResPQ) { a.Pq = []byte{0x80, 0, 0, 0, 0, 0, 0, 0} } }, 1},
		"pq is prime":          {func(d *datacenter) { d.resPQ = func(a *mt.ResPQ) { a.Pq = []byte{101} } }, 1},
		"an event, no answer":  {func(d *datacenter) { d.kind = proto.MessageFromServer }, 1},
		"an encrypted message": {func(d *datacenter) { d.keyless = true }, 1},
		"the connection ends":  {func(d *datacenter) { d.refuse = net.ErrClosed }, 1},

		"another nonce with the parameters":        {func(d *datacenter) { d.params = okWith(func(a *mt.ServerDHParamsOk) { a.Nonce[0]++ }) }, 2},
		"another server nonce with the parameters": {func(d *datacenter) { d.params = okWith(func(a *mt.ServerDHParamsOk) { a.ServerNonce[0]++ }) }, 2},
		"server_DH_params_fail": {func(d *datacenter) {
			d.params = func(a *mt.ServerDHParamsOk) bin.Encoder {
				return &mt.ServerDHParamsFail{Nonce: a.Nonce, ServerNonce: a.ServerNonce}
			}
		}, 2},
		"no parameters":              {func(d *datacenter) { d.params = func(*mt.ServerDHParamsOk) bin.Encoder { return &mt.DhGenOk{} } }, 2},
		"the hash of another answer": {func(d *datacenter) { d.params = okWith(func(a *mt.ServerDHParamsOk) { a.EncryptedAnswer[40]++ }) }, 2},
		"an answer of half a block": {func(d *datacenter) {
			d.params = okWith(func(a *mt.ServerDHParamsOk) { a.EncryptedAnswer = a.EncryptedAnswer[8:] })
		}, 2},
		"an empty answer":             {func(d *datacenter) { d.params = okWith(func(a *mt.ServerDHParamsOk) { a.EncryptedAnswer = nil }) }, 2},
		"an answer of another kind":   {func(d *datacenter) { d.plain = func(b []byte) { b[0]++ } }, 2},
		"another nonce inside":        {func(d *datacenter) { d.inner = func(a *mt.ServerDHInnerData) { a.Nonce[0]++ } }, 2},
		"another server nonce inside": {func(d *datacenter) { d.inner = func(a *mt.ServerDHInnerData) { a.ServerNonce[0]++ } }, 2},
		"a small prime":               {func(d *datacenter) { d.inner = number(func(*big.Int) *big.Int { return big.NewInt(23) }) }, 2},
		"no number at all":            {func(d *datacenter) { d.inner = number(func(*big.Int) *big.Int { return new(big.Int) }) }, 2},
		"an even number":              {func(d *datacenter) { d.inner = number(func(p *big.Int) *big.Int { return p.Sub(p, big.NewInt(1)) }) }, 2},
		"a number that is not prime": {func(d *datacenter) {
			d.inner = number(func(p *big.Int) *big.Int { return p.Sub(p, big.NewInt(12*256)) })
		}, 2},
		"Telegram's prime and more": {func(d *datacenter) { d.inner = number(func(p *big.Int) *big.Int { return p.SetBit(p, 2048, 1) }) }, 2},
		"g is no quadratic residue": {func(d *datacenter) { d.inner = func(a *mt.ServerDHInnerData) { a.G = 2 } }, 2},
		"g is 1":                    {func(d *datacenter) { d.inner = func(a *mt.ServerDHInnerData) { a.G = 1 } }, 2},
		"g is 8":                    {func(d *datacenter) { d.inner = func(a *mt.ServerDHInnerData) { a.G = 8 } }, 2},
		"g is negative":             {func(d *datacenter) { d.inner = func(a *mt.ServerDHInnerData) { a.G = -3 } }, 2},
		"g_a is 0":                  {func(d *datacenter) { d.inner = gA(func(*big.Int) *big.Int { return new(big.Int) }) }, 2},
		"g_a is 1":                  {func(d *datacenter) { d.inner = gA(func(*big.Int) *big.Int { return big.NewInt(1) }) }, 2},
		"g_a is p-1": {func(d *datacenter) {
			d.inner = gA(func(p *big.Int) *big.Int { return new(big.Int).Sub(p, big.NewInt(1)) })
		}, 2},
		"g_a is above p":               {func(d *datacenter) { d.inner = gA(func(p *big.Int) *big.Int { return new(big.Int).Add(p, safety) }) }, 2},
		"g_a is 2^(2048-64)":           {func(d *datacenter) { d.inner = gA(func(*big.Int) *big.Int { return safety }) }, 2},
		"g_a is p-2^(2048-64)":         {func(d *datacenter) { d.inner = gA(func(p *big.Int) *big.Int { return new(big.Int).Sub(p, safety) }) }, 2},
		"another nonce at last":        {func(d *datacenter) { d.done = genWith(func(a *mt.DhGenOk) { a.Nonce[0]++ }) }, 3},
		"another server nonce at last": {func(d *datacenter) { d.done = genWith(func(a *mt.DhGenOk) { a.ServerNonce[0]++ }) }, 3},
		"another key":                  {func(d *datacenter) { d.done = genWith(func(a *mt.DhGenOk) { a.NewNonceHash1[0]++ }) }, 3},
		"dh_gen_retry": {func(d *datacenter) {
			d.done = func(a *mt.DhGenOk) bin.Encoder { return &mt.DhGenRetry{Nonce: a.Nonce, ServerNonce: a.ServerNonce} }
		}, 3},
		"dh_gen_fail": {func(d *datacenter) {
			d.done = func(a *mt.DhGenOk) bin.Encoder { return &mt.DhGenFail{Nonce: a.Nonce, ServerNonce: a.ServerNonce} }
		}, 3},
		"something else at last": {func(d *datacenter) { d.done = func(*mt.DhGenOk) bin.Encoder { return &mt.ResPQ{} } }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatacenter(t)
			c.change(d)
			result, err := d.exchange(NewPrimes())
			require.Error(t, err)
			assert.Equal(t, Result{}, result)
			assert.Equal(t, c.requests, d.requests)
			assert.Equal(t, name == "an unknown RSA key" || name == "no RSA key", errors.Is(err, exchange.ErrKeyFingerprintNotFound))
		})
	}
}

func okWith(change func(*mt.ServerDHParamsOk)) func(*mt.ServerDHParamsOk) bin.Encoder {
	return func(a *mt.ServerDHParamsOk) bin.Encoder {
		change(a)
		return a
	}
}

func genWith(change func(*mt.DhGenOk)) func(*mt.DhGenOk) bin.Encoder {
	return func(a *mt.DhGenOk) bin.Encoder {
		change(a)
		return a
	}
}

// gotd's server takes what the client sends, and has the same key afterwards.
func TestExchangeWithGotdsServer(t *testing.T) {
	client, server := transport.Intermediate.Pipe()
	made := make(chan exchange.ServerExchangeResult, 1)
	go func() {
		result, err := exchange.NewExchanger(server, 4).Server(serverKey()).Run(t.Context())
		assert.NoError(t, err)
		made <- result
	}()
	result, err := Exchange{Conn: client, DC: 4, Keys: []exchange.PublicKey{serverKey().Public()}, Clock: clock.System, Primes: NewPrimes()}.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, exchange.ServerExchangeResult{Key: result.Key, ServerSalt: result.Salt}, <-made)
}
