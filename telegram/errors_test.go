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
	"github.com/gotd/td/tg"
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
		method   string
		in, want error
	}{
		{"", rpc(400, "PHONE_NUMBER_INVALID"), provisioning.ErrPhoneNumberInvalid},
		{"", rpc(401, "SESSION_REVOKED"), provisioning.ErrNotLoggedIn},
		{"auth.checkPassword", rpc(401, "SESSION_REVOKED"), provisioning.ErrSessionRevoked},
		{"", auth.ErrPasswordInvalid, provisioning.ErrPasswordInvalid},
		{"", &auth.SignUpRequired{}, provisioning.ErrPhoneNumberUnoccupied},
		{"", context.DeadlineExceeded, context.DeadlineExceeded},
		{"", io.ErrUnexpectedEOF, provisioning.ErrTelegramUnavailable},
	} {
		assert.ErrorIs(t, translate(c.method, c.in), c.want, "%v", c.in)
	}
	require.NoError(t, translate("", nil))
	flood := &provisioning.FloodWaitError{Wait: 42 * time.Second}
	assert.Equal(t, flood, translate("", rpc(420, "FLOOD_PREMIUM_WAIT_42")))
	unknown := &provisioning.TelegramError{Code: 400, Type: "SOMETHING_NEW"}
	assert.Equal(t, unknown, translate("", rpc(400, "SOMETHING_NEW")))
	assert.Equal(t, unknown, translate("", unknown), "an error that speaks the core's language already stays as it is")
}

// Some codes have to be paid for, which Telegram's own apps can do.
func TestCodesToPayFor(t *testing.T) {
	_, err := (&login{}).putSentCode(t.Context(), nil, "", &tg.AuthSentCodePaymentRequired{})
	require.ErrorIs(t, err, provisioning.ErrTelegramRestricted)
	said, ok := errors.AsType[*provisioning.TelegramError](err)
	require.True(t, ok)
	assert.Equal(t, "auth.sentCodePaymentRequired", said.Type)
}

// Package rpcerror, which does not have gotd, reads messages as gotd does.
func TestNamesOfErrors(t *testing.T) {
	for _, message := range []string{"API_ID_INVALID", "FILE_MIGRATE_4", "Timeout", "42", "A_1_B_22_C", "A__B", "A_", "A_99999999999999999999", ""} {
		want := &provisioning.TelegramError{Code: 400, Type: tgerr.New(400, message).Type}
		said, ok := errors.AsType[*provisioning.TelegramError](translate("", tgerr.New(400, message)))
		require.True(t, ok)
		assert.Equal(t, want, said)
	}
}

// Telegram's error names stand in the files errors.go and in package rpcerror, and nowhere else.
func TestErrorNamesStandInOnePlace(t *testing.T) {
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	ofCalls, err := filepath.Glob("calls/*.go")
	require.NoError(t, err)
	for _, name := range append(names, ofCalls...) {
		if filepath.Base(name) == "errors.go" || strings.HasSuffix(name, "_test.go") {
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
