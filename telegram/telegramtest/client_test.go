package telegramtest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The accounts of the tests.
var (
	ada = telegramtest.Account{
		ID: 1001, Phone: "9996610001", FirstName: "Ada", LastName: "Lovelace", Username: "ada", Code: "01234",
	}
	grace = telegramtest.Account{
		ID: 1002, Phone: "9996610002", FirstName: "Grace", Username: "Grace_H", Password: "open sesame", PasswordHint: "forty",
	}
	helper = telegramtest.Account{ID: 2001, FirstName: "Helper", Username: "helper_bot", Bot: true, Token: "2001:AAE"}
)

func newServer(t *testing.T, options telegramtest.Config) *telegramtest.Server {
	t.Helper()
	if options.Accounts == nil {
		options.Accounts = []telegramtest.Account{ada, grace, helper}
	}
	return telegramtest.NewServer(t, options)
}

// client is a running gotd client.
type client struct {
	*telegram.Client
	t       *testing.T
	updates chan tg.UpdatesClass
	cancel  context.CancelFunc
	stopped chan struct{} // closed when it has ended
	err     error         // why; read after stopped
}

type setting func(*telegram.Options)

func withSession(storage session.Storage) setting {
	return func(o *telegram.Options) { o.SessionStorage = storage }
}

func withResolver(options dcs.PlainOptions) setting {
	return func(o *telegram.Options) { o.Resolver = dcs.Plain(options) }
}

// sessionOf returns a session with a new auth key of an account, 0 for one that is logged in
// to none. gotd takes half a second of a processor to make a key itself.
func sessionOf(t *testing.T, s *telegramtest.Server, accountID int64) session.Storage {
	t.Helper()
	key, err := s.AddAuthKey(accountID)
	require.NoError(t, err)
	keyID := crypto.Key(key).ID()
	storage := &session.StorageMemory{}
	loader := session.Loader{Storage: storage}
	require.NoError(t, loader.Save(t.Context(), &session.Data{DC: s.DC(), AuthKey: key, AuthKeyID: keyID[:]}))
	return storage
}

// start starts a client, which is stopped when the test ends. Nobody is logged in.
func start(t *testing.T, s *telegramtest.Server, settings ...setting) *client {
	t.Helper()
	c := &client{t: t, updates: make(chan tg.UpdatesClass, 100), stopped: make(chan struct{})}
	options := telegram.Options{
		DC: s.DC(), DCList: s.DCList(), PublicKeys: []telegram.PublicKey{s.PublicKey()},
		Resolver: dcs.Plain(dcs.PlainOptions{}),
		// A busy machine takes its time for a key exchange: no second one because of it.
		DialTimeout: time.Hour, ExchangeTimeout: time.Hour,
		UpdateHandler: telegram.UpdateHandlerFunc(func(_ context.Context, u tg.UpdatesClass) error {
			c.updates <- u
			return nil
		}),
	}
	for _, set := range settings {
		set(&options)
	}
	if options.SessionStorage == nil {
		options.SessionStorage = sessionOf(t, s, 0)
	}
	// gotd asks who it is when it has connected. Tests that count or fail calls want that to be over.
	asked := make(chan struct{})
	over := sync.OnceFunc(func() { close(asked) })
	options.OnSelfSuccess = func(*tg.User) { over() }
	options.OnSelfError = func(context.Context, error) error { over(); return nil }
	if options.NoUpdates {
		over() // it asks nothing
	}
	c.Client = telegram.NewClient(1, "hash", options)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c.cancel = cancel
	ready := make(chan struct{})
	go func() {
		defer close(c.stopped)
		c.err = c.Run(ctx, func(ctx context.Context) error {
			close(ready)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	t.Cleanup(c.stop)
	for _, happened := range []chan struct{}{ready, asked} {
		select {
		case <-happened:
		case <-c.stopped:
		}
	}
	return c
}

func (c *client) stop() {
	c.cancel()
	<-c.stopped
}

// sendCode asks for a code and returns its hash.
func (c *client) sendCode(a telegramtest.Account) string {
	c.t.Helper()
	return c.sentCode(a).PhoneCodeHash
}

func (c *client) sentCode(a telegramtest.Account) *tg.AuthSentCode {
	c.t.Helper()
	answer, err := c.Auth().SendCode(c.t.Context(), "+"+a.Phone, auth.SendCodeOptions{})
	require.NoError(c.t, err)
	require.IsType(c.t, &tg.AuthSentCode{}, answer)
	return answer.(*tg.AuthSentCode)
}

// logIn logs in to an account without a password.
func (c *client) logIn(a telegramtest.Account) *client {
	c.t.Helper()
	if a.Bot {
		_, err := c.Auth().Bot(c.t.Context(), a.Token)
		require.NoError(c.t, err)
		return c
	}
	code := a.Code
	if code == "" {
		code = telegramtest.DefaultCode
	}
	_, err := c.Auth().SignIn(c.t.Context(), a.Phone, code, c.sendCode(a))
	require.NoError(c.t, err)
	return c
}

// is asserts who is logged in.
func (c *client) is(a telegramtest.Account) {
	c.t.Helper()
	self, err := c.Self(c.t.Context())
	require.NoError(c.t, err)
	assert.Equal(c.t, []any{a.ID, a.FirstName, a.LastName, a.Username, a.Phone, a.Bot, true},
		[]any{self.ID, self.FirstName, self.LastName, self.Username, self.Phone, self.Bot, self.Self})
}
