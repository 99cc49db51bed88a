package telegram_test

import (
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/rpc"
	"github.com/gotd/td/session"
	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/gotd/td/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// The tests TestGotd… show what gotd does that this package has code because of, without
// any of that code. When one of them fails with a new version of gotd, then that code can
// go. The list in doc.go names both.

// patience is how long such a test waits for what the version of go.mod does at once.
const patience = 5 * time.Minute

// gotdClient makes a client that is to run on a server.
func gotdClient(s *telegramtest.Server, change func(*gotd.Options)) *gotd.Client {
	options := gotd.Options{
		DC: s.DC(), DCList: s.DCList(), PublicKeys: []gotd.PublicKey{s.PublicKey()}, Resolver: dcs.Plain(dcs.PlainOptions{}),
		// A busy machine takes its time for a key exchange: no second one because of it.
		DialTimeout: time.Hour, ExchangeTimeout: time.Hour,
	}
	change(&options)
	return gotd.NewClient(1, "hash", options)
}

// startGotd runs a client on a server until the test ends. It returns the client, once it
// is connected, and the context for what it is to do.
func startGotd(t *testing.T, s *telegramtest.Server, change func(*gotd.Options)) (context.Context, *gotd.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	client := gotdClient(s, change)
	running, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		assert.NoError(t, client.Run(ctx, func(ctx context.Context) error {
			close(running)
			<-ctx.Done()
			return ctx.Err()
		}))
	}()
	t.Cleanup(func() {
		cancel()
		<-stopped
	})
	select {
	case <-running:
	case <-stopped:
		t.FailNow()
	}
	return ctx, client
}

func unchanged(*gotd.Options) {}

// slowStorage stores nothing before it is released.
type slowStorage struct {
	session.StorageMemory
	released <-chan struct{}
}

func (s *slowStorage) StoreSession(ctx context.Context, data []byte) error {
	select {
	case <-s.released:
		return s.StorageMemory.StoreSession(ctx, data)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// https://github.com/gotd/td/pull/1851 wants to change it. It is one reason why keyMaker makes
// the key and stores it first.
func TestGotdRunsBeforeTheSessionIsStored(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	storage := &slowStorage{released: released}
	startGotd(t, telegramtest.NewServer(t, telegramtest.Config{}), func(o *gotd.Options) { o.SessionStorage = storage })
	close(released)
}

// Then the first conn.up.Store in Factory.runClient can go.
func TestGotdRunsBeforeItSaysThatItIsConnected(t *testing.T) {
	t.Parallel()
	running, tooLate := make(chan struct{}), time.After(patience)
	startGotd(t, telegramtest.NewServer(t, telegramtest.Config{}), func(o *gotd.Options) {
		o.OnConnectionState = func(state gotd.ConnectionState) {
			if state == gotd.ConnectionStateReady {
				select {
				case <-running:
				case <-tooLate:
					assert.Fail(t, "it does not run before this has returned")
				}
			}
		}
	})
	close(running)
}

// Then the case of conn.explain for clients that have stopped can go.
func TestGotdHidesWhyItHasStopped(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	s.Fail("help.getConfig", 1, 401, "AUTH_KEY_UNREGISTERED")
	client := gotdClient(s, unchanged)
	err := client.Run(t.Context(), func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	require.True(t, tgerr.Is(err, "AUTH_KEY_UNREGISTERED"), "%v", err)
	_, err = client.Self(t.Context())
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, tgerr.Is(err, "AUTH_KEY_UNREGISTERED"))
}

// recordingResolver connects to nothing, and keeps what it was asked for.
type recordingResolver struct {
	dcs.Resolver
	dcs   []int
	lists []dcs.List
	stop  func()
}

func (r *recordingResolver) Primary(_ context.Context, dc int, list dcs.List) (transport.Conn, error) {
	r.dcs, r.lists = append(r.dcs, dc), append(r.lists, list)
	r.stop()
	return nil, errors.New("no connection")
}

// Then the first lines of closingResolver.dial can go.
func TestGotdDialsAfterItsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	resolver := &recordingResolver{stop: cancel}
	_ = gotd.NewClient(1, "hash", gotd.Options{Resolver: resolver}).Run(ctx, nil)
	assert.Equal(t, []int{2}, resolver.dcs)
}

// The client has the addresses of all datacenters in the stored session, and does not use
// them. Then Factory.otherDatacenters can go.
func TestGotdForgetsDatacenters(t *testing.T) {
	key := crypto.Key{1}.WithID()
	home := tg.DCOption{ID: 4, IPAddress: "127.0.0.1", Port: 443}
	storage := &session.StorageMemory{}
	require.NoError(t, (&session.Loader{Storage: storage}).Save(t.Context(), &session.Data{
		DC: home.ID, Config: session.Config{ThisDC: home.ID, DCOptions: []tg.DCOption{home}}, AuthKey: key.Value[:], AuthKeyID: key.ID[:],
	}))
	ctx, cancel := context.WithCancel(t.Context())
	resolver := &recordingResolver{stop: cancel}
	other := tg.DCOption{ID: 2, IPAddress: "127.0.0.1", Port: 444}
	_ = gotd.NewClient(1, "hash", gotd.Options{
		DC: other.ID, DCList: dcs.List{Options: []tg.DCOption{other}}, Resolver: resolver, SessionStorage: storage,
	}).Run(ctx, nil)
	require.Equal(t, []int{home.ID}, resolver.dcs)
	assert.Equal(t, []tg.DCOption{other}, resolver.lists[0].Options, "where it is to connect to is not in there")
}

// oneDC is a list with a single datacenter.
var oneDC = dcs.List{Options: []tg.DCOption{{ID: 2, IPAddress: "127.0.0.1", Port: 443}}}

// https://github.com/gotd/td/pull/1838 is about the same read. Then closingConn can go.
func TestGotdExchangesKeysAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, silent := net.Pipe()
		defer silent.Close()
		go func() { _, _ = io.Copy(io.Discard, silent) }()
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() {
			stopped <- gotd.NewClient(1, "hash", gotd.Options{DCList: oneDC, Resolver: dcs.Plain(dcs.PlainOptions{
				Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil },
			})}).Run(ctx, nil)
		}()
		synctest.Wait()
		end := time.Now()
		cancel()
		<-stopped
		assert.Equal(t, 35*time.Second, time.Since(end))
	})
}

// The numbers are Telegram's, and always the same. Then package authkey and exchange.go can
// go, and newkey.go if TestGotdRunsBeforeTheSessionIsStored fails as well.
func TestGotdTestsPrimesAnew(t *testing.T) {
	prime, err := exchange.TestServerRNG{}.DhPrime()
	require.NoError(t, err)
	// In allocations, which do not depend on the machine.
	least := testing.AllocsPerRun(1, func() { prime.ProbablyPrime(1) })
	assert.Greater(t, testing.AllocsPerRun(1, func() { require.NoError(t, crypto.CheckDH(3, prime)) }), least)
}

// Nobody is told when a client begins to compute in a key exchange. Then exchange.go need
// not read what Telegram sends.
func TestGotdTellsNobodyOfKeyExchanges(t *testing.T) {
	var about []string
	for field := range reflect.TypeFor[gotd.Options]().Fields() {
		if strings.Contains(field.Name, "Exchange") {
			about = append(about, field.Name)
		}
	}
	assert.Equal(t, []string{"ExchangeTimeout"}, about)
}

// dialer makes connections that can go wrong.
type dialer struct{ last atomic.Pointer[badConn] }

func (d *dialer) use(o *gotd.Options) {
	o.Resolver = dcs.Plain(dcs.PlainOptions{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		bad := &badConn{Conn: conn}
		d.last.Store(bad)
		return bad, nil
	}})
}

// badConn is a connection that loses what it receives, or turns out to be closed at a
// write or when the deadline for one is set, when it is told to.
type badConn struct {
	net.Conn
	deaf, closedAtWrite, closedAtDeadline atomic.Bool
}

func (c *badConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.deaf.Load() {
			return n, err
		}
	}
}

func (c *badConn) Write(p []byte) (int, error) {
	if c.closedAtWrite.Load() {
		_ = c.Conn.Close()
	}
	return c.Conn.Write(p)
}

func (c *badConn) SetWriteDeadline(at time.Time) error {
	if c.closedAtDeadline.Load() {
		_ = c.Conn.Close()
	}
	err := c.Conn.SetWriteDeadline(at)
	if c.closedAtWrite.Load() {
		return nil
	}
	return err
}

// request is a call during which something happens, before it is sent.
type request struct {
	bin.Encoder
	encoded func()
}

func (r request) Encode(b *bin.Buffer) error {
	r.encoded()
	return r.Encoder.Encode(b)
}

// https://github.com/gotd/td/issues/1030 has changed it for calls that come a moment later;
// https://github.com/gotd/td/pull/1830, which wanted to change the rest, was closed. Then
// calls.RetryUnsent can go.
func TestGotdFailsCallsItCouldNotSend(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	var d dialer
	ctx, client := startGotd(t, s, d.use)
	for op, breakConn := range map[string]func(){
		"write": func() { d.last.Load().closedAtWrite.Store(true) },
		"set":   func() { d.last.Load().closedAtDeadline.Store(true) },
	} {
		for connected := false; !connected; {
			_, err := client.API().HelpGetConfig(ctx)
			connected = err == nil
			require.NoError(t, ctx.Err())
		}
		err := client.Invoke(ctx, request{&tg.HelpGetConfigRequest{}, breakConn}, &tg.Config{})
		broken, ok := errors.AsType[*net.OpError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, op, broken.Op)
	}
}

// https://github.com/gotd/td/pull/1749 takes that for safe. Then sentOnce can go.
func TestGotdSendsACallTwice(t *testing.T) {
	t.Parallel()
	s := telegramtest.NewServer(t, telegramtest.Config{})
	var d dialer
	var lost atomic.Bool
	ctx, client := startGotd(t, s, func(o *gotd.Options) {
		d.use(o)
		o.RetryInterval = time.Hour // over the same connection
		o.OnConnectionState = func(state gotd.ConnectionState) {
			if state == gotd.ConnectionStateDisconnected {
				lost.Store(true)
			}
		}
	})
	held := s.Hold("help.getNearestDc")
	var toldBefore []bool
	returned := make(chan error, 1)
	go func() {
		returned <- client.Invoke(ctx, request{&tg.HelpGetNearestDCRequest{}, func() {
			toldBefore = append(toldBefore, lost.Load())
			d.last.Load().deaf.Store(len(toldBefore) == 1)
		}}, &tg.NearestDC{})
	}()
	<-held.Arrived()
	s.DropConnections()
	select {
	case <-held.Arrived():
		held.Release()
		<-returned
	case err := <-returned:
		require.Fail(t, "it was sent once", "%v", err)
	}
	// What sentOnce goes by: it is encoded for each time, after the loss was told.
	assert.Equal(t, []bool{false, true}, toldBefore)
}

// That is a call which Telegram has confirmed and not answered yet
// (https://github.com/gotd/td/pull/1749). Then calls.ErrInterrupted is for calls.SendOnce only.
func TestGotdCancelsCallsOfABrokenConnection(t *testing.T) {
	sent := make(chan struct{})
	var engine *rpc.Engine
	engine = rpc.New(func(_ context.Context, id int64, _ int32, _ bin.Encoder) error {
		engine.NotifyAcks([]int64{id})
		close(sent)
		return nil
	}, rpc.Options{})
	returned := make(chan error, 1)
	go func() { returned <- engine.Do(t.Context(), rpc.Request{MsgID: 1, Input: &tg.HelpGetConfigRequest{}}) }()
	<-sent
	engine.ForceClose()
	err := <-returned
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, rpc.ErrEngineClosed)
}
