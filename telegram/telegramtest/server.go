package telegramtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/rs/zerolog"
)

// Config is what a [Server] is made of. The zero value is usable.
type Config struct {
	// Addr is where to listen, as host:port with an IP address. Defaults to
	// 127.0.0.1:0, which is a free port.
	Addr string
	// DC is the number of the datacenter. Defaults to 2.
	DC int
	// OtherDCs are the numbers of further datacenters, each at the same IP address and a
	// port of its own, which help.getConfig tells. Accounts can be at home there, see
	// Account.DC, and each datacenter has auth keys of its own
	// (https://core.telegram.org/api/datacenter).
	OtherDCs []int
	// MediaDC is the number of the datacenter where the photos lie: a client has to take its
	// login there to download them. It need not be among OtherDCs. Defaults to DC.
	MediaDC int
	// LoginTokenLifetime is how long the token of a QR code can be accepted. Clients are
	// told the second in which it ends. Defaults to [DefaultLoginTokenLifetime].
	LoginTokenLifetime time.Duration
	// FullProof makes the proof of work in key exchanges as much as Telegram's is: 0.2
	// seconds of a processor for gotd alone, and several under the race detector. Defaults to
	// next to none.
	FullProof bool
	// Key is what the server proves itself with. Defaults to the one in StateFile,
	// or else to one of 2048 bits that all servers of the process have.
	Key *rsa.PrivateKey
	// StateFile is a file in which auth keys, logins, and the groups and channels that
	// clients made or changed outlast the server: another one started with the same
	// StateFile, Addr and Accounts goes on where this one ended. It holds secrets. It is made when it does not exist, with its folder.
	// Defaults to "": everything is in memory only.
	StateFile string
	// Accounts are there before the first client can connect. More can be added
	// with [Server.AddAccount].
	Accounts []Account
	// Chats are groups and channels of these accounts beyond what their dialogs say.
	// More can be added with [Server.SetChat].
	Chats []Chat
	// Log is where connections and calls go. Its lines hold no secrets. The zero
	// value is silent.
	Log zerolog.Logger
}

// T is what [NewServer] needs of a *testing.T.
type T interface {
	// Helper marks the caller as a helper.
	Helper()
	// Cleanup registers a function to be called when the test ends.
	Cleanup(func())
	// Fatalf ends the test with a message.
	Fatalf(format string, args ...any)
}

// Server is a Telegram datacenter, or several. All its methods are safe for concurrent use.
type Server struct {
	log        zerolog.Logger
	dc         int
	dcs        []int // all of them
	mediaDC    int   // where the photos lie
	tokenLife  time.Duration
	fullProof  bool
	key        exchange.PrivateKey
	listeners  map[int]net.Listener // by datacenter
	cipher     crypto.Cipher
	ahead      atomic.Int64                       // see SetClock
	messageIDs atomic.Pointer[proto.MessageIDGen] // goes by the server's clock
	methods    map[uint32]method

	ctx    context.Context // ends when the server closes
	cancel context.CancelFunc
	work   sync.WaitGroup

	blackhole atomic.Bool
	telling   sync.Mutex // is held while updates about messages are sent

	mu       sync.Mutex // guards what follows; held while a method is worked off
	conns    map[*conn]struct{}
	accepted int // how many connections there were
	refuse   bool
	state    state
	world    world
	messages messages
	faults   faults
}

// Start starts a server, which must be closed. It returns an error when it can't
// listen, when the state file can't be used, and for accounts and
// chats that [Server.AddAccount] and [Server.SetChat] would refuse.
func Start(cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.DC == 0 {
		cfg.DC = 2
	}
	if cfg.MediaDC == 0 {
		cfg.MediaDC = cfg.DC
	}
	if cfg.LoginTokenLifetime == 0 {
		cfg.LoginTokenLifetime = DefaultLoginTokenLifetime
	}
	loaded, err := openState(cfg.StateFile, cfg.Key, cfg.DC)
	if err != nil {
		return nil, err
	}
	s := &Server{
		log:       cfg.Log,
		dc:        cfg.DC,
		dcs:       cfg.datacenters(),
		mediaDC:   cfg.MediaDC,
		tokenLife: cfg.LoginTokenLifetime,
		fullProof: cfg.FullProof,
		key:       exchange.PrivateKey{RSA: loaded.key},
		cipher:    crypto.NewServerCipher(rand.Reader),
		methods:   methodTable(),
		listeners: map[int]net.Listener{},
		conns:     map[*conn]struct{}{},
		state:     loaded,
		world:     newWorld(),
		messages:  newMessages(),
		faults:    newFaults(),
	}
	s.SetClock(0)
	for _, account := range cfg.Accounts {
		if err := s.AddAccount(account); err != nil {
			return nil, err
		}
	}
	for _, chat := range cfg.Chats {
		if err := s.SetChat(chat); err != nil {
			return nil, err
		}
	}
	s.restoreChats()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.listen(cfg.Addr); err != nil {
		s.cancel()
		return nil, fmt.Errorf("listen for Telegram clients: %w", err)
	}
	return s, nil
}

// datacenters returns the numbers of all datacenters, each once, DC first.
func (cfg *Config) datacenters() []int {
	all := []int{cfg.DC}
	for _, dc := range append([]int{cfg.MediaDC}, cfg.OtherDCs...) {
		if !slices.Contains(all, dc) {
			all = append(all, dc)
		}
	}
	return all
}

// listen starts to take connections.
func (s *Server) listen(addr string) error {
	var config net.ListenConfig
	for _, dc := range s.dcs {
		at := addr
		if dc != s.dc {
			host, _, _ := net.SplitHostPort(addr) // a bad one is refused below
			at = net.JoinHostPort(host, "0")
		}
		listener, err := config.Listen(s.ctx, "tcp", at)
		if err != nil {
			return errors.Join(err, s.closeListeners())
		}
		s.listeners[dc] = listener
		s.log.Info().Stringer("addr", listener.Addr()).Int("dc", dc).Msg("Telegram test server listens")
	}
	for dc, listener := range s.listeners {
		s.work.Go(func() { s.accept(listener, dc) })
	}
	return nil
}

// closeListeners makes all datacenters take no more connections.
func (s *Server) closeListeners() (err error) {
	for _, listener := range s.listeners {
		err = errors.Join(err, listener.Close())
	}
	return err
}

// NewServer starts a server that is closed when the test ends.
func NewServer(t T, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg)
	if err != nil {
		t.Fatalf("start a Telegram test server: %v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Fatalf("close the Telegram test server: %v", err)
		}
	})
	return s
}

// Addr returns the address at which the server listens, as host:port.
func (s *Server) Addr() string { return s.listeners[s.dc].Addr().String() }

// DC returns the number of the datacenter.
func (s *Server) DC() int { return s.dc }

// PublicKey returns the key that clients have to know, which is the type
// telegram.PublicKey of gotd.
func (s *Server) PublicKey() exchange.PublicKey { return s.key.Public() }

// PublicKeyPEM returns the key that clients have to know as a PEM block of type RSA
// PUBLIC KEY (PKCS #1).
func (s *Server) PublicKeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(s.PublicKey().RSA)})
}

// DCList returns the server's address in the form of gotd's telegram.Options.DCList.
// Clients learn those of other datacenters there.
func (s *Server) DCList() dcs.List {
	return dcs.List{Options: []tg.DCOption{dcOption(s.dc, s.listeners[s.dc].Addr())}}
}

// dcOption describes a datacenter as one that is reached at an address.
func dcOption(dc int, addr net.Addr) tg.DCOption {
	option := tg.DCOption{ID: dc, Static: true}
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ip := tcp.IP
		if ip.IsUnspecified() {
			ip = net.IPv4(127, 0, 0, 1)
		}
		option.IPAddress, option.Port, option.Ipv6 = ip.String(), tcp.Port, ip.To4() == nil
	}
	return option
}

// Close stops the server: it closes every connection and waits until everything
// that it started has ended. Calls after the first do nothing but wait.
func (s *Server) Close() error {
	s.cancel()
	err := s.closeListeners()
	s.DropConnections()
	s.work.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the Telegram test server: %w", err)
	}
	return nil
}

// accept takes connections to a datacenter until the server closes.
func (s *Server) accept(listener net.Listener, dc int) {
	for {
		socket, err := listener.Accept()
		switch {
		case err == nil:
			s.open(socket, dc)
		case s.ctx.Err() != nil:
			return
		default:
			// Too many open files, or a client that went away while it waited.
			s.log.Warn().Err(err).Msg("Could not accept a connection")
			select {
			case <-time.After(50 * time.Millisecond):
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// open starts to serve a connection, unless connections are refused.
func (s *Server) open(socket net.Conn, dc int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse || s.ctx.Err() != nil {
		_ = socket.Close()
		return
	}
	s.accepted++
	c := newConn(s, socket, dc)
	c.number = s.accepted
	s.conns[c] = struct{}{}
	s.work.Go(c.serve)
}
