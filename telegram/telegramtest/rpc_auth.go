package telegramtest

import (
	"crypto/rand"
	"strings"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func authMethods() map[uint32]method {
	m := map[uint32]method{}
	add(m, true, sendCode)
	add(m, true, resendCode)
	add(m, true, cancelCode)
	add(m, true, signIn)
	add(m, true, importBotAuthorization)
	add(m, false, logOut)
	// Between the code and the password a key is not logged in yet.
	add(m, true, getPassword)
	add(m, true, checkPassword)
	return m
}

// digitsOf returns a phone number as accounts have it.
func digitsOf(phone string) string {
	return strings.NewReplacer("+", "", " ", "", "-", "", "(", "", ")", "").Replace(phone)
}

// https://core.telegram.org/method/auth.sendCode
func sendCode(s *Server, key keyID, q *tg.AuthSendCodeRequest) (bin.Encoder, error) {
	if q.APIID == 0 || q.APIHash == "" {
		return nil, tgerr.New(400, "API_ID_INVALID")
	}
	phone := digitsOf(q.PhoneNumber)
	if len(phone) < 5 || strings.Trim(phone, "0123456789") != "" {
		return nil, tgerr.New(400, "PHONE_NUMBER_INVALID")
	}
	return s.newCode(key, phone, false)
}

// https://core.telegram.org/method/auth.resendCode
func resendCode(s *Server, key keyID, q *tg.AuthResendCodeRequest) (bin.Encoder, error) {
	l, err := s.codeOf(key, q.PhoneNumber, q.PhoneCodeHash)
	if err != nil {
		return nil, err
	}
	if l.Resent {
		return nil, tgerr.New(400, "SEND_CODE_UNAVAILABLE")
	}
	return s.newCode(key, l.Phone, true)
}

// newCode sends a code: by the account's own way at first, by SMS when it is sent
// again. Numbers without an account get one too; only signing in tells.
func (s *Server) newCode(key keyID, phone string, again bool) (bin.Encoder, error) {
	s.mu.Lock()
	a := s.world.byPhone[phone]
	s.mu.Unlock()
	length := 5
	var delivery tg.AuthSentCodeTypeClass
	if a != nil {
		length, delivery = len(a.Code), a.Delivery
	}
	if delivery == nil {
		delivery = &tg.AuthSentCodeTypeApp{Length: length}
	}
	sent := &tg.AuthSentCode{Type: delivery, PhoneCodeHash: rand.Text()}
	if again {
		sent.Type = &tg.AuthSentCodeTypeSMS{Length: length}
	} else {
		sent.SetNextType(&tg.AuthCodeTypeSMS{})
		sent.SetTimeout(60)
	}
	l, _ := s.loginOf(key)
	l.Phone, l.CodeHash, l.Resent, l.PasswordFor = phone, sent.PhoneCodeHash, again, 0
	return sent, s.setLogin(key, l)
}

// codeOf checks a code hash. It is good for the auth key that it was given to.
func (s *Server) codeOf(key keyID, phone, hash string) (login, error) {
	l, _ := s.loginOf(key)
	if hash == "" {
		return l, tgerr.New(400, "PHONE_CODE_HASH_EMPTY")
	}
	if l.CodeHash != hash || l.Phone != digitsOf(phone) {
		return l, tgerr.New(400, "PHONE_CODE_EXPIRED")
	}
	return l, nil
}

// https://core.telegram.org/method/auth.cancelCode
func cancelCode(s *Server, key keyID, q *tg.AuthCancelCodeRequest) (bin.Encoder, error) {
	l, err := s.codeOf(key, q.PhoneNumber, q.PhoneCodeHash)
	if err != nil {
		return nil, err
	}
	l.CodeHash = ""
	return &tg.BoolTrue{}, s.setLogin(key, l)
}

// https://core.telegram.org/method/auth.signIn
func signIn(s *Server, key keyID, q *tg.AuthSignInRequest) (bin.Encoder, error) {
	l, err := s.codeOf(key, q.PhoneNumber, q.PhoneCodeHash)
	if err != nil {
		return nil, err
	}
	if q.PhoneCode == "" {
		return nil, tgerr.New(400, "PHONE_CODE_EMPTY")
	}
	s.mu.Lock()
	a := s.world.byPhone[l.Phone]
	s.mu.Unlock()
	if a == nil || a.SignUpRequired {
		return &tg.AuthAuthorizationSignUpRequired{}, nil
	}
	if q.PhoneCode != a.Code {
		return nil, tgerr.New(400, "PHONE_CODE_INVALID")
	}
	if a.verifier != nil {
		if err := s.setLogin(key, login{PasswordFor: a.ID}); err != nil {
			return nil, err
		}
		return nil, tgerr.New(401, "SESSION_PASSWORD_NEEDED")
	}
	return s.authorize(key, a)
}

// authorize makes an auth key one that is logged in.
func (s *Server) authorize(key keyID, a *account) (bin.Encoder, error) {
	if err := s.setLogin(key, login{Account: a.ID}); err != nil {
		return nil, err
	}
	return &tg.AuthAuthorization{User: a.user(true)}, nil
}

// https://core.telegram.org/method/auth.importBotAuthorization
func importBotAuthorization(s *Server, key keyID, q *tg.AuthImportBotAuthorizationRequest) (bin.Encoder, error) {
	s.mu.Lock()
	a, expired := s.world.byToken[q.BotAuthToken], s.world.expiredTokens[q.BotAuthToken]
	s.mu.Unlock()
	switch {
	case expired:
		return nil, tgerr.New(400, "ACCESS_TOKEN_EXPIRED")
	case a == nil:
		return nil, tgerr.New(400, "ACCESS_TOKEN_INVALID")
	}
	return s.authorize(key, a)
}

// https://core.telegram.org/method/auth.logOut
func logOut(s *Server, key keyID, _ *tg.AuthLogOutRequest) (bin.Encoder, error) {
	return &tg.AuthLoggedOut{}, s.setLogin(key, login{})
}

// passwordAccount returns the account whose password a key may ask for or check.
func (s *Server) passwordAccount(key keyID) (*account, error) {
	l, _ := s.loginOf(key)
	if l.Revoked != "" {
		return nil, tgerr.New(401, l.Revoked)
	}
	a := s.accountByID(max(l.PasswordFor, l.Account))
	if a == nil {
		return nil, errUnauthorized
	}
	return a, nil
}

// https://core.telegram.org/method/account.getPassword
func getPassword(s *Server, key keyID, _ *tg.AccountGetPasswordRequest) (bin.Encoder, error) {
	a, err := s.passwordAccount(key)
	if err != nil {
		return nil, err
	}
	random := make([]byte, 256)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	answer := &tg.AccountPassword{
		NewAlgo: &tg.PasswordKdfAlgoUnknown{}, NewSecureAlgo: &tg.SecurePasswordKdfAlgoUnknown{}, SecureRandom: random,
	}
	if a.verifier == nil {
		return answer, nil
	}
	c, err := newChallenge(a.verifier)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.world.challenges[key] = c
	s.mu.Unlock()
	answer.SetHasPassword(true)
	answer.SetHint(a.PasswordHint)
	answer.SetSRPB(c.srpB)
	answer.SetSRPID(c.id)
	answer.SetCurrentAlgo(&tg.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow{
		Salt1: a.verifier.salt1, Salt2: a.verifier.salt2, G: srpGenerator, P: srpPrime().Bytes(),
	})
	return answer, nil
}

// https://core.telegram.org/method/auth.checkPassword
func checkPassword(s *Server, key keyID, q *tg.AuthCheckPasswordRequest) (bin.Encoder, error) {
	a, err := s.passwordAccount(key)
	if err != nil {
		return nil, err
	}
	answer, ok := q.Password.(*tg.InputCheckPasswordSRP)
	if !ok {
		return nil, tgerr.New(400, "PASSWORD_HASH_INVALID")
	}
	s.mu.Lock()
	c := s.world.challenges[key]
	delete(s.world.challenges, key)
	s.mu.Unlock()
	if c == nil || c.id != answer.SRPID || c.of != a.verifier {
		return nil, tgerr.New(400, "SRP_ID_INVALID")
	}
	if !c.accepts(answer.A, answer.M1) {
		return nil, tgerr.New(400, "PASSWORD_HASH_INVALID")
	}
	return s.authorize(key, a)
}
