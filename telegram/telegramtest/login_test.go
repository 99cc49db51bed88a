package telegramtest_test

import (
	"errors"
	"testing"

	"github.com/gotd/td/crypto/srp"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// rpcError asserts an error of Telegram's.
func rpcError(t *testing.T, err error, code int, message string) {
	t.Helper()
	rpc, ok := tgerr.As(err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, []any{code, message}, []any{rpc.Code, rpc.Message})
}

func TestLoginByCode(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s)
	_, err := c.Self(t.Context())
	rpcError(t, err, 401, "AUTH_KEY_UNREGISTERED")

	sent := c.sentCode(ada)
	assert.Equal(t, &tg.AuthSentCodeTypeApp{Length: 5}, sent.Type)
	for _, wrong := range []string{"11111", "012345"} {
		_, err = c.Auth().SignIn(t.Context(), ada.Phone, wrong, sent.PhoneCodeHash)
		rpcError(t, err, 400, "PHONE_CODE_INVALID")
	}
	_, err = c.Auth().SignIn(t.Context(), ada.Phone, "", sent.PhoneCodeHash)
	rpcError(t, err, 400, "PHONE_CODE_EMPTY")
	_, err = c.Auth().SignIn(t.Context(), grace.Phone, telegramtest.DefaultCode, sent.PhoneCodeHash)
	rpcError(t, err, 400, "PHONE_CODE_EXPIRED")
	assert.Zero(t, s.Sessions(ada.ID))

	_, err = c.Auth().SignIn(t.Context(), "+999 661-0001", ada.Code, sent.PhoneCodeHash)
	require.NoError(t, err)
	c.is(ada)
	assert.Equal(t, 1, s.Sessions(ada.ID))
	assert.Equal(t, s.AuthKeys(), s.AccountKeys(ada.ID))
	assert.Empty(t, s.AccountKeys(grace.ID))
	_, err = c.Auth().SignIn(t.Context(), ada.Phone, ada.Code, sent.PhoneCodeHash)
	rpcError(t, err, 400, "PHONE_CODE_EXPIRED")
	c.is(ada)

	_, err = c.API().AuthLogOut(t.Context())
	require.NoError(t, err)
	_, err = c.Self(t.Context())
	rpcError(t, err, 401, "AUTH_KEY_UNREGISTERED")
	assert.Zero(t, s.Sessions(ada.ID))
	assert.Empty(t, s.AccountKeys(ada.ID))
}

func TestCodeBelongsToTheAuthKey(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	storage := &session.StorageMemory{}
	c, other := start(t, s, withSession(storage)), start(t, s)
	hash := c.sendCode(ada)
	_, err := other.Auth().SignIn(t.Context(), ada.Phone, ada.Code, hash)
	rpcError(t, err, 400, "PHONE_CODE_EXPIRED")
	c.stop()
	// The same auth key over another connection.
	again := start(t, s, withSession(storage))
	_, err = again.Auth().SignIn(t.Context(), ada.Phone, ada.Code, hash)
	require.NoError(t, err)
}

func TestSendingCodes(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	require.NoError(t, s.AddAccount(telegramtest.Account{ID: 5, Phone: "9996610005", SendCodeError: "PHONE_NUMBER_BANNED"}))
	c := start(t, s)
	send := func(phone string) error {
		_, err := c.Auth().SendCode(t.Context(), phone, auth.SendCodeOptions{})
		return err
	}
	rpcError(t, send("9996610005"), 400, "PHONE_NUMBER_BANNED")
	for _, phone := range []string{"", "1234", "1234567890123456", "+49abc1234"} {
		rpcError(t, send(phone), 406, "PHONE_NUMBER_INVALID")
	}
	_, err := c.API().AuthSendCode(t.Context(), &tg.AuthSendCodeRequest{PhoneNumber: ada.Phone})
	rpcError(t, err, 400, "API_ID_INVALID")

	first := c.sentCode(ada)
	assert.Equal(t, &tg.AuthCodeTypeSMS{}, first.NextType)
	resend := func(hash string) (*tg.AuthSentCode, error) {
		answer, err := c.Auth().ResendCode(t.Context(), ada.Phone, hash)
		sent, _ := answer.(*tg.AuthSentCode)
		return sent, err
	}
	_, err = resend("another")
	rpcError(t, err, 400, "PHONE_CODE_EXPIRED")
	_, err = resend("")
	rpcError(t, err, 400, "PHONE_CODE_HASH_EMPTY")
	second, err := resend(first.PhoneCodeHash)
	require.NoError(t, err)
	assert.Equal(t, &tg.AuthSentCodeTypeSMS{Length: 5}, second.Type)
	third, err := resend(second.PhoneCodeHash)
	require.NoError(t, err)
	assert.Equal(t, &tg.AuthSentCodeTypeCall{Length: 5}, third.Type)
	assert.Nil(t, third.NextType)
	assert.Equal(t, []string{first.PhoneCodeHash, second.PhoneCodeHash, third.PhoneCodeHash}, s.CodeHashes())
	_, err = resend(third.PhoneCodeHash)
	rpcError(t, err, 406, "SEND_CODE_UNAVAILABLE")
	_, err = c.Auth().SignIn(t.Context(), ada.Phone, ada.Code, first.PhoneCodeHash)
	rpcError(t, err, 400, "PHONE_CODE_EXPIRED")

	_, err = c.API().AuthCancelCode(t.Context(), &tg.AuthCancelCodeRequest{PhoneNumber: ada.Phone, PhoneCodeHash: third.PhoneCodeHash})
	require.NoError(t, err)
	_, err = c.Auth().SignIn(t.Context(), ada.Phone, ada.Code, third.PhoneCodeHash)
	rpcError(t, err, 400, "PHONE_CODE_EXPIRED")

	hash := c.sendCode(ada)
	require.NoError(t, s.ExpireCode(ada.Phone))
	_, err = c.Auth().SignIn(t.Context(), ada.Phone, ada.Code, hash)
	rpcError(t, err, 400, "PHONE_CODE_EXPIRED")
}

func TestCodeDeliveries(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s)
	for i, delivery := range []telegramtest.CodeDelivery{
		telegramtest.CodeByApp, telegramtest.CodeBySMS, telegramtest.CodeByCall, telegramtest.CodeByFlashCall,
		telegramtest.CodeByMissedCall, telegramtest.CodeByEmail, telegramtest.CodeByFragment, telegramtest.CodeByWord,
		telegramtest.CodeByPhrase, telegramtest.EmailSetUpRequired,
	} {
		a := telegramtest.Account{ID: 100 + int64(i), Phone: "99966200" + string(rune('0'+i)), Code: "123456", CodeDelivery: delivery}
		require.NoError(t, s.AddAccount(a))
		sent := c.sentCode(a)
		if counted, ok := sent.Type.(interface{ GetLength() int }); ok {
			assert.Equal(t, 6, counted.GetLength(), delivery)
		}
		if delivery == telegramtest.CodeByEmail {
			request := &tg.AuthSignInRequest{PhoneNumber: a.Phone, PhoneCodeHash: sent.PhoneCodeHash}
			request.SetEmailVerification(&tg.EmailVerificationCode{Code: "654321"})
			_, err := c.API().AuthSignIn(t.Context(), request)
			rpcError(t, err, 400, "EMAIL_CODE_INVALID")
			request.SetEmailVerification(&tg.EmailVerificationCode{Code: a.Code})
			_, err = c.API().AuthSignIn(t.Context(), request)
			require.NoError(t, err)
			c.is(a)
		}
	}
}

// Where no code is sent, none is right.
func TestNoCodeIsSent(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s)
	setUp := telegramtest.Account{ID: 100, Phone: "9996620000", Code: "1", CodeDelivery: telegramtest.EmailSetUpRequired}
	paid := telegramtest.Account{ID: 101, Phone: "9996620001", Code: "1", CodeDelivery: telegramtest.PaymentRequired}
	require.NoError(t, s.AddAccount(setUp))
	require.NoError(t, s.AddAccount(paid))
	fails := func(a telegramtest.Account, hash string) {
		_, err := c.Auth().SignIn(t.Context(), a.Phone, a.Code, hash)
		rpcError(t, err, 400, "PHONE_CODE_INVALID")
		_, err = c.API().AuthResendCode(t.Context(), &tg.AuthResendCodeRequest{PhoneNumber: a.Phone, PhoneCodeHash: hash})
		rpcError(t, err, 406, "SEND_CODE_UNAVAILABLE")
	}
	sent := c.sentCode(setUp)
	assert.Equal(t, &tg.AuthSentCodeTypeSetUpEmailRequired{}, sent.Type)
	fails(setUp, sent.PhoneCodeHash)
	answer, err := c.API().AuthSendCode(t.Context(), &tg.AuthSendCodeRequest{PhoneNumber: paid.Phone, APIID: 1, APIHash: "hash"})
	require.NoError(t, err)
	require.IsType(t, &tg.AuthSentCodePaymentRequired{}, answer)
	fails(paid, answer.(*tg.AuthSentCodePaymentRequired).PhoneCodeHash)
	assert.Zero(t, s.Sessions(setUp.ID))
}

func TestSignUpRequired(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	nobody := telegramtest.Account{ID: 7, Phone: "9996610007", SignUpRequired: true, Code: "777777"}
	require.NoError(t, s.AddAccount(nobody))
	c := start(t, s)
	for phone, code := range map[string]string{nobody.Phone: nobody.Code, "9996619999": telegramtest.DefaultCode} {
		hash := c.sendCode(telegramtest.Account{Phone: phone})
		_, err := c.Auth().SignIn(t.Context(), phone, "wrong", hash)
		rpcError(t, err, 400, "PHONE_CODE_INVALID")
		_, err = c.Auth().SignIn(t.Context(), phone, code, hash)
		signUp := &auth.SignUpRequired{}
		require.True(t, errors.As(err, &signUp), "%v", err)
	}
}

func TestTwoFactorPassword(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s)
	_, err := c.Auth().Password(t.Context(), grace.Password)
	rpcError(t, err, 401, "AUTH_KEY_UNREGISTERED") // before the code
	_, err = c.API().AuthCheckPassword(t.Context(), &tg.InputCheckPasswordSRP{SRPID: 1})
	rpcError(t, err, 401, "AUTH_KEY_UNREGISTERED")

	hash := c.sendCode(grace)
	_, err = c.Auth().SignIn(t.Context(), grace.Phone, telegramtest.DefaultCode, hash)
	require.ErrorIs(t, err, auth.ErrPasswordAuthNeeded)
	_, err = c.Self(t.Context())
	rpcError(t, err, 401, "AUTH_KEY_UNREGISTERED")
	assert.Zero(t, s.Sessions(grace.ID))

	_, err = c.Auth().Password(t.Context(), "wrong")
	require.ErrorIs(t, err, auth.ErrPasswordInvalid)
	_, err = c.Auth().Password(t.Context(), "")
	require.ErrorIs(t, err, auth.ErrPasswordInvalid)
	posed, err := c.API().AccountGetPassword(t.Context())
	require.NoError(t, err)
	assert.Equal(t, grace.PasswordHint, posed.Hint)
	algorithm, ok := posed.CurrentAlgo.(*tg.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow)
	require.True(t, ok)
	prime, err := exchange.TestServerRNG{}.DhPrime()
	require.NoError(t, err)
	assert.Equal(t, prime.Bytes(), algorithm.P)

	random := append(make([]byte, 255), 7)
	answer, err := auth.PasswordHash([]byte(grace.Password), posed.SRPID, posed.SRPB, random, posed.CurrentAlgo)
	require.NoError(t, err)
	_, err = c.API().AuthCheckPassword(t.Context(), &tg.InputCheckPasswordSRP{SRPID: posed.SRPID + 1, A: answer.A, M1: answer.M1})
	rpcError(t, err, 400, "SRP_ID_INVALID")
	_, err = c.API().AuthCheckPassword(t.Context(), &tg.InputCheckPasswordSRP{SRPID: posed.SRPID, A: prime.Bytes(), M1: answer.M1})
	rpcError(t, err, 400, "PASSWORD_HASH_INVALID")
	_, err = c.API().AuthCheckPassword(t.Context(), answer) // a challenge is good for one answer
	rpcError(t, err, 400, "SRP_ID_INVALID")

	_, err = c.Auth().Password(t.Context(), grace.Password)
	require.NoError(t, err)
	c.is(grace)
}

func TestBots(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s)
	_, err := c.Auth().Bot(t.Context(), "2001:wrong")
	rpcError(t, err, 400, "ACCESS_TOKEN_INVALID")
	c.logIn(helper).is(helper)
	_, err = c.API().MessagesGetDialogs(t.Context(), &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}})
	rpcError(t, err, 400, "BOT_METHOD_INVALID")
	_, err = c.API().ContactsGetContacts(t.Context(), 0)
	rpcError(t, err, 400, "BOT_METHOD_INVALID")
	s.ExpireToken(helper.Token)
	c.is(helper)
	_, err = c.Auth().Bot(t.Context(), helper.Token)
	rpcError(t, err, 400, "ACCESS_TOKEN_EXPIRED")
}

// gotd's own hash of a password gives the verifier that the server computes: the
// login above would fail otherwise. This is the other direction, a changed salt.
func TestPasswordDependsOnTheSalts(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s)
	_, err := c.Auth().SignIn(t.Context(), grace.Phone, telegramtest.DefaultCode, c.sendCode(grace))
	require.ErrorIs(t, err, auth.ErrPasswordAuthNeeded)
	posed, err := c.API().AccountGetPassword(t.Context())
	require.NoError(t, err)
	algorithm := posed.CurrentAlgo.(*tg.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow)
	random := append(make([]byte, 255), 7)
	answer, err := srp.NewSRP(nil).Hash([]byte(grace.Password), posed.SRPB, random, srp.Input{
		Salt1: algorithm.Salt1[1:], Salt2: algorithm.Salt2, G: algorithm.G, P: algorithm.P,
	})
	require.NoError(t, err)
	_, err = c.API().AuthCheckPassword(t.Context(), &tg.InputCheckPasswordSRP{SRPID: posed.SRPID, A: answer.A, M1: answer.M1})
	rpcError(t, err, 400, "PASSWORD_HASH_INVALID")
}
