package telegramtest_test

import (
	"context"
	"testing"
	"time"

	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth/qrlogin"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func (c *client) exportToken(ctx context.Context) (tg.AuthLoginTokenClass, error) {
	return c.API().AuthExportLoginToken(ctx, &tg.AuthExportLoginTokenRequest{APIID: 1, APIHash: "hash"})
}

// qrCode returns what the QR code of a new login says.
func (c *client) qrCode() string {
	c.t.Helper()
	answer, err := c.exportToken(c.t.Context())
	require.NoError(c.t, err)
	require.IsType(c.t, &tg.AuthLoginToken{}, answer)
	token := answer.(*tg.AuthLoginToken)
	return qrlogin.NewToken(token.Token, token.Expires).URL()
}

// toldAccepted waits for updateLoginToken.
func (c *client) toldAccepted() {
	c.t.Helper()
	update := <-c.updates
	require.IsType(c.t, &tg.UpdateShort{}, update)
	assert.Equal(c.t, &tg.UpdateLoginToken{}, update.(*tg.UpdateShort).Update)
}

// gotd's own QR login, scanned by another client that is logged in.
func TestLoginByQRCode(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	phone := start(t, s).logIn(ada)
	c := start(t, s)
	accepted := make(chan struct{}, 1)
	authorization, err := c.QR().Auth(t.Context(), accepted, func(ctx context.Context, token qrlogin.Token) error {
		assert.WithinDuration(t, time.Now().Add(telegramtest.DefaultLoginTokenLifetime), token.Expires(), 20*time.Second)
		answer, err := phone.QR().Accept(ctx, token)
		require.NoError(t, err)
		assert.False(t, answer.Current)
		c.toldAccepted()
		accepted <- struct{}{}
		_, err = phone.QR().Accept(ctx, token)
		rpcError(t, err, 400, "AUTH_TOKEN_ALREADY_ACCEPTED")
		return nil
	})
	require.NoError(t, err)
	user, ok := authorization.User.AsNotEmpty()
	require.True(t, ok)
	assert.Equal(t, ada.ID, user.ID)
	c.is(ada)
	assert.Equal(t, 2, s.Sessions(ada.ID))
	answer, err := c.exportToken(t.Context())
	require.NoError(t, err)
	assert.IsType(t, &tg.AuthLoginTokenSuccess{}, answer)
}

func TestLoginTokens(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s)
	_, err := c.API().AuthExportLoginToken(t.Context(), &tg.AuthExportLoginTokenRequest{APIID: 1})
	rpcError(t, err, 400, "API_ID_INVALID")
	_, err = c.API().AuthAcceptLoginToken(t.Context(), []byte("x"))
	rpcError(t, err, 401, "AUTH_KEY_UNREGISTERED")
	_, err = c.API().AuthImportLoginToken(t.Context(), []byte("x"))
	rpcError(t, err, 400, "AUTH_TOKEN_INVALID")

	first, second := c.qrCode(), c.qrCode()
	assert.NotEqual(t, first, second)
	require.Error(t, s.AcceptLoginToken("https://example.com", ada.ID))
	require.Error(t, s.AcceptLoginToken("tg://login?token=!", ada.ID))
	require.Error(t, s.AcceptLoginToken(first, 999))
	require.ErrorContains(t, s.AcceptLoginToken("tg://login?token=eA==", ada.ID), "AUTH_TOKEN_INVALIDX")
	s.ExpireLoginTokens()
	require.ErrorContains(t, s.AcceptLoginToken(first, ada.ID), "AUTH_TOKEN_EXPIRED")
	require.ErrorContains(t, s.AcceptLoginToken(second, ada.ID), "AUTH_TOKEN_EXPIRED")

	// A code of before counts as well while it lasts.
	first, _ = c.qrCode(), c.qrCode()
	require.NoError(t, s.AcceptLoginToken(first, ada.ID))
	c.toldAccepted()
	s.ExpireLoginTokens() // too late
	require.ErrorContains(t, s.AcceptLoginToken(first, ada.ID), "AUTH_TOKEN_ALREADY_ACCEPTED")
	answer, err := c.exportToken(t.Context())
	require.NoError(t, err)
	assert.IsType(t, &tg.AuthLoginTokenSuccess{}, answer)
	c.is(ada)
}

func TestLoginTokenLifetime(t *testing.T) {
	s := newServer(t, telegramtest.Config{LoginTokenLifetime: time.Nanosecond})
	require.ErrorContains(t, s.AcceptLoginToken(start(t, s).qrCode(), ada.ID), "AUTH_TOKEN_EXPIRED")
}

func TestLoginByQRCodeWithPassword(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s)
	require.NoError(t, s.AcceptLoginToken(c.qrCode(), grace.ID))
	c.toldAccepted()
	for range 2 {
		_, err := c.exportToken(t.Context())
		rpcError(t, err, 401, "SESSION_PASSWORD_NEEDED")
	}
	assert.Zero(t, s.Sessions(grace.ID))
	_, err := c.Auth().Password(t.Context(), grace.Password)
	require.NoError(t, err)
	c.is(grace)
}

// An account of another datacenter: the login ends there, with an auth key of its own.
func TestLoginByQRCodeElsewhere(t *testing.T) {
	s := newServer(t, telegramtest.Config{MediaDC: 4})
	remote := telegramtest.Account{ID: 1005, FirstName: "Remote", DC: 4}
	require.NoError(t, s.AddAccount(remote))
	require.ErrorContains(t, s.AddAccount(telegramtest.Account{ID: 1006, DC: 5}), "no datacenter 5")
	c := start(t, s)
	require.NoError(t, s.AcceptLoginToken(c.qrCode(), remote.ID))
	c.toldAccepted()
	var token []byte
	for range 2 {
		answer, err := c.exportToken(t.Context())
		require.NoError(t, err)
		require.IsType(t, &tg.AuthLoginTokenMigrateTo{}, answer)
		assert.Equal(t, 4, answer.(*tg.AuthLoginTokenMigrateTo).DCID)
		token = answer.(*tg.AuthLoginTokenMigrateTo).Token
	}
	require.NoError(t, c.MigrateTo(t.Context(), 4))
	answer, err := c.API().AuthImportLoginToken(t.Context(), token)
	require.NoError(t, err)
	assert.IsType(t, &tg.AuthLoginTokenSuccess{}, answer)
	c.is(remote)
	_, err = c.API().AuthImportLoginToken(t.Context(), token)
	rpcError(t, err, 400, "AUTH_TOKEN_INVALID")
}

// Whoever tells the server to send no updates is not told.
func TestNoUpdatesNoLoginToken(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	deaf := start(t, s, func(o *gotd.Options) { o.NoUpdates = true })
	require.NoError(t, s.AcceptLoginToken(deaf.qrCode(), ada.ID))
	_, err := deaf.exportToken(t.Context())
	require.NoError(t, err)
	assert.Empty(t, deaf.updates)
	deaf.is(ada)
}
