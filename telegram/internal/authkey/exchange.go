package authkey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/clock"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/transport"

	"github.com/tgprovision/tgprovision/telegram/internal/factor"
)

// Exchange is a key exchange of a client with a datacenter.
type Exchange struct {
	Conn   transport.Conn
	DC     int
	Keys   []exchange.PublicKey // those that the datacenter may prove itself with
	Clock  clock.Clock
	Primes *Primes

	nonce, serverNonce bin.Int128
	newNonce           bin.Int256
}

// Result is what a key exchange has made.
type Result struct {
	Key  crypto.AuthKey
	Salt int64
}

// Run makes an auth key. It uses the connection alone, and returns at the first thing that is
// not as it has to be: nothing of a failed exchange is of any use. Errors:
// exchange.ErrKeyFingerprintNotFound where the datacenter has none of the keys.
//
// https://core.telegram.org/mtproto/auth_key
func (x Exchange) Run(ctx context.Context) (Result, error) {
	_, _ = rand.Read(x.nonce[:]) // never fails
	_, _ = rand.Read(x.newNonce[:])
	params, err := x.prove(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("begin a key exchange: %w", err)
	}
	result, err := x.finish(ctx, params)
	if err != nil {
		return Result{}, fmt.Errorf("finish a key exchange: %w", err)
	}
	return result, nil
}

// prove has the datacenter prove that it has one of the keys, and returns what it answers.
func (x *Exchange) prove(ctx context.Context) (params mt.ServerDHInnerData, err error) {
	b, err := x.call(ctx, &mt.ReqPqMultiRequest{Nonce: x.nonce})
	if err != nil {
		return params, err
	}
	var question mt.ResPQ
	if err := question.Decode(b); err != nil {
		return params, err
	}
	x.serverNonce = question.ServerNonce
	if err := x.isOurs(question.Nonce, question.ServerNonce); err != nil {
		return params, err
	}
	known := slices.IndexFunc(x.Keys, func(key exchange.PublicKey) bool {
		return slices.Contains(question.ServerPublicKeyFingerprints, key.Fingerprint())
	})
	if known < 0 {
		return params, exchange.ErrKeyFingerprintNotFound
	}
	p, q, err := factor.TwoPrimes(question.Pq)
	if err != nil {
		return params, err
	}
	var inner bin.Buffer
	if err := inner.Encode(&mt.PQInnerDataDC{
		Pq: question.Pq, P: p, Q: q, Nonce: x.nonce, ServerNonce: x.serverNonce, NewNonce: x.newNonce, DC: x.DC,
	}); err != nil {
		return params, err
	}
	encrypted, err := crypto.RSAPad(inner.Buf, x.Keys[known].RSA, rand.Reader)
	if err != nil {
		return params, err
	}
	b, err = x.call(ctx, &mt.ReqDHParamsRequest{
		Nonce: x.nonce, ServerNonce: x.serverNonce, P: p, Q: q,
		PublicKeyFingerprint: x.Keys[known].Fingerprint(), EncryptedData: encrypted,
	})
	if err != nil {
		return params, err
	}
	return x.decrypt(b)
}

// decrypt reads what the datacenter answers to the proof.
func (x *Exchange) decrypt(b *bin.Buffer) (params mt.ServerDHInnerData, err error) {
	answer, err := mt.DecodeServerDHParams(b)
	if err != nil {
		return params, err
	}
	ok, isOK := answer.(*mt.ServerDHParamsOk)
	if !isOK {
		return params, fmt.Errorf("the datacenter has answered %T", answer)
	}
	if err := x.isOurs(ok.Nonce, ok.ServerNonce); err != nil {
		return params, err
	}
	key, iv := crypto.TempAESKeys(x.newNonce.BigInt(), x.serverNonce.BigInt())
	plain, err := crypto.DecryptExchangeAnswer(ok.EncryptedAnswer, key, iv)
	if err != nil {
		return params, err
	}
	// It is empty, without an error, where the answer does not have its hash.
	if err := params.Decode(&bin.Buffer{Buf: plain}); err != nil {
		return params, err
	}
	return params, x.isOurs(params.Nonce, params.ServerNonce)
}

// finish makes the key out of what the datacenter has sent and a secret.
func (x *Exchange) finish(ctx context.Context, params mt.ServerDHInnerData) (result Result, err error) {
	p, g, gA := new(big.Int).SetBytes(params.DhPrime), big.NewInt(int64(params.G)), new(big.Int).SetBytes(params.GA)
	if err := x.Primes.check(ctx, params.G, p); err != nil {
		return result, err
	}
	random := make([]byte, numberSize)
	_, _ = rand.Read(random) // never fails
	secret := new(big.Int).SetBytes(random)
	gB := new(big.Int).Exp(g, secret, p)
	if err := crypto.CheckDHParams(p, g, gA, gB); err != nil {
		return result, err
	}
	var inner bin.Buffer
	if err := inner.Encode(&mt.ClientDHInnerData{Nonce: x.nonce, ServerNonce: x.serverNonce, GB: gB.Bytes()}); err != nil {
		return result, err
	}
	key, iv := crypto.TempAESKeys(x.newNonce.BigInt(), x.serverNonce.BigInt())
	encrypted, err := crypto.EncryptExchangeAnswer(rand.Reader, inner.Buf, key, iv)
	if err != nil {
		return result, err
	}
	b, err := x.call(ctx, &mt.SetClientDHParamsRequest{Nonce: x.nonce, ServerNonce: x.serverNonce, EncryptedData: encrypted})
	if err != nil {
		return result, err
	}
	answer, err := mt.DecodeSetClientDHParamsAnswer(b)
	if err != nil {
		return result, err
	}
	ok, isOK := answer.(*mt.DhGenOk)
	if !isOK { // dh_gen_retry too: like gotd, with a new exchange
		return result, fmt.Errorf("the datacenter has answered %T", answer)
	}
	if err := x.isOurs(ok.Nonce, ok.ServerNonce); err != nil {
		return result, err
	}
	var made crypto.Key
	new(big.Int).Exp(gA, secret, p).FillBytes(made[:])
	if crypto.NonceHash1(x.newNonce, made) != ok.NewNonceHash1 {
		return result, errors.New("the datacenter has another auth key")
	}
	return Result{Key: made.WithID(), Salt: crypto.ServerSalt(x.newNonce, x.serverNonce)}, nil
}

// isOurs returns an error for an answer that is not of this exchange.
func (x *Exchange) isOurs(nonce, serverNonce bin.Int128) error {
	if nonce != x.nonce || serverNonce != x.serverNonce {
		return errors.New("an answer belongs to another key exchange")
	}
	return nil
}

// call sends a message that is not encrypted, and receives the answer.
func (x *Exchange) call(ctx context.Context, request bin.Encoder) (*bin.Buffer, error) {
	b := &bin.Buffer{}
	if err := b.Encode(request); err != nil {
		return nil, err
	}
	message := proto.UnencryptedMessage{
		MessageID: int64(proto.NewMessageID(x.Clock.Now(), proto.MessageFromClient)), MessageData: b.Copy(),
	}
	b.Reset()
	if err := b.Encode(message); err != nil {
		return nil, err
	}
	if err := x.Conn.Send(ctx, b); err != nil {
		return nil, err
	}
	b.Reset()
	if err := x.Conn.Recv(ctx, b); err != nil {
		return nil, err
	}
	if err := b.Decode(&message); err != nil {
		return nil, err
	}
	if proto.MessageID(message.MessageID).Type() != proto.MessageServerResponse {
		return nil, errors.New("a message is not an answer")
	}
	return &bin.Buffer{Buf: message.MessageData}, nil
}
