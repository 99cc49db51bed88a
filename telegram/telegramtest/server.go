package telegramtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gotd/td/clock"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/rs/zerolog"
)

// Options are the settings of a [Server]. The zero value is usable.
type Options struct {
	// Addr is where to listen, host:port. Defaults to 127.0.0.1:0, a free port.
	Addr string
	// DC is the number of the datacenter. Defaults to 2.
	DC int
	// Key is what the server proves itself with. Defaults to the one in StateFile,
	// or a new one.
	Key *rsa.PrivateKey
	// StateFile is a file in which auth keys and logins survive a restart of the
	// server. Defaults to "": they are kept in memory only.
	StateFile string
	// Log is where connections and calls go. The zero value is silent.
	Log zerolog.Logger
}

// T is what [NewServer] needs of a *testing.T.
type T interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Server is a Telegram datacenter. All its methods are safe for concurrent use.
type Server struct {
	log      zerolog.Logger
	dc       int
	key      exchange.PrivateKey
	listener net.Listener
	cipher   crypto.Cipher
	msgID    *proto.MessageIDGen
	methods  map[uint32]method

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex // guards everything below
	conns map[*conn]struct{}
	state state
	world world
	fault faults
}

// Start starts a server. It must be closed.
func Start(options Options) (*Server, error) {
	if options.Addr == "" {
		options.Addr = "127.0.0.1:0"
	}
	if options.DC == 0 {
		options.DC = 2
	}
	loaded, err := loadState(options.StateFile)
	if err != nil {
		return nil, err
	}
	if options.Key != nil {
		loaded.Key = options.Key
	}
	if loaded.Key == nil {
		if loaded.Key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
	}
	if err := loaded.save(); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", options.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{
		log: options.Log, dc: options.DC, key: exchange.PrivateKey{RSA: loaded.Key}, listener: listener,
		cipher: crypto.NewServerCipher(rand.Reader), msgID: proto.NewMessageIDGen(clock.System.Now),
		conns: map[*conn]struct{}{}, state: loaded, world: newWorld(), fault: newFaults(),
	}
	s.methods = methods()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.accept)
	return s, nil
}

// NewServer starts a server that is closed when the test ends.
func NewServer(t T, options Options) *Server {
	t.Helper()
	s, err := Start(options)
	if err != nil {
		t.Fatalf("start a Telegram server: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Addr returns the address at which the server listens, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// DC returns the number of the datacenter.
func (s *Server) DC() int { return s.dc }

// PublicKey returns the key that clients have to know.
func (s *Server) PublicKey() telegram.PublicKey { return s.key.Public() }

// DCList returns the datacenter's address in the form of telegram.Options.
func (s *Server) DCList() dcs.List { return dcs.List{Options: []tg.DCOption{s.option()}} }

// option describes the datacenter.
func (s *Server) option() tg.DCOption {
	addr := s.listener.Addr().(*net.TCPAddr) //nolint:forcetypeassert // it listens on TCP
	return tg.DCOption{ID: s.dc, IPAddress: addr.IP.String(), Port: addr.Port, Ipv6: addr.IP.To4() == nil, Static: true}
}

// Close stops the server and waits until everything of it has ended.
func (s *Server) Close() error {
	s.cancel()
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil // closed before
	}
	s.DropConnections()
	s.work.Wait()
	return err
}

// accept takes connections until the server is closed.
func (s *Server) accept() {
	for {
		socket, err := s.listener.Accept()
		if s.ctx.Err() != nil {
			if err == nil {
				_ = socket.Close()
			}
			return
		}
		if err != nil {
			// Out of file descriptors, or a client that went away while waiting.
			s.log.Warn().Err(err).Msg("Could not accept a connection")
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		c := &conn{server: s, socket: socket}
		c.ctx, c.cancel = context.WithCancel(s.ctx)
		s.mu.Lock()
		refused := s.fault.refuse || s.ctx.Err() != nil
		if !refused {
			s.conns[c] = struct{}{}
			s.work.Go(c.serve)
		}
		s.mu.Unlock()
		if refused {
			c.cancel()
			_ = socket.Close()
		}
	}
}

// Connections counts the connections that are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}
