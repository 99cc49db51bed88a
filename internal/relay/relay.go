// Package relay is a network between programs and servers that takes its time, for
// benchmarks of how many round trips something waits for.
package relay

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Relay passes on all bytes between programs and servers, each half a round trip later. The
// first of a connection come a round trip later still, which is what connecting takes. It is
// safe for concurrent use.
type Relay struct {
	roundTrip atomic.Int64 // a time.Duration
	last      atomic.Int64 // when something was passed on, in nanoseconds since 1970

	mu        sync.Mutex
	listeners map[string]net.Listener // by the address of the server
}

// New returns a relay whose round trips take no time.
func New() *Relay { return &Relay{listeners: map[string]net.Listener{}} }

// SetRoundTrip says how long a round trip takes from now on.
func (r *Relay) SetRoundTrip(d time.Duration) { r.roundTrip.Store(int64(d)) }

// Silent says whether nothing has been passed on for so long, and a round trip more.
func (r *Relay) Silent(d time.Duration) bool {
	return time.Since(time.Unix(0, r.last.Load())) > d+time.Duration(r.roundTrip.Load())
}

// To returns the address at which the relay stands for a server.
func (r *Relay) To(server string) (address string, err error) {
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

// Dial connects to a server by the relay.
func (r *Relay) Dial(ctx context.Context, network, server string) (net.Conn, error) {
	address, err := r.To(server)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

// Close ends the relay. Its connections end when one of their ends does.
func (r *Relay) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, listener := range r.listeners {
		_ = listener.Close()
	}
}

func (r *Relay) accept(listener net.Listener, server string) {
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
func (r *Relay) pass(from, to net.Conn, connected time.Time) {
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
