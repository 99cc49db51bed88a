package telegram_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	gotd "github.com/gotd/td/telegram"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// Then sessionConn.Recv can go.
func TestGotdReplacesUnknownKeys(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	require.NoError(t, s.AddAccount(ada))
	key, err := s.AddAuthKey(ada.ID)
	require.NoError(t, err)
	id := crypto.Key(key).ID()
	storage := &session.StorageMemory{}
	loader := session.Loader{Storage: storage}
	require.NoError(t, loader.Save(t.Context(), &session.Data{DC: s.DC(), AuthKey: key, AuthKeyID: id[:]}))
	ctx, client := startGotd(t, s, func(o *gotd.Options) { o.SessionStorage = storage })
	_, err = client.Self(ctx)
	require.NoError(t, err)

	require.NoError(t, s.ForgetKeys(ada.ID))
	ctx, cancel := context.WithCancel(ctx)
	self := make(chan error, 1)
	go func() {
		_, err := client.Self(ctx)
		self <- err
	}()
	require.Eventually(t, func() bool { return len(s.AuthKeys()) == 1 }, patience, time.Millisecond, "it makes no new key")
	assert.NotEqual(t, key, s.AuthKeys()[0])
	cancel()
	require.Error(t, <-self)
}

// Then the type in calls.RepeatTransient has a better name.
func TestGotdHidesIgnoredMessages(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	ctx, client := startGotd(t, s, unchanged)
	s.RejectCalls(1, 20)
	_, err := client.API().HelpGetNearestDC(ctx)
	require.ErrorContains(t, err, "message too old")
	var types []string
	for ; err != nil; err = errors.Unwrap(err) {
		types = append(types, fmt.Sprintf("%T", err))
	}
	assert.Contains(t, types, "*mtproto.badMessageError")
}
