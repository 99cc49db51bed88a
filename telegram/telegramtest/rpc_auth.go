package telegramtest

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func authMethods() []method {
	return []method{
		on(anybody, (*caller).authSendCode),
		on(anybody, (*caller).authResendCode),
		on(anybody, (*caller).authCancelCode),
		on(anybody, (*caller).authSignIn),
		on(anybody, (*caller).authImportBotAuthorization),
		on(loggedInAnywhere, (*caller).authLogOut),
		on(loggedIn, (*caller).authExportAuthorization),
		on(anybody, (*caller).authImportAuthorization),
		// Between the code and the password, nobody is logged in yet.
		on(anybody, (*caller).accountGetPassword),
		on(anybody, (*caller).authCheckPassword),
	}
}

// digits returns a phone number as accounts have it.
func digits(phone string) string {
	return strings.NewReplacer("+", "", " ", "", "-", "", "(", "", ")", "").Replace(phone)
}

func validPhone(phone string) bool {
	return len(phone) >= 5 && len(phone) <= 15 && strings.Trim(phone, "0123456789") == ""
}

// rpcError returns the error of a given type with the code that Telegram sends it
// with when a code is asked for, or somebody is invited.
func rpcError(message string) *tgerr.Error {
	if strings.Contains(message, "_WAIT_") {
		return tgerr.New(420, message)
	}
	switch message {
	case "PHONE_NUMBER_INVALID", "PHONE_PASSWORD_FLOOD", "SEND_CODE_UNAVAILABLE", "UPDATE_APP_TO_LOGIN":
		return tgerr.New(406, message)
	case privacyRestricted, "USER_CHANNELS_TOO_MUCH", "USER_NOT_MUTUAL_CONTACT":
		return tgerr.New(403, message)
	case "AUTH_RESTART":
		return tgerr.New(500, message)
	default:
		return tgerr.New(400, message)
	}
}

// https://core.telegram.org/method/auth.sendCode
func (c *caller) authSendCode(q *tg.AuthSendCodeRequest) (bin.Encoder, error) {
	phone := digits(q.PhoneNumber)
	a := c.server.world.byPhone[phone]
	switch {
	case q.APIID == 0 || q.APIHash == "":
		return nil, tgerr.New(400, "API_ID_INVALID")
	case !validPhone(phone):
		return nil, rpcError("PHONE_NUMBER_INVALID")
	case a != nil && a.DC != c.conn.dc:
		return nil, errMigrate("PHONE", a.DC)
	case a != nil && a.SendCodeError != "":
		return nil, rpcError(a.SendCodeError)
	case a != nil:
		return c.sendCode(phone, a.CodeDelivery)
	default:
		return c.sendCode(phone, CodeBySMS) // only signing in tells that nobody has the number
	}
}

// https://core.telegram.org/method/auth.resendCode
func (c *caller) authResendCode(q *tg.AuthResendCodeRequest) (bin.Encoder, error) {
	code, err := c.code(q.PhoneNumber, q.PhoneCodeHash)
	if err != nil {
		return nil, err
	}
	next, nextType := code.Delivery.next()
	if nextType == nil {
		return nil, rpcError("SEND_CODE_UNAVAILABLE")
	}
	return c.sendCode(code.Phone, next)
}

// sendCode begins a login, or begins it anew.
func (c *caller) sendCode(phone string, delivery CodeDelivery) (bin.Encoder, error) {
	hash := rand.Text()
	l := c.key.login
	l.PasswordFor, l.Code = 0, &sentCode{Phone: phone, Hash: hash, Delivery: delivery}
	c.server.world.codeHashes = append(c.server.world.codeHashes, hash)
	if delivery == PaymentRequired {
		return &tg.AuthSentCodePaymentRequired{
			StoreProduct: "login", PhoneCodeHash: hash, SupportEmailAddress: "login@example.com", SupportEmailSubject: "Login",
			PremiumDays: 7, Currency: "EUR", Amount: 99,
		}, c.setLogin(l)
	}
	sent := &tg.AuthSentCode{Type: delivery.sentCodeType(c.expectedCode(phone)), PhoneCodeHash: hash}
	if _, next := delivery.next(); next != nil {
		sent.SetNextType(next)
		sent.SetTimeout(int(c.resendAfter(phone) / time.Second))
	}
	return sent, c.setLogin(l)
}

func (c *caller) resendAfter(phone string) time.Duration {
	if a := c.server.world.byPhone[phone]; a != nil {
		return a.ResendAfter
	}
	return defaultResendAfter
}

func (c *caller) expectedCode(phone string) string {
	if a := c.server.world.byPhone[phone]; a != nil {
		return a.Code
	}
	return DefaultCode
}

// code returns the code under way that a hash stands for. It is bound to the auth
// key that asked for it.
func (c *caller) code(phone, hash string) (*sentCode, error) {
	code, a := c.key.Code, c.server.world.byPhone[digits(phone)]
	switch {
	case phone == "":
		return nil, rpcError("PHONE_NUMBER_INVALID")
	case hash == "":
		return nil, tgerr.New(400, "PHONE_CODE_HASH_EMPTY")
	case a != nil && a.DC != c.conn.dc:
		return nil, errMigrate("PHONE", a.DC)
	case code == nil || code.Hash != hash || code.Phone != digits(phone):
		return nil, tgerr.New(400, "PHONE_CODE_EXPIRED")
	}
	return code, nil
}

// https://core.telegram.org/method/auth.cancelCode
func (c *caller) authCancelCode(q *tg.AuthCancelCodeRequest) (bin.Encoder, error) {
	if _, err := c.code(q.PhoneNumber, q.PhoneCodeHash); err != nil {
		return nil, err
	}
	l := c.key.login
	l.Code = nil
	return &tg.BoolTrue{}, c.setLogin(l)
}

// https://core.telegram.org/method/auth.signIn
func (c *caller) authSignIn(q *tg.AuthSignInRequest) (bin.Encoder, error) {
	code, err := c.code(q.PhoneNumber, q.PhoneCodeHash)
	if err != nil {
		return nil, err
	}
	entered, wrong := q.PhoneCode, "PHONE_CODE_INVALID"
	if code.Delivery == CodeByEmail {
		// https://core.telegram.org/api/auth#email-verification
		entered, wrong = "", "EMAIL_CODE_INVALID"
		if mailed, ok := q.EmailVerification.(*tg.EmailVerificationCode); ok {
			entered = mailed.Code
		}
	}
	a := c.server.world.byPhone[code.Phone]
	switch {
	case entered == "":
		return nil, tgerr.New(400, "PHONE_CODE_EMPTY")
	case entered != c.expectedCode(code.Phone) || !code.Delivery.sends():
		return nil, tgerr.New(400, wrong)
	case a == nil || a.SignUpRequired:
		return &tg.AuthAuthorizationSignUpRequired{}, nil
	case a.verifier != nil:
		if err := c.setLogin(login{PasswordFor: a.ID}); err != nil {
			return nil, err
		}
		return nil, tgerr.New(401, "SESSION_PASSWORD_NEEDED")
	default:
		return c.logIn(a)
	}
}

// logIn makes the caller's auth key one that is logged in.
func (c *caller) logIn(a *account) (*tg.AuthAuthorization, error) {
	c.account = a
	return &tg.AuthAuthorization{User: c.user(a.ID)}, c.setLogin(login{Account: a.ID})
}

// https://core.telegram.org/method/auth.importBotAuthorization
func (c *caller) authImportBotAuthorization(q *tg.AuthImportBotAuthorizationRequest) (bin.Encoder, error) {
	a := c.server.world.byToken[q.BotAuthToken]
	switch {
	case q.APIID == 0 || q.APIHash == "":
		return nil, tgerr.New(400, "API_ID_INVALID")
	case c.server.world.expiredTokens[q.BotAuthToken]:
		return nil, tgerr.New(400, "ACCESS_TOKEN_EXPIRED")
	case a == nil:
		return nil, tgerr.New(400, "ACCESS_TOKEN_INVALID")
	case a.DC != c.conn.dc:
		return nil, errMigrate("USER", a.DC)
	}
	return c.logIn(a)
}

// https://core.telegram.org/method/auth.logOut
func (c *caller) authLogOut(*tg.AuthLogOutRequest) (bin.Encoder, error) {
	return &tg.AuthLoggedOut{}, c.setLogin(login{})
}

// exported is a login that can be taken to another datacenter.
type exported struct {
	account *account
	dc      int // where to
}

// https://core.telegram.org/method/auth.exportAuthorization
func (c *caller) authExportAuthorization(q *tg.AuthExportAuthorizationRequest) (bin.Encoder, error) {
	if q.DCID == c.conn.dc || !slices.Contains(c.server.dcs, q.DCID) {
		return nil, tgerr.New(400, "DC_ID_INVALID")
	}
	token := rand.Text()
	c.server.world.exported[token] = exported{c.account, q.DCID}
	return &tg.AuthExportedAuthorization{ID: c.account.ID, Bytes: []byte(token)}, nil
}

// https://core.telegram.org/method/auth.importAuthorization
func (c *caller) authImportAuthorization(q *tg.AuthImportAuthorizationRequest) (bin.Encoder, error) {
	taken, ok := c.server.world.exported[string(q.Bytes)]
	if !ok || taken.account.ID != q.ID || taken.dc != c.conn.dc {
		return nil, tgerr.New(400, "AUTH_BYTES_INVALID")
	}
	delete(c.server.world.exported, string(q.Bytes))
	return c.logIn(taken.account)
}

// passwordOf returns the account whose password the caller may ask about: that of
// the code entered before, or the caller's own.
func (c *caller) passwordOf() (*account, error) {
	a := c.account
	if c.key.PasswordFor != 0 {
		a = c.server.world.accounts[c.key.PasswordFor]
	}
	if a == nil {
		return nil, errUnauthorized()
	}
	return a, nil
}

// https://core.telegram.org/method/account.getPassword
func (c *caller) accountGetPassword(*tg.AccountGetPasswordRequest) (bin.Encoder, error) {
	a, err := c.passwordOf()
	if err != nil {
		return nil, err
	}
	random := make([]byte, 256)
	_, _ = rand.Read(random) // never fails
	answer := &tg.AccountPassword{
		NewAlgo: &tg.PasswordKdfAlgoUnknown{}, NewSecureAlgo: &tg.SecurePasswordKdfAlgoUnknown{}, SecureRandom: random,
	}
	if a.verifier == nil {
		return answer, nil
	}
	v, err := a.verifier()
	if err != nil {
		return nil, err
	}
	c.key.challenge = newChallenge(v)
	answer.HasPassword, answer.Hint = true, a.PasswordHint
	answer.CurrentAlgo, answer.SRPB, answer.SRPID = v.algorithm(), c.key.challenge.public, c.key.challenge.id
	return answer, nil
}

// https://core.telegram.org/method/auth.checkPassword
func (c *caller) authCheckPassword(q *tg.AuthCheckPasswordRequest) (bin.Encoder, error) {
	a, err := c.passwordOf()
	if err != nil {
		return nil, err
	}
	answer, ok := q.Password.(*tg.InputCheckPasswordSRP)
	if !ok || a.verifier == nil {
		return nil, tgerr.New(400, "PASSWORD_HASH_INVALID")
	}
	v, err := a.verifier()
	if err != nil {
		return nil, err
	}
	posed := c.key.challenge
	if posed == nil || posed.id != answer.SRPID || posed.of != v {
		return nil, tgerr.New(400, "SRP_ID_INVALID")
	}
	c.key.challenge = nil // good for one answer
	if !posed.accepts(answer) {
		return nil, tgerr.New(400, "PASSWORD_HASH_INVALID")
	}
	return c.logIn(a)
}
