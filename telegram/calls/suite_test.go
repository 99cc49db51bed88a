package calls_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/session"
	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/suiteserver"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram/calls"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuites(t *testing.T) {
	t.Parallel()
	for name, suite := range map[string]func(*testing.T, func(*testing.T) *backend){
		"ChatLister":        provisioningtest.TestChatLister[*backend],
		"ContactLister":     provisioningtest.TestContactLister[*backend],
		"StickerSetLister":  provisioningtest.TestStickerSetLister[*backend],
		"ChatGetter":        provisioningtest.TestChatGetter[*backend],
		"MigrationLister":   provisioningtest.TestMigrationLister[*backend],
		"ChatCreator":       provisioningtest.TestChatCreator[*backend],
		"CreatedChatLister": provisioningtest.TestCreatedChatLister[*backend],
		"UserResolver":      provisioningtest.TestUserResolver[*backend],
		"PhotoGetter":       provisioningtest.TestPhotoGetter[*backend],
	} {
		t.Run(name, func(t *testing.T) { suite(t, newBackend) })
	}
}

// backend is a bridge with Telegram clients of its own: gotd's, as they are.
type backend struct {
	*suiteserver.Server
	t *testing.T

	mu       sync.Mutex
	sessions map[id.UserID]*ownSession
}

func newBackend(t *testing.T) *backend {
	t.Parallel()
	b := &backend{Server: suiteserver.New(t), t: t, sessions: map[id.UserID]*ownSession{}}
	t.Cleanup(b.stop)
	return b
}

// stop stops all clients and waits until they have stopped.
func (b *backend) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		s.stop()
	}
}

// Open implements provisioningtest.TelegramBackend.
func (b *backend) Open() provisioning.TelegramClientFactory {
	b.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		s.start(b)
	}
	return b
}

// LogIn implements provisioningtest.TelegramBackend.
func (b *backend) LogIn(userID id.UserID, telegramID provisioning.TelegramID) {
	storage := &session.StorageMemory{}
	require.NoError(b.t, storage.StoreSession(b.t.Context(), b.NewSession(telegramID)))
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &ownSession{
		storage: storage, hashes: map[provisioning.PeerType]map[int64]int64{},
		self: calls.Self{ID: telegramID, Bot: b.Accounts[telegramID].IsBot},
	}
	s.start(b)
	b.sessions[userID] = s
}

// Client implements provisioning.TelegramClientFactory.
func (b *backend) Client(_ context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	return &client{calls.New(&userSession{b, userID})}, nil
}

// client is a client as a bridge has it.
type client struct{ *calls.Client }

// Logout is not what is tested here.
func (c *client) Logout(context.Context) (bool, error) { return false, errors.ErrUnsupported }

// userSession is the session of a user, if there is one.
type userSession struct {
	backend *backend
	userID  id.UserID
}

var (
	_ calls.Session        = (*userSession)(nil)
	_ calls.LocalUsernames = (*userSession)(nil)
)

// get returns the session. Errors: provisioning.ErrNotLoggedIn.
func (u *userSession) get() (*ownSession, error) {
	u.backend.mu.Lock()
	defer u.backend.mu.Unlock()
	s := u.backend.sessions[u.userID]
	if s == nil || s.ended.Load() {
		return nil, provisioning.ErrNotLoggedIn
	}
	return s, nil
}

// API implements calls.Session.
func (u *userSession) API(ctx context.Context) (*tg.Client, error) {
	s, err := u.get()
	if err != nil {
		return nil, err
	}
	select {
	case <-s.ready:
		return tg.NewClient(gotd.InvokeFunc(s.invoke)), nil
	case <-s.done:
		if s.ended.Load() {
			return nil, provisioning.ErrNotLoggedIn
		}
		return nil, provisioning.ErrTelegramUnavailable
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Self implements calls.Session.
func (u *userSession) Self(context.Context) (calls.Self, error) {
	s, err := u.get()
	if err != nil {
		return calls.Self{}, err
	}
	return s.self, nil
}

// Hashes implements calls.Session.
func (u *userSession) Hashes(_ context.Context, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	s, err := u.get()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := maps.Clone(s.hashes[kind])
	maps.DeleteFunc(known, func(id, _ int64) bool { return !slices.Contains(ids, id) })
	return known, nil
}

// PutHashes implements calls.Session.
func (u *userSession) PutHashes(_ context.Context, peers []calls.Peer) error {
	s, err := u.get()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range peers {
		if s.hashes[p.Kind] == nil {
			s.hashes[p.Kind] = map[int64]int64{}
		}
		s.hashes[p.Kind][p.ID] = p.AccessHash
	}
	return nil
}

// DeleteHashes implements calls.Session.
func (u *userSession) DeleteHashes(_ context.Context, kind provisioning.PeerType, ids []int64) error {
	s, err := u.get()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.hashes[kind], id)
	}
	return nil
}

// LocalUsername implements calls.LocalUsernames.
func (u *userSession) LocalUsername(_ context.Context, telegramID provisioning.TelegramID) (string, error) {
	u.backend.mu.Lock()
	defer u.backend.mu.Unlock()
	for _, s := range u.backend.sessions {
		if s.self.ID == telegramID && !s.ended.Load() {
			return u.backend.Accounts[telegramID].Username, nil
		}
	}
	return "", nil
}

// ownSession is a session that the bridge has, with its client.
type ownSession struct {
	self    calls.Self
	storage *session.StorageMemory
	ended   atomic.Bool // by Telegram

	client *gotd.Client
	ready  chan struct{} // closed when it is connected
	cancel context.CancelFunc
	done   chan struct{} // closed when it has stopped

	mu     sync.Mutex
	hashes map[provisioning.PeerType]map[int64]int64
}

// start starts the client.
func (s *ownSession) start(b *backend) {
	s.client = gotd.NewClient(1, "hash", gotd.Options{
		DC: b.Telegram.DC(), DCList: b.Telegram.DCList(), PublicKeys: []gotd.PublicKey{b.Telegram.PublicKey()},
		Resolver: dcs.Plain(dcs.PlainOptions{}), SessionStorage: s.storage,
		// A busy machine takes its time.
		DialTimeout: time.Hour, ExchangeTimeout: time.Hour,
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	ready, done := make(chan struct{}), make(chan struct{})
	s.cancel, s.ready, s.done = cancel, ready, done
	go func() {
		defer close(done)
		s.notice(s.client.Run(ctx, func(ctx context.Context) error {
			close(ready)
			<-ctx.Done()
			return ctx.Err()
		}))
	}()
}

// stop stops the client and waits until it has stopped.
func (s *ownSession) stop() {
	s.cancel()
	<-s.done
}

// invoke makes a call. It returns in time, which gotd does not always do, and notices
// that Telegram has ended the session.
func (s *ownSession) invoke(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
	result := make(chan error, 1)
	go func() { result <- s.client.API().Invoker().Invoke(ctx, input, output) }()
	select {
	case err := <-result:
		s.notice(err)
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *ownSession) notice(err error) {
	rpc, ok := tgerr.As(err)
	if ok && errors.Is(rpcerror.Error("", rpc.Code, rpc.Message), provisioning.ErrNotLoggedIn) {
		s.ended.Store(true)
	}
}
