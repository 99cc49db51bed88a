package telegram_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/mtproto"
	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/telegram/auth/qrlogin"
	"github.com/gotd/td/telegram/query/dialogs"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// What gotd has for single methods of Telegram's; see gotd_test.go.

// It is left to the user of gotd (https://github.com/gotd/td/issues/263), and the waiter
// that gotd's README recommends hangs when a client changes its datacenter
// (https://github.com/gotd/td/issues/1842). Then Factory.floodWait can go, if each request
// can have a bound for its waits.
func TestGotdReturnsFloodWaits(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	ctx, client := startGotd(t, s, unchanged)
	s.Fail("users.getUsers", 1, 420, "FLOOD_WAIT_1")
	_, err := client.Self(ctx)
	require.True(t, tgerr.Is(err, tgerr.ErrFloodWait), "%v", err)
	assert.Equal(t, 1, s.Calls("users.getUsers"))
}

// silentConn is a connection to a server that never answers.
type silentConn struct{ transport.Conn }

func (silentConn) Send(context.Context, *bin.Buffer) error { return nil }
func (silentConn) Close() error                            { return nil }
func (silentConn) Recv(ctx context.Context, _ *bin.Buffer) error {
	<-ctx.Done()
	return ctx.Err()
}

// Since https://github.com/gotd/td/pull/324 it first asks Telegram to drop the answer, and
// waits for the answer to that. Then calls.ReturnInTime can go.
func TestGotdCallsOutliveTheirContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := mtproto.New(
			func(context.Context) (transport.Conn, error) { return silentConn{}, nil },
			mtproto.Options{Key: crypto.Key{1}.WithID()},
		)
		called, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = conn.Run(t.Context(), func(context.Context) error {
			err := conn.Invoke(called, &tg.HelpGetConfigRequest{}, &tg.Config{})
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			// It ends with the connection, on which no ping is answered.
			deadline, _ := called.Deadline()
			assert.Greater(t, time.Since(deadline), time.Minute)
			return io.EOF
		})
	})
}

// Then login.signIn can go.
func TestGotdKnowsNoCodesByEmail(t *testing.T) {
	t.Parallel()
	account := telegramtest.Account{ID: 3101, Phone: "9996613101", Code: "012345", CodeDelivery: telegramtest.CodeByEmail}
	s := telegramtest.NewServer(t, telegramtest.Config{Accounts: []telegramtest.Account{account}})
	ctx, client := startGotd(t, s, unchanged)
	sent, err := client.Auth().SendCode(ctx, account.Phone, auth.SendCodeOptions{})
	require.NoError(t, err)
	require.IsType(t, &tg.AuthSentCode{}, sent)
	_, err = client.Auth().SignIn(ctx, account.Phone, account.Code, sent.(*tg.AuthSentCode).PhoneCodeHash)
	assert.True(t, tgerr.Is(err, "PHONE_CODE_INVALID", "PHONE_CODE_EMPTY"), "%v", err)
	for method := range reflect.TypeFor[*auth.Client]().Methods() {
		assert.NotContains(t, strings.ToLower(method.Name), "email")
	}
}

// An update that comes while a token is being shown or replaced is lost.
func TestGotdQRLosesUpdates(t *testing.T) {
	dispatcher := tg.NewUpdateDispatcher()
	accepted := qrlogin.OnLoginToken(dispatcher)
	require.NoError(t, dispatcher.Handle(t.Context(), &tg.UpdateShort{Update: &tg.UpdateLoginToken{}}))
	select {
	case <-accepted:
		require.Fail(t, "it is remembered")
	default:
	}
}

// answers are what Telegram answers to the calls of a login by QR code, one after the
// other; the last one again and again.
type answers []tg.AuthLoginTokenClass

func (a answers) qr() qrlogin.QR {
	invoke := gotd.InvokeFunc(func(_ context.Context, _ bin.Encoder, output bin.Decoder) error {
		output.(*tg.AuthLoginTokenBox).LoginToken = a[0]
		if len(a) > 1 {
			a = a[1:]
		}
		return nil
	})
	migrate := func(context.Context, int) error { return nil }
	return qrlogin.NewQR(tg.NewClient(invoke), 1, "hash", qrlogin.Options{Migrate: migrate})
}

func loginToken(left time.Duration) *tg.AuthLoginToken {
	return &tg.AuthLoginToken{Token: []byte("token"), Expires: int(time.Now().Add(left).Unix())}
}

func noShow(context.Context, qrlogin.Token) error { return nil }

// A token that ran out while it was being accepted is replaced by Telegram: that is an
// error for gotd.
func TestGotdQRTakesNoFreshToken(t *testing.T) {
	_, err := answers{loginToken(time.Minute)}.qr().Import(t.Context())
	require.ErrorContains(t, err, "unexpected type *tg.AuthLoginToken")
}

// So is a token that somebody of another datacenter has accepted at the moment when it is
// replaced, though there is a function to migrate with.
func TestGotdQRTakesNoMigrationWhenItRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := answers{loginToken(time.Minute), &tg.AuthLoginTokenMigrateTo{DCID: 4}}.qr().Auth(t.Context(), nil, noShow)
		_, ok := errors.AsType[*qrlogin.MigrationNeededError](err)
		require.True(t, ok, "%v", err)
	})
}

// Where this machine's clock is ahead, every token seems to have run out.
func TestGotdQRAsksWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, enough := time.Now(), errors.New("enough")
		shown := 0
		_, err := answers{loginToken(-time.Minute)}.qr().Auth(t.Context(), nil, func(context.Context, qrlogin.Token) error {
			if shown++; shown == 100 {
				return enough
			}
			return nil
		})
		require.ErrorIs(t, err, enough)
		assert.Zero(t, time.Since(start))
	})
}

// groupPages answers each request for dialogs with the same page, of one group whose last
// message has the ID 7. It keeps what it was asked for.
type groupPages struct {
	page  tg.MessagesDialogsSlice
	asked []dialogs.Request
}

var group1 = &tg.PeerChat{ChatID: 1}

func newGroupPages() *groupPages {
	return &groupPages{page: tg.MessagesDialogsSlice{Count: 2, Dialogs: []tg.DialogClass{&tg.Dialog{Peer: group1, TopMessage: 7}}}}
}

func (g *groupPages) Query(_ context.Context, request dialogs.Request) (tg.MessagesDialogsClass, error) {
	g.asked = append(g.asked, request)
	return &g.page, nil
}

// A page that does not describe the peer of its last dialog is an error. When this and
// the next one are different, dialogPages can go.
func TestGotdDialogIteratorNeedsPeers(t *testing.T) {
	q := newGroupPages()
	q.page.Messages = []tg.MessageClass{&tg.Message{ID: 7, Date: 8, PeerID: group1}}
	next := dialogs.NewIterator(q, 1)
	require.False(t, next.Next(t.Context()))
	require.Error(t, next.Err())
}

// After a page without the message of its last dialog, the same page is asked for again.
func TestGotdDialogIteratorNeedsMessages(t *testing.T) {
	q := newGroupPages()
	q.page.Chats = []tg.ChatClass{&tg.Chat{ID: 1, Title: "Group", Photo: &tg.ChatPhotoEmpty{}}}
	next := dialogs.NewIterator(q, 1)
	require.True(t, next.Next(t.Context()))
	require.True(t, next.Next(t.Context()))
	require.Len(t, q.asked, 2)
	assert.Zero(t, q.asked[1].OffsetID)
	assert.Zero(t, q.asked[1].OffsetDate)
}

// Each test TestGotd… is listed in doc.go and named where the code is that goes with it,
// and all speak of the version of gotd that is used.
func TestWhatGotdDoesIsListed(t *testing.T) {
	build, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`gotd/td (v\S+)`).FindSubmatch(build)[1]
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	ofCalls, err := filepath.Glob("calls/*.go")
	require.NoError(t, err)
	ofKeys, err := filepath.Glob("internal/authkey/*.go")
	require.NoError(t, err)
	names = slices.Concat(names, ofCalls, ofKeys)
	tests, listed, named := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, name := range names {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, said := range regexp.MustCompile(`gotd\s+(?://\s+)?(v\d+\.\d+\.\d+)`).FindAllSubmatch(source, -1) {
			assert.Equal(t, string(version), string(said[1]), name)
		}
		found, pattern := named, `TestGotd\w+`
		switch {
		case name == "doc.go":
			found = listed
		case strings.HasSuffix(name, "_test.go"):
			found, pattern = tests, `(?m)^func (TestGotd\w+)`
		}
		for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(source, -1) {
			found[string(match[len(match)-1])] = true
		}
	}
	require.NotEmpty(t, tests)
	assert.Equal(t, tests, listed)
	assert.Equal(t, tests, named)
}
