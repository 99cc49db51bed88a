package rpcerror

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestError(t *testing.T) {
	for _, c := range []struct {
		method  string
		code    int
		message string
		want    error
	}{
		{"auth.sendCode", 400, "PHONE_NUMBER_INVALID", provisioning.ErrPhoneNumberInvalid},
		{"auth.sendCode", 400, "PHONE_NUMBER_BANNED", provisioning.ErrPhoneNumberBanned},
		{"auth.sendCode", 406, "PHONE_NUMBER_APP_SIGNUP_FORBIDDEN", provisioning.ErrPhoneNumberAppSignupForbidden},
		{"auth.sendCode", 406, "PHONE_PASSWORD_FLOOD", provisioning.ErrPhoneNumberFlood},
		{"auth.signIn", 400, "PHONE_NUMBER_UNOCCUPIED", provisioning.ErrPhoneNumberUnoccupied},
		{"auth.signIn", 400, "PHONE_CODE_EMPTY", provisioning.ErrPhoneCodeInvalid},
		{"auth.resendCode", 400, "PHONE_CODE_EMPTY", provisioning.ErrPhoneCodeExpired},
		{"auth.signIn", 406, "PHONE_NUMBER_INVALID", provisioning.ErrPhoneCodeExpired},
		{"auth.signIn", 400, "EMAIL_CODE_INVALID", provisioning.ErrPhoneCodeInvalid},
		{"auth.signIn", 500, "AUTH_RESTART", provisioning.ErrPhoneCodeExpired},
		{"auth.sendCode", 500, "AUTH_RESTART_3", provisioning.ErrTelegramUnavailable},
		{"auth.importBotAuthorization", 401, "USER_DEACTIVATED", provisioning.ErrBotTokenInvalid},
		{"auth.resendCode", 406, "SEND_CODE_UNAVAILABLE", provisioning.ErrCodeNotResendable},
		{"auth.signIn", 401, "SESSION_PASSWORD_NEEDED", provisioning.ErrPasswordNeeded},
		{"auth.importLoginToken", 401, "SESSION_PASSWORD_NEEDED", provisioning.ErrPasswordNeeded},
		{"auth.checkPassword", 400, "PASSWORD_HASH_INVALID", provisioning.ErrPasswordInvalid},
		{"auth.importBotAuthorization", 400, "ACCESS_TOKEN_EXPIRED", provisioning.ErrBotTokenExpired},

		{"", 401, "AUTH_KEY_UNREGISTERED", provisioning.ErrNotLoggedIn},
		{"", 406, "AUTH_KEY_DUPLICATED", provisioning.ErrNotLoggedIn},
		{"messages.getDialogs", 401, "USER_DEACTIVATED_BAN", provisioning.ErrNotLoggedIn},
		{"auth.signIn", 401, "SESSION_REVOKED", provisioning.ErrPhoneCodeExpired},
		{"auth.resendCode", 401, "USER_DEACTIVATED", provisioning.ErrPhoneCodeExpired},
		{"auth.checkPassword", 401, "SESSION_REVOKED", provisioning.ErrSessionRevoked},
		{"auth.checkPassword", 401, "USER_DEACTIVATED", provisioning.ErrSessionRevoked},
		{"auth.exportLoginToken", 401, "SESSION_EXPIRED", provisioning.ErrSessionRevoked},
		{"auth.importLoginToken", 401, "USER_DEACTIVATED_BAN", provisioning.ErrPhoneNumberBanned},

		{"channels.getFullChannel", 406, "CHANNEL_PRIVATE", provisioning.ErrNotInChat},
		{"upload.getFile", 400, "CHANNEL_INVALID", provisioning.ErrPhotoGone},
		{"upload.getFile", 400, "FILE_REFERENCE_EXPIRED", provisioning.ErrPhotoGone},
		{"users.getUsers", 400, "USER_ID_INVALID", provisioning.ErrTelegramUserNotFound},
		{"upload.getFile", 400, "USER_ID_INVALID", provisioning.ErrPhotoGone},
		{"messages.createChat", 400, "USERS_TOO_FEW", provisioning.ErrTooFewMembers},
		{"channels.createChannel", 400, "CHAT_ABOUT_TOO_LONG", provisioning.ErrNewChatInvalid},
		{"messages.addChatUser", 400, "USER_ALREADY_PARTICIPANT", ErrMemberRefused},
	} {
		assert.ErrorIs(t, Error(c.method, c.code, c.message), c.want, "%s: %s", c.method, c.message)
	}
}

func TestErrorKeepsNumbersAndNames(t *testing.T) {
	assert.Equal(t, &provisioning.FloodWaitError{Wait: 42 * time.Second}, Error("", 420, "FLOOD_WAIT_42"))
	assert.Equal(t, &provisioning.FloodWaitError{Wait: 3 * time.Second}, Error("upload.getFile", 420, "FLOOD_PREMIUM_WAIT_3"))
	assert.Equal(t, &provisioning.FloodWaitError{}, Error("", 420, "FLOOD_WAIT"))
	assert.Equal(t, &provisioning.FloodWaitError{Wait: time.Second}, Error("", 420, "FLOOD_TEST_PHONE_WAIT_1"))
	for _, c := range []struct {
		code          int
		message, name string
	}{
		{400, "SOMETHING_NEW", "SOMETHING_NEW"},
		{401, "SOMETHING_NEW", "SOMETHING_NEW"},                 // maybe the session's end, which the caller finds out
		{406, "SEND_CODE_UNAVAILABLE", "SEND_CODE_UNAVAILABLE"}, // of another method
		{400, "A_1_B_22_C", "A_B_C"},
		{400, "A__B", "A__B"},
		{400, "1_2", "1_2"},
		{400, "42", "42"},
		{400, "", ""},
	} {
		assert.Equal(t, &provisioning.TelegramError{Code: c.code, Type: c.name}, Error("", c.code, c.message))
	}
}

// What has a meaning keeps Telegram's name for it.
func TestMeaningsKeepNames(t *testing.T) {
	for _, c := range []struct {
		code          int
		message, name string
		meaning       error
	}{
		{400, "API_ID_INVALID", "API_ID_INVALID", provisioning.ErrBridgeRefused},
		{400, "PEER_FLOOD", "PEER_FLOOD", provisioning.ErrTelegramRestricted},
		{303, "FILE_MIGRATE_4", "FILE_MIGRATE", provisioning.ErrTelegramUnavailable},
		{500, "SOMETHING_NEW", "SOMETHING_NEW", provisioning.ErrTelegramUnavailable},
		{-503, "Timeout", "Timeout", provisioning.ErrTelegramUnavailable},
	} {
		err := Error("", c.code, c.message)
		require.ErrorIs(t, err, c.meaning)
		said, ok := errors.AsType[*provisioning.TelegramError](err)
		require.True(t, ok)
		assert.Equal(t, &provisioning.TelegramError{Code: c.code, Type: c.name}, said)
	}
}

// Whatever Telegram documents for the methods that are called has a meaning.
func TestEveryDocumentedErrorHasAMeaning(t *testing.T) {
	pairs := 0
	for method, refusals := range Documented() {
		for _, r := range refusals {
			pairs++
			err := Error(method, r.Code, strings.ReplaceAll(r.Message, "%d", "5"))
			if said, ok := err.(*provisioning.TelegramError); ok {
				assert.Fail(t, "no meaning", "%s: %d %s", method, said.Code, said.Type)
			}
			if strings.Contains(r.Message, "_WAIT_%d") {
				assert.Equal(t, &provisioning.FloodWaitError{Wait: 5 * time.Second}, err)
			}
		}
	}
	assert.Greater(t, pairs, 200, "pairs of a method and an error")
	t.Logf("%d pairs of a method and an error", pairs)
}

func TestUnexpected(t *testing.T) {
	assert.Equal(t, &provisioning.TelegramError{Type: "int"}, Unexpected(1))
	assert.Equal(t, &provisioning.TelegramError{Type: "auth.sentCodeSuccess"}, Unexpected(typed{}))
}

type typed struct{}

func (typed) TypeName() string { return "auth.sentCodeSuccess" }

// What a host logs of a session that has ended says why.
func TestWhySessionEnded(t *testing.T) {
	require.ErrorContains(t, Error("", 401, "SESSION_REVOKED"), "401 SESSION_REVOKED")
}

// Each error has one meaning in the answer to a method, and one elsewhere.
func TestTable(t *testing.T) {
	seen := map[failure]bool{}
	for _, r := range table {
		require.Error(t, r.meaning, r.names)
		methods := strings.Fields(r.methods)
		if r.methods == "" {
			methods = []string{""}
		}
		for _, method := range methods {
			for _, name := range strings.Fields(r.names) {
				f := failure{method, name}
				assert.Regexp(t, `^[A-Z]+(_[A-Z]+)+$`, name)
				assert.False(t, seen[f], "%v is there twice", f)
				seen[f] = true
				assert.ErrorIs(t, Error(method, 400, name), r.meaning, "%v", f)
			}
		}
	}
	assert.Len(t, meanings, len(seen))
}
