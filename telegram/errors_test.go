package telegram

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tgerr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestTranslate(t *testing.T) {
	rpc := func(code int, message string) error {
		return fmt.Errorf("invoke: %w", tgerr.New(code, message))
	}
	for _, c := range []struct {
		in   error
		want error
	}{
		{rpc(400, "PHONE_NUMBER_INVALID"), provisioning.ErrPhoneNumberInvalid},
		{rpc(400, "PHONE_NUMBER_BANNED"), provisioning.ErrPhoneNumberBanned},
		{rpc(406, "PHONE_PASSWORD_FLOOD"), provisioning.ErrPhoneNumberFlood},
		{rpc(400, "PHONE_CODE_EMPTY"), provisioning.ErrPhoneCodeInvalid},
		{rpc(400, "ACCESS_TOKEN_EXPIRED"), provisioning.ErrBotTokenExpired},
		{rpc(401, "AUTH_KEY_UNREGISTERED"), provisioning.ErrNotLoggedIn},
		{rpc(401, "SESSION_REVOKED"), provisioning.ErrNotLoggedIn},
		{rpc(401, "USER_DEACTIVATED"), provisioning.ErrNotLoggedIn},
		{rpc(406, "AUTH_KEY_DUPLICATED"), provisioning.ErrNotLoggedIn},
		{rpc(401, "SESSION_PASSWORD_NEEDED"), provisioning.ErrPasswordNeeded},
		{auth.ErrPasswordInvalid, provisioning.ErrPasswordInvalid},
		{&auth.SignUpRequired{}, provisioning.ErrPhoneNumberUnoccupied},
		{context.DeadlineExceeded, context.DeadlineExceeded},
		{io.ErrUnexpectedEOF, provisioning.ErrTelegramUnavailable},
	} {
		assert.ErrorIs(t, translate(c.in), c.want, "%v", c.in)
	}
	require.NoError(t, translate(nil))
}

func TestTranslateKeepsNumbersAndNames(t *testing.T) {
	for _, name := range []string{"FLOOD_WAIT_42", "FLOOD_PREMIUM_WAIT_42"} {
		flood, ok := errors.AsType[*provisioning.FloodWaitError](translate(tgerr.New(420, name)))
		require.True(t, ok, name)
		assert.Equal(t, 42*time.Second, flood.Wait, name)
	}
	unknown, ok := errors.AsType[*provisioning.TelegramError](translate(tgerr.New(400, "API_ID_INVALID")))
	require.True(t, ok)
	assert.Equal(t, provisioning.TelegramError{Code: 400, Type: "API_ID_INVALID"}, *unknown)
	assert.Equal(t, unknown, translate(unknown), "an error that speaks the core's language already stays as it is")
}

// Telegram's error names belong into errors.go, and nowhere else.
func TestErrorNamesStandInOnePlace(t *testing.T) {
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		if name == "errors.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				assert.NotRegexp(t, `^"[A-Z]+(_[A-Z]+)+"$`, literal.Value, name)
			}
			return true
		})
	}
}
