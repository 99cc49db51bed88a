package connector

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gotd/td/bin"
	tdtelegram "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/bridgev2/status"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/calls"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// Client is the Telegram client of a login. It runs from Connect until Disconnect, or until
// Telegram has ended its session, and reconnects by itself. It is safe for concurrent use.
type Client struct {
	connector *Connector
	login     *bridgev2.UserLogin
	metadata  *LoginMetadata
	calls     *calls.Client // for the provisioning API
	me        provisioning.TelegramID
	connected chan struct{} // closed by Connect
	// endPending: the session is still to be ended at Telegram.
	endPending atomic.Bool

	mu  sync.Mutex
	run *run // of the last Connect
}

var (
	_ bridgev2.NetworkAPI                    = (*Client)(nil)
	_ bridgev2.IdentifierResolvingNetworkAPI = (*Client)(nil)
	_ bridgev2.ContactListingNetworkAPI      = (*Client)(nil)
)

// run is one gotd client.
type run struct {
	key      []byte // of the session
	telegram *tdtelegram.Client
	cancel   context.CancelFunc
	mu       sync.Mutex
	breaks   atomic.Int64  // how often the connection has broken
	up       chan bool     // has a value when the connection has come or gone since the last one
	stored   chan struct{} // closed when gotd has stored the session
	ready    chan struct{} // closed when calls can be made
	done     chan struct{} // closed when it has stopped
}

func newClient(connector *Connector, login *bridgev2.UserLogin) *Client {
	me, _ := ParseLoginID(login.ID)
	c := &Client{
		connector: connector, login: login, metadata: login.Metadata.(*LoginMetadata), me: me, connected: make(chan struct{}),
	}
	c.calls = calls.New(callsSession{c})
	return c
}

// ErrStopped is returned by calls of a client that is stopped.
var ErrStopped = errors.New("the Telegram client of this login is stopped")

// HasSession says whether the login has a session that Telegram has not ended, as far as
// is known.
func (c *Client) HasSession() bool { return len(c.metadata.get().AuthKey) > 0 }

// API returns the raw Telegram calls. It waits until the client is connected. Errors:
// bridgev2.ErrNotLoggedIn when there is no session, ErrStopped, the context's.
func (c *Client) API(ctx context.Context) (*tg.Client, error) {
	if !c.HasSession() {
		return nil, bridgev2.ErrNotLoggedIn
	}
	select {
	case <-c.connected:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	select {
	case <-r.ready:
		return r.telegram.API(), nil
	case <-r.done:
		if !c.HasSession() {
			return nil, bridgev2.ErrNotLoggedIn
		}
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Connect implements bridgev2.NetworkAPI. It does not wait for the connection.
func (c *Client) Connect(context.Context) {
	if !c.HasSession() {
		c.login.BridgeState.Send(badCredentials)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run != nil {
		return
	}
	ctx, cancel := context.WithCancel(c.login.Log.WithContext(c.connector.bridge.BackgroundCtx))
	c.run = &run{
		key: c.metadata.get().AuthKey, cancel: cancel, up: make(chan bool, 1), stored: make(chan struct{}), ready: make(chan struct{}), done: make(chan struct{}),
	}
	c.run.telegram = tdtelegram.NewClient(c.connector.Config.APIID, c.connector.Config.APIHash, c.options(ctx, c.run))
	close(c.connected)
	go c.work(ctx, c.run)
}

// options is what the gotd client of a run is made with.
func (c *Client) options(ctx context.Context, r *run) tdtelegram.Options {
	options := tdtelegram.Options{
		SessionStorage: &storage{c.metadata, c.login.Save, sync.OnceFunc(func() { close(r.stored) })},
		UpdateHandler:  c.updates(),
		Middlewares: []tdtelegram.Middleware{
			wrapped(func(next tg.Invoker) tg.Invoker { return calls.RepeatTransient(next, nil) }), wrapped(calls.ReturnInTime),
			wrapped(func(next tg.Invoker) tg.Invoker { return calls.RetryUnsent(next, r.done) }),
			wrapped(func(next tg.Invoker) tg.Invoker { return calls.SendOnce(next, r.breaks.Load) }),
			tdtelegram.MiddlewareFunc(c.noticeEnd(r)),
		},
		OnConnectionState: func(state tdtelegram.ConnectionState) {
			zerolog.Ctx(ctx).Debug().Stringer("state", state).Msg("Connection to Telegram")
			if state == tdtelegram.ConnectionStateDisconnected {
				r.breaks.Add(1)
			}
			if state != tdtelegram.ConnectionStateConnecting {
				r.tell(state == tdtelegram.ConnectionStateReady)
			}
		},
	}
	if dc := c.connector.datacenter; dc != nil {
		options.DC, options.PublicKeys = dc.ID, []tdtelegram.PublicKey{{RSA: dc.Key}}
		options.DCList = dcs.List{Options: []tg.DCOption{dcOption(dc.ID, dc.Addr)}}
		if own := c.metadata.get(); own.DC != dc.ID {
			options.DCList.Options = append(options.DCList.Options, dcOption(own.DC, own.Addr))
		}
	}
	return options
}

// wrapped is a middleware of package calls.
func wrapped(wrap func(tg.Invoker) tg.Invoker) tdtelegram.Middleware {
	return tdtelegram.MiddlewareFunc(func(next tg.Invoker) tdtelegram.InvokeFunc { return wrap(next).Invoke })
}

func dcOption(id int, addr string) tg.DCOption {
	host, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	return tg.DCOption{ID: id, IPAddress: host, Port: number, Static: true, Ipv6: net.ParseIP(host).To4() == nil}
}

// work runs the client of a run until it is to stop.
func (c *Client) work(ctx context.Context, r *run) {
	defer close(r.done)
	defer r.cancel()
	c.login.BridgeState.Send(status.BridgeState{StateEvent: status.StateConnecting})
	err := r.telegram.Run(ctx, func(ctx context.Context) error {
		for {
			select {
			case up := <-r.up:
				if up {
					c.subscribe(ctx, r)
				} else {
					c.login.BridgeState.Send(status.BridgeState{StateEvent: status.StateTransientDisconnect, Error: "telegram-disconnected"})
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	if endsSession(err) { // gotd's own call at the beginning of a connection has failed
		c.metadata.end(r.key)
	}
	switch {
	case !c.HasSession():
		zerolog.Ctx(ctx).Info().Msg("Telegram has ended the session")
		if err := c.login.Save(context.WithoutCancel(ctx)); err != nil {
			zerolog.Ctx(ctx).Err(err).Msg("Could not store that the session has ended")
		}
		c.login.BridgeState.Send(badCredentials)
	case ctx.Err() == nil:
		zerolog.Ctx(ctx).Err(err).Msg("The Telegram client has stopped by itself")
		c.login.BridgeState.Send(status.BridgeState{StateEvent: status.StateUnknownError, Error: "telegram-client-stopped"})
	}
}

var badCredentials = status.BridgeState{StateEvent: status.StateBadCredentials, Error: "telegram-session-ended", UserAction: status.UserActionRelogin}

func init() {
	status.BridgeStateHumanErrors.Update(status.BridgeStateErrorMap{
		"telegram-session-ended":  "Telegram has ended the session. Log in again.",
		"telegram-client-stopped": "The connection to Telegram has failed.",
		"telegram-disconnected":   "The connection to Telegram is interrupted.",
	})
}

// subscribe makes Telegram send updates over a new connection, by the first call on it. It
// finds out as well whether the session has ended meanwhile.
func (c *Client) subscribe(ctx context.Context, r *run) {
	if _, err := r.telegram.API().UpdatesGetState(ctx); err != nil {
		c.subscribeLater(ctx, r, err)
		return
	}
	select {
	case <-r.stored: // gotd may store it after it says that there is a connection
	case <-ctx.Done():
		return
	}
	if !isClosed(r.ready) {
		close(r.ready)
	}
	c.login.BridgeState.Send(status.BridgeState{StateEvent: status.StateConnected})
	if !c.metadata.get().Synced {
		if err := c.syncChats(ctx); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Could not list the first chats")
		}
	}
}

// subscribeLater has subscribe called again.
func (c *Client) subscribeLater(ctx context.Context, r *run, reason error) {
	const pause = 5 * time.Second
	zerolog.Ctx(ctx).Debug().Err(reason).Msg("Could not subscribe to updates")
	time.AfterFunc(pause, func() { r.tell(true) })
}

// tell has the client notice that there is a connection, or that there is none.
func (r *run) tell(up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.up: // what was not noticed yet is out of date
	default:
	}
	r.up <- up
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// noticeEnd looks at the error of every call for one that means that Telegram has ended the
// session, and stops the client then. Calls that fail because the client has stopped have
// that error too.
func (c *Client) noticeEnd(r *run) func(tg.Invoker) tdtelegram.InvokeFunc {
	return func(next tg.Invoker) tdtelegram.InvokeFunc {
		return func(ctx context.Context, input bin.Encoder, output bin.Decoder) error {
			err := next.Invoke(ctx, input, output)
			if endsSession(err) && c.metadata.end(r.key) {
				r.cancel()
			}
			if !errors.Is(err, context.Canceled) {
				return err
			}
			select {
			case <-r.done: // the client has stopped, and said why
				if !c.HasSession() {
					return tgerr.New(401, "SESSION_REVOKED")
				}
			case <-ctx.Done():
			}
			return err
		}
	}
}

// endsSession says whether Telegram means with an error that the session is no more.
func endsSession(err error) bool {
	rpc, ok := tgerr.As(err)
	return ok && errors.Is(rpcerror.Error("", rpc.Code, rpc.Message), provisioning.ErrNotLoggedIn)
}

// Disconnect implements bridgev2.NetworkAPI. It waits until the client has stopped.
func (c *Client) Disconnect() {
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r != nil {
		r.cancel()
		<-r.done
	}
}

// IsLoggedIn implements bridgev2.NetworkAPI.
func (c *Client) IsLoggedIn() bool { return c.HasSession() }

// LogoutRemote implements bridgev2.NetworkAPI.
func (c *Client) LogoutRemote(ctx context.Context) {
	c.endSession(ctx)
	if err := c.connector.hashes.deleteLogin(context.WithoutCancel(ctx), c.login.ID); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Could not forget the access hashes of a login")
	}
}

// endSession stops the client, and has package telegram end the session at Telegram, which
// goes on with that for as long as it takes.
func (c *Client) endSession(ctx context.Context) {
	const patience = 5 * time.Second // an API client waits for half of it
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.Disconnect()
	session := c.metadata.get()
	if !c.metadata.end(session.AuthKey) {
		return // it has ended
	}
	pending, err := c.connector.logins.EndSession(ctx, c.login.UserMXID, telegram.HandedSession{
		Account: provisioning.Account{ID: c.me, IsBot: session.Bot},
		DC:      session.DC, Addr: session.Addr, AuthKey: session.AuthKey, AuthKeyID: session.KeyID, Salt: session.Salt,
	})
	if err != nil {
		zerolog.Ctx(ctx).Err(err).Msg("Could not promise the end of a session at Telegram")
	}
	c.endPending.Store(pending)
}

// IsThisUser implements bridgev2.NetworkAPI.
func (c *Client) IsThisUser(_ context.Context, user networkid.UserID) bool {
	return user == UserID(int64(c.me))
}

// GetUserID implements bridgev2.NetworkAPIWithUserID.
func (c *Client) GetUserID() networkid.UserID { return UserID(int64(c.me)) }
