package integration

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// relay is the network between a bridge and servers: it passes on all bytes, each half a round
// trip later. The first of a connection come a round trip later still, which is what connecting
// takes.
type relay struct {
	roundTrip atomic.Int64 // a time.Duration
	last      atomic.Int64 // when something was passed on, in nanoseconds since 1970

	mu        sync.Mutex
	listeners map[string]net.Listener // by the address of the server
}

func newRelay() *relay { return &relay{listeners: map[string]net.Listener{}} }

func (r *relay) setRoundTrip(d time.Duration) { r.roundTrip.Store(int64(d)) }

// silent says that nothing has been passed on for so long, and not for a round trip.
func (r *relay) silent(d time.Duration) bool {
	return time.Since(time.Unix(0, r.last.Load())) > d+time.Duration(r.roundTrip.Load())
}

// to returns the address at which the relay stands for a server.
func (r *relay) to(server string) (address string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if listener := r.listeners[server]; listener != nil {
		return listener.Addr().String(), nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r.listeners[server] = listener
	go r.accept(listener, server)
	return listener.Addr().String(), nil
}

// dial connects to a server by the relay.
func (r *relay) dial(ctx context.Context, network, server string) (net.Conn, error) {
	address, err := r.to(server)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

// close ends the relay; its connections end with those who have them.
func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, listener := range r.listeners {
		_ = listener.Close()
	}
}

func (r *relay) accept(listener net.Listener, server string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		connected := time.Now().Add(time.Duration(r.roundTrip.Load()))
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			_ = client.Close()
			continue
		}
		go r.pass(client, upstream, connected)
		go r.pass(upstream, client, connected)
	}
}

// pass passes on what comes from one connection, in its order, and closes both when it ends.
func (r *relay) pass(from, to net.Conn, connected time.Time) {
	type part struct {
		data []byte
		due  time.Time
	}
	parts := make(chan part, 1024)
	go func() {
		for p := range parts {
			<-time.After(time.Until(p.due))
			_, _ = to.Write(p.data) // an error shows at the next read
			r.last.Store(time.Now().UnixNano())
		}
		_ = to.Close()
		_ = from.Close()
	}()
	defer close(parts)
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			now := time.Now()
			r.last.Store(now.UnixNano())
			if now.Before(connected) {
				now = connected
			}
			parts <- part{append([]byte(nil), buffer[:n]...), now.Add(time.Duration(r.roundTrip.Load() / 2))}
		}
		if err != nil {
			return
		}
	}
}
